"""Sums, orders and quantiles along dimensions: as exact as torch's, and without numpy's slow cases."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SHORT = 64  # Along so few contiguous numbers a product with ones is faster than a sum.
FEW = 16  # columns that are turned into rows
FEW_TO_SORT = 256  # numbers that are sorted rather than parted
LONG = 128  # More rows than this are added up in parts, whose sums are added then: single precision loses less.


@cache
def _ones(count: int, dtype: np.dtype[Any]) -> Array:
    return np.ones(count, dtype)


def total(array: Array, dim: Any, keepdim: bool) -> Array:
    """The sum along `dim`: None, one, or several. Of one entry of the first dimension, a bag, it does not depend on
    the others.
    """
    if dim.__class__ is int and array.dtype.kind == "f":
        axis = dim % array.ndim
        shape = array.shape
        if axis == array.ndim - 1:
            if shape[-1] <= SHORT and axis and array.size and array.strides[-1] == array.itemsize:
                rows = {2: array[:, None], 3: array}.get(array.ndim)
                if rows is None and array.flags.c_contiguous:
                    rows = array.reshape(shape[0], -1, shape[-1])
                if rows is not None:
                    sums = np.matmul(rows, _ones(shape[-1], array.dtype))
                    return np.asarray(sums.reshape(*shape[:-1], 1) if keepdim else sums.reshape(shape[:-1]))
        elif shape[axis] > LONG and array.dtype == np.float32:
            return _in_parts(array, axis, keepdim)
        elif axis == 1 and array.ndim == 3 and shape[2] <= FEW and array.flags.c_contiguous:
            sums = np.matmul(_ones(shape[1], array.dtype), array)
            return np.asarray(sums[:, None] if keepdim else sums)
    return np.asarray(array.sum(axis=dim, keepdims=keepdim))


def _in_parts(array: Array, axis: int, keepdim: bool) -> Array:
    """The sum along a long `axis` that is not the last one."""
    parts = array.shape[axis] // LONG
    index = (slice(None),) * axis
    shape = array.shape
    whole = array[(*index, slice(parts * LONG))].reshape(*shape[:axis], parts, LONG, *shape[axis + 1 :])
    if axis == 1 and array.ndim == 3 and shape[2] <= FEW and array.flags.c_contiguous:
        made = np.matmul(_ones(LONG, array.dtype), whole)
    else:
        made = np.add.reduce(whole, axis=axis + 1)
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
    moved = np.moveaxis(array, dim, -1) if dim % array.ndim != array.ndim - 1 else array
    wanted = np.asarray(at, array.dtype).reshape(-1)
    place = wanted * wanted.dtype.type(moved.shape[-1] - 1)
    low, high = np.floor(place).astype(np.intp), np.ceil(place).astype(np.intp)
    if moved.shape[-1] <= FEW_TO_SORT:
        ordered = np.sort(moved, axis=-1)
    else:  # the last one, too: there a not-a-number would be
        ordered = np.partition(moved, sorted({*low.tolist(), *high.tolist(), moved.shape[-1] - 1}), axis=-1)
    bad = np.isnan(ordered[..., -1])
    shape = (-1, *(1,) * (moved.ndim - 1))
    along = (moved.ndim - 1, *range(moved.ndim - 1))
    first, second = (ordered[..., i].transpose(along) for i in (low, high))
    made = _between(first, second, (place - low).astype(array.dtype).reshape(shape))
    if bad.any():
        made[:, bad] = np.nan
    return made if np.ndim(at) else np.asarray(made[0])


def nanquantile(array: Array, at: float, dim: int) -> Array:
    """The same of the numbers alone; not-a-number where there is none."""
    moved = np.sort(np.moveaxis(array, dim, -1), axis=-1)  # those that are none come last
    last = (~np.isnan(moved)).sum(-1) - 1
    place = (np.asarray(at, array.dtype) * last.clip(0)).astype(array.dtype)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, last.clip(0))
    first, second = (np.take_along_axis(moved, i[..., None], -1)[..., 0] for i in (low, high))
    return _between(first, second, (place - low).astype(array.dtype))


def _between(first: Array, second: Array, part: Array) -> Array:
    """`part` of the way, rounded once and from the nearer end, as torch does it: an edge between two numbers may lie on
    one of them, and then the last bit decides.
    """
    wide = np.float64
    step = second.astype(wide) - first
    step = step.astype(first.dtype).astype(wide)
    near = np.where(part < 0.5, first + part.astype(wide) * step, second + (part - first.dtype.type(1)) * step)
    return np.asarray(near.astype(first.dtype))
