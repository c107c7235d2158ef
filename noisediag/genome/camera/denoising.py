"""Denoisers of planes whose noise has a standard deviation of about 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome.camera.compression import BLOCK, dct_of_block
from noisediag.genome.camera.planes import blur, filtered


def denoise_gaussian(planes: Tensor, strength: float) -> Tensor:
    """Blur of 0.4 to 1.5 px for a `strength` of 0.3 to 3."""
    return blur(planes, 0.3 + 0.4 * strength)


def neighbours(planes: Tensor, reach: int) -> Iterator[tuple[Tensor, int]]:
    """`planes` shifted to every other place within `reach` px, with the squared distance."""
    height, width = planes.shape[-2:]
    padded = functional.pad(planes, (reach,) * 4, mode="reflect")
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            if down or across:
                top, left = reach + down, reach + across
                yield padded[..., top : top + height, left : left + width], down**2 + across**2


def denoise_bilateral(planes: Tensor, strength: float) -> Tensor:
    """Weighted mean of 5x5 pixels of similar value (Tomasi & Manduchi 1998)."""
    total, weight = planes.clone(), torch.ones_like(planes)
    for other, distance in neighbours(planes, 2):
        near = math.exp(-distance / 4.5)
        similar = torch.exp(-0.5 * ((other - planes) / (1.5 * strength)).square()) * near
        total += similar * other
        weight += similar
    return total / weight


def patch_mean(values: Tensor) -> Tensor:
    """Mean of the 3x3 values around each place of `(..., H, W)` that exist; five times faster than pooling."""
    lines = values.clone()
    lines[..., 1:, :] += values[..., :-1, :]
    lines[..., :-1, :] += values[..., 1:, :]
    total = lines.clone()
    total[..., 1:] += lines[..., :-1]
    total[..., :-1] += lines[..., 1:]
    down, across = (torch.full((length,), 1 / 3) for length in values.shape[-2:])
    for inverse_count in (down, across):
        inverse_count[[0, -1]] = 1 / 2
    return total * (down[:, None] * across)


def denoise_non_local(planes: Tensor, strength: float) -> Tensor:
    """Non-local means in a window of 7x7 with patches of 3x3 (Buades, Coll & Morel 2005)."""
    total, weight = planes.clone(), torch.ones_like(planes)
    for other, _ in neighbours(planes, 3):
        distance = patch_mean((other - planes).square())
        similar = torch.exp(-(distance - 2).clamp(min=0) / strength**2)
        total += similar * other
        weight += similar
    return total / weight


def denoise_wavelet(planes: Tensor, strength: float) -> Tensor:
    """Soft threshold on three scales of the undecimated B3-spline transform (Starck, Fadili & Murtagh 2007)."""
    smooth, result = planes, torch.zeros_like(planes)
    for level, sigma in enumerate((0.890, 0.201, 0.086)):  # of white unit noise on each scale
        gap = 2**level - 1
        line = [0.0] * (4 * (gap + 1) + 1)
        for i, value in enumerate((1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)):
            line[i * (gap + 1)] = value
        coarser = filtered(filtered(smooth, [line]), [[v] for v in line])
        detail = smooth - coarser
        result = result + detail.sign() * (detail.abs() - strength * sigma).clamp(min=0)
        smooth = coarser
    return result + smooth


def denoise_diffusion(planes: Tensor, strength: float) -> Tensor:
    """Four steps of anisotropic diffusion, with the conductance of large areas (Perona & Malik 1990)."""
    height, width = planes.shape[-2:]
    for _ in range(4):
        padded = functional.pad(planes, (1, 1, 1, 1), mode="replicate")
        flow = torch.zeros_like(planes)
        for top, left in ((0, 1), (2, 1), (1, 0), (1, 2)):
            slope = padded[..., top : top + height, left : left + width] - planes
            flow += slope / (1 + (slope / (1.5 * strength)).square())
        planes = planes + 0.2 * flow
    return planes


def denoise_dct(planes: Tensor, strength: float) -> Tensor:
    """Hard threshold on the DCT of 8x8 blocks, the mean over two grids of them (Yaroslavsky 1996)."""
    height, width = planes.shape[-2:]
    lines, total = dct_of_block(planes.device), torch.zeros_like(planes)
    for shift in (0, BLOCK // 2):
        down, across = shift + (-height - shift) % BLOCK, shift + (-width - shift) % BLOCK
        padded = functional.pad(planes, (shift, across - shift, shift, down - shift), mode="reflect")
        rows, columns = padded.shape[-2] // BLOCK, padded.shape[-1] // BLOCK
        blocks = padded.reshape(*padded.shape[:-2], rows, BLOCK, columns, BLOCK).transpose(-3, -2)
        seen = lines @ blocks @ lines.T
        kept = torch.where(seen.abs() < 2 * strength, 0.0, seen)
        kept[..., 0, 0] = seen[..., 0, 0]
        back = (lines.T @ kept @ lines).transpose(-3, -2).reshape(padded.shape)
        total += back[..., shift : shift + height, shift : shift + width]
    return total / 2


def denoise_guided(planes: Tensor, strength: float) -> Tensor:
    """The guided filter of He, Sun & Tang 2010, guided by the picture itself, 5x5."""

    def mean(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values, 5, 1, 2, count_include_pad=False)

    middle = mean(planes)
    variance = (mean(planes.square()) - middle.square()).clamp(min=0)
    slope = variance / (variance + strength**2)
    return mean(slope) * planes + mean(middle - slope * middle)


Denoiser = Callable[[Tensor, float], Tensor]
DENOISERS: dict[str, Denoiser] = {
    "gaussian": denoise_gaussian,
    "bilateral": denoise_bilateral,
    "non_local": denoise_non_local,
    "wavelet": denoise_wavelet,
    "diffusion": denoise_diffusion,
    "dct": denoise_dct,
    "guided": denoise_guided,
}
