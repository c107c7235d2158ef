"""A numpy array that answers as a torch tensor does, for the operations that the networks use and for no other.

Types are promoted as torch does it: whole numbers and single precision give single precision, and only what is asked
for in double precision is. Where numpy would slip into double precision, EngineError is raised. What is not offered
raises EngineError, too, rather than meaning something else. Nothing flows back: these tensors have no gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noisediag.engine import sums

Array = NDArray[Any]
Number = float  # the methods of a tensor hide the built-in names
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
WHOLE, BOOL = np.dtype(np.int64), np.dtype(np.bool_)
DTYPES = (BOOL, WHOLE, SINGLE, DOUBLE)


class EngineError(TypeError):
    """A network asks for an operation that this engine does not offer, or mixes types that do not go together."""


class Device(str):
    """The processor: there is no other device here."""

    __slots__ = ()

    @property
    def type(self) -> str:
        return "cpu"


CPU = Device("cpu")


class Sorted(NamedTuple):
    """What `sort` and `topk` return."""

    values: Tensor
    indices: Tensor


def array_of(value: Any) -> Any:
    """The arrays in an index, or in an argument, in the place of tensors."""
    if isinstance(value, tuple):
        return tuple([part.array if isinstance(part, Tensor) else part for part in value])
    return value.array if isinstance(value, Tensor) else value


def common(first: Array, second: Array) -> np.dtype[Any]:
    """The type of what two arrays give: of the higher kind, or of the one that has dimensions where only one has."""
    a, b = first.dtype, second.dtype
    if a == b:
        return a
    kind_a, kind_b = min(DTYPES.index(a), 2), min(DTYPES.index(b), 2)
    if kind_a != kind_b:
        return a if kind_a > kind_b else b
    if bool(first.ndim) != bool(second.ndim):
        return a if first.ndim else b
    return DOUBLE


def pair(first: Any, second: Any) -> tuple[Any, Any, np.dtype[Any]]:
    """Two operands, at least one of them a tensor, ready for numpy, and the type that they give."""
    if not isinstance(first, Tensor):
        b, a, dtype = pair(second, first)
        return a, b, dtype
    a = first.array
    if isinstance(second, Tensor):
        b = second.array
        if a.dtype == b.dtype:
            return a, b, a.dtype
        dtype = common(a, b)
        return a.astype(dtype, copy=False), b.astype(dtype, copy=False), dtype
    if not isinstance(second, bool | int | float):
        raise EngineError(f"a tensor and a {type(second).__name__} do not go together")
    dtype = a.dtype
    if dtype.kind != "f" and isinstance(second, float):
        dtype = SINGLE
    elif dtype == BOOL and not isinstance(second, bool):
        dtype = WHOLE
    return a.astype(dtype, copy=False), dtype.type(second), dtype


def real(tensor: Tensor) -> Array:
    """The array in floating point: whole numbers become single precision, as in torch."""
    array = tensor.array
    return array if array.dtype.kind == "f" else array.astype(SINGLE)


def wrapped(array: Any, dtype: np.dtype[Any]) -> Tensor:
    """`array` as a tensor. Raises EngineError where numpy has made another type of it than torch would."""
    if type(array) is not np.ndarray:
        array = np.asarray(array)
    if array.dtype is not dtype and array.dtype != dtype:
        raise EngineError(f"{array.dtype} where {dtype} was to come: cast it on purpose")
    return Tensor(array)


def _binary(function: Callable[..., Any], *, swapped: bool = False, to_bool: bool = False) -> Any:
    def operate(self: Tensor, other: Any) -> Tensor:
        a = self.array
        dtype = a.dtype
        kind = type(other)
        # The usual cases first: they come thousands of times, and numpy keeps their type by itself.
        if kind is float or kind is int:
            if (dtype is SINGLE or dtype is DOUBLE) and a.ndim:
                return Tensor(function(other, a) if swapped else function(a, other))
        elif isinstance(other, Tensor):
            b = other.array
            if b.dtype is dtype:
                made = function(a, b)
                return Tensor(made if type(made) is np.ndarray else np.asarray(made))
        a, b, dtype = pair(self, other)
        return wrapped(function(b, a) if swapped else function(a, b), BOOL if to_bool else dtype)

    return operate


def _quotient(function: Callable[..., Any], *, swapped: bool = False) -> Any:
    """As `_binary`, but whole numbers are made single precision first: numpy would make them double."""

    def operate(self: Tensor, other: Any) -> Tensor:
        a = self.array
        dtype = a.dtype
        if (dtype is SINGLE or dtype is DOUBLE) and a.ndim:
            kind = type(other)
            if kind is float or kind is int:
                return Tensor(function(other, a) if swapped else function(a, other))
            if isinstance(other, Tensor) and other.array.dtype is dtype:
                return Tensor(function(a, other.array))
        a, b, dtype = pair(self, other)
        if dtype.kind != "f":
            a, b, dtype = np.asarray(a, SINGLE), np.asarray(b, SINGLE), SINGLE
        return wrapped(function(b, a) if swapped else function(a, b), dtype)

    return operate


def _alike(function: Callable[..., Any]) -> Any:
    """An elementwise function that leaves whole numbers whole."""

    def operate(self: Tensor) -> Tensor:
        return wrapped(function(self.array), self.array.dtype)

    return operate


def _in_place(function: Callable[..., Any]) -> Any:
    def operate(self: Tensor, other: Any) -> Tensor:
        a = self.array
        if isinstance(other, Tensor) and other.array.dtype is a.dtype:
            function(a, other.array, out=a)
            return self
        _, b, dtype = pair(self, other)
        if dtype != a.dtype:
            raise EngineError(f"{dtype} does not go into a tensor of {a.dtype}")
        function(a, b, out=a)
        return self

    return operate


@cache
def _rows(count: int) -> Array:
    """Numbers of so many rows, (count, 1)."""
    return np.arange(count)[:, None]


def _unary(function: Callable[..., Any]) -> Any:
    """An elementwise function of numbers in floating point."""

    def operate(self: Tensor) -> Tensor:
        array = real(self)
        return wrapped(function(array), array.dtype)

    return operate


def _reduction(function: Callable[..., Any]) -> Any:
    """Along no, one or several dimensions."""

    def operate(self: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
        array = self.array
        return Tensor(np.asarray(function(array, axis=dim, keepdims=keepdim)))

    return operate


class Tensor:
    """`array`, under torch's names; see the module."""

    __slots__ = ("array",)

    def __init__(self, array: Array):
        self.array = array

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise EngineError(f"the numpy engine has no Tensor.{name}")

    # what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def device(self) -> Device:
        return CPU

    def numel(self) -> int:
        return self.array.size

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[Tensor]:
        return (Tensor(np.asarray(part)) for part in self.array)

    def __repr__(self) -> str:
        return f"Tensor({self.array!r})"

    def __float__(self) -> Number:
        return float(self.array.item())

    def __int__(self) -> int:
        return int(self.array.item())

    def __bool__(self) -> bool:
        return bool(self.array.item())

    def __index__(self) -> int:
        return self.array.__index__()

    def item(self) -> Any:
        return self.array.item()

    def tolist(self) -> Any:
        return self.array.tolist()

    def numpy(self) -> Array:
        return self.array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return self.array if dtype is None else self.array.astype(dtype)

    def __deepcopy__(self, memo: Any) -> Tensor:
        return Tensor(self.array.copy())

    # parts, shapes and types

    def __getitem__(self, index: Any) -> Tensor:
        kind = type(index)
        if kind is not int and kind is not slice:
            index = array_of(index)
        made = self.array[index]
        return Tensor(made if type(made) is np.ndarray else np.asarray(made))

    def __setitem__(self, index: Any, value: Any) -> None:
        value = array_of(value)
        if isinstance(value, np.ndarray) and value.dtype == DOUBLE and self.array.dtype == SINGLE and value.ndim:
            raise EngineError("double precision does not go into single precision unasked")
        self.array[array_of(index)] = value

    @property
    def T(self) -> Tensor:  # noqa: N802 - torch's name
        return Tensor(self.array.T)

    def reshape(self, *shape: Any) -> Tensor:
        return Tensor(self.array.reshape(*shape))

    def flatten(self, first: int = 0, last: int = -1) -> Tensor:
        shape = self.array.shape
        last %= len(shape)
        return Tensor(self.array.reshape(*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))

    def transpose(self, first: int, second: int) -> Tensor:
        return Tensor(self.array.swapaxes(first, second))

    def permute(self, *order: int) -> Tensor:
        return Tensor(self.array.transpose(order))

    def expand(self, *shape: int) -> Tensor:
        own = (1,) * (len(shape) - self.array.ndim) + self.array.shape
        sides = tuple(there if side == -1 else side for side, there in zip(shape, own, strict=True))
        return Tensor(np.broadcast_to(self.array, sides))

    def expand_as(self, other: Tensor) -> Tensor:
        return Tensor(np.broadcast_to(self.array, other.array.shape))

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        array = self.array
        index: tuple[Any, ...] = (slice(None),) * (dim % array.ndim)
        return tuple(Tensor(np.asarray(array[(*index, number)])) for number in range(array.shape[dim]))

    def narrow(self, dim: int, start: int, length: int) -> Tensor:
        index = (slice(None),) * (dim % self.array.ndim) + (slice(start, start + length),)
        return Tensor(self.array[index])

    def diagonal(self, *, dim1: int = 0, dim2: int = 1) -> Tensor:
        return Tensor(self.array.diagonal(0, dim1, dim2))

    def repeat(self, *times: int) -> Tensor:
        return Tensor(np.tile(self.array, times))

    def clone(self) -> Tensor:
        return Tensor(self.array.copy())

    def contiguous(self) -> Tensor:
        return Tensor(np.ascontiguousarray(self.array))

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def to(self, wanted: Any) -> Tensor:
        """Of the type of another tensor, of this type; a device changes nothing."""
        if isinstance(wanted, Tensor):
            wanted = wanted.array.dtype
        if isinstance(wanted, Device):
            return self
        if wanted not in DTYPES:
            raise EngineError(f"the numpy engine has no tensors of {wanted}")
        return Tensor(self.array.astype(wanted, copy=False))

    def float(self) -> Tensor:
        return Tensor(self.array.astype(SINGLE, copy=False))

    def double(self) -> Tensor:
        return Tensor(self.array.astype(DOUBLE, copy=False))

    def long(self) -> Tensor:
        return Tensor(self.array.astype(WHOLE))

    def new_full(self, shape: Sequence[int], value: Number) -> Tensor:
        return Tensor(np.full(shape, value, self.array.dtype))

    # arithmetic

    __hash__ = None  # type: ignore[assignment] # as arrays have none
    __add__ = _binary(np.add)
    __radd__ = __add__
    __sub__ = _binary(np.subtract)
    __rsub__ = _binary(np.subtract, swapped=True)
    __mul__ = _binary(np.multiply)
    __rmul__ = __mul__
    __truediv__ = _quotient(np.divide)
    __rtruediv__ = _quotient(np.divide, swapped=True)
    __floordiv__ = _binary(np.floor_divide)
    __and__ = _binary(np.bitwise_and)
    __or__ = _binary(np.bitwise_or)
    __lt__ = _binary(np.less, to_bool=True)
    __le__ = _binary(np.less_equal, to_bool=True)
    __gt__ = _binary(np.greater, to_bool=True)
    __ge__ = _binary(np.greater_equal, to_bool=True)
    __eq__ = _binary(np.equal, to_bool=True)
    __ne__ = _binary(np.not_equal, to_bool=True)
    __iadd__ = add_ = _in_place(np.add)
    __isub__ = _in_place(np.subtract)
    __imul__ = mul_ = _in_place(np.multiply)
    __itruediv__ = _in_place(np.divide)
    __iand__ = _in_place(np.bitwise_and)
    __ior__ = _in_place(np.bitwise_or)

    def __pow__(self, exponent: Number) -> Tensor:
        array = real(self)
        if exponent == 2:
            return wrapped(array * array, array.dtype)
        if exponent == 3:
            return wrapped(array * array * array, array.dtype)
        return wrapped(np.power(array, array.dtype.type(exponent)), array.dtype)

    def __neg__(self) -> Tensor:
        return Tensor(np.asarray(np.negative(self.array)))

    def __invert__(self) -> Tensor:
        if self.array.dtype != BOOL:
            raise EngineError("~ is that of truth values")
        return Tensor(np.asarray(np.logical_not(self.array)))

    def __matmul__(self, other: Tensor) -> Tensor:
        a, b = self.array, other.array
        if a.dtype != b.dtype or a.dtype.kind != "f":
            raise EngineError(f"a product of matrices of {a.dtype} and {b.dtype}")
        if a.ndim == 2:  # row by row: what becomes of one, a bag, does not depend on those beside it
            return Tensor(np.matmul(a[:, None], b)[:, 0])
        return wrapped(np.matmul(a, b), a.dtype)

    # elementwise

    abs = _alike(np.abs)
    exp = _unary(np.exp)
    log = _unary(np.log)
    sqrt = _unary(np.sqrt)
    square = _alike(np.square)
    sign = _alike(np.sign)
    floor = _alike(np.floor)
    round = _alike(np.round)
    reciprocal = _unary(np.reciprocal)

    def sigmoid(self) -> Tensor:
        array = real(self)
        with np.errstate(over="ignore"):  # of far below 0: 1 / inf is what it is
            made = np.asarray(np.negative(array))
            np.exp(made, out=made)
            made += 1
            return Tensor(np.divide(1, made, out=made))

    def digamma(self) -> Tensor:
        """Of halves of whole numbers, up from that of 1 and of 1/2 (Abramowitz and Stegun 6.3.2 to 6.3.5)."""
        array = real(self)
        twice = np.rint(2 * array.astype(DOUBLE)).astype(int)
        if (twice != 2 * array).any() or (twice < 1).any():
            raise EngineError("digamma is offered for halves of whole numbers")
        ladder = [math.nan, -np.euler_gamma - 2 * math.log(2), -np.euler_gamma]
        for number in range(3, int(twice.max()) + 1):
            ladder.append(ladder[number - 2] + 2 / (number - 2))
        return Tensor(np.array(ladder)[twice].astype(array.dtype))

    def clamp(self, min: Number | None = None, max: Number | None = None) -> Tensor:  # noqa: A002 - torch's names
        array = self.array
        if array.dtype.kind != "f" and any(isinstance(end, float) for end in (min, max)):
            array = array.astype(SINGLE)
        dtype = array.dtype
        if not array.ndim:
            min, max = (end if end is None else dtype.type(end) for end in (min, max))  # noqa: A001
        elif dtype.kind == "f" and min is not None:  # as the usual cases of `_binary`
            array = np.maximum(array, min)
            return Tensor(array if max is None else np.minimum(array, max, out=array))
        if min is not None:
            array = np.maximum(array, min)
        if max is not None:
            array = np.minimum(array, max)
        return wrapped(array, dtype)

    def nan_to_num(self, nan: Number = 0.0, posinf: Number | None = None, neginf: Number | None = None) -> Tensor:
        return Tensor(np.nan_to_num(self.array, nan=nan, posinf=posinf, neginf=neginf))

    def masked_fill(self, mask: Tensor, value: Number) -> Tensor:
        return wrapped(np.where(mask.array, self.array.dtype.type(value), self.array), self.array.dtype)

    def zero_(self) -> Tensor:
        self.array.fill(0)
        return self

    def copy_(self, other: Tensor) -> Tensor:
        self.array[...] = other.array
        return self

    # along dimensions

    amax = _reduction(np.max)
    amin = _reduction(np.min)
    any = _reduction(np.any)
    all = _reduction(np.all)

    def max(self) -> Tensor:
        return Tensor(np.asarray(self.array.max()))

    def sum(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        array = self.array
        if array.dtype == BOOL:
            return Tensor(np.asarray(np.sum(array, axis=dim, keepdims=keepdim, dtype=WHOLE)))
        return Tensor(sums.total(array, dim, keepdim))

    def mean(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        array = self.array
        if array.dtype.kind != "f":
            raise EngineError(f"the mean of {array.dtype}: cast it first")
        total = sums.total(array, dim, keepdim)
        total = total / array.dtype.type(array.size // max(total.size, 1))
        return Tensor(total if type(total) is np.ndarray else np.asarray(total))

    def std(self, dim: int, *, correction: int = 1) -> Tensor:
        array = self.array
        return Tensor(np.asarray(np.std(array, axis=dim, dtype=DOUBLE, ddof=correction)).astype(array.dtype))

    def cumsum(self, dim: int) -> Tensor:
        array = self.array  # in double precision, as torch does it on a processor
        return Tensor(np.cumsum(array, axis=dim, dtype=DOUBLE).astype(array.dtype, copy=False))

    def softmax(self, dim: int) -> Tensor:
        return wrapped(sums.softmax(self.array, dim), self.array.dtype)

    def log_softmax(self, dim: int) -> Tensor:
        away = self.array - self.array.max(axis=dim, keepdims=True)
        return wrapped(away - np.log(np.exp(away).sum(axis=dim, keepdims=True)), self.array.dtype)

    def logsumexp(self, dim: int, keepdim: bool = False) -> Tensor:
        most = self.array.max(axis=dim, keepdims=True)
        made = most + np.log(np.exp(self.array - most).sum(axis=dim, keepdims=True))
        return wrapped(made if keepdim else made.squeeze(dim), self.array.dtype)

    def argmax(self, dim: int) -> Tensor:
        return Tensor(np.asarray(self.array.argmax(dim)))

    def argmin(self, dim: int) -> Tensor:
        return Tensor(np.asarray(self.array.argmin(dim)))

    def argsort(self, dim: int, stable: bool = True) -> Tensor:
        return Tensor(sums.argsort(self.array, dim))

    def sort(self, dim: int) -> Sorted:
        order = sums.argsort(self.array, dim)
        return Sorted(Tensor(np.take_along_axis(self.array, order, dim)), Tensor(order))

    def topk(self, count: int, *, largest: bool) -> Sorted:
        """The smallest ones along the last dimension, ascending; of equal ones the first."""
        if largest:
            raise EngineError("topk is offered for the smallest alone")
        order = sums.argsort(self.array, -1)[..., :count]
        return Sorted(Tensor(np.take_along_axis(self.array, order, -1)), Tensor(order))

    def quantile(self, at: Tensor | Number, dim: int) -> Tensor:
        return Tensor(sums.quantile(self.array, array_of(at), dim))

    def gather(self, dim: int, index: Tensor) -> Tensor:
        own = self.array
        if own.ndim == 2 and dim % 2 == 1:
            rows = _rows(len(index.array))
            return Tensor(own[rows, index.array])
        sides = tuple(
            slice(None) if axis == dim % own.ndim else slice(side) for axis, side in enumerate(index.array.shape)
        )
        return Tensor(np.take_along_axis(own[sides], index.array, dim))

    def scatter_(self, dim: int, index: Tensor, source: Tensor) -> Tensor:
        np.put_along_axis(self.array, index.array, source.array, dim)
        return self

    def scatter_add_(self, dim: int, index: Tensor, source: Tensor) -> Tensor:
        """Of tensors (B, N) along their last dimension."""
        if self.array.ndim != 2 or dim % 2 != 1:
            raise EngineError("scatter_add_ is offered along the last of two dimensions")
        for row, at, values in zip(self.array, index.array, source.array, strict=True):
            row += np.bincount(at, values, len(row)).astype(row.dtype)
        return self

    def index_add_(self, dim: int, index: Tensor, source: Tensor) -> Tensor:
        """Of tensors (N,)."""
        if self.array.ndim != 1 or dim != 0:
            raise EngineError("index_add_ is offered along the only dimension")
        self.array += np.bincount(index.array, source.array, len(self.array)).astype(self.array.dtype)
        return self

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        if as_tuple:
            array = self.array  # places in the flat array are found several times faster
            flat = np.flatnonzero(array)
            return tuple(Tensor(part) for part in np.unravel_index(flat, array.shape))
        return Tensor(np.argwhere(self.array))
