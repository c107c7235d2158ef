"""Building blocks of the painters: random numbers, textures, masks, edges, each a (size, size) float32 field."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.floating[Any]]
Picture = Floats  # (size, size), float32 once a painter is done with it
Points = NDArray[np.float64]  # (n, 2) px: x, y


def pixel_grid(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Columns x (1, size) and rows y (size, 1), in px."""
    axis = np.arange(size, dtype=np.float32)
    return axis[None, :], axis[:, None]


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """One draw of density ~ 1/value in low..high."""
    return float(low * (high / low) ** rng.random())


def power_law(rng: Generator, low: float, high: float, exponent: float, n: int) -> NDArray[np.float64]:
    """`n` draws of density ~ value^-exponent in low..high (exponent != 1)."""
    a, b = low ** (1 - exponent), high ** (1 - exponent)
    return np.asarray((a + (b - a) * rng.random(n)) ** (1 / (1 - exponent)))


def standardised(field: Picture) -> Picture:
    """Mean 0, standard deviation 1."""
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6))


def power_law_texture(size: int, rng: Generator, slope: float, *, stretch: float = 1.0, angle: float = 0.0) -> Picture:
    """Gaussian texture of amplitude spectrum 1/f^slope, mean 0, SD 1; `stretch` > 1 elongates it along `angle`."""
    fx, fy = np.fft.rfftfreq(size)[None, :], np.fft.fftfreq(size)[:, None]
    along, across = fx * math.cos(angle) + fy * math.sin(angle), fy * math.cos(angle) - fx * math.sin(angle)
    square = ((along * stretch) ** 2 + across**2).astype(np.float32)
    square[0, 0] = np.inf
    white = rng.standard_normal((size, size), dtype=np.float32)
    return standardised(np.fft.irfft2(np.fft.rfft2(white) * square ** (-slope / 2), s=(size, size)).astype(np.float32))


def any_texture(size: int, rng: Generator) -> Picture:
    """Mean 0, SD 1: of any slope, isotropic or directed; mostly not Gaussian, as surfaces are and noise is not."""
    stretch = 1.0 if rng.random() < 0.6 else log_uniform(rng, 1.5, 12)
    field = power_law_texture(size, rng, rng.triangular(0.5, 1.1, 3), stretch=stretch, angle=rng.uniform(0, math.pi))
    kind = rng.integers(7)
    if kind == 1:  # ridges
        field = -np.abs(field)
    elif kind == 2:  # rare bright grains
        field = np.exp(field)
    elif kind == 3:  # strong here, weak there
        field = field * np.exp(smooth_field(size, rng, int(rng.integers(1, 6))))
    elif kind == 4:  # patches of two shades
        field = np.tanh(field * rng.uniform(1, 6))
    elif kind == 5:  # bands, as in wood or marble
        field = np.sin(field * log_uniform(rng, 1, 12))
    elif kind == 6:  # overlapping strands
        field = np.maximum(field, field[::-1].T)
    return standardised(field)


def smooth_field(size: int, rng: Generator, cells: int) -> Picture:
    """Smooth random field with about `cells` bumps a side, SD about 1."""
    knots = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    span = (cells + 3) / (cells + 1)  # cut the border, where the interpolation has no neighbours
    wide = np.asarray(Image.fromarray(knots).resize((math.ceil(size * span),) * 2, Image.Resampling.BICUBIC))
    inset = (len(wide) - size) // 2
    return wide[inset : inset + size, inset : inset + size]


def gaussian_blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur of `sigma` px; the picture is continued by its mirror image."""
    if sigma < 0.15:
        return picture
    size, margin = len(picture), min(len(picture) - 1, math.ceil(3 * sigma))
    padded = np.pad(picture, margin, mode="reflect")
    side = size + 2 * margin
    fx, fy = np.fft.rfftfreq(side), np.fft.fftfreq(side)
    gain_x, gain_y = (np.exp(-2 * (math.pi * sigma * f) ** 2).astype(np.float32) for f in (fx, fy))
    blurred = np.fft.irfft2(np.fft.rfft2(padded) * gain_x[None, :] * gain_y[:, None], s=(side, side))
    return blurred[margin : margin + size, margin : margin + size].astype(np.float32)


def soft_edge(distance: Picture, softness: float = 1.0) -> Picture:
    """Coverage 0..1 from a signed distance in px: an antialiased edge, exactly 0 and 1 away from it."""
    return np.asarray(np.clip(distance / softness + 0.5, 0, 1))


def random_mask(size: int, rng: Generator, cells: int, share: float) -> Picture:
    """Random regions that cover about `share` of the picture; their borders are smooth or ragged."""
    field = smooth_field(size, rng, cells)
    if rng.random() < 0.6:
        field = field + rng.uniform(0.05, 0.5) * power_law_texture(size, rng, rng.uniform(1.3, 1.8))
    return soft_edge((field - np.quantile(field[::4, ::4], 1 - share)) * size / cells / 2)


def toned(picture: Picture, rng: Generator, level: tuple[float, float], contrast: tuple[float, float]) -> Picture:
    """Mean and standard deviation drawn from the two ranges."""
    return standardised(picture) * rng.uniform(*contrast) + rng.uniform(*level)


def blend(below: Picture, above: Picture | float, mask: Picture) -> Picture:
    """`above` laid over `below` where `mask` is 1."""
    return np.asarray(below + (above - below) * mask, dtype=np.float32)


def point_lights(size: int, rng: Generator, positions: Points, amplitudes: Floats) -> Picture:
    """Light of `amplitudes` at sub-pixel `positions`, shared among the four nearest pixels."""
    picture = np.zeros((size, size), dtype=np.float32)
    corner = np.floor(positions).astype(int)
    part = positions - corner
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
        x, y = corner[:, 0] + dx, corner[:, 1] + dy
        inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
        np.add.at(picture, (y[inside], x[inside]), (amplitudes * weight)[inside])
    return picture
