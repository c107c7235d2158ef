"""Painters of what was drawn: line art, comics and posters."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.fields import (
    Picture,
    any_texture,
    blend,
    log_uniform,
    pixel_grid,
    random_mask,
    smooth_field,
    soft_edge,
)
from noisediag.genome.painters.shapes import Sheet, closed_outline, draw_hair, draw_strokes, draw_text, scatter_shapes


def line_art(size: int, rng: Generator) -> Picture:
    """Ink or pencil on paper: exact 0 and 1, or grey; strokes, hatching, black areas, text."""
    paper = 1.0 if rng.random() < 0.7 else rng.uniform(0.85, 1)
    sheet = Sheet(size, paper)
    ink = 0.0 if rng.random() < 0.7 else rng.uniform(0, 0.5)
    for _ in range(rng.integers(0, 4)):
        sheet.polygon(
            closed_outline(rng, rng.uniform(0, size, 2), log_uniform(rng, 4, size / 5), rng.uniform(0.2, 1), 0.25, 40),
            ink,
        )
    draw_strokes(sheet, size, rng, int(log_uniform(rng, 15, 250)), ink)
    if rng.random() < 0.7:
        draw_hair(sheet, size, rng, ink)
    for _ in range(rng.integers(0, 4)):  # hatching
        pitch, length, angle = rng.uniform(2, 6), rng.uniform(10, size / 3), rng.uniform(0, math.pi)
        along = np.array([math.cos(angle), math.sin(angle)])
        start = rng.uniform(0, size, 2)
        for k in range(rng.integers(6, 40)):
            begin = start + along[::-1] * (1, -1) * k * pitch
            sheet.line(np.stack([begin, begin + along * length * rng.uniform(0.7, 1)]), rng.uniform(0.5, 1.2), ink)
    if rng.random() < 0.5:
        draw_text(sheet, size, rng, ink)
    picture = sheet.picture()
    if rng.random() < 0.3:  # pencil: the grain of the paper shows in the strokes
        grain = rng.uniform(0.1, 0.6) * np.abs(any_texture(size, rng))
        picture = picture + (paper - picture) * np.clip(grain, 0, 1)
    if rng.random() < 0.3:  # soft shading that leaves most of the paper white
        picture = picture - rng.uniform(0.05, 0.4) * random_mask(
            size, rng, int(rng.integers(2, 8)), rng.uniform(0.02, 0.3)
        )
    return np.asarray(1 - picture if rng.random() < 0.15 else picture, dtype=np.float32)


def graphic(size: int, rng: Generator) -> Picture:
    """Comics and posters: few exact 8-bit levels, screentone, soft shading, outlines, text."""
    count = int(log_uniform(rng, 5, 120))
    levels = np.concatenate([[0, 255], rng.integers(0, 256, rng.integers(2, 8))]) / 255
    sheet = Sheet(size, 0)
    scatter_shapes(sheet, size, rng, count, (3, size * 0.4), rng.uniform(1.5, 2.5))
    values = rng.choice(levels, count + 1)
    picture = sheet.coloured(values)
    labels = sheet.labels()
    if rng.random() < 0.5:
        toned = (rng.random(count + 1) < 0.3)[labels]
        picture = np.where(
            toned, halftone(size, rng, np.clip(0.5 + 0.3 * smooth_field(size, rng, 2), 0.05, 0.95)), picture
        )
    if rng.random() < 0.7:
        shaded = (rng.random(count + 1) < 0.5)[labels]
        picture = np.where(
            shaded, picture + rng.uniform(0.05, 0.2) * smooth_field(size, rng, int(rng.integers(2, 8))), picture
        )
    if rng.random() < 0.6:
        ink = Sheet(size, 0.0)
        draw_strokes(ink, size, rng, int(log_uniform(rng, 5, 80)), 1.0)
        if rng.random() < 0.6:
            draw_hair(ink, size, rng, 1.0)
        if rng.random() < 0.5:
            draw_text(ink, size, rng, 1.0)
        picture = blend(picture, float(rng.choice([0.0, 0.0, 1.0])), ink.picture())
    return picture


def halftone(size: int, rng: Generator, tone: Picture) -> Picture:
    """Halftone dots or lines, exactly 0 and 1 but for the antialiased edges, that cover more where `tone` is darker."""
    x, y = pixel_grid(size)
    pitch, angle = log_uniform(rng, 3, 12), rng.uniform(0, math.pi)
    u = 2 * math.pi / pitch * (x * math.cos(angle) + y * math.sin(angle))
    v = 2 * math.pi / pitch * (y * math.cos(angle) - x * math.sin(angle))
    wave = (np.cos(u) + np.cos(v)) / 2 if rng.random() < 0.8 else np.cos(u)
    return soft_edge((wave - 1 + 2 * tone) * pitch / 4).astype(np.float32)
