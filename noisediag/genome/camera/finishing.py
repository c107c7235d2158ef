"""What is done last, at the size of the file: enlarging, sharpening with halos, grain."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome.camera.planes import blur, luma

LOBES = 3  # of the Lanczos kernel


def lanczos(picture: Tensor, height: int, width: int) -> Tensor:
    """`(N, C, H, W)` resized by the Lanczos kernel of three lobes, stretched where the picture gets smaller."""
    down, across = (lanczos_weights(old, new) for old, new in zip(picture.shape[-2:], (height, width), strict=True))
    return down.to(picture) @ picture @ across.to(picture).T


def lanczos_weights(old: int, new: int) -> Tensor:
    """The share of each of `old` pixels of a line in each of `new` ones, `(new, old)`; rows sum to 1."""
    stretch = max(1.0, old / new)
    places = (torch.arange(new) + 0.5) * (old / new) - 0.5
    distance = (torch.arange(old) - places[:, None]) / stretch
    weights = torch.where(distance.abs() < LOBES, torch.sinc(distance) * torch.sinc(distance / LOBES), 0.0)
    return weights / weights.sum(1, keepdim=True)


def unsharp(
    picture: Tensor, radius_px: float, amount: float, threshold: float, halo: float | None, colour: float
) -> Tensor:
    """Unsharp mask of `picture` (N, 3, H, W): detail above `threshold`, `amount` times, is added.

    `halo`: how far luma may leave the range of its 3x3 surroundings (None: no limit), which is what edges glow by;
    `colour`: share of each channel's own detail, the rest being that of luma.
    """
    bright = luma(picture)
    detail = bright - blur(bright, radius_px)
    added = amount * functional.softshrink(detail, threshold)
    if halo is not None:
        low = -functional.max_pool2d(-bright[:, None], 3, 1, 1)[:, 0] - halo
        high = functional.max_pool2d(bright[:, None], 3, 1, 1)[:, 0] + halo
        added = torch.minimum(torch.maximum(bright + added, low), high) - bright
    if colour == 0:
        return picture + added[:, None]
    own = amount * functional.softshrink(picture - blur(picture, radius_px), threshold)
    return picture + torch.lerp(added[:, None].expand_as(own), own, colour)


def grain(picture: Tensor, sd: float, size_px: float, colour: float, generator: torch.Generator) -> Tensor:
    """Add grain to an encoded `picture` (N, 3, H, W) in 0..1, as editors do: new in each photograph.

    SD `sd` * 2 sqrt(y (1 - y)) at luma y, so strongest in the middle tones, filtered by a Gaussian of `size_px` (0: of
    single pixels); `colour`: share of its variance that each channel has for itself.
    """
    strength = sd * 2 * (luma(picture).clamp(0, 1) * (1 - luma(picture).clamp(0, 1))).sqrt()

    def unit(channels: int) -> Tensor:
        noise = torch.randn((len(picture), channels, *picture.shape[2:]), generator=generator)
        return noise if size_px == 0 else blur(noise, size_px) / blur_energy(size_px)

    shared = math.sqrt(1 - colour) * unit(1)
    own = math.sqrt(colour) * unit(3) if colour > 0 else 0.0
    return picture + strength[:, None] * (shared + own)


def blur_energy(sigma: float) -> float:
    """The standard deviation that `planes.blur` leaves of white unit noise."""
    reach = 1 + 2 * max(1, math.ceil(3 * sigma))
    point = torch.zeros(2 * reach + 1, 2 * reach + 1)
    point[reach, reach] = 1
    return float(blur(point, sigma).square().sum().sqrt())
