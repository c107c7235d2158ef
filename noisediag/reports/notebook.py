"""What a footprint shows of itself in a Python session: a line, a page of HTML, a plot, a table of pandas."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from noisediag.errors import UsageError, printable
from noisediag.footprint.file import Footprint
from noisediag.footprint.plane import CurvePoint, Estimate, counts_as_found
from noisediag.reports import plots
from noisediag.reports.document import image_dict
from noisediag.reports.numbers import digits, interval, number
from noisediag.reports.table import FLAG_WORDS

WIDTH, HEIGHT = 440, 260  # of the curve, px
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 10, 42
MOST_NAMES = 6  # of the noises in a line
MOST_WARNINGS = 5
_ROOM = 1.12  # factor between the ends of the curve's band and the frame
_TABLE = (
    *("path", "plane", "channel", "frame", "name", "symbol", "unit", "value", "low", "high"),
    *("value_dn", "low_dn", "high_dn", "level", "present", "flag"),
)


@dataclass(frozen=True)
class Tick:
    """A mark of an axis, px, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Drawing:
    """The curve's band and middle as points of an SVG, with ticks of both axes."""

    band: str
    middle: str
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True)
class Row:
    """One noise of the table."""

    name: str
    value: str
    interval: str
    unit: str
    value_dn: str
    present: str
    remark: str


def line(footprint: Footprint) -> str:
    """The footprint in one line."""
    height, width = footprint.planes[-1].shape
    names = [name for name, one in footprint.items() if _found(one)]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    parts = [
        f"{footprint.domain}, {width} x {height} px",
        f"sigma {number(footprint.derived.sigma_at_18pct, 2)} at 18 % signal",
        f"found: {', '.join(names[:MOST_NAMES])}{more}" if names else _nothing(footprint).lower(),
    ]
    parts += [f"flags: {', '.join(footprint.flags)}"] if footprint.flags else []
    how = "measured, " if footprint.measurement is not None else ""
    return printable(f"<Footprint of {_name(footprint)}: {how}{'; '.join(parts)}>")


def html(footprint: Footprint) -> str:
    """The footprint as a fragment of a page: curve, noises, what follows. All that a file says stands there as text."""
    main = footprint.planes[-1]
    found = [one for one in main.parameters if _found(one)]
    absent = [one for one in main.parameters if not _found(one)]
    return (
        _environment()
        .get_template("footprint.html.j2")
        .render(
            name=_name(footprint),
            about=_about(footprint),
            drawing=_drawing(footprint.curve),
            rows=[_row(one) for one in found],
            nothing=_nothing(footprint),
            absent=[f"{one.name.replace('_', ' ')} ({_reason(one)})" for one in absent],
            facts=list(_facts(footprint)),
            flags=[FLAG_WORDS.get(flag, flag) for flag in footprint.flags],
            warnings=footprint.warnings[:MOST_WARNINGS],
            more_warnings=max(0, len(footprint.warnings) - MOST_WARNINGS),
        )
    )


def plot(footprint: Footprint, ax: Any = None, **options: Any) -> Any:
    """See `Footprint.plot`."""
    plots.require()
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(**{"layout": "constrained", **options})
    elif options:
        raise UsageError(f"{', '.join(options)}: options of a new figure, and ax is one that is there")
    plots.draw_noise_curve(footprint, ax)
    return ax


def frame(footprint: Footprint, *, planes: bool) -> Any:
    """See `Footprint.to_frame`."""
    try:
        pandas = importlib.import_module("pandas")
    except ImportError:
        raise UsageError("to_frame needs pandas, which is not installed: pip install pandas") from None
    image = image_dict(footprint)
    chosen = image["planes"] if planes else image["planes"][-1:]
    rows = [
        {**one, "path": image["path"], "plane": plane["name"], "channel": plane["channel"], "frame": plane["frame"]}
        for plane in chosen
        for one in plane["parameters"]
    ]
    return pandas.DataFrame(rows, columns=list(_TABLE))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("noisediag.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,  # what is markup already stays
    )


def _name(footprint: Footprint) -> str:
    return "an array" if footprint.path is None else os.path.basename(footprint.path) or footprint.path  # noqa: PTH119


def _nothing(footprint: Footprint) -> str:
    """What is said where no parameter was found."""
    return "No kind told apart from the others" if footprint.structure.noise_found else "No noise found"


def _about(footprint: Footprint) -> str:
    tags, main = footprint.acquisition, footprint.planes[-1]
    parts = [" ".join(str(tags[tag]) for tag in ("Make", "Model") if tags.get(tag))]
    parts += [f"ISO {tags['ISO']}"] if tags.get("ISO") else []
    parts += [footprint.domain, f"{main.shape[1]} x {main.shape[0]} px"]
    if main.black_dn is not None and main.white_dn is not None:
        parts.append(f"black {main.black_dn:g}, white {main.white_dn:g} DN ({main.scale_source})")
    if footprint.measurement is not None:
        parts.append(f"measured from {footprint.measurement.frames_used} frames ({footprint.measurement.route})")
    return ", ".join(part for part in parts if part)


def _found(estimate: Estimate) -> bool:
    return estimate.word is not None or counts_as_found(estimate.value, estimate.present)


def _row(one: Estimate) -> Row:
    significant = 2 if one.value is None else digits(one.value, one.low, one.high)
    return Row(
        name=one.name.replace("_", " "),
        value=one.word or number(one.value, significant),
        interval=interval(one.low, one.high, significant),
        unit=one.unit,
        value_dn=number(one.value_dn, significant),
        present="-" if one.present is None else f"{100 * one.present:.0f} %",
        remark=FLAG_WORDS.get(one.flag, one.flag) if one.flag else "",
    )


def _reason(one: Estimate) -> str:
    if one.value is None and one.low == 0 and one.high is not None:
        return f"below {number(one.high, 2)}"
    if one.name == "quantisation" and one.value is not None:
        return "no coarser than the codes"
    if one.flag is not None:
        return FLAG_WORDS.get(one.flag, one.flag)
    return "not known" if one.present is None else f"probability {100 * one.present:.0f} %"


def _facts(footprint: Footprint) -> Iterator[tuple[str, str]]:
    """What follows, as label and text."""
    derived = footprint.derived
    yield "sigma at 18 % signal", number(derived.sigma_at_18pct, 2)
    if derived.snr_db_at_18pct is not None:
        yield "SNR at 18 % signal", f"{derived.snr_db_at_18pct:.1f} dB"
    for label, one in (("gain", derived.conversion_gain), ("read noise", derived.sigma_d)):
        if one.value is not None:
            significant = digits(one.value, one.low, one.high)
            ends = interval(one.low, one.high, significant)
            yield label, f"{number(one.value, significant)} {one.unit}" + ("" if ends == "-" else f" ({ends})")
    if derived.dynamic_range_stops is not None:
        yield "dynamic range", f"{derived.dynamic_range_stops:.1f} stops"


def _drawing(curve: Sequence[CurvePoint]) -> Drawing | None:
    """The curve on log-log axes; None where they can show none of it."""
    points = [p for p in curve if p.signal > 0 and p.sigma > 0 and all(map(math.isfinite, (p.sigma, p.low, p.high)))]
    if not points:
        return None
    least = min(p.sigma for p in points)
    lows = [p.low if p.low > 0 else least / 10 for p in points]  # an end at 0, which has no logarithm, is cut
    x = _Axis(min(p.signal for p in points), max(p.signal for p in points), LEFT, WIDTH - RIGHT)
    y = _Axis(min(lows), max(p.high for p in points), HEIGHT - BOTTOM, TOP)
    upper = [f"{x.at(p.signal)},{y.at(p.high)}" for p in points]
    lower = [f"{x.at(p.signal)},{y.at(low)}" for p, low in zip(points, lows, strict=True)]
    middle = " ".join(f"{x.at(p.signal)},{y.at(p.sigma)}" for p in points)
    return Drawing(" ".join([*upper, *reversed(lower)]), middle, tuple(x.ticks()), tuple(y.ticks()))


class _Axis:
    """A logarithmic axis from `start` to `end`, px, that holds `low` to `high` with a little room."""

    def __init__(self, low: float, high: float, start: float, end: float):
        room = _ROOM if high / low > _ROOM else 1.5
        self.low, self.high, self.start, self.end = low / room, high * room, start, end

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> Iterator[Tick]:
        """At decades, and between them where there are fewer than three."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1,) if len(powers) > 4 else (1, 2, 5) if self.high / self.low > 3 else (1, 1.5, 2, 3, 4, 5, 6, 8)
        for power in powers:
            for step in steps:
                value = step * 10.0**power
                if self.low <= value <= self.high:
                    yield Tick(self.at(value), number(value, 2 if step == 1.5 else 1))
