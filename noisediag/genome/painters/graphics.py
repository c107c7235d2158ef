"""Painters of what people draw: gradients, line art, graphics, and flat pictures."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.brushes import (
    Picture,
    Sheet,
    any_texture,
    blend,
    edge,
    grid,
    log_uniform,
    mask,
    random_curve,
    random_outline,
    scatter_leaves,
    smooth,
    texture,
)


def gradient(size: int, rng: Generator) -> Picture:
    """Skies: linear and radial ramps, at times with clouds."""
    x, y = (axis / size - 0.5 for axis in grid(size))
    angle = rng.uniform(0, 2 * math.pi)
    ramp = x * math.cos(angle) + y * math.sin(angle)
    if rng.random() < 0.4:
        cx, cy = rng.uniform(-0.6, 0.6, 2)
        ramp = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
    picture = rng.uniform(0.1, 0.9) + rng.normal(0, 0.5) * ramp
    if rng.random() < 0.5:
        clouds = texture(size, rng, rng.uniform(1.6, 2.6), stretch=rng.uniform(1, 3))
        picture = picture + rng.uniform(0.02, 0.2) * (np.maximum(clouds, 0) if rng.random() < 0.5 else clouds)
    return np.asarray(picture, dtype=np.float32)


def strokes(sheet: Sheet, size: int, rng: Generator, count: int, ink: float) -> None:
    """`count` curves of one width."""
    width = log_uniform(rng, 0.5, 2.5)
    for _ in range(count):
        start, length = rng.uniform(0, size, 2), log_uniform(rng, 8, size)
        sheet.line(
            random_curve(rng, start, rng.uniform(0, 2 * math.pi), length, rng.uniform(0, 0.3)),
            width * rng.uniform(0.6, 1.5),
            ink,
        )


def _hair(sheet: Sheet, size: int, rng: Generator, ink: float) -> None:
    """Bundles of nearly parallel fine lines."""
    for _ in range(rng.integers(1, 12)):
        guide = random_curve(
            rng, rng.uniform(0, size, 2), rng.uniform(0, 7), log_uniform(rng, 20, size), rng.uniform(0.02, 0.15)
        )
        spread, width = rng.uniform(1.5, 8), log_uniform(rng, 0.4, 1.5)
        growth = np.linspace(0.3, 1, len(guide))[:, None]
        for offset in rng.normal(0, spread, (rng.integers(3, 25), 2)):
            sheet.line(guide + offset * growth, width, ink)


def text(sheet: Sheet, size: int, rng: Generator, ink: float) -> None:
    """Lines of marks of letter size: one to three strokes between nine nodes."""
    height = log_uniform(rng, 5, 20)
    width = height / 10 * rng.uniform(0.8, 1.6)
    left, top, right, bottom = size * rng.uniform((0, 0, 0.5, 0.4), (0.4, 0.5, 1, 1))
    for y in np.arange(top, bottom, height * 1.6):
        x = left
        while x < right:
            if rng.random() < 0.82:
                nodes = rng.integers(0, 3, (rng.integers(3, 6), 2)) * (height * 0.3, height * 0.5)
                sheet.line(nodes + np.array([x, y]), width, ink)
            x += height * 0.75


def line_art(size: int, rng: Generator) -> Picture:
    """Ink or pencil on paper: exact 0 and 1, or grey; strokes, hatching, black areas, text."""
    paper = 1.0 if rng.random() < 0.7 else rng.uniform(0.85, 1)
    sheet = Sheet(size, paper)
    ink = 0.0 if rng.random() < 0.7 else rng.uniform(0, 0.5)
    for _ in range(rng.integers(0, 4)):
        sheet.polygon(
            random_outline(rng, rng.uniform(0, size, 2), log_uniform(rng, 4, size / 5), rng.uniform(0.2, 1), 0.25, 40),
            ink,
        )
    strokes(sheet, size, rng, int(log_uniform(rng, 15, 250)), ink)
    if rng.random() < 0.7:
        _hair(sheet, size, rng, ink)
    for _ in range(rng.integers(0, 4)):  # hatching
        pitch, length, angle = rng.uniform(2, 6), rng.uniform(10, size / 3), rng.uniform(0, math.pi)
        along = np.array([math.cos(angle), math.sin(angle)])
        start = rng.uniform(0, size, 2)
        for k in range(rng.integers(6, 40)):
            begin = start + along[::-1] * (1, -1) * k * pitch
            sheet.line(np.stack([begin, begin + along * length * rng.uniform(0.7, 1)]), rng.uniform(0.5, 1.2), ink)
    if rng.random() < 0.5:
        text(sheet, size, rng, ink)
    picture = sheet.picture()
    if rng.random() < 0.3:  # pencil: the grain of the paper shows in the strokes
        grain = rng.uniform(0.1, 0.6) * np.abs(any_texture(size, rng))
        picture = picture + (paper - picture) * np.clip(grain, 0, 1)
    if rng.random() < 0.3:  # soft shading that leaves most of the paper white
        picture = picture - rng.uniform(0.05, 0.4) * mask(size, rng, int(rng.integers(2, 8)), rng.uniform(0.02, 0.3))
    return np.asarray(1 - picture if rng.random() < 0.15 else picture, dtype=np.float32)


def _screen(size: int, rng: Generator, tone: Picture) -> Picture:
    """Halftone dots or lines, exactly 0 and 1 but for the antialiased edges, that cover more where `tone` is darker."""
    x, y = grid(size)
    pitch, angle = log_uniform(rng, 3, 12), rng.uniform(0, math.pi)
    u = 2 * math.pi / pitch * (x * math.cos(angle) + y * math.sin(angle))
    v = 2 * math.pi / pitch * (y * math.cos(angle) - x * math.sin(angle))
    wave = (np.cos(u) + np.cos(v)) / 2 if rng.random() < 0.8 else np.cos(u)
    return edge((wave - 1 + 2 * tone) * pitch / 4).astype(np.float32)


def graphic(size: int, rng: Generator) -> Picture:
    """Comics and posters: few exact 8-bit levels, screentone, soft shading, outlines, text."""
    count = int(log_uniform(rng, 5, 120))
    levels = np.concatenate([[0, 255], rng.integers(0, 256, rng.integers(2, 8))]) / 255
    sheet = Sheet(size, 0)
    scatter_leaves(sheet, size, rng, count, (3, size * 0.4), rng.uniform(1.5, 2.5))
    values = rng.choice(levels, count + 1)
    picture = sheet.coloured(values)
    labels = sheet.labels()
    if rng.random() < 0.5:
        toned = (rng.random(count + 1) < 0.3)[labels]
        picture = np.where(toned, _screen(size, rng, np.clip(0.5 + 0.3 * smooth(size, rng, 2), 0.05, 0.95)), picture)
    if rng.random() < 0.7:
        shaded = (rng.random(count + 1) < 0.5)[labels]
        picture = np.where(
            shaded, picture + rng.uniform(0.05, 0.2) * smooth(size, rng, int(rng.integers(2, 8))), picture
        )
    if rng.random() < 0.6:
        ink = Sheet(size, 0.0)
        strokes(ink, size, rng, int(log_uniform(rng, 5, 80)), 1.0)
        if rng.random() < 0.6:
            _hair(ink, size, rng, 1.0)
        if rng.random() < 0.5:
            text(ink, size, rng, 1.0)
        picture = blend(picture, float(rng.choice([0.0, 0.0, 1.0])), ink.picture())
    return picture


def flat(size: int, rng: Generator) -> Picture:
    """Flat fields: exactly constant, vignetted, or a step chart."""
    level = rng.uniform(0, 1)
    picture = np.full((size, size), level, np.float32)
    kind = rng.integers(4)
    if kind in (1, 2):
        x, y = grid(size)
        cx, cy = size * rng.uniform(0.2, 0.8, 2)
        picture = picture * (1 - rng.uniform(0, 0.6) * ((x - cx) ** 2 + (y - cy) ** 2) / size**2)
        picture = picture * (1 + rng.uniform(0, 0.03) * smooth(size, rng, int(rng.integers(1, 5))))
    elif kind == 3:
        steps = int(rng.integers(2, 13))
        picture = np.broadcast_to(np.sort(rng.uniform(0, 1, steps))[np.arange(size) * steps // size], (size, size))
    return np.asarray(picture, dtype=np.float32)
