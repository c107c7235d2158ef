"""Noise measured from repeats of one scene: the temporal variance of each pixel against its mean."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UnreadableError, UnsupportedError
from noisediag.footprint.file import Rejected
from noisediag.images.image import Plane
from noisediag.labels.line import COUNT, MEAN, VARIANCE, Law, binned, law, rescaled
from noisediag.labels.screening import Look, look, smooth, verdicts, without_trend

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_FRAMES = 64  # from 16 on the pixels, not the frames, decide how well the line is known
MIN_SIDE_PX = 16
FOUND = 4.0  # standard deviations from which an offset of rows or a correlation is no chance
SLOW = 0.05  # more variance two frames apart than one frame apart
FAR = 10.0  # standard deviations beyond which a value is no noise of this law
FAR_FROM_BLACK, FAR_FROM_WHITE = (
    4.0,
    8.0,
)  # the same of a pixel's mean, where a value is black or white; few electrons have long tails
LEVELS = 12  # on which the noise is told roughly, to find such values
SAMPLED = 1 << 18  # pixels looked at for that
MIN_IMPULSES, LEAST_IMPULSES = 20, 1e-4  # pixels and share of them
LOCAL_VALUES = 200  # of a part, below which its variance says too little of it
LOCAL_CHANGE = 1.3  # times the law's variance: something moves in that part of the picture
MAD_SD, P65_SD = 0.6745, 0.9346  # standard deviations that half, and 65 %, of a difference's values lie within


@dataclass(frozen=True)
class Impulses:
    """Pixels replaced by white and by black: share of the visible ones among all (beyond two standard deviations)."""

    white: float
    black: float
    count: int


@dataclass(frozen=True)
class Offsets:
    """Standard deviation of an offset that rows, or columns, share, DN; 0: not found. `error`: its standard error."""

    sigma: float
    error: float
    limit: float


@dataclass(frozen=True)
class Repeats:
    """Frames of a scene that stands still: the law of one frame's noise above `black_dn`, DN and DN^2.

    `mean`: (H, W) of the frames, DN; `sums`: of `binned`, DN; `lag1`: correlation with the neighbours, down and right,
    and its standard error; `brightness`: mean of every frame, DN.
    """

    frames: int
    pairs: int
    mean: Floats
    black_dn: float
    law: Law
    sums: Floats
    brightness: Floats
    rows: Offsets
    columns: Offsets
    lag1: tuple[float, float, float]
    impulses: Impulses
    rejected: tuple[Rejected, ...]
    warnings: tuple[str, ...]
    clipped: float  # share of the values
    kept: tuple[bool, ...]  # of every two successive frames, whether they are in use

    @property
    def slope(self) -> float:
        """Of the line: variance = slope * DN + intercept."""
        return self.law.slope

    @property
    def intercept(self) -> float:
        """DN^2, at code 0."""
        return self.law.intercept - self.law.slope * self.black_dn

    @property
    def slopes(self) -> Floats:
        """Of every draw."""
        return self.law.slopes

    @property
    def intercepts(self) -> Floats:
        """Of every draw."""
        return self.law.intercepts - self.law.slopes * self.black_dn


def measure(
    planes: Sequence[Plane], generator: np.random.Generator, *, names: Sequence[str] = (), curved: bool = False
) -> Repeats:
    """The law of the temporal noise, from the differences of successive frames.

    A change of brightness from frame to frame (bleaching, flicker) is taken out first; pairs of frames that do not show
    the same scene are left out. Pixels are binned by their eight neighbours, whose noise is not their own, so that mean
    and variance of a bin are unbiased. `names` of the frames for messages; `curved`: also look for noise that
    multiplies the light. Raises UnsupportedError where no two successive frames agree, frames differ in size, or show
    too few levels that are not clipped.
    """
    planes = planes[:MAX_FRAMES]
    named = list(names)[:MAX_FRAMES] or [f"frame {number}" for number in range(len(planes))]
    if len(planes) < 2:
        raise UnsupportedError("repeats are two frames or more")
    for plane, name in zip(planes, named, strict=True):
        if plane.shape != planes[0].shape:
            sizes = [f"{shape[1]} x {shape[0]} px" for shape in (plane.shape, planes[0].shape)]
            raise UnsupportedError(f"{name} has {sizes[0]}, {named[0]} {sizes[1]}: repeats are of one size")
    if min(planes[0].shape) < MIN_SIDE_PX:
        raise UnsupportedError(f"at least {MIN_SIDE_PX} x {MIN_SIDE_PX} pixels are needed")
    ends, brightness = _ends(planes)
    looks, slow = _looks(planes, ends.top)
    refused = verdicts(looks)
    if len(refused) == len(looks):
        place, reason = next(iter(refused.items()))
        more = "" if len(looks) == 1 else f" (and {len(looks) - 1} more pairs)"
        raise UnsupportedError(f"no repeats of one scene: {named[place]} and {named[place + 1]}: {reason}{more}")
    seen = _accumulated(planes, [place not in refused for place in range(len(looks))], ends)
    sums, parts = _still(seen, planes[0].black_dn, generator, curved=curved)
    found = law(rescaled(sums, planes[0].black_dn, 1.0), seen.pairs, generator, curved=curved)
    rejected = [Rejected(f"{named[place]} and {named[place + 1]}", reason) for place, reason in refused.items()]
    warnings = []
    if seen.impulses.white + seen.impulses.black > 0:
        warnings.append("impulses that do not stand out of the noise remain in its variance")
    if slow is not None and slow > 1 + SLOW:
        warnings.append(
            f"frames further apart differ more ({100 * (slow - 1):.0f} % in variance over two): something drifts slowly"
        )
    return Repeats(
        frames=len(planes),
        pairs=seen.pairs,
        mean=seen.mean,
        black_dn=planes[0].black_dn,
        law=found,
        sums=sums,
        brightness=brightness,
        rows=seen.rows,
        columns=seen.columns,
        lag1=seen.lag1,
        impulses=seen.impulses,
        rejected=(*rejected, *parts),
        warnings=tuple(warnings),
        clipped=float(np.mean(seen.low + seen.high)),
        kept=tuple(place not in refused for place in range(len(looks))),
    )


def _frame(plane: Plane) -> Floats:
    values = np.asarray(plane.load(), np.float64)
    if not np.isfinite(values).all():
        raise UnreadableError("holds values that are not finite (NaN or infinity)")
    return values


@dataclass(frozen=True)
class _Ends:
    """The lowest and highest code of all frames, white at most, where clipping would show; the mean of all, (H, W)."""

    bottom: float
    black: float
    top: float
    mean: Floats


def _ends(planes: Sequence[Plane]) -> tuple[_Ends, Floats]:
    """And the brightness of each frame, DN."""
    lowest, highest, brightness = math.inf, -math.inf, []
    total = np.zeros(planes[0].shape)
    for plane in planes:
        values = _frame(plane)
        total += values
        lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
        brightness.append(float(values.mean()))
    plane = planes[0]
    ends = _Ends(lowest, max(lowest, plane.black_dn), min(highest, plane.white_dn), total / len(planes))
    return ends, np.array(brightness)


def _looks(planes: Sequence[Plane], top: float) -> tuple[list[Look], float | None]:
    """Every two successive frames compared; variance of differences over two frames to that over one."""
    looks, twice, once = [], [], []
    before: Floats | None = None
    for first, second in itertools.pairwise(map(_frame, planes)):
        looks.append(look(first, second, black_dn=planes[0].black_dn, top_dn=top))
        if before is not None:
            twice.append(float(np.mean(without_trend(second - before, (second + before) / 2) ** 2)) / 2)
            once.append((looks[-1].variance + looks[-2].variance) / 2)
        before = first
    usual = float(np.median(once)) if once else 0.0
    return looks, float(np.median(twice)) / usual if usual > 0 else None


@dataclass(frozen=True)
class _Seen:
    """What the pairs in use add up to, (H, W): `variance` of one frame; `weight`: pairs that a pixel was used in."""

    pairs: int
    mean: Floats
    variance: Floats
    weight: Floats
    low: Floats
    high: Floats
    rows: Offsets
    columns: Offsets
    lag1: tuple[float, float, float]
    impulses: Impulses


def in_use(planes: Sequence[Plane], keep: Sequence[bool]) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Both frames, and their difference without trend, of every pair in use."""
    for wanted, (first, second) in zip(keep, itertools.pairwise(map(_frame, planes)), strict=True):
        if wanted:
            yield first, second, without_trend(second - first, (first + second) / 2)


def _accumulated(planes: Sequence[Plane], keep: Sequence[bool], ends: _Ends) -> _Seen:
    shape = planes[0].shape
    pairs = sum(keep)
    rows, columns = (
        offsets(parts, pairs, shape, axis)
        for axis, parts in line_parts(difference for *_, difference in in_use(planes, keep))
    )
    total, squares, weight, low, high = (np.zeros(shape) for _ in range(5))
    lags, hits, chances = np.zeros(3), np.zeros(2), np.zeros((2, 2))
    from_white, from_black = ends.top - ends.mean, ends.mean - ends.black
    for first, second, difference in in_use(planes, keep):
        difference = without_lines(difference, rows, columns)
        sd = _rough_sd(difference, ends.mean)
        one = sd / math.sqrt(2)
        far = (sd > 0) & (from_white > FAR_FROM_WHITE * one), (sd > 0) & (from_black > FAR_FROM_BLACK * one)
        struck = np.zeros(shape, bool)
        for frame in (first, second):
            for number, end in enumerate((frame >= ends.top, (frame == ends.black) | (frame <= ends.bottom))):
                hits[number] += np.sum(end & far[number])
                struck |= end & far[number]
        for number, room in enumerate((from_white, from_black)):
            chances[number] += (far[number].sum(), (room > 2 * one).sum())
        used = ~(struck | ((sd > 0) & (np.abs(difference) > FAR * sd)))
        total += (first + second) / 2 * used
        squares += difference**2 / 2 * used
        weight += used
        low += ((first <= ends.bottom) + (second <= ends.bottom).astype(float)) / 2 * used
        high += ((first >= ends.top) + (second >= ends.top).astype(float)) / 2 * used
        lags += lag_sums(difference * used)
    size = float(np.prod(shape)) * pairs
    divisor = np.maximum(weight, 1)
    down, right, energy = lags
    error = 1 / math.sqrt(size)
    return _Seen(
        pairs=pairs,
        mean=total / divisor,
        variance=squares / divisor,
        weight=weight,
        low=low / divisor,
        high=high / divisor,
        rows=rows,
        columns=columns,
        lag1=(down / energy, right / energy, error) if energy > 0 else (0.0, 0.0, error),
        impulses=_impulses(hits, chances, size),
    )


def without_lines(noise: Floats, rows: Offsets, columns: Offsets) -> Floats:
    """`noise` less the means of its rows and columns, where such offsets were found; its variance is kept."""
    for axis, found in ((1, rows), (0, columns)):
        if found.sigma > 0:
            noise = (noise - noise.mean(axis=axis, keepdims=True)) / math.sqrt(1 - 1 / noise.shape[axis])
    return noise


def lag_sums(noise: Floats) -> Floats:
    """Sums of products with the lower and the right neighbour, and of squares."""
    return np.array([(noise[1:] * noise[:-1]).sum(), (noise[:, 1:] * noise[:, :-1]).sum(), (noise**2).sum()])


def _impulses(hits: Floats, chances: Floats, size: float) -> Impulses:
    """From values struck, where that could be seen: a pair has two frames that can be struck."""
    found = int(hits.sum())
    shares = hits / 2 / np.maximum(chances[:, 0], 1) * chances[:, 1] / size
    if found < MIN_IMPULSES or shares.sum() < LEAST_IMPULSES:
        return Impulses(0.0, 0.0, found)
    return Impulses(float(shares[0]), float(shares[1]), found)


def _rough_sd(difference: Floats, mean: Floats) -> Floats:
    """Standard deviation of `difference` as a function of `mean`, (H, W), from medians; 0 where half of it is 0."""
    stride = max(1, math.ceil(math.sqrt(difference.size / SAMPLED)))
    some, at = np.abs(difference[::stride, ::stride]).ravel(), mean[::stride, ::stride].ravel()
    edges = np.unique(
        np.concatenate([np.quantile(at, np.linspace(0, 1, LEVELS + 1)[1:-1]), np.linspace(at.min(), at.max(), LEVELS)])
    )
    place = np.searchsorted(edges, at)
    spread = np.zeros(len(edges) + 1)
    for number in np.unique(place):
        middle, most = np.quantile(some[place == number], (0.5, 0.65))
        # Of few electrons the median is a step too low or too high; where it is 0 nothing can be told.
        spread[number] = max(middle / MAD_SD, most / P65_SD) if middle > 0 else 0.0
    return spread[np.searchsorted(edges, mean)]


def line_parts(differences: Iterable[Floats]) -> Iterator[tuple[int, list[tuple[float, float]]]]:
    """For rows (axis 1 is averaged), then columns: variance of the lines' steps and of the pixels, of each."""
    parts: dict[int, list[tuple[float, float]]] = {1: [], 0: []}
    for difference in differences:
        for axis, found in parts.items():
            means = difference.mean(axis=axis, keepdims=True)
            pixels = float(np.mean((difference - means) ** 2)) * difference.shape[axis] / (difference.shape[axis] - 1)
            found.append((float(np.mean(np.diff(means.ravel()) ** 2)) / 2, pixels))
    yield from parts.items()


def offsets(parts: Sequence[tuple[float, float]], pairs: int, shape: tuple[int, int], axis: int) -> Offsets:
    """Offsets that the pixels of a line share, from steps between neighbouring lines; slow shading is left out."""
    lines, length = shape[1 - axis], shape[axis]
    steps, pixels = (float(np.mean(column)) for column in zip(*parts, strict=True))
    chance = pixels / length
    variance = (steps - chance) / 2
    # Steps share lines with their neighbours, and pairs frames: as the squares of half as many values.
    error = (chance / 2) * math.sqrt(2 / max((lines - 1) * pairs / 2, 1))
    limit = math.sqrt(max(variance, 0.0) + 2 * error)
    if variance <= FOUND * error:
        return Offsets(0.0, 0.0, limit)
    sigma = math.sqrt(variance)
    relative = math.sqrt(2 / max((lines - 1) * pairs / 2, 1)) * max(steps / (2 * variance), 1.0)
    return Offsets(sigma, sigma * relative / 2, limit)


def _still(seen: _Seen, black: float, generator: np.random.Generator, *, curved: bool) -> tuple[Floats, list[Rejected]]:
    """`binned` sums without the parts of the picture whose variance is beyond the law: something moves there."""
    mean, variance, weight, low, high = (
        part[1:-1, 1:-1] for part in (seen.mean, seen.variance, seen.weight, seen.low, seen.high)
    )
    sums = binned(mean, variance, weight, low, high, key=smooth(seen.mean))
    found = law(rescaled(sums, black, 1.0), seen.pairs, generator, curved=curved)
    whole = sums.sum(axis=0)
    signal = whole[:, MEAN] / np.maximum(whole[:, COUNT], 1) - black
    expected = (sums[..., COUNT] * np.maximum(found.variance(signal), 0)).sum(axis=1)
    observed = sums[..., VARIANCE].sum(axis=1)
    chance = 1 + FOUND * np.sqrt(3 / np.maximum(sums[..., COUNT].sum(axis=1) * seen.pairs, 1))
    moving = observed > np.maximum(LOCAL_CHANGE, chance) * np.maximum(expected, 1e-300)
    moving &= sums[..., COUNT].sum(axis=1) * seen.pairs >= LOCAL_VALUES
    if not moving.any() or moving.sum() > len(moving) // 4:
        return sums, []
    share = 100 * moving.sum() / len(moving)
    return sums[~moving], [Rejected(f"{share:.0f} % of the picture", "something moves or changes there")]
