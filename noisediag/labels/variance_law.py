"""The law of the noise from measured variances: a robust line through variance against mean, with bootstrap draws."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UnsupportedError

Floats = NDArray[np.float64]

ITERATIONS = 30  # of the fit; it changes by less than 0.1 % after 20
SMALLEST = 0.1  # of a residual in its own standard deviations: nearer ones weigh alike
TRUSTED = 2.0  # the same where the standard deviations are those of counted pixels, not of estimates
SMALLEST_SD = 1e-3  # of ln variance: no line is better than that
BINS = 24  # of equal count, and twice as many of equal width; fewer in small pictures
BIN_PIXELS = 256
MIN_VALUES = 30  # behind a bin: the variance of fewer is too skewed for a robust line
BLOCKS = 8  # a side: the parts of the picture that are drawn anew for the intervals
DRAWS = 200
CLIPPED_SHARE = 0.002  # of a bin's values: its variance is then 0.5 % too small
MIN_BINS = 4
CURVED = 4.0  # standard deviations of the squared term from which it is no chance
CURVED_SHARE = 0.05  # of the variance in the brightest bin

COUNT, MEAN, VARIANCE, SQUARE, LOW, HIGH = range(6)  # columns of `binned`


@dataclass(frozen=True)
class FittedLaw:
    """variance = slope * u + intercept + square * u^2, u = signal above black; and the same for each draw, (DRAWS,).

    `square_limit`: where no squared term was found (`square` 0), what it may be at most (95 %); None: not looked for.
    """

    slope: float
    intercept: float
    square: float
    slopes: Floats
    intercepts: Floats
    squares: Floats
    square_limit: float | None = None

    def over(self, span: float) -> FittedLaw:
        """A law in DN above black as one of the signal over `span`, white - black. The squared term has no unit."""
        return replace(
            self,
            slope=self.slope / span,
            intercept=self.intercept / span**2,
            slopes=self.slopes / span,
            intercepts=self.intercepts / span**2,
        )

    def variance(self, signal: Floats) -> Floats:
        """At `signal` (n,): (n,)."""
        return self.slope * signal + self.intercept + self.square * signal**2

    def variances(self, signal: Floats) -> Floats:
        """Of every draw: (DRAWS, n)."""
        columns = (self.slopes, self.intercepts, self.squares)
        slopes, intercepts, squares = (column[:, None] for column in columns)
        return slopes * signal + intercepts + squares * signal**2


def fit_lines(
    signal: Floats, log_variance: Floats, sd: Floats, *, free: bool = False, smallest: float = SMALLEST
) -> tuple[Floats, Floats]:
    """S and O of the line nearest to points of the variance, for each draw: `(B,)` from `(B, points)`.

    The sum of |variance / line - 1| / `sd` is made small, by reweighting: a few points whose texture was taken for
    noise then do not move it; residuals below `smallest` standard deviations count by their squares. O is not below 0,
    but for `free` (black is not where the signal is 0).
    """
    variance = np.exp(log_variance)
    line = variance
    weight = 1 / sd**2
    for _ in range(ITERATIONS):
        w = weight / line**2
        sums = [np.sum(w * power, axis=-1) for power in (1.0, signal, signal**2)]
        right = [np.sum(w * power * variance, axis=-1) for power in (1.0, signal)]
        determinant = sums[0] * sums[2] - sums[1] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(determinant > 0, (sums[0] * right[1] - sums[1] * right[0]) / determinant, 0.0)
            offset = np.where(determinant > 0, (sums[2] * right[0] - sums[1] * right[1]) / determinant, 0.0)
        through_black, level = right[1] / sums[2], right[0] / sums[0]
        if not free:
            slope, offset = np.where(offset < 0, through_black, slope), np.maximum(offset, 0.0)
        slope, offset = np.where(slope < 0, 0.0, slope), np.where(slope < 0, level, offset)
        line = np.maximum(slope[..., None] * signal + offset[..., None], 1e-6 * variance)
        weight = _weight(variance, line, sd, smallest)
    return slope, offset


def _weight(variance: Floats, line: Floats, sd: Floats, smallest: float) -> Floats:
    residual = np.abs(variance / line - 1) / sd
    return 1 / (sd**2 * np.maximum(residual, smallest))


def _fit_curved(signal: Floats, square: Floats, variance: Floats, sd: Floats) -> Floats:
    """As `fit_lines`, with a term in the squared signal: (B, 3), slope, intercept and square, none of them held."""
    scale = signal.max()
    design = np.stack([signal / scale, np.ones_like(signal), square / scale**2], axis=-1)
    line, weight = variance, 1 / sd**2
    for _ in range(ITERATIONS):
        w = (weight / line**2)[..., None] * design
        left = np.einsum("bpi,bpj->bij", w, design) + 1e-12 * np.eye(3) * w.sum() / len(w)
        right = np.einsum("bpi,bp->bi", w, variance)
        found = np.linalg.solve(left, right[..., None])[..., 0]
        line = np.maximum(np.einsum("bpi,bi->bp", design, found), 1e-6 * variance)
        weight = _weight(variance, line, sd, TRUSTED)
    return np.asarray(found / np.array([scale, 1.0, scale**2]))


def binned(mean: Floats, variance: Floats, weight: Floats, low: Floats, high: Floats, key: Floats) -> Floats:
    """Sums over the pixels of each block and bin, (blocks, bins, 6): columns COUNT to HIGH.

    All arguments are (H, W). `weight` counts a pixel's values (0: none); `low`, `high`: shares that are clipped; `key`
    sorts pixels into bins and must not hold a pixel's own noise, lest mean and variance of a bin be biased.
    """
    count = int(np.clip(key.size // BIN_PIXELS, MIN_BINS, BINS))
    alike, apart = np.linspace(0, 1, count + 1)[1:-1], np.linspace(key.min(), key.max(), 2 * count + 1)[1:-1]
    edges = np.unique(np.concatenate([np.quantile(key, alike), apart]))
    bins = np.searchsorted(edges, key)
    rows = np.arange(key.shape[0]) * BLOCKS // key.shape[0]
    columns = np.arange(key.shape[1]) * BLOCKS // key.shape[1]
    place = ((rows[:, None] * BLOCKS + columns[None, :]) * (len(edges) + 1) + bins).ravel()
    size = BLOCKS**2 * (len(edges) + 1)
    used = (weight > 0).astype(np.float64)
    parts = (used, mean, variance, mean**2, low, high)
    sums = [np.bincount(place, (used * part).ravel(), size) for part in parts]
    return np.stack(sums, axis=1).astype(np.float64).reshape(BLOCKS**2, len(edges) + 1, len(parts))


def rescaled(sums: Floats, black: float, span: float) -> Floats:
    """`binned` sums in DN as sums of the signal above black, over `span`."""
    count, mean, variance, square, low, high = (sums[..., column] for column in range(6))
    moved = square - 2 * black * mean + black**2 * count
    return np.stack([count, (mean - black * count) / span, variance / span**2, moved / span**2, low, high], axis=-1)


def fit_law(
    sums: Floats,
    pairs: float | Floats,
    generator: np.random.Generator,
    *,
    curved: bool,
    mean_noise: float | None = None,
) -> FittedLaw:
    """The law through `binned` sums, with draws of the blocks.

    `pairs`: of frames behind each value, one number or one a bin; `mean_noise`: share of the variance that is left in
    the means, 1 / (pairs + 1) unless given. `curved`: look for a squared term, which is kept only where it is no
    chance. Raises UnsupportedError where too few levels are not clipped.
    """
    whole = sums.sum(axis=0)
    count = np.maximum(whole[:, COUNT], 1)
    behind = np.broadcast_to(np.asarray(pairs, np.float64), count.shape)
    used = (
        (whole[:, COUNT] * behind >= MIN_VALUES) & (whole[:, VARIANCE] > 0) & (whole[:, HIGH] / count <= CLIPPED_SHARE)
    )
    unclipped = used & (whole[:, LOW] / count <= CLIPPED_SHARE)
    # Where nearly all of a photon-counting picture is exactly 0, that is no clipping of noise.
    used = unclipped if unclipped.sum() >= MIN_BINS else used
    if used.sum() < 2:
        raise UnsupportedError("the frames show too few levels that are not clipped")
    sums = sums[:, used]
    behind = behind[used]
    left = 1 / (behind + 1) if mean_noise is None else np.full_like(behind, mean_noise)
    picked = generator.integers(len(sums), size=(DRAWS, len(sums)))
    drawn = np.stack([sums.sum(axis=0), *(sums[blocks].sum(axis=0) for blocks in picked)])
    signal, variance, square, sd = _points(drawn, behind, left)
    slopes, intercepts = fit_lines(signal, np.log(variance), sd, free=True, smallest=TRUSTED)
    squares, limit = np.zeros_like(slopes), None
    if curved and used.sum() >= MIN_BINS:
        bent = _fit_curved(signal, square, variance, sd)
        found, spread = float(bent[0, 2]), float(bent[1:, 2].std())
        brightest = int(np.argmax(signal[0]))
        share = found * square[0, brightest] / variance[0, brightest]
        if found > CURVED * spread and share > CURVED_SHARE:
            slopes, intercepts, squares = bent.T
        else:
            limit = max(float(np.quantile(bent[1:, 2], 0.95)), 0.0)
    return FittedLaw(
        slope=float(slopes[0]),
        intercept=float(intercepts[0]),
        square=float(squares[0]),
        slopes=slopes[1:],
        intercepts=intercepts[1:],
        squares=squares[1:],
        square_limit=limit,
    )


def _points(sums: Floats, pairs: Floats, mean_noise: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Signal, variance, squared signal and the standard deviation of ln variance for each draw, (B, bins).

    The first of `sums` (B, bins, 6) is the whole; a bin that a draw leaves out counts for nothing.
    """
    whole = sums[0]
    count = np.maximum(sums[..., COUNT], 1e-3)
    there = (sums[..., COUNT] >= 1) & (sums[..., VARIANCE] > 0)
    signal, variance, square = (
        np.where(there, sums[..., column] / count, whole[:, column] / whole[:, COUNT])
        for column in (MEAN, VARIANCE, SQUARE)
    )
    # The mean's own noise is in its square.
    square = square - variance * mean_noise
    sd = np.where(there, np.sqrt(3 / (count * pairs) + SMALLEST_SD**2), 1e3)
    return signal, variance, square, sd
