"""Chains of operations that numpy does in fewer passes over memory. Where torch computes, the chain as it reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from noisediag.engine import Tensor, functional, name, nn, torch
from noisediag.engine.operations import PIECE, hardswish_in_place
from noisediag.engine.tensor import array_of

IS_NUMPY = name() == "numpy"


def two_layers(first: nn.Linear, second: nn.Linear, parts: Sequence[Tensor]) -> Tensor:
    """hardswish(second(hardswish(first(x)))), x being the `parts` (B, N, .) side by side."""
    weights = torch.split(first.weight, [part.shape[-1] for part in parts], 1)
    if not IS_NUMPY:
        total = functional.linear(parts[0], weights[0], first.bias).flatten(0, 1)
        for part, weight in zip(parts[1:], weights[1:], strict=True):
            total = torch.addmm(total, part.flatten(0, 1), weight.T)
        return functional.hardswish(second(functional.hardswish(total.reshape(*parts[0].shape[:2], -1))))
    arrays, matrices = [array_of(part) for part in parts], [array_of(weight).T for weight in weights]
    first_bias, second_bias, matrix_after = array_of(first.bias), array_of(second.bias), array_of(second.weight).T
    count, blocks = arrays[0].shape[:2]
    made = np.empty((count, blocks, len(second_bias)), arrays[0].dtype)
    rows = max(1, PIECE // made.shape[2])
    for bag in range(count):
        for start in range(0, blocks, rows):
            piece = np.matmul(arrays[0][bag, start : start + rows], matrices[0])
            for array, matrix in zip(arrays[1:], matrices[1:], strict=True):
                piece += np.matmul(array[bag, start : start + rows], matrix)
            piece += first_bias
            hardswish_in_place(piece)
            np.matmul(piece, matrix_after, out=made[bag, start : start + rows])
            made[bag, start : start + rows] += second_bias
            hardswish_in_place(made[bag, start : start + rows])
    return torch.from_numpy(made)


def hardswish_of_sum(first: Tensor, second: Tensor, whole: Tensor) -> Tensor:
    """hardswish(first + second + whole): two (B, N, W), and one (B, W) that all N have in common."""
    if not IS_NUMPY:
        return functional.hardswish(first + second + whole[:, None])
    a, b = array_of(first), array_of(second)
    made = np.empty_like(a)
    rows = max(1, PIECE // a.shape[2])
    for bag, shared in enumerate(array_of(whole)):
        for start in range(0, a.shape[1], rows):
            piece = made[bag, start : start + rows]
            np.add(a[bag, start : start + rows], b[bag, start : start + rows], out=piece)
            piece += shared
            hardswish_in_place(piece)
    return torch.from_numpy(made)


def sums_of_neighbours(grid: Tensor, axis: int) -> Tensor:
    """Each entry along `axis` (2 or later) and the ones beside it, added up."""
    size = grid.shape[axis]
    if not IS_NUMPY or size == 1:
        total = grid.clone()
        total.narrow(axis, 1, size - 1).add_(grid.narrow(axis, 0, size - 1))
        total.narrow(axis, 0, size - 1).add_(grid.narrow(axis, 1, size - 1))
        return total
    array = array_of(grid)
    made = np.empty_like(array, order="C")
    here, there = array.swapaxes(0, axis), made.swapaxes(0, axis)
    there[0] = here[0]
    np.add(here[1:], here[:-1], out=there[1:])
    there[:-1] += here[1:]
    return torch.from_numpy(made)
