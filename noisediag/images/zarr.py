"""OME-Zarr and plain Zarr stores in a folder, formats 2 and 3, through zarr (extra `zarr`); see `zarr_store`, too."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.errors import TruncatedError, UnreadableError, UnsupportedError, UsageError
from noisediag.images import stack, zarr_store
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image
from noisediag.images.source import listed, optional
from noisediag.images.stack import UNKNOWN, Stack, by_order
from noisediag.images.zarr_store import Node

DECLARED = (
    Declaration(
        "OME-Zarr, Zarr 2 and 3",
        "zarr",
        "level 0 of each picture or field of a plate (or --series); of a plain store its only array, or --dataset",
        "zarr",
        "zarr",
        time="OME: scale of the axis t",
    ),
)

_OLD_AXES = "TCZYX"  # of OME-Zarr 0.1 and 0.2, which do not name them
_LETTERS = {"time": "T", "frame": "T", "channel": "C", "band": "C", "depth": "Z", "height": "Y", "width": "X"}
_LETTERS |= {letter.lower(): letter for letter in "TCZYX"}
_SECONDS = {"second": 1.0, "millisecond": 1e-3, "microsecond": 1e-6, "minute": 60.0}
_METRES = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm", "angstrom": "Å", "meter": "m"}


def read(path: Path, *, dataset: str | None = None) -> Image:
    """Level 0 of the picture in the store at `path`, or an array by its name; of plates see `zarr_store.picture`.

    Raises UsageError, listing what there is, where a plain store holds several arrays of pictures.
    """
    zarr = optional("zarr", "zarr")
    node = zarr_store.node(path)
    ome: Mapping[str, Any] = {}
    if dataset is not None:
        array = _named(node, dataset)
    elif node.array is not None:
        array = node
    else:
        pyramid = _first(node.ome.get("multiscales"))
        ome = node.ome if pyramid else {}
        array = _level(node, pyramid) if pyramid else _only(node)
    return _image(zarr, array, ome)


def _image(zarr: Any, node: Node, ome: Mapping[str, Any]) -> Image:
    warnings: list[str] = []
    form = zarr_store.form(node)
    letters = _letters(node, ome, form)
    if not letters or 0 in form.shape:
        raise UnsupportedError(f"an array of shape {form.shape} is no picture")
    there = zarr_store.stored_pieces(node, form)
    if not there:
        raise TruncatedError("no piece of the array was ever written, or all are gone")
    if there < form.pieces:
        warnings.append(f"{form.pieces - there} of {form.pieces} pieces are not stored: they count as the fill value")
    if node.format == 3 and int(zarr.__version__.split(".")[0]) < 3:
        raise UnsupportedError("format 3 of Zarr needs zarr 3, which needs Python 3.11 or later")
    opened = functools.lru_cache(maxsize=1)(lambda: zarr.open_array(str(node.path), mode="r"))

    def fetch(place: dict[str, int]) -> Codes:
        index = tuple(slice(None) if letter in "YX" else place.get(letter, 0) for letter in letters)
        picture = np.asarray(opened()[index])
        return picture if letters.index("Y") < letters.index("X") else picture.T

    order = sorted(range(len(letters)), key=lambda axis: letters[axis] in "YX")
    stacked = Stack(
        {letters[axis]: form.shape[axis] for axis in order},
        form.dtype,
        fetch,
        "zarr",
        names=_channel_names(ome),
        missing_code=_missing(node, complete=there == form.pieces),
        acquisition=_tags(ome, letters),
        warnings=warnings,
    )
    return stack.image(stacked)


def _level(node: Node, pyramid: Mapping[str, Any]) -> Node:
    names = zarr_store.names_in(pyramid.get("datasets"))
    if not names:
        raise UnreadableError("its multiscales name no data set")
    return zarr_store.array(node.path, names[0])


def _only(node: Node) -> Node:
    found = dict(zarr_store.arrays(node))
    if not found:
        raise UnsupportedError("the store holds no array of pictures")
    if len(found) > 1:
        raise UsageError(f"holds several arrays of pictures, choose one with --dataset: {listed(sorted(found))}")
    return next(iter(found.values()))


def _named(node: Node, wanted: str) -> Node:
    name = "/".join(part for part in wanted.split("/") if part)
    try:
        return zarr_store.array(node.path, name)
    except (UnsupportedError, UnreadableError) as error:
        there = listed(sorted(dict(zarr_store.arrays(node)))) or "none"
        raise UsageError(f"--dataset {wanted}: {error}; arrays of pictures: {there}") from None


def _letters(node: Node, ome: Mapping[str, Any], form: zarr_store.Form) -> str:
    """A letter for each axis, as the store names them, or by their order; "" where that cannot be a picture."""
    axes = len(form.shape)
    if not 2 <= axes <= 2 + len(UNKNOWN):
        return ""
    pyramid = _first(ome.get("multiscales"))
    names = [axis.get("name") if isinstance(axis, dict) else axis for axis in _list(pyramid.get("axes"))]
    if not names and pyramid and axes == len(_OLD_AXES):
        return _OLD_AXES
    if not names:
        names = _list((node.array or {}).get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS"))
    unknown = iter(UNKNOWN)
    letters = [_LETTERS.get(str(name).lower()) or next(unknown, "") for name in names[:axes]]
    if len(names) == axes == len(set(letters)) and {"Y", "X"} <= set(letters):
        return "".join(letters)
    return by_order(form.shape)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(entries: Any) -> Mapping[str, Any]:
    """The first of a list of objects; {} of anything else."""
    first = next(iter(_list(entries)), None)
    return first if isinstance(first, dict) else {}


def _channel_names(ome: Mapping[str, Any]) -> Sequence[str]:
    omero = ome.get("omero")
    channels = _list(omero.get("channels") if isinstance(omero, dict) else None)
    return [str(channel.get("label", "")) if isinstance(channel, dict) else "" for channel in channels]


def _missing(node: Node, *, complete: bool) -> float | None:
    """The value that stands for "no value": what netCDF names so, or what stands for pieces that were never written.

    A fill value of 0 is the light of a dark picture, too, and names nothing.
    """
    named = node.attributes.get("_FillValue")
    fill = named if named is not None or complete else (node.array or {}).get("fill_value")
    return float(fill) if isinstance(fill, int | float) and not isinstance(fill, bool) and fill else None


def _tags(ome: Mapping[str, Any], letters: str) -> dict[str, Any]:
    """Pixel size and distance of frames, by the scales of level 0."""
    pyramid = _first(ome.get("multiscales"))
    scale = [1.0] * len(letters)
    known = False
    for holder in (_first(pyramid.get("datasets")), pyramid):
        for step in _list(holder.get("coordinateTransformations")):
            values = _list(step.get("scale") if isinstance(step, dict) else None)
            if len(values) == len(scale) and all(isinstance(value, int | float) for value in values):
                scale = [one * float(other) for one, other in zip(scale, values, strict=True)]
                known = True
    axes = _list(pyramid.get("axes"))
    if not known or len(axes) != len(letters):
        return {}
    units = [str(axis.get("unit", "")) if isinstance(axis, dict) else "" for axis in axes]
    rows, columns = letters.index("Y"), letters.index("X")
    found: dict[str, Any] = {}
    if units[rows] in _METRES and units[rows] == units[columns]:
        found |= {"PixelSize": [scale[rows], scale[columns]], "PixelSizeUnit": _METRES[units[rows]]}
    if "T" in letters and units[letters.index("T")] in _SECONDS:
        found["FrameInterval"] = scale[letters.index("T")] * _SECONDS[units[letters.index("T")]]
    return found
