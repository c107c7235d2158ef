"""Painters of what cameras see: leaves, textures, fabric, land from above, water, photographs."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.brushes import (
    Picture,
    Sheet,
    any_texture,
    blend,
    blur,
    edge,
    grid,
    log_uniform,
    mask,
    random_curve,
    scatter_leaves,
    smooth,
    texture,
    tone,
    unit,
)
from noisediag.genome.painters.graphics import strokes


def leaves(size: int, rng: Generator) -> Picture:
    """Dead leaves: occluding shapes of power-law size; flat, shaded or textured inside."""
    count = int(log_uniform(rng, 30, 1200))
    sheet = Sheet(size, 0)
    shapes = scatter_leaves(
        sheet, size, rng, count, (log_uniform(rng, 1, 8), size * rng.uniform(0.1, 0.5)), rng.uniform(2, 3.2)
    )
    values = rng.uniform(0, 1, count + 1) if rng.random() < 0.7 else rng.beta(0.5, 0.5, count + 1)
    picture = sheet.coloured(values)
    style = rng.integers(4)  # flat; shaded; textured; shaded and textured
    if style == 0:
        return picture
    labels = sheet.labels()
    if style in (1, 3):
        slopes = rng.normal(0, 0.15, (count + 1, 2)).astype(np.float32)
        x, y = grid(size)
        reach = shapes[:, 2].astype(np.float32)[labels]
        picture += slopes[labels, 0] * (x - shapes[:, 0].astype(np.float32)[labels]) / reach
        picture += slopes[labels, 1] * (y - shapes[:, 1].astype(np.float32)[labels]) / reach
    if style in (2, 3):
        picture += _leaf_textures(size, rng, labels, count + 1)
    return picture


def _leaf_textures(size: int, rng: Generator, labels: np.ndarray, count: int) -> Picture:
    """For every shape one of three textures, with its own strength; some of the shapes stay plain."""
    textures = np.stack([any_texture(size, rng) for _ in range(3)])
    strength = 0.002 * 100 ** rng.random(count) * (rng.random(count) > rng.choice([0.0, 0.1, 0.5]))
    which = rng.integers(3, size=count)[labels]
    return np.asarray(np.take_along_axis(textures, which[None], axis=0)[0] * strength.astype(np.float32)[labels])


def texture_only(size: int, rng: Generator) -> Picture:
    """Nothing but one texture."""
    return tone(any_texture(size, rng), rng, (0.2, 0.8), (0.02, 0.3))


def satellite(size: int, rng: Generator) -> Picture:
    """The ground from above: parcels with furrows and grain, roads, roofs, crowns of trees, water."""
    sheet = Sheet(size, 0)
    parcels = [np.array([[-1.0, -1.0], [1, -1], [1, 1], [-1, 1]]) * size]
    for _ in range(int(rng.integers(0, 40))):  # cut a parcel in two, roughly along its sides
        index = int(rng.integers(len(parcels)))
        a, b, c, d = parcels.pop(index)
        s, t = rng.uniform(0.3, 0.7) + rng.normal(0, 0.03, 2)
        p, q = a + (b - a) * s, d + (c - d) * t
        parcels += [np.array([p, q, d, a]), np.array([c, q, p, b])]
    turn = rng.uniform(0, math.pi)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    for number, parcel in enumerate(parcels):
        sheet.polygon(parcel @ rotation.T + size / 2, number)
    count = len(parcels)
    labels = sheet.labels()
    picture = sheet.coloured(rng.uniform(0.2, 0.7, count))
    picture += _leaf_textures(size, rng, labels, count)
    picture *= 1 + log_uniform(rng, 0.01, 0.15) * any_texture(size, rng)
    x, y = grid(size)
    angles, pitch = rng.uniform(0, math.pi, count), rng.uniform(3, 10, count)
    wave_x, wave_y = (2 * math.pi * f(angles) / pitch for f in (np.cos, np.sin))
    furrows = np.cos(wave_x.astype(np.float32)[labels] * x + wave_y.astype(np.float32)[labels] * y)
    picture += (rng.uniform(0, 0.06, count) * (rng.random(count) < 0.5)).astype(np.float32)[labels] * furrows
    if rng.random() < 0.5:
        grove = mask(size, rng, int(rng.integers(2, 6)), rng.uniform(0.1, 0.6))
        picture = blend(picture, _crowns(size, rng), grove)
    if rng.random() < 0.5:
        _add_roofs(picture, size, rng)
    roads = Sheet(size, 0.0)
    for _ in range(rng.integers(0, 6)):
        curve = random_curve(rng, rng.uniform(0, size, 2), rng.uniform(0, 7), 1.5 * size, 0.03)
        roads.line(curve, log_uniform(rng, 1, 10), 1.0)
    picture = blend(picture, rng.uniform(0.3, 0.9), roads.picture())
    if rng.random() < 0.25:
        picture = blend(picture, rng.uniform(0.1, 0.4), mask(size, rng, 2, rng.uniform(0.05, 0.4)))
    return picture


def _crowns(size: int, rng: Generator) -> Picture:
    """Foliage: crowded discs, lit from one side."""
    sheet, largest = Sheet(size, 0), log_uniform(rng, 3, 14)
    count = min(
        2500, int(2 * size**2 / (math.pi * 2 * largest))
    )  # about twice the area: the mean square radius is 2*largest
    shapes = scatter_leaves(sheet, size, rng, count, (2, largest), 2.0)
    picture = sheet.coloured(rng.uniform(0.1, 0.5, count + 1))
    labels = sheet.labels()
    x, y = grid(size)
    reach = shapes[:, 2].astype(np.float32)[labels]
    lit = (x - shapes[:, 0].astype(np.float32)[labels] + y - shapes[:, 1].astype(np.float32)[labels]) / reach
    return np.asarray(picture + rng.uniform(0, 0.15) * lit, dtype=np.float32)


def _add_roofs(picture: Picture, size: int, rng: Generator) -> None:
    turn, cover, shadow = rng.uniform(0, math.pi), Sheet(size, 0.0), Sheet(size, 0.0)
    tone = Sheet(size, 0.0)
    for centre in rng.uniform(0, size, (rng.integers(5, 80), 2)):
        w, h = rng.uniform(3, 14, 2)
        box = np.array([[-w, -h], [w, -h], [w, h], [-w, h]])
        box = box @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]) + centre
        shadow.polygon(box + 2.5, 1.0)
        cover.polygon(box, 1.0)
        tone.polygon(box, rng.uniform(0.3, 1.0))
        tone.polygon(np.stack([box[0], box[1], centre]), rng.uniform(0.3, 1.0))
    picture *= 1 - 0.6 * shadow.picture()
    mask = cover.picture()
    picture *= 1 - mask
    picture += tone.picture()


def fabric(size: int, rng: Generator) -> Picture:
    """Periodic patterns: checks, stripes, weaves, bricks, dots; straight, or warped as on a waving cloth."""
    x, y = grid(size)
    warp = rng.uniform(0, 0.15) * size * (rng.random() < 0.4)
    u0, v0 = x + warp * smooth(size, rng, 2), y + warp * smooth(size, rng, 2)
    angle, pitch, ratio = rng.choice([0.0, rng.uniform(0, math.pi)]), log_uniform(rng, 2.5, 60), rng.uniform(0.5, 2)
    u = (u0 * math.cos(angle) + v0 * math.sin(angle)) / pitch
    v = (v0 * math.cos(angle) - u0 * math.sin(angle)) / (pitch * ratio)
    sharp = pitch / math.pi if rng.random() < 0.7 else 1.0
    wave_u, wave_v = np.cos(2 * math.pi * u), np.cos(2 * math.pi * v)
    kind = rng.integers(6)
    if kind == 0:  # checks
        pattern = edge(wave_u * sharp / 2) * edge(wave_v * sharp / 2)
        pattern = pattern + (1 - edge(wave_u * sharp / 2)) * (1 - edge(wave_v * sharp / 2))
    elif kind == 1:  # stripes
        pattern = edge((wave_u + rng.uniform(-0.7, 0.7)) * sharp / 2)
    elif kind == 2:  # weave: threads over and under
        over = np.cos(math.pi * (np.floor(u) + np.floor(v))) > 0
        pattern = np.where(over, np.abs(np.sin(math.pi * u)), np.abs(np.sin(math.pi * v)))
    elif kind == 3:  # bricks
        row = np.floor(v)
        joint = np.minimum(np.abs((u / 2 + 0.5 * (row % 2)) % 1 - 0.5) * 2 * pitch, np.abs(v % 1 - 0.5) * pitch * ratio)
        pattern = edge(joint - 1)
        tints = rng.uniform(0.7, 1, 64).astype(np.float32)
        pattern = pattern * tints[(np.floor(u / 2 + 0.5 * (row % 2)) * 7 + row * 13).astype(int) % 64]
    elif kind == 4:  # dots
        pattern = edge((wave_u + wave_v - rng.uniform(-1, 1)) * sharp / 2)
    else:  # soft grating
        pattern = 0.5 + 0.25 * (wave_u + rng.uniform(0, 1) * wave_v)
    low, high = np.sort(rng.uniform(0, 1, 2)) if rng.random() < 0.7 else (0.0, 1.0)
    picture = low + (high - low) * pattern
    if rng.random() < 0.4:
        picture = picture * (1 + rng.uniform(0.02, 0.2) * any_texture(size, rng))
    if rng.random() < 0.4:
        picture = picture * (1 + 0.2 * smooth(size, rng, 2))
    return np.asarray(picture, dtype=np.float32)


def underwater(size: int, rng: Generator) -> Picture:
    """Murky: shapes and ground behind a veil, low contrast, soft everywhere."""
    scene = leaves(size, rng) if rng.random() < 0.5 else any_texture(size, rng) * 0.2
    scene = scene + 0.3 * any_texture(size, rng)
    near = blur(scene, rng.uniform(0.2, 1.0))
    picture = blend(near, blur(scene, rng.uniform(1, 6)), mask(size, rng, 1, rng.uniform(0.1, 0.7)))
    picture = tone(picture, rng, (0.15, 0.6), (0.02, 0.12))
    return blend(picture, rng.uniform(0.2, 0.7), np.clip(0.5 + 0.25 * smooth(size, rng, 1), 0, 0.9))


def photo(size: int, rng: Generator) -> Picture:
    """A natural composition: sky over ground, objects with their textures, foliage, regular surfaces, wires, focus."""
    x, y = grid(size)
    sky = (
        rng.uniform(0.4, 1.0) + rng.normal(0, 0.2) * y / size + 0.05 * rng.random() * texture(size, rng, 2.0, stretch=2)
    )
    ground = tone(any_texture(size, rng), rng, (0.15, 0.6), (0.03, 0.25))
    horizon = rng.uniform(-0.3, 1.1) * size + rng.uniform(0, size / 20) * smooth(size, rng, 4)
    picture = blend(sky, ground, edge(y - horizon))
    if rng.random() < 0.7:
        below = rng.uniform(0.1, 1.0)
        picture = blend(
            picture, _crowns(size, rng) * rng.uniform(0.5, 1.6), mask(size, rng, int(rng.integers(1, 5)), below)
        )
    count = int(log_uniform(rng, 3, 500))
    sheet = Sheet(size, 0)
    shapes = scatter_leaves(
        sheet, size, rng, count, (log_uniform(rng, 2, 10), size * rng.uniform(0.1, 0.45)), rng.uniform(1.5, 3)
    )
    labels = sheet.labels()
    objects = sheet.coloured(rng.uniform(0, 1, count + 1)) + _leaf_textures(size, rng, labels, count + 1)
    slopes = rng.normal(0, 0.15, count + 1).astype(np.float32)
    objects += slopes[labels] * (x - shapes[:, 0].astype(np.float32)[labels]) / shapes[:, 2].astype(np.float32)[labels]
    if rng.random() < 0.4:
        surface = (rng.random(count + 1) < 0.3)[labels]
        objects = np.where(surface, fabric(size, rng), objects)
    cover = np.ones(count + 1)
    cover[0] = 0
    picture = blend(picture, objects, sheet.coloured(cover))
    if rng.random() < 0.3:
        wires = Sheet(size, 0.0)
        strokes(wires, size, rng, int(rng.integers(1, 20)), 1.0)
        picture = blend(picture, rng.uniform(0, 1), wires.picture())
    if rng.random() < 0.5:  # depth of field
        picture = blend(picture, blur(picture, rng.uniform(1, 6)), mask(size, rng, 1, rng.uniform(0.2, 0.8)))
    if rng.random() < 0.3:  # cast shadows
        picture = picture * (1 - rng.uniform(0.3, 0.8) * mask(size, rng, 3, rng.uniform(0.1, 0.5)))
    return np.asarray(picture, dtype=np.float32)


def grain(size: int, rng: Generator) -> Picture:
    """Sand, carpet, frost, bark: detail as fine as the pixels in some regions, smooth shades in others."""
    picture = np.full((size, size), rng.uniform(0.1, 0.8), np.float32) + 0.1 * smooth(size, rng, 3)
    for _ in range(rng.integers(1, 5)):
        rough = rng.standard_normal((size, size), dtype=np.float32)
        kind = rng.integers(5)
        if kind == 0:  # crystals: rare, bright
            rough = np.maximum(rough - rng.uniform(0.5, 2), 0)
        elif kind == 1:  # crevices
            rough = -np.abs(rough)
        elif kind == 2:  # fibres
            stretch, slope = log_uniform(rng, 2, 10), rng.uniform(0.2, 1)
            rough = texture(size, rng, slope, stretch=stretch, angle=rng.uniform(0, math.pi))
        elif kind == 3:  # loops, as in knitwear
            x, y = grid(size)
            pitch, lean = log_uniform(rng, 2.5, 12), rng.uniform(0.2, 1)
            phase = x / pitch + lean * np.abs(y / pitch % 2 - 1)
            rough = np.cos(2 * math.pi * phase).astype(np.float32) + rng.uniform(0, 0.7) * rough
        rough = unit(blur(rough, rng.uniform(0.3, 1.2)))
        region = mask(size, rng, int(rng.integers(1, 6)), rng.uniform(0.1, 0.9))
        level = rng.uniform(-0.3, 0.3)
        picture = picture + region * (level + log_uniform(rng, 0.01, 0.2) * rough)
    if rng.random() < 0.4:  # lines covered with it: webs, twigs
        web = Sheet(size, 0.0)
        strokes(web, size, rng, int(log_uniform(rng, 10, 80)), 1.0)
        sparkle = 1 + rng.uniform(0.2, 0.8) * rng.standard_normal((size, size), dtype=np.float32)
        picture = picture + rng.uniform(0.1, 0.5) * web.picture() * sparkle
    return np.asarray(picture, dtype=np.float32)
