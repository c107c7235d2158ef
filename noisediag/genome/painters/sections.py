"""Painter of slices through a brain: folded grey and white matter, thin lines of fluid, black all around."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.brushes import Picture, blend, blur, edge, log_uniform, smooth
from noisediag.genome.painters.lattice import Field, averaged, finer, places, turned

# shades of fluid, grey matter, white matter, bone, scalp: T1, T2, proton density, and templates without a skull
CONTRASTS = (
    (0.08, 0.5, 0.75, 0.05, 0.9),
    (0.95, 0.55, 0.35, 0.05, 0.6),
    (0.6, 0.8, 0.65, 0.1, 0.7),
    (0.2, 0.6, 0.9, 0, 0),
)


def cortex(size: int, rng: Generator, fine: int = 2) -> Picture:
    """A slice in one of four contrasts, at times only its outline as a mask, and at times a patch of cortex."""
    x, y = places(size, fine)
    centre = size / 2 + rng.normal(0, size / 20, 2)
    radius = size * log_uniform(rng, 0.22, 0.9)
    a, b = turned(x - centre[0], y - centre[1], rng.uniform(0, math.pi))
    b = b / rng.uniform(0.75, 1.0)
    distance = np.sqrt(a * a + b * b) + radius / 12 * smooth(size * fine, rng, int(rng.integers(3, 6)))
    depth = radius - distance  # px below the surface of the brain
    if rng.random() < 0.08:
        return averaged(edge(depth, 1 / fine if rng.random() < 0.5 else 1).astype(np.float32), fine, tent=False)
    fluid, grey, white, bone, scalp = np.clip(rng.choice(np.array(CONTRASTS)) + rng.normal(0, 0.05, 5), 0, 1)
    fold = _folds(size, log_uniform(rng, 5, 16), fine, rng)
    sheet = rng.uniform(1.2, 4.5)  # px; thickness of the grey matter
    reach = radius * rng.uniform(0.25, 0.7)
    furrow = np.abs(fold) + np.clip(depth - reach, 0, None) * 0.5  # px from the middle of a furrow; none deep inside
    surface = np.minimum(furrow, np.clip(depth, 0, None))
    matter = blend(np.full_like(depth, white), grey, edge(sheet - surface + 0.5))
    line = rng.uniform(0.1, 0.9)
    matter = blend(matter, fluid, edge(line - surface, 0.8))
    matter = _nuclei(matter, a, b, radius, (fluid, grey), rng)
    if rng.random() < 0.3:
        matter = _cerebellum(matter, a, b, radius, (grey, white), rng)
    brain = edge(depth)
    head = np.zeros_like(depth)
    if bone or scalp:
        gap, skull, skin = rng.uniform(0.5, 3), rng.uniform(2, 6), rng.uniform(1, 6)
        for level, inner, outer in (
            (fluid, 0, gap),
            (bone, gap, gap + skull),
            (scalp, gap + skull, gap + skull + skin),
        ):
            head = blend(head, level, edge(outer + depth) * edge(-inner - depth))
    picture = blend(head, matter, brain)
    picture = picture * np.clip(1 + rng.uniform(0, 0.2) * smooth(size * fine, rng, 1), 0.5, 1.5)  # the coil's bias
    return _acquired(averaged(np.asarray(picture, dtype=np.float32), fine, tent=bool(rng.random() < 0.5)), rng)


def _folds(size: int, width: float, fine: int, rng: Generator) -> Field:
    """Signed distance, in px, from furrows about two `width` apart that wander like those of a brain."""
    fx, fy = np.fft.rfftfreq(size)[None, :], np.fft.fftfreq(size)[:, None]
    tuned = np.exp(-0.5 * ((np.hypot(fx, fy) * 2 * width - 1) / rng.uniform(0.12, 0.3)) ** 2)
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * tuned, s=(size, size)).astype(np.float32)
    down, right = np.gradient(field)
    slope = np.hypot(down, right)
    return finer(field / np.maximum(slope, 0.5 * slope.mean()), fine)


def _nuclei(matter: Field, a: Field, b: Field, radius: float, shades: tuple[float, float], rng: Generator) -> Field:
    """Ventricles of fluid and nuclei of grey matter, alike on both sides; the cleft between them."""
    fluid, grey = shades
    for shade in (grey, grey, fluid):
        across, along = rng.uniform(0.05, 0.3, 2) * radius
        wide, high = rng.uniform(0.03, 0.14, 2) * radius
        tilted, upright = turned(np.abs(b) - across, a - along, rng.uniform(-0.6, 0.6))
        inside = (1 - np.hypot(tilted / wide, upright / high)) * min(wide, high)
        matter = blend(matter, shade * rng.uniform(0.8, 1.2), edge(inside, rng.uniform(0.8, 2)))
    return blend(matter, fluid, edge(rng.uniform(0, 0.8) - np.abs(b), 0.8))


def _cerebellum(matter: Field, a: Field, b: Field, radius: float, shades: tuple[float, float], rng: Generator) -> Field:
    """Leaves: fine bows of grey and white matter around a stem."""
    grey, white = shades
    left = a + radius * rng.uniform(0.5, 0.7)
    extent = radius * rng.uniform(0.2, 0.35)
    reach = np.hypot(left, b)
    pitch = rng.uniform(2.3, 6)
    bows = 0.5 + 0.5 * np.cos(2 * math.pi * (np.hypot(left - extent, b * rng.uniform(0.5, 1)) / pitch))
    return blend(matter, grey + (white - grey) * bows, edge(extent - reach, 1.5))


def _acquired(picture: Picture, rng: Generator) -> Picture:
    """As a scanner gives it: interpolated from fewer samples, whose cut spectrum rings, or averaged over heads."""
    kind = rng.integers(4)
    if kind == 0:
        size = len(picture)
        kept = rng.uniform(0.5, 0.95) / 2
        spectrum = np.fft.rfft2(picture)
        spectrum = spectrum * (np.abs(np.fft.fftfreq(size)) < kept)[:, None] * (np.fft.rfftfreq(size) < kept)[None, :]
        rung = np.fft.irfft2(spectrum, s=picture.shape).astype(np.float32)
        return np.asarray(np.where(blur(picture, 2) > 1e-3, np.abs(rung), 0), dtype=np.float32)
    if kind == 1:
        return blur(picture, log_uniform(rng, 0.4, 1.5))
    return picture
