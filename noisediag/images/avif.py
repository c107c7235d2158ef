"""AVIF: its header through Pillow, its pixels, with all their bits, through libavif (imagecodecs)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.features

from noisediag.errors import TruncatedError, UnsupportedError, one_line
from noisediag.images import iso_media, picture
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image
from noisediag.images.source import check_size, rendered_planes

DECLARED = (
    Declaration(
        "AVIF",
        "avif",
        "first picture, all its bits; R, G and B or gray, rendered",
        "imagecodecs (libavif), Pillow",
        black="0",
        white="the last code of its bits",
        time="EXIF",
    ),
)
_GAIN_MAP = b"tmap"  # ISO 21496-1, as a derived picture beside the base


def read(path: Path) -> Image:
    """The first picture of an AVIF file. AV1's film grain, where the file asks for it, is part of what it shows."""
    import imagecodecs

    if not PIL.features.check("avif"):
        raise UnsupportedError("AVIF: this Pillow was built without it")
    iso_media.check_complete(path)
    data = path.read_bytes()
    with picture.opened(path, ("AVIF",)) as header:
        frames = int(getattr(header, "n_frames", 1))
        check_size(frames, header.height, header.width, 4)  # imagecodecs decodes them all
        warnings = ["only the first of several frames is read"] if frames > 1 else []
        acquisition = picture.exif(header, warnings)
    if _GAIN_MAP in iso_media.brands(data[:512]):
        warnings.append(picture.GAIN_MAP_LEFT_OUT)
    try:
        # Asked for a single frame by its index, imagecodecs 2026.3 crashes the process.
        pixels: Codes = np.asarray(imagecodecs.avif_decode(data))
    except imagecodecs.AvifError as error:
        raise TruncatedError(f"the AVIF data are cut off or damaged ({one_line(str(error))})") from None
    pixels = pixels[0] if frames > 1 else pixels
    white = 255.0 if pixels.dtype == np.uint8 else float(2 ** _bits(data) - 1)
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4) and pixels[..., -1].min() < white:
        warnings.append("transparency is ignored")
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
    planes = rendered_planes(np.ascontiguousarray(pixels), white=white)
    return Image(planes, "rendered", "libavif", acquisition=acquisition, warnings=tuple(warnings))


def _bits(data: bytes) -> int:
    """Bits of a sample, the most that an AV1 configuration in the file states (AV1-ISOBMFF 1.2, section 2.3)."""
    found = []
    place = data.find(b"av1C")
    while place >= 0:
        flags = data[place + 6] if place + 6 < len(data) else 0
        found.append((12 if flags & 0x20 else 10) if flags & 0x40 else 8)
        place = data.find(b"av1C", place + 4)
    return max(found, default=8)
