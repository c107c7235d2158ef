"""Painters of rough surfaces: cracked, pebbled and crystalline ground, bark, wood, webs, fur."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.brushes import (
    Picture,
    Sheet,
    blend,
    blur,
    log_uniform,
    mask,
    power_law,
    random_curve,
    smooth,
)
from noisediag.genome.painters.lattice import TABLE, Field, averaged, cells, places, table, turned, uneven


def ground(size: int, rng: Generator, fine: int = 2) -> Picture:
    """Rough ground in slanting light: cracks around and through plates that grains, pebbles or crystals cover."""
    x, y = places(size, fine)
    warp = rng.uniform(0.5, 4) * smooth(size * fine, rng, int(rng.integers(8, 30)))
    x, y = x + warp, y - warp * rng.uniform(-1, 1)
    picture: Field = rng.uniform(0.35, 0.7) * (1 + 0.15 * smooth(size * fine, rng, 3))
    grainy = rng.random() < 0.8
    if grainy:
        picture = picture * _grains(x, y, rng)
    if not grainy or rng.random() < 0.5:
        picture = picture * _cracks(x, y, rng, log_uniform(rng, 14, 70))
    if rng.random() < 0.4:
        picture = picture * _cracks(x, y, rng, log_uniform(rng, 5, 16))
    shown = averaged(np.asarray(picture, dtype=np.float32), fine, tent=bool(rng.random() < 0.5))
    if rng.random() < 0.25:  # parts lie beyond the depth of field
        shown = blend(shown, blur(shown, rng.uniform(1, 5)), mask(size, rng, 1, rng.uniform(0.2, 0.7)))
    return shown


def _grains(x: Field, y: Field, rng: Generator) -> Field:
    """Factors about 1: pebbles, crumbs or facets of one or two sizes, each lit and tinted by itself."""
    light = rng.uniform(0, 2 * math.pi)
    facets, contrast = rng.random() < 0.3, log_uniform(rng, 0.1, 0.8)
    width = log_uniform(rng, 2.2, 12)
    stretch = 1.0 if rng.random() < 0.7 else rng.uniform(1.5, 5)
    u, v = turned(x, y, rng.uniform(0, math.pi))
    found = cells(u / (width * stretch), v / width, rng)
    tint = uneven(rng, contrast * rng.uniform(0.1, 0.6)).take(found.number)
    if facets:
        steep = table(rng, -1, 1).take(found.number), table(rng, -1, 1).take(found.number)
        slope = steep[0] * found.along + steep[1] * found.across
        return np.asarray(np.clip(tint * (1 + contrast * slope), 0.05, 2.5))
    slope = math.cos(light) * found.along + math.sin(light) * found.across
    gap = np.clip(found.rim * rng.uniform(3, 8), 0, 1)
    height = uneven(rng, 0.4).take(found.number)
    return np.asarray(np.clip(tint * (1 + contrast * height * slope) * (1 - contrast * (1 - gap)), 0.02, 2.5))


def _cracks(x: Field, y: Field, rng: Generator, width: float) -> Field:
    """Factors: dark lines between plates of about `width` px, each of its own width; bright beyond."""
    stretch = 1.0 if rng.random() < 0.6 else rng.uniform(1.5, 6)
    u, v = turned(x, y, rng.choice([0.0, math.pi / 2, rng.uniform(0, math.pi)]))
    found = cells(u / (width * stretch), v / width, rng)
    open_ = (
        rng.uniform(0.2, 1.2)
        * uneven(rng, 0.5).take(found.number)
        * (table(rng, 0, 1) < rng.uniform(0.5, 1)).take(found.number)
    )
    far = np.clip(open_ - found.rim * width + 0.5, 0, 1)  # px beyond its border, antialiased
    lift = rng.uniform(0, 0.4) * np.exp(-found.rim * width / rng.uniform(1.5, 5)) * np.sign(found.along)
    tint = uneven(rng, rng.uniform(0, 0.15)).take(found.number)
    return np.asarray(tint * (1 + lift) * (1 - rng.uniform(0.3, 0.95) * far))


def wood(size: int, rng: Generator, fine: int = 2) -> Picture:
    """Sawn wood, bark, layered rock, ribbed sand: nearly parallel lines of all widths, cracked along them."""
    x, y = places(size, fine)
    u, v = turned(x, y, rng.choice([0.0, math.pi / 2, rng.uniform(0, math.pi)]))
    v = v + rng.uniform(0.5, 12) * smooth(size * fine, rng, int(rng.integers(1, 7)))
    total: Field = np.zeros((size * fine,) * 2, np.float32)
    for width in log_uniform(rng, 2.2, 4) * 2.2 ** np.arange(rng.integers(1, 4)):
        line = v / width + 0.15 * np.sin(u / (width * rng.uniform(3, 12)))
        row = np.floor(line)
        part, number = line - row, row.astype(np.int32) % TABLE**2
        tints = rng.normal(0, 1, TABLE**2).astype(np.float32)
        tint = tints.take(number) + (tints.take((number + 1) % TABLE**2) - tints.take(number)) * part * part * (
            3 - 2 * part
        )
        fade = np.sin(u / (width * rng.uniform(4, 25)) + table(rng, 0, 7).take(number))
        total = total + tint * (1 + 0.6 * fade)
    picture = rng.uniform(0.35, 0.7) * np.exp(log_uniform(rng, 0.06, 0.4) * np.clip(total, -4, 4))
    if rng.random() < 0.6:
        found = cells(u / rng.uniform(15, 80), v / (width := log_uniform(rng, 4, 20)), rng)
        share = rng.uniform(0.1, 0.8)
        open_ = (table(rng, 0, 1) < share).take(found.number) * uneven(rng, 0.5).take(found.number)
        far = np.clip(rng.uniform(0.2, 1.5) * open_ - np.abs(found.across) * width + 0.3, 0, 1)
        picture = picture * (1 - rng.uniform(0.3, 0.9) * far * np.clip(3 * found.rim, 0, 1))
    return averaged(np.asarray(picture, dtype=np.float32), fine, tent=bool(rng.random() < 0.5))


def lace(size: int, rng: Generator) -> Picture:
    """Webs, nets, twigs and lace before something dark or out of focus, at times beaded with frost or dew."""
    light = Sheet(size, 0.0)
    beads: list[np.ndarray] = []
    lines = _web(size, rng) if rng.random() < 0.5 else _twigs(size, rng)
    width = log_uniform(rng, 0.3, 2.2)
    bead = log_uniform(rng, 0.6, 2.4) if rng.random() < 0.6 else 0.0
    for line in lines:
        light.line(line, width * rng.uniform(0.6, 1.4), rng.uniform(0.35, 1))
        if bead and len(beads) < 3000:
            beads.append(_along(line, rng.uniform(1.5, 5) * bead, rng))
    for place in np.concatenate(beads)[:3000] if beads else ():
        radius, bright = bead * rng.uniform(0.5, 1.2), rng.uniform(0.4, 1)
        light.disc(place[0], place[1], radius, bright * rng.uniform(0.4, 0.9))
        light.disc(place[0] - 0.3 * radius, place[1] - 0.3 * radius, 0.5 * radius, bright)
    shown = light.picture()
    if rng.random() < 0.4:
        shown = blur(shown, rng.uniform(0.3, 0.7))
    dark = rng.random() < 0.2  # lines before something bright
    level = rng.uniform(0.4, 1) if dark else rng.choice([0.0, rng.uniform(0, 0.5)])
    behind = np.clip(level * (1 + rng.uniform(0.1, 0.5) * smooth(size, rng, int(rng.integers(1, 9)))), 0, 1)
    if dark:
        return np.asarray(behind * (1 - rng.uniform(0.5, 1.0) * shown), dtype=np.float32)
    return blend(behind, rng.uniform(0.5, 1.0), shown)


def _web(size: int, rng: Generator) -> list[np.ndarray]:
    """Spokes and the rings or spirals that hang between them."""
    hub = size * rng.uniform(0.2, 0.8, 2)
    angles = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(9, 36)))
    around = np.append(angles, angles[0] + 2 * math.pi)
    radii = np.cumsum(rng.uniform(0.6, 1.4, 60)) * log_uniform(rng, 3, 14)
    lines = [hub + np.outer([0, 1.2 * size], [math.cos(a), math.sin(a)]) for a in angles]
    sag = rng.uniform(0, 0.12)
    for radius in radii[radii < size]:
        reach = radius * (1 + rng.normal(0, 0.03, len(around)))
        for k in np.flatnonzero(rng.random(len(angles)) < 0.95):
            t = np.linspace(0, 1, 5)
            angle = around[k] + (around[k + 1] - around[k]) * t
            r = (reach[k] + (reach[k + 1] - reach[k]) * t) * (1 - 4 * sag * t * (1 - t))
            lines.append(hub + np.column_stack([r * np.cos(angle), r * np.sin(angle)]))
    return [line for line in lines if ((line > -20) & (line < size + 20)).all(1).any()]


def _twigs(size: int, rng: Generator) -> list[np.ndarray]:
    bend, length = rng.uniform(0, 0.3), log_uniform(rng, 10, size)
    count = int(min(1200, log_uniform(rng, 1, 8) * size**2 / (length * 12)))
    return [
        random_curve(rng, rng.uniform(0, size, 2), rng.uniform(0, 7), length * rng.uniform(0.5, 1.5), bend)
        for _ in range(max(count, 8))
    ]


def _along(line: np.ndarray, step: float, rng: Generator) -> np.ndarray:
    """Places on `line` about `step` px apart, (n, 2)."""
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.arange(step / 2, way[-1], step)
    at = at + rng.uniform(-0.4, 0.4, len(at)) * step
    return np.column_stack([np.interp(at, way, line[:, k]) for k in (0, 1)])


def fur(size: int, rng: Generator) -> Picture:
    """Hair, grass, straw, needles: strands that follow a common drift, the later over the earlier."""
    low, high = np.sort(rng.uniform(0.05, 0.95, 2))
    sheet = Sheet(size, low * rng.uniform(0.3, 1))
    drift = smooth(size, rng, int(rng.integers(1, 5)))
    main, spread, length = rng.uniform(0, 7), rng.uniform(0.05, 0.6), log_uniform(rng, 5, 50)
    count = int(min(3500, rng.uniform(0.6, 2) * size**2 / length / 2))
    starts = rng.uniform(-length, size + length, (count, 2))
    inside = np.clip(starts, 0, size - 1).astype(int)
    angles = main + drift[inside[:, 1], inside[:, 0]] * rng.uniform(0, 1.5) + rng.normal(0, spread, count)
    reach = length * rng.uniform(0.6, 1.4, count)
    widths, tints = power_law(rng, rng.uniform(0.4, 1), 3, 2.5, count), rng.beta(2, 2, count)
    bow = rng.normal(0, 0.15, count)
    tips = starts + reach[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
    middle = (starts + tips) / 2 + (bow * reach)[:, None] * np.column_stack([-np.sin(angles), np.cos(angles)])
    for a, b, c, width, tint in zip(starts, middle, tips, widths, tints, strict=True):
        sheet.line(np.stack([a, b, c]), width, low + (high - low) * tint)
    shown = sheet.picture() * np.clip(1 + 0.2 * smooth(size, rng, 3), 0.6, 1.4)
    return np.asarray(blur(shown, rng.choice([0.0, rng.uniform(0.3, 0.6)])), dtype=np.float32)
