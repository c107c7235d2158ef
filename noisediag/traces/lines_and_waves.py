"""How noise lies in a picture, measured on its pixels: offsets of rows and columns, and waves.

Nothing here is learned. All of it is relative to what the picture itself shows, so no scale is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.engine.orders import median, quantile

Tiles = NDArray[np.floating[Any]]  # (T, H, W), normalised
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

CLIP_SD = 2.5  # robust standard deviations beyond which a difference is an edge, not noise
CLIPPED_COST = 1.05  # variance of such a mean over that of the plain one
CLIPPED_VARIANCE = 0.9112  # of normal values within c = CLIP_SD: 1 - 2 c phi(c) / (2 Phi(c) - 1)
MAD_SD = 0.6745  # median distance over the standard deviation of normal values
MEAN_SD = 0.7979  # mean distance over it, sqrt(2 / pi)
QUIET_AREA_PX = (5, 8)  # down and across: the area that tells how loud it is around a pixel
STRAY = 8.0  # median distances beyond which a single one no longer says how loud it is around
MIN_SCALE = 0.3  # of the median one: what is quieter is clipped in part
QUIET_ROWS = 0.7  # share of the rows that is looked at, those with the smaller errors
MIN_SIGNIFICANCE = 2.0  # times its own standard deviation from which an offset is no chance
MIN_CYCLES = 8  # a tile; slower waves are picture
BESIDE_BINS = 5  # to both sides of a peak, that show the spectrum without it
MIN_PEAK = 50.0  # times their median: white noise reaches 25 in one of 1,000 pictures of 256 x 256 pixels
RINGS = 40  # of equal distance from the origin, to compare a bin with its like
MIN_SHARE = 0.01  # of the noise's variance, that a wave holds
BLOCK_PX = 32  # a wave must be the same in the blocks of a tile
MIN_STEADINESS = 0.75  # of its mean amplitude, that the median block must hold
MAX_MISSING = 0.1  # of the pixels: a wave with more gaps is not told
SUB_BINS = np.linspace(-0.5, 0.5, 9)  # bins; waves lie between two


@dataclass(frozen=True)
class Arrangement:
    """Standard deviation of row and column offsets, normalised, and the share of the noise's variance in a wave.

    0: none found; None: the picture does not show it.
    """

    row: float | None
    column: float | None
    periodic_share: float | None


def arrangement(tiles: Tiles, missing: Mask | None = None) -> Arrangement:
    """What `tiles` (T, H, W), normalised, show; `missing` (T, H, W): pixels that were filled in."""
    if missing is None:
        return Arrangement(offsets(tiles), offsets(tiles.transpose(0, 2, 1)), periodic_share(tiles))
    whole = missing.mean() <= MAX_MISSING  # what is filled in has no waves
    return Arrangement(
        offsets(tiles, missing),
        offsets(tiles.transpose(0, 2, 1), missing.transpose(0, 2, 1)),
        periodic_share(tiles) if whole else None,
    )


def offsets(tiles: Tiles, missing: Mask | None = None) -> float | None:
    """Standard deviation of the offsets that rows of `tiles` (T, H, W) share; 0: no more than chance; None: unseen.

    Each row is compared pixel by pixel with the two beside it: slow shading cancels, the offsets have six times their
    variance. Pixels count by how quiet it is around them, and those far off not at all, so that edges and texture are
    left out. The error of a row's mean is known from the scatter of its pixels; the rows with the larger errors are not
    looked at. `missing` (T, H, W): pixels that do not count.
    """
    tiles = np.ascontiguousarray(tiles, dtype=np.float32)
    difference = tiles[:, :-2] - 2 * tiles[:, 1:-1] + tiles[:, 2:]
    difference = difference[:, :, : difference.shape[2] // QUIET_AREA_PX[1] * QUIET_AREA_PX[1]]
    centre = _upper_median(difference)
    difference = difference - centre
    distance = np.abs(difference)
    around = _area_means(np.minimum(distance, STRAY * _upper_median(distance))) / np.float32(MEAN_SD)
    if not around.any():
        return None
    least = MIN_SCALE * median(around[around > 0])
    around = np.where(around > 0, np.maximum(around, least), np.float32(np.inf))  # clipped areas show nothing
    near = distance.reshape(*around.shape, QUIET_AREA_PX[1]) <= (CLIP_SD * around)[..., None]
    weight = np.where(near, (1 / np.square(around))[..., None], np.float32(0)).reshape(distance.shape)
    if missing is not None:
        touched = missing[:, :-2] | missing[:, 1:-1] | missing[:, 2:]
        weight = np.where(touched[:, :, : distance.shape[2]], np.float32(0), weight)
    total = weight.sum(axis=2)
    seen = total > 0
    if seen.sum() < tiles.shape[1] // 2:
        return None
    total = np.where(seen, total, 1)
    mean = (weight * difference).sum(axis=2) / total
    error = CLIPPED_COST * np.square(weight * (difference - mean[..., None])).sum(axis=2) / total**2
    seen &= error <= quantile(error[seen], QUIET_ROWS)
    offset, chance = (mean + centre[..., 0])[seen], error[seen]
    kept = np.abs(offset) <= CLIP_SD / MAD_SD * median(np.abs(offset))
    measured = float(np.mean(offset[kept] ** 2)) / CLIPPED_VARIANCE
    found = (measured - float(np.mean(chance[kept]))) / 6
    return float(np.sqrt(found)) if found > MIN_SIGNIFICANCE**2 * float(median(chance)) / 6 else 0.0


def _area_means(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Means of `values` (T, H, W) over areas of QUIET_AREA_PX: (T, H, W / its width), a row apart."""
    down, across = QUIET_AREA_PX
    columns = values.reshape(*values.shape[:2], -1, across).mean(axis=3)
    padded = np.pad(columns, ((0, 0), (down // 2, down - 1 - down // 2), (0, 0)), mode="edge")
    height = columns.shape[1]
    return np.asarray(sum(padded[:, line : line + height] for line in range(down)) / np.float32(down))


def _upper_median(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Median along the last axis, `(..., 1)`; the upper one of two. Several times faster than np.median."""
    middle = values.shape[-1] // 2
    return np.sort(values, axis=-1)[..., middle : middle + 1]


@cache
def _window(height: int, width: int) -> Numbers:
    """Hann window, `(height, width)`."""
    return np.hanning(height)[:, None] * np.hanning(width)[None, :]


@cache
def _rings(height: int, width: int) -> tuple[Numbers, NDArray[np.int_], NDArray[np.int_]]:
    """For every bin of a real spectrum: cycles a pixel, number of its ring; and the bins in each ring."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    ring = np.minimum((radius * 2 * RINGS).astype(int), RINGS - 1)
    return radius, ring, np.bincount(ring.ravel(), minlength=RINGS)


def periodic_share(tiles: Tiles) -> float | None:
    """Share of the noise's variance in the strongest wave of `tiles` (T, H, W); 0 for none.

    A wave is a peak of the mean spectrum that keeps phase and strength over the blocks of a tile: textures do not.
    Unknown (None) for tiles below 64 pixels.
    """
    height, width = tiles.shape[1:]
    if min(height, width) < 2 * BLOCK_PX:
        return None
    flat = tiles.astype(np.float64) - tiles.mean(axis=(1, 2), keepdims=True)
    window = _window(height, width)
    spectrum = (np.abs(np.fft.rfft2(flat * window)) ** 2).mean(axis=0)
    radius, _, _ = _rings(height, width)
    noise = float(median(spectrum[radius > 0.35]))
    if not noise > 0:
        return None
    frequency = strongest_wave(flat, spectrum, noise)
    if frequency is None:
        return 0.0
    amplitudes = _amplitudes(flat, frequency)
    mean = amplitudes.mean(axis=1)
    strength = np.abs(mean)
    steady = np.real(amplitudes * np.conj(mean / np.maximum(strength, 1e-30))[:, None])
    # A cosine of amplitude 2a has the variance 2 a^2. The bins of a mean of T spectra are gamma distributed; what their
    # median is to their mean is from Wilson and Hilferty (1931).
    variance = noise / (1 - 1 / (9 * len(tiles))) ** 3 / float((window**2).sum())
    share = float(median(2 * strength**2) / variance)
    everywhere = median(median(steady, axis=1) / np.maximum(strength, 1e-30)) >= MIN_STEADINESS
    if share < MIN_SHARE or not everywhere:
        return 0.0
    return share / (1 + share)


def strongest_wave(flat: Numbers, spectrum: Numbers, noise: float) -> tuple[float, float] | None:
    """Frequency, cycles a tile down and across, of the peak of a mean `spectrum` that stands out; None if none does.

    `flat` (T, H, W): the tiles without their means; `noise`: level of the spectrum at high frequencies.
    """
    height, width = flat.shape[1:]
    radius, ring, count = _rings(height, width)
    fast = radius * min(height, width) >= MIN_CYCLES
    level = np.log(spectrum + 1e-6 * noise)
    usual = np.bincount(ring.ravel(), level.ravel(), RINGS) / np.maximum(count, 1)
    row, column = np.unravel_index(np.argmax(np.where(fast, level - usual[ring], -np.inf)), spectrum.shape)
    if spectrum[row, column] < MIN_PEAK * _level_beside(spectrum, int(row), int(column)):
        return None
    down, across = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    return _refined_frequency(flat, float(down[row]) * height, float(across[column]) * width)


def _level_beside(spectrum: Numbers, row: int, column: int) -> float:
    """Median of the spectrum beside a bin; along the axis for a bin on one, where row and column offsets lie."""
    reach = np.arange(-BESIDE_BINS, BESIDE_BINS + 1)
    reach = reach[np.abs(reach) > 2]
    rows, columns = (row + reach) % spectrum.shape[0], np.clip(column + reach, 0, spectrum.shape[1] - 1)
    if column == 0:
        return float(median(spectrum[rows, 0]))
    if row == 0:
        return float(median(spectrum[0, columns]))
    return float(median(spectrum[np.ix_(rows, columns)]))


def _refined_frequency(flat: Numbers, down: float, across: float) -> tuple[float, float]:
    """The frequency, cycles a tile, of the largest mean amplitude near a bin."""
    blocks = _blocks(flat)
    height, width = flat.shape[1:]
    # The mean over the blocks is a sum over the tile, which is done once along each axis for all frequencies.
    rows = _phases(down + SUB_BINS, height, blocks.shape[1]).reshape(len(SUB_BINS), -1)
    columns = _phases(across + SUB_BINS, width, blocks.shape[3]).reshape(len(SUB_BINS), -1)
    amplitudes = rows @ blocks.reshape(len(flat), rows.shape[1], -1) @ columns.T
    power = np.sum(np.abs(amplitudes) ** 2, axis=0)
    row, column = np.unravel_index(np.argmax(power), power.shape)
    return down + float(SUB_BINS[row]), across + float(SUB_BINS[column])


def _amplitudes(flat: Numbers, frequency: tuple[float, float]) -> NDArray[np.complex128]:
    """Complex amplitude of one wave in each block: (T, blocks)."""
    blocks = _blocks(flat)
    height, width = flat.shape[1:]
    down = _phases(np.array([frequency[0]]), height, blocks.shape[1])[0]
    across = _phases(np.array([frequency[1]]), width, blocks.shape[3])[0]
    amplitudes = np.einsum("traCb,ra,Cb->trC", blocks, down, across, optimize=True) / BLOCK_PX**2
    return np.asarray(amplitudes.reshape(len(flat), -1))


def _blocks(flat: Numbers) -> Numbers:
    """Whole blocks of `flat` (T, H, W), each about its own mean: (T, rows, BLOCK_PX, columns, BLOCK_PX)."""
    tiles, height, width = flat.shape
    rows, columns = height // BLOCK_PX, width // BLOCK_PX
    cut = flat[:, : rows * BLOCK_PX, : columns * BLOCK_PX].reshape(tiles, rows, BLOCK_PX, columns, BLOCK_PX)
    return np.asarray(cut - cut.mean(axis=(2, 4), keepdims=True))


def _phases(cycles: Numbers, side: int, blocks: int) -> NDArray[np.complex128]:
    """exp(-2 pi i f x) of waves of so many `cycles` (F,) a `side`, in each of its blocks: (F, blocks, BLOCK_PX)."""
    at = np.arange(blocks * BLOCK_PX)
    return np.asarray(np.exp(-2j * np.pi * cycles[:, None] / side * at).reshape(len(cycles), blocks, BLOCK_PX))
