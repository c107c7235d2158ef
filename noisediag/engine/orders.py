"""Medians, quantiles and distinct values, as numpy's.

Its own import a module of masked arrays, 20 ms at the start, and take several times as long for small arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def median(values: NDArray[Any], axis: int | None = None) -> Any:
    """Along `axis`, or of all: the mean of two where there is no middle one. Not-a-number of nothing, and of what holds
    a not-a-number.
    """
    moved = values.reshape(-1) if axis is None else np.moveaxis(values, axis, -1)
    count = moved.shape[-1]
    if count == 0:
        return np.full(moved.shape[:-1], np.nan)[()]
    upper = count // 2
    lower = upper if count % 2 else upper - 1
    ordered = np.partition(moved, sorted({lower, upper, count - 1}), axis=-1)  # a not-a-number comes last
    last = ordered[..., -1]
    middle = ordered[..., lower : upper + 1].mean(-1)
    return np.where(np.isnan(last), last, middle)[()] if last.dtype.kind == "f" else middle


def quantile(values: NDArray[Any], at: float | tuple[float, ...]) -> Any:
    """Quantiles of all `values`, by straight lines: a number of their type, or (Q,) float64.

    There is at least one value, and none is not-a-number.
    """
    flat = values.reshape(-1)
    kind = flat.dtype if flat.dtype.kind == "f" and isinstance(at, float) else np.dtype(np.float64)
    place = np.asarray(at, kind) * kind.type(flat.size - 1)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, flat.size - 1)
    ordered = np.partition(flat, sorted({*low.reshape(-1).tolist(), *high.reshape(-1).tolist()}))
    first, second, part = ordered[low], ordered[high], (place - low).astype(kind)
    step = second - first if flat.dtype.kind == "f" else second.astype(kind) - first
    return np.where(part < 0.5, first + step * part, second - step * (1 - part))[()]


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """The different values, ascending, of an array of any shape without not-a-numbers."""
    ordered = np.sort(values, axis=None)
    first = np.ones(ordered.size, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return np.asarray(ordered[first])
