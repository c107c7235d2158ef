"""Sums, orders and quantiles along dimensions: as exact as torch's, and without numpy's slow cases."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SHORT = 64  # Along so few contiguous numbers a product with ones is faster than a sum.
FEW = 16  # columns that are turned into rows
LONG = 128  # More rows than this are added up in parts, whose sums are added then: single precision loses less.


@cache
def _ones(count: int, dtype: np.dtype[Any]) -> Array:
    return np.ones(count, dtype)


def total(array: Array, dim: Any, keepdim: bool) -> Array:
    """The sum along `dim`: None, one, or several."""
    if dim is None:
        return np.asarray(array.sum(keepdims=keepdim))
    if isinstance(dim, int) and array.dtype.kind == "f":
        axis = dim % array.ndim
        if axis == array.ndim - 1:
            if array.shape[-1] <= SHORT and array.size and array.flags.c_contiguous and array.ndim > 1:
                made = np.dot(array.reshape(-1, array.shape[-1]), _ones(array.shape[-1], array.dtype))
                return np.asarray(made.reshape(*array.shape[:-1], *((1,) if keepdim else ())))
        elif array.shape[axis] > LONG and array.dtype == np.float32:
            return _in_parts(array, axis, keepdim)
    return np.asarray(array.sum(axis=dim, keepdims=keepdim))


def _in_parts(array: Array, axis: int, keepdim: bool) -> Array:
    """The sum along a long `axis` that is not the last one."""
    parts = array.shape[axis] // LONG
    index = (slice(None),) * axis
    shape = array.shape
    whole = array[(*index, slice(parts * LONG))].reshape(*shape[:axis], parts, LONG, *shape[axis + 1 :])
    made = whole.sum(axis=axis + 1)
    made = _in_parts(made, axis, False) if parts > LONG else made.sum(axis=axis)
    if parts * LONG < shape[axis]:
        made = made + array[(*index, slice(parts * LONG, None))].sum(axis=axis)
    return np.expand_dims(made, axis) if keepdim else np.asarray(made)


def softmax(array: Array, dim: int) -> Array:
    """exp over the sum of exp. Along a short last dimension the greatest is found column by column: faster."""
    last = dim % array.ndim == array.ndim - 1
    if not last and array.ndim == 3 and dim % 3 == 1 and array.shape[2] <= FEW:  # of few columns, each on its own
        return softmax(np.ascontiguousarray(array.swapaxes(1, 2)), 2).swapaxes(1, 2)
    if last and array.shape[-1] <= SHORT and array.size > array.shape[-1] * SHORT:
        most = array[..., 0].copy()
        for column in range(1, array.shape[-1]):
            np.maximum(most, array[..., column], out=most)
        most = most[..., None]
    else:
        most = array.max(axis=dim, keepdims=True)
    made = array - most
    np.exp(made, out=made)
    made /= total(made, dim, keepdim=True)
    return np.asarray(made)


def argsort(array: Array, dim: int) -> Array:
    """Ascending, not-a-number last; of equal ones the first comes first."""
    return np.argsort(array, axis=dim, kind="stable")


def quantile(array: Array, at: Any, dim: int) -> Array:
    """Quantiles `at` (a number or (Q,)) along `dim`, by straight lines: in front the Q, if there are several.

    As torch: a not-a-number makes its quantiles one.
    """
    moved = np.moveaxis(array, dim, -1)
    made = _quantiles(moved, np.atleast_1d(np.asarray(at, array.dtype)), moved.shape[-1] - 1)
    made = np.where(np.isnan(moved).any(-1), array.dtype.type(np.nan), made)
    return np.asarray(made if np.ndim(at) else made[0])


def nanquantile(array: Array, at: float, dim: int) -> Array:
    """The same of the numbers alone; not-a-number where there is none."""
    moved = np.sort(np.moveaxis(array, dim, -1), axis=-1)  # those that are none come last
    last = (~np.isnan(moved)).sum(-1) - 1
    place = (np.asarray(at, array.dtype) * last.clip(0)).astype(array.dtype)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, last.clip(0))
    first, second = (np.take_along_axis(moved, i[..., None], -1)[..., 0] for i in (low, high))
    return _between(first, second, (place - low).astype(array.dtype))


def _quantiles(moved: Array, at: Array, last: int) -> Array:
    """(Q, ...) along the last dimension, of `last` + 1 numbers."""
    place = at * at.dtype.type(last)
    low = np.floor(place).astype(np.int64)
    high = np.ceil(place).astype(np.int64)
    wanted = sorted({*low.tolist(), *high.tolist()})
    ordered = np.partition(moved, wanted, axis=-1)
    first, second = (np.moveaxis(ordered[..., i], -1, 0) for i in (low, high))
    part = (place - low).astype(moved.dtype).reshape(-1, *(1,) * (moved.ndim - 1))
    return _between(first, second, part)


def _between(first: Array, second: Array, part: Array) -> Array:
    """`part` of the way, rounded once and from the nearer end, as torch does it: an edge between two numbers may lie on
    one of them, and then the last bit decides.
    """
    wide = np.float64
    step = second.astype(wide) - first
    step = step.astype(first.dtype).astype(wide)
    near = np.where(part < 0.5, first + part.astype(wide) * step, second + (part - first.dtype.type(1)) * step)
    return np.asarray(near.astype(first.dtype))
