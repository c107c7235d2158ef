"""Painters of what cameras see: scenes, skies, foliage, the ground from above, murky water, grain."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.fields import (
    Picture,
    any_texture,
    blend,
    gaussian_blur,
    log_uniform,
    pixel_grid,
    power_law_texture,
    random_mask,
    smooth_field,
    soft_edge,
    standardised,
    toned,
)
from noisediag.genome.painters.shapes import Sheet, draw_strokes, scatter_shapes, shape_textures, wandering_line
from noisediag.genome.painters.surfaces import fabric


def photo(size: int, rng: Generator) -> Picture:
    """A natural composition: sky over ground, objects with their textures, foliage, regular surfaces, wires, focus."""
    x, y = pixel_grid(size)
    sky = (
        rng.uniform(0.4, 1.0)
        + rng.normal(0, 0.2) * y / size
        + 0.05 * rng.random() * power_law_texture(size, rng, 2.0, stretch=2)
    )
    ground = toned(any_texture(size, rng), rng, (0.15, 0.6), (0.03, 0.25))
    horizon = rng.uniform(-0.3, 1.1) * size + rng.uniform(0, size / 20) * smooth_field(size, rng, 4)
    picture = blend(sky, ground, soft_edge(y - horizon))
    if rng.random() < 0.7:
        below = rng.uniform(0.1, 1.0)
        picture = blend(
            picture,
            tree_crowns(size, rng) * rng.uniform(0.5, 1.6),
            random_mask(size, rng, int(rng.integers(1, 5)), below),
        )
    count = int(log_uniform(rng, 3, 500))
    sheet = Sheet(size, 0)
    shapes = scatter_shapes(
        sheet, size, rng, count, (log_uniform(rng, 2, 10), size * rng.uniform(0.1, 0.45)), rng.uniform(1.5, 3)
    )
    labels = sheet.labels()
    objects = sheet.coloured(rng.uniform(0, 1, count + 1)) + shape_textures(size, rng, labels, count + 1)
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
        draw_strokes(wires, size, rng, int(rng.integers(1, 20)), 1.0)
        picture = blend(picture, rng.uniform(0, 1), wires.picture())
    if rng.random() < 0.5:  # depth of field
        picture = blend(
            picture, gaussian_blur(picture, rng.uniform(1, 6)), random_mask(size, rng, 1, rng.uniform(0.2, 0.8))
        )
    if rng.random() < 0.3:  # cast shadows
        picture = picture * (1 - rng.uniform(0.3, 0.8) * random_mask(size, rng, 3, rng.uniform(0.1, 0.5)))
    return np.asarray(picture, dtype=np.float32)


def leaves(size: int, rng: Generator) -> Picture:
    """Dead leaves: occluding shapes of power-law size; flat, shaded or textured inside."""
    count = int(log_uniform(rng, 30, 1200))
    sheet = Sheet(size, 0)
    shapes = scatter_shapes(
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
        x, y = pixel_grid(size)
        reach = shapes[:, 2].astype(np.float32)[labels]
        picture += slopes[labels, 0] * (x - shapes[:, 0].astype(np.float32)[labels]) / reach
        picture += slopes[labels, 1] * (y - shapes[:, 1].astype(np.float32)[labels]) / reach
    if style in (2, 3):
        picture += shape_textures(size, rng, labels, count + 1)
    return picture


def gradient(size: int, rng: Generator) -> Picture:
    """Skies: linear and radial ramps, at times with clouds."""
    x, y = (axis / size - 0.5 for axis in pixel_grid(size))
    angle = rng.uniform(0, 2 * math.pi)
    ramp = x * math.cos(angle) + y * math.sin(angle)
    if rng.random() < 0.4:
        cx, cy = rng.uniform(-0.6, 0.6, 2)
        ramp = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
    picture = rng.uniform(0.1, 0.9) + rng.normal(0, 0.5) * ramp
    if rng.random() < 0.5:
        clouds = power_law_texture(size, rng, rng.uniform(1.6, 2.6), stretch=rng.uniform(1, 3))
        picture = picture + rng.uniform(0.02, 0.2) * (np.maximum(clouds, 0) if rng.random() < 0.5 else clouds)
    return np.asarray(picture, dtype=np.float32)


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
    picture += shape_textures(size, rng, labels, count)
    picture *= 1 + log_uniform(rng, 0.01, 0.15) * any_texture(size, rng)
    x, y = pixel_grid(size)
    angles, pitch = rng.uniform(0, math.pi, count), rng.uniform(3, 10, count)
    wave_x, wave_y = (2 * math.pi * f(angles) / pitch for f in (np.cos, np.sin))
    furrows = np.cos(wave_x.astype(np.float32)[labels] * x + wave_y.astype(np.float32)[labels] * y)
    picture += (rng.uniform(0, 0.06, count) * (rng.random(count) < 0.5)).astype(np.float32)[labels] * furrows
    if rng.random() < 0.5:
        grove = random_mask(size, rng, int(rng.integers(2, 6)), rng.uniform(0.1, 0.6))
        picture = blend(picture, tree_crowns(size, rng), grove)
    if rng.random() < 0.5:
        _add_roofs(picture, size, rng)
    roads = Sheet(size, 0.0)
    for _ in range(rng.integers(0, 6)):
        curve = wandering_line(rng, rng.uniform(0, size, 2), rng.uniform(0, 7), 1.5 * size, 0.03)
        roads.line(curve, log_uniform(rng, 1, 10), 1.0)
    picture = blend(picture, rng.uniform(0.3, 0.9), roads.picture())
    if rng.random() < 0.25:
        picture = blend(picture, rng.uniform(0.1, 0.4), random_mask(size, rng, 2, rng.uniform(0.05, 0.4)))
    return picture


def tree_crowns(size: int, rng: Generator) -> Picture:
    """Foliage: crowded discs, lit from one side."""
    sheet, largest = Sheet(size, 0), log_uniform(rng, 3, 14)
    count = min(
        2500, int(2 * size**2 / (math.pi * 2 * largest))
    )  # about twice the area: the mean square radius is 2*largest
    shapes = scatter_shapes(sheet, size, rng, count, (2, largest), 2.0)
    picture = sheet.coloured(rng.uniform(0.1, 0.5, count + 1))
    labels = sheet.labels()
    x, y = pixel_grid(size)
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


def underwater(size: int, rng: Generator) -> Picture:
    """Murky: shapes and ground behind a veil, low contrast, soft everywhere."""
    scene = leaves(size, rng) if rng.random() < 0.5 else any_texture(size, rng) * 0.2
    scene = scene + 0.3 * any_texture(size, rng)
    near = gaussian_blur(scene, rng.uniform(0.2, 1.0))
    picture = blend(near, gaussian_blur(scene, rng.uniform(1, 6)), random_mask(size, rng, 1, rng.uniform(0.1, 0.7)))
    picture = toned(picture, rng, (0.15, 0.6), (0.02, 0.12))
    return blend(picture, rng.uniform(0.2, 0.7), np.clip(0.5 + 0.25 * smooth_field(size, rng, 1), 0, 0.9))


def grain_field(size: int, rng: Generator) -> Picture:
    """Sand, carpet, frost, bark: detail as fine as the pixels in some regions, smooth shades in others."""
    picture = np.full((size, size), rng.uniform(0.1, 0.8), np.float32) + 0.1 * smooth_field(size, rng, 3)
    for _ in range(rng.integers(1, 5)):
        rough = rng.standard_normal((size, size), dtype=np.float32)
        kind = rng.integers(5)
        if kind == 0:  # crystals: rare, bright
            rough = np.maximum(rough - rng.uniform(0.5, 2), 0)
        elif kind == 1:  # crevices
            rough = -np.abs(rough)
        elif kind == 2:  # fibres
            stretch, slope = log_uniform(rng, 2, 10), rng.uniform(0.2, 1)
            rough = power_law_texture(size, rng, slope, stretch=stretch, angle=rng.uniform(0, math.pi))
        elif kind == 3:  # loops, as in knitwear
            x, y = pixel_grid(size)
            pitch, lean = log_uniform(rng, 2.5, 12), rng.uniform(0.2, 1)
            phase = x / pitch + lean * np.abs(y / pitch % 2 - 1)
            rough = np.cos(2 * math.pi * phase).astype(np.float32) + rng.uniform(0, 0.7) * rough
        rough = standardised(gaussian_blur(rough, rng.uniform(0.3, 1.2)))
        region = random_mask(size, rng, int(rng.integers(1, 6)), rng.uniform(0.1, 0.9))
        level = rng.uniform(-0.3, 0.3)
        picture = picture + region * (level + log_uniform(rng, 0.01, 0.2) * rough)
    if rng.random() < 0.4:  # lines covered with it: webs, twigs
        web = Sheet(size, 0.0)
        draw_strokes(web, size, rng, int(log_uniform(rng, 10, 80)), 1.0)
        sparkle = 1 + rng.uniform(0.2, 0.8) * rng.standard_normal((size, size), dtype=np.float32)
        picture = picture + rng.uniform(0.1, 0.5) * web.picture() * sparkle
    return np.asarray(picture, dtype=np.float32)
