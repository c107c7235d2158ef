"""Noise that leaves the genome's law: Rician magnitude, film grain, filtered pixels.

Signals are normalised. Each lays its noise over a clean picture; what its mean and variance are is told beside it.
Speckle needs none of it: it is `SensorNoise.multiplicative`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome import correlation
from noisediag.genome.rician import rician_moments as rician_moments


def rician(clean: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
    """Magnitude of a complex signal `clean` (B, H, W) with Gaussian noise `sigma` (B,) in both of its parts."""
    real, imaginary = torch.randn(2, *clean.shape, generator=generator, device=clean.device)
    width = sigma[:, None, None]
    return torch.hypot(clean + width * real, width * imaginary)


def grain(clean: Tensor, strength: Tensor, rho: Tensor, generator: torch.Generator) -> Tensor:
    """Film grain over `clean` (B, H, W): variance strength^2 * 4*x*(1-x), grains `rho` (B,) px wide."""
    padding = 8
    height, width = clean.shape[1:]
    shape = (len(clean), height + 2 * padding, width + 2 * padding)
    white = torch.randn(shape, generator=generator, device=clean.device)
    filtered = torch.empty_like(clean)
    for number, value in enumerate(rho.tolist()):
        kernel = torch.from_numpy(correlation.kernel(value)).to(white)
        reach = kernel.shape[-1] // 2
        if reach > padding:
            raise ValueError(f"grains of {value} px are wider than is simulated")
        inset = padding - reach
        region = white[number, inset : shape[1] - inset, inset : shape[2] - inset]
        filtered[number] = functional.conv2d(region[None, None], kernel[None, None])[0, 0]
    return clean + grain_sigma(clean, strength[:, None, None]) * filtered


def grain_sigma(signal: Tensor, strength: Tensor) -> Tensor:
    """Standard deviation of film grain at `signal` in 0..1: `strength` in the middle, nothing at black and white."""
    return 2 * strength * (signal * (1 - signal)).clamp(min=0).sqrt()


# How programs filter pixels: interpolation, binning without thinning, smoothing, along one axis or both.
KERNELS: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = (  # down, across
    ((0.0, 0.5, 0.5), (0.0, 0.5, 0.5)),
    ((0.0, 1.0, 0.0), (0.0, 0.5, 0.5)),
    ((0.0, 0.5, 0.5), (0.0, 1.0, 0.0)),
    ((0.0, 0.7, 0.3), (0.0, 0.8, 0.2)),
    ((0.25, 0.5, 0.25), (0.25, 0.5, 0.25)),
    ((0.15, 0.7, 0.15), (0.15, 0.7, 0.15)),
    ((1 / 3, 1 / 3, 1 / 3), (1 / 3, 1 / 3, 1 / 3)),
    ((0.0, 1.0, 0.0), (0.25, 0.5, 0.25)),
)


def filtered(noise: Tensor, kernel: Tensor) -> Tensor:
    """`noise` (B, H, W), each picture by one of KERNELS, its number in `kernel` (B,); mirrored at the border."""
    lines = torch.tensor(KERNELS, device=noise.device)[kernel]  # (B, 2, 3)
    square = lines[:, 0, :, None] * lines[:, 1, None, :]
    padded = functional.pad(noise[None], (1, 1, 1, 1), mode="reflect")
    return functional.conv2d(padded, square[:, None], groups=len(noise))[0]


def kept_sigma(kernel: Tensor) -> Tensor:
    """What of the standard deviation of white noise each of KERNELS keeps, `(B,)`."""
    lines = torch.tensor(KERNELS, device=kernel.device)[kernel]
    return lines.square().sum(2).prod(1).sqrt()
