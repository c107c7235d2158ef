"""Arrays of other libraries as numpy's, without importing any of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UnsupportedError, UsageError, WrongTypeError

ROWS = ("y", "row", "rows", "height", "h", "lat", "latitude")
COLUMNS = ("x", "column", "columns", "col", "width", "w", "lon", "longitude")
CHANNELS = ("c", "channel", "channels", "band", "bands", "s", "rgb", "color", "colour")
_FREE = "TZQPONM"  # letters of axes that have other names


@dataclass(frozen=True, eq=False)
class Array:
    """Pixels, the letters of their axes where the object names them, and the code of masked pixels, if any."""

    values: NDArray[Any]
    axes: str | None = None
    missing_code: float | None = None


def is_tensor(source: object) -> bool:
    """Whether `source` is a tensor of torch, which is not imported to tell: whoever has one has imported it."""
    torch = sys.modules.get("torch")
    kind = getattr(torch, "Tensor", None)
    return kind is not None and isinstance(source, kind)


def converted(source: Any, axes: str | None) -> Array | None:
    """`source` as an array of numpy's; None where it is none.

    Tensors come from whatever device; dask arrays are computed; the names of xarray's dimensions say which axes they
    are. Raises UsageError for a tensor of which nobody can tell whether its first axis is colours or frames.
    """
    if isinstance(source, np.ndarray):
        return _plain(source)
    if isinstance(source, np.generic):
        return None
    if is_tensor(source):
        return _tensor(source, axes)
    if isinstance(source, Mapping) and not hasattr(source, "__array__"):
        return None
    if not (hasattr(source, "__array__") or hasattr(source, "__array_interface__")):
        return None
    try:
        found = np.asarray(source)
    except Exception as error:  # whatever the other library raises, as CuPy does for arrays on its device
        raise WrongTypeError(f"{_name(source)} does not become an array of numpy's: {error}") from error
    if found.ndim == 0 and found.dtype.kind == "O":
        return None
    if found.dtype.kind not in "biufc":
        raise WrongTypeError(
            f"{_name(source)} holds values of type {found.dtype} and no pixels; estimate_many takes several pictures"
        )
    return Array(_native(found), axes=_named_axes(source, found.ndim))


def _plain(array: NDArray[Any]) -> Array:
    if isinstance(array, np.ma.MaskedArray):
        values, code = _marked(array)
        return Array(_native(values), missing_code=code)
    return Array(_native(np.asarray(array)))


def _tensor(tensor: Any, axes: str | None) -> Array:
    if tensor.ndim == 3 and axes is None and tensor.shape[0] in (1, 3, 4) and tensor.shape[2] not in (1, 3, 4):
        if tensor.shape[0] != 1:
            raise UsageError(
                f"a tensor of shape {tuple(tensor.shape)} is {tensor.shape[0]} colours or {tensor.shape[0]} frames: "
                "say axes='CHW' or axes='THW'"
            )
        tensor = tensor[0]
    found = tensor.detach().cpu()
    if str(found.dtype) == "torch.bfloat16":  # which numpy does not have
        found = found.float()
    try:
        values = found.resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError) as error:  # of sparse, quantised or nested tensors
        raise WrongTypeError(f"the tensor does not become an array of numpy's: {error}") from None
    return Array(_native(values))


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """`values` in a type that is read: 64-bit integers that fit in 32 bits, native byte order, no more than doubles."""
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        return values.astype(np.float64)
    if values.dtype.kind in "iu" and values.dtype.itemsize > 4:
        lowest, highest = (int(values.min()), int(values.max())) if values.size else (0, 0)
        for small in (np.int32, np.uint32):
            if np.iinfo(small).min <= lowest and highest <= np.iinfo(small).max:
                return values.astype(small)
        raise UnsupportedError(f"pixels of type {values.dtype} from {lowest} to {highest}: more than 32 bits hold")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _marked(array: np.ma.MaskedArray[Any, Any]) -> tuple[NDArray[Any], float | None]:
    """The values, masked ones replaced by a code that no other pixel has, and that code; not-a-number in floats."""
    mask = np.ma.getmaskarray(array)
    if not mask.any():
        return array.data, None
    if array.dtype.kind == "f":
        return array.filled(np.nan), None
    if array.dtype.kind not in "iu":
        raise UnsupportedError(f"pixels of type {array.dtype} are not read")
    limits, present = np.iinfo(array.dtype), np.unique(array.data[~mask])
    ends = [code for code in (limits.max, limits.min) if code not in present]
    between = present[:-1][np.diff(present.astype(object)) > 1]
    if not ends and not between.size:
        raise UnsupportedError("the pixels use every code, so none is left for the masked ones: give them as floats")
    code = ends[0] if ends else int(between[0]) + 1
    return array.filled(code), float(code)


def _named_axes(source: Any, ndim: int) -> str | None:
    """The letters of the dimensions that xarray names; None where it does not name rows and columns."""
    dims = getattr(source, "dims", None)
    if not (isinstance(dims, tuple) and len(dims) == ndim and all(isinstance(name, str) for name in dims)):
        return None
    names = [name.lower() for name in dims]
    if not any(name in ROWS for name in names) or not any(name in COLUMNS for name in names):
        return None
    free, letters = iter(_FREE), []
    for name in names:
        known = {"Y": ROWS, "X": COLUMNS, "C": CHANNELS, "T": ("t", "time"), "Z": ("z", "depth")}
        letter = next((letter for letter, words in known.items() if name in words), None)
        letters.append(letter if letter and letter not in letters else next(one for one in free if one not in letters))
    return "".join(letters)


def _name(source: object) -> str:
    kind = type(source)
    return (
        kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    )
