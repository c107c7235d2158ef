"""Painter of fine line art: tapered strokes, hatching, hair, tones and letters, as small as the pixels show them."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.brushes import (
    Picture,
    Points,
    Sheet,
    blur,
    log_uniform,
    mask,
    random_curve,
    random_outline,
    smooth,
)
from noisediag.genome.painters.cloth import FINEST
from noisediag.genome.painters.graphics import text
from noisediag.genome.painters.lattice import averaged, places, turned


def ink(size: int, rng: Generator) -> Picture:
    """A drawing on exact white, large or shrunk until its lines are thinner than a pixel; layers darken each other."""
    paper = 1.0 if rng.random() < 0.75 else rng.uniform(0.85, 1)
    dark = rng.uniform(0.6, 1.0) if rng.random() < 0.6 else 1.0
    width = log_uniform(rng, 0.25, 2.5)
    layers = [_contours(size, width, rng)]
    if rng.random() < 0.7:
        layers.append(_hair(size, width, rng))
    if rng.random() < 0.6:
        layers.append(_hatched(size, width, rng))
    if rng.random() < 0.3:
        layers.append(_tones(size, rng))
    if rng.random() < 0.35:
        letters = Sheet(size, 0.0)
        for _ in range(rng.integers(1, 3)):
            text(letters, size, rng, 1.0)
        layers.append(letters.picture())
    if rng.random() < 0.35:  # washes
        layers.append(rng.uniform(0.03, 0.4) * mask(size, rng, int(rng.integers(2, 8)), rng.uniform(0.03, 0.4)))
    picture = np.full((size, size), paper, np.float32)
    for layer in layers:
        picture *= 1 - dark * rng.uniform(0.5, 1) ** 0.5 * layer
    if rng.random() < 0.25:
        picture = blur(picture, rng.uniform(0.3, 0.8))
    return np.asarray(1 - picture if rng.random() < 0.1 else picture, dtype=np.float32)


def _stroke(sheet: Sheet, line: Points, width: float, value: float) -> None:
    """A line that swells and tapers, as pens and brushes draw."""
    way = np.gradient(line, axis=0)
    normal = np.column_stack([-way[:, 1], way[:, 0]]) / np.maximum(np.hypot(*way.T), 1e-6)[:, None]
    half = (width / 2 * np.sin(np.linspace(0.08, 1, len(line)) * math.pi * 0.97) ** 0.7 + 0.06)[:, None]
    sheet.polygon(np.concatenate([line + normal * half, (line - normal * half)[::-1]]), value)


def _contours(size: int, width: float, rng: Generator) -> Picture:
    """Outlines, folds and ornaments; some of the shapes are filled."""
    sheet = Sheet(size, 0.0)
    length = log_uniform(rng, 8, 0.7 * size)
    count = int(np.clip(log_uniform(rng, 0.5, 6) * size**2 / (length * 30), 8, 500))
    bend = rng.uniform(0.02, 0.5)
    for _ in range(count):
        start, long = rng.uniform(0, size, 2), length * rng.uniform(0.4, 1.4)
        curve = random_curve(rng, start, rng.uniform(0, 7), long, bend, step=min(4.0, max(1.5, long / 10)))
        _stroke(sheet, curve, width * rng.uniform(0.6, 2), rng.uniform(0.5, 1))
    for _ in range(rng.integers(0, 12)):
        shape = random_outline(
            rng, rng.uniform(0, size, 2), log_uniform(rng, 1.5, size / 8), rng.uniform(0.2, 1), 0.2, 30
        )
        sheet.polygon(shape, rng.choice([0.0, 1.0]))
        sheet.line(np.concatenate([shape, shape[:1]]), width, 1.0)
    return sheet.picture()


def _hair(size: int, width: float, rng: Generator) -> Picture:
    """Locks: many tapered lines beside each other that part and meet."""
    sheet = Sheet(size, 0.0)
    for _ in range(rng.integers(1, 9)):
        guide = random_curve(
            rng, rng.uniform(0, size, 2), rng.uniform(0, 7), log_uniform(rng, 20, size), rng.uniform(0.02, 0.2)
        )
        spread = rng.uniform(2, 12)
        fan = np.sin(np.linspace(rng.uniform(0, 1), math.pi, len(guide)))[:, None]
        for offset in rng.normal(0, spread, (rng.integers(5, 40), 2)):
            first, last = np.sort(rng.integers(0, len(guide) + 1, 2))
            if last - first > 3:
                line = guide + offset * fan
                _stroke(sheet, line[first:last], width * rng.uniform(0.4, 1.2), rng.uniform(0.4, 1))
    return sheet.picture()


def _hatched(size: int, width: float, rng: Generator) -> Picture:
    """Patches of parallel strokes, often crossed by others, whose pressure fades."""
    sheet = Sheet(size, 0.0)
    for _ in range(rng.integers(1, 8)):
        angle, pitch, middle = rng.uniform(0, math.pi), rng.uniform(1.6, 5), rng.uniform(0, size, 2)
        reach = log_uniform(rng, 8, size / 3)
        for turn in (0.0, rng.uniform(0.6, 1.6))[: rng.integers(1, 3)]:
            along = np.array([math.cos(angle + turn), math.sin(angle + turn)])
            for at in np.arange(-reach, reach, pitch):
                half = math.sqrt(reach**2 - at**2) * rng.uniform(0.7, 1)
                at += rng.uniform(-0.15, 0.15) * pitch
                begin = middle + at * np.array([-along[1], along[0]])
                line = begin + np.linspace(-half, half, 6)[:, None] * along
                _stroke(sheet, line, width * rng.uniform(0.5, 1.1), rng.uniform(0.3, 1))
    return sheet.picture()


def _tones(size: int, rng: Generator, fine: int = 4) -> Picture:
    """Regions of screentone: dots of one size, or as large as the shade wants."""
    x, y = places(size, fine)
    pitch = log_uniform(rng, FINEST, 7)
    u, v = turned(x, y, rng.choice([math.pi / 4, 0.0, rng.uniform(0, math.pi)]))
    wave = (np.cos(2 * math.pi / pitch * u) + np.cos(2 * math.pi / pitch * v)) / 2
    share = rng.uniform(-0.6, 0.6) + rng.choice([0.0, 0.3]) * smooth(size * fine, rng, 2)
    dots = np.clip((wave + share) * pitch * fine / 4 + 0.5, 0, 1)
    shown = averaged(dots.astype(np.float32), fine, tent=bool(pitch < 3.5))
    return np.asarray(shown * mask(size, rng, 4, rng.uniform(0.1, 0.6)))
