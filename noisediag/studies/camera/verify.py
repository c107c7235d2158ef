"""`noisediag verify`: whether a noise profile fits a file, by what the generalised Anscombe transform makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.text import Text

from noisediag import __version__
from noisediag.errors import UnreadableError, UnsupportedError, UsageError
from noisediag.images.image import Image, Plane
from noisediag.images.missing import complete
from noisediag.labels import repeats
from noisediag.labels.screening import smooth, without_trend
from noisediag.labels.stabilised import Transform
from noisediag.reports import plots
from noisediag.reports.figures import decimal, dumps_json, number_table, plain
from noisediag.reports.reading import first_image
from noisediag.reports.table import printable

Floats = NDArray[np.float64]

SCHEMA = "noisediag.verify/1"
BINS = 10
TOLERANCE = (0.9, 1.1)  # of the expected variance
MOST_OUTSIDE = 2  # bins
LEAST_BINS = 5  # that must be judged
BLOCK = 8  # px a side, of the blocks of a single picture
LEAST_BLOCKS = 25  # of a bin: the variance of their 400 values is known to 7 %
SMOOTH = 1.3  # times the roughness that noise alone gives to means of 2 x 2 pixels
CLIPPED_SHARE = 0.5  # of a bin's pixels: beyond, their mean says nothing of the light, and the bin is not judged


@dataclass(frozen=True)
class Bin:
    """Pixels of like signal. `variance` of the transformed noise beside the `expected` one, and their `ratio`.

    `error`: standard error of the ratio; `within` None: not judged, and `remark` says why.
    """

    signal: float
    values: int
    variance: float | None
    expected: float | None
    ratio: float | None
    error: float | None
    within: bool | None
    remark: str = ""


@dataclass(frozen=True)
class PlaneVerdict:
    """One plane's bins. `passes`: at most MOST_OUTSIDE of them are outside of TOLERANCE."""

    name: str
    shot: float
    offset: float
    bins: tuple[Bin, ...]

    @property
    def outside(self) -> int:
        return sum(one.within is False for one in self.bins)

    @property
    def passes(self) -> bool:
        return self.outside <= MOST_OUTSIDE


@dataclass(frozen=True)
class Verification:
    """What was verified. `noise_from`: repeats or smooth blocks."""

    path: str
    noise_from: str
    frames: int
    planes: tuple[PlaneVerdict, ...]
    warnings: tuple[str, ...]

    @property
    def passes(self) -> bool:
        return all(plane.passes for plane in self.planes)


def read_profile(text: str) -> tuple[tuple[float, float], ...]:
    """Pairs of S and O, normalised: of `S,O`, or of a report's or simulation's `dng_noise_profile`.

    Raises UsageError for numbers that are none or below 0, and UnreadableError for a file that states no profile.
    """
    if Path(text).suffix in (".json", ".jsonl"):
        try:
            stated = first_image(Path(text))["derived"]["dng_noise_profile"]
            pairs = tuple((float(shot), float(offset)) for shot, offset in stated)
        except (ValueError, LookupError, TypeError) as error:
            raise UnreadableError(f"{text}: states no noise profile (derived.dng_noise_profile)") from error
    else:
        try:
            shot, offset = (float(part) for part in text.split(","))
        except ValueError:
            raise UsageError(f"--profile {text}: S,O as in 1.4e-4,1.7e-5, or a report (.json, .jsonl)") from None
        pairs = ((shot, offset),)
    for shot, offset in pairs:
        if not (math.isfinite(shot) and math.isfinite(offset) and min(shot, offset) >= 0 and shot + offset > 0):
            raise UsageError(f"--profile: S {shot:g} and O {offset:g}: numbers from 0, not both 0")
    return pairs


def run(
    image: Image, columns: Sequence[Sequence[Plane]], profile: Sequence[tuple[float, float]], names: Sequence[str] = ()
) -> Verification:
    """Each of `columns`, the frames of one plane of `image`, against its pair of `profile`.

    Several frames are repeats of one scene; a single one is looked at where it is smooth. Raises UnsupportedError where
    the black or white level is not known, or too few bins can be judged.
    """
    verdicts, warnings = [], dict.fromkeys(image.warnings)
    for frames in columns:
        plane = frames[0]
        if not (plane.offset_known and plane.white_known):
            raise UnsupportedError("a profile is relative to black and white: give --black and --white")
        shot, offset = _pair(plane, image, profile)
        span = plane.white_dn - plane.black_dn
        lowest = 0.0 if np.dtype(plane.load().dtype).kind == "u" else -np.inf
        transform = Transform(shot, offset, (lowest - plane.black_dn) / span, 1.0)
        if len(frames) > 1:
            bins, notes = _from_repeats(frames, names, transform)
            warnings |= dict.fromkeys(notes)
        else:
            bins = _from_blocks(_normalised(plane), transform)
        if sum(one.within is not None for one in bins) < LEAST_BINS:
            raise UnsupportedError(
                f"only {sum(one.within is not None for one in bins)} of {len(bins)} levels can be judged"
                + ("" if len(frames) > 1 else ": give repeats (a stack, or --repeats)")
            )
        verdicts.append(PlaneVerdict(plane.channel or plane.name, shot, offset, tuple(bins)))
    count = len(columns[0])
    return Verification(
        str(image.path), "repeats" if count > 1 else "smooth blocks", count, tuple(verdicts), tuple(warnings)
    )


def _pair(plane: Plane, image: Image, profile: Sequence[tuple[float, float]]) -> tuple[float, float]:
    if len(profile) == 1:
        return profile[0]
    colours = image.cfa_plane_colors or ("R", "G", "B")
    name = plane.name.rstrip("0123456789")
    if name not in colours or len(colours) != len(profile):
        raise UsageError(f"--profile: {len(profile)} pairs, and no telling which is that of plane {plane.name}")
    return profile[colours.index(name)]


def _normalised(plane: Plane) -> Floats:
    return (np.asarray(complete(plane), np.float64) - plane.black_dn) / (plane.white_dn - plane.black_dn)


def _from_repeats(
    frames: Sequence[Plane], names: Sequence[str], transform: Transform
) -> tuple[list[Bin], tuple[str, ...]]:
    seen = repeats.measure(frames, np.random.default_rng(0), names=names)
    frames = frames[: repeats.MAX_FRAMES]
    plane = frames[0]
    span = plane.white_dn - plane.black_dn
    squares = np.zeros(plane.shape)
    for first, second, _ in repeats.pairs_in_use(frames, seen.kept):
        a, b = (transform((frame - plane.black_dn) / span) for frame in (first, second))
        difference = without_trend(b - a, (a + b) / 2)
        squares += repeats.without_lines(difference, seen.rows, seen.columns) ** 2 / 2
    signal = (seen.mean - plane.black_dn) / span
    clipped = np.mean([(_normalised(one) >= 1) for one in (frames[0], frames[-1])], axis=0)
    inner = (slice(1, -1), slice(1, -1))
    notes = [f"left out: {one.what}: {one.reason}" for one in seen.rejected]
    bins = _bins(
        smooth(signal).ravel(),  # a pixel's own mean is noisy, and the variance no straight line of it
        (squares / seen.pairs)[inner].ravel(),
        clipped[inner].ravel(),
        transform,
        each=seen.pairs,
    )
    return bins, (*seen.warnings, *notes)


def _from_blocks(x: Floats, transform: Transform) -> list[Bin]:
    """From the finest diagonal detail of blocks whose means of 2 x 2 pixels are even.

    For white noise the diagonal of a 2 x 2 Haar transform is independent of its mean, so that choosing by the means
    does not choose by the noise.
    """
    height, width = (side // BLOCK * BLOCK for side in x.shape)
    if min(height, width) < 4 * BLOCK:
        raise UnsupportedError(f"at least {4 * BLOCK} x {4 * BLOCK} pixels are needed")
    x = x[:height, :width]
    y = transform(x)
    diagonal = _in_blocks((y[::2, ::2] - y[::2, 1::2] - y[1::2, ::2] + y[1::2, 1::2]) / 2, BLOCK // 2)
    means = (y[::2, ::2] + y[::2, 1::2] + y[1::2, ::2] + y[1::2, 1::2]) / 4
    means = _in_blocks(means, BLOCK // 2)
    steps = np.concatenate(
        [np.diff(means, axis=1).reshape(len(means), -1), np.diff(means, axis=2).reshape(len(means), -1)], axis=1
    )
    blocks = _in_blocks(x, BLOCK)
    signal = blocks.mean(axis=(1, 2))
    clipped = (blocks >= 1).mean(axis=(1, 2))
    variance = (diagonal**2).mean(axis=(1, 2))
    # A mean of four has a quarter of the variance, a step between two of them half of it.
    expected = transform.variances(signal) / 2
    roughness = (steps**2).mean(axis=1)
    usual = np.median(roughness / expected)
    even = roughness <= SMOOTH * min(max(usual, 1.0), SMOOTH) * expected
    if not even.any():
        even = roughness <= np.quantile(roughness / expected, 0.25) * expected
    each = (BLOCK // 2) ** 2
    return _bins(signal[even], variance[even], clipped[even], transform, each=each, least=LEAST_BLOCKS)


def _in_blocks(values: Floats, side: int) -> Floats:
    """(blocks, side, side)."""
    rows, columns = values.shape[0] // side, values.shape[1] // side
    parts = values[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return parts.transpose(0, 2, 1, 3).reshape(-1, side, side)


def _bins(
    signal: Floats, variance: Floats, clipped: Floats, transform: Transform, *, each: int, least: int = 1
) -> list[Bin]:
    """BINS of equal count by `signal`; `each`: values behind every variance; `least`: variances that a bin needs."""
    if not signal.size:
        return []
    expected = transform.variances(signal)
    edges = np.quantile(signal, np.linspace(0, 1, BINS + 1)[1:-1])
    place = np.searchsorted(edges, signal)
    found = []
    for number in range(BINS):
        inside = place == number
        count = int(inside.sum())
        if not count:
            continue
        level = float(signal[inside].mean())
        usual = float(expected[inside].mean())
        remark = ""
        if count < least:
            remark = "too few smooth blocks"
        elif float(clipped[inside].mean()) > CLIPPED_SHARE:
            remark = "clipped"
        elif not usual > 0:
            remark = "no noise expected"
        if remark:
            found.append(Bin(level, count * each, None, usual, None, None, None, remark))
            continue
        measured = float(variance[inside].mean())
        ratio = measured / usual
        error = float(variance[inside].std()) / math.sqrt(count) / usual
        within = TOLERANCE[0] <= ratio <= TOLERANCE[1]
        found.append(Bin(level, count * each, measured, usual, ratio, error, within, "" if within else "outside"))
    return found


def render(result: Verification) -> Group:
    """A table a plane, no wider than 80 columns, and the verdict."""
    parts: list[Any] = [Text(printable(result.path), style="bold")]
    count = f" of {result.frames} frames" if result.frames > 1 else ""
    parts.append(Text(f"variance after the generalised Anscombe transform, noise from {result.noise_from}{count}"))
    for plane in result.planes:
        table = number_table(
            f"\n{printable(plane.name)}: S {plane.shot:.4g}, O {plane.offset:.4g}",
            *("signal", "variance", "expected", "ratio", "+-", "remark"),
        )
        table.columns[0].justify = "right"
        table.columns[-1].justify = "left"
        for one in plane.bins:
            numbers = (one.variance, one.expected, one.ratio, one.error)
            cells = [decimal(math.nan if value is None else value, 3) for value in numbers]
            table.add_row(f"{100 * one.signal:.3g} %", *cells, one.remark)
        parts.append(table)
        judged = sum(one.within is not None for one in plane.bins)
        verdict = "the profile fits" if plane.passes else "the profile does not fit"
        parts.append(Text(f"{verdict}: {plane.outside} of {judged} levels outside of 0.9 to 1.1"))
    return Group(*parts)


def dumps(result: Verification) -> str:
    """`noisediag.verify/1` as JSON text."""
    planes = [{**plain(plane), "outside": plane.outside, "passes": plane.passes} for plane in result.planes]
    body = {**plain(result), "planes": planes, "passes": result.passes}
    return dumps_json({"schema": SCHEMA, "noisediag": __version__, **body})


def plot(result: Verification, path: Path) -> None:
    """Write the ratio of measured to expected variance over the signal, a line a plane."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.axhspan(*TOLERANCE, color="0.9")
    axes.axhline(1.0, color="0.5", linewidth=0.8)
    for plane in result.planes:
        points = [(one.signal, one.ratio, one.error) for one in plane.bins if one.ratio is not None]
        signal, ratio, error = zip(*points, strict=True)
        axes.errorbar(signal, ratio, yerr=error, marker="o", markersize=3, capsize=2, linewidth=1, label=plane.name)
    axes.set_xlabel("signal (0 = black, 1 = white)")
    axes.set_ylabel("variance / expected variance")
    axes.legend()
    plots.save(figure, path)
