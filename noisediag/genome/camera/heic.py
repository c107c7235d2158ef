"""What HEVC intra coding (HEIC files) does to the noise: transforms of 4 to 32 px by their cost, and deblocking.

After ITU-T H.265, without prediction, entropy coding and sample-adaptive offset: those move bits, and little noise.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome.camera.compression import from_ycc, to_ycc
from noisediag.traces.dct import dct_matrix

LARGEST = 32
ROUNDING = 1 / 3  # of a step, at which an encoder still rounds up what is no mean
BLOCK_BITS = 6.0  # to tell where and what a block is
EDGE_PX = 8  # grid of the edges that are deblocked
TC = (*(0,) * 18, *(1,) * 9, *(2,) * 4, *(3,) * 4, *(4,) * 3, 5, 5, 6, 6, 7, 8, 9, 10, 11, 13, 14, 16, 18, 20, 22, 24)


def step_of(qp: int) -> float:
    """The step of a quantisation parameter 0..51: twice as wide every six."""
    return float(2 ** ((qp - 4) / 6))


def beta_of(qp: int) -> int:
    """Second differences below which an edge is taken for the coding's (H.265, table 8-12)."""
    return 0 if qp < 16 else qp - 10 if qp < 29 else 2 * qp - 38


@cache
def _transform(side: int, device: torch.device) -> Tensor:
    return torch.from_numpy(np.asarray(dct_matrix(side))).float().to(device)


def _quantised(plane: Tensor, side: int, step: float, qp: int) -> tuple[Tensor, Tensor]:
    """`plane` (N, H, W) through blocks of `side`, and the cost of each, distortion and bits, `(N, H/side, W/side)`."""
    n, height, width = plane.shape
    lines = _transform(side, plane.device)
    blocks = plane.reshape(n, height // side, side, width // side, side).transpose(2, 3)
    seen = lines @ blocks @ lines.T
    scaled = seen / step
    levels = scaled.sign() * (scaled.abs() + ROUNDING).floor()
    levels[..., 0, 0] = scaled[..., 0, 0].round()
    off = (levels * step - seen).square().sum((-2, -1))
    bits = (2 * torch.log2(1 + levels.abs()) + 1.5 * (levels != 0)).sum((-2, -1)) + BLOCK_BITS
    decoded = (lines.T @ (levels * step) @ lines).transpose(2, 3).reshape(n, height, width)
    return decoded, off + 0.57 * 2 ** ((qp - 12) / 3) * bits


def _coded(plane: Tensor, largest: int, qp: int) -> tuple[Tensor, Tensor]:
    """A component (N, H, W) in blocks of `largest`, half and a quarter, whichever are cheapest, and their sides."""
    step = step_of(qp)
    decoded, cost = _quantised(plane, largest // 4, step, qp)
    sides = torch.full_like(cost, largest // 4)
    for side in (largest // 2, largest):
        whole, cost_of_whole = _quantised(plane, side, step, qp)
        cost_of_parts = 4 * functional.avg_pool2d(cost, 2)
        chosen = cost_of_whole < cost_of_parts
        cost = torch.minimum(cost_of_whole, cost_of_parts)
        decoded = torch.where(_spread(chosen, side), whole, decoded)
        sides = torch.where(_spread(chosen, 4 * side // largest), float(side), sides)
    return decoded, sides


def _spread(blocks: Tensor, times: int) -> Tensor:
    return blocks.repeat_interleave(times, -1).repeat_interleave(times, -2)


def _deblocked(plane: Tensor, sides: Tensor, qp: int) -> Tensor:
    """Vertical edges between blocks of `plane` (N, H, W) smoothed; `sides` of the blocks, `(N, H/8, W/8)`.

    The normal filter of H.265, 8.7.2.5, decided on for four lines at once by the bend of the first and the last.
    """
    beta, tc = beta_of(qp), TC[min(qp + 2, len(TC) - 1)]
    if beta == 0 or tc == 0:
        return plane
    n, height, width = plane.shape
    columns = plane.reshape(n, height, width // EDGE_PX, EDGE_PX).clone()
    left, right = columns[:, :, :-1], columns[:, :, 1:]  # views: what is written to them is in `columns`
    q0, q1, q2 = (right[..., i] for i in range(3))
    p0, p1, p2 = (left[..., EDGE_PX - 1 - i] for i in range(3))
    bend = ((p2 - 2 * p1 + p0).abs() + (q2 - 2 * q1 + q0).abs()).reshape(n, height // 4, 4, -1)
    calm = (bend[:, :, 0] + bend[:, :, 3] < beta).repeat_interleave(4, 1)
    place = EDGE_PX * torch.arange(1, width // EDGE_PX)
    edge = (place % sides[:, :, 1:] == 0).repeat_interleave(EDGE_PX, 1)
    delta = (9 * (q0 - p0) - 3 * (q1 - p1)) / 16
    delta = delta.clamp(-tc, tc) * (calm & edge & (delta.abs() < 10 * tc))
    p0, q0 = p0 + delta, q0 - delta
    left[..., EDGE_PX - 1], right[..., 0] = p0, q0
    return columns.reshape(n, height, width)


def _through(plane: Tensor, largest: int, qp: int) -> Tensor:
    """One component (N, H, W) in codes, coded, deblocked and decoded; the border is continued."""
    height, width = plane.shape[1:]
    pad = (0, -width % LARGEST, 0, -height % LARGEST)
    padded = functional.pad(plane[:, None], pad, mode="replicate")[:, 0] - 128
    decoded, sides = _coded(padded, largest, qp)
    if largest == LARGEST:  # of chroma, a few edges are smoothed, whose noise is gone anyway
        decoded = _deblocked(decoded, sides, qp)
        decoded = _deblocked(decoded.transpose(1, 2), sides.transpose(1, 2), qp).transpose(1, 2)
    return (decoded + 128).round().clamp(0, 255)[:, :height, :width]


def hevc(picture: Tensor, qp: int) -> Tensor:
    """What a HEIC file of `picture` (N, 3, H, W), codes 0..255, with quantisation parameter `qp` decodes to; 4:2:0."""
    bright, *chroma = to_ycc(picture)
    height, width = bright.shape[1:]
    decoded = [_through(bright, LARGEST, qp)]
    for component in chroma:
        even = functional.pad(component[:, None], (0, width % 2, 0, height % 2), mode="replicate")
        half = _through(functional.avg_pool2d(even, 2)[:, 0].round(), LARGEST // 2, qp)
        full = functional.interpolate(half[:, None], scale_factor=2, mode="bilinear", align_corners=False)
        decoded.append(full[:, 0, :height, :width].round())
    return from_ycc(decoded)
