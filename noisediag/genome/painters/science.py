"""Painters of what microscopes and telescopes see: fluorescence, stained tissue, stars."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.fields import (
    Picture,
    blend,
    gaussian_blur,
    log_uniform,
    pixel_grid,
    point_lights,
    power_law,
    power_law_texture,
    random_mask,
    soft_edge,
)
from noisediag.genome.painters.shapes import Sheet, closed_outline, wandering_line


def fluorescence(size: int, rng: Generator) -> Picture:
    """Nuclei, spots and filaments that glow on a dark background, blurred by a point spread function."""
    picture: Picture = np.zeros((size, size), dtype=np.float32)
    parts = rng.random(3) < 0.6
    if parts[0] or not parts.any():
        count, radius = int(log_uniform(rng, 5, 250)), log_uniform(rng, 3, 25)
        cells, rims = Sheet(size, 0.0), Sheet(size, 0.0)
        for centre in rng.uniform(0, size, (count, 2)):
            outline = closed_outline(rng, centre, radius * rng.uniform(0.6, 1.3), rng.uniform(0.6, 1), 0.08, 24)
            cells.polygon(outline, rng.uniform(0.2, 1))
            rims.line(np.concatenate([outline, outline[:1]]), 1.5, 1.0)
        body = cells.picture()
        rim = rng.uniform(-0.3, 0.8) * rims.picture()
        picture += np.maximum(
            body * (1 + rng.uniform(0, 0.5) * power_law_texture(size, rng, rng.uniform(0.7, 1.8))) + rim * (body > 0), 0
        )
    if parts[1]:
        count = int(log_uniform(rng, 10, 1500))
        spots = point_lights(size, rng, rng.uniform(0, size, (count, 2)), power_law(rng, 1, 30, 2, count))
        picture += gaussian_blur(spots, rng.uniform(0.6, 1.5)) * rng.uniform(0.1, 1)
    if parts[2]:
        sheet, bend = Sheet(size, 0.0), rng.uniform(0.02, 0.25)
        for _ in range(int(log_uniform(rng, 5, 120))):
            curve = wandering_line(rng, rng.uniform(0, size, 2), rng.uniform(0, 7), rng.uniform(20, size), bend)
            sheet.line(curve, rng.uniform(0.5, 2), rng.uniform(0.2, 1))
        picture += sheet.picture()
    picture = gaussian_blur(picture, rng.uniform(0.3, 1.5))
    glow = gaussian_blur(picture, rng.uniform(6, 20)) * rng.uniform(0, 0.4) if rng.random() < 0.5 else 0.0
    picture = (picture + glow) * rng.uniform(0.3, 1.1) / max(float(np.quantile(picture[::3, ::3], 0.995)), 0.05)
    if rng.random() < 0.5:  # what glows out of focus
        picture = picture + log_uniform(rng, 0.001, 0.05) * np.abs(power_law_texture(size, rng, rng.uniform(0.8, 2)))
    return np.asarray(np.maximum(picture, 0) + rng.choice([0.0, rng.uniform(0, 0.1)]), dtype=np.float32)


def tissue(size: int, rng: Generator) -> Picture:
    """Stained tissue: dark, mottled nuclei in a fibrous ground with bright gaps."""
    angle, stretch = rng.uniform(0, math.pi), rng.uniform(1, 5)
    ground = 0.6 + rng.uniform(0.03, 0.12) * power_law_texture(
        size, rng, rng.uniform(0.8, 1.5), stretch=stretch, angle=angle
    )
    sheet = Sheet(size, 0.0)
    radius, aspect = log_uniform(rng, 3, 12), rng.uniform(0.35, 1)
    count = int(log_uniform(rng, 0.1, 0.6) * size**2 / (math.pi * radius**2 * aspect))
    for centre in rng.uniform(0, size, (count, 2)):
        outline = closed_outline(rng, centre, radius * rng.uniform(0.6, 1.4), aspect * rng.uniform(0.8, 1.2), 0.08, 16)
        sheet.polygon(outline, rng.uniform(0.4, 1))
    nuclei = gaussian_blur(sheet.picture(), rng.uniform(0.3, 1.0))
    mottle = 1 + rng.uniform(0.05, 0.4) * power_law_texture(size, rng, rng.uniform(0.7, 1.5))
    picture = ground - rng.uniform(0.2, 0.5) * nuclei * mottle
    gaps = random_mask(size, rng, int(rng.integers(4, 12)), rng.uniform(0, 0.12))
    picture = blend(picture, rng.uniform(0.75, 0.98), gaps)
    return np.asarray(gaussian_blur(picture, rng.uniform(0, 0.8)), dtype=np.float32)


def stars(size: int, rng: Generator) -> Picture:
    """Star fields over nothing, a nebula or a galaxy; dense fields of sharp stars look like impulses."""
    count = int(log_uniform(rng, 50, 30_000) * (size / 256) ** 2) + 1
    faintest = log_uniform(rng, 0.003, 0.03)  # crowds of unresolved stars are the hardest ground
    amplitudes = power_law(rng, faintest, rng.uniform(2, 30), rng.uniform(1.6, 2.5), count)
    positions = rng.uniform(-1, size, (count, 2))
    light = point_lights(size, rng, positions, amplitudes)
    seeing = rng.uniform(0.35, 1.2)
    picture = gaussian_blur(light, seeing) * (1 + 5 * seeing**2)
    bright = amplitudes > np.quantile(amplitudes, 0.97)
    halo = point_lights(size, rng, positions[bright], amplitudes[bright])
    picture += gaussian_blur(halo, rng.uniform(2, 5)) * rng.uniform(0, 8)
    kind = rng.integers(4)
    if kind in (1, 2):  # nebula, with dark lanes
        cloud = np.exp(rng.uniform(0.5, 1.2) * power_law_texture(size, rng, rng.uniform(0.9, 2)))
        picture += cloud * rng.uniform(0.02, 0.25) * random_mask(size, rng, 1, rng.uniform(0.3, 0.95))
    elif kind == 3:  # galaxy
        x, y = pixel_grid(size)
        cx, cy, tilt = *rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0, math.pi)
        u, v = (
            (x - cx) * math.cos(tilt) + (y - cy) * math.sin(tilt),
            (y - cy) * math.cos(tilt) - (x - cx) * math.sin(tilt),
        )
        r = np.sqrt(u**2 + (v / rng.uniform(0.15, 1)) ** 2)
        arms = 1 + 0.4 * np.cos(2 * np.arctan2(v, u) - r / rng.uniform(5, 20)) * soft_edge(r - 5, 10)
        picture += (
            rng.uniform(0.2, 1)
            * np.exp(-r / rng.uniform(8, 40))
            * arms
            * np.exp(0.2 * power_law_texture(size, rng, 1.6))
        )
    return np.asarray(np.maximum(picture + rng.choice([0.0, rng.uniform(0, 0.1)]), 0), dtype=np.float32)
