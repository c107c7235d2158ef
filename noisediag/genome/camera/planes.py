"""Filters of planes and the luma of pictures, shared by the stages."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome.display import LUMA as LUMA
from noisediag.genome.display import luma as luma

Kernel = list[list[float]]
_MEDIAN_OF_9 = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3)),
    *((5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)  # exchanges that leave the median at place 4


def filtered(picture: Tensor, kernel: Kernel) -> Tensor:
    """`kernel` over the last two axes, mirrored at the border."""
    weight = torch.tensor(kernel, device=picture.device)
    down, across = weight.shape[0] // 2, weight.shape[1] // 2
    planes = picture.reshape(-1, 1, *picture.shape[-2:])
    padded = functional.pad(planes, (across, across, down, down), mode="reflect")
    return functional.conv2d(padded, weight[None, None]).reshape(picture.shape)


def blur(planes: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of `(..., H, W)`, `sigma` in px, mirrored at the border."""
    reach = max(1, math.ceil(3 * sigma))
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (line / line.sum()).tolist()
    return filtered(filtered(planes, [weights]), [[w] for w in weights])


def median_of_9(planes: Tensor) -> Tensor:
    """Median over 3x3 pixels, mirrored at the border, by exchanges (Smith 1996)."""
    height, width = planes.shape[-2:]
    padded = functional.pad(planes, (1, 1, 1, 1), mode="reflect")
    p = [padded[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]
    for a, b in _MEDIAN_OF_9:
        p[a], p[b] = torch.minimum(p[a], p[b]), torch.maximum(p[a], p[b])
    return p[4]
