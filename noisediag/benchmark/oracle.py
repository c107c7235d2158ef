"""An oracle of the genome `paper`: a regression that is shown the clean picture beside the noisy one.

No estimator that sees the noisy picture alone can be expected to beat what the noise itself, laid bare, still tells.
Its features follow the law: outliers to black and white, the spread of the rest, the lattice of quantisation in the
characteristic function of the values, its blur, and the low-frequency share that only anisotropic noise leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import ndtr

from noisediag.genome.paper import BINOMIAL

Floats = NDArray[np.float64]

SIGNAL_EDGES = (0.0, 1 / 3, 2 / 3, 1.0)
EXTREMES = (0.0, 0.05, 0.1, 0.9, 0.95, 1.0)  # the law clamps exactly to 0 and 1
MID = (0.25, 0.75)
OUTLIER_DISTANCES = (0.05, 0.12, 0.2)
HISTOGRAM_BINS = 4096
FREQUENCIES = (5, 400)  # of lattices: steps of 0.2 to 0.0025
HARMONICS = 3
FOLDS = 5
NEIGHBOUR_LENGTHS = (4.0, 8.0)  # tried widths of the kernel, in quarters of the median squared distance
QUADRATIC_RIDGE = 10.0
LIMIT = 4.0  # standard deviations at which features are cut, so that one odd picture cannot run away
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
FEWEST = 200  # cases below which a regression says nothing
MOST = 2500  # cases in one kernel matrix


def features(clean: NDArray[np.floating], noisy: NDArray[np.floating]) -> Floats:
    """What the noise of a picture (H, W), both in [0, 1], looks like once the picture is known; shape (n,)."""
    x, y = clean.astype(np.float64), noisy.astype(np.float64)
    residual = y - x
    found: list[float] = []
    overall = _spread(residual)
    for low, high in pairwise(SIGNAL_EDGES):
        inside = (x >= low) & (x <= high)
        chosen = inside if np.count_nonzero(inside) >= 200 else np.ones_like(inside)
        values = y[chosen]
        shares = [float((values <= e).mean()) if e < 0.5 else float((values >= e).mean()) for e in EXTREMES]
        found += [np.log(share + 1e-4) for share in shares] + shares
        found += [_spread(residual[chosen]), float(residual[chosen].mean()), float(residual[chosen].std())]
        found.append(np.log(_spread(residual[chosen]) + 1e-4))
    found += _outliers(x, y)
    found += _lattice(y)
    found += _correlation(residual, overall)
    return np.array(found)


def predict(inputs: Floats, strengths: Floats, picture: NDArray[np.int64], *, seed: int) -> Floats | None:
    """Strengths (n, 6) of every case from its `features`, `inputs` (n, f), learnt from the cases of other pictures.

    `picture` (n,) numbers the picture of each case: five folds, no picture in two of them. A ridge regression on
    features and their squares, and a kernel ridge regression on its answers and the features; width and ridge are
    chosen by leave-one-out error on the learning folds. None where the cases are too few.
    """
    if len(inputs) < FEWEST or len(np.unique(picture)) < 2 * FOLDS:
        return None
    rng = np.random.default_rng(seed)
    _, group = np.unique(picture, return_inverse=True)
    fold = rng.permutation(group.max() + 1)[group] % FOLDS
    scaled = np.clip((inputs - inputs.mean(axis=0)) / np.maximum(inputs.std(axis=0), 1e-9), -LIMIT, LIMIT)
    result = np.empty_like(strengths)
    for number in range(FOLDS):
        learn = np.flatnonzero(fold != number)
        learn = learn if len(learn) <= MOST else rng.choice(learn, MOST, replace=False)
        first = _quadratic_ridge(scaled[learn], strengths[learn])
        learned_from, asked = (
            np.concatenate([part / 2, first(part)], axis=1) for part in (scaled[learn], scaled[fold == number])
        )
        result[fold == number] = _kernel_ridge(learned_from, strengths[learn], asked)
    return result


def _quadratic_ridge(inputs: Floats, strengths: Floats) -> Callable[[Floats], Floats]:
    """Answers in standard deviations of the strengths."""

    def expand(z: Floats) -> Floats:
        return np.concatenate([np.ones((len(z), 1)), z, np.square(z)], axis=1)

    design = expand(inputs)
    normal = design.T @ design + QUADRATIC_RIDGE * np.eye(design.shape[1])
    weights = np.linalg.solve(normal, design.T @ (strengths / strengths.std()))
    return lambda z: expand(z) @ weights


def _kernel_ridge(inputs: Floats, strengths: Floats, asked: Floats) -> Floats:
    mean = strengths.mean(axis=0)
    target = strengths - mean
    inner, outer = (cdist(points, inputs, "sqeuclidean") for points in (inputs, asked))
    scale = float(np.median(inner))
    best, answer = np.inf, np.zeros((len(asked), strengths.shape[1]))
    for length in NEIGHBOUR_LENGTHS:
        width = scale * length / 4
        values, vectors = np.linalg.eigh(np.exp(-inner / width))
        rotated = vectors.T @ target
        for ridge in RIDGES:
            shrink = 1 / (np.maximum(values, 0) + ridge)
            coefficients = vectors @ (shrink[:, None] * rotated)
            leverage = np.square(vectors) @ shrink
            error = float(np.square(coefficients / leverage[:, None]).mean())  # leave-one-out, in closed form
            if error < best:
                best, answer = error, np.exp(-outer / width) @ coefficients
    return np.asarray(mean + answer)


def _spread(residual: Floats) -> float:
    """Standard deviation of the bulk, half the distance of the 16th and 84th percentile."""
    low, high = np.percentile(residual, (15.87, 84.13))
    return float(high - low) / 2


def _outliers(x: Floats, y: Floats) -> list[float]:
    """Mid-grey pixels found near white and near black, beyond what Gaussian tails put there."""
    mid = (x >= MID[0]) & (x <= MID[1])
    x, y = (x[mid], y[mid]) if np.count_nonzero(mid) >= 500 else (x.ravel(), y.ravel())
    spread = max(_spread(y - x), 1e-3)
    found: list[float] = []
    for distance in OUTLIER_DISTANCES:
        above = float((y > 1 - distance).mean() - _tail((1 - distance - x) / spread).mean())
        below = float((y < distance).mean() - _tail((x - distance) / spread).mean())
        found += [above, below, (above - below) / max(float(x.mean()), 0.05)]
    return found


def _tail(z: Floats) -> Floats:
    """Share of a normal law above `z`."""
    return np.asarray(ndtr(-z))


def _lattice(values: Floats) -> list[float]:
    """The strongest lattice among the values strictly between 0 and 1: log step, strength, and strength of its
    harmonics.

    Levels k*q blurred by a Gaussian of SD a leave the peak exp(-2 (pi a/q)^2) at the frequency 1/q.
    """
    inner = values[(values > 0) & (values < 1)]
    if inner.size < 100:
        return [0.0] * (3 + HARMONICS)
    counts, _ = np.histogram(inner, bins=HISTOGRAM_BINS, range=(0, 1))
    transform = np.abs(np.fft.rfft(counts, n=4 * HISTOGRAM_BINS)) / inner.size  # four points a period
    low, high = 4 * FREQUENCIES[0], 4 * FREQUENCIES[1]
    local = transform[low:high]
    # the smooth part of the histogram fades with the frequency; a lattice stands out of its surroundings
    ground = np.convolve(np.pad(local, 20, mode="edge"), np.ones(41) / 41, mode="valid") + 0.003
    peak = int(np.argmax(local / ground)) + low
    frequency = peak / 4
    strength = float(transform[peak])
    harmonics = [float(transform[min(peak * k, len(transform) - 1)]) for k in range(2, 2 + HARMONICS)]
    blur = np.sqrt(max(-np.log(max(strength, 1e-3)) / 2, 0)) / np.pi / frequency
    trusted = strength / (strength + 0.03)
    return [trusted * np.log(frequency), trusted / frequency * 4, trusted * blur, *harmonics]


def _correlation(residual: Floats, spread: float) -> list[float]:
    """Power of the residual that its neighbours share, as anisotropic noise shares it; outliers are cut at 2.5
    spreads.
    """
    cut = np.clip(residual - np.median(residual), -2.5 * spread, 2.5 * spread)
    cut = cut - cut.mean()
    taps = np.array(BINOMIAL)
    shared = np.convolve(taps, taps)  # autocorrelation of the filter along one axis, lags -4..4
    total, weight = 0.0, 0.0
    power = np.abs(np.fft.rfft2(cut)) ** 2
    lags = np.fft.irfft2(power, s=cut.shape) / cut.size
    for dy in range(-4, 5):
        for dx in range(-4, 5):
            if dy or dx:
                expected = shared[dy + 4] * shared[dx + 4]
                total += expected * lags[dy, dx]
                weight += expected**2
    found = total / weight  # (0.25 s5)^2, where nothing else is correlated
    signed = float(np.sign(found) * np.sqrt(abs(found)))
    return [signed, np.log(max(found, 1e-6)) / 2, float(lags[0, 1] / max(lags[0, 0], 1e-12))]
