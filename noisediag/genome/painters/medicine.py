"""Painters of what medical devices see: slices, radiographs, the retina."""

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
    power_law_texture,
    smooth_field,
    soft_edge,
)
from noisediag.genome.painters.shapes import Sheet, draw_text, wandering_line


def anatomy(size: int, rng: Generator) -> Picture:
    """A slice of a head or a radiograph of a chest."""
    return _head(size, rng) if rng.random() < 0.5 else _chest(size, rng)


def _head(size: int, rng: Generator) -> Picture:
    """Slices: nested warped ellipses, folded tissue of few levels, and an exactly black surround."""
    x, y = pixel_grid(size)
    centre = size / 2 + rng.normal(0, size / 30, 2)
    radius, aspect = size * rng.uniform(0.28, 0.48), rng.uniform(0.75, 1.2)
    r = np.sqrt((x - centre[0]) ** 2 + ((y - centre[1]) / aspect) ** 2) + size / 60 * smooth_field(size, rng, 4)
    inside = radius - r
    folds = smooth_field(size, rng, int(rng.integers(8, 20))) + 0.8 * smooth_field(size, rng, int(rng.integers(2, 5)))
    levels = np.sort(rng.uniform(0.15, 0.85, 3))
    brain = (
        levels[0]
        + (levels[1] - levels[0]) * soft_edge((folds + 0.5) * 4)
        + (levels[2] - levels[1]) * soft_edge((folds - 0.4) * 4)
    )
    fine, shade = log_uniform(rng, 0.003, 0.08), rng.uniform(0, 0.15)
    brain = brain * (1 + fine * power_law_texture(size, rng, rng.uniform(0.8, 2)) + shade * smooth_field(size, rng, 2))
    skull, scalp = rng.uniform(0.04, 0.1, 2) * radius
    picture = rng.uniform(0.4, 0.9) * soft_edge(inside)
    picture = blend(picture, rng.uniform(0, 0.1), soft_edge(inside - scalp))
    picture = blend(picture, brain, soft_edge(inside - scalp - skull))
    return np.asarray(gaussian_blur(picture, rng.uniform(0, 0.8)) * (inside > -3), dtype=np.float32)


def _chest(size: int, rng: Generator) -> Picture:
    """Radiographs: broad soft shadows, curved bands, faint branching; at times a black border or a marker."""
    x, y = (axis / size for axis in pixel_grid(size))
    middle = rng.uniform(0.3, 0.7)
    picture: Picture = (
        0.35 + rng.uniform(0.2, 0.5) * np.exp(-(((x - middle) / rng.uniform(0.08, 0.2)) ** 2)) + 0.2 * rng.random() * y
    )
    pitch = rng.uniform(0.06, 0.14)
    phase = (y + rng.uniform(0.3, 1.2) * (x - middle) ** 2) / pitch + 0.2 * smooth_field(size, rng, 3)
    ribs = soft_edge(np.cos(2 * math.pi * phase) * 1.2, rng.uniform(0.5, 2))
    picture = picture + rng.uniform(0.02, 0.12) * ribs + 0.05 * smooth_field(size, rng, 3)
    picture = picture + log_uniform(rng, 0.005, 0.06) * power_law_texture(size, rng, rng.uniform(0.8, 1.8))
    sheet = Sheet(size, 0.0)
    for _ in range(rng.integers(5, 60)):
        start = np.array([middle * size, rng.uniform(0.2, 0.8) * size])
        sheet.line(
            wandering_line(rng, start, rng.uniform(0, 7), size * rng.uniform(0.1, 0.4), 0.1), rng.uniform(1, 4), 1.0
        )
    picture = picture + rng.uniform(0, 0.1) * gaussian_blur(sheet.picture(), 1.5)
    if rng.random() < 0.3:
        picture = (
            picture
            * soft_edge(x * size - rng.uniform(0, 0.2) * size)
            * soft_edge(rng.uniform(0.85, 1.0) * size - x * size)
        )
    if rng.random() < 0.3:
        marker = Sheet(size, 0.0)
        draw_text(marker, size // 3, rng, 1.0)
        picture = blend(picture, 1.0, marker.picture())
    return np.asarray(picture, dtype=np.float32)


def retina(size: int, rng: Generator) -> Picture:
    """Branching dark vessels on a softly shaded disc; black around it."""
    x, y = pixel_grid(size)
    cx, cy = size / 2 + rng.normal(0, size / 30, 2)
    radius = size * rng.uniform(0.4, 0.62)
    distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
    picture = rng.uniform(0.2, 0.6) * (1 - rng.uniform(0, 0.5) * (distance / radius) ** 2) + 0.03 * smooth_field(
        size, rng, 4
    )
    picture = picture + log_uniform(rng, 0.002, 0.03) * power_law_texture(size, rng, rng.uniform(0.7, 2))
    nerve = np.array([cx + rng.choice([-0.7, 0.7]) * radius, cy + rng.normal(0, 0.1) * radius])
    picture = picture + rng.uniform(0.1, 0.5) * np.exp(
        -(((x - nerve[0]) ** 2 + (y - nerve[1]) ** 2) / (size * 0.05) ** 2)
    )
    picture = picture - rng.uniform(0, 0.2) * np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / (size * 0.07) ** 2))
    sheet = Sheet(size, 0.0)
    branches = [
        (nerve, rng.uniform(0, 2 * math.pi), rng.uniform(2, 4.5) * size / 256) for _ in range(rng.integers(4, 10))
    ]
    drawn = 0
    while branches and drawn < 150:
        start, angle, width = branches.pop(0)
        drawn += 1
        curve = wandering_line(rng, start, angle, size * rng.uniform(0.1, 0.35), 0.12)
        sheet.line(curve, width, rng.uniform(0.5, 1))
        if width > 0.8:
            heading = math.atan2(*(curve[-1] - curve[-2])[::-1])
            branches += [
                (curve[-1], heading + side * rng.uniform(0.2, 0.7), width * rng.uniform(0.6, 0.85)) for side in (-1, 1)
            ]
            branches += [(curve[len(curve) // 2], heading + rng.normal(0, 0.8), width * 0.5)]
    picture = picture * (1 - rng.uniform(0.2, 0.5) * gaussian_blur(sheet.picture(), 0.6))
    surround = rng.choice([0.0, rng.uniform(0, 0.04)])
    return blend(np.full((size, size), surround, np.float32), picture, soft_edge(radius - distance, 1.5))
