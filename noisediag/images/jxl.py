"""JPEG XL through libjxl (imagecodecs): the first frame, with all its bits."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from noisediag.errors import TruncatedError, UnreadableError, UnsupportedError, one_line
from noisediag.images import iso_media, metadata, picture
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image
from noisediag.images.jxl_header import BLACK, CONTAINER, JxlHeader, parse
from noisediag.images.source import LinearScale, check_size, loader, rendered_planes

DECLARED = (
    Declaration(
        "JPEG XL",
        "jxl",
        "first picture, all its bits; R, G and B or gray, rendered; gray without loss of more than 8 bits linear",
        "imagecodecs (libjxl)",
        black="0 of rendered ones",
        white="the last code of its bits",
        time="EXIF",
    ),
)
_DAMAGED = "the JPEG XL data are cut off or damaged"
_ORIGINAL = b"jbrd"  # the box with what is needed to make the JPEG file anew
_HEADER_BYTES = 1 << 14  # enough for the names of many extra channels


def read(path: Path) -> Image:
    """A JPEG XL picture; gray ones of more than 8 bits that are stored without loss are linear, as PNG's are."""
    data = path.read_bytes()
    parts = dict(_boxes(path, data)) if data.startswith(CONTAINER) else {b"jxlc": data}
    stream = parts.get(b"jxlc", parts.get(b"jxlp", b"")[4:])  # a partial one begins with its number
    try:
        header = parse(stream[:_HEADER_BYTES])
    except ValueError as error:
        raise (TruncatedError if "cut off" in str(error) else UnreadableError)(str(error)) from None
    check_size(header.height, header.width, 3 + len(header.extra))
    if header.floats:
        raise UnsupportedError("JPEG XL of floating-point samples is not read: save it as TIFF")
    if BLACK in header.extra:
        raise UnsupportedError("JPEG XL in CMYK is not read: convert to gray or RGB")
    if _ORIGINAL in parts:
        return _jpeg(data)
    warnings = ["only the first of several frames is read"] if header.animated else []
    pixels = _pixels(data, header, warnings)
    acquisition = _exif(parts, warnings)
    white = float(2**header.bits - 1)
    if pixels.ndim == 2 and header.bits > 8 and not header.xyb:
        scale = LinearScale([pixels], declared_white=white)
        plane = scale.plane("gray", (pixels.shape[0], pixels.shape[1]), loader(pixels))
        return Image((plane,), "linear", "libjxl", acquisition=acquisition, warnings=(*warnings, *scale.warnings))
    planes = rendered_planes(pixels, white=white)
    return Image(planes, "rendered", "libjxl", acquisition=acquisition, warnings=tuple(warnings))


def _jpeg(data: bytes) -> Image:
    """The JPEG file that this one was made of and can be turned into again; libjxl itself decodes it otherwise."""
    import imagecodecs

    try:
        original = imagecodecs.jpegxl_decode_jpeg(data, numthreads=0)
    except imagecodecs.JpegxlError as error:
        raise TruncatedError(f"{_DAMAGED} ({one_line(str(error))})") from None
    with PIL.Image.open(io.BytesIO(original), formats=("JPEG",)) as jpeg:
        check_size(jpeg.height, jpeg.width)
        warnings: list[str] = []
        acquisition = picture.exif(jpeg, warnings)
        pixels, notes = picture.to_pixels(jpeg)
        tables = picture.jpeg_tables(jpeg)
    return Image(
        rendered_planes(pixels),
        "rendered",
        "libjxl",
        acquisition=acquisition,
        jpeg=tables,
        warnings=(*warnings, *notes),
    )


def _boxes(path: Path, data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the container's boxes, the first of each name last: it is the one that stays in a dict."""
    iso_media.check_complete(path)
    for name, place, end in reversed(list(iso_media.boxes(path))):
        begin = place + (16 if data[place : place + 4] == b"\0\0\0\1" else 8)
        yield name, data[begin:end]


def _pixels(data: bytes, header: JxlHeader, warnings: list[str]) -> Codes:
    """(height, width) or (height, width, 3) codes of the first frame, as they are stored, not turned."""
    import imagecodecs

    try:
        pixels: Codes = np.asarray(imagecodecs.jpegxl_decode(data, index=0, keeporientation=True))
    except imagecodecs.JpegxlError as error:
        raise TruncatedError(f"{_DAMAGED} ({one_line(str(error))})") from None
    if pixels.dtype.kind != "u":
        raise UnsupportedError(f"JPEG XL samples of type {pixels.dtype} are not read")
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4) and pixels[..., -1].min() < 2**header.bits - 1:
        warnings.append("transparency is ignored")
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
    return np.ascontiguousarray(pixels)


def _exif(parts: dict[bytes, bytes], warnings: list[str]) -> dict[str, Any]:
    block = parts.get(b"Exif")
    if block is None:
        if parts.get(b"brob", b"").startswith(b"Exif"):
            warnings.append("the EXIF is compressed and not read: camera, ISO and exposure unknown")
        return {}
    return metadata.exif_from_block(block[4 + int.from_bytes(block[:4], "big") :], warnings)
