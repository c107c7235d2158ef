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
from noisediag.footprint.plane import PlaneFootprint, Quantity
from noisediag.images.image import Plane
from noisediag.labels import repeats
from noisediag.labels.bursts import Reading, offsets_of, together
from noisediag.labels.footprints import SD_90, Found, Spread, describe, footprint_of
from noisediag.labels.line import BLOCKS, law, rescaled
from noisediag.labels.repeats import Repeats

Floats = NDArray[np.float64]

ONE_LEVEL = 0.08  # relative: flats nearer than that are shots of one level
LOCAL_PX = 15  # side of the mean that is taken off as illumination
LINEAR = 0.7  # of the saturation, up to which K is fitted
HALF = 0.5  # of the saturation, where PRNU1288 is quoted
BOUND = 2.0  # standard errors above a pattern that was not found
PATTERN = 3.0  # standard errors from which a pattern is no chance


@dataclass(frozen=True)
class Shot:
    """One file's plane."""

    file: Path
    plane: Plane


@dataclass(frozen=True, eq=False)
class _Level:
    """Shots of one light: their temporal noise, and the variance of the pattern that stays, DN^2 with its error."""

    seen: Repeats
    signal_dn: float
    pattern: float
    pattern_error: float


def from_files(flats: Sequence[Path], darks: Sequence[Path], reading: Reading) -> Footprint:
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
    parts: list[tuple[Plane, Found]] = []
    rejected: list[Rejected] = []
    used = 0
    for place, own in enumerate(first.planes):
        columns = [Shot(file, image.planes[place]) for file, image in shots]
        found, plane, left_out, used, dark_pattern = measure(columns[: len(flats)], columns[len(flats) :])
        name = own.name if len(first.planes) > 1 else "all"
        planes.append(replace(describe(found, plane, name=name), dark_pattern=dark_pattern))
        parts.append((plane, found))
        rejected += left_out
    if len(planes) > 1 and first.domain == "raw-linear":
        planes.append(together(parts))
    names = tuple(str(file) for file, _ in shots)
    return footprint_of(
        first, planes, Measurement("flats", names, len(shots), used, rejected=tuple(dict.fromkeys(rejected)))
    )


def measure(
    flats: Sequence[Shot], darks: Sequence[Shot]
) -> tuple[Found, Plane, tuple[Rejected, ...], int, Quantity | None]:
    """One plane's noise, the plane with its black level, what was left out, the frames in use, and DSNU1288."""
    generator = np.random.default_rng(0)
    rejected: list[Rejected] = []
    dark = [one for one in [_level(darks, generator, rejected)] if one is not None] if darks else []
    levels = dark + [
        level for shots in _levels(flats) for level in [_level(shots, generator, rejected)] if level is not None
    ]
    levels = _linear(levels, len(dark), flats[0].plane, rejected)
    lit = levels[len(dark) :]
    if not lit or len(levels) < 2:
        why = f": {rejected[0].what}: {rejected[0].reason}" if rejected else ""
        raise UnsupportedError(f"two levels of light are needed, each of two shots (darks are one){why}")
    plane = flats[0].plane
    if dark:
        plane = replace(plane, black_dn=dark[0].signal_dn, offset_known=True)
    span = plane.white_dn - plane.black_dn
    blocks = min(len(level.seen.sums) for level in levels)
    sums = np.concatenate([rescaled(level.seen.sums[:blocks], plane.black_dn, span) for level in levels], axis=1)
    pairs = np.concatenate([np.full(level.seen.sums.shape[1], float(level.seen.pairs)) for level in levels])
    found = law(sums, pairs, generator, curved=False)
    if not found.slope > 0:
        raise UnsupportedError("the noise does not grow with the light")
    darkest = levels[0].seen
    pattern = _uniformity(lit, dark, plane)
    frames = sum(level.seen.pairs + 1 for level in levels)
    dsnu = _dark_pattern(dark[0], found.slope * span) if dark else None
    return (
        Found(
            law=found,
            signal=np.concatenate([(level.seen.mean.ravel() - plane.black_dn) / span for level in levels]),
            sums=sums,
            pairs=pairs,
            row=offsets_of(darkest.rows, span),
            column=offsets_of(darkest.columns, span),
            multiplicative=pattern,
            clipped=max(level.seen.clipped for level in levels),
        ),
        plane,
        tuple(rejected),
        frames,
        dsnu,
    )


def _linear(levels: Sequence[_Level], darks: int, plane: Plane, rejected: list[Rejected]) -> list[_Level]:
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


def _levels(flats: Sequence[Shot]) -> list[list[Shot]]:
    """Shots of one level together, by their mean."""
    means = [(float(shot.plane.load().mean()), place, shot) for place, shot in enumerate(flats)]
    groups: list[list[Shot]] = []
    start = -math.inf
    for mean, _, shot in sorted(means, key=lambda one: one[:2]):
        if not groups or abs(mean - start) > ONE_LEVEL * abs(start):
            groups.append([])
            start = mean
        groups[-1].append(shot)
    return groups


def _level(shots: Sequence[Shot], generator: np.random.Generator, rejected: list[Rejected]) -> _Level | None:
    """None, and a reason in `rejected`, for shots that cannot be used."""
    planes, names = [shot.plane for shot in shots], [shot.file.name for shot in shots]
    if len(shots) < 2:
        rejected.append(Rejected(names[0], "the only shot of its level"))
        return None
    try:
        seen = repeats.measure(planes, generator, names=names)
    except UnsupportedError as error:
        rejected.append(Rejected(", ".join(names), str(error)))
        return None
    rejected += seen.rejected
    products = [
        _high(first.load().astype(np.float64)) * _high(second.load().astype(np.float64))
        for first, second in itertools.pairwise(planes)
    ]
    pattern, scatter = _mean_of_blocks(np.mean(products, axis=0) * LOCAL_PX**2 / (LOCAL_PX**2 - 1))
    return _Level(seen, float(seen.mean.mean()), pattern, scatter)


def _high(values: Floats) -> Floats:
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


def _uniformity(lit: Sequence[_Level], dark: Sequence[_Level], plane: Plane) -> Spread | None:
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
    return _root(variance / light**2, error / light**2)


def _root(variance: float, error: float) -> Spread:
    limit = math.sqrt(max(variance, 0.0) + BOUND * error)
    if variance <= PATTERN * error:
        return Spread(0.0, 0.0, limit)
    amount = math.sqrt(variance)
    return Spread(amount, error / (2 * amount), limit)


def _dark_pattern(dark: _Level, gain: float) -> Quantity:
    """DSNU1288 in electrons; `gain`: DN/e-."""
    spread = _root(dark.pattern, dark.pattern_error)
    if not spread.amount > 0:
        return Quantity("DSNU1288", "e-", None, 0.0, spread.limit / gain)
    half = SD_90 * spread.error
    bounds = (spread.amount + sign * half for sign in (0, -1, 1))
    return Quantity("DSNU1288", "e-", *(bound / gain for bound in bounds))
