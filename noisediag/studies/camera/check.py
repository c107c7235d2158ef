"""`noisediag check`: what a file's metadata say of its noise, against what its pixels show.

Looked at are the DNG tag NoiseProfile (S and O of each colour, DNG 1.4), the FITS keywords EGAIN, GAIN (e-/DN) and
RDNOISE, READNOIS (e-), and the detector gain and offset of OME-XML. GAIN is a gain with some writers and the position
of a knob with others; OME's gain and offset have no unit and are settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from noisediag import __version__
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.footprint.plane import PlaneFootprint
from noisediag.footprint.values import Bounded, of_draws
from noisediag.reports.figures import dumps_json, dumps_rows, number_table, plain
from noisediag.reports.table import digits, interval, number, printable
from noisediag.studies.camera.comparison import WORDS, Comparison, comparison
from noisediag.studies.camera.datasheet import DataSheet, against
from noisediag.studies.camera.profile import DOUBTS, gain_of, line, planes_of, shows_noise

SCHEMA = "noisediag.check/1"


@dataclass(frozen=True)
class Note:
    """What is to be known of a file beside its comparisons."""

    path: str
    text: str


@dataclass(frozen=True)
class CheckResult:
    """The comparisons of all files, what is to be known of them, and the files with nothing to compare."""

    rows: tuple[Comparison, ...]
    silent: tuple[str, ...]
    notes: tuple[Note, ...]
    checkpoint: CheckpointId | None


def run(footprints: Sequence[Footprint], *, metadata: bool = True, sheet: DataSheet | None = None) -> CheckResult:
    """Compare every footprint with its own `acquisition` tags (`metadata`) and with a data `sheet`.

    No verdict is given on a file whose noise is none of a camera's: a note says why. Raises UsageError for a sheet that
    says too little.
    """
    rows, silent, notes = [], [], []
    for footprint in footprints:
        path, own = str(footprint.path), list(compare(footprint)) if metadata else []
        if sheet is not None:
            found, told = against(sheet, footprint)
            own += found
            notes += [Note(path, text) for text in told]
        doubts = _doubts(footprint)
        if doubts and own:
            own = [replace(row, verdict="cannot tell") for row in own]
            notes += [Note(path, f"no verdict: {text}") for text in doubts]
        rows += own
        silent += [] if own else [path]
    return CheckResult(tuple(rows), tuple(silent), tuple(notes), footprints[0].checkpoint)


def _doubts(footprint: Footprint) -> list[str]:
    """Why the noise of a file is not that of a camera alone, in words."""
    flags = {*footprint.flags, *footprint.planes[-1].flags} | ({"uneven"} if footprint.uneven is not None else set())
    words = {flag: text for flag, text in DOUBTS.items() if flag in flags}
    if footprint.uneven is not None:
        words["uneven"] += f", from {footprint.uneven[0]:.2g} to {footprint.uneven[1]:.2g} times its curve"
    return list(words.values())


def compare(footprint: Footprint) -> Iterator[Comparison]:
    """The comparisons that a file's tags allow; none for a rendered picture, whose codes are no measure of light."""
    if footprint.domain == "rendered":
        return
    tags, path, derived = footprint.acquisition, str(footprint.path), footprint.derived
    pairs = tags.get("NoiseProfile")
    if pairs is not None:
        yield from _noise_profile(footprint, list(pairs))
    gain = gain_of(footprint.planes[-1])
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
        parts += [Text(note.text) for note in result.notes if note.path == path]
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
