"""Where a picture saturates, measured on its pixels: a pile of codes at the top that the light did not make.

A sensor saturates at its full well, at the converter's last code, or where a program has cut; the stated white level is
often none of these. What saturation leaves is a plateau: a share of the pixels within a few codes of one level, nothing
above, and far quieter than the noise below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_PIXELS = 64  # of a plateau; fewer cannot be told from the tail of the noise
MIN_SHARE = 5e-4  # of the pixels
STANDS_OUT = 3.0  # times as many pixels at the last code as at the fullest of the NEXT codes below
NEXT = 4
MAX_EXACT = 0.02  # Of the blocks below, without any scatter: more are found in pictures without noise alone.
BLOCK_PX = 8
MIN_BLOCKS = 3
MAX_SCATTER = 0.01  # of the range below the plateau: its standard deviation
AGREE = 5.0 / BLOCK_PX  # scatters by which the means of a plateau's blocks may differ from the level: 5 standard errors
QUIET_RATIO = 0.25  # of the variance of the noise below that a scattering plateau has at the most
BRIGHT = 0.3  # of the range: what lies higher is compared with the plateau
BELOW = 12.0  # scatters: blocks so far below the level are not of the plateau
MIN_BELOW = 8  # blocks to compare with
EDGE_SIGMAS = 4.0  # pixels from so many scatters below the level on count as saturated


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
    """The plateau at the top of `tiles` (T, H, W), in any unit, H and W at least 8; None where there is none.

    One that scatters may also be a bright and very quiet surface: whether the noise below, continued to the level,
    would be much stronger is for the caller to see.
    """
    low, top = float(np.quantile(tiles[:, ::4, ::4], 0.001)), float(tiles.max())
    if not top > low:
        return None
    blocks = _blocks(tiles)
    return _one_code(tiles, blocks, top) or _scattering(tiles, blocks, low)


def _one_code(tiles: NDArray[Any], blocks: NDArray[np.float32], top: float) -> Plateau | None:
    """A hard clip: far more pixels at the last code than at those just below it, and noise in what lies below."""
    at_top = int(np.count_nonzero(tiles == top))
    if at_top < max(MIN_PIXELS, MIN_SHARE * tiles.size):
        return None
    bright = tiles[tiles > top - 0.02 * (top - float(tiles.min()))]
    levels, counts = np.unique(bright, return_counts=True)
    if len(levels) > 1 and at_top < STANDS_OUT * counts[-1 - NEXT : -1].max():
        return None
    below = blocks.max(1) < top
    exact = np.mean(np.ptp(blocks[below], axis=1) == 0) if below.any() else 1.0
    return None if exact > MAX_EXACT else Plateau(top, 0.0, at_top / tiles.size, top)


def _scattering(tiles: NDArray[Any], blocks: NDArray[np.float32], low: float) -> Plateau | None:
    """A plateau that scatters: blocks that agree in their mean to within their own noise, and nothing above them."""
    mean, deviation = blocks.mean(1), blocks.std(1, ddof=1)
    order = np.argsort(mean)[::-1]
    mean, deviation = mean[order], deviation[order]
    few = max(MIN_BLOCKS, int(MIN_SHARE * len(mean)))
    level, scatter = float(np.median(mean[:few])), float(np.median(deviation[:few]))
    if not 0 < scatter < MAX_SCATTER * (level - low):
        return None
    members = np.abs(mean - level) < AGREE * scatter
    if members.sum() < few:
        return None
    level, scatter = float(np.median(mean[members])), float(np.median(deviation[members]))
    below = (mean < level - BELOW * scatter) & (mean > low + BRIGHT * (level - low))
    if below.sum() < MIN_BELOW or scatter**2 > QUIET_RATIO * float(np.quantile(deviation[below], 0.1)) ** 2:
        return None
    edge = level - EDGE_SIGMAS * scatter
    return Plateau(level, scatter, float(np.mean(tiles >= edge)), edge)


def _blocks(tiles: NDArray[Any]) -> NDArray[np.float32]:
    """(N, 64) of the whole blocks of all tiles."""
    height, width = (side // BLOCK_PX * BLOCK_PX for side in tiles.shape[1:])
    cut = tiles[:, :height, :width].reshape(len(tiles), height // BLOCK_PX, BLOCK_PX, width // BLOCK_PX, BLOCK_PX)
    return np.asarray(cut.swapaxes(2, 3).reshape(-1, BLOCK_PX**2), dtype=np.float32)
