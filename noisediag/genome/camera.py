"""The stages of a simulated camera between sensor and file, on batches `(N, 3, H, W)` float32 in torch.

Each is a plain function of the picture and its own numbers; `genome.rendered` strings them together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome import srgb
from noisediag.images.image import LUMA as OF_COLOUR
from noisediag.traces import jpeg as jpeg_traces
from noisediag.traces.dct import dct_matrix

LUMA = tuple(OF_COLOUR.values())
BLOCK = 8
Kernel = list[list[float]]


def luma(picture: Tensor) -> Tensor:
    """BT.601 luma of `(..., 3, H, W)`: `(..., H, W)`."""
    red, green, blue = picture.unbind(-3)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


# --- colour filter array and demosaicing ---------------------------------------------------------------------------


def bayer_masks(height: int, width: int, phase: int) -> Tensor:
    """Where an RGGB mosaic, shifted by `phase` 0..3, sees red, green and blue: `(3, H, W)` of 0 and 1."""
    row = (torch.arange(height)[:, None] + phase // 2) % 2
    column = (torch.arange(width)[None] + phase % 2) % 2
    red, blue = (1 - row) * (1 - column), row * column
    return torch.stack([red, 1 - red - blue, blue]).float()


def _filter(picture: Tensor, kernel: Kernel) -> Tensor:
    """`kernel` over the last two axes, mirrored at the border."""
    weight = torch.tensor(kernel, device=picture.device)
    down, across = weight.shape[0] // 2, weight.shape[1] // 2
    planes = picture.reshape(-1, 1, *picture.shape[-2:])
    padded = functional.pad(planes, (across, across, down, down), mode="reflect")
    return functional.conv2d(padded, weight[None, None]).reshape(picture.shape)


_CROSS = [[0, 0.25, 0], [0.25, 1, 0.25], [0, 0.25, 0]]
_MEDIAN_OF_9 = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3)),
    *((5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)  # exchanges that leave the median at place 4
_TENT = [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]


def demosaic_bilinear(mosaic: Tensor, masks: Tensor) -> Tensor:
    """Means of the nearest pixels of the same colour; `mosaic` (N, H, W), `masks` (3, H, W), to (N, 3, H, W)."""
    red, green, blue = (mosaic * mask for mask in masks)
    return torch.stack([_filter(red, _TENT), _filter(green, _CROSS), _filter(blue, _TENT)], 1)


def demosaic_malvar(mosaic: Tensor, masks: Tensor) -> Tensor:
    """The linear filters of Malvar, He & Cutler 2004."""
    red, green, blue = masks
    axial: Kernel = [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]
    along: Kernel = [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
    diagonal: Kernel = [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]

    def eighth(kernel: Kernel) -> Tensor:
        return _filter(mosaic, [[value / 8 for value in row] for row in kernel])

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
    bend_h, bend_v = _filter(mosaic, across_bend), _filter(mosaic, down_bend)
    slope_h = _filter(mosaic, across).abs() + bend_h.abs()
    slope_v = _filter(mosaic, down).abs() + bend_v.abs()
    guess_h = _filter(mosaic, [[0.5, 0, 0.5]]) + bend_h / 4
    guess_v = _filter(mosaic, [[0.5], [0.0], [0.5]]) + bend_v / 4
    even = (guess_h + guess_v) / 2
    guess = torch.where(slope_h < slope_v, guess_h, torch.where(slope_v < slope_h, guess_v, even))
    full = torch.where(green > 0, mosaic, guess)
    return torch.stack(
        [full + _filter((mosaic - full) * red, _TENT), full, full + _filter((mosaic - full) * blue, _TENT)], 1
    )


def demosaic_constant_hue(mosaic: Tensor, masks: Tensor) -> Tensor:
    """Green bilinear, red and blue by interpolated ratios to it (Cok 1987)."""
    red, green, blue = masks
    full = _filter(mosaic * green, _CROSS).clamp(min=0.02)
    ratio = (mosaic / full).clamp(-4, 4)
    return torch.stack([full * _filter(ratio * red, _TENT), full, full * _filter(ratio * blue, _TENT)], 1)


def demosaic_median(mosaic: Tensor, masks: Tensor) -> Tensor:
    """Bilinear, then colour differences by their median over 3x3 pixels (Freeman 1988)."""
    full = demosaic_bilinear(mosaic, masks)
    green = full[:, 1]
    red, blue = (green + _median(full[:, i] - green) for i in (0, 2))
    seen = masks[[0, 2]] > 0
    return torch.stack([torch.where(seen[0], mosaic, red), green, torch.where(seen[1], mosaic, blue)], 1)


def _median(planes: Tensor) -> Tensor:
    """Median over 3x3 pixels, mirrored at the border, by exchanges (Smith 1996)."""
    height, width = planes.shape[-2:]
    padded = functional.pad(planes, (1, 1, 1, 1), mode="reflect")
    p = [padded[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]
    for a, b in _MEDIAN_OF_9:
        p[a], p[b] = torch.minimum(p[a], p[b]), torch.maximum(p[a], p[b])
    return p[4]


Demosaic = Callable[[Tensor, Tensor], Tensor]
DEMOSAICERS: dict[str, Demosaic] = {
    "bilinear": demosaic_bilinear,
    "malvar": demosaic_malvar,
    "edge_directed": demosaic_edge_directed,
    "median": demosaic_median,
    "constant_hue": demosaic_constant_hue,
}


# --- denoising: planes whose noise has a standard deviation of about 1 --------------------------------------------


def blur(planes: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of `(..., H, W)`, `sigma` in px, mirrored at the border."""
    reach = max(1, math.ceil(3 * sigma))
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (line / line.sum()).tolist()
    return _filter(_filter(planes, [weights]), [[w] for w in weights])


def denoise_gaussian(planes: Tensor, strength: float) -> Tensor:
    """Blur of 0.4 to 1.5 px for a `strength` of 0.3 to 3."""
    return blur(planes, 0.3 + 0.4 * strength)


def _neighbours(planes: Tensor, reach: int) -> Iterator[tuple[Tensor, int]]:
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
    for other, distance in _neighbours(planes, 2):
        near = math.exp(-distance / 4.5)
        similar = torch.exp(-0.5 * ((other - planes) / (1.5 * strength)).square()) * near
        total += similar * other
        weight += similar
    return total / weight


def _patch_mean(values: Tensor) -> Tensor:
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
    for other, _ in _neighbours(planes, 3):
        distance = _patch_mean((other - planes).square())
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
        coarser = _filter(_filter(smooth, [line]), [[v] for v in line])
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
    lines, total = _dct(planes.device), torch.zeros_like(planes)
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


# --- tone -----------------------------------------------------------------------------------------------------------


def tone_srgb(x: Tensor, shape: Tensor) -> Tensor:
    """IEC 61966-2-1; `shape` is not used."""
    return srgb.encode(x)


def tone_gamma(x: Tensor, shape: Tensor) -> Tensor:
    """A power law of exponent 1 / (1.4 .. 3.6), with a linear start as cameras have: up to 0.0005 .. 0.02."""
    exponent = 1 / (1.4 + 2.2 * float(shape[0]) ** 2)
    toe = 0.0005 * 40 ** float(shape[1])
    slope = toe ** (exponent - 1)
    return torch.where(x < toe, slope * x, x.clamp(min=toe) ** exponent)


def tone_filmic(x: Tensor, shape: Tensor) -> Tensor:
    """A shouldered S-curve (Reinhard 2002 with a white point) in linear light, then sRGB."""
    key = 1.0 + 3.0 * float(shape[0])
    bright = key * x
    toe = 0.5 * float(shape[1])
    rolled = bright * (1 + bright / key**2) / (1 + bright)
    crushed = rolled * (rolled + 0.02) / (rolled + 0.02 + 0.05 * toe)
    top = crushed.new_tensor((1 + 0.02) / (1 + 0.02 + 0.05 * toe))
    return tone_srgb((crushed / top).clamp(0, 1), shape)


def tone_monotone(x: Tensor, shape: Tensor) -> Tensor:
    """A power law under a random smooth monotone curve."""
    return bend(tone_gamma(x, shape[4:]), shape[:4])


def bend(picture: Tensor, shape: Tensor) -> Tensor:
    """A random smooth monotone curve over 0..1: the integral of the exponential of four cosines; `shape` (4,) 0..1."""
    at = torch.linspace(0, 1, 129)
    waves = torch.stack([torch.cos(math.pi * (k + 1) * at) for k in range(4)])
    height = (2 * shape[:, None] - 1) * torch.tensor([1.3, 0.9, 0.5, 0.3])[:, None]
    density = torch.exp((height * waves).sum(0))
    curve = torch.cat([torch.zeros(1), torch.cumsum((density[1:] + density[:-1]) / 2, 0)])
    curve = (curve / curve[-1]).to(picture)
    position = picture * 128
    low = position.floor().clamp(0, 127).long()
    return torch.lerp(curve[low], curve[low + 1], position - low)


def tone_log(x: Tensor, shape: Tensor) -> Tensor:
    """ln(1 + a*x) / ln(1 + a), a from 20 to 300."""
    a = 20 * 15 ** float(shape[0])
    return torch.log1p(a * x) / math.log1p(a)


Tone = Callable[[Tensor, Tensor], Tensor]
TONES: dict[str, Tone] = {
    "srgb": tone_srgb,
    "gamma": tone_gamma,
    "filmic": tone_filmic,
    "monotone": tone_monotone,
    "log": tone_log,
}


# --- after the tone curve -------------------------------------------------------------------------------------------


def sharpen(picture: Tensor, sigma: float, amount: float) -> Tensor:
    """Unsharp mask on luma: the same detail is added to every channel."""
    bright = luma(picture)
    return picture + amount * (bright - blur(bright, sigma))[:, None]


def resize(picture: Tensor, height: int, width: int, kernel: str) -> Tensor:
    """`kernel`: area (reducing only), bilinear or bicubic, both antialiased."""
    if kernel == "area":
        return functional.interpolate(picture, (height, width), mode="area")
    return functional.interpolate(picture, (height, width), mode=kernel, antialias=True, align_corners=False)


# --- JPEG -----------------------------------------------------------------------------------------------------------


def jpeg_tables(quality: int) -> Tensor:
    """Luminance and chrominance steps of libjpeg at `quality` 1..100, `(2, 8, 8)`."""
    steps = np.stack([jpeg_traces.luma_table(quality), jpeg_traces.chroma_table(quality)])
    return torch.from_numpy(steps).float().reshape(2, BLOCK, BLOCK)


@cache
def _dct(device: torch.device) -> Tensor:
    return torch.from_numpy(dct_matrix(BLOCK)).float().to(device)


def _through_blocks(plane: Tensor, steps: Tensor) -> Tensor:
    """One component `(N, H, W)` in codes, quantised in 8x8 blocks and back; the border is continued."""
    height, width = plane.shape[1:]
    padded = functional.pad(plane[:, None], (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")[:, 0]
    n, h, w = padded.shape
    blocks = padded.reshape(n, h // BLOCK, BLOCK, w // BLOCK, BLOCK).transpose(2, 3) - 128
    rows = _dct(plane.device)
    coefficients = rows @ blocks @ rows.T
    coefficients = (coefficients / steps).round() * steps
    decoded = (rows.T @ coefficients @ rows + 128).round().clamp(0, 255)
    return decoded.transpose(2, 3).reshape(n, h, w)[:, :height, :width]


def jpeg(picture: Tensor, quality: int, subsampled: bool) -> Tensor:
    """What a JPEG file of `picture` (N, 3, H, W), in codes 0..255, decodes to: ITU-T T.81 with libjpeg's tables.

    `subsampled`: 4:2:0, upsampled by libjpeg's triangle filter.
    """
    steps = jpeg_tables(quality).to(picture.device)
    red, green, blue = picture.unbind(1)
    bright = luma(picture)
    components = [bright.round()]
    for colour, weight in ((blue, LUMA[2]), (red, LUMA[0])):
        components.append(((colour - bright) / (2 * (1 - weight)) + 128).round().clamp(0, 255))
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
    bright, blue_off, red_off = decoded[0], decoded[1] - 128, decoded[2] - 128
    red = bright + 2 * (1 - LUMA[0]) * red_off
    blue = bright + 2 * (1 - LUMA[2]) * blue_off
    green = (bright - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.stack([red, green, blue], 1).round().clamp(0, 255)
