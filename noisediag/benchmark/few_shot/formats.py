"""The files that pictures are written to and read from again, as a user has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from torch import Tensor

from noisediag import images
from noisediag.images.image import Image

PNG = {"compress_level": 1}  # fast; the pixels are the same


@dataclass(frozen=True)
class Format:
    """A kind of file. `codes` from black to white; `channels` with noise of their own."""

    name: str
    text: str
    suffix: str
    codes: int
    channels: int
    options: Mapping[str, Any]


FORMATS = {
    one.name: one
    for one in (
        Format("png16", "gray PNG of 16 bits", ".png", 65535, 1, PNG),
        Format("png8", "gray PNG of 8 bits", ".png", 255, 1, PNG),
        Format("jpeg95", "gray JPEG of quality 95", ".jpg", 255, 1, {"quality": 95}),
        Format("rgb8", "RGB PNG of 8 bits, each channel with noise of its own", ".png", 255, 3, PNG),
    )
}
PLAIN = "png16"


def reader(folder: Path, chosen: Format) -> Callable[[Tensor], Image]:
    """What writes channels (C, H, W) to a file of `folder`, the same one each time, and reads it as `estimate` does.

    Pixels have to be loaded before the next picture is written.
    """
    path = folder / f"picture{chosen.suffix}"

    def read(channels: Tensor) -> Image:
        codes = np.rint(channels.numpy() * chosen.codes).astype(np.uint16 if chosen.codes > 255 else np.uint8)
        picture = Pillow.fromarray(np.ascontiguousarray(codes.transpose(1, 2, 0)) if len(codes) > 1 else codes[0])
        picture.save(path, **chosen.options)
        return images.read(path)

    return read
