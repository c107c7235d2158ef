"""Small pictures of files for a page."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import OUT_OF_MEMORY, InputError, UnreadableError
from noisediag.images import Plane, missing_pixels, read
from noisediag.reports.deadline import deadline
from noisediag.reports.document import path_fields

THUMBNAIL_S = 30.0  # that reading a picture may take


@dataclass(frozen=True)
class Thumbnail:
    """PNGs of a whole picture and of its middle, pixel by pixel; or why there is none."""

    whole: bytes | None
    middle: bytes | None
    reason: str | None


def thumbnail(path: str, sha256: str | None) -> Thumbnail:
    """The whole picture, small, and its middle pixel by pixel, where noise can be seen. Says why where it cannot.

    A report names files, and whoever wrote it may have named any: only what was measured, by its digest, is shown.
    """
    try:
        with deadline(THUMBNAIL_S):
            image = read(path)
            if image.sha256 != sha256:
                raise UnreadableError("is not the file that was measured")
            planes = image.planes
            chosen = planes[:3] if [plane.name for plane in planes] == ["R", "G", "B"] else planes[:1]
            pixels = np.stack([_drawn(plane) for plane in chosen], axis=-1)
    except InputError as error:
        return Thumbnail(None, None, str(error).removeprefix(f"{path_fields(path)['path']}: "))
    except MemoryError:
        return Thumbnail(None, None, OUT_OF_MEMORY)
    height, width = pixels.shape[:2]
    step = max(1, max(height, width) // 160)
    top, left = max(0, height - 64) // 2, max(0, width - 64) // 2
    low, high = np.quantile(pixels[::step, ::step], (0.005, 0.995))
    small, middle = (
        np.rint(255 * np.clip((part - low) / (high - low or 1), 0, 1)).astype(np.uint8)
        for part in (pixels[::step, ::step], pixels[top : top + 64, left : left + 64])
    )
    return Thumbnail(_png(small), _png(middle), None)


def _drawn(plane: Plane) -> NDArray[np.float64]:
    """The codes of `plane`, and the lowest one for pixels that hold no value."""
    codes = plane.load()
    values, missing = codes.astype(np.float64), missing_pixels(plane, codes)
    if missing is not None:
        values[missing] = 0.0 if missing.all() else values[~missing].min()
    return values


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()
