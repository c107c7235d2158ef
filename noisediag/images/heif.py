"""HEIC, the phone default, through the optional extra `heif`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from noisediag.images import metadata
from noisediag.images.declaration import Declaration
from noisediag.images.image import Image
from noisediag.images.source import check_size, optional, rendered_planes

DECLARED = (
    Declaration(
        "HEIC, HEIF",
        "heic heif hif",
        "the primary picture",
        "pillow-heif",
        "heif",
        white="bit depth",
        time="EXIF",
    ),
)


def read(path: Path) -> Image:
    """The primary picture of a HEIF container, with all its bits."""
    pillow_heif = optional("pillow_heif", "heif")
    container = pillow_heif.open_heif(path, convert_hdr_to_8bit=False)
    primary = container[container.primary_index]
    width, height = primary.size
    check_size(height, width)
    pixels = np.asarray(primary)
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
    block = primary.info.get("exif")
    warnings: list[str] = []
    acquisition = metadata.exif_from_block(block, warnings) if block else {}
    # Deep pictures come in 16-bit containers with the codes at the top: the white level is the container's.
    planes = rendered_planes(np.ascontiguousarray(pixels))
    return Image(planes, "rendered", "pillow-heif", acquisition=acquisition, warnings=tuple(warnings))
