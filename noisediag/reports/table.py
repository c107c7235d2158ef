"""The footprint as a table for people.

It fits 80 columns, never says anything by colour alone, and shows no digit that the interval does not support.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from noisediag.errors import printable as printable
from noisediag.footprint.derived import MID_GREY, Derived
from noisediag.footprint.file import Footprint, Measurement, Rendered
from noisediag.footprint.plane import PRESENT, CurvePoint, Estimate, PlaneFootprint, SampledCurve
from noisediag.footprint.values import Quantity
from noisediag.genome.parameters import NAMES
from noisediag.reports.evidence import evidence
from noisediag.reports.numbers import digits as digits
from noisediag.reports.numbers import interval as interval
from noisediag.reports.numbers import number as number

WIDTH = 80
TARGET_SNR_DB = 40.0  # of the frames-to-average hint

FLAG_WORDS = {
    "below_floor": "below detection",
    "weakly_identified": "weakly identified",
    "planes_differ": "planes differ",
    "out_of_range": "out of range",
    "out_of_domain": "unlike training",
    "clipped": "clipped",
    "few_pixels": "few pixels",
    "rendered": "rendered",
    "assumed_scale": "scale assumed",
    "denoised": "denoised",
    "upscaled": "upscaled",
    "resaved": "saved again",
    "misfit": "law does not fit",
    "black_doubtful": "black doubtful",
    "saturation_measured": "saturation measured",
    "smoothed": "smoothed",
    "uneven": "uneven",
    "empty": "empty",
}
_CURVE_ROWS = 5
_MOST_PLANES = 8
_MOST_REJECTED = 5
_WHOLES = ("all", "luma")  # planes that stand for several
_SHOWN_UNITS = ("1/e-", "px")  # the others are fractions: of white - black, of the signal, of the pixels


def render(footprint: Footprint) -> Group:
    """The whole footprint: what was read, the noise curve, the parameters, the planes, and what follows from them."""
    main = footprint.planes[-1]
    parts: list[tuple[str, Table]] = [
        (
            f"noise curve of {printable(main.label)}: sigma as a fraction of white - black, and in DN",
            _curve(main),
        ),
        (f"parameters; a noise counts as found from {100 * PRESENT:.0f} % present on", _parameters(main)),
    ]
    beside = others(footprint)
    rendered = footprint.rendered
    if rendered is not None:
        parts += [
            ("noise over the picture, sigma in DN", _spatial(footprint, rendered)),
            ("processing", _processing(rendered, changed=isinstance(main.law, SampledCurve))),
        ]
    elif len(beside) > 1:
        parts.append(("planes", _planes(beside)))
    parts.append(("what follows", _consequences(footprint)))
    if footprint.measured is not None:
        frames = footprint.measured.measurement.frames_used if footprint.measured.measurement else 0
        parts.append((f"estimated, and measured from {frames} frames", _beside(footprint, footprint.measured)))
    lines: list[Text | Table] = [title(footprint)]
    for heading, table in parts:
        lines += [Text(f"\n{heading}", style="bold"), table]
    if footprint.measurement is None:
        lines.append(Text(f"\n{footprint.structure.verdict}"))
    for rejected in (footprint.measured or footprint).rejected[:_MOST_REJECTED]:
        lines.append(Text(f"left out: {printable(rejected.what)}: {printable(rejected.reason)}"))
    if (more := len((footprint.measured or footprint).rejected) - _MOST_REJECTED) > 0:
        lines.append(Text(f"left out: {more} more"))
    if footprint.flags:
        lines.append(Text("\nflags: " + ", ".join(FLAG_WORDS[flag] for flag in footprint.flags), style="yellow"))
    return Group(*lines)


def frames_to_average(snr_db: float) -> int:
    """Frames whose mean reaches 40 dB: independent noise falls with the square root of their number.

    >>> frames_to_average(34.0), frames_to_average(45.0)
    (4, 1)
    """
    return max(1, math.ceil(10 ** ((TARGET_SNR_DB - snr_db) / 10)))


def title(footprint: Footprint) -> Text:
    """The file, its camera and ISO, what was read of it, and how it was measured where it was."""
    main, tags = footprint.planes[-1], footprint.acquisition
    camera = [str(tags[tag]) for tag in ("Make", "Model") if tags.get(tag)]
    if tags.get("ISO"):
        camera.append(f"ISO {tags['ISO']}")
    what = [_kind(footprint), f"{main.shape[1]} x {main.shape[0]} px"]
    if main.black_dn is not None and main.white_dn is not None:
        what.append(f"black {main.black_dn:g}, white {main.white_dn:g} DN ({main.scale_source})")
    title = Text(printable(footprint.path or "array"), style="bold")
    how = "" if footprint.measurement is None else _how(footprint.measurement)
    camera_line, what_line = " ".join(camera), ", ".join(what)
    fits = bool(camera_line) and len(camera_line) + len(what_line) + 2 <= WIDTH
    for line in (f"{camera_line}, {what_line}", how) if fits else (camera_line, what_line, how):
        if line:
            title.append("\n" + printable(line), style="not bold")
    return title


def _kind(footprint: Footprint) -> str:
    """The domain, and of a rendered picture whether its noise went through processing."""
    if footprint.rendered is None:
        return footprint.domain
    return "rendered, processed" if isinstance(footprint.planes[-1].law, SampledCurve) else "rendered, unprocessed"


def _how(measurement: Measurement) -> str:
    """How it was measured, and what the frames do beside their noise."""
    words = {"repeats": "repeats", "flats": "flat fields and darks", "pairs": "a clean counterpart"}
    parts = [f"measured by {words[measurement.route]}, {measurement.frames_used} of {measurement.frames} frames"]
    parts += [
        f"{one.symbol.replace('_', ' ')} {number(one.value, 2)} {one.unit}"
        for one in measurement.quantities
        if one.value is not None
    ]
    return ", ".join(parts)


def _beside(estimated: Footprint, measured: Footprint) -> Table:
    """Values of the file's own planes with their intervals."""
    table = _table("noise", "unit", "estimated", "90 % interval", "measured", "90 % interval")
    for column in (0, 1):
        table.columns[column].justify = "left"
    for one in estimated.planes[-1].parameters:
        cells = []
        for entry in (one, measured[one.name]):
            significant = 2 if entry.value is None else digits(entry.value, entry.low, entry.high)
            cells += [number(entry.value, significant), _bounds(entry, significant)]
        table.add_row(one.name.replace("_", " "), one.unit if one.unit in _SHOWN_UNITS else "", *cells)
    return table


def _curve(plane: PlaneFootprint) -> Table:
    table = _table("signal", "sigma", "90 % interval", "DN", "SNR dB")
    scale = plane.span_dn
    for point in _spread(plane.curve):
        significant = digits(point.sigma, point.low, point.high)
        meaningful = plane.offset_known and point.signal > 0 and point.sigma > 0
        table.add_row(
            f"{100 * point.signal:.3g} %",
            number(point.sigma, significant),
            interval(point.low, point.high, significant),
            number(None if scale is None else point.sigma * scale, significant),
            f"{20 * math.log10(point.signal / point.sigma):.1f}" if meaningful else "-",
        )
    return table


def _parameters(plane: PlaneFootprint) -> Table:
    table = _table("noise", "value", "unit", "90 % interval", "DN", "present", "remark")
    for column in (0, 2, -1):
        table.columns[column].justify = "left"
    for estimate in plane.parameters:
        significant = 2 if estimate.value is None else digits(estimate.value, estimate.low, estimate.high)
        table.add_row(
            printable(estimate.name.replace("_", " ")),
            number(estimate.value, significant) if estimate.word is None else printable(estimate.word),
            printable(estimate.unit) if estimate.unit in _SHOWN_UNITS or estimate.name not in NAMES else "",
            _bounds(estimate, significant),
            number(estimate.value_dn, significant),
            "-" if estimate.present is None else f"{100 * estimate.present:.0f} %",
            FLAG_WORDS[estimate.flag] if estimate.flag else "",
        )
    return table


def _bounds(estimate: Estimate, significant: int) -> str:
    if estimate.value is None and estimate.low == 0 and estimate.high is not None:
        return f"< {number(estimate.high, significant)}"  # a detection limit
    return interval(estimate.low, estimate.high, significant)


def others(footprint: Footprint) -> list[PlaneFootprint]:
    """The planes beside the file's own footprint, but for each `all` that only repeats the one plane of its channel."""
    members = Counter(plane.channel for plane in footprint.planes if plane.name not in _WHOLES)
    return [p for p in footprint.planes[:-1] if p.name not in _WHOLES or members[p.channel] != 1]


def _planes(planes: Sequence[PlaneFootprint]) -> Table:
    table = _table("plane", "median", "sigma there", "DN", "shot gain", "read noise DN")
    table.columns[0].justify = "left"
    for plane in planes[:_MOST_PLANES]:
        scale = plane.span_dn
        sigma = plane.law.sigma(plane.signal_median)
        table.add_row(
            printable(plane.label),
            f"{100 * plane.signal_median:.2g} %",
            number(sigma, 3),
            number(None if scale is None else sigma * scale, 3),
            _short(plane["shot_gain"], plane["shot_gain"].value),
            _short(plane["read_noise"], plane["read_noise"].value_dn),
        )
    if len(planes) > _MOST_PLANES:
        table.add_row(f"+ {len(planes) - _MOST_PLANES} more")
    return table


def _spatial(footprint: Footprint, rendered: Rendered) -> Table:
    """Sigma over all signals of the picture and after averaging squares, correlation with the next pixel, per plane."""
    table = _table("plane", "sigma", "of 2x2", "of 4x4", "of 8x8", "lag 1 h", "lag 1 v", "blur px")
    table.columns[0].justify = "left"
    planes = {plane.name: plane for plane in footprint.planes}
    for seen in rendered.planes:
        plane = planes[seen.name]
        scale = plane.span_dn or 1.0
        table.add_row(
            printable(plane.name),
            number(plane.effective_sigma * scale, 2),
            *(number(sigma * scale, 2) for sigma in seen.sigma_after_area),
            f"{seen.lag1_h:.2f}",
            f"{seen.lag1_v:.2f}",
            f"{seen.equivalent_blur_px:.2f}" if seen.equivalent_blur_px else "-",
        )
    return table


def _processing(rendered: Rendered, *, changed: bool) -> Table:
    """`changed`: the curve is that of processed noise."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for name, value in (
        ("processed", rendered.processed),
        ("denoised", rendered.denoised),
        ("upscaled", rendered.upscaled),
    ):
        if name == "processed":
            verdict = "the noise is as processing left it" if changed else "the noise is as a sensor gives it"
        else:
            verdict = "flagged" if name in rendered.flags else "not flagged"
        if name in rendered.thresholds:
            verdict += f" (from {100 * rendered.thresholds[name]:.0f} %)"
        table.add_row(f"{name}, probability", f"{100 * value:.0f} %", verdict)
    if rendered.jpeg_quality is not None:
        again = {True: "saved more than once", False: "saved once", None: ""}[rendered.resaved]
        own = "" if rendered.jpeg_standard else "about: a camera's own tables"
        table.add_row("JPEG quality", str(rendered.jpeg_quality), ", ".join(part for part in (own, again) if part))
    if rendered.block_strength is not None:
        table.add_row("block strength", f"{rendered.block_strength:.2f}", "0: none")
    if rendered.channel_correlation is not None:
        shown = ", ".join(f"{value:.2f}" for value in rendered.channel_correlation)
        table.add_row("channel correlation", "", f"{shown} (R-G, G-B, R-B)")
    return table


def _short(estimate: Estimate, shown: float | None) -> str:
    significant = 2 if estimate.value is None else digits(estimate.value, estimate.low, estimate.high)
    return number(shown, significant)


def _consequences(footprint: Footprint) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    signals = [point.signal for point in footprint.curve]
    seen = bool(signals) and min(signals) <= MID_GREY <= max(signals)
    for row in evidence(footprint):
        table.add_row(*row)
    for row in _facts(footprint.derived, fixed=footprint["multiplicative"].value is not None, seen=seen):
        table.add_row(*row)
    return table


def _facts(derived: Derived, *, fixed: bool, seen: bool) -> Iterator[tuple[str, str, str]]:
    """Label, number, unit. `fixed`: there is a multiplicative part; `seen`: the picture has signals about 18 %."""
    for label, quantity in (("gain", derived.conversion_gain), ("read noise", derived.sigma_d)):
        if quantity.value is not None:
            yield label, *_with_interval(quantity)
    if derived.electrons_at_white is not None:
        yield "electrons at white", number(derived.electrons_at_white, _digits_of(derived.K)), "e-"
    if derived.dynamic_range_stops is not None:
        yield "dynamic range", f"{derived.dynamic_range_stops:.1f}", "stops"
    yield "sigma at 18 % signal", number(derived.sigma_at_18pct, 3), "" if seen else "extrapolated: no such signal here"
    if derived.snr_db_at_18pct is not None:
        yield "SNR at 18 % signal", f"{derived.snr_db_at_18pct:.1f}", "dB"
        remark = "; the multiplicative part only if it is no fixed pattern" if fixed else ""
        frames = frames_to_average(derived.snr_db_at_18pct)
        yield "frames to average", str(frames), f"for {TARGET_SNR_DB:.0f} dB at 18 %{remark}"
    if derived.DSNU1288.high is not None:  # of dark frames
        for quantity in (derived.K, derived.sigma_d, derived.PRNU1288, derived.DSNU1288):
            if quantity.value is not None:
                yield f"EMVA 1288 {quantity.symbol}", *_with_interval(quantity)
            elif quantity.high is not None:
                yield f"EMVA 1288 {quantity.symbol}", f"< {number(quantity.high, 2)}", quantity.unit
    for index, (shot, offset) in enumerate(derived.dng_noise_profile or ()):
        yield "" if index else "DNG NoiseProfile", number(shot, 3), number(offset, 3)


def _with_interval(quantity: Quantity) -> tuple[str, str]:
    significant = _digits_of(quantity)
    bounds = interval(quantity.low, quantity.high, significant)
    return number(quantity.value, significant), quantity.unit + ("" if bounds == "-" else f"  ({bounds})")


def _digits_of(quantity: Quantity) -> int:
    return 2 if quantity.value is None else digits(quantity.value, quantity.low, quantity.high)


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _spread(curve: Sequence[CurvePoint]) -> list[CurvePoint]:
    """A few points of the curve, evenly spread, both ends among them."""
    if len(curve) <= _CURVE_ROWS:
        return list(curve)
    return [curve[round(i * (len(curve) - 1) / (_CURVE_ROWS - 1))] for i in range(_CURVE_ROWS)]
