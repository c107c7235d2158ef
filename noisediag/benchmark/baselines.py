"""Classical estimators, re-implemented from their papers, as yardsticks beside the model (extra `benchmark`).

Each takes one plane `image`, shape (H, W), float, black at 0 and white at 1, and returns a `Curve`: the standard
deviation of the pixel noise as a function of the clean signal. Those that know of one number only return a constant
curve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.stats import gamma

from noisediag.errors import UsageError

Floats = NDArray[np.float64]
Curve = Callable[[Floats], Floats]  # clean signal x, any shape -> sigma(x), the same shape


@dataclass(frozen=True)
class Baseline:
    """One yardstick."""

    name: str
    function: Callable[[Floats], Curve]


def wavelet_mad(image: Floats) -> Curve:
    """scikit-image `estimate_sigma`: median absolute deviation of the finest wavelet details (Donoho & Johnstone 1994).

    Raises UsageError where scikit-image is not installed.
    """
    try:
        from skimage.restoration import estimate_sigma
    except ImportError as error:
        raise UsageError("baselines need scikit-image: pip install 'noisediag[benchmark]'") from error
    untyped: Callable[[Floats], float] = estimate_sigma  # scikit-image has no types
    return _constant(float(untyped(image)))


def immerkaer(image: Floats) -> Curve:
    """Mean absolute response to the difference of two Laplacians (Immerkaer, CVIU 64, 1996)."""
    vertical = image[:-2] - 2 * image[1:-1] + image[2:]
    response = vertical[:, :-2] - 2 * vertical[:, 1:-1] + vertical[:, 2:]
    return _constant(float(np.sqrt(np.pi / 2) * np.abs(response).mean() / 6))


PATCH_PX = 7  # Liu et al. use 7x7 patches,
CONFIDENCE = 1 - 1e-6  # this confidence that a flat patch is called flat,
LIU_PASSES = 3  # and three passes


def liu(image: Floats) -> Curve:
    """Smallest eigenvalue of the covariance of weakly textured patches (Liu, Tanaka & Okutomi, IEEE TIP 22, 2013).

    The strength of a patch's texture is the energy of its gradients; a patch is weak where noise alone would explain
    that energy, which is gamma-distributed in flat places.
    """
    horizontal = np.square((image[:, 2:] - image[:, :-2]) / 2)
    vertical = np.square((image[2:] - image[:-2]) / 2)
    strength = _inner_box_sums(horizontal, PATCH_PX, PATCH_PX - 2) + _inner_box_sums(vertical, PATCH_PX - 2, PATCH_PX)
    inside = _free_of_clip(image, PATCH_PX)
    patches = _patches(image, PATCH_PX)[inside]  # (n, 49)
    strength = strength.reshape(-1)[inside]
    threshold_per_variance = _weak_texture_threshold(PATCH_PX, CONFIDENCE)

    variance = float(np.linalg.eigvalsh(_covariance(patches))[0])
    for _ in range(LIU_PASSES):
        weak = strength < variance * threshold_per_variance
        if np.count_nonzero(weak) < patches.shape[1]:
            break  # too few to span the patch space: the paper keeps the last estimate
        variance = float(np.linalg.eigvalsh(_covariance(patches[weak]))[0])
    return _constant(float(np.sqrt(max(variance, 0.0))))


CHEN_PATCH_PX = 8


def chen(image: Floats) -> Curve:
    """Eigenvalues of the patch covariance: the largest are dropped until mean and median agree (Chen, Zhu & Heng,
    ICCV 2015).
    """
    inside = _free_of_clip(image, CHEN_PATCH_PX)
    eigenvalues = np.linalg.eigvalsh(_covariance(_patches(image, CHEN_PATCH_PX)[inside]))  # ascending
    variance = float(eigenvalues[0])
    for kept in range(len(eigenvalues), 0, -1):
        middle = float(np.median(eigenvalues[:kept]))
        if float(eigenvalues[:kept].mean()) <= middle * (1 + 1e-9):
            variance = middle
            break
    return _constant(float(np.sqrt(max(variance, 0.0))))


BLOCK_PX = 8
BINS = 12  # of the block mean, for the robust start
START_QUANTILE = 0.2  # the flattest blocks of a bin
FIT_PASSES = 6
TEXTURE_SIGMAS = 1.5  # a block is flat while its middle band is within so many standard deviations of the noise's own
CLIP_SIGMAS = 2.0  # blocks whose mean is nearer to black or white than this many sigma lose variance to the clip


def block_fit(image: Floats) -> Curve:
    """Variance against mean of 8x8 blocks, fitted by a robust line a*x + b (after Foi et al., IEEE TIP 17, 2008).

    As in Foi's method the noise is read from high frequencies, the places from low ones: a block's variance is the
    energy of its high DCT band, and the block counts while its middle band holds no more than noise would put there.
    White noise is independent in the two bands, so the choice of blocks does not bias the variance. Blocks that the
    clip at black or white reaches are left out. a and b are not negative.
    """
    mean, middle, high = _block_bands(image)
    usable = np.isfinite(mean)
    usable &= high > 0  # exactly flat: clipped, padded, or screened graphics; noise would not leave it so
    if np.count_nonzero(usable) < BINS:
        return _constant(float(np.sqrt(np.median(high))))
    mean, middle, high = mean[usable], middle[usable], high[usable]

    slope, intercept = _robust_start(mean, high)
    middle_spread = np.sqrt(2 / _band_sizes()[0])
    for _ in range(FIT_PASSES):
        expected = np.maximum(slope * mean + intercept, 1e-12)
        sigma = np.sqrt(expected)
        flat = middle < expected * (1 + TEXTURE_SIGMAS * middle_spread)
        inside = (mean > CLIP_SIGMAS * sigma) & (mean < 1 - CLIP_SIGMAS * sigma)
        chosen = flat & inside
        if np.count_nonzero(chosen) < 2 * BINS:
            chosen = inside & (middle <= np.quantile(middle[inside], 0.1)) if inside.any() else flat
        if np.count_nonzero(chosen) < 2:
            break
        # a Huber weight on top: single blocks with fine texture pass the middle band and must not pull the line
        spread = np.sqrt(2 / _band_sizes()[1])
        residual = (high[chosen] / expected[chosen] - 1) / spread
        huber = np.minimum(1, 2.5 / np.maximum(np.abs(residual), 1e-9))
        slope, intercept = _line(mean[chosen], high[chosen], huber / np.square(expected[chosen]))
    return lambda x: np.sqrt(np.maximum(slope * np.asarray(x, dtype=np.float64) + intercept, 0.0))


BASELINES: tuple[Baseline, ...] = (
    Baseline("block fit", block_fit),
    Baseline("Liu 2013", liu),
    Baseline("scikit-image", wavelet_mad),
    Baseline("Immerkaer", immerkaer),
    Baseline("Chen 2015", chen),
)


def _constant(sigma: float) -> Curve:
    return lambda x: np.full(np.shape(x), sigma, dtype=np.float64)


def _patches(image: Floats, size_px: int) -> Floats:
    """All overlapping patches, shape (n, size_px**2), of the picture less its mean (the covariance keeps its
    digits).
    """
    return sliding_window_view(image - image.mean(), (size_px, size_px)).reshape(-1, size_px * size_px)


def _free_of_clip(image: Floats, size_px: int) -> NDArray[np.bool_]:
    """Which patches hold no pixel at black or white: not in the papers, which assume noise that no clip has cut.

    All of them where too few would be left to span the patch space.
    """
    clipped = ((image <= 0) | (image >= 1)).astype(np.float64)
    free = _inner_box_sums(clipped, size_px, size_px).reshape(-1) < 0.5
    return free if np.count_nonzero(free) > 10 * size_px**2 else np.ones_like(free)


def _covariance(patches: Floats) -> Floats:
    mean = patches.mean(axis=0)
    total = patches.T @ patches - len(patches) * np.outer(mean, mean)
    return np.asarray(total / max(len(patches) - 1, 1))


def box_sums(values: Floats, height_px: int, width_px: int) -> Floats:
    """Sum over the `height_px` x `width_px` window around each pixel, 0 beyond the border; exact for whole numbers."""
    down = ndimage.correlate1d(values, np.ones(height_px), axis=0, mode="constant")
    return np.asarray(ndimage.correlate1d(down, np.ones(width_px), axis=1, mode="constant"))


def _inner_box_sums(values: Floats, height_px: int, width_px: int) -> Floats:
    """Those of windows that lie wholly in the picture, shape (H - height_px + 1, W - width_px + 1)."""
    top, left = height_px // 2, width_px // 2
    height, width = values.shape[0] - height_px + 1, values.shape[1] - width_px + 1
    return box_sums(values, height_px, width_px)[top : top + height, left : left + width]


@lru_cache(maxsize=4)
def _weak_texture_threshold(size_px: int, confidence: float) -> float:
    """Gradient energy below which a patch of unit-variance white noise lies with probability `confidence`.

    The energy n^T D n, D = Dh^T Dh + Dv^T Dv, is approximated by a gamma law of shape rank(D)/2 (the paper's
    equation 13).
    """
    step = np.zeros((size_px - 2, size_px))
    rows = np.arange(size_px - 2)
    step[rows, rows], step[rows, rows + 2] = -0.5, 0.5
    horizontal = np.kron(np.eye(size_px), step)
    vertical = np.kron(step, np.eye(size_px))
    energy = horizontal.T @ horizontal + vertical.T @ vertical
    rank = int(np.linalg.matrix_rank(energy))
    return float(gamma.ppf(confidence, rank / 2, scale=2 * np.trace(energy) / rank))


@lru_cache(maxsize=1)
def _bands() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Middle and high band of the flattened 8x8 coefficients."""
    u, v = np.mgrid[:BLOCK_PX, :BLOCK_PX]
    order = (u + v).reshape(-1)
    return (order >= 1) & (order <= 6), order >= 7


def _band_sizes() -> tuple[int, int]:
    middle, high = _bands()
    return int(middle.sum()), int(high.sum())


def _block_bands(image: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, middle-band and high-band variance of all blocks of two grids half a block apart, each shape (n,)."""
    middle, high = _bands()
    dct = fft.dct(np.eye(BLOCK_PX), axis=0, norm="ortho")  # rows are frequencies
    basis = np.kron(dct, dct).T  # (64 pixels, 64 coefficients)
    half = BLOCK_PX // 2
    blocks = []
    for grid in (image, image[half:, half:]):
        rows, columns = grid.shape[0] // BLOCK_PX, grid.shape[1] // BLOCK_PX
        cut = grid[: rows * BLOCK_PX, : columns * BLOCK_PX].reshape(rows, BLOCK_PX, columns, BLOCK_PX)
        blocks.append(cut.transpose(0, 2, 1, 3).reshape(-1, BLOCK_PX * BLOCK_PX))
    coefficients = np.concatenate(blocks) @ basis
    energy = np.square(coefficients)
    return coefficients[:, 0] / BLOCK_PX, energy[:, middle].mean(axis=1), energy[:, high].mean(axis=1)


def _robust_start(mean: Floats, high: Floats) -> tuple[float, float]:
    """A line through the flattest blocks of each of BINS equally filled bins of the mean."""
    order = np.array_split(np.argsort(mean), BINS)
    centre = np.array([mean[bin_].mean() for bin_ in order])
    low = np.array([np.quantile(high[bin_], START_QUANTILE) for bin_ in order])
    # bins of texture lie far above the line: halve their pull until it settles
    weight = 1 / np.square(np.maximum(low, 1e-12))
    return _line(centre, low, weight)


def _line(x: Floats, y: Floats, weight: Floats) -> tuple[float, float]:
    """Weighted least squares y = slope*x + intercept with both not negative."""
    total = weight.sum()
    x_mean, y_mean = float((weight * x).sum() / total), float((weight * y).sum() / total)
    spread = float((weight * np.square(x - x_mean)).sum())
    slope = float((weight * (x - x_mean) * (y - y_mean)).sum()) / spread if spread > 0 else 0.0
    intercept = y_mean - slope * x_mean
    if slope < 0:
        return 0.0, y_mean
    if intercept < 0:
        return float((weight * x * y).sum() / (weight * x * x).sum()), 0.0
    return slope, intercept
