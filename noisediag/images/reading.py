"""`read` and `from_array`: the two ways into noisediag."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import os
import stat
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from noisediag.errors import (
    OUT_OF_MEMORY,
    InputError,
    NoisediagError,
    PermissionDeniedError,
    TooLargeError,
    TruncatedError,
    UnreadableError,
    UsageError,
)
from noisediag.images import array, packed, zarr_store
from noisediag.images.formats import Format, identify
from noisediag.images.image import Codes, Domain, Image
from noisediag.images.selection import Roi, as_linear, at_frame, override, select
from noisediag.images.source import check_span
from noisediag.sharing import Shared

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Selection:
    """The options of `read`."""

    black: float | None = None
    white: float | None = None
    channel: str | int | None = None
    frame: int | None = None
    roi: Roi | None = None
    linear: bool = False
    series: str | int | None = None
    z: int | None = None
    dataset: str | None = None


def read(
    path: str | os.PathLike[str],
    *,
    black: float | None = None,
    white: float | None = None,
    channel: str | int | None = None,
    frame: int | None = None,
    roi: Roi | None = None,
    linear: bool = False,
    series: str | int | None = None,
    z: int | None = None,
    dataset: str | None = None,
) -> Image:
    """The file at `path` as planes of code values with their scale.

    `black`, `white`: replace the levels of every plane (DN). `channel` (name or index), `frame` (index) select planes.
    `roi`: (x, y, width, height) in pixels of the stored picture; of a RAW file in pixels of the visible mosaic, shrunk
    to whole periods of the colour-filter pattern. `linear`: the codes are proportional to light, also in formats that
    hold rendered pictures. `series` (name or number): one of the pictures of a file that holds several; `dataset`: the
    path of one within an HDF5 file or a Zarr store; `z`: one depth of a focus series, frames are then counted over the
    other axes.

    Single pictures are decoded here and kept; stacks are read page by page at `Plane.load`. Raises a subclass of
    InputError, its message `path: reason`, here or at `load`; UsageError for a selection the file cannot satisfy.
    """
    file = Path(path)
    return _loaded(file, printable(file), Selection(black, white, channel, frame, roi, linear, series, z, dataset))


def read_content(content: bytes, selection: Selection, *, name: str | None = None) -> Image:
    """What `read` makes of the content of a file; `name`: what it is called in messages and in reports.

    The readers need a file: the content stands in a temporary one for as long as the image is in use. Raises as `read`.
    """
    held = packed.held(content)
    image = _loaded(held.path, name or "the content", selection, held)
    return replace(image, path=name)


def _loaded(file: Path, name: str, selection: Selection, held: packed.Unpacked | None = None) -> Image:
    """See `read`. `name`: what messages call the file; `held`: what keeps it there, where it is a temporary one."""
    black, white, linear = selection.black, selection.white, selection.linear
    with _guard(name):
        mode = file.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise UnreadableError("is not a regular file")
        content = None
        if stat.S_ISDIR(mode):
            image = _read_store(file, selection.series, selection.dataset)
        else:
            content = packed.unpacked(file) if packed.is_packed(file) else None
            source = file if content is None else content.path
            image = replace(
                _read(source, identify(source), selection.series, selection.dataset),
                path=str(file),
            )
            image = replace(image, sha256=_sha256(file, image.siblings))
        if not image.planes:
            raise UnreadableError("holds no picture")
        image = at_frame(image, selection.frame)
        image = as_linear(image) if linear else image
        image = select(
            override(image, black=black, white=white),
            channel=selection.channel,
            frame=selection.frame,
            z=selection.z,
            roi=selection.roi,
        )
        for plane in image.planes:
            if not plane.black_dn < plane.white_dn < float("inf"):
                levels = f"black {plane.black_dn:g} is not below white {plane.white_dn:g}"
                raise UnreadableError(f"says that {levels}: give --black and --white")
            check_span(plane.white_dn - plane.black_dn)
    kept = content or held
    planes = tuple(replace(plane, load=_guarded(plane.load, name, kept)) for plane in image.planes)
    return replace(image, planes=planes)


def _read(path: Path, form: Format, series: str | int | None, dataset: str | None) -> Image:
    """What the reader of `form` makes of the file. Raises UsageError for options that it does not take."""
    read_ = importlib.import_module(f"noisediag.images.{form}").read
    given = {name: value for name, value in (("series", series), ("dataset", dataset)) if value is not None}
    for name in given:
        if name not in inspect.signature(read_).parameters:
            raise UsageError(f"--{name}: there is nothing to choose by it in a file of this kind ({form})")
    image: Image = read_(path, **given)
    return image


def _read_store(folder: Path, series: str | int | None, dataset: str | None) -> Image:
    """A picture of the Zarr store in `folder`; its path is that of the picture, which may lie below."""
    if not zarr_store.is_store(folder):
        raise UnreadableError("is a directory")
    notes: list[str] = []
    place = zarr_store.picture(folder, series, notes)
    image = _read(place, "zarr", None, dataset)
    digest = zarr_store.sha256(place)
    return replace(image, path=str(place), sha256=digest, warnings=(*notes, *image.warnings))


def pictures(path: Path) -> tuple[Path, ...]:
    """What `read` takes one by one: the fields of the plate in a Zarr store, the series of a collection; else `path`.

    Raises nothing: what is wrong with a store is said when it is read.
    """
    try:
        return zarr_store.members(path) if path.is_dir() and zarr_store.is_store(path) else (path,)
    except (InputError, OSError):
        return (path,)


def from_array(
    array_: Codes,
    *,
    black: float | None = None,
    white: float | None = None,
    domain: Domain | None = None,
    linear: bool = False,
    axes: str | None = None,
    missing_code: float | None = None,
    reader: str = "array",
) -> Image:
    """An array as an image: (height, width); (frames, height, width); colour (height, width, 3 or 4).

    Three axes are colour where the last one is 1, 3 or 4 long, and frames first otherwise. `axes` says what they are: a
    letter an axis, Y and X (or H and W) for rows and columns, C for channels or S for the colours of a pixel, any other
    for frames, as in "CYX" or "THWC". `domain` None: "rendered" for colours of 8 bits, else "linear". `linear`: the
    codes of a colour array are proportional to light. `missing_code`: of pixels that hold no value. Raises
    UnsupportedError for other shapes and types, UsageError for axes that do not fit.
    """
    linear = linear or domain == "linear"
    image = array.image(
        np.asarray(array_),
        domain=None if linear else domain,
        reader=reader,
        axes=axes,
        missing_code=missing_code,
    )
    return override(as_linear(image) if linear else image, black=black, white=white)


def printable(path: Path) -> str:
    r"""The path as text; bytes that are no UTF-8 become \xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _sha256(path: Path, others: Sequence[Path]) -> str:
    """Of the file; where it stands in several, of the digests of all, its own first."""
    digest = hashlib.sha256()
    if others:
        digest.update("".join(f"{_sha256(one, ())}\n" for one in (path, *others)).encode())
        return digest.hexdigest()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _ignored() -> Iterator[None]:
    """Decoders warn of oddities in headers; what matters of it stands in Image.warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# Where warnings are a setting of each context (an option since Python 3.14), another thread could not put it back.
_silently = _ignored if getattr(sys.flags, "context_aware_warnings", 0) else Shared(_ignored)


@contextlib.contextmanager
def _guard(name: str) -> Iterator[None]:
    """Turn whatever the decoders raise into one InputError whose message starts with the file's name."""
    try:
        with _silently():
            yield
    except InputError as error:
        raise type(error)(f"{name}: {error}") from None
    except NoisediagError:
        raise
    except FileNotFoundError:
        raise UnreadableError(f"{name}: no such file") from None
    except PermissionError:
        raise PermissionDeniedError(f"{name}: permission denied") from None
    except MemoryError:
        raise TooLargeError(f"{name}: {OUT_OF_MEMORY}") from None
    except EOFError as error:
        raise TruncatedError(f"{name}: {_line(error)}") from error
    except Exception as error:
        # Deliberately broad: on damaged files decoders raise anything from KeyError to struct.error.
        reason = _line(error)
        if "memory" in type(error).__name__.lower():  # LibRaw has an error of its own for this
            raise TooLargeError(f"{name}: {OUT_OF_MEMORY}") from error
        kind = TruncatedError if "truncat" in reason.lower() or "end of file" in reason.lower() else UnreadableError
        raise kind(f"{name}: {reason}") from error


def _line(error: Exception) -> str:
    """The error's message as one line, or its type where it has none."""
    text = error.args[0] if error.args and isinstance(error.args[0], bytes) else str(error)
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    lines = text.strip().splitlines()
    return (
        f"cannot be decoded ({type(error).__name__}: {lines[0]})"
        if lines
        else f"cannot be decoded ({type(error).__name__})"
    )


def _guarded(load: Callable[[], Codes], name: str, content: packed.Unpacked | None) -> Callable[[], Codes]:
    """`load` with errors that name the file; it holds on to the `content` of a packed one."""

    def guarded(_: packed.Unpacked | None = content) -> Codes:
        with _guard(name):
            return load()

    return guarded
