"""Exactly clean pictures, drawn by procedure, and variations of them.

They need no data file, carry no noise, and come out the same from the same generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome.painters import PAINTERS

KINDS: tuple[str, ...] = tuple(PAINTERS)
# What benchmarks draw from, as they did from the first, and how often: a kind that comes later changes no set.
COMMON: Mapping[str, float] = MappingProxyType(
    {"photo": 4.0, "leaves": 1.5, "texture": 1.0, "gradient": 1.0, "line_art": 1.0, "graphic": 1.0, "fluorescence": 1.0}
    | {"stars": 1.5, "tissue": 1.0, "anatomy": 1.0, "retina": 1.0, "satellite": 1.0, "fabric": 1.0, "underwater": 1.0}
    | {"grain": 1.0, "flat": 1.5}
)
# Detail as fine as the pixels, which looks like noise to whoever does not see its shape.
FINE: Mapping[str, float] = MappingProxyType(
    {"weave": 2.0, "halftone": 1.0, "ground": 2.0, "wood": 0.5, "lace": 1.0, "fur": 1.0, "aerial": 1.0}
    | {"cortex": 0.75, "ink": 1.5, "crowd": 2.0}
)
# What networks learn from, beside "glow". A fifth of "texture" and a twentieth of "satellite" cannot be told from
# noise by anybody, five times as much as of pictures: they would teach that noise is content.
TRAINING: Mapping[str, float] = MappingProxyType({**COMMON, "texture": 0.3, "satellite": 0.5, **FINE})
LEVEL_SAMPLES = 1024  # pixels of a picture that its black and white points are read from
MIN_STRETCHED = 0.2  # of the range; a narrower one would show a photograph's own noise
BLUR_REACH = 5  # px; the blurs of `vary` end there


def make(
    n: int, size: int, generator: torch.Generator, *, kinds: tuple[str, ...] | Mapping[str, float] | None = None
) -> Tensor:
    """`n` clean pictures, (n, size, size) float32 in [0, 1], on the generator's device.

    `kinds`: drawn from with equal chances, or with those that a mapping gives them; None: `COMMON`, natural
    compositions more often. Raises KeyError for an unknown kind.
    """
    odds = COMMON if kinds is None else kinds if isinstance(kinds, Mapping) else dict.fromkeys(kinds, 1.0)
    painters = [PAINTERS[name] for name in odds]
    weights = torch.tensor([*odds.values()])
    device = generator.device
    choice = torch.multinomial(weights.to(device), n, replacement=True, generator=generator).tolist()
    seeds = torch.randint(2**62, (n,), generator=generator, device=device).tolist()
    pictures = np.empty((n, size, size), dtype=np.float32)
    for picture, which, seed in zip(pictures, choice, seeds, strict=True):
        np.clip(painters[which](size, np.random.default_rng(seed)), 0, 1, out=picture)
    return torch.from_numpy(pictures).to(device)


def vary(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture of `batch` (B, H, W) turned or mirrored and, in 70 % of the cases, with another focus and exposure.

    Blur up to 2 px, sharpening, gamma, contrast, brightness from a few percent of white to overexposure; the result
    lies in [0, 1], clipped where an exposure would clip. The other 30 % keep their exact levels. Then 15 % of all get
    their black and white points set within their own range, as scans and line art have: large exact areas of both.
    """
    batch = _turn(batch, generator)
    device, count = generator.device, len(batch)

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=generator, device=device)

    def chance(share: float) -> Tensor:
        return torch.rand(count, 1, 1, generator=generator, device=device) < share

    def sometimes(share: float, value: Tensor, otherwise: float) -> Tensor:
        return torch.where(chance(share), value, otherwise)

    sharpened = chance(0.3)
    sigma = torch.where(sharpened, draw(0.5, 1.5), draw(0.2, 2.0))
    amount = torch.where(sharpened, draw(0.2, 1.2), -1.0)
    amount = sometimes(0.6, amount, 0.0)
    touched = chance(0.7)
    filtered = (touched & (amount != 0)).flatten().nonzero().squeeze(1)
    varied = batch.clone()
    if len(filtered):
        sharp = varied[filtered]
        varied[filtered] = torch.addcmul(sharp, amount[filtered], sharp - _soften(sharp, sigma[filtered])).clamp_(0, 1)
    gamma = sometimes(0.4, torch.exp(draw(-0.8, 0.8)), 1.0)
    contrast = sometimes(0.4, torch.exp(draw(-1.5, 0.3)), 1.0)
    pivot = draw(0, 1)  # the level that stays: low ones darken, high ones veil
    exposure = sometimes(0.4, torch.exp(draw(-3.2, 0.0)), 1.0)
    exposure = exposure * sometimes(0.15, draw(1.0, 2.5), 1.0)
    varied = torch.where(gamma == 1, varied, varied.pow(gamma))
    varied = ((varied - pivot) * contrast + pivot).mul_(exposure).clamp_(0, 1)
    varied = torch.where(touched, varied, batch)
    flat = varied.flatten(1)
    ordered = flat[:, :: max(1, flat.shape[1] // LEVEL_SAMPLES)].sort(1).values
    last = ordered.shape[1] - 1

    def level(share: Tensor) -> Tensor:
        return ordered.gather(1, (share[:, 0] * last).round().long())[..., None]

    black = level(sometimes(0.5, draw(0, 0.6), 0.0))
    white = torch.maximum(level(1 - sometimes(0.6, draw(0, 0.7), 0.0)), black + MIN_STRETCHED)
    return torch.where(chance(0.15), ((varied - black) / (white - black)).clamp(0, 1), varied)


def _turn(batch: Tensor, generator: torch.Generator) -> Tensor:
    """One of the eight symmetries of the square for each picture; of the four of the rectangle where H != W."""
    square = batch.shape[1] == batch.shape[2]
    choice = torch.randint(8 if square else 4, (len(batch),), generator=generator, device=generator.device)
    turned = batch.clone()
    for symmetry in range(1, 8):
        where = (choice == symmetry).nonzero().squeeze(1)
        if len(where):
            picture = batch[where]
            picture = picture.flip(1) if symmetry & 1 else picture
            picture = picture.flip(2) if symmetry & 2 else picture
            turned[where] = picture.transpose(1, 2) if symmetry & 4 else picture
    return turned


def _soften(batch: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of `sigma` (B, 1, 1) px, mirrored at the border."""
    axis = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=batch.device, dtype=torch.float32)
    line = torch.exp(-0.5 * (axis / sigma[:, 0]) ** 2)
    kernel = line[:, :, None] * line[:, None, :]
    kernel = kernel / kernel.sum((1, 2), keepdim=True)
    padded = functional.pad(batch[None], (BLUR_REACH,) * 4, mode="reflect")
    return functional.conv2d(padded, kernel[:, None], groups=len(batch))[0]
