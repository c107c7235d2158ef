"""The luma of a picture in tiles, and the DCT coefficients of its blocks at every offset of their grid.

Large pictures are looked at in tiles, evenly spread, so that the time is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.images.image import LUMA, Codes
from noisediag.traces.dct import dct_matrix
from noisediag.traces.jpeg.tables import SIDE

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

LUMA_WEIGHTS = np.array(list(LUMA.values()), dtype=np.float32)
MAX_PIXELS = 1 << 18  # of a picture that is looked at whole
TILE = 72  # px; eight whole blocks at any offset
TILES = 8  # along each side of a larger picture
PATCHES = 192  # in which all 64 offsets of the grid are tried
PATCH = 2 * SIDE - 1  # px
LOW = 6  # frequencies of a patch, along each axis
BINS, PER_BIN = 256, 4  # of coefficients' magnitudes in patches: up to 64 in steps of 1/4
MIN_RANGE = 3  # codes; patches whose range is smaller say nothing


@dataclass(frozen=True)
class LumaTiles:
    """Luma `values` (T, h, w) of tiles whose corners lie at multiples of 8 px; `unclipped`: neither 0 nor 255."""

    values: Floats
    unclipped: Mask

    @cached_property
    def patches(self) -> Floats | None:
        """Counts of coefficients by magnitude at each offset: (64, LOW * LOW, BINS); None where nothing is seen.

        The last bin takes what is beyond, and blocks with clipped pixels.
        """
        rows, columns = (side // SIDE - 1 for side in self.values.shape[1:])
        if rows < 1 or columns < 1:
            return None
        corner = cut_blocks(self.values[:, : SIDE * rows, : SIDE * columns]).reshape(-1, SIDE * SIDE)
        ranges = np.ptp(corner, axis=1) >= MIN_RANGE
        usable = None  # all are
        if self.clipped:
            windows = _unclipped_windows(self.unclipped)[:, : SIDE * rows, : SIDE * columns]
            usable = cut_blocks(windows).reshape(-1, SIDE * SIDE)
        share = np.where(ranges, SIDE * SIDE if usable is None else usable.sum(axis=1), 0)
        best = np.flatnonzero(share == SIDE * SIDE)
        if len(best) < PATCHES // 4:  # those with the most unclipped pixels
            best = np.sort(np.argsort(-share, kind="stable")[: PATCHES // 4])
            best = best[share[best] > 0]
        if not len(best):
            return None
        chosen = best[evenly(len(best), PATCHES)]
        tile, row, column = np.unravel_index(chosen, (len(self.values), rows, columns))
        views = np.lib.stride_tricks.sliding_window_view(self.values, (PATCH, PATCH), axis=(1, 2))
        cut = None if usable is None or usable[chosen].all() else ~usable[chosen].reshape(-1, SIDE, SIDE)
        return _counts_at_offsets(views[tile, row * SIDE, column * SIDE] - 128, cut)

    @cached_property
    def clipped(self) -> bool:
        """Whether any pixel is 0 or 255."""
        return not bool(self.unclipped.all())

    def coefficients(self, offset: tuple[int, int]) -> Floats:
        """Magnitudes (blocks, 64) of the DCT coefficients of the blocks without clipped pixels."""
        top, left = offset
        rows, columns = ((side - start) // SIDE for side, start in zip(self.values.shape[1:], offset, strict=True))

        end = top + rows * SIDE, left + columns * SIDE
        blocks = cut_blocks(self.values[:, top : end[0], left : end[1]]).reshape(-1, SIDE * SIDE)
        if self.clipped:
            blocks = blocks[cut_blocks(self.unclipped[:, top : end[0], left : end[1]]).all(axis=(1, 2))]
        blocks = blocks - 128
        return np.asarray(np.abs(blocks @ _dct_of_flat_block().T))


def luma_tiles(codes: Codes) -> LumaTiles:
    """The luma of `codes`, whole or in tiles. Raises ValueError for another shape or type."""
    if codes.dtype != np.uint8 or codes.ndim not in (2, 3) or codes.shape[2:] not in ((), (3,)):
        raise ValueError(f"JPEG traces need (H, W) or (H, W, 3) uint8 codes, not {codes.shape} {codes.dtype}")
    if codes.shape[0] * codes.shape[1] <= MAX_PIXELS:
        tiles = codes[None]
    else:
        rows, columns = (_tile_starts(length) for length in codes.shape[:2])
        high, wide = (min(TILE, length) for length in codes.shape[:2])
        tiles = np.stack([codes[top : top + high, left : left + wide] for top in rows for left in columns])
    cut = (tiles == 0) | (tiles == 255)
    if codes.ndim == 2:
        return LumaTiles(tiles.astype(np.float32), ~cut)
    return LumaTiles(np.rint(tiles.astype(np.float32) @ LUMA_WEIGHTS), ~(cut[..., 0] | cut[..., 1] | cut[..., 2]))


def _tile_starts(length: int) -> list[int]:
    """Where tiles begin along one side: multiples of 8 px, evenly spread."""
    count = max(1, min(TILES, length // TILE))
    return [SIDE * int(start // SIDE) for start in np.linspace(0, max(length - TILE, 0), count)]


def cut_blocks(plane: NDArray[Any]) -> NDArray[Any]:
    """`plane` (T, 8 rows, 8 columns) as (T * rows * columns, 8, 8)."""
    tiles, height, width = plane.shape
    cut = plane.reshape(tiles, height // SIDE, SIDE, width // SIDE, SIDE)
    return cut.transpose(0, 1, 3, 2, 4).reshape(-1, SIDE, SIDE)


def _unclipped_windows(unclipped: Mask) -> Mask:
    """For every pixel that an 8 x 8 block can begin at, whether the block is open: (T, h - 7, w - 7)."""
    for axis in (1, 2):
        for reach in (1, 2, 4):  # 8 neighbours in three doublings
            there = [slice(None)] * 3
            here = [slice(None)] * 3
            there[axis], here[axis] = slice(reach, None), slice(None, -reach)
            unclipped = unclipped[tuple(there)] & unclipped[tuple(here)]
    return unclipped


def _counts_at_offsets(patches: Floats, cut: Mask | None) -> Floats:
    """`LumaTiles.patches` of chosen `patches` (n, PATCH, PATCH), about 0; `cut` (n, 8, 8): offsets that are clipped."""
    sliding = _dct_of_patch()
    lines = sliding @ np.ascontiguousarray(patches.transpose(1, 2, 0)).reshape(PATCH, -1)
    size = sliding @ lines.reshape(len(sliding), PATCH, -1)  # patch after patch is last: each column is one histogram
    np.abs(size, out=size)
    size *= PER_BIN
    np.minimum(size, BINS - 1, out=size)
    if cut is not None:
        size[cut.transpose(1, 2, 0).repeat(LOW, axis=0).repeat(LOW, axis=1)] = BINS - 1
    counts = np.empty((SIDE, SIDE, LOW, LOW, BINS), np.float32)
    first = (np.arange(len(sliding)) * BINS)[:, None]
    for line, sizes in enumerate(size):  # so few counters at a time stay in the cache
        keys = sizes.astype(np.intp)
        keys += first
        found = np.bincount(keys.ravel(), minlength=len(sliding) * BINS)
        counts[line // LOW, :, line % LOW] = found.reshape(SIDE, LOW, BINS)
    return counts.reshape(SIDE * SIDE, LOW * LOW, BINS)


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """At most so many of `count` places, evenly spread."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).astype(np.intp)


def histograms(bins: NDArray[np.int16], count: int) -> Floats:
    """Histograms (columns, count), float32, of the columns of `bins` (n, columns), integers below `count`."""
    columns = bins.shape[1]
    keys = bins.T.astype(np.intp, order="C")  # column after column: counts that are near each other stay in the cache
    keys += np.arange(columns)[:, None] * count
    return np.bincount(keys.ravel(), minlength=columns * count).astype(np.float32).reshape(columns, count)


@cache
def _dct_matrix() -> Floats:
    return dct_matrix(SIDE).astype(np.float32)


@cache
def _dct_of_flat_block() -> Floats:
    """The same of whole blocks, flattened: (64, 64)."""
    return np.kron(_dct_matrix(), _dct_matrix())


@cache
def _dct_of_patch() -> Floats:
    """The `LOW` lowest frequencies of the DCT at each of 8 shifts: (8 * LOW, PATCH)."""
    matrix = np.zeros((SIDE, LOW, PATCH), dtype=np.float32)
    for shift in range(SIDE):
        matrix[shift, :, shift : shift + SIDE] = _dct_matrix()[:LOW]
    return matrix.reshape(-1, PATCH)


@cache
def informative(frequencies: int) -> Mask:
    """Which of frequencies x frequencies coefficients say something: (frequencies ** 2,).

    Those with 0 and 4 only are sums of whole codes over 8, on a lattice of their own.
    """
    order = np.arange(frequencies) % 4 == 0
    return np.asarray(~(order[:, None] & order[None, :]).ravel())
