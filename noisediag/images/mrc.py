"""MRC and MRCS of electron microscopes through mrcfile (extra `mrc`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from noisediag.errors import TooLargeError, TruncatedError, UnsupportedError
from noisediag.images import stack
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image
from noisediag.images.limits import check_planes
from noisediag.images.source import check_size, optional
from noisediag.images.stack import Stack, pages

DECLARED = (
    Declaration(
        "MRC, MRCS",
        "mrc mrcs",
        "images of a stack, sections of a volume as frames",
        "mrcfile",
        "mrc",
        time="FEI: Integration time",
    ),
)

_HEADER_BYTES, _MAP_AT, _EXTENDED_AT, _STAMP_AT = 1024, 208, 92, 212
_MAX_EXTENDED = 1 << 26  # bytes of the extended header, which is read whole
_MODES = {3: "complex numbers", 4: "complex numbers", 101: "4-bit numbers"}
_FEI = (b"FEI1", b"FEI2")  # kinds of extended headers that hold the exposure
_ANGSTROM_NM = 0.1


def is_mrc(head: bytes) -> bool:
    """Whether a file that begins with `head` has MRC2014's mark and the stamp of a byte order behind it."""
    return head[_MAP_AT : _MAP_AT + 3] == b"MAP" and head[_STAMP_AT : _STAMP_AT + 1] in (b"\x44", b"\x11")


def read(path: Path) -> Image:
    """Every section is a frame: of time in a stack (axis T), of depth in a volume (axis Z).

    Refused: transforms (complex numbers), 4-bit data.
    """
    mrcfile = optional("mrcfile", "mrc")
    with open(path, "rb") as file:
        head = file.read(_HEADER_BYTES)
    if len(head) < _HEADER_BYTES:
        raise TruncatedError("the MRC header is cut off")
    extended = int.from_bytes(head[_EXTENDED_AT : _EXTENDED_AT + 4], "big" if head[_STAMP_AT] == 0x11 else "little")
    if extended > _MAX_EXTENDED:
        raise TooLargeError(f"an extended header of {extended} bytes (a bomb?)")
    with mrcfile.open(path, header_only=True) as mrc:
        mode = int(mrc.header.mode)
        if mode in _MODES:
            raise UnsupportedError(f"MRC mode {mode}: {_MODES[mode]} are not read")
        dtype = np.dtype(mrcfile.utils.dtype_from_mode(mode)).newbyteorder(mrc.header.mode.dtype.byteorder)
        depth, height, width = (int(mrc.header[name]) for name in ("nz", "ny", "nx"))
        images = int(mrc.header.ispg) == 0  # of an image stack, as MRC2014 has it
        acquisition = _tags(mrc)
    if min(height, width) < 1:
        raise UnsupportedError(f"an MRC file of {depth} x {height} x {width} values is no picture")
    check_size(height, width)
    check_planes(depth)
    page = pages(path, _HEADER_BYTES + extended, dtype, (height, width), depth)
    axis = "T" if images else "Z"

    def fetch(place: dict[str, int]) -> Codes:
        return page(place[axis])

    sizes = {axis: depth, "Y": height, "X": width}
    return stack.image(Stack(sizes, dtype, fetch, "mrcfile", acquisition=acquisition))


def _tags(mrc: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    columns, rows = float(mrc.voxel_size.x), float(mrc.voxel_size.y)
    if np.isfinite([columns, rows]).all() and columns > 0 and rows > 0:
        found |= {"PixelSize": [rows * _ANGSTROM_NM, columns * _ANGSTROM_NM], "PixelSizeUnit": "nm"}
    if bytes(mrc.header.exttyp) in _FEI and mrc.extended_header.nbytes:
        times = mrc.indexed_extended_header["Integration time"]
        found |= {"ExposureTime": float(times[0])} if len(times) and times[0] > 0 else {}
    return found
