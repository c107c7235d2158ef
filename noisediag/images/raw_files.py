"""Which TIFF files are camera RAW, and whether a RAW file is all there: LibRaw reads zeros where one is cut off.

References: TIFF 6.0, TIFF/EP (ISO 12234-2), Adobe DNG specification 1.6, ISO/IEC 14496-12 (boxes).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noisediag.errors import TruncatedError, UnsupportedError
from noisediag.images import iso_media
from noisediag.images.image import Codes
from noisediag.images.metadata import CFA, LINEAR_RAW, TifffileLog, directories, photometric
from noisediag.images.source import check_dtype, check_size
from noisediag.sharing import Shared

if TYPE_CHECKING:
    import tifffile

_STDERR = 2
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PHASE_ONE = re.compile(rb"(II|MM).{6}(IIII.waR|MMMMRaw)", re.DOTALL)  # the beginning of an IIQ file
_MAKE, _DNG_VERSION, _REDUCED = 271, 50706, 254
_PANASONIC = b"IIU\0"
_SENSOR_WIDTH, _SENSOR_HEIGHT, _PIXELS_AT, _RAW_FORMAT = 2, 3, 280, 45  # tags of Panasonic's own
_FIXED_FORMATS = range(8)  # of a size that follows from that of the picture: 14 pixels in 16 bytes, or fewer
_PLAIN = (1, 5, 8, 32773, 32946)  # compressions of ordinary pictures; JPEG is that of previews
_MAX_DIRECTORIES = 8  # in a row; RAW files have 5, stacks of frames thousands
_LINEARIZATION, _ACTIVE_AREA = 50712, 50829
JPEG_XL = (52546, 50002)  # DNG Compression of version 1.7, and what was used before
_HEAD_BYTES = 1 << 20


def tiff_holds_raw(path: Path) -> bool:
    """Whether a TIFF file is a camera RAW: a DNG, or a directory of it stores a colour-filter mosaic, or it names its
    maker and LibRaw finds a picture in it that is larger than any that its directories describe.
    """
    import tifffile

    with TifffileLog(), tifffile.TiffFile(path) as tiff:
        first = tiff.pages.first
        if _DNG_VERSION in first.tags or _signed(path, first):
            return True
        pages = list(_chain(tiff))
        if any(photometric(page) in (CFA, LINEAR_RAW) for page in pages):
            return True
        if not str(first.tags.valueof(_MAKE, default="")).strip("\0 ") or len(pages) >= _MAX_DIRECTORIES:
            return False
        largest = max((_area(page) for page in pages), default=0)
    return _area_by_libraw(path) > largest


def _signed(path: Path, first: Any) -> bool:
    with open(path, "rb") as file:
        head = file.read(16)
    return _PHASE_ONE.match(head) is not None or (
        head[8:10] == b"CR" and first.tags.valueof(_MAKE, default="") == "Canon"
    )


def _chain(tiff: tifffile.TiffFile) -> Iterator[Any]:
    """The first few directories, the sub-directories of the first among them."""
    yield from directories(tiff)
    for number in range(1, _MAX_DIRECTORIES):
        try:
            page: Any = tiff.pages[number]
        except IndexError:
            return
        yield page.aspage() if hasattr(page, "aspage") else page


def _area(page: Any) -> int:
    """Pixels of a directory's picture; 0 where it is a reduced or a JPEG one."""
    if page.is_reduced or int(page.compression) not in _PLAIN:
        return 0
    return int(page.imagelength) * int(page.imagewidth)


def _area_by_libraw(path: Path) -> int:
    """Pixels of the picture that LibRaw finds; 0 where it finds none."""
    import rawpy

    try:
        with path.open("rb") as stream, silence(), rawpy.imread(stream) as raw:
            return int(raw.sizes.raw_height) * int(raw.sizes.raw_width)
    except rawpy.LibRawError:
        return 0


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """LibRaw writes to the standard error stream of the process what it stumbles over: its errors say it, too."""
    if sys.stderr is None:  # closed: its number may be that of the very file that is read
        yield
        return
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)


silence = Shared(_silence)


def check_complete(path: Path) -> None:
    """Raise TruncatedError where the pixels of a RAW file are to lie beyond its end."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"FUJIFILM"):
        ends = [int.from_bytes(head[100:104], "big") + int.from_bytes(head[104:108], "big")]
    elif head[4:8] == b"ftyp":
        iso_media.check_complete(path)
        return
    elif head.startswith(_PANASONIC):
        ends = list(_ends_of_panasonic(b"II*\0" + head[4:]))
    elif head[:4] in _TIFF:
        ends = list(_ends(path))
    else:
        return
    if any(end > size for end in ends):
        raise TruncatedError(f"the pixel data are cut off: they end at byte {max(ends)} of {size}")


def linear_pixels(path: Path) -> Codes:
    """The samples (H, W, S) of a linear DNG's active area, through tifffile: of compressions that LibRaw lacks."""
    import tifffile

    with TifffileLog(), tifffile.TiffFile(path) as tiff:
        raws = [page for page in directories(tiff) if photometric(page) == LINEAR_RAW]
        page = next((one for one in raws if not one.is_reduced), raws[0])
        if _LINEARIZATION in page.tags:
            raise UnsupportedError("a linear DNG whose codes a curve has bent, in a compression that LibRaw lacks")
        check_size(page.imagelength, page.imagewidth, page.samplesperpixel)
        check_dtype(page.dtype)
        pixels: Codes = page.asarray().reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
        area = page.tags.valueof(_ACTIVE_AREA)
    if area is None:
        return pixels
    top, left, bottom, right = (int(side) for side in area)
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def _ends(path: Path) -> Iterator[int]:
    """Where the pixels of the raw directories end, or of all where none says that it is raw."""
    import tifffile

    with TifffileLog(), tifffile.TiffFile(path) as tiff:
        pages = list(islice(_chain(tiff), 2 * _MAX_DIRECTORIES))
        raws = [page for page in pages if photometric(page) in (CFA, LINEAR_RAW)]
        for page in raws or pages:
            if page.dataoffsets and len(page.dataoffsets) == len(page.databytecounts):
                yield max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=True)))


def _ends_of_panasonic(head: bytes) -> Iterator[int]:
    """The least place where the pixels of an RW2 file end: its strip tags tell the size of unpacked ones."""
    import tifffile

    with TifffileLog(), tifffile.TiffFile(io.BytesIO(head)) as tiff:
        tags = tiff.pages.first.tags
        width, height, begin = (tags.valueof(code) for code in (_SENSOR_WIDTH, _SENSOR_HEIGHT, _PIXELS_AT))
        if all(isinstance(one, int) for one in (width, height, begin)):
            fixed = tags.valueof(_RAW_FORMAT, default=0) in _FIXED_FORMATS
            yield begin + (width * height * 8 // 7 if fixed else 1)
