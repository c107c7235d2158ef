"""The truth about the noise of a photograph, measured from many photographs of the same scene.

Plain NumPy in double precision by the definitions of NOISE.md, shared with no code that labels pictures for training:
an error there must show in the benchmark. Signals and sigmas are codes / 255; P planes are `genome.rendered.PLANES`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from noisediag.genome.rendered import AREAS, CODES, LEVELS, Camera
from noisediag.images.image import LUMA

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEAST_SIGMA = 0.5 / CODES  # noise below half a step is not scored (NOISE.md section 5)
CLIPPED = 1 / CODES  # a clean signal within one code of black or white is at the clip
UPSCALED, NOT_UPSCALED = 1.15, 1.02  # scales between them are neither


@dataclass(frozen=True)
class MeasuredTruth:
    """What `repeats` of one scene say about the noise of each plane. L levels of equal count.

    Unknown is NaN: correlations of a plane without any noise.
    """

    signal: Floats  # (P, L) mean of the clean signal
    sigma: Floats  # (P, L) square root of the mean variance
    scored: Mask  # (P, L) half a code of noise and more, and not at black or white
    lag1: Floats  # (P, 2) correlation with the next pixel: horizontally, vertically
    areas: Floats  # (P, len(AREAS)) SD after averaging squares of so many pixels a side
    channels: Floats  # (3,) correlation of R and G, G and B, R and B


def measured_truth(photographs: Floats) -> MeasuredTruth:
    """The noise of `photographs` (repeats, 3, H, W), codes of one scene taken by one camera; at least two."""
    repeats = len(photographs)
    stack = _with_luma(photographs) / CODES
    mean = _with_luma(photographs.mean(axis=0)) / CODES  # of whole codes: pixels of equal signal are exactly equal
    # The mean of the repeats takes a share 1/repeats of the variance: residuals are stretched so that their mean
    # square is the unbiased variance.
    residual = (stack - mean) * math.sqrt(repeats / (repeats - 1))
    variance = np.square(residual).mean(axis=0)
    total = variance.mean(axis=(1, 2))
    signal, sigma = np.stack([_levels(*plane) for plane in zip(mean, variance, strict=True)], axis=1)
    next_pixel = [
        (residual[..., 1:] * residual[..., :-1]).mean(axis=(0, 2, 3)),
        (residual[..., 1:, :] * residual[..., :-1, :]).mean(axis=(0, 2, 3)),
    ]
    red_green, red_blue, green_blue = (
        float((residual[:, a] * residual[:, b]).mean() / _positive(math.sqrt(total[a] * total[b])))
        for a, b in combinations(range(3), 2)
    )
    return MeasuredTruth(
        signal=signal,
        sigma=sigma,
        scored=(sigma >= LEAST_SIGMA) & (signal > CLIPPED) & (signal < 1 - CLIPPED),
        lag1=np.stack(next_pixel, axis=1) / np.where(total > 0, total, np.nan)[:, None],
        areas=np.stack([_sigma_after_area(residual, side) for side in AREAS], axis=1),
        channels=np.array([red_green, green_blue, red_blue]),
    )


def flags_of(camera: Camera, denoised: float) -> Floats:
    """Whether pictures of `camera` are processed, denoised, upscaled: 1, 0, or NaN where neither can be said.

    `denoised` is what `genome.rendered.measure` found of the noise before and after the denoiser.
    """
    upscaled = 1.0 if camera.scale > UPSCALED else 0.0 if camera.scale < NOT_UPSCALED else math.nan
    return np.array([float(camera.processed), denoised, upscaled])


def _levels(mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Mean signal and SD in LEVELS groups of equal count, pixels ordered by their clean signal.

    Pixels of one signal count with the mean of their variances, so that where they lie in the picture does not say
    which of two levels they belong to.
    """
    signals, index, counts = np.unique(mean, return_inverse=True, return_counts=True)
    variances = np.bincount(index.reshape(-1), variance.reshape(-1)) / counts
    usable = mean.size // LEVELS * LEVELS
    signal, spread = (np.repeat(values, counts)[:usable].reshape(LEVELS, -1) for values in (signals, variances))
    return signal.mean(axis=1), np.sqrt(spread.mean(axis=1))


def _with_luma(colours: Floats) -> Floats:
    """R, G and B of `(..., 3, H, W)` with their luma behind them."""
    weights = np.array(list(LUMA.values()))[:, None, None]
    return np.concatenate([colours, (weights * colours).sum(axis=-3, keepdims=True)], axis=-3)


def _sigma_after_area(residual: Floats, side_px: int) -> Floats:
    """SD (P,) of means over squares of `side_px`, from residuals (repeats, P, H, W)."""
    repeats, planes, height, width = residual.shape
    rows, columns = height // side_px, width // side_px
    cut = residual[..., : rows * side_px, : columns * side_px]
    means = cut.reshape(repeats, planes, rows, side_px, columns, side_px).mean(axis=(3, 5))
    return np.asarray(np.sqrt(np.square(means).mean(axis=(0, 2, 3))))


def _positive(value: float) -> float:
    return value if value > 0 else math.nan
