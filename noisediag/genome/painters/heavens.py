"""Painter of crowded skies: stars of all fluxes as sharp as the pixels, clusters, nebulae, galaxies, dark lanes."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from scipy.special import ndtr

from noisediag.genome.painters.brushes import (
    Picture,
    Points,
    Sheet,
    blur,
    edge,
    grid,
    log_uniform,
    points,
    power_law,
    smooth,
    texture,
)

BEYOND = 4  # px around the picture that have stars, too
MOST_STARS = 20_000
SHARPEST = 0.36  # px, sigma: below, a star is seen by one pixel alone, as an impulse is


def crowd(size: int, rng: Generator) -> Picture:
    """A stretched exposure of a crowded field: what is bright saturates, what is dark is sky of nearly nothing."""
    cloud = _cloud(size, rng) if rng.random() < 0.75 else np.zeros((size, size), np.float32)
    lanes = np.exp(-rng.uniform(0, 4) * np.clip(_filaments(size, rng) - rng.uniform(0.2, 0.8), 0, 1))
    count = int(min(log_uniform(rng, 300, 60_000) * (size / 256) ** 2, MOST_STARS)) + 1
    places = _scattered(size, lanes * (0.3 + cloud * rng.uniform(0, 3)), count, rng)
    flux = power_law(rng, 1, log_uniform(rng, 300, 30_000), rng.uniform(1.7, 2.6), count)
    seeing, wing = log_uniform(rng, SHARPEST, 1.0), rng.uniform(0, 0.25)
    bright = flux > np.quantile(flux, 0.98)
    light = _stars(size, places, flux, seeing, math.ceil(5 * seeing))
    for wider, share in ((1.8, wing), (3.5, wing / 3)):
        light += share * _stars(size, places[bright], flux[bright], wider * seeing, math.ceil(5 * wider * seeing))
    # in double precision: the stretch would show what rounding leaves beside a bright star
    halo = points(size, rng, places[bright], flux[bright]).astype(np.float64)
    light = light + log_uniform(rng, 1e-3, 0.1) * blur(halo, rng.uniform(3, 9))
    if rng.random() < 0.15:
        light = light + _spikes(size, places[bright], flux[bright], rng)
    light = np.maximum(light, 0)
    # the stretch decides how far down into the crowd one sees
    reference = np.quantile(light, rng.uniform(0.5, 0.999)) + 1e-6
    sky = log_uniform(rng, 1e-4, 0.05) * reference
    stretched = np.arcsinh((light + sky) / reference * log_uniform(rng, 0.03, 5))
    top = np.quantile(stretched, rng.uniform(0.99, 1.0)) + 1e-6
    picture = stretched / top * rng.uniform(0.5, 1.1) + cloud * lanes * log_uniform(rng, 0.05, 0.6)
    if rng.random() < 0.3:  # fades into black at its edges, as plates that are laid over each other do
        x, y = grid(size)
        depth = np.minimum(np.minimum(x, size - 1 - x), np.minimum(y, size - 1 - y))
        picture = picture * edge(depth - rng.uniform(5, 20), rng.uniform(8, 30))
    return np.asarray(np.maximum(picture - rng.choice([0.0, rng.uniform(0, 0.05)]), 0), dtype=np.float32)


def _stars(size: int, places: Points, flux: np.ndarray, sigma: float, reach: int) -> Picture:
    """Light of stars of Gaussian shape, integrated over each pixel, up to `reach` px from their middles; float64."""
    middle = np.rint(places).astype(np.intp)
    steps = np.arange(-reach, reach + 1)
    profiles = []
    for axis in (0, 1):
        borders = (middle[:, axis, None] + np.append(steps - 0.5, reach + 0.5) - places[:, axis, None]) / sigma
        profiles.append(np.diff(ndtr(borders), axis=1))
    amounts = flux[:, None, None] * profiles[1][:, :, None] * profiles[0][:, None, :]
    side = size + 2 * reach
    row, column = middle[:, 1, None, None] + steps[:, None] + reach, middle[:, 0, None, None] + steps[None, :] + reach
    inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
    index = np.where(inside, row * side + column, side * side)
    sheet = np.bincount(index.ravel(), weights=amounts.ravel(), minlength=side * side + 1)[:-1].reshape(side, side)
    return np.asarray(sheet[reach:-reach, reach:-reach])


def _scattered(size: int, density: Picture, count: int, rng: Generator) -> Points:
    """`count` places (n, 2) as dense as `density`; at times half of them in a cluster."""
    odds = np.cumsum(np.maximum(density, 0).ravel() + 1e-4)
    chosen = np.searchsorted(odds, rng.uniform(0, odds[-1], count))
    places = np.column_stack([chosen % size, chosen // size]) + rng.uniform(-0.5, 0.5, (count, 2))
    if rng.random() < 0.35:
        members = rng.random(count) < rng.uniform(0.2, 0.8)
        radius = log_uniform(rng, 0.02, 0.2) * size / np.sqrt(np.maximum(rng.random(members.sum()) ** -1.0 - 1, 1e-3))
        turn = rng.uniform(0, 2 * math.pi, members.sum())
        centre = size * rng.uniform(0.2, 0.8, 2)
        places[members] = centre + np.column_stack([radius * np.cos(turn), radius * np.sin(turn)])
    return np.asarray(np.clip(places, -BEYOND, size - 1 + BEYOND))


def _filaments(size: int, rng: Generator) -> Picture:
    """Wisps and lanes, about 0 to 1, as smooth as gas is."""
    field = texture(size, rng, rng.uniform(1.7, 2.4), stretch=rng.uniform(1, 3), angle=rng.uniform(0, math.pi))
    return np.asarray(np.exp(-rng.uniform(1, 4) * np.abs(field)) if rng.random() < 0.5 else 0.5 + 0.3 * field)


def _cloud(size: int, rng: Generator) -> Picture:
    """A nebula, a shell or a galaxy; at most about 1."""
    x, y = grid(size)
    centre, turn, wide = size * rng.uniform(0.1, 0.9, 2), rng.uniform(0, math.pi), size * rng.uniform(0.08, 0.5)
    a = (x - centre[0]) * math.cos(turn) + (y - centre[1]) * math.sin(turn)
    b = ((y - centre[1]) * math.cos(turn) - (x - centre[0]) * math.sin(turn)) / rng.uniform(0.2, 1)
    r = np.sqrt(a * a + b * b) / wide
    kind = rng.integers(4)
    if kind == 0:  # galaxy
        arms = 1 + rng.uniform(0, 0.6) * np.cos(2 * np.arctan2(b, a) - rng.uniform(3, 9) * np.log(r + 0.1))
        return np.asarray(np.exp(-3 * r) * arms + 0.5 * np.exp(-((5 * r) ** 2)), dtype=np.float32)
    if kind == 1:  # shell
        return np.asarray((np.exp(-(((r - 1) / 0.15) ** 2)) + 0.3 * (r < 1)) * _filaments(size, rng), dtype=np.float32)
    shape = np.exp(-(r**2)) if kind == 2 else np.clip(0.5 + 0.4 * smooth(size, rng, int(rng.integers(1, 5))), 0, 1)
    return np.asarray(shape * np.clip(_filaments(size, rng) * rng.uniform(0.7, 1.5), 0, 1), dtype=np.float32)


def _spikes(size: int, places: Points, flux: np.ndarray, rng: Generator) -> Picture:
    """The cross of light that the struts of a telescope give bright stars."""
    sheet, turn = Sheet(size, 0.0), rng.choice([0.0, rng.uniform(0, math.pi / 2)])
    for place, amount in sorted(zip(places.tolist(), flux.tolist(), strict=True), key=lambda star: star[1])[-40:]:
        length = min(30.0, 2 * amount**0.3)
        for angle in (turn, turn + math.pi / 2):
            arm = length * np.array([math.cos(angle), math.sin(angle)])
            sheet.line(np.stack([place - arm, place + arm]), 0.5, 0.01 * amount)
    return blur(sheet.picture(), 0.5)
