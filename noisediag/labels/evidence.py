"""Whether differences of frames are the noise of photons: what they show of the scene, of filters and of time.

Photons are counted pixel by pixel and frame by frame. So the differences of two frames, over the standard deviation
that their level explains, are independent of each other. Where neighbours share them, what was counted was spread
afterwards (frames registered by interpolation), or it is no noise: something in the scene changes. A filter reaches as
far as its kernel, a scene as far as its blobs; and a filter whose weights add up to 1 keeps the sum of the noise's
autocovariance over all lags, which for independent noise is its variance (Moore, Ning and Gallo 2006): what the sum is
over the variance of a pixel, the gain before the filter is over that after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from noisediag.labels.screening import smooth
from noisediag.labels.variance_law import COUNT, MEAN, MIN_BINS, MIN_VALUES, VARIANCE

Floats = NDArray[np.float64]

NEAR_PX, REACH_PX, FAR_PX = 1, 2, 3  # radii of squares; REACH_PX holds the kernels of interpolation, cubic ones too
LEVELS = (0.5, 0.8, 0.95)  # quantiles of the signal between the classes that are looked at one by one
CHANCE_SD = 5.0  # standard errors up to which a share is chance
MAX_FAR_SHARE = 0.1  # of the noise power within NEAR_PX, that may lie between there and FAR_PX ...
MAX_FAR_OF_NEAR = (
    0.25  # ... and of the change that neighbours make: what interpolation leaves of sharp scenes reaches that
)
MAX_PATCHY = 0.015  # correlation of squares two pixels apart; frames of unlike interpolation reach 0.005
MAX_SQUARE = 0.25  # of the variance at the brightest level, that may grow with the square of the light
MAX_UNLIKE = 0.3  # of the noise power of levels: one filter passes all noise alike
SHARED = 0.05  # change of the noise power by neighbours, from which they share noise
POWERS = (0.4, 4.6)  # noise power over variance that an interpolation can leave; halfway between four pixels it is 4
MAX_TIME_RATIO = 1.1  # of variances two frames and one frame apart, where many were compared
OUTLIER_SD = 10.0  # standard deviations beyond which a difference is an impulse
SURE_SLOPE_SD = 4.0  # standard errors from which a variance rises with the light
DRAWS = 200


@dataclass(frozen=True)
class Evidence:
    """What differences of frames show beside their variance.

    `power`: noise power over variance, 1 where pixels are independent; `power_error`: its standard error by chance;
    `levels`: the same of each level, where it is known; `far`: the greatest share of any level that lies
    beyond neighbours, above what an interpolation leaves there, 0 where it is chance; `patchy`: correlation of the
    squares, 0 where it is chance; `rise`: slope of variance over signal in its standard errors; `square`: share of the
    variance at the brightest level that grows with the square of the light; `time_ratio`: variance of frames two apart
    to that of successive ones, of `triples`.
    """

    power: float
    power_error: float
    levels: tuple[float, ...]
    far: float
    patchy: float
    rise: float
    square: float
    time_ratio: float | None
    triples: int

    @property
    def shared(self) -> bool:
        """Whether neighbouring pixels share noise."""
        return abs(self.power - 1) > max(SHARED, CHANCE_SD * self.power_error)

    @property
    def unfiltered(self) -> float:
        """What the variance of a pixel times this was before neighbours came to share noise; 1 where they do not."""
        return self.power if self.shared else 1.0

    @property
    def scene(self) -> str | None:
        """Why the scene is not the same in all frames; None: nothing speaks against it."""
        if self.far > 0:
            return "the frames differ by patches wider than a pixel's noise: the scene blinks, moves or lives"
        if self.patchy > MAX_PATCHY:
            return "the frames differ in some patches more than in others of the same light: something changes there"
        return None

    @property
    def no_noise(self) -> str | None:
        """Why the differences are not the noise of the frames; None: nothing speaks against it."""
        if self.scene is not None:
            return self.scene
        if self.time_ratio is not None and self.time_ratio > MAX_TIME_RATIO + 0.5 / self.triples:
            return (
                f"frames two apart differ {self.time_ratio:.2g} times as much as successive ones, in variance: they "
                "share noise (denoised or averaged over time), or the scene drifts"
            )
        if self.time_ratio is not None and self.time_ratio < 1 / (MAX_TIME_RATIO + 0.5 / self.triples):
            return (
                f"successive frames differ {1 / self.time_ratio:.2g} times as much as those two apart, in variance: "
                "the scene or the light alternates"
            )
        return None

    @property
    def no_line(self) -> str | None:
        """Why no line through variance and light tells the noise; None: nothing speaks against it."""
        if self.no_noise is not None:
            return self.no_noise
        if self.square > MAX_SQUARE:
            return (
                f"{100 * self.square:.0f} % of the variance at the brightest level grows with the square of the light "
                "(speckle, flicker, moving edges): photons do not"
            )
        return None

    @property
    def no_gain(self) -> str | None:
        """Why the slope of the variance is no gain, although it may be noise; None: nothing speaks against it."""
        if self.no_line is not None:
            return self.no_line
        if self.rise < SURE_SLOPE_SD:
            return "the noise does not rise with the light here: a gain needs a range of signals"
        if self.shared and not POWERS[0] < self.power < POWERS[1]:
            return f"neighbouring pixels share noise: its power is {self.power:.2g} times the variance of a pixel"
        if self.shared and (not self.levels or max(self.levels) > (1 + MAX_UNLIKE) * min(self.levels)):
            return "neighbouring pixels share noise, and not alike at all levels: no interpolation did that"
        return None


def weigh(
    differences: Iterable[Floats], mean: Floats, sums: Floats, times: tuple[float | None, int], *, pairs: int
) -> Evidence:
    """The evidence of `differences` (H, W) of two frames each, DN.

    `mean`: (H, W) of the frames, DN; `sums`: of `binned`, without places that move, DN; `times`: variance of
    differences over two frames to that over one, and how many were compared; `pairs`: of frames behind `sums`.
    """
    signal = np.pad(smooth(mean), 1, mode="edge")
    sd = _sd_of(signal, sums)
    quiet = sd > 0
    level = np.searchsorted(np.quantile(signal, LEVELS), signal)
    radii = (NEAR_PX, REACH_PX, FAR_PX)
    powers, energy, values = np.zeros((len(LEVELS) + 1, len(radii))), np.zeros(len(LEVELS) + 1), 0
    squares, noise = np.zeros(2), np.zeros(2)
    last: Floats | None = None
    for every in differences:
        unit = np.where(quiet, every / np.maximum(sd, 1e-300), 0.0)
        struck = np.abs(unit) > OUTLIER_SD
        unit = np.where(struck, 0.0, unit)
        usual = float(np.mean(unit[quiet] ** 2)) if quiet.any() else 0.0
        if not usual > 0:
            continue
        unit /= math.sqrt(usual)  # every frame of a registered movie is smoothed in its own way
        values += int(quiet.sum())
        energy += np.bincount(level.ravel(), (unit**2).ravel(), len(energy))
        for place, radius in enumerate(radii):
            products = unit * _square_sum(unit, radius)
            powers[:, place] += np.bincount(level.ravel(), products.ravel(), len(energy))
        square = np.where(quiet, unit**2 - 1, 0.0)
        if last is not None:  # of two pairs, places where the level explains too little stand out alike
            squares += _products(square, square) - _products(square, last) * (1, 0)
            noise += _products(unit, unit)
        last = square
    return Evidence(
        *_power(powers, energy, values),
        levels=_level_powers(powers, energy),
        far=_far_share(powers, energy),
        patchy=_patchy(squares, noise, values),
        rise=_rise(sums),
        square=_square_share(sums, pairs),
        time_ratio=times[0],
        triples=times[1],
    )


def _power(powers: Floats, energy: Floats, values: int) -> tuple[float, float]:
    """Noise power over variance within REACH_PX, and its standard error for independent pixels."""
    if not energy.sum() > 0:
        return 1.0, math.inf
    return float(powers[:, 1].sum() / energy.sum()), (2 * REACH_PX + 1) / math.sqrt(max(values, 1))


def _level_powers(powers: Floats, energy: Floats) -> tuple[float, ...]:
    """Noise power over variance of the levels where chance moves it by less than MAX_UNLIKE."""
    known = (energy > 0) & ((2 * REACH_PX + 1) / np.sqrt(np.maximum(energy, 1)) < MAX_UNLIKE / CHANCE_SD)
    return tuple((powers[known, 1] / energy[known]).tolist())


def _far_share(powers: Floats, energy: Floats) -> float:
    """Of the noise power within NEAR_PX, the share from there to FAR_PX above the allowed one, where it is greatest."""
    greatest = 0.0
    for near, far, count in zip(powers[:, 0], powers[:, 2], energy, strict=True):
        if near > 0 and count > 0:
            share, error = (far - near) / near, (2 * FAR_PX + 1) * math.sqrt(count) / near
            allowed = MAX_FAR_SHARE + MAX_FAR_OF_NEAR * abs(near / count - 1)
            greatest = max(greatest, _beyond_chance(share, error) - allowed)
    return greatest


def _beyond_chance(value: float, error: float) -> float:
    return value if value > CHANCE_SD * error else 0.0


def _square_sum(values: Floats, radius: int) -> Floats:
    """Sum of the values within `radius` of each pixel, down, right and across; none beyond the edge."""
    side = 2 * radius + 1
    return np.asarray(ndimage.uniform_filter(values, side, mode="constant") * side**2)


def _products(one: Floats, other: Floats) -> Floats:
    """Sums of products REACH_PX apart in rows and columns, two of them a pixel, and at the same pixels, as often."""
    step = REACH_PX
    apart = float((one[step:] * other[:-step]).sum() + (one[:, step:] * other[:, :-step]).sum())
    return np.array([apart, 2 * float((one * other).sum())])


def _patchy(squares: Floats, noise: Floats, values: int) -> float:
    """Correlation of the squares beyond that which normal noise has, where neighbours share it."""
    if not (squares[1] > 0 and noise[1] > 0):
        return 0.0
    expected = float(noise[0] / noise[1]) ** 2
    return _beyond_chance(float(squares[0] / squares[1]) - expected, 1 / math.sqrt(max(2 * values, 1)))


def _sd_of(signal: Floats, sums: Floats) -> Floats:
    """Standard deviation of a difference of two frames at each `signal`, from the measured bins; 0: not known."""
    whole = sums.sum(axis=0)
    known = (whole[:, COUNT] > 0) & (whole[:, VARIANCE] > 0)
    if not known.any():
        return np.zeros_like(signal)
    means, variances = (whole[known, column] / whole[known, COUNT] for column in (MEAN, VARIANCE))
    order = np.argsort(means)
    return np.asarray(np.sqrt(2 * np.interp(signal, means[order], variances[order])))


def _rise(sums: Floats) -> float:
    """The slope of variance over signal in its own standard errors, of blocks drawn anew.

    Unlike `fit_law`'s, this line may fall: a slope held at 0 or above would look surer than it is.
    """
    generator = np.random.default_rng(2)
    picked = generator.integers(len(sums), size=(DRAWS, len(sums)))
    drawn = np.stack([sums.sum(axis=0), *(sums[blocks].sum(axis=0) for blocks in picked)])
    there = (drawn[0, :, COUNT] > 0) & (drawn[0, :, VARIANCE] > 0)
    if there.sum() < 2:
        return 0.0
    count = np.maximum(drawn[:, there, COUNT], 1e-9)
    signal, variance = drawn[:, there, MEAN] / count, drawn[:, there, VARIANCE] / count
    weight = drawn[:, there, COUNT] / (drawn[0, there, VARIANCE] / drawn[0, there, COUNT]) ** 2
    weight = weight / weight.sum(axis=1, keepdims=True)
    signal = signal - (weight * signal).sum(axis=1, keepdims=True)
    slopes = (weight * signal * variance).sum(axis=1) / np.maximum((weight * signal**2).sum(axis=1), 1e-300)
    return float(slopes[0] / max(float(slopes[1:].std()), 1e-300))


def _square_share(sums: Floats, pairs: int) -> float:
    """Of the variance at the brightest level of `sums`, what grows with the square of the light; 0 where it is chance.

    The light counts from the darkest level on, so that an unknown offset is none: a slope there is the line's.
    """
    whole = sums.sum(axis=0)
    there = (whole[:, COUNT] * pairs >= MIN_VALUES) & (whole[:, VARIANCE] > 0)
    if there.sum() < MIN_BINS:
        return 0.0
    count, mean, variance = (
        whole[there, COUNT],
        *(whole[there, part] / whole[there, COUNT] for part in (MEAN, VARIANCE)),
    )
    light = (mean - mean.min()) / max(float(np.ptp(mean)), 1e-300)
    design = np.stack([np.ones_like(light), light, light**2], axis=1)
    expected = np.full_like(variance, float(np.average(variance, weights=count)))
    for _ in range(10):
        root = np.sqrt(count * pairs / 3) / expected
        found = np.linalg.lstsq(design * root[:, None], variance * root, rcond=None)[0]
        expected = np.maximum(design @ found, 0.05 * expected)
    freedom = len(light) - design.shape[1]
    rest = float((((variance - design @ found) * root) ** 2).sum()) / max(freedom, 1)
    cover = np.linalg.inv((design * root[:, None]).T @ (design * root[:, None]))
    error = math.sqrt(max(rest, 1.0) * float(cover[2, 2]))
    return _beyond_chance(float(found[2]), error) / max(float(expected[np.argmax(light)]), 1e-300)
