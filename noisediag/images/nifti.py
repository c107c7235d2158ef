"""NIfTI-1 and NIfTI-2 in one file (.nii) through nibabel (extra `medical`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from noisediag.errors import TruncatedError, UnreadableError, UnsupportedError
from noisediag.images import stack
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image
from noisediag.images.limits import check_planes
from noisediag.images.source import check_dtype, check_size, optional
from noisediag.images.stack import Stack, pages

DECLARED = (
    Declaration(
        "NIfTI",
        "nii",
        "slices, and volumes of a series, as frames; a fifth axis as channels; scl_slope is not applied",
        "nibabel",
        "medical",
        time="pixdim of the volumes",
    ),
)

_SINGLE = (b"n+1\0", b"n+2\0")  # NIfTI-1 (at byte 344) and NIfTI-2 (at 4) with header and pixels in one file
_PAIR = (b"ni1\0", b"ni2\0")
_AXES = "XYZTC"  # the order in which NIfTI stores them, the first one fastest
_METRES = {"meter": "m", "mm": "mm", "micron": "µm"}
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


def is_nifti(head: bytes) -> bool:
    """Whether a file that begins with `head` is one, or the header of a pair of files."""
    return head[344:348] in (_SINGLE[0], _PAIR[0]) or head[4:8] in (_SINGLE[1], _PAIR[1])


def read(path: Path) -> Image:
    """Every slice of every volume is a frame (axes T and Z); codes as they are stored, `RescaleSlope` beside them."""
    nibabel = optional("nibabel", "medical")
    with open(path, "rb") as file:
        head = file.read(352)
        if head[344:348] == _PAIR[0] or head[4:8] == _PAIR[1]:
            raise UnsupportedError("a NIfTI header whose pixels lie in another file: convert the pair to one .nii file")
        if len(head) < 352:
            raise TruncatedError("the NIfTI header is cut off")
        kind = nibabel.Nifti2Header if head[4:8] == _SINGLE[1] else nibabel.Nifti1Header
        file.seek(0)
        header = kind.from_fileobj(file, check=False)  # which would print what it finds
    shape = tuple(int(length) for length in header.get_data_shape())
    if len(shape) < 2 or min(shape) < 1 or any(length > 1 for length in shape[len(_AXES) :]):
        raise UnsupportedError(f"a NIfTI file of shape {shape} is no picture")
    stored = dict(zip(_AXES, shape, strict=False))
    check_dtype(header.get_data_dtype())
    check_size(stored["Y"], stored["X"])
    others = {axis: length for axis, length in stored.items() if axis not in "XY"}  # the first one fastest
    count = 1
    for length in others.values():
        count *= length
    check_planes(count)
    offset = header.get_data_offset()
    if offset < 0:
        raise UnreadableError(f"the pixels begin at byte {offset}")
    page = pages(path, int(offset), header.get_data_dtype(), (stored["Y"], stored["X"]), count)

    def fetch(place: dict[str, int]) -> Codes:
        index = 0
        for axis, length in reversed(others.items()):
            index = index * length + place.get(axis, 0)
        return page(index)

    sizes = {axis: stored[axis] for axis in "TZCYX" if axis in stored}
    return stack.image(Stack(sizes, header.get_data_dtype(), fetch, "nibabel", acquisition=_tags(header, stored)))


def _tags(header: Any, stored: dict[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    space, time = header.get_xyzt_units()
    sizes = [float(size) for size in header.get_zooms()]
    if space in _METRES and len(sizes) > 1 and min(sizes[:2]) > 0:
        found |= {"PixelSize": [sizes[1], sizes[0]], "PixelSizeUnit": _METRES[space]}
    if time in _SECONDS and stored.get("T", 1) > 1 and sizes[3] > 0:
        found["FrameInterval"] = sizes[3] * _SECONDS[time]
    slope, intercept = header.get_slope_inter()
    if slope is not None and (slope, intercept or 0.0) != (1.0, 0.0):
        found |= {"RescaleSlope": float(slope), "RescaleIntercept": float(intercept or 0.0)}
    description = bytes(np.asarray(header["descrip"]).item()).partition(b"\0")[0].decode("latin-1").strip()
    return found | ({"ImageDescription": description} if description else {})
