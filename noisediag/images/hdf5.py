"""HDF5, NWB and netCDF-4 through h5py (extra `hdf5`): the one data set that is a picture, or the one that is named.

Only hard links are followed: soft ones may lead through external ones into other files, and every data set has a hard
one. Data sets whose values lie in other files (external storage, virtual ones) are not read.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.errors import TooLargeError, TruncatedError, UnsupportedError, UsageError, printable
from noisediag.images import stack
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image
from noisediag.images.source import MAX_PIXELS, listed, optional
from noisediag.images.stack import MIN_SIDE_PX, UNKNOWN, Stack, by_order

DECLARED = (
    Declaration(
        "HDF5, NWB, netCDF-4",
        "h5 hdf5 nwb",
        "the only data set of pictures, or --dataset; leading axes as frames, labelled ones by their labels",
        "h5py",
        "hdf5",
        white="NWB: bits_per_pixel",
        time="NWB: exposure_time, rate",
    ),
)

SIGNATURE, SIGNATURE_AT = b"\x89HDF\r\n\x1a\n", (0, 512, 1024, 2048)  # behind a block of the user's own, as in MATLAB's
_MAX_OBJECTS = 100_000
_LETTERS = {"time": "T", "frame": "T", "frames": "T", "channel": "C", "plane": "Z", "height": "Y", "width": "X"}
_LETTERS |= {letter.lower(): letter for letter in "TCZYX"}
_VELOX = re.compile(r"/Data/Image/\w+/Data")  # of Thermo Fisher's electron microscopes: frames last
_NWB_PICTURES = ("GrayscaleImage", "RGBImage", "RGBAImage", "Image")
_ELSEWHERE = "its values lie in other files, which are never followed"


def read(path: Path, *, dataset: str | None = None) -> Image:
    """The only data set that is a picture by its form, or the one called `dataset`.

    Raises UsageError, listing them, where there are several or none of that name.
    """
    h5py = optional("h5py", "hdf5")
    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")  # decoders of detectors' files
    with h5py.File(path, "r", locking=False) as file:
        name = _only(_Contents(h5py, file)) if dataset is None else _named(_Contents(h5py, file), dataset)
        values = _at(h5py, file, name)
        if math.prod(values.chunks or ()) > MAX_PIXELS:
            raise TooLargeError(
                f"{printable(name)} has pieces of {' x '.join(map(str, values.chunks))} values (a bomb?)"
            )
        if values.id.get_storage_size() == 0:
            raise TruncatedError(f"{printable(name)} was announced and never written")
        letters = _letters(values)
        stacked = Stack(
            dict(zip(letters, values.shape, strict=True)),
            values.dtype,
            functools.partial(_picture, h5py, path, name, letters),
            "h5py",
            white=_white(h5py, values),
            missing_code=_missing(values),
            acquisition=_tags(h5py, values),
        )
    return stack.image(stacked)


def _picture(h5py: Any, path: Path, name: str, letters: str, place: dict[str, int]) -> Codes:
    index = tuple(slice(None) if letter in "YX" else place.get(letter, 0) for letter in letters)
    with h5py.File(path, "r", locking=False) as file:
        picture = np.asarray(_at(h5py, file, name)[index])
    return picture if letters.index("Y") < letters.index("X") else picture.T


class _Contents:
    """The data sets of a file that are pictures by their form: a line each, by name; and those that lie elsewhere."""

    def __init__(self, h5py: Any, file: Any) -> None:
        self.pictures: dict[str, str] = {}
        self.elsewhere: list[str] = []
        neurodata = "nwb_version" in file.attrs
        for name, values, group in _data_sets(h5py, file):
            if neurodata and not _is_series(name, values, group):
                continue
            reason = _why_not(values)
            if reason is None:
                self.pictures[name] = f"{name} ({' x '.join(map(str, values.shape))} {values.dtype})"
            elif reason == _ELSEWHERE:
                self.elsewhere.append(name)

    def listed(self) -> str:
        return listed([self.pictures[name] for name in sorted(self.pictures)]) or "none"


def _only(contents: _Contents) -> str:
    if not contents.pictures and contents.elsewhere:
        raise UnsupportedError(f"{listed(contents.elsewhere)}: {_ELSEWHERE}")
    if not contents.pictures:
        raise UnsupportedError("holds no data set of pictures")
    if len(contents.pictures) > 1:
        raise UsageError(f"holds several data sets of pictures, choose one with --dataset: {contents.listed()}")
    return next(iter(contents.pictures))


def _named(contents: _Contents, wanted: str) -> str:
    name = "/".join(part for part in wanted.split("/") if part)
    if name in contents.elsewhere:
        raise UnsupportedError(f"{printable(name)}: {_ELSEWHERE}")
    if name not in contents.pictures:
        raise UsageError(f"--dataset {printable(wanted)}: no data set of pictures; there are: {contents.listed()}")
    return name


def _data_sets(h5py: Any, file: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, data set and group of all that hard links lead to, each once however often it is linked."""
    seen = {h5py.h5o.get_info(file.id).addr}
    pending = [("", file)]
    while pending:
        prefix, group = pending.pop()
        for name in sorted(group, reverse=True):
            child = _child(h5py, group, name)
            if child is None or h5py.h5o.get_info(child.id).addr in seen:
                continue
            seen.add(h5py.h5o.get_info(child.id).addr)
            if len(seen) > _MAX_OBJECTS:
                raise TooLargeError(f"more than {_MAX_OBJECTS} groups and data sets (a bomb?)")
            if isinstance(child, h5py.Group):
                pending.append((f"{prefix}{name}/", child))
            elif isinstance(child, h5py.Dataset):
                yield prefix + name, child, group


def _child(h5py: Any, group: Any, name: str) -> Any:
    """What a hard link leads to; None for every other kind of link, and where there is none."""
    try:
        link = group.get(name, getlink=True)
    except TypeError:  # a kind of link that only the program that wrote it knows
        return None
    return group[name] if isinstance(link, h5py.HardLink) else None


def _at(h5py: Any, file: Any, name: str) -> Any:
    found = file
    for part in name.split("/"):
        found = _child(h5py, found, part)
    return found


def _is_series(name: str, values: Any, group: Any) -> bool:
    """Whether a data set of an NWB file holds pictures by its type: pictures, or the frames of a series of them."""
    if _text(values.attrs.get("neurodata_type")) in _NWB_PICTURES:
        return True
    kind = _text(group.attrs.get("neurodata_type"))
    return name.endswith("/data") and kind.endswith("Series") and (values.ndim >= 3 or "external_file" in group)


def _why_not(values: Any) -> str | None:
    """Why a data set is no picture; None: it is one."""
    if values.dtype.kind not in "iuf" or (values.dtype.kind != "f" and values.dtype.itemsize > 4):
        return "no gray levels"
    if values.external or values.is_virtual or "external_file" in values.parent:
        return _ELSEWHERE
    letters = _letters(values)
    if not letters or min(values.shape[letters.index(letter)] for letter in "YX") < MIN_SIDE_PX or 0 in values.shape:
        return "no picture"
    return None


def _letters(values: Any) -> str:
    """A letter for each axis, as the file labels them, or by their order; "" where that cannot be a picture."""
    if not 2 <= values.ndim <= 2 + len(UNKNOWN):
        return ""
    labels = [_LETTERS.get(str(dimension.label).strip().lower(), "") for dimension in values.dims]
    if all(labels) and len(set(labels)) == len(labels) and {"Y", "X"} <= set(labels):
        return "".join(labels)
    if "MATLAB_class" in values.attrs:  # it counts rows fastest, and its last axis comes first here
        return UNKNOWN[: values.ndim - 2] + "XY"
    if _VELOX.fullmatch(values.name):
        return "YXT"
    return by_order(values.shape)


def _white(h5py: Any, values: Any) -> float | None:
    """The largest code of the bits that NWB says a pixel has, where that says more than the container does."""
    bits = _child(h5py, values.parent, "bits_per_pixel") if isinstance(values.parent, h5py.Group) else None
    count = _number(bits[()]) if isinstance(bits, h5py.Dataset) and bits.size == 1 else None
    if count is None or values.dtype.kind != "u" or not 1 < count < 8 * values.dtype.itemsize:
        return None
    return float(2 ** int(count) - 1)


def _missing(values: Any) -> float | None:
    """The value that netCDF names for "no value"."""
    return next(
        (found for key in ("_FillValue", "missing_value") if (found := _number(values.attrs.get(key))) is not None),
        None,
    )


def _tags(h5py: Any, values: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    attributes, group = values.attrs, values.parent
    for key, name in (("units", "Unit"), ("unit", "Unit")):
        if _text(attributes.get(key)):
            found[name] = _text(attributes.get(key))
    for keys, name, neutral in (
        (("scale_factor", "conversion"), "RescaleSlope", 1.0),
        (("add_offset", "offset"), "RescaleIntercept", 0.0),
    ):
        for key in keys:
            number = _number(attributes.get(key))
            if number is not None and number != neutral:
                found[name] = number
    for key, name in (("exposure_time", "ExposureTime"), ("pmt_gain", "DetectorGain")):
        number = _number(group.attrs.get(key))
        if number is not None:
            found[name] = number
    start = _child(h5py, group, "starting_time")
    rate = None if start is None else _number(start.attrs.get("rate"))
    if rate:
        found["FrameInterval"] = 1 / rate
    sides = np.asarray(attributes.get("element_size_um", ()))
    if sides.dtype.kind == "f" and sides.size >= 2 and bool((sides > 0).all()):
        found |= {"PixelSize": [float(side) for side in sides.ravel()[-2:]], "PixelSizeUnit": "µm"}
    begun = _child(h5py, values.file, "session_start_time")
    if isinstance(begun, h5py.Dataset) and begun.shape == () and _text(begun[()]):
        found["DateTimeOriginal"] = _text(begun[()])
    return found


def _number(value: Any) -> float | None:
    numbers = np.asarray(() if value is None else value)
    return float(numbers.ravel()[0]) if numbers.dtype.kind in "iuf" and numbers.size == 1 else None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""
