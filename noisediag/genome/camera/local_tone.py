"""Tones that depend on the place: after them the same signal carries different noise in different parts.

Each takes an encoded picture `(N, 3, H, W)` in 0..1 and two numbers of 0..1, and gives one in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome.camera.denoising import DENOISERS
from noisediag.genome.camera.planes import luma

BASE_PX = 4  # the base layer is found at a size so many times smaller
EDGE = 0.12  # steps of luma above belong to the base layer, where the curve is the same on both sides
LARGEST_GAIN = 6.0
BINS = 64


def _with_luma(picture: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """`picture` with its luma changed from `before` to `after`, colours in proportion."""
    gain = (after / before.clamp(min=1e-3)).clamp(0, LARGEST_GAIN)
    return (picture * gain[:, None]).clamp(0, 1)


def base_detail(picture: Tensor, shape: tuple[float, float]) -> Tensor:
    """Contrast of large parts times 0.3 to 0.9, that of detail 0.9 to 1.7 times (Durand & Dorsey 2002)."""
    bright = luma(picture)
    height, width = bright.shape[-2:]
    small = functional.avg_pool2d(bright[:, None], BASE_PX, ceil_mode=True)
    for _ in range(2):
        small = DENOISERS["bilateral"](small / EDGE, 1.0) * EDGE
    size = [BASE_PX * small.shape[2], BASE_PX * small.shape[3]]
    base = functional.interpolate(small, size, mode="bilinear", align_corners=False)[:, 0, :height, :width]
    middle = base.mean((-2, -1), keepdim=True)
    after = middle + (0.3 + 0.6 * shape[0]) * (base - middle) + (0.9 + 0.8 * shape[1]) * (bright - base)
    return _with_luma(picture, bright, after.clamp(0, 1))


def equalised(picture: Tensor, shape: tuple[float, float]) -> Tensor:
    """Contrast-limited adaptive histogram equalisation of luma in 3x3 to 8x8 tiles (Zuiderveld 1994)."""
    bright = luma(picture).clamp(0, 1)
    count, height, width = bright.shape
    tiles = 3 + round(5 * shape[0])
    limit = 1.5 + 2.5 * shape[1]  # times the mean count: the steepest that a curve may be
    row = (torch.arange(height) * tiles // height)[:, None]
    column = torch.arange(width) * tiles // width
    levels = (bright * BINS).long().clamp(max=BINS - 1)
    places = ((row * tiles + column) * BINS + levels).flatten(1)
    counts = torch.zeros(count, tiles * tiles * BINS).scatter_add_(1, places, torch.ones(places.shape))
    counts = counts.reshape(count, tiles, tiles, BINS)
    counts = counts * BINS / counts.sum(-1, keepdim=True)
    cut = counts.clamp(max=limit)
    cut = cut + (counts - cut).mean(-1, keepdim=True)  # what was cut off goes to all levels
    upper = cut.cumsum(-1) / BINS
    curves = (upper - cut / (2 * BINS)).permute(0, 3, 1, 2)[:, None]  # at the middle of each level
    across = (torch.arange(width) + 0.5) / width * 2 - 1
    down = (torch.arange(height) + 0.5) / height * 2 - 1
    grid = torch.stack([across.expand(count, height, -1), down[:, None].expand(count, -1, width), 2 * bright - 1], -1)
    mapped = functional.grid_sample(curves, grid[:, None], padding_mode="border", align_corners=False)[:, 0, 0]
    return _with_luma(picture, bright, mapped)


LocalTone = Callable[[Tensor, tuple[float, float]], Tensor]
LOCAL_TONES: dict[str, LocalTone] = {"base_detail": base_detail, "equalised": equalised}
