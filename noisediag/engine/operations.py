"""What stands for `torch.nn.functional` where numpy computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from noisediag.engine.tensor import SINGLE, WHOLE, Array, EngineError, Tensor, wrapped

PIECE = 1 << 15  # Numbers that are worked on at a time: they stay in the processor's own memory.


# Phi(x) is (1 + tanh(x * g(x^2))) / 2 with a smooth g: here a polynomial, by weighted least squares to atanh(erf) up to
# GELU_END, the largest error of x * Phi(x) being made least. It is 6e-7, that of torch's own 1.1e-6, and erf costs ten
# times as much.
GELU = (0.79788423, 0.036334284, -3.3129985e-5, -5.524016e-5, 3.96911e-6, -1.3344643e-7, 1.8056169e-9)
GELU_END = 5.6


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise EngineError(f"the numpy engine has no functional.{name}")


def _in_pieces(values: Tensor, change: Callable[[Array, Array], None]) -> Tensor:
    """`change(piece, result)` piece by piece: each of its steps finds the numbers of the one before at hand."""
    array = np.ascontiguousarray(values.array)
    made = np.empty_like(array)
    flat, out = array.reshape(-1), made.reshape(-1)
    for first in range(0, flat.size, PIECE):
        change(flat[first : first + PIECE], out[first : first + PIECE])
    return wrapped(made, array.dtype)


def hardswish(values: Tensor) -> Tensor:
    return _in_pieces(values, _hardswish)


def hardswish_in_place(x: Array) -> None:
    gate = x + 3
    np.clip(gate, 0, 6, out=gate)
    x *= gate
    x *= x.dtype.type(1 / 6)


def _hardswish(x: Array, out: Array) -> None:
    np.add(x, 3, out=out)
    np.clip(out, 0, 6, out=out)
    out *= x
    out *= out.dtype.type(1 / 6)


def gelu(values: Tensor) -> Tensor:
    """x * Phi(x), in single precision."""
    if values.dtype != SINGLE:
        raise EngineError(f"gelu of {values.dtype}")
    return _in_pieces(values, _gelu)


def _gelu(x: Array, out: Array) -> None:
    near = np.clip(x, -GELU_END, GELU_END)
    square = np.square(near)
    np.multiply(square, GELU[-1], out=out)
    for coefficient in GELU[-2:0:-1]:
        out += coefficient
        out *= square
    out += GELU[0]
    out *= near
    np.tanh(out, out=out)
    out += 1
    out *= x
    out *= 0.5


def softplus(values: Tensor) -> Tensor:
    return wrapped(np.logaddexp(values.array, values.dtype.type(0)), values.dtype)


def linear(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    array = values.array
    alone = array[:, None] if array.ndim == 2 else array  # what is said of a bag does not depend on those beside it
    made = np.matmul(alone, weight.array.T).reshape(*array.shape[:-1], -1)
    if bias is not None:
        made += bias.array
    return wrapped(made, values.dtype)


def normalize(values: Tensor, *, dim: int) -> Tensor:
    length = np.sqrt(np.sum(np.square(values.array), axis=dim, keepdims=True))
    return wrapped(values.array / np.maximum(length, values.dtype.type(1e-12)), values.dtype)


def one_hot(index: Tensor, count: int) -> Tensor:
    return Tensor((index.array[..., None] == np.arange(count)).astype(WHOLE))


def pad(values: Tensor, sides: Sequence[int], mode: str = "constant") -> Tensor:
    """Zeros, or the mirror image without the border itself, around the last dimensions: torch's order of `sides`."""
    array = values.array
    before, after = [0] * array.ndim, [0] * array.ndim
    for number in range(len(sides) // 2):
        before[-1 - number], after[-1 - number] = sides[2 * number], sides[2 * number + 1]
    ends = list(zip(before, after, strict=True))
    if mode == "reflect":
        return Tensor(_mirrored(array, ends))
    if mode != "constant":
        raise EngineError(f"the numpy engine has no padding {mode!r}")
    made = np.zeros([n + a + b for n, (a, b) in zip(array.shape, ends, strict=True)], array.dtype)
    made[tuple(slice(a, a + n) for n, (a, _) in zip(array.shape, ends, strict=True))] = array
    return Tensor(made)


def _mirrored(array: Array, ends: Sequence[tuple[int, int]]) -> Array:
    made = np.empty([n + a + b for n, (a, b) in zip(array.shape, ends, strict=True)], array.dtype)
    made[tuple(slice(a, a + n) for n, (a, _) in zip(array.shape, ends, strict=True))] = array
    for axis, (before, after) in enumerate(ends):
        lines = made.swapaxes(0, axis)
        size = array.shape[axis]
        for k in range(before):
            lines[before - 1 - k] = lines[before + 1 + k]
        for k in range(after):
            lines[before + size + k] = lines[before + size - 2 - k]
    return made


def avg_pool2d(values: Tensor, area: int) -> Tensor:
    """Means over squares of `area` px; what is left over at the ends is dropped."""
    array = values.array
    rows, columns = array.shape[-2] // area, array.shape[-1] // area
    cut = array[..., : rows * area, : columns * area]
    lines = cut.reshape(*array.shape[:-2], rows, area, columns * area).sum(-2)  # whole lines are faster
    total = lines[..., 0::area].copy()
    for k in range(1, area):
        total += lines[..., k::area]
    total /= area * area
    return wrapped(total, array.dtype)


def adaptive_avg_pool2d(values: Tensor, sides: tuple[int, int]) -> Tensor:
    """Means over as many cells as `sides` says; where they do not divide the picture, they share pixels."""
    array = values.array
    height, width = array.shape[-2:]
    if not height % sides[0] and not width % sides[1]:
        cells = array.reshape(*array.shape[:-2], sides[0], height // sides[0], sides[1], width // sides[1])
        lines = np.add.reduce(cells, axis=-3)  # whole lines are faster
        made = np.add.reduce(lines, axis=-1)
        made /= height * width // (sides[0] * sides[1])
        return wrapped(made, array.dtype)
    made = np.empty((*array.shape[:-2], *sides), array.dtype)
    for row in range(sides[0]):
        down = slice(row * height // sides[0], -(-(row + 1) * height // sides[0]))
        for column in range(sides[1]):
            across = slice(column * width // sides[1], -(-(column + 1) * width // sides[1]))
            made[..., row, column] = array[..., down, across].mean((-2, -1))
    return Tensor(made)
