"""JPEG compression as libjpeg does it, on tensors."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome.camera.planes import LUMA, luma
from noisediag.traces.dct import dct_matrix
from noisediag.traces.jpeg import chroma_table, luma_table

BLOCK = 8


def jpeg_tables(quality: int) -> Tensor:
    """Luminance and chrominance steps of libjpeg at `quality` 1..100, `(2, 8, 8)`."""
    steps = np.stack([luma_table(quality), chroma_table(quality)])
    return torch.from_numpy(steps).float().reshape(2, BLOCK, BLOCK)


@cache
def dct_of_block(device: torch.device) -> Tensor:
    """`traces.dct.dct_matrix` of a block's side in single precision, (8, 8)."""
    return torch.from_numpy(dct_matrix(BLOCK)).float().to(device)


def _through_blocks(plane: Tensor, steps: Tensor) -> Tensor:
    """One component `(N, H, W)` in codes, quantised in 8x8 blocks and back; the border is continued."""
    height, width = plane.shape[1:]
    padded = functional.pad(plane[:, None], (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")[:, 0]
    n, h, w = padded.shape
    blocks = padded.reshape(n, h // BLOCK, BLOCK, w // BLOCK, BLOCK).transpose(2, 3) - 128
    rows = dct_of_block(plane.device)
    coefficients = rows @ blocks @ rows.T
    coefficients = (coefficients / steps).round() * steps
    decoded = (rows.T @ coefficients @ rows + 128).round().clamp(0, 255)
    return decoded.transpose(2, 3).reshape(n, h, w)[:, :height, :width]


def jpeg(picture: Tensor, quality: int, subsampled: bool) -> Tensor:
    """What a JPEG file of `picture` (N, 3, H, W), in codes 0..255, decodes to: ITU-T T.81 with libjpeg's tables.

    `subsampled`: 4:2:0, upsampled by libjpeg's triangle filter.
    """
    steps = jpeg_tables(quality).to(picture.device)
    components = to_ycc(picture)
    height, width = picture.shape[2:]
    decoded = [_through_blocks(components[0], steps[0])]
    for component in components[1:]:
        if subsampled:
            even = functional.pad(component[:, None], (0, width % 2, 0, height % 2), mode="replicate")
            half = _through_blocks(functional.avg_pool2d(even, 2)[:, 0].round(), steps[1])
            full = functional.interpolate(half[:, None], scale_factor=2, mode="bilinear", align_corners=False)
            decoded.append(full[:, 0, :height, :width].round())
        else:
            decoded.append(_through_blocks(component, steps[1]))
    return from_ycc(decoded)


def to_ycc(picture: Tensor) -> list[Tensor]:
    """Y, Cb and Cr of JFIF, each (N, H, W) in whole codes, of `picture` (N, 3, H, W) in codes 0..255."""
    red, _, blue = picture.unbind(1)
    bright = luma(picture)
    components = [bright.round()]
    for colour, weight in ((blue, LUMA[2]), (red, LUMA[0])):
        components.append(((colour - bright) / (2 * (1 - weight)) + 128).round().clamp(0, 255))
    return components


def from_ycc(components: list[Tensor]) -> Tensor:
    """The picture (N, 3, H, W) in whole codes whose Y, Cb and Cr these are."""
    bright, blue_off, red_off = components[0], components[1] - 128, components[2] - 128
    red = bright + 2 * (1 - LUMA[0]) * red_off
    blue = bright + 2 * (1 - LUMA[2]) * blue_off
    green = (bright - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.stack([red, green, blue], 1).round().clamp(0, 255)


def jpeg_gray(picture: Tensor, quality: int) -> Tensor:
    """As `jpeg`, of gray pictures (N, H, W)."""
    return _through_blocks(picture, jpeg_tables(quality)[0].to(picture.device))
