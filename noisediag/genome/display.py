"""What every rendered picture is told by: its planes, its codes, its luma. For simulator, model and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisediag.images.image import LUMA as WEIGHT_OF_COLOUR

if TYPE_CHECKING:
    from torch import Tensor

CODES = 255
PLANES = ("R", "G", "B", "luma")
AREAS = (2, 4, 8)  # px a side of the squares averaged by whoever looks from afar
LUMA = tuple(WEIGHT_OF_COLOUR.values())


def luma(picture: Tensor) -> Tensor:
    """BT.601 luma of `(..., 3, H, W)`: `(..., H, W)`."""
    red, green, blue = picture.unbind(-3)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
