"""The colour filter array, and ways to demosaic it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from noisediag.genome.camera.planes import Kernel, filtered, median_of_9


def bayer_masks(height: int, width: int, phase: int) -> Tensor:
    """Where an RGGB mosaic, shifted by `phase` 0..3, sees red, green and blue: `(3, H, W)` of 0 and 1."""
    row = (torch.arange(height)[:, None] + phase // 2) % 2
    column = (torch.arange(width)[None] + phase % 2) % 2
    red, blue = (1 - row) * (1 - column), row * column
    return torch.stack([red, 1 - red - blue, blue]).float()


_CROSS = [[0, 0.25, 0], [0.25, 1, 0.25], [0, 0.25, 0]]
_TENT = [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]


def demosaic_bilinear(mosaic: Tensor, masks: Tensor) -> Tensor:
    """Means of the nearest pixels of the same colour; `mosaic` (N, H, W), `masks` (3, H, W), to (N, 3, H, W)."""
    red, green, blue = (mosaic * mask for mask in masks)
    return torch.stack([filtered(red, _TENT), filtered(green, _CROSS), filtered(blue, _TENT)], 1)


def demosaic_malvar(mosaic: Tensor, masks: Tensor) -> Tensor:
    """The linear filters of Malvar, He & Cutler 2004."""
    red, green, blue = masks
    axial: Kernel = [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]
    along: Kernel = [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
    diagonal: Kernel = [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]

    def eighth(kernel: Kernel) -> Tensor:
        return filtered(mosaic, [[value / 8 for value in row] for row in kernel])

    cross, horizontal, opposite = eighth(axial), eighth(along), eighth(diagonal)
    vertical = eighth([[row[i] for row in along] for i in range(5)])
    red_row = red.amax(1, keepdim=True)  # rows of the mosaic that hold red
    at_green = green > 0
    of_red = torch.where(at_green, torch.where(red_row > 0, horizontal, vertical), opposite)
    of_blue = torch.where(at_green, torch.where(red_row > 0, vertical, horizontal), opposite)
    return torch.stack(
        [
            torch.where(red > 0, mosaic, of_red),
            torch.where(at_green, mosaic, cross),
            torch.where(blue > 0, mosaic, of_blue),
        ],
        1,
    )


def demosaic_edge_directed(mosaic: Tensor, masks: Tensor) -> Tensor:
    """Green along the smaller gradient with second-order correction (Hamilton & Adams 1997), colour differences."""
    red, green, blue = masks
    across, across_bend = [[-1.0, 0, 1.0]], [[-1.0, 0, 2.0, 0, -1.0]]
    down, down_bend = ([[v] for v in kernel[0]] for kernel in (across, across_bend))
    bend_h, bend_v = filtered(mosaic, across_bend), filtered(mosaic, down_bend)
    slope_h = filtered(mosaic, across).abs() + bend_h.abs()
    slope_v = filtered(mosaic, down).abs() + bend_v.abs()
    guess_h = filtered(mosaic, [[0.5, 0, 0.5]]) + bend_h / 4
    guess_v = filtered(mosaic, [[0.5], [0.0], [0.5]]) + bend_v / 4
    even = (guess_h + guess_v) / 2
    guess = torch.where(slope_h < slope_v, guess_h, torch.where(slope_v < slope_h, guess_v, even))
    full = torch.where(green > 0, mosaic, guess)
    return torch.stack(
        [full + filtered((mosaic - full) * red, _TENT), full, full + filtered((mosaic - full) * blue, _TENT)], 1
    )


def demosaic_constant_hue(mosaic: Tensor, masks: Tensor) -> Tensor:
    """Green bilinear, red and blue by interpolated ratios to it (Cok 1987)."""
    red, green, blue = masks
    full = filtered(mosaic * green, _CROSS).clamp(min=0.02)
    ratio = (mosaic / full).clamp(-4, 4)
    return torch.stack([full * filtered(ratio * red, _TENT), full, full * filtered(ratio * blue, _TENT)], 1)


def demosaic_median(mosaic: Tensor, masks: Tensor) -> Tensor:
    """Bilinear, then colour differences by their median over 3x3 pixels (Freeman 1988)."""
    full = demosaic_bilinear(mosaic, masks)
    green = full[:, 1]
    red, blue = (green + median_of_9(full[:, i] - green) for i in (0, 2))
    seen = masks[[0, 2]] > 0
    return torch.stack([torch.where(seen[0], mosaic, red), green, torch.where(seen[1], mosaic, blue)], 1)


Demosaic = Callable[[Tensor, Tensor], Tensor]
DEMOSAICERS: dict[str, Demosaic] = {
    "bilinear": demosaic_bilinear,
    "malvar": demosaic_malvar,
    "edge_directed": demosaic_edge_directed,
    "median": demosaic_median,
    "constant_hue": demosaic_constant_hue,
}
