"""Painter of the ground seen from the air, as fine as the pixels: rows of crops, crowns of trees, roofs, cars."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.brushes import (
    Picture,
    Sheet,
    blend,
    blur,
    log_uniform,
    mask,
    random_curve,
    smooth,
)
from noisediag.genome.painters.lattice import TABLE, Field, averaged, cells, places, table, turned, uneven


def aerial(size: int, rng: Generator, fine: int = 2) -> Picture:
    """Fields in rows, meadows in tufts, forest, a town, or a shore; roads; shadows all fall one way."""
    x, y = places(size, fine)
    sun = rng.uniform(0, 2 * math.pi)
    land = averaged(_fields(x, y, size, rng), fine, tent=bool(rng.random() < 0.25))
    if rng.random() < 0.5:
        wooded = mask(size, rng, int(rng.integers(1, 6)), rng.uniform(0.1, 0.9))
        shade = np.roll(wooded, [round(3 * math.sin(sun)), round(3 * math.cos(sun))], (0, 1))
        land = blend(land * (1 - rng.uniform(0.2, 0.6) * shade), _forest(x, y, sun, fine, rng), wooded)
    if rng.random() < 0.6:
        land = _roads(land, size, rng)
    if rng.random() < 0.5:
        land = _town(land, size, sun, rng)
    if rng.random() < 0.25:
        water = rng.uniform(0.05, 0.4) * (1 + 0.05 * smooth(size, rng, 3))
        land = blend(land, water, mask(size, rng, int(rng.integers(1, 3)), rng.uniform(0.1, 0.5)))
    return np.asarray(blur(land, rng.choice([0.0, 0.0, rng.uniform(0.3, 0.6)])), dtype=np.float32)


def _fields(x: Field, y: Field, size: int, rng: Generator) -> Field:
    """Parcels, each with rows in its own direction and width, or with tufts; soil of two shades below."""
    turn, width = rng.uniform(0, math.pi), log_uniform(rng, 0.25, 2.5) * size
    u, v = turned(x, y, turn)
    parcel = cells(u / width, v / (width * rng.uniform(0.5, 1)), rng, jitter=rng.uniform(0, 0.9))
    number = parcel.number
    way = turn + math.pi / 2 * np.round(rng.uniform(0, 1, TABLE**2)) + rng.normal(0, 0.05, TABLE**2)
    pitch = np.exp(rng.uniform(math.log(2.3), math.log(9), TABLE**2))
    cos, sin = ((f(way) / pitch).astype(np.float32).take(number) for f in (np.cos, np.sin))
    bend = rng.uniform(0, 3) * smooth(x.shape[1], rng, 3)
    line = (x + bend) * cos + (y + bend) * sin
    row = np.floor(line)
    index = row.astype(np.int32) % TABLE**2
    part = line - row - 0.5
    run = y * cos - x * sin
    # plants along the row: no two rows alike, gaps and clumps
    plants = np.sin(run * table(rng, 1, 5).take(index) + table(rng, 0, 7).take(index))
    strength = (log_uniform(rng, 0.03, 0.5) * rng.random(TABLE**2) * (rng.random(TABLE**2) < 0.75)).astype(np.float32)
    rows = np.cos(2 * math.pi * part) * (1 + rng.uniform(0, 0.8) * plants) * uneven(rng, 0.3).take(index)
    ground = table(rng, 0.2, 0.75).take(number) * (1 + strength.take(number) * rows)
    ground = ground * (1 + rng.uniform(0.02, 0.12) * smooth(x.shape[1], rng, int(rng.integers(3, 20))))
    for _ in range(rng.integers(1, 3)):  # no ground is smooth
        ground = ground * _tufts(x, y, rng)
    hedge = np.clip(rng.uniform(0, 2) - parcel.rim * width, 0, 1)
    return np.asarray(ground * (1 - rng.uniform(-0.4, 0.6) * hedge), dtype=np.float32)


def _tufts(x: Field, y: Field, rng: Generator) -> Field:
    """Factors: grass and scrub in clumps of a few px, some of them dark bushes."""
    width = log_uniform(rng, 2.2, 5)
    found = cells(x / width, y / width, rng)
    size = uneven(rng, 0.4).take(found.number)
    body = np.exp(-((found.nearest / (0.45 * size)) ** 2))
    sign = np.where(rng.random(TABLE**2) < rng.uniform(0, 1), 1, -1).astype(np.float32)
    weight = (log_uniform(rng, 0.04, 0.4) * sign * rng.exponential(1, TABLE**2).clip(max=3)).astype(np.float32)
    return np.asarray(np.clip(1 + weight.take(found.number) * body, 0.1, 2.5))


def _forest(x: Field, y: Field, sun: float, fine: int, rng: Generator) -> Picture:
    """Crowns lit from one side, with boughs of a few px, black between them."""
    width = log_uniform(rng, 5, 20)
    warp = rng.uniform(0, 0.2) * width * smooth(x.shape[1], rng, 24)
    crowns = cells((x + warp) / width, (y - warp) / width, rng)
    boughs = cells(x / (fine_ := max(width / rng.uniform(2.5, 5), 2.2)), y / fine_, rng)
    shape = np.clip(1 - (crowns.nearest / rng.uniform(0.55, 0.8)) ** 2, 0, 1)
    lit = math.cos(sun) * crowns.along + math.sin(sun) * crowns.across
    small = math.cos(sun) * boughs.along + math.sin(sun) * boughs.across
    tint = uneven(rng, 0.25).take(crowns.number) * uneven(rng, 0.15).take(boughs.number)
    light = rng.uniform(0.15, 0.4) * tint * (1 - rng.uniform(0.5, 1) * lit - rng.uniform(0.2, 0.9) * small)
    picture = light * np.sqrt(shape) * (1 - rng.uniform(0, 0.5) * boughs.nearest) + rng.uniform(0.02, 0.1)
    return averaged(np.asarray(np.clip(picture, 0, 1), dtype=np.float32), fine, tent=False)


def _roads(land: Picture, size: int, rng: Generator) -> Picture:
    """Roads and tracks; the wider ones have dashes in their middle."""
    cover, marks = Sheet(size, 0.0), Sheet(size, 0.0)
    for _ in range(rng.integers(1, 5)):
        curve = random_curve(rng, rng.uniform(0, size, 2), rng.uniform(0, 7), 1.5 * size, rng.uniform(0, 0.04))
        width = log_uniform(rng, 1, 14)
        cover.line(curve, width, 1.0)
        if width > 5:
            for k in range(0, len(curve) - 1, 2):
                marks.line(curve[k : k + 2], rng.uniform(0.4, 0.8), 1.0)
    land = blend(land, rng.uniform(0.25, 0.8), cover.picture())
    return blend(land, rng.uniform(0.7, 1.0), marks.picture() * rng.uniform(0.5, 1))


@dataclass(frozen=True)
class _Block:
    """Turns places on a block of a town, in px from its middle, into places in the picture."""

    middle: np.ndarray  # in the town's own directions
    rotation: np.ndarray
    centre: float  # of the picture

    def __call__(self, corners: list[tuple[float, float]]) -> np.ndarray:
        return np.asarray(np.dot(np.asarray(corners) + self.middle, self.rotation) + self.centre)


def _town(land: Picture, size: int, sun: float, rng: Generator) -> Picture:
    """Blocks along two directions: roofs with ridges, ribs and vents, their shadows, cars in rows, crosswalks."""
    shade, cover, paint = Sheet(size, 0.0), Sheet(size, 0.0), Sheet(size, 0.0)
    turn, step = rng.uniform(0, math.pi / 2), log_uniform(rng, 12, 60)
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    throw = rng.uniform(1, 7) * np.array([math.cos(sun), math.sin(sun)])
    reach = np.arange(-0.75 * size, 0.75 * size, step)
    built = [(a, b) for a in reach for b in reach if rng.random() < 0.6]
    for a, b in built:
        half = step * rng.uniform(0.15, 0.42, 2)
        tone = float(rng.beta(1.2, 1.2))
        w, h = half
        place = _Block(np.array([a, b]), rotation, size / 2)
        if (np.abs(place([(0, 0)]) - size / 2) > size / 2 + step).any():
            continue
        if rng.random() < 0.25:
            _cars(paint, cover, place, half, rng)
            continue
        box = place([(-w, -h), (w, -h), (w, h), (-w, h)])
        shade.polygon(box + throw, 1.0)
        cover.polygon(box, 1.0)
        paint.polygon(box, tone)
        style = rng.integers(4)
        if style == 0:  # a gable: two slopes
            paint.polygon(place([(-w, -h), (w, -h), (w, 0), (-w, 0)]), min(1, tone * rng.uniform(0.6, 1.5)))
        elif style == 1:  # ribs
            for k in np.arange(-w, w, rng.uniform(1.8, 4)):
                paint.line(place([(k, -h), (k, h)]), 0.5, tone * 0.75)
        for _ in range(rng.integers(0, 5)):
            p = rng.uniform(-0.8, 0.8, 2) * half
            at = place([(p[0] - 1, p[1] - 1), (p[0] + 1, p[1] - 1), (p[0] + 1, p[1] + 0.7), (p[0] - 1, p[1] + 0.7)])
            paint.polygon(at + throw / 4, tone * 0.4)
            paint.polygon(at, rng.uniform(0, 1))
    land = land * (1 - rng.uniform(0.4, 0.85) * shade.picture())
    covered = cover.picture()
    return np.asarray(land * (1 - covered) + paint.picture() * covered, dtype=np.float32)


def _cars(paint: Sheet, cover: Sheet, place: _Block, half: np.ndarray, rng: Generator) -> None:
    """A car park: cars side by side, and the lines between them."""
    w, h = half
    lot = place([(-w, -h), (w, -h), (w, h), (-w, h)])
    cover.polygon(lot, 1.0)
    paint.polygon(lot, rng.uniform(0.2, 0.5))
    for row in np.arange(-h, h - 4, rng.uniform(6, 9)):
        for at in np.arange(-w, w - 2, 3.2):
            paint.line(place([(at - 0.6, row), (at - 0.6, row + 4.5)]), 0.3, 0.9)
            if rng.random() < 0.6:
                tone = float(rng.beta(0.5, 0.5))
                paint.polygon(place([(at, row), (at + 2, row), (at + 2, row + 4.5), (at, row + 4.5)]), tone)
                paint.polygon(
                    place([(at, row + 1), (at + 2, row + 1), (at + 2, row + 1.8), (at, row + 1.8)]), tone * 0.3
                )
