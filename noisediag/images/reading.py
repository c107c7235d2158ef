"""`read` and `from_array`: the two ways into noisediag."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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

_CHUNK = 1 << 20


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
    name = printable(file)
    with _guard(name):
        mode = file.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise UnreadableError("is not a regular file")
        content = None
        if stat.S_ISDIR(mode):
            image = _read_store(file, series, dataset)
        else:
            content = packed.unpacked(file) if packed.is_packed(file) else None
            source = file if content is None else content.path
            image = replace(_read(source, identify(source), series, dataset), path=str(file))
            image = replace(image, sha256=_sha256(file, image.siblings))
        if not image.planes:
            raise UnreadableError("holds no picture")
        image = at_frame(image, frame)
        image = as_linear(image) if linear else image
        image = select(override(image, black=black, white=white), channel=channel, frame=frame, z=z, roi=roi)
        for plane in image.planes:
            if not plane.black_dn < plane.white_dn < float("inf"):
                levels = f"black {plane.black_dn:g} is not below white {plane.white_dn:g}"
                raise UnreadableError(f"says that {levels}: give --black and --white")
            check_span(plane.white_dn - plane.black_dn)
    planes = tuple(replace(plane, load=_guarded(plane.load, name, content)) for plane in image.planes)
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
    domain: Domain = "linear",
    linear: bool = False,
) -> Image:
    """An array as an image: (height, width); (frames, height, width); colour (height, width, 3 or 4).

    Three axes are colour where the last one is 3 or 4 long and the array is uint8 or `domain` is "rendered"; they are
    frames otherwise. `linear`: the codes of a colour array are proportional to light. Raises UnsupportedError for other
    shapes and types.
    """
    image = array.image(np.asarray(array_), domain=domain, reader="array")
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
def _guard(name: str) -> Iterator[None]:
    """Turn whatever the decoders raise into one InputError whose message starts with the file's name."""
    try:
        with warnings.catch_warnings():
            # Decoders warn of oddities in headers; what matters of it stands in Image.warnings.
            warnings.simplefilter("ignore")
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
