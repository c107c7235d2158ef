"""`noisediag check`: what a file's metadata say of its noise, against what its pixels show.

Looked at are the DNG tag NoiseProfile (S and O of each colour, DNG 1.4), the FITS keywords EGAIN, GAIN (e-/DN) and
RDNOISE, READNOIS (e-), and the detector gain and offset of OME-XML. GAIN is a gain with some writers and the position
of a knob with others; OME's gain and offset have no unit and are settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from noisediag import __version__
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.footprint.plane import PlaneFootprint
from noisediag.footprint.values import Bounded, of_draws
from noisediag.reports.figures import dumps_json, dumps_rows, number_table, plain
from noisediag.reports.table import digits, interval, number, printable
from noisediag.studies.camera.profile import line, planes_of, shows_noise

SCHEMA = "noisediag.check/1"
MAX_RATIO = 1.09  # of stated to estimated, or its inverse, that still agrees: half way between 3 and 15 %
MAX_HALF_WIDTH = 0.06  # of an interval, relative to its value, with which MAX_RATIO can be judged
GROSS_RATIO = 10.0  # to the nearer bound, that differs whatever the interval: texture has passed for 5 times the noise
MAX_GAIN_RATIO = 2.0  # beyond which a FITS GAIN is the position of a knob

Verdict = Literal["agrees", "differs", "setting", "cannot tell"]
WORDS: dict[Verdict, str] = {
    "agrees": "agrees",
    "differs": "differs",
    "setting": "a setting, not a gain",
    "cannot tell": "cannot tell",
}


@dataclass(frozen=True)
class Comparison:
    """One stated number beside the estimate; None: not identified in this picture. `ratio` is stated / estimated."""

    path: str
    tag: str
    quantity: str
    unit: str
    stated: float
    estimated: float | None
    low: float | None
    high: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    verdict: Verdict


@dataclass(frozen=True)
class CheckResult:
    """The comparisons of all files, and the files whose metadata say nothing of noise."""

    rows: tuple[Comparison, ...]
    silent: tuple[str, ...]
    checkpoint: CheckpointId | None


def run(footprints: Sequence[Footprint]) -> CheckResult:
    """Compare every footprint with its own `acquisition` tags."""
    rows = [list(compare(footprint)) for footprint in footprints]
    silent = [str(footprint.path) for footprint, own in zip(footprints, rows, strict=True) if not own]
    return CheckResult(tuple(row for own in rows for row in own), tuple(silent), footprints[0].checkpoint)


def compare(footprint: Footprint) -> Iterator[Comparison]:
    """The comparisons that a file's tags allow; none for a rendered picture, whose codes are no measure of light."""
    if footprint.domain == "rendered":
        return
    tags, path, derived = footprint.acquisition, str(footprint.path), footprint.derived
    pairs = tags.get("NoiseProfile")
    if pairs is not None:
        yield from _noise_profile(footprint, list(pairs))
    gain = _gain(footprint.planes[-1])
    read = derived.sigma_d
    for tag, unit, estimated in (
        ("EGAIN", "e-/DN", gain),
        ("GAIN", "e-/DN", gain),
        ("RDNOISE", "e-", read),
        ("READNOIS", "e-", read),
        ("DetectorGain", "e-/DN", gain),
        ("DetectorOffset", "DN", _offset(footprint.planes[-1])),
    ):
        stated = tags.get(tag)
        if isinstance(stated, int | float) and math.isfinite(stated) and stated > 0:
            name = {"e-/DN": "gain", "e-": "read noise", "DN": "offset"}[unit]
            yield comparison(path, tag, name, unit, float(stated), estimated)


def comparison(path: str, tag: str, quantity: str, unit: str, stated: float, estimated: Bounded) -> Comparison:
    """`stated` beside `estimated`, with the verdict."""
    value, low, high = estimated.value, estimated.low, estimated.high
    if value is None or low is None or high is None or value <= 0:
        ratios: tuple[float | None, float | None, float | None] = (None, None, None)
        verdict: Verdict = "setting" if tag.startswith("Detector") else "cannot tell"
        return Comparison(path, tag, quantity, unit, stated, None, None, None, *ratios, verdict)
    ratios = (stated / value, stated / high, stated / low if low > 0 else None)
    verdict = decide(ratios[0], estimated)
    if tag.startswith("Detector"):
        verdict = "agrees" if verdict == "agrees" else "setting"
    elif tag == "GAIN" and verdict == "differs" and not 1 / MAX_GAIN_RATIO < stated / value < MAX_GAIN_RATIO:
        verdict = "setting"
    return Comparison(path, tag, quantity, unit, stated, value, low, high, *ratios, verdict)


def decide(ratio: float | None, estimated: Bounded) -> Verdict:
    """Whether a ratio of stated to estimated is too far from 1, where the estimate is good enough to say so."""
    value, low, high = estimated.value, estimated.low, estimated.high
    if ratio is None or value is None or low is None or high is None:
        return "cannot tell"
    if max(high / value - 1, 1 - low / value) <= MAX_HALF_WIDTH:
        return "agrees" if abs(math.log(ratio)) < math.log(MAX_RATIO) else "differs"
    stated = ratio * value
    return "differs" if stated > GROSS_RATIO * high or stated * GROSS_RATIO < low else "cannot tell"


def render(result: CheckResult) -> Group:
    """A table a file, no wider than 80 columns."""
    parts: list[RenderableType] = []
    for path in dict.fromkeys(row.path for row in result.rows):
        table = number_table(printable(path), "tag", "", "stated", "estimated", "unit", "ratio", "interval", "verdict")
        for column in (1, 4, 7):
            table.columns[column].justify = "left"
        for row in result.rows:
            if row.path == path:
                table.add_row(*_cells(row))
        parts.append(table)
    parts += [Text(f"{printable(path)}: says nothing of its noise") for path in result.silent]
    return Group(*parts)


def dumps(result: CheckResult) -> str:
    """`noisediag.check/1` as JSON text."""
    return dumps_json({"schema": SCHEMA, "noisediag": __version__, **plain(result)})


def dumps_csv(result: CheckResult) -> str:
    """A row a comparison."""
    return dumps_rows(Comparison, result.rows)


def _cells(row: Comparison) -> tuple[str, ...]:
    significant = 2 if row.estimated is None else digits(row.estimated, row.low, row.high)
    ratio_digits = 2 if row.ratio is None else digits(row.ratio, row.ratio_low, row.ratio_high)
    bounds = interval(row.ratio_low, row.ratio_high, max(2, ratio_digits))
    if row.ratio_low is not None and row.ratio_high is None:  # the estimate may be 0
        bounds = f"> {number(row.ratio_low, 2)}"
    ratio = number(row.ratio, max(2, ratio_digits))
    return (
        *(row.tag, row.quantity, number(row.stated, 3), number(row.estimated, significant)),
        *(row.unit, ratio, bounds, WORDS[row.verdict]),
    )


def _noise_profile(footprint: Footprint, numbers: list[float]) -> Iterator[Comparison]:
    """S and O of each pair; one pair is that of all planes."""
    colours = footprint.cfa_plane_colors if len(numbers) > 2 else ("all",)
    if len(numbers) != 2 * len(colours):
        return  # a tag for colours that this file does not have
    for colour, shot, offset in zip(colours, numbers[::2], numbers[1::2], strict=True):
        planes = planes_of(footprint, colour)
        if colour == "all" and len(footprint.planes) > 2:
            planes = list(footprint.planes[:-1])
        for name, stated, estimated in zip("SO", (shot, offset), _pair(footprint, planes), strict=True):
            unit = "1/e-" if name == "S" else ""
            if stated > 0:
                label = name if colour == "all" else f"{name} {colour}"
                yield comparison(str(footprint.path), "NoiseProfile", label, unit, stated, estimated)


def _pair(footprint: Footprint, planes: Sequence[PlaneFootprint]) -> tuple[Bounded, Bounded]:
    """S and O of the line through the planes' noise curves, with its intervals."""
    if not planes or not shows_noise(planes):
        return Bounded(None), Bounded(None)
    (slope, offset), (slopes, offsets) = line([planes], np.random.default_rng(0))
    identified = footprint["shot_gain"].value is not None and slope > 0
    shot = Bounded(*of_draws(slope, slopes)) if identified else Bounded(None)
    return shot, Bounded(*of_draws(offset, offsets))


def _gain(plane: PlaneFootprint) -> Bounded:
    """The conversion gain, e-/DN, from the slope of that line."""
    if plane.black_dn is None or plane.white_dn is None or not shows_noise([plane]):
        return Bounded(None)
    (slope, _), (slopes, _) = line([[plane]], np.random.default_rng(0), free=not plane.offset_known)
    shot = Bounded(*of_draws(slope, slopes))
    if plane["shot_gain"].value is None or not shot.low or not shot.high or not slope > 0:
        return Bounded(None)
    span = plane.white_dn - plane.black_dn
    return Bounded(1 / (slope * span), 1 / (shot.high * span), 1 / (shot.low * span))


def _offset(plane: PlaneFootprint) -> Bounded:
    """The DN at which the variance vanishes: the offset, less read noise in units of the gain (at most the offset)."""
    if plane.black_dn is None or plane.white_dn is None or not shows_noise([plane]):
        return Bounded(None)
    if plane["shot_gain"].value is None:
        return Bounded(None)
    (slope, offset), (slopes, offsets) = line([[plane]], np.random.default_rng(0), free=True)
    if slope <= 0 or (slopes <= 0).any():
        return Bounded(None)
    span = plane.white_dn - plane.black_dn
    return Bounded(*of_draws(plane.black_dn - offset / slope * span, plane.black_dn - offsets / slopes * span))
