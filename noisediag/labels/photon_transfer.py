"""Photon transfer: system gain, read noise and fixed patterns from flat fields and dark frames (EMVA 1288).

K is the slope of temporal variance against mean (EMVA 1288 release 3.1, equations 6 to 12), PRNU1288 and DSNU1288 come
from the covariance of two frames, in which temporal noise cancels (there: sections 4.1 to 4.3).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from noisediag.errors import UnsupportedError
from noisediag.footprint.file import Footprint, Measurement, Rejected
from noisediag.footprint.plane import PlaneFootprint
from noisediag.footprint.values import Quantity
from noisediag.images.image import Plane
from noisediag.images.missing import complete
from noisediag.labels import repeats
from noisediag.labels.bursts import ReadOptions, pooled_colours
from noisediag.labels.detection import Detection, from_variance
from noisediag.labels.footprints import PlaneMeasurement, describe, footprint_of
from noisediag.labels.repeats import Repeats
from noisediag.labels.variance_law import BLOCKS, fit_law, rescaled

Floats = NDArray[np.float64]

ONE_LEVEL = 0.08  # relative: flats nearer than that are shots of one level
LOCAL_PX = 15  # side of the mean that is taken off as illumination
LINEAR = 0.7  # of the saturation, up to which K is fitted (the range of EMVA 1288, release 3.1)
HALF = 0.5  # of the saturation, where PRNU1288 is quoted (likewise)
BOUND = 2.0  # standard errors from a pattern's variance to the limit of what may be there
PATTERN = 3.0  # standard errors from which a pattern's variance is no chance


@dataclass(frozen=True)
class Shot:
    """One file's plane."""

    file: Path
    plane: Plane


@dataclass(frozen=True, eq=False)
class _LightLevel:
    """Shots of one light: their temporal noise, and the variance of the pattern that stays, DN^2 with its error."""

    repeats: Repeats
    signal_dn: float
    pattern: float
    pattern_error: float


def from_files(flats: Sequence[Path], darks: Sequence[Path], reading: ReadOptions) -> Footprint:
    """The footprint of a sensor from two or more shots of each level of light and, if there are any, dark frames.

    Raises InputErrors that name the file, UnsupportedError where there are not two usable shots of one level, or no
    level beside the dark or another one.
    """
    shots = [(file, reading.read(file)) for file in (*flats, *darks)]
    first = shots[0][1]
    for file, image in shots:
        if [p.name for p in image.planes] != [p.name for p in first.planes] or image.frames > 1:
            raise UnsupportedError(f"{file.name} and {shots[0][0].name} are no single pictures of one kind")
        if image.planes[0].shape != first.planes[0].shape:
            sizes = [f"{i.planes[0].shape[1]} x {i.planes[0].shape[0]} px" for i in (image, first)]
            raise UnsupportedError(f"{file.name} has {sizes[0]}, {shots[0][0].name} {sizes[1]}")
    planes: list[PlaneFootprint] = []
    parts: list[tuple[Plane, PlaneMeasurement]] = []
    rejected: list[Rejected] = []
    used = 0
    for place, own in enumerate(first.planes):
        columns = [Shot(file, image.planes[place]) for file, image in shots]
        measured, plane, left_out, used, dark_pattern = measure(columns[: len(flats)], columns[len(flats) :])
        name = own.name if len(first.planes) > 1 else "all"
        planes.append(replace(describe(measured, plane, name=name), dark_pattern=dark_pattern))
        parts.append((plane, measured))
        rejected += left_out
    if len(planes) > 1 and first.domain == "raw-linear":
        planes.append(pooled_colours(parts))
    names = tuple(str(file) for file, _ in shots)
    return footprint_of(
        first, planes, Measurement("flats", names, len(shots), used, rejected=tuple(dict.fromkeys(rejected)))
    )


def measure(
    flats: Sequence[Shot], darks: Sequence[Shot]
) -> tuple[PlaneMeasurement, Plane, tuple[Rejected, ...], int, Quantity | None]:
    """One plane's noise, the plane with its black level, what was left out, the frames in use, and DSNU1288.

    Raises as `from_files`.
    """
    generator = np.random.default_rng(0)
    rejected: list[Rejected] = []
    groups = ([darks] if darks else []) + _shots_by_level(flats)
    measured = [_measure_level(shots, generator, rejected) for shots in groups]
    dark = [level for level in measured[:1] if darks and level is not None]
    levels = [level for level in measured if level is not None]
    levels = _within_linear_range(levels, len(dark), flats[0].plane, rejected)
    lit = levels[len(dark) :]
    if not lit or len(levels) < 2:
        why = f": {rejected[0].what}: {rejected[0].reason}" if rejected else ""
        raise UnsupportedError(f"two levels of light are needed, each of two shots (darks are one){why}")
    plane = flats[0].plane
    if dark:
        plane = replace(plane, black_dn=dark[0].signal_dn, offset_known=True)
    span = plane.white_dn - plane.black_dn
    blocks = min(len(level.repeats.sums) for level in levels)
    sums = np.concatenate([rescaled(level.repeats.sums[:blocks], plane.black_dn, span) for level in levels], axis=1)
    pairs = np.concatenate([np.full(level.repeats.sums.shape[1], float(level.repeats.pairs)) for level in levels])
    fitted = fit_law(sums, pairs, generator, curved=False)
    if not fitted.slope > 0:
        raise UnsupportedError("the noise does not grow with the light")
    darkest = levels[0].repeats
    pattern = _photo_response_nonuniformity(lit, dark, plane)
    frames = sum(level.repeats.pairs + 1 for level in levels)
    dsnu = _dark_pattern(dark[0], fitted.slope * span) if dark else None
    return (
        PlaneMeasurement(
            law=fitted,
            signal=np.concatenate([(level.repeats.mean.ravel() - plane.black_dn) / span for level in levels]),
            sums=sums,
            pairs=pairs,
            row=darkest.rows.over(span),
            column=darkest.columns.over(span),
            multiplicative=pattern,
            clipped=max(level.repeats.clipped for level in levels),
        ),
        plane,
        tuple(rejected),
        frames,
        dsnu,
    )


def _within_linear_range(
    levels: Sequence[_LightLevel], darks: int, plane: Plane, rejected: list[Rejected]
) -> list[_LightLevel]:
    """`levels` up to 70 % of the saturation, or of the brightest where white is not known: EMVA 1288's range of K."""
    black = levels[0].signal_dn if darks else plane.black_dn
    full = plane.white_dn if plane.white_known else max((level.signal_dn for level in levels), default=0.0)
    kept = [level for level in levels if level.signal_dn - black <= LINEAR * (full - black)]
    if len(kept) - darks < 1 or len(kept) < 2:
        return list(levels)
    rejected += [
        Rejected(f"the level at {level.signal_dn:.0f} DN", "above 70 % of the saturation")
        for level in levels
        if level not in kept
    ]
    return kept


def _shots_by_level(flats: Sequence[Shot]) -> list[list[Shot]]:
    """Shots of one level together, by their mean."""
    means = [(float(complete(shot.plane).mean()), place, shot) for place, shot in enumerate(flats)]
    groups: list[list[Shot]] = []
    start = -math.inf
    for mean, _, shot in sorted(means, key=lambda one: one[:2]):
        if not groups or abs(mean - start) > ONE_LEVEL * abs(start):
            groups.append([])
            start = mean
        groups[-1].append(shot)
    return groups


def _measure_level(
    shots: Sequence[Shot], generator: np.random.Generator, rejected: list[Rejected]
) -> _LightLevel | None:
    """None, and a reason in `rejected`, for shots that cannot be used."""
    planes, names = [shot.plane for shot in shots], [shot.file.name for shot in shots]
    if len(shots) < 2:
        rejected.append(Rejected(names[0], "the only shot of its level"))
        return None
    try:
        measured = repeats.measure(planes, generator, names=names)
    except UnsupportedError as error:
        rejected.append(Rejected(", ".join(names), str(error)))
        return None
    rejected += measured.rejected
    products = [
        _high_pass(first.load().astype(np.float64)) * _high_pass(second.load().astype(np.float64))
        for first, second in itertools.pairwise(planes)
    ]
    pattern, scatter = _mean_of_blocks(np.mean(products, axis=0) * LOCAL_PX**2 / (LOCAL_PX**2 - 1))
    return _LightLevel(measured, float(measured.mean.mean()), pattern, scatter)


def _high_pass(values: Floats) -> Floats:
    """`values` less the mean of LOCAL_PX x LOCAL_PX pixels around each, without the border: illumination is smooth."""
    reach = LOCAL_PX // 2
    inside = (slice(reach, -reach), slice(reach, -reach))
    return np.asarray((values - ndimage.uniform_filter(values, LOCAL_PX))[inside])


def _mean_of_blocks(values: Floats) -> tuple[float, float]:
    """The mean and, from the scatter of BLOCKS x BLOCKS parts, its standard error."""
    parts = [
        part.mean()
        for row in np.array_split(values, BLOCKS)
        for part in np.array_split(row, BLOCKS, axis=1)
        if part.size
    ]
    return float(values.mean()), float(np.std(parts) / math.sqrt(len(parts)))


def _photo_response_nonuniformity(
    lit: Sequence[_LightLevel], dark: Sequence[_LightLevel], plane: Plane
) -> Detection | None:
    """PRNU1288 as a fraction, at the level nearest to half of the saturation; None where black is not known."""
    if not plane.offset_known:
        return None
    brightest = max(level.signal_dn for level in lit)
    full = plane.white_dn if plane.white_known else brightest
    half = plane.black_dn + HALF * (full - plane.black_dn)
    level = min(lit, key=lambda one: abs(one.signal_dn - half))
    light = level.signal_dn - plane.black_dn
    if not light > 0:
        return None
    variance = level.pattern - (dark[0].pattern if dark else 0.0)
    error = math.hypot(level.pattern_error, dark[0].pattern_error if dark else 0.0)
    return _pattern(variance / light**2, error / light**2)


def _pattern(variance: float, error: float) -> Detection:
    """The standard deviation of a fixed pattern."""
    return from_variance(variance, error, significance=PATTERN, bound=BOUND)


def _dark_pattern(dark: _LightLevel, gain: float) -> Quantity:
    """DSNU1288 in electrons; `gain`: DN/e-."""
    pattern = _pattern(dark.pattern, dark.pattern_error).over(gain).bounded
    return Quantity(pattern.value, pattern.low, pattern.high, symbol="DSNU1288", unit="e-")
