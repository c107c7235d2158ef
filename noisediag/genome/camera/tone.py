"""Tone curves from linear light to the signal of a file, and sharpening and resizing after them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome import srgb
from noisediag.genome.camera.finishing import lanczos
from noisediag.genome.camera.planes import blur, luma


def tone_srgb(x: Tensor, shape: Tensor) -> Tensor:
    """IEC 61966-2-1; `shape` is not used."""
    return srgb.encoded(x)


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


def sharpen(picture: Tensor, sigma: float, amount: float) -> Tensor:
    """Unsharp mask on luma: the same detail is added to every channel."""
    bright = luma(picture)
    return picture + amount * (bright - blur(bright, sigma))[:, None]


def resize(picture: Tensor, height: int, width: int, kernel: str) -> Tensor:
    """`kernel`: area (reducing only), bilinear or bicubic, both antialiased, or lanczos."""
    if kernel == "lanczos":
        return lanczos(picture, height, width)
    if kernel == "area":
        return functional.interpolate(picture, (height, width), mode="area")
    return functional.interpolate(picture, (height, width), mode=kernel, antialias=True, align_corners=False)
