"""Files that a TIFF file names: read only where they are regular files beside it.

OME-XML, Micro-Manager's stacks and NDTiff keep the frames of one recording in several files. A name in a file is not a
path to be followed: whoever made it may have written any.
"""

from __future__ import annotations

import glob
import os
import stat
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from noisediag.errors import UnreadableError
from noisediag.images import dax
from noisediag.images.limits import check_planes

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NDTIFF_INDEX = "NDTiff.index"
_MM_LENGTHS = ("Channels", "Slices", "Positions", "Frames")
_COUNTS = ("Size", "First", "IFD", "NumPlanes", "PlaneCount", "SamplesPerPixel")  # attributes of OME-XML


def check(tiff: tifffile.TiffFile) -> None:
    """Look at what tifffile would open and how much it would make, before it does.

    Raises UnreadableError for a name that is not that of a regular file beside this one, TooLargeError for too many
    planes. A file that is not there is nothing to be refused: its frames are missing.
    """
    folder = Path(tiff.filehandle.dirname)
    for name in _names(tiff, folder):
        _check_name(folder, name)


def named(path: Path) -> tuple[str, ...]:
    """The files beside the one at `path` that it names, those that are missing, too; () where it names others.

    Raises nothing: what is wrong with the file is said when it is read.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            if file.read(4) not in _TIFF:
                return (path.with_suffix(".inf").name,) if dax.is_dax(path) else ()
        with tifffile.TiffFile(path) as tiff:
            found = sorted(_names(tiff, path.parent))
            for name in found:
                _check_name(path.parent, name)
    except Exception:  # of every kind, as decoders raise them
        return ()
    return tuple(name for name in found if name != path.name)


def _at_once(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))  # of a pipe, the open would wait for a writer


def _names(tiff: tifffile.TiffFile, folder: Path) -> set[str]:
    names: set[str] = set()
    if tiff.is_ome:
        names |= _of_ome(tiff)
    if tiff.is_mmstack:
        names |= _of_micromanager(tiff, folder)
    if tiff.is_ndtiff:
        _check_name(folder, _NDTIFF_INDEX)
        names |= {_NDTIFF_INDEX, *_of_ndtiff(folder / _NDTIFF_INDEX)}
    return names


def read_from(path: Path, series: Any) -> tuple[Path, ...]:
    """The other files that the pages of `series` stand in, by name."""
    own = os.path.realpath(path)
    found = {page.parent.filehandle.path for page in series.pages if page is not None}
    return tuple(sorted(Path(file) for file in found if os.path.realpath(file) != own))


def _check_name(folder: Path, name: str) -> None:
    shown = repr(name) if len(name) <= 60 else f"{name[:60]!r}..."
    if not name or name in (".", "..") or any(character in name for character in "/\\\0:"):
        raise UnreadableError(f"names the file {shown}, which is not one beside it: no path in a file is followed")
    try:
        found = (folder / name).stat()
    except OSError:
        if not (folder / name).is_symlink():
            return  # missing: so are its frames
        raise UnreadableError(f"names the file {shown}, a link that leads nowhere") from None
    beside = (folder / name).resolve().parent == folder.resolve()
    if not stat.S_ISREG(found.st_mode) or not beside:
        raise UnreadableError(f"names the file {shown}, which is no regular file beside it")


def _of_ome(tiff: tifffile.TiffFile) -> set[str]:
    """The names of other files than this one, which OME-XML knows by an identifier and may know by an older name."""
    try:
        root = ElementTree.fromstring(tiff.pages.first.description)
    except ElementTree.ParseError:  # tifffile does without it
        return set()
    planes = 0
    own = root.get("UUID")
    names = set()
    for element in root.iter():
        kind = element.tag.rpartition("}")[2]
        for attribute, value in element.attrib.items():
            if attribute.startswith(_COUNTS) and attribute not in ("SizeX", "SizeY") and value.strip().isdecimal():
                check_planes(int(value[:30]))
        if kind.startswith("Along"):
            check_planes(_steps(element))
        if kind == "TiffData":
            planes += max(int(element.get("PlaneCount", element.get("NumPlanes", "1"))), 1)
        if kind == "UUID":
            name = element.get("FileName", "")
            if own is None and name.lower() == tiff.filename.lower():
                own = element.text
            elif element.text != own:
                names.add(name)
    check_planes(planes)
    return names


def _steps(element: ElementTree.Element) -> int:
    """How many positions an axis of OME's Modulo annotation has."""
    start, end, step = (float(element.get(name, default)) for name, default in (("Start", 0), ("End", 0), ("Step", 1)))
    count = (end - start) / step if step else float("inf")
    return int(min(abs(count), 1e12)) if count == count else 0


def _of_micromanager(tiff: tifffile.TiffFile, folder: Path) -> set[str]:
    """The files of a Micro-Manager stack are found by how they are called."""
    found = tiff.micromanager_metadata or {}
    summary, index = found["Summary"], found["IndexMap"]
    lengths = [max(int(summary.get(name, 1)), 1) for name in _MM_LENGTHS]
    largest = (np.max(index[:, :4], axis=0, initial=0) + 1).tolist()
    check_planes(int(np.prod([max(*pair) for pair in zip(lengths, largest, strict=False)], dtype=object)))
    if glob.escape(str(folder)) != str(folder):
        raise UnreadableError("a Micro-Manager stack in a folder whose name holds * ? or [ is not read: rename it")
    return {path.name for path in folder.glob("*_MMStack*.tif")}


def _of_ndtiff(index: Path) -> set[str]:
    names, largest = set(), dict[str, int]()
    for number, (axes, name, *_) in enumerate(_entries(index)):
        check_planes(number + 1)
        names.add(name)
        for axis, place in axes.items():
            largest[axis] = max(largest.get(axis, 0), place if isinstance(place, int) else number)
    check_planes(int(np.prod([place + 1 for place in largest.values()], dtype=object)))
    return names


def _entries(index: Path) -> Iterator[Any]:
    yield from tifffile.read_ndtiff_index(index)
