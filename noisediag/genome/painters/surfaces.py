"""Painters of surfaces without a scene: one texture, a periodic pattern, a flat field."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.fields import (
    Picture,
    any_texture,
    log_uniform,
    pixel_grid,
    smooth_field,
    soft_edge,
    toned,
)


def texture_only(size: int, rng: Generator) -> Picture:
    """One texture all over."""
    return toned(any_texture(size, rng), rng, (0.2, 0.8), (0.02, 0.3))


def fabric(size: int, rng: Generator) -> Picture:
    """Periodic patterns: checks, stripes, weaves, bricks, dots; straight, or warped as on a waving cloth."""
    x, y = pixel_grid(size)
    warp = rng.uniform(0, 0.15) * size * (rng.random() < 0.4)
    u0, v0 = x + warp * smooth_field(size, rng, 2), y + warp * smooth_field(size, rng, 2)
    angle, pitch, ratio = rng.choice([0.0, rng.uniform(0, math.pi)]), log_uniform(rng, 2.5, 60), rng.uniform(0.5, 2)
    u = (u0 * math.cos(angle) + v0 * math.sin(angle)) / pitch
    v = (v0 * math.cos(angle) - u0 * math.sin(angle)) / (pitch * ratio)
    sharp = pitch / math.pi if rng.random() < 0.7 else 1.0
    wave_u, wave_v = np.cos(2 * math.pi * u), np.cos(2 * math.pi * v)
    kind = rng.integers(6)
    if kind == 0:  # checks
        pattern: Picture = soft_edge(wave_u * sharp / 2) * soft_edge(wave_v * sharp / 2)
        pattern = pattern + (1 - soft_edge(wave_u * sharp / 2)) * (1 - soft_edge(wave_v * sharp / 2))
    elif kind == 1:  # stripes
        pattern = soft_edge((wave_u + rng.uniform(-0.7, 0.7)) * sharp / 2)
    elif kind == 2:  # weave: threads over and under
        over = np.cos(math.pi * (np.floor(u) + np.floor(v))) > 0
        pattern = np.where(over, np.abs(np.sin(math.pi * u)), np.abs(np.sin(math.pi * v)))
    elif kind == 3:  # bricks
        row = np.floor(v)
        joint = np.minimum(np.abs((u / 2 + 0.5 * (row % 2)) % 1 - 0.5) * 2 * pitch, np.abs(v % 1 - 0.5) * pitch * ratio)
        pattern = soft_edge(joint - 1)
        tints = rng.uniform(0.7, 1, 64).astype(np.float32)
        pattern = pattern * tints[(np.floor(u / 2 + 0.5 * (row % 2)) * 7 + row * 13).astype(int) % 64]
    elif kind == 4:  # dots
        pattern = soft_edge((wave_u + wave_v - rng.uniform(-1, 1)) * sharp / 2)
    else:  # soft grating
        pattern = 0.5 + 0.25 * (wave_u + rng.uniform(0, 1) * wave_v)
    low, high = np.sort(rng.uniform(0, 1, 2)) if rng.random() < 0.7 else (0.0, 1.0)
    picture = low + (high - low) * pattern
    if rng.random() < 0.4:
        picture = picture * (1 + rng.uniform(0.02, 0.2) * any_texture(size, rng))
    if rng.random() < 0.4:
        picture = picture * (1 + 0.2 * smooth_field(size, rng, 2))
    return np.asarray(picture, dtype=np.float32)


def flat(size: int, rng: Generator) -> Picture:
    """Flat fields: exactly constant, vignetted, or a step chart."""
    level = rng.uniform(0, 1)
    picture: Picture = np.full((size, size), level, np.float32)
    kind = rng.integers(4)
    if kind in (1, 2):
        x, y = pixel_grid(size)
        cx, cy = size * rng.uniform(0.2, 0.8, 2)
        picture = picture * (1 - rng.uniform(0, 0.6) * ((x - cx) ** 2 + (y - cy) ** 2) / size**2)
        picture = picture * (1 + rng.uniform(0, 0.03) * smooth_field(size, rng, int(rng.integers(1, 5))))
    elif kind == 3:
        steps = int(rng.integers(2, 13))
        picture = np.broadcast_to(np.sort(rng.uniform(0, 1, steps))[np.arange(size) * steps // size], (size, size))
    return np.asarray(picture, dtype=np.float32)
