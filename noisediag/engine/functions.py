"""What stands for the module `torch` where numpy computes: the functions that the networks use, and no other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from noisediag.engine import sums
from noisediag.engine.tensor import (
    BOOL,
    CPU,
    DOUBLE,
    SINGLE,
    WHOLE,
    Array,
    Device,
    EngineError,
    Tensor,
    pair,
    real,
    wrapped,
)

float32, float64, long, bool = SINGLE, DOUBLE, WHOLE, BOOL  # noqa: A001 - torch's names
inf, nan = math.inf, math.nan
device = Device


def inference_mode() -> np.errstate:
    """Nothing flows back here anyway; what torch says nothing of, numpy does not warn of either."""
    return np.errstate(all="ignore")


no_grad = inference_mode


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise EngineError(f"the numpy engine has no torch.{name}")


# made anew


def _kind(dtype: np.dtype[Any] | None) -> np.dtype[Any]:
    return SINGLE if dtype is None else dtype


def tensor(values: Any, *, dtype: np.dtype[Any] | None = None, device: Device = CPU) -> Tensor:
    made = np.array(values)
    if dtype is None:
        dtype = {"i": WHOLE, "b": BOOL}.get(made.dtype.kind, SINGLE)
    return Tensor(made.astype(dtype, copy=False))


def from_numpy(array: Array) -> Tensor:
    kind = array.dtype.newbyteorder("=")
    if kind not in (BOOL, WHOLE, SINGLE, DOUBLE):
        raise EngineError(f"the numpy engine has no tensors of {array.dtype}")
    return Tensor(array)


def _shape(sides: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(sides[0]) if len(sides) == 1 and isinstance(sides[0], tuple | list) else sides


def zeros(*shape: Any, dtype: np.dtype[Any] | None = None, device: Device = CPU) -> Tensor:
    return Tensor(np.zeros(_shape(shape), _kind(dtype)))


def ones(*shape: Any, dtype: np.dtype[Any] | None = None, device: Device = CPU) -> Tensor:
    return Tensor(np.ones(_shape(shape), _kind(dtype)))


def full(shape: Sequence[int], value: float, *, dtype: np.dtype[Any] | None = None) -> Tensor:
    return Tensor(np.full(shape, value, SINGLE if dtype is None else dtype))


def zeros_like(other: Tensor) -> Tensor:
    return Tensor(np.zeros_like(other.array, order="C"))


def ones_like(other: Tensor) -> Tensor:
    return Tensor(np.ones_like(other.array, order="C"))


def empty_like(other: Tensor) -> Tensor:
    return Tensor(np.empty_like(other.array, order="C"))


def full_like(other: Tensor, value: float) -> Tensor:
    return Tensor(np.full_like(other.array, value, order="C"))


def eye(side: int, *, dtype: np.dtype[Any] | None = None, device: Device = CPU) -> Tensor:
    return Tensor(np.eye(side, dtype=_kind(dtype)))


def arange(*ends: int, device: Device = CPU) -> Tensor:
    return Tensor(np.arange(*ends, dtype=WHOLE))


def linspace(
    first: float, last: float, steps: int, *, dtype: np.dtype[Any] | None = None, device: Device = CPU
) -> Tensor:
    kind = _kind(dtype).type  # as torch: from both ends, in the wanted precision
    step, number = kind((last - first) / (steps - 1)), np.arange(steps)
    from_first = kind(first) + step * number.astype(kind)
    return Tensor(np.where(number < steps // 2, from_first, kind(last) - step * number[::-1].astype(kind)))


# put together and taken apart


def _alike(tensors: Sequence[Tensor]) -> list[Array]:
    """Their arrays, of one type: as torch, the highest of them."""
    arrays = [t.array for t in tensors]
    first = arrays[0].dtype
    for array in arrays:
        if array.dtype is not first:
            highest = max({a.dtype for a in arrays}, key=(BOOL, WHOLE, SINGLE, DOUBLE).index)
            return [a.astype(highest, copy=False) for a in arrays]
    return arrays


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    return Tensor(np.concatenate(_alike(tensors), axis=dim))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    arrays = _alike(tensors)
    shape = arrays[0].shape
    axis = dim % (len(shape) + 1)
    made = np.empty((*shape[:axis], len(arrays), *shape[axis:]), arrays[0].dtype)
    index: tuple[Any, ...] = (slice(None),) * axis
    for number, array in enumerate(arrays):
        if array.shape != shape:
            raise EngineError(f"a stack of {shape} and {array.shape}")
        made[(*index, number)] = array
    return Tensor(made)


def split(values: Tensor, sizes: Sequence[int], dim: int = 0) -> list[Tensor]:
    if sum(sizes) != values.shape[dim]:
        raise EngineError(f"{values.shape[dim]} numbers do not fall into parts of {list(sizes)}")
    parts, first = [], 0
    for size in sizes:
        parts.append(values.narrow(dim, first, size))
        first += size
    return parts


def unflatten(values: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    shape = values.shape
    axis = dim % len(shape)
    return Tensor(values.array.reshape(*shape[:axis], *sizes, *shape[axis + 1 :]))


def meshgrid(*lines: Tensor, indexing: str) -> list[Tensor]:
    return [Tensor(part) for part in np.meshgrid(*(line.array for line in lines), indexing=indexing)]  # type: ignore[call-overload]


# elementwise


def where(condition: Tensor, first: Any, second: Any) -> Tensor:
    if not isinstance(first, Tensor) and not isinstance(second, Tensor):
        raise EngineError("where of two plain numbers")
    a, b, dtype = pair(first, second)
    return wrapped(np.where(condition.array, a, b), dtype)


def maximum(first: Tensor, second: Tensor) -> Tensor:
    a, b, dtype = pair(first, second)
    return wrapped(np.maximum(a, b), dtype)


def minimum(first: Tensor, second: Tensor) -> Tensor:
    a, b, dtype = pair(first, second)
    return wrapped(np.minimum(a, b), dtype)


def lerp(first: Tensor, last: Tensor, part: Tensor) -> Tensor:
    kinds = {t.dtype for t in (first, last, part)}
    if len(kinds) > 1:
        raise EngineError(f"lerp of {', '.join(sorted(map(str, kinds)))}")
    made = last.array - first.array
    made = made * part.array
    return wrapped(made + first.array, first.dtype)


def _of_numbers(function: Callable[[Array], Any]) -> Callable[[Tensor], Tensor]:
    def operate(values: Tensor) -> Tensor:
        array = real(values)
        return wrapped(function(array), array.dtype)

    return operate


exp, log1p, tanh, cos = (_of_numbers(function) for function in (np.exp, np.log1p, np.tanh, np.cos))


def clone(values: Tensor) -> Tensor:
    return values.clone()


# along dimensions


def nanquantile(values: Tensor, at: float, dim: int) -> Tensor:
    return wrapped(sums.nanquantile(values.array, at, dim), values.dtype)


def searchsorted(ordered: Tensor, values: Tensor) -> Tensor:
    """The first place at which `ordered` (N,) or (B, N) is not below `values`, of the same number of rows."""
    if ordered.ndim == 1:
        return Tensor(np.asarray(np.searchsorted(ordered.array, values.array), WHOLE))
    rows = [np.searchsorted(row, wanted) for row, wanted in zip(ordered.array, values.array, strict=True)]
    return Tensor(np.stack(rows).astype(WHOLE))


def gradient(values: Tensor, *, spacing: tuple[Tensor]) -> list[Tensor]:
    return [Tensor(np.gradient(values.array, spacing[0].array))]


# linear algebra


def addmm(total: Tensor, first: Tensor, second: Tensor) -> Tensor:
    made = (first @ second).array
    made += total.array
    return Tensor(made)


def einsum(formula: str, first: Tensor, second: Tensor) -> Tensor:
    """Of the one formula that is used: sums over N of products, (B, N, H) and (B, N, W) to (B, H, W)."""
    if formula != "bnh,bnw->bhw":
        raise EngineError(f"the numpy engine has no einsum of {formula}")
    return first.transpose(1, 2) @ second


def diag_embed(values: Tensor) -> Tensor:
    side = values.shape[-1]
    made = np.zeros((*values.shape, side), values.dtype)
    made[..., np.arange(side), np.arange(side)] = values.array
    return Tensor(made)


def kron(first: Tensor, second: Tensor) -> Tensor:
    return Tensor(np.kron(first.array, second.array))


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    if right.ndim == matrix.ndim - 1:
        return wrapped(np.linalg.solve(matrix.array, right.array[..., None])[..., 0], matrix.dtype)
    return wrapped(np.linalg.solve(matrix.array, right.array), matrix.dtype)


def _pinv(matrix: Tensor) -> Tensor:
    smallest = max(matrix.shape[-2:]) * np.finfo(matrix.dtype).eps  # as torch has it
    return wrapped(np.linalg.pinv(matrix.array, smallest), matrix.dtype)


def _rfft(values: Tensor) -> Any:
    made = np.fft.rfft(values.array)
    return SimpleNamespace(abs=lambda: Tensor(np.abs(made).astype(values.dtype)))


def erf(values: Tensor) -> Tensor:
    """For tables: slow, but importing SciPy would cost a seventh of a second."""
    array = real(values)
    made = np.fromiter(map(math.erf, array.ravel().tolist()), DOUBLE, array.size)
    return Tensor(made.reshape(array.shape).astype(array.dtype))


def _bessel(order: int) -> Callable[[Tensor], Tensor]:
    """exp(-x) I_n(x) for x >= 0: the mean of exp(x (cos t - 1)) cos(n t), a sum that converges at once for it is
    periodic (Trefethen and Weideman 2014).
    """

    def operate(values: Tensor) -> Tensor:
        x = real(values).astype(DOUBLE)
        if (x < 0).any():
            raise EngineError("Bessel functions are offered from 0 on")
        steps = 48 + int(8 * np.sqrt(x.max(initial=0.0)))
        angle = (np.arange(steps) + 0.5) * (math.pi / steps)
        made = np.zeros_like(x)
        for at in angle:
            made += np.exp(x * (math.cos(at) - 1)) * math.cos(order * at)
        return Tensor((made / steps).astype(real(values).dtype))

    return operate


special = SimpleNamespace(i0e=_bessel(0), i1e=_bessel(1))
linalg = SimpleNamespace(solve=_solve, pinv=_pinv)
fft = SimpleNamespace(rfft=_rfft)
