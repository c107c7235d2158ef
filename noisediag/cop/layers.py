"""What the networks of `cop.curve` and `cop.rendered` share: layers, sums over blocks, and bounds of their answers."""

from __future__ import annotations

from dataclasses import fields
from typing import TypeVar

import numpy as np

from noisediag.cop.tokens import Tokens
from noisediag.engine import Tensor, nn, torch
from noisediag.engine.fused import sums_of_neighbours

Parts = TypeVar("Parts")

LOG_BIAS = 1.2704  # -E ln z^2 of a standard normal z: Euler's constant + ln 2
# Bands in the middle of the groups of `Tokens.log_energy`: their expected energy stands for that of the group.
LOG_BANDS = (5, 7, 10)
START_QUANTILE = 0.1  # Of the blocks' energies: where the first guess of the variance is taken.
# Logit of the weight of a block before training: 0.88, so that nearly all blocks count and can still be weighed up.
WEIGHT_START = 2.0
MIN_WEIGHT = 1e-6  # of a block; no sum of weights is 0
MAX_CORRECTION = 1.5  # |ln| of what a network may multiply a variance by
MAX_RELATIVE_VARIANCE = 1e3  # A block's variance over the expected one; beyond it is content whatever the network says.


def neighbourhood(grid: Tensor) -> Tensor:
    """Mean over the 3x3 blocks around each, fewer at the border: `(B, T, ny, nx, W)` to the same shape."""
    for axis in (2, 3):
        grid = sums_of_neighbours(grid, axis)
    down, across = (_one_over_neighbours(size).to(grid.device) for size in grid.shape[2:4])
    return grid.mul_((down[:, None] * across)[..., None])


def _one_over_neighbours(size: int) -> Tensor:
    """One over the number of neighbours of each of `size` places in a line, itself included."""
    return torch.tensor([1 / 2, *[1 / 3] * (size - 2), 1 / 2] if size > 1 else [1.0])


def sort_blocks(values: Tensor) -> Tensor:
    """`values` (B, N, .) sorted along N; numpy is twenty times faster on a CPU. Nothing flows back."""
    if values.device.type != "cpu":
        return values.sort(1).values
    return torch.from_numpy(np.sort(values.numpy(), axis=1))


def attention_pool(hidden: Tensor, score: nn.Linear) -> Tensor:
    """Means of `hidden` (B, N, W) over the blocks, `(B, (heads + 1) * W)`: one a head of `score`, and the plain one."""
    attention = score(hidden).softmax(1)  # (B, N, heads)
    focused = attention.transpose(1, 2) @ hidden
    return torch.cat([focused.flatten(1), hidden.mean(1)], 1)


def neighbourhood_of_blocks(tokens: Tokens, values: Tensor) -> Tensor:
    """`neighbourhood` of `values` (B, N, W), one for each block of every grid."""
    return tokens.join([neighbourhood(grid) for grid in tokens.split(values)])


def one_of(parts: Parts, bag: int) -> Parts:
    """`parts`, a dataclass of tensors (B, ...) and of such dataclasses, of one bag alone."""
    values = {f.name: getattr(parts, f.name) for f in fields(parts)}  # type: ignore[arg-type] # a dataclass
    own = {n: v[bag : bag + 1] if isinstance(v, Tensor) else one_of(v, bag) for n, v in values.items() if v is not None}
    return type(parts)(**dict.fromkeys(values) | own)
