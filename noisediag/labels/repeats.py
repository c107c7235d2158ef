"""Noise measured from repeats of one scene: the temporal variance of each pixel against its mean."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from noisediag.errors import UnsupportedError
from noisediag.footprint.file import Rejected
from noisediag.images.image import Plane
from noisediag.images.missing import complete
from noisediag.labels.detection import Detection, from_variance
from noisediag.labels.evidence import Evidence, weigh
from noisediag.labels.screening import FramePair, compare_frames, faults, smooth, without_trend
from noisediag.labels.variance_law import COUNT, MEAN, VARIANCE, FittedLaw, binned, fit_law, rescaled

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_FRAMES = 64  # from 16 on the pixels, not the frames, decide how well the line is known
MIN_SIDE_PX = 16
MIN_TREND_FRAMES = 4  # the scatter about a line through three has a single degree of freedom
SIGNIFICANT_SD = 4.0  # standard deviations from which an offset of rows, a correlation or a motion is no chance
LIMIT_SD = 2.0  # standard deviations from what was measured to the limit of what may be there
MAX_DRIFT = 0.05  # more variance two frames apart than one frame apart
OUTLIER_SD = 10.0  # standard deviations beyond which a value is no noise of this law
# Standard deviations from a pixel's mean to black and to white, from which a value there is an impulse. Up, a Poisson
# variable of few electrons has the longer tail.
FAR_FROM_BLACK_SD, FAR_FROM_WHITE_SD = 4.0, 8.0
VISIBLE_SD = 2.0  # standard deviations from a pixel's mean, beyond which an impulse can be seen
ROUGH_LEVELS = 12  # of the signal, on which the noise is measured roughly to find impulses
ROUGH_PIXELS = 1 << 18  # that are sampled for that
MIN_IMPULSES, MIN_IMPULSE_SHARE = 20, 1e-4  # pixels and share of them
MIN_PART_VALUES = 200  # of a part of the picture: the variance of fewer says too little of it
MAX_PART_RATIO = 1.3  # variance of a part over that of the law, beyond which something moves there
P50_SD, P65_SD = 0.6745, 0.9346  # half of a normal distribution lies within so many standard deviations, and 65 %


@dataclass(frozen=True)
class Impulses:
    """Pixels replaced by white and by black: share of the visible ones among all (beyond VISIBLE_SD)."""

    white: float
    black: float
    count: int


@dataclass(frozen=True)
class Repeats:
    """Frames of a scene that stands still: the law of one frame's noise above `black_dn`, DN and DN^2.

    `mean`: (H, W) of the frames, DN; `sums`: of `binned`, DN; `rows`, `columns`: offsets that their pixels share, DN;
    `lag1`: correlation with the neighbours, down and right, and its standard error; `brightness`: mean of every frame,
    DN.
    """

    frames: int
    pairs: int
    mean: Floats
    black_dn: float
    law: FittedLaw
    sums: Floats
    brightness: Floats
    rows: Detection
    columns: Detection
    lag1: tuple[float, float, float]
    impulses: Impulses
    rejected: tuple[Rejected, ...]
    warnings: tuple[str, ...]
    evidence: Evidence
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


@dataclass(frozen=True)
class BrightnessTrend:
    """A straight line through the brightness of frames, DN a frame with its standard error, and the scatter, DN."""

    slope: float
    error: float
    flicker: float


def brightness_trend(brightness: Floats) -> BrightnessTrend:
    """The trend of the mean of each frame (n,), DN, from MIN_TREND_FRAMES frames on."""
    frames = np.arange(len(brightness))
    line = stats.linregress(frames, brightness)
    scatter = float(line.stderr) * math.sqrt(float(np.sum((frames - frames.mean()) ** 2)))
    return BrightnessTrend(float(line.slope), float(line.stderr), scatter)


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
    ends, brightness = _code_range(planes)
    compared, drift, triples = _compare_successive(planes, ends.top)
    refused = faults(compared)
    if len(refused) == len(compared):
        place, reason = next(iter(refused.items()))
        more = "" if len(compared) == 1 else f" (and {len(compared) - 1} more pairs)"
        raise UnsupportedError(f"no repeats of one scene: {named[place]} and {named[place + 1]}: {reason}{more}")
    kept = tuple(place not in refused for place in range(len(compared)))
    pair_sums = _accumulate(planes, kept, ends)
    sums, parts = _without_moving_parts(pair_sums, planes[0].black_dn, generator, curved=curved)
    law = fit_law(rescaled(sums, planes[0].black_dn, 1.0), pair_sums.pairs, generator, curved=curved)
    differences = (without_lines(noise, pair_sums.rows, pair_sums.columns) for *_, noise in pairs_in_use(planes, kept))
    evidence = weigh(differences, pair_sums.mean, sums, (drift, triples), pairs=pair_sums.pairs)
    rejected = [Rejected(f"{named[place]} and {named[place + 1]}", reason) for place, reason in refused.items()]
    warnings = []
    if pair_sums.impulses.white + pair_sums.impulses.black > 0:
        warnings.append("impulses that do not stand out of the noise remain in its variance")
    if drift is not None and drift > 1 + MAX_DRIFT:
        warnings.append(
            f"frames further apart differ more ({100 * (drift - 1):.0f} % in variance over two): "
            "something drifts slowly"
        )
    return Repeats(
        frames=len(planes),
        pairs=pair_sums.pairs,
        mean=pair_sums.mean,
        black_dn=planes[0].black_dn,
        law=law,
        sums=sums,
        brightness=brightness,
        rows=pair_sums.rows,
        columns=pair_sums.columns,
        lag1=pair_sums.lag1,
        impulses=pair_sums.impulses,
        rejected=(*rejected, *parts),
        warnings=tuple(warnings),
        evidence=evidence,
        clipped=float(np.mean(pair_sums.low + pair_sums.high)),
        kept=kept,
    )


def _frame(plane: Plane) -> Floats:
    return np.asarray(complete(plane), np.float64)


@dataclass(frozen=True)
class _CodeRange:
    """The lowest and highest code of all frames, white at most, where clipping would show; the mean of all, (H, W)."""

    bottom: float
    black: float
    top: float
    mean: Floats


def _code_range(planes: Sequence[Plane]) -> tuple[_CodeRange, Floats]:
    """The range of codes, and the brightness of each frame, DN."""
    lowest, highest, brightness = math.inf, -math.inf, []
    total = np.zeros(planes[0].shape)
    for plane in planes:
        values = _frame(plane)
        total += values
        lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
        brightness.append(float(values.mean()))
    plane = planes[0]
    ends = _CodeRange(lowest, max(lowest, plane.black_dn), min(highest, plane.white_dn), total / len(planes))
    return ends, np.array(brightness)


def _compare_successive(planes: Sequence[Plane], top: float) -> tuple[list[FramePair], float | None, int]:
    """Every two successive frames compared; variance over two frames to that over one, and of how many."""
    compared, twice, once = [], [], []
    before: Floats | None = None
    for first, second in itertools.pairwise(map(_frame, planes)):
        compared.append(compare_frames(first, second, black_dn=planes[0].black_dn, top_dn=top))
        if before is not None:
            twice.append(float(np.mean(without_trend(second - before, (second + before) / 2) ** 2)) / 2)
            once.append((compared[-1].variance + compared[-2].variance) / 2)
        before = first
    usual = float(np.median(once)) if once else 0.0
    return compared, float(np.median(twice)) / usual if usual > 0 else None, len(once)


@dataclass(frozen=True)
class _PairSums:
    """What the pairs in use add up to, (H, W): `variance` of one frame; `weight`: pairs that a pixel was used in."""

    pairs: int
    mean: Floats
    variance: Floats
    weight: Floats
    low: Floats
    high: Floats
    rows: Detection
    columns: Detection
    lag1: tuple[float, float, float]
    impulses: Impulses


def pairs_in_use(planes: Sequence[Plane], keep: Sequence[bool]) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Both frames, and their difference without trend, of every pair in use."""
    for wanted, (first, second) in zip(keep, itertools.pairwise(map(_frame, planes)), strict=True):
        if wanted:
            yield first, second, without_trend(second - first, (first + second) / 2)


def _accumulate(planes: Sequence[Plane], keep: Sequence[bool], ends: _CodeRange) -> _PairSums:
    shape = planes[0].shape
    pairs = sum(keep)
    rows, columns = (
        line_offsets(parts, pairs, shape, axis)
        for axis, parts in line_variances(difference for *_, difference in pairs_in_use(planes, keep))
    )
    total, squares, weight, low, high = (np.zeros(shape) for _ in range(5))
    lags, hits, chances = np.zeros(3), np.zeros(2), np.zeros((2, 2))
    from_white, from_black = ends.top - ends.mean, ends.mean - ends.black
    for first, second, difference in pairs_in_use(planes, keep):
        difference = without_lines(difference, rows, columns)
        sd = _rough_sd(difference, ends.mean)
        one = sd / math.sqrt(2)
        far = (sd > 0) & (from_white > FAR_FROM_WHITE_SD * one), (sd > 0) & (from_black > FAR_FROM_BLACK_SD * one)
        struck = np.zeros(shape, bool)
        for frame in (first, second):
            for number, end in enumerate((frame >= ends.top, (frame == ends.black) | (frame <= ends.bottom))):
                hits[number] += np.sum(end & far[number])
                struck |= end & far[number]
        for number, room in enumerate((from_white, from_black)):
            chances[number] += (far[number].sum(), (room > VISIBLE_SD * one).sum())
        used = ~(struck | ((sd > 0) & (np.abs(difference) > OUTLIER_SD * sd)))
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
    return _PairSums(
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


def without_lines(noise: Floats, rows: Detection, columns: Detection) -> Floats:
    """`noise` less the means of its rows and columns, where such offsets were found; its variance is kept."""
    for axis, offsets in ((1, rows), (0, columns)):
        if offsets.amount > 0:
            noise = (noise - noise.mean(axis=axis, keepdims=True)) / math.sqrt(1 - 1 / noise.shape[axis])
    return noise


def lag_sums(noise: Floats) -> Floats:
    """Sums of products with the lower and the right neighbour, and of squares."""
    return np.array([(noise[1:] * noise[:-1]).sum(), (noise[:, 1:] * noise[:, :-1]).sum(), (noise**2).sum()])


def _impulses(hits: Floats, chances: Floats, size: float) -> Impulses:
    """From values struck, where that could be seen: a pair has two frames that can be struck."""
    count = int(hits.sum())
    shares = hits / 2 / np.maximum(chances[:, 0], 1) * chances[:, 1] / size
    if count < MIN_IMPULSES or shares.sum() < MIN_IMPULSE_SHARE:
        return Impulses(0.0, 0.0, count)
    return Impulses(float(shares[0]), float(shares[1]), count)


def _rough_sd(difference: Floats, mean: Floats) -> Floats:
    """Standard deviation of `difference` as a function of `mean`, (H, W), from medians; 0 where half of it is 0."""
    stride = max(1, math.ceil(math.sqrt(difference.size / ROUGH_PIXELS)))
    some, at = np.abs(difference[::stride, ::stride]).ravel(), mean[::stride, ::stride].ravel()
    edges = np.unique(
        np.concatenate(
            [np.quantile(at, np.linspace(0, 1, ROUGH_LEVELS + 1)[1:-1]), np.linspace(at.min(), at.max(), ROUGH_LEVELS)]
        )
    )
    place = np.searchsorted(edges, at)
    spread = np.zeros(len(edges) + 1)
    for number in np.unique(place):
        middle, most = np.quantile(some[place == number], (0.5, 0.65))
        # Of few electrons the median is a step too low or too high; where it is 0 nothing can be told.
        spread[number] = max(middle / P50_SD, most / P65_SD) if middle > 0 else 0.0
    return spread[np.searchsorted(edges, mean)]


def line_variances(differences: Iterable[Floats]) -> Iterator[tuple[int, list[tuple[float, float]]]]:
    """For rows (axis 1 is averaged), then columns: variance of the lines' steps and of the pixels, of each."""
    parts: dict[int, list[tuple[float, float]]] = {1: [], 0: []}
    for difference in differences:
        for axis, variances in parts.items():
            means = difference.mean(axis=axis, keepdims=True)
            pixels = float(np.mean((difference - means) ** 2)) * difference.shape[axis] / (difference.shape[axis] - 1)
            variances.append((float(np.mean(np.diff(means.ravel()) ** 2)) / 2, pixels))
    yield from parts.items()


def line_offsets(parts: Sequence[tuple[float, float]], pairs: int, shape: tuple[int, int], axis: int) -> Detection:
    """Offsets, DN, that the pixels of a line share, from steps to the next line, so that slow shading is left out."""
    lines, length = shape[1 - axis], shape[axis]
    steps, pixels = (float(np.mean(column)) for column in zip(*parts, strict=True))
    chance = pixels / length
    variance = (steps - chance) / 2
    # Steps share lines with their neighbours, and pairs frames: as the squares of half as many values.
    error = (chance / 2) * math.sqrt(2 / max((lines - 1) * pairs / 2, 1))
    offset = from_variance(variance, error, significance=SIGNIFICANT_SD, bound=LIMIT_SD)
    # Beside that of chance, the error has that of the offsets themselves, of which there are not many.
    relative = math.sqrt(2 / max((lines - 1) * pairs / 2, 1)) * max(steps / (2 * variance), 1.0) if variance > 0 else 0
    return replace(offset, error=offset.amount * relative / 2)


def _without_moving_parts(
    pair_sums: _PairSums, black: float, generator: np.random.Generator, *, curved: bool
) -> tuple[Floats, list[Rejected]]:
    """`binned` sums without the parts of the picture whose variance is beyond the law: something moves there."""
    mean, variance, weight, low, high = (
        part[1:-1, 1:-1]
        for part in (pair_sums.mean, pair_sums.variance, pair_sums.weight, pair_sums.low, pair_sums.high)
    )
    sums = binned(mean, variance, weight, low, high, key=smooth(pair_sums.mean))
    law = fit_law(rescaled(sums, black, 1.0), pair_sums.pairs, generator, curved=curved)
    whole = sums.sum(axis=0)
    signal = whole[:, MEAN] / np.maximum(whole[:, COUNT], 1) - black
    expected = (sums[..., COUNT] * np.maximum(law.variance(signal), 0)).sum(axis=1)
    observed = sums[..., VARIANCE].sum(axis=1)
    chance = 1 + SIGNIFICANT_SD * np.sqrt(3 / np.maximum(sums[..., COUNT].sum(axis=1) * pair_sums.pairs, 1))
    moving = observed > np.maximum(MAX_PART_RATIO, chance) * np.maximum(expected, 1e-300)
    moving &= sums[..., COUNT].sum(axis=1) * pair_sums.pairs >= MIN_PART_VALUES
    if not moving.any() or moving.sum() > len(moving) // 4:
        return sums, []
    share = 100 * moving.sum() / len(moving)
    return sums[~moving], [Rejected(f"{share:.0f} % of the picture", "something moves or changes there")]
