"""Tokens of bags in which pixels hold no value: blocks that miss many give way to others, the rest is set right.

A pixel that is a copy of one near by lends the noise a correlation that it does not have. White noise that is filled
in the same way shows by how much each band of the spectrum is changed, and the bands are divided by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noisediag.cop.tokens import SHIFT, Tokens, tokenize
from noisediag.engine import Tensor, torch
from noisediag.readout.missing import Mask, block_limit, block_shares, filled
from noisediag.readout.tiles import Bag

RARE = 0.002  # of the pixels of the blocks that stay: fewer copies change no band by as much as its error
SEEN_TILES = 4  # of white noise that is filled in the same way
SEEN_DRAWS = 4


@dataclass(frozen=True)
class _Blocks:
    """Of a bag's blocks, in the order of its tokens, (N,): which stands for each, is it another, what it misses."""

    index: NDArray[np.intp]
    left_out: Mask
    share: NDArray[np.float32]


def tokens_of(bags: Sequence[Bag], device: torch.device, *, grids: int = 2) -> Tokens:
    """The tokens of bags of one shape. Those of bags that miss no pixel are as `tokenize` makes them."""
    tokens = tokenize(torch.from_numpy(np.stack([bag.seen for bag in bags])).to(device), grids=grids)
    if all(bag.missing is None for bag in bags):
        return tokens
    shape = tokens.mean.shape
    index, left_out = torch.arange(shape[1]).repeat(shape[0], 1), torch.zeros(shape, dtype=torch.bool)
    gains: list[tuple[Tensor, Tensor, Tensor] | None] = []
    for number, bag in enumerate(bags):
        if bag.missing is None:
            gains.append(None)
            continue
        blocks = _blocks(bag.missing, grids)
        gains.append(_gains(bag.missing, blocks, grids))
        index[number], left_out[number] = torch.from_numpy(blocks.index), torch.from_numpy(blocks.left_out)
    for number, gain in enumerate(gains):
        if gain is not None:
            tokens = tokens.divided(number, *(part.to(device) for part in gain))
    return tokens.taken(index.to(device), left_out.to(device))


def _blocks(missing: Mask, grids: int) -> _Blocks:
    limit = block_limit(missing)
    indices, away, shares, first = [], [], [], 0
    for shift in (0, SHIFT)[:grids]:
        share = block_shares(missing, shift)
        bad = share > limit
        indices.append(first + _stand_ins(bad).ravel())
        away.append(bad.ravel())
        shares.append(share.ravel())
        first += share.size
    return _Blocks(np.concatenate(indices), np.concatenate(away), np.concatenate(shares))


def _stand_ins(bad: Mask) -> NDArray[np.intp]:
    """For each block of `bad` (T, ny, nx) the number of the one that stands for it.

    The mirror image in the border of what is missing: each good block stands for few others, and what lies side by
    side stays so. Where that is bad itself it is the nearest one; a tile without any has those of the other tiles.
    """
    from scipy.ndimage import distance_transform_edt  # slow to import, and few pictures need it

    number = np.arange(bad.size).reshape(bad.shape)
    good = number[~bad]
    if not len(good):
        return number
    result = number.copy()
    for tile, own in enumerate(bad):
        at = np.argwhere(own)
        if not len(at):
            continue
        if own.all():
            result[tile] = np.resize(good, own.shape)
            continue
        nearest = distance_transform_edt(own, return_distances=False, return_indices=True)[:, at[:, 0], at[:, 1]].T
        mirrored = 2 * nearest - at - np.sign(nearest - at)
        inside = ((mirrored >= 0) & (mirrored < own.shape)).all(axis=1)
        within = np.clip(mirrored, 0, np.array(own.shape) - 1)
        usable = inside & ~own[within[:, 0], within[:, 1]]
        taken = np.where(usable[:, None], mirrored, nearest)
        result[tile, at[:, 0], at[:, 1]] = number[tile, taken[:, 0], taken[:, 1]]
    return result


def _gains(missing: Mask, blocks: _Blocks, grids: int) -> tuple[Tensor, Tensor, Tensor] | None:
    """By how much filling changes energies (N, BANDS), log energies (N, GROUPS) and moments (N, 3) of each block.

    None: by too little to be told.
    """
    if blocks.share[~blocks.left_out].mean() <= RARE:
        return None
    order = np.argsort(-np.minimum(missing.mean((1, 2)), 1 - missing.mean((1, 2))), kind="stable")[:SEEN_TILES]
    seen = missing[np.sort(order)]
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((SEEN_DRAWS, *seen.shape)).astype(np.float32)
    like = np.stack(
        [
            np.stack(
                [filled(tile, mask, (draw, place)) for place, (tile, mask) in enumerate(zip(one, seen, strict=True))]
            )
            for draw, one in enumerate(noise)
        ]
    )
    changed, plain = (tokenize(torch.from_numpy(values), grids=grids) for values in (like, noise))
    of_seen = np.concatenate([block_shares(seen, shift).ravel() for shift in (0, SHIFT)[:grids]])
    kept = torch.from_numpy((of_seen > 0) & (of_seen <= blocks.share[~blocks.left_out].max()))
    if not kept.any():
        return None
    of_kept, of_all = torch.from_numpy(of_seen)[kept], torch.from_numpy(blocks.share)

    def change(values: Tensor, reference: Tensor) -> Tensor:
        """`values` (B, N, X) over `reference`, less 1, in proportion to the share that is missing: for each block."""
        relative = values[:, kept].mean(0) / reference.mean((0, 1)) - 1
        return 1 + of_all[:, None] * ((of_kept[:, None] * relative).sum(0) / of_kept.square().sum())

    energy = change(changed.energy, plain.energy)
    log_energy = change(changed.log_energy.exp(), plain.log_energy.exp()).log()
    second, fourth = (change(changed.moments[..., i : i + 1], plain.moments[..., i : i + 1]) for i in (0, 2))
    return energy, log_energy, torch.cat([second, second**1.5, fourth], 1)
