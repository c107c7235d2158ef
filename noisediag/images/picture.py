"""PNG, JPEG, WebP and BMP: rendered pictures, except for 16-bit gray PNG, which instruments write."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.BmpImagePlugin
import PIL.Image
import PIL.JpegImagePlugin
import PIL.PngImagePlugin
import PIL.WebPImagePlugin

from noisediag.errors import TooLargeError, UnsupportedError
from noisediag.images import metadata
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image, JpegTables
from noisediag.images.source import MAX_PIXELS, LinearScale, check_size, loader, rendered_planes
from noisediag.sharing import Shared

GAIN_MAP_LEFT_OUT = "an HDR gain map stands beside the picture: the base picture is read, without it"
# Google's Ultra HDR and Adobe's name space, Apple's auxiliary picture, ISO 21496-1
_GAIN_MAPS = (b"hdrgm:", b"hdrgainmap", b"urn:iso:std:iso:ts:21496:-1")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # Pillow itself turns a JPEG with several pictures into MPO


DECLARED = (
    Declaration(
        "PNG, JPEG, WebP, BMP", "png jpg jpeg jpe webp bmp", "the picture", "Pillow", white="bit depth", time="EXIF"
    ),
)


def read(path: Path) -> Image:
    """A picture in one of Pillow's formats; its first frame if it has several."""
    with opened(path) as picture:
        warnings = _beside(path, picture)
        acquisition = exif(picture, warnings)
        if picture.format == "PNG" and _png_depth(path) == 16:
            pixels = _png16(path)
            if pixels.ndim == 2:
                scale = LinearScale([pixels])
                plane = scale.plane("gray", (pixels.shape[0], pixels.shape[1]), loader(pixels))
                return Image((plane,), "linear", "pillow", acquisition=acquisition, warnings=tuple(warnings))
        else:
            pixels, notes = to_pixels(picture)
            warnings += notes
        tables = jpeg_tables(picture)
        if tables is None and isinstance(picture, PIL.JpegImagePlugin.JpegImageFile):
            warnings.append("a step of 0 in the JPEG quantiser tables: quality is looked for in the pixels")
    return Image(
        rendered_planes(pixels),
        "rendered",
        "pillow",
        acquisition=acquisition,
        jpeg=tables,
        warnings=tuple(warnings),
    )


def _beside(path: Path, picture: PIL.Image.Image) -> list[str]:
    """What a file holds besides the picture that is read, in words: other frames, or a gain map of a JPEG."""
    if isinstance(picture, PIL.JpegImagePlugin.JpegImageFile):
        data = path.read_bytes()
        data = data.lower()
        if any(name in data for name in _GAIN_MAPS):
            return [GAIN_MAP_LEFT_OUT]
    return ["only the first of several frames is read"] if getattr(picture, "n_frames", 1) > 1 else []


@contextlib.contextmanager
def opened(path: Path, formats: tuple[str, ...] = _FORMATS) -> Iterator[PIL.Image.Image]:
    """The picture, header read, its size checked against `MAX_PIXELS` before anything is decoded.

    Pillow's own bomb limit only warns up to twice its value, so it is set to ours for the time being.
    """
    try:
        with _own_limit(), PIL.Image.open(path, formats=formats) as picture:
            check_size(picture.height, picture.width)
            yield picture
    except PIL.Image.DecompressionBombError:
        raise TooLargeError(f"declares more than {MAX_PIXELS} pixels (a bomb?)") from None
    except PIL.UnidentifiedImageError:
        raise OSError("the header is damaged") from None


@contextlib.contextmanager
def _raised_limit() -> Iterator[None]:
    before = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    try:
        yield
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = before


_own_limit = Shared(_raised_limit)


def to_pixels(picture: PIL.Image.Image) -> tuple[Codes, list[str]]:
    """(height, width) or (height, width, 3) uint8 codes, and warnings. Palettes are looked up, alpha is dropped."""
    mode = picture.mode
    if mode == "1":
        raise UnsupportedError("a 1-bit picture has no noise to read")
    if mode not in ("L", "LA", "RGB", "RGBA", "RGBX", "P", "PA"):
        raise UnsupportedError(f"colour mode {mode} is not read: convert to gray or RGB")
    picture.load()
    warnings = []
    if mode in ("P", "PA"):
        warnings.append("a palette picture: its noise is that of the palette's dither")
        picture = picture.convert("RGBA" if "transparency" in picture.info or mode == "PA" else "RGB")
    if picture.mode in ("LA", "RGBA") and np.asarray(picture.getchannel("A")).min() < 255:
        warnings.append("transparency is ignored")
    pixels = np.asarray(picture)
    if pixels.ndim == 3:
        pixels = pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
    return pixels, warnings


def jpeg_tables(picture: PIL.Image.Image) -> JpegTables | None:
    """The quantiser tables of a JPEG file; None for other formats, and for damaged tables that hold a step of 0."""
    if not isinstance(picture, PIL.JpegImagePlugin.JpegImageFile):
        return None
    # One entry a component: identifier, horizontal and vertical sampling factor, number of its table.
    components = picture.layer[:2]
    luma, *chroma = (tuple(picture.quantization[component[3]]) for component in components)
    if not all(map(all, (luma, *chroma))):
        return None
    return JpegTables(luma, chroma[0] if chroma else None)


def exif(picture: PIL.Image.Image, warnings: list[str]) -> dict[str, Any]:
    """The picture's EXIF tags by ExifTool names; `warnings` is told where they are damaged."""
    block = picture.info.get("exif")
    if not isinstance(block, bytes):
        tags = picture.getexif()
        block = tags.tobytes() if len(tags) else b""  # of no tags Pillow makes a block, too
    return metadata.exif_from_block(block, warnings) if block else {}


def _png_depth(path: Path) -> int:
    with open(path, "rb") as file:
        return file.read(25)[24]


def _png16(path: Path) -> Codes:
    """A 16-bit PNG with all its bits (Pillow keeps eight of a colour one); alpha dropped."""
    import imagecodecs

    pixels: Codes = imagecodecs.png_decode(path.read_bytes())
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., 0]
    return pixels
