"""Where a picture saturates, measured on its pixels: a pile of codes at the top that the light did not make.

A sensor saturates at its full well, at the converter's last code, or where a program has cut; the stated white level is
often none of these. What saturation leaves is a pile at the top of the histogram, of one code or of a few, whether its
pixels lie together or not. Light cannot make it: what is seen of light is smeared by its noise, and no peak of the
histogram is narrower than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.engine.orders import distinct, median, quantile

MIN_PIXELS = 64  # of a pile; fewer cannot be told from the tail of the noise
MIN_SHARE = 5e-4  # of the pixels
STRAY = 5  # pixels above that are no part of it
ABOVE = 0.02  # of the pile's pixels that may lie above it: hot pixels
NARROW = 0.5  # of the noise below: the standard deviation of a pile at the most
STANDS_OUT = 3.0  # times as many pixels in the pile as as wide a piece of the histogram below holds
WITHIN = 2.5  # standard deviations about the level that are of the pile
MIN_NOISE = 0.75  # steps between levels: less noise does not show that the picture has any
BLOCK_PX = 8
BRIGHT, BRIGHTEST = 0.3, 0.97  # of the range: blocks that the pile is compared with lie in it with all their pixels
MIN_BLOCKS = 8
MIN_PLACES = 12  # of 64 in a block, whose 3 x 3 pixels all lie there
NOISE_TILES = 3  # the noise is looked for in so many; in all of them where these show none
QUIET = 0.1  # quantile of the blocks' noise: the smooth ones
QUIET_BIAS = 0.75  # that quantile, of blocks that all have the same noise, in units of it
EDGE_SIGMAS = 4.0  # pixels from so many standard deviations below the level on count as saturated


@dataclass(frozen=True)
class Plateau:
    """The level at which pixels saturate and the standard deviation about it, in the picture's own unit; `share` there.

    `edge`: pixels at and above it count as saturated. `scatter` 0: one code.
    """

    level: float
    scatter: float
    share: float
    edge: float


def plateau(tiles: NDArray[Any]) -> Plateau | None:
    """The pile at the top of `tiles` (T, H, W), in any unit, H and W at least 8; None where there is none.

    A bright and very quiet surface may pass for one where all else is textured: whether the noise below, continued to
    the level, would be much stronger is for the caller to see.
    """
    least = int(max(MIN_PIXELS, MIN_SHARE * tiles.size))
    low = float(quantile(tiles[:, ::4, ::4], 0.001))
    top = float(np.partition(tiles, -1 - STRAY, axis=None)[-1 - STRAY])
    if not top > low:
        return None
    noise = _noise_below(tiles, low, top)
    if noise is None:
        return None
    values = np.sort(tiles[tiles > top - 6 * noise].astype(np.float64))
    gaps = np.diff(distinct(values))
    step = float(gaps.min()) if len(gaps) else 0.0
    if len(values) < least or noise < MIN_NOISE * step:
        return None
    level, scatter = _pile(values, noise, step)
    half = max(WITHIN * scatter, 0.6 * step)
    inside = _between(values, level - half, level + half)
    above = len(values) - int(np.searchsorted(values, level + 2 * half, side="right"))
    below = _between(values, level - half - noise, level - half)
    if scatter > NARROW * noise or inside < least or above > ABOVE * inside + STRAY:
        return None
    if inside < STANDS_OUT * below * 2 * half / noise:
        return None
    edge = level if scatter == 0 else level - EDGE_SIGMAS * scatter
    return Plateau(level, scatter, float(np.mean(tiles >= edge)), edge)


def _pile(values: NDArray[np.float64], noise: float, step: float) -> tuple[float, float]:
    """Level and standard deviation of the fullest piece of the histogram near the top; 0 for a single code."""
    width = max(NARROW * noise / 2, step)
    start = np.searchsorted(values, values[-1 - STRAY] - 2 * noise)
    ends = np.searchsorted(values, values + width, side="right") - np.arange(len(values))
    at = start + int(np.argmax(ends[start:]))
    level, scatter = float(median(values[at : at + ends[at]])), width / 2
    for _ in range(8):
        window = values[np.abs(values - level) <= max(WITHIN * scatter, 0.6 * step)]
        level = float(median(window))
        scatter = 1.4826 * float(median(np.abs(window - level)))
    if scatter > 0:
        scatter = float(np.sqrt(np.mean(np.square(window - level)))) * 1.05  # what WITHIN cuts off of a Gaussian
    return level, scatter


def _between(values: NDArray[np.float64], low: float, high: float) -> int:
    return int(np.searchsorted(values, high, side="right") - np.searchsorted(values, low))


def _noise_below(tiles: NDArray[Any], low: float, top: float) -> float | None:
    """Standard deviation of the noise in the smooth places of the brighter part below the top; None without such."""
    ceiling = low + BRIGHTEST * (top - low)
    few = tiles[:: -(-len(tiles) // NOISE_TILES)]
    for some in (few, tiles) if len(few) < len(tiles) else (tiles,):
        for bright in (BRIGHT, 0.0):  # the darker part has less noise: better than nothing
            noise = _smooth_noise(some, low + bright * (top - low), ceiling)
            if noise:
                return noise
    return None


def _smooth_noise(tiles: NDArray[Any], least: float, ceiling: float) -> float | None:
    """Of the noise where 3 x 3 pixels lie between `least` in the mean and `ceiling`, the QUIET quantile over blocks."""
    values = tiles.astype(np.float32)
    used = np.ones((len(values), values.shape[1] - 2, values.shape[2] - 2), dtype=bool)
    mean = np.zeros(used.shape, dtype=np.float32)
    for y, x in np.ndindex(3, 3):
        shifted = values[:, y : y + used.shape[1], x : x + used.shape[2]]
        used &= shifted < ceiling
        mean += shifted / 9
    used &= mean > least
    # differences of second order in both directions: straight edges and slopes vanish (Immerkaer 1996)
    square = np.where(used, np.square(np.diff(np.diff(values, 2, axis=1), 2, axis=2)), 0)
    counts, sums = _blocks(used), _blocks(square)
    enough = counts >= MIN_PLACES
    if enough.sum() < MIN_BLOCKS:
        return None
    noise = np.sqrt(sums[enough] / counts[enough] / 36)
    return float(quantile(noise, QUIET)) / QUIET_BIAS


def _blocks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Sums over the whole blocks of (T, H, W), flat."""
    height, width = (side // BLOCK_PX * BLOCK_PX for side in values.shape[1:])
    shape = (len(values), height // BLOCK_PX, BLOCK_PX, width // BLOCK_PX, BLOCK_PX)
    return np.asarray(values[:, :height, :width].reshape(shape).sum((2, 4), dtype=np.float64).ravel())
