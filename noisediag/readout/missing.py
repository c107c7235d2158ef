"""Tiles of pictures in which pixels hold no value: where they are cut, and what is put in the place of such pixels.

What is put there looks like its surroundings, noise included, so that nothing stands out; what it does to the noise's
spectrum is undone, or not looked at, in `readout.mending`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.cop.tokens import BLOCK
from noisediag.errors import UnreadableError

Mask = NDArray[np.bool_]

REACH_PX = 2  # Values are drawn from 5 x 5 pixels: nearer ones are too few, farther ones another part of the picture.
DRAWS = 24  # until a pixel with a value is met: all of 24 miss in a stretch where most do
MAX_MISSING = 0.75  # of a tile's pixels, where others have more
BLOCK_LIMITS = (0.1, 0.25, 0.5)  # of a block's pixels: the least of them that leaves enough blocks
ENOUGH_SHARE = 0.5  # of the blocks that the widest limit leaves
ENOUGH_BLOCKS = 256
LEAST_BLOCKS = 4  # with values, below which there is no answer: as many as the smallest picture has


def box(missing: Mask, align: int) -> tuple[slice, slice]:
    """The part of a picture without borders that are wholly `missing` (H, W); it begins at multiples of `align` px.

    Raises UnreadableError where no pixel has a value.
    """
    sides = []
    for axis in (1, 0):
        there = np.flatnonzero(~missing.all(axis=axis))
        if not len(there):
            raise UnreadableError("no pixel holds a value")
        sides.append(slice(-(-int(there[0]) // align) * align, int(there[-1]) + 1))
    return sides[0], sides[1]


def fullest(missing: Sequence[Mask], order: Sequence[int], most: int) -> list[int]:
    """Numbers of at most `most` tiles, of `order`, those with the fewest `missing` pixels first; at least one."""
    shares = [float(tile.mean()) for tile in missing]
    ranked = sorted(order, key=lambda number: round(shares[number], 2))  # of equal ones the order decides
    kept = [number for number in ranked[:most] if shares[number] <= MAX_MISSING]
    return sorted(kept or ranked[:1])


def filled(tile: NDArray[Any], missing: Mask, seed: Sequence[int]) -> NDArray[Any]:
    """`tile` (h, w) with each of its `missing` pixels replaced by the value of one of those around it, drawn at random.

    The distribution of the noise stays, which a mean or a plane laid through the others would narrow. Deep in a
    stretch without values the nearest pixels that have one stand in. `seed`: the same gives the same.
    """
    from scipy.ndimage import distance_transform_edt  # slow to import, and few pictures need it

    if not missing.any() or missing.all():
        return tile
    generator = np.random.default_rng(list(seed))
    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    place = np.argwhere(missing)  # (n, 2)
    centre = nearest[:, place[:, 0], place[:, 1]].T
    source = centre.copy()
    left = np.arange(len(place))
    for draw in range(DRAWS):
        around = place if draw < DRAWS // 2 else centre
        at = around[left] + generator.integers(-REACH_PX, REACH_PX + 1, (len(left), 2))
        inside = ((at >= 0) & (at < missing.shape)).all(axis=1)
        within = np.clip(at, 0, np.array(missing.shape) - 1)
        met = inside & ~missing[within[:, 0], within[:, 1]]
        source[left[met]] = at[met]
        left = left[~met]
        if not len(left):
            break
    result = tile.copy()
    result[missing] = tile[source[:, 0], source[:, 1]]
    return result


def block_shares(missing: Mask, shift: int) -> NDArray[np.float32]:
    """Share of each 8 x 8 block of tiles (T, h, w) that is `missing`, of the grid that begins at `shift` px."""
    count, height, width = missing.shape
    inside = missing[:, shift : height - shift, shift : width - shift].astype(np.float32)
    blocks = inside.reshape(count, (height - 2 * shift) // BLOCK, BLOCK, (width - 2 * shift) // BLOCK, BLOCK)
    return np.asarray(blocks.mean((2, 4)))


def block_limit(missing: Mask) -> float:
    """How much of a block of tiles (T, h, w) may be `missing`, so that enough blocks are left.

    Raises UnreadableError where hardly a block is.
    """
    shares = block_shares(missing, 0)
    widest = int((shares <= BLOCK_LIMITS[-1]).sum())
    if widest < LEAST_BLOCKS:
        raise UnreadableError("too few of the pixels hold a value to tell noise from picture")
    needed = min(ENOUGH_BLOCKS, ENOUGH_SHARE * widest)
    return next(limit for limit in BLOCK_LIMITS if (shares <= limit).sum() >= needed)
