"""Several exposures made one, as phones do: fewer photons' noise where nothing moved, one exposure's where it did."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TILE_PX = 4  # of the mosaic, in which frames are compared
MOVED_PX = (2, 4)  # down and across, even: a pixel keeps its colour


def moved_places(height: int, width: int, places: tuple[tuple[float, float, float], ...]) -> Tensor:
    """Where something moved: discs of `places`, each down, across and radius as shares of the height, `(H, W)` bool."""
    down = torch.arange(height)[:, None] / height
    across = torch.arange(width) / height
    moved = torch.zeros(height, width, dtype=torch.bool)
    for y, x, radius in places:
        moved |= (down - y).square() + (across - x * width / height).square() < radius**2
    return moved


def displaced(light: Tensor, moved: Tensor) -> Tensor:
    """What the other frames see: `light` (..., H, W), with `moved` places shifted by MOVED_PX."""
    return torch.where(moved, light.roll(MOVED_PX, (-2, -1)), light)


def merge(
    reference: Tensor, others: Tensor, frames: int, shot_gain: float, read_noise: float, tolerance: float
) -> Tensor:
    """`reference` and the mean of the `frames - 1` `others`, both (N, H, W) in linear light, as one picture.

    In tiles where they differ by more than their noise, the others count less: the squared difference over itself
    plus `tolerance` times the noise's own is the share they lose (Hasinoff et al. 2016, "Burst photography", eq. 7).
    """
    height, width = reference.shape[-2:]

    def tiles(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values[:, None], TILE_PX, ceil_mode=True)

    light = tiles(others).clamp(min=0)
    expected = (shot_gain * light + read_noise**2) * (1 + 1 / (frames - 1))
    different = tiles((reference - others).square())
    lost = different / (different + tolerance * expected).clamp(min=1e-12)
    padded = [TILE_PX * lost.shape[2], TILE_PX * lost.shape[3]]
    lost = functional.interpolate(lost, padded, mode="bilinear", align_corners=False)[:, 0, :height, :width]
    return torch.lerp(others, reference, (1 + (frames - 1) * lost) / frames)
