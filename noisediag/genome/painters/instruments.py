"""Painters of what instruments see: fluorescence, stars, tissue, bodies, the retina."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.brushes import (
    Picture,
    Sheet,
    blend,
    blur,
    edge,
    grid,
    log_uniform,
    mask,
    points,
    power_law,
    random_curve,
    random_outline,
    smooth,
    texture,
)
from noisediag.genome.painters.graphics import text


def fluorescence(size: int, rng: Generator) -> Picture:
    """Nuclei, spots and filaments that glow on a dark background, blurred by a point spread function."""
    picture = np.zeros((size, size), dtype=np.float32)
    parts = rng.random(3) < 0.6
    if parts[0] or not parts.any():
        count, radius = int(log_uniform(rng, 5, 250)), log_uniform(rng, 3, 25)
        cells, rims = Sheet(size, 0.0), Sheet(size, 0.0)
        for centre in rng.uniform(0, size, (count, 2)):
            outline = random_outline(rng, centre, radius * rng.uniform(0.6, 1.3), rng.uniform(0.6, 1), 0.08, 24)
            cells.polygon(outline, rng.uniform(0.2, 1))
            rims.line(np.concatenate([outline, outline[:1]]), 1.5, 1.0)
        body = cells.picture()
        rim = rng.uniform(-0.3, 0.8) * rims.picture()
        picture += np.maximum(
            body * (1 + rng.uniform(0, 0.5) * texture(size, rng, rng.uniform(0.7, 1.8))) + rim * (body > 0), 0
        )
    if parts[1]:
        count = int(log_uniform(rng, 10, 1500))
        spots = points(size, rng, rng.uniform(0, size, (count, 2)), power_law(rng, 1, 30, 2, count))
        picture += blur(spots, rng.uniform(0.6, 1.5)) * rng.uniform(0.1, 1)
    if parts[2]:
        sheet, bend = Sheet(size, 0.0), rng.uniform(0.02, 0.25)
        for _ in range(int(log_uniform(rng, 5, 120))):
            curve = random_curve(rng, rng.uniform(0, size, 2), rng.uniform(0, 7), rng.uniform(20, size), bend)
            sheet.line(curve, rng.uniform(0.5, 2), rng.uniform(0.2, 1))
        picture += sheet.picture()
    picture = blur(picture, rng.uniform(0.3, 1.5))
    glow = blur(picture, rng.uniform(6, 20)) * rng.uniform(0, 0.4) if rng.random() < 0.5 else 0.0
    picture = (picture + glow) * rng.uniform(0.3, 1.1) / max(float(np.quantile(picture[::3, ::3], 0.995)), 0.05)
    if rng.random() < 0.5:  # what glows out of focus
        picture = picture + log_uniform(rng, 0.001, 0.05) * np.abs(texture(size, rng, rng.uniform(0.8, 2)))
    return np.asarray(np.maximum(picture, 0) + rng.choice([0.0, rng.uniform(0, 0.1)]), dtype=np.float32)


def glow(size: int, rng: Generator) -> Picture:
    """Soft cells, filaments or sparse spots on an even background: few counts, wide dark parts, no sharp edge."""
    light = np.zeros((size, size), dtype=np.float32)
    kind = rng.integers(3)
    if kind == 0:
        x, y = grid(size)
        power = rng.uniform(1, 2)
        for cx, cy in rng.uniform(0, size, (int(log_uniform(rng, 4, 60)), 2)):
            width = log_uniform(rng, 3, 20)
            light += rng.uniform(0.2, 1) * np.exp(-((((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2)) ** power))
    elif kind == 1:
        sheet, bend = Sheet(size, 0.0), rng.uniform(0.03, 0.15)
        for _ in range(int(log_uniform(rng, 3, 30))):
            curve = random_curve(rng, rng.uniform(0, size, 2), rng.uniform(0, 7), rng.uniform(0.3, 1) * size, bend)
            sheet.line(curve, 1.0, 1.0)
        light += sheet.picture()
    else:
        count = int(log_uniform(rng, 5, 200))
        light += points(size, rng, rng.uniform(0, size, (count, 2)), power_law(rng, 1, 10, 2, count))
    light = blur(light, log_uniform(rng, 1.0, 4.0))
    light = light / max(float(light.max()), 1e-6)
    background, peak = log_uniform(rng, 0.003, 0.25), log_uniform(rng, 0.05, 0.95)
    uneven = 1 + rng.uniform(0, 0.3) * smooth(size, rng, 2) if rng.random() < 0.4 else 1.0
    return np.asarray(np.maximum(background * uneven, 0) + peak * light, dtype=np.float32)


def stars(size: int, rng: Generator) -> Picture:
    """Star fields over nothing, a nebula or a galaxy; dense fields of sharp stars look like impulses."""
    count = int(log_uniform(rng, 50, 30_000) * (size / 256) ** 2) + 1
    faintest = log_uniform(rng, 0.003, 0.03)  # crowds of unresolved stars are the hardest ground
    amplitudes = power_law(rng, faintest, rng.uniform(2, 30), rng.uniform(1.6, 2.5), count)
    positions = rng.uniform(-1, size, (count, 2))
    light = points(size, rng, positions, amplitudes)
    seeing = rng.uniform(0.35, 1.2)
    picture = blur(light, seeing) * (1 + 5 * seeing**2)
    bright = amplitudes > np.quantile(amplitudes, 0.97)
    halo = points(size, rng, positions[bright], amplitudes[bright])
    picture += blur(halo, rng.uniform(2, 5)) * rng.uniform(0, 8)
    kind = rng.integers(4)
    if kind in (1, 2):  # nebula, with dark lanes
        cloud = np.exp(rng.uniform(0.5, 1.2) * texture(size, rng, rng.uniform(0.9, 2)))
        picture += cloud * rng.uniform(0.02, 0.25) * mask(size, rng, 1, rng.uniform(0.3, 0.95))
    elif kind == 3:  # galaxy
        x, y = grid(size)
        cx, cy, tilt = *rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0, math.pi)
        u, v = (
            (x - cx) * math.cos(tilt) + (y - cy) * math.sin(tilt),
            (y - cy) * math.cos(tilt) - (x - cx) * math.sin(tilt),
        )
        r = np.sqrt(u**2 + (v / rng.uniform(0.15, 1)) ** 2)
        arms = 1 + 0.4 * np.cos(2 * np.arctan2(v, u) - r / rng.uniform(5, 20)) * edge(r - 5, 10)
        picture += rng.uniform(0.2, 1) * np.exp(-r / rng.uniform(8, 40)) * arms * np.exp(0.2 * texture(size, rng, 1.6))
    return np.asarray(np.maximum(picture + rng.choice([0.0, rng.uniform(0, 0.1)]), 0), dtype=np.float32)


def tissue(size: int, rng: Generator) -> Picture:
    """Stained tissue: dark, mottled nuclei in a fibrous ground with bright gaps."""
    angle, stretch = rng.uniform(0, math.pi), rng.uniform(1, 5)
    ground = 0.6 + rng.uniform(0.03, 0.12) * texture(size, rng, rng.uniform(0.8, 1.5), stretch=stretch, angle=angle)
    sheet = Sheet(size, 0.0)
    radius, aspect = log_uniform(rng, 3, 12), rng.uniform(0.35, 1)
    count = int(log_uniform(rng, 0.1, 0.6) * size**2 / (math.pi * radius**2 * aspect))
    for centre in rng.uniform(0, size, (count, 2)):
        outline = random_outline(rng, centre, radius * rng.uniform(0.6, 1.4), aspect * rng.uniform(0.8, 1.2), 0.08, 16)
        sheet.polygon(outline, rng.uniform(0.4, 1))
    nuclei = blur(sheet.picture(), rng.uniform(0.3, 1.0))
    mottle = 1 + rng.uniform(0.05, 0.4) * texture(size, rng, rng.uniform(0.7, 1.5))
    picture = ground - rng.uniform(0.2, 0.5) * nuclei * mottle
    gaps = mask(size, rng, int(rng.integers(4, 12)), rng.uniform(0, 0.12))
    picture = blend(picture, rng.uniform(0.75, 0.98), gaps)
    return np.asarray(blur(picture, rng.uniform(0, 0.8)), dtype=np.float32)


def anatomy(size: int, rng: Generator) -> Picture:
    """A head or a chest."""
    return _head(size, rng) if rng.random() < 0.5 else _chest(size, rng)


def _head(size: int, rng: Generator) -> Picture:
    """Slices: nested warped ellipses, folded tissue of few levels, and an exactly black surround."""
    x, y = grid(size)
    centre = size / 2 + rng.normal(0, size / 30, 2)
    radius, aspect = size * rng.uniform(0.28, 0.48), rng.uniform(0.75, 1.2)
    r = np.sqrt((x - centre[0]) ** 2 + ((y - centre[1]) / aspect) ** 2) + size / 60 * smooth(size, rng, 4)
    inside = radius - r
    folds = smooth(size, rng, int(rng.integers(8, 20))) + 0.8 * smooth(size, rng, int(rng.integers(2, 5)))
    levels = np.sort(rng.uniform(0.15, 0.85, 3))
    brain = (
        levels[0]
        + (levels[1] - levels[0]) * edge((folds + 0.5) * 4)
        + (levels[2] - levels[1]) * edge((folds - 0.4) * 4)
    )
    fine, shade = log_uniform(rng, 0.003, 0.08), rng.uniform(0, 0.15)
    brain = brain * (1 + fine * texture(size, rng, rng.uniform(0.8, 2)) + shade * smooth(size, rng, 2))
    skull, scalp = rng.uniform(0.04, 0.1, 2) * radius
    picture = rng.uniform(0.4, 0.9) * edge(inside)
    picture = blend(picture, rng.uniform(0, 0.1), edge(inside - scalp))
    picture = blend(picture, brain, edge(inside - scalp - skull))
    return np.asarray(blur(picture, rng.uniform(0, 0.8)) * (inside > -3), dtype=np.float32)


def _chest(size: int, rng: Generator) -> Picture:
    """Radiographs: broad soft shadows, curved bands, faint branching; at times a black border or a marker."""
    x, y = (axis / size for axis in grid(size))
    middle = rng.uniform(0.3, 0.7)
    picture = (
        0.35 + rng.uniform(0.2, 0.5) * np.exp(-(((x - middle) / rng.uniform(0.08, 0.2)) ** 2)) + 0.2 * rng.random() * y
    )
    pitch = rng.uniform(0.06, 0.14)
    phase = (y + rng.uniform(0.3, 1.2) * (x - middle) ** 2) / pitch + 0.2 * smooth(size, rng, 3)
    ribs = edge(np.cos(2 * math.pi * phase) * 1.2, rng.uniform(0.5, 2))
    picture = picture + rng.uniform(0.02, 0.12) * ribs + 0.05 * smooth(size, rng, 3)
    picture = picture + log_uniform(rng, 0.005, 0.06) * texture(size, rng, rng.uniform(0.8, 1.8))
    sheet = Sheet(size, 0.0)
    for _ in range(rng.integers(5, 60)):
        start = np.array([middle * size, rng.uniform(0.2, 0.8) * size])
        sheet.line(
            random_curve(rng, start, rng.uniform(0, 7), size * rng.uniform(0.1, 0.4), 0.1), rng.uniform(1, 4), 1.0
        )
    picture = picture + rng.uniform(0, 0.1) * blur(sheet.picture(), 1.5)
    if rng.random() < 0.3:
        picture = picture * edge(x * size - rng.uniform(0, 0.2) * size) * edge(rng.uniform(0.85, 1.0) * size - x * size)
    if rng.random() < 0.3:
        marker = Sheet(size, 0.0)
        text(marker, size // 3, rng, 1.0)
        picture = blend(picture, 1.0, marker.picture())
    return np.asarray(picture, dtype=np.float32)


def retina(size: int, rng: Generator) -> Picture:
    """Branching dark vessels on a softly shaded disc; black around it."""
    x, y = grid(size)
    cx, cy = size / 2 + rng.normal(0, size / 30, 2)
    radius = size * rng.uniform(0.4, 0.62)
    distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
    picture = rng.uniform(0.2, 0.6) * (1 - rng.uniform(0, 0.5) * (distance / radius) ** 2) + 0.03 * smooth(size, rng, 4)
    picture = picture + log_uniform(rng, 0.002, 0.03) * texture(size, rng, rng.uniform(0.7, 2))
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
        curve = random_curve(rng, start, angle, size * rng.uniform(0.1, 0.35), 0.12)
        sheet.line(curve, width, rng.uniform(0.5, 1))
        if width > 0.8:
            heading = math.atan2(*(curve[-1] - curve[-2])[::-1])
            branches += [
                (curve[-1], heading + side * rng.uniform(0.2, 0.7), width * rng.uniform(0.6, 0.85)) for side in (-1, 1)
            ]
            branches += [(curve[len(curve) // 2], heading + rng.normal(0, 0.8), width * 0.5)]
    picture = picture * (1 - rng.uniform(0.2, 0.5) * blur(sheet.picture(), 0.6))
    surround = rng.choice([0.0, rng.uniform(0, 0.04)])
    return blend(np.full((size, size), surround, np.float32), picture, edge(radius - distance, 1.5))
