"""The JSON of Zarr stores, formats 2 and 3: which groups, pictures and arrays a folder holds, and which are harmless.

zarr is handed one array whose dtype, pieces and codecs have been looked at: some codecs unpickle what they find. Names
lead to folders below the store or nowhere; symbolic links are refused.

Reference: OME-NGFF 0.1 to 0.5 (ngff.openmicroscopy.org), Zarr 2 and 3 (zarr-specs.readthedocs.io).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.errors import TooLargeError, TruncatedError, UnreadableError, UnsupportedError, UsageError
from noisediag.images.source import MAX_PIXELS, chosen
from noisediag.images.stack import MIN_SIDE_PX, UNKNOWN, by_order

MARKS = frozenset({"zarr.json", ".zgroup", ".zarray"})  # the files that make a folder a store
_CHUNK = 1 << 20
_MAX_JSON_BYTES = 1 << 24
_MAX_FOLDERS = 10_000  # of a plain store that are looked into
_PIECE = re.compile(r"(c[/.])?\d+([/.]\d+)*")  # the name of a piece, in format 2 and 3
_WIDEST = 8  # bytes of a value, after whatever filter
_SLACK_BYTES = 1 << 20  # that a compressed piece may be larger than what it holds, beside twice its size
_CODECS = frozenset(
    "blosc zlib gzip zstd lz4 lzma bz2 delta fixedscaleoffset shuffle bitround quantize packbits astype crc32 crc32c "
    "adler32 fletcher32 jenkins_lookup3 zfpy pcodec bytes transpose sharding_indexed endian".split()
)


@dataclass(frozen=True)
class Node:
    """A group or an array: what its JSON says."""

    path: Path
    format: int
    array: Mapping[str, Any] | None  # the description of an array; None: a group
    attributes: Mapping[str, Any]

    @property
    def ome(self) -> Mapping[str, Any]:
        """The attributes of OME-Zarr, which version 0.5 keeps in a group of their own."""
        inner = self.attributes.get("ome")
        return inner if isinstance(inner, dict) else self.attributes


def is_store(path: Path) -> bool:
    """Whether the folder at `path` holds what makes it a Zarr store."""
    return any(os.path.lexists(path / mark) for mark in MARKS)


def members(path: Path) -> tuple[Path, ...]:
    """The pictures of the store at `path`: the fields of a plate or of a well, a collection's series, or itself.

    Raises an InputError for a plate that names what is not there, or lies elsewhere.
    """
    names = series_names(node(path))
    return tuple(below(path, name) for name in names) or (path,)


def picture(path: Path, series: str | int | None, warnings: list[str]) -> Path:
    """The one picture, of `members`, that `series` asks for, or the first one; `warnings` is told of the others.

    Raises UsageError, naming what there is, where there is none of that name.
    """
    names = series_names(node(path))
    if not names:
        if series is not None:
            raise UsageError("--series: the store holds no plate, well or collection of pictures")
        return path
    if series is None and len(names) > 1:
        warnings.append(f"only the first of {len(names)} pictures is read")
    return below(path, names[0 if series is None else chosen("series", series, names)])


def node(path: Path) -> Node:
    """What the folder at `path` says of itself. Raises UnreadableError where that is nothing, or not JSON."""
    described = _json(path / "zarr.json")
    if described is not None:
        kind, attributes = described.get("node_type"), described.get("attributes")
        array = described if kind == "array" else None
        return Node(path, 3, array, attributes if isinstance(attributes, dict) else {})
    array = _json(path / ".zarray")
    if array is None and _json(path / ".zgroup") is None:
        raise UnreadableError(f"{path.name}: no Zarr group or array")
    return Node(path, 2, array, _json(path / ".zattrs") or {})


def _json(path: Path) -> dict[str, Any] | None:
    """The object in a small regular file; None where there is no such file."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableError(f"{path.name} is not a regular file")
    if found.st_size > _MAX_JSON_BYTES:
        raise TooLargeError(f"{path.name} has {found.st_size} bytes (a bomb?)")
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{path.name} is damaged ({type(error).__name__}: {error})") from None
    if not isinstance(value, dict):
        raise UnreadableError(f"{path.name} is damaged (no object)")
    return value


def below(path: Path, name: str) -> Path:
    """The folder `name` below `path`.

    Raises UnsupportedError for names that lead elsewhere, UnreadableError where nothing is.
    """
    found = path
    for part in name.split("/"):
        if part in ("", ".", "..") or "\\" in part or ":" in part or "\0" in part:
            raise UnsupportedError(f"{name!r} is no name within the store: it is not followed")
        found = found / part
        try:
            mode = found.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise UnreadableError(f"{name} is named, and not there") from None
        if not stat.S_ISDIR(mode):
            raise UnsupportedError(f"{name} is a link or a file and no folder: it is not followed")
    return found


def names_in(entries: Any) -> list[str]:
    """The texts called `path` in a list of objects; [] of anything else."""
    found = [entry.get("path") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [name for name in found if isinstance(name, str)]


def series_names(group: Node) -> tuple[str, ...]:
    """The names of the pictures of a plate, a well or a collection of bioformats2raw; () of other stores.

    Raises UnreadableError for a plate that names a well which is not there.
    """
    ome = group.ome
    plate, well = ome.get("plate"), ome.get("well")
    found: list[str] = []
    if isinstance(plate, dict):
        for at in dict.fromkeys(names_in(plate.get("wells"))):
            inner = node(below(group.path, at)).ome.get("well")
            found += [f"{at}/{field}" for field in names_in(inner.get("images") if isinstance(inner, dict) else None)]
    elif isinstance(well, dict):
        found = names_in(well.get("images"))
    elif ome.get("bioformats2raw.layout") == 3:
        series = node(below(group.path, "OME")).ome.get("series") if is_store(group.path / "OME") else None
        with os.scandir(group.path) as folder:
            numbered = sorted((entry.name for entry in folder if entry.name.isdecimal()), key=int)
        found = [str(name) for name in series] if isinstance(series, list) else numbered
    return tuple(dict.fromkeys(found))


def array(path: Path, name: str) -> Node:
    """The array `name` below `path`. Raises UnreadableError where there is none, and as `below`."""
    found = node(below(path, name))
    if found.array is None:
        raise UnreadableError(f"{name} is a group and no array")
    return found


def arrays(group: Node) -> Iterator[tuple[str, Node]]:
    """All arrays of a plain store that are pictures by their form, by name; links are not followed."""
    pending, seen = [""], 0
    while pending:
        prefix = pending.pop()
        with os.scandir(group.path / prefix) as folder:
            names = sorted((e.name for e in folder if e.is_dir(follow_symlinks=False)), reverse=True)
        for name in names:
            seen += 1
            if seen > _MAX_FOLDERS:
                raise TooLargeError(f"more than {_MAX_FOLDERS} folders to look into: choose one with --dataset")
            inner = f"{prefix}/{name}" if prefix else name
            if not is_store(group.path / inner):
                continue
            child = node(group.path / inner)
            if child.array is None:
                pending.append(inner)
            elif _is_picture(child):
                yield inner, child


def _is_picture(one: Node) -> bool:
    shape = (one.array or {}).get("shape")
    if not isinstance(shape, list) or not 2 <= len(shape) <= 2 + len(UNKNOWN):
        return False
    sides = _lengths(shape, 1)
    if sides is None:
        return False
    letters = by_order(sides)
    return min(sides[letters.index("Y")], sides[letters.index("X")]) >= MIN_SIDE_PX


@dataclass(frozen=True)
class Form:
    """What an array is made of: its pieces lie on a grid."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    piece: tuple[int, ...]
    blosc: bool  # the pieces are Blosc frames

    @property
    def pieces(self) -> int:
        """How many there are where none was left out."""
        return math.prod(-(-side // part) for side, part in zip(self.shape, self.piece, strict=True))


def form(of: Node) -> Form:
    """The form of an array whose reading does nothing but decode numbers.

    Raises UnsupportedError for dtypes that are no numbers and codecs that are not known to be harmless, TooLargeError
    for pieces beyond all bounds, UnreadableError where the description is none.
    """
    described = of.array or {}
    grid = described.get("chunk_grid")
    inner = grid.get("configuration") if isinstance(grid, dict) else None
    piece = described.get("chunks") if of.format == 2 else inner.get("chunk_shape") if isinstance(inner, dict) else None
    sides, parts = _lengths(described.get("shape"), 0), _lengths(piece, 1)
    if sides is None or parts is None or len(sides) != len(parts):
        raise UnreadableError("the description of the array is damaged: no shape, or none of its pieces")
    name = described.get("dtype" if of.format == 2 else "data_type")
    try:
        dtype = np.dtype(name) if isinstance(name, str) else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in "iuf":
        raise UnsupportedError(f"values of type {str(name)[:40]} are not read")
    if of.format == 2:
        codecs = [described.get("compressor"), *(described.get("filters") or ())]
    else:
        codecs = list(described.get("codecs") or ())
        if described.get("storage_transformers"):
            raise UnsupportedError("storage transformers are not read")
    _check_codecs([codec for codec in codecs if codec is not None])
    if math.prod(parts) > MAX_PIXELS:
        raise TooLargeError(f"pieces of {' x '.join(map(str, parts))} values (a bomb?)")
    last = described.get("compressor") if of.format == 2 else codecs[-1] if codecs else None
    blosc = isinstance(last, dict) and str(last.get("id", last.get("name"))).removeprefix("numcodecs.") == "blosc"
    return Form(sides, dtype, parts, blosc)


def _lengths(value: Any, least: int) -> tuple[int, ...] | None:
    """A list of whole numbers, each `least` or more; None for anything else."""
    if isinstance(value, list) and all(type(length) is int and length >= least for length in value):
        return tuple(value)
    return None


def _check_codecs(codecs: list[Any]) -> None:
    for codec in codecs:
        name = codec.get("id", codec.get("name")) if isinstance(codec, dict) else codec
        if not isinstance(name, str) or name.removeprefix("numcodecs.") not in _CODECS:
            raise UnsupportedError(f"codec {str(name)[:40]} is not read")
        inner = codec.get("configuration") if isinstance(codec, dict) else None
        for key in ("codecs", "index_codecs"):
            if isinstance(inner, dict) and isinstance(inner.get(key), list):
                _check_codecs(inner[key])


def stored_pieces(of: Node, made: Form) -> int:
    """How many pieces of an array are there.

    Raises UnsupportedError where anything below it is a link or no regular file, TooLargeError for pieces larger than
    what they can hold.
    """
    most = 2 * math.prod(made.piece) * made.dtype.itemsize + _SLACK_BYTES
    count = 0
    for place, size, _ in files_below(of.path):
        if _PIECE.fullmatch(place):
            if size > most:
                raise TooLargeError(f"piece {place} has {size} bytes, for {most} at most (a bomb?)")
            if made.blosc:
                _check_blosc(of.path / place, size, math.prod(made.piece))
            count += 1
    return count


def _check_blosc(piece: Path, size: int, values: int) -> None:
    """Hold the header of a Blosc frame against its file: some decoders read and write beyond what they are given.

    Reference: the header of Blosc 1, github.com/Blosc/c-blosc.
    """
    with open(piece, "rb") as file:
        head = file.read(16)
    unpacked, packed = (int.from_bytes(head[start : start + 4], "little") for start in (4, 12))
    if len(head) < 16 or packed > size:
        raise TruncatedError(f"piece {piece.name} has {size} bytes of {packed}")
    if unpacked > _WIDEST * values:
        raise TooLargeError(f"piece {piece.name} unpacks to {unpacked} bytes (a bomb?)")


def size_and_time(path: Path) -> tuple[int, int]:
    """Bytes of all files below the folder `path`, and the latest of their times, ns. Raises as `files_below`."""
    found = [(size, time_ns) for _, size, time_ns in files_below(path)]
    return sum(size for size, _ in found), max((time_ns for _, time_ns in found), default=-1)


def files_below(path: Path) -> Iterator[tuple[str, int, int]]:
    """The way to each file below the folder `path`, names joined by `/`, its size and its time, ns; in no order.

    Raises UnsupportedError for links and whatever else is neither a folder nor a regular file.
    """
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(path / prefix) as folder:
            for entry in folder:
                place = f"{prefix}/{entry.name}" if prefix else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(place)
                elif entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    yield place, found.st_size, found.st_mtime_ns
                else:
                    raise UnsupportedError(f"{place} within the store is a link or no file: it is not followed")


def sha256(path: Path) -> str:
    """A digest of all that lies below the folder `path`: names, sizes and bytes. Raises as `files_below`."""
    digest = hashlib.sha256()
    for place, size, _ in sorted(files_below(path), key=lambda found: os.fsencode(found[0])):
        digest.update(os.fsencode(place) + b"\0" + str(size).encode() + b"\0")
        with open(path / place, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
