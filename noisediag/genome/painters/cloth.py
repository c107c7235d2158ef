"""Painters of what is woven, knitted and printed: threads and dots as fine as the pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from noisediag.genome.painters.brushes import Picture, Sheet, edge, log_uniform, scatter_leaves, smooth
from noisediag.genome.painters.lattice import CACHED_ROWS, Field, averaged, finer, places, table, turned, uneven

THREADS = 256  # before their tints and widths repeat
FINEST = 2.3  # px; the pitch of the finest threads and dots
INKS = ((0.26, 0.55), (1.31, 0.6), (0.0, 0.12), (0.79, 1.0))  # cyan, magenta, yellow, black: angle; darkness in luma


def weave(size: int, rng: Generator, fine: int = 3) -> Picture:
    """Cloth whose threads are seen: plain, twill, satin, basket, figured or knitted; dyed, printed, in folds."""
    x, y = places(size, fine)
    depth = 0.0 if rng.random() < 0.5 else log_uniform(rng, 0.003, 0.06) * size
    fold = smooth(size * fine, rng, int(rng.integers(1, 5)))
    along, across = turned(x + depth * fold, y - 0.6 * depth * fold, rng.choice([0.0, rng.uniform(0, math.pi)]))
    pitch, ratio = log_uniform(rng, FINEST, 11), rng.uniform(0.7, 1.5)
    wobble = rng.uniform(0, 0.35) * smooth(size * fine, rng, int(rng.integers(4, 16)))
    u, v = (
        (along / pitch + wobble).astype(np.float32),
        (across / max(pitch * ratio, FINEST) + wobble).astype(np.float32),
    )
    cloth, seed = (_knit if rng.random() < 0.25 else _threads), rng.integers(2**62)
    dark, lit = rng.uniform(0.1, 0.5), rng.uniform(0.3, 0.7)
    field = np.empty(u.shape, np.float32)
    for start in range(0, len(u), CACHED_ROWS):
        rows = slice(start, start + CACHED_ROWS)
        height, tint = cloth(u[rows], v[rows], np.random.default_rng(seed))  # the same threads for every band
        field[rows] = tint * (dark + lit * height)
    picture = averaged(field, fine)
    picture = picture * _dye(size, rng)
    if depth:
        steep = np.gradient(averaged(fold, fine, tent=False), axis=int(rng.integers(2)))
        picture = picture * np.clip(1 + rng.uniform(0.5, 3) * depth * steep, 0.35, 1.8)
    return np.asarray(picture * rng.uniform(0.8, 1.6), dtype=np.float32)


def _threads(u: Field, v: Field, rng: Generator) -> tuple[Field, Field]:
    """How near the light each place lies, 0 to 1, and the tint of its thread."""
    column, row = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    over = _binding(column, row, rng)
    i, j = column % THREADS, row % THREADS
    spread = rng.uniform(0.02, 0.3)
    heights, tints = [], []
    plaid = rng.uniform(0.3, 1, 2) if rng.random() < 0.4 else np.ones(2)
    for across, along, number in ((u - column, v, i), (v - row, u, j)):
        width = np.clip(0.9 * uneven(rng, spread / 3, THREADS), 0.5, 1.0).take(number)
        # it thickens and thins along its way, each thread in its own rhythm
        rhythm = np.sin(along * table(rng, 0.1, 0.9, THREADS).take(number) + table(rng, 0, 7, THREADS).take(number))
        side = (2 * across - 1) / (width * (1 + 0.5 * spread * rhythm))
        crown = 0.75 + 0.25 * np.cos(2 * math.pi * (along - 0.5))
        round_ = np.sqrt(np.clip(1 - side * side, 0, 1)) * crown
        twist = rng.uniform(0, 0.3) * np.cos(
            2 * math.pi * (along * rng.uniform(0.6, 1.6) + side * rng.uniform(0.2, 0.6))
        )
        heights.append(round_ * (1 + twist) + rng.uniform(-0.25, 0.25) * side * (round_ > 0))
        bands = plaid[(np.arange(THREADS) // rng.integers(2, 24)) % 2].astype(np.float32)
        tints.append((bands * uneven(rng, spread / 2, THREADS)).take(number))
    visible = np.where(over, heights[0] > 0, heights[1] <= 0)
    depth = np.where(over == visible, 1.0, rng.uniform(0.3, 0.8)).astype(np.float32)  # darker below the other
    return np.where(visible, heights[0], heights[1]) * depth, np.where(visible, tints[0], tints[1])


def _binding(column: np.ndarray, row: np.ndarray, rng: Generator) -> np.ndarray:
    """Which of the two threads lies on top."""
    kind = rng.integers(5)
    if kind == 0:  # plain
        return np.asarray((column + row) % 2 == 0)
    if kind == 1:  # twill
        period = int(rng.integers(3, 6))
        return np.asarray((column - row) % period < rng.integers(1, period))
    if kind == 2:  # satin
        return np.asarray((column + 2 * row) % 5 == 0)
    if kind == 3:  # basket
        return np.asarray((column // 2 + row // 2) % 2 == 0)
    figure = rng.random((8, 8)) < 0.5  # figured: one face here, the other there
    figured = figure[row // 6 % 8, column // 6 % 8]
    return np.asarray(((column - row) % 4 < 1) ^ figured)


def _knit(u: Field, v: Field, rng: Generator) -> tuple[Field, Field]:
    """Loops: two strands of each lean against each other."""
    v = v + rng.uniform(0.5, 1.2) * np.abs(u - np.floor(u) - 0.5) * 2
    column, row = np.floor(2 * u).astype(np.int32), np.floor(v).astype(np.int32)
    number = (column // 2 * 37 + row * 11) % THREADS
    half, side = 2 * (2 * u - column) - 1, 2 * (v - row) - 1
    strand = np.sqrt(np.clip(1 - (side / rng.uniform(0.7, 1.0)) ** 2, 0, 1)) * np.sqrt(
        np.clip(1 - (half / 1.05) ** 2, 0, 1)
    )
    ply = rng.uniform(0, 0.35) * np.cos(2 * math.pi * (half * 0.5 + side * rng.uniform(0.3, 0.9)))
    height = strand * (1 + ply) + rng.uniform(-0.2, 0.2) * side * (strand > 0)
    return height, uneven(rng, rng.uniform(0.01, 0.15), THREADS).take(number)


def _dye(size: int, rng: Generator) -> Picture:
    """What is printed on the cloth: nothing, checks, or shapes."""
    sheet, kind = Sheet(size, 0), rng.integers(4)
    if kind < 2:
        return np.full((size, size), rng.uniform(0.3, 1), np.float32)
    if kind == 2:
        step = log_uniform(rng, 8, 60)
        x, y = places(size, 4)
        a, b = turned(x, y, rng.choice([0.0, rng.uniform(0, math.pi)]))
        odd = ((np.floor(a / step) + np.floor(b / step)) % 2).astype(np.float32)
        return rng.uniform(0.05, 0.4) + rng.uniform(0.3, 0.6) * averaged(odd, 4, tent=False)
    count = int(log_uniform(rng, 5, 60))
    scatter_leaves(sheet, size, rng, count, (4, size * 0.3), 1.8)
    return sheet.coloured(rng.uniform(0.1, 1, count + 1))


def halftone(size: int, rng: Generator, fine: int = 3) -> Picture:
    """A print, looked at closely: one to four screens of dots or lines that grow where the picture is darker."""
    x, y = places(size, fine)
    tones = _original(size, rng)
    four = rng.random() < 0.35
    inks = INKS if four else (INKS[3],)
    pitch, turn = log_uniform(rng, FINEST, 9), rng.uniform(0, math.pi)
    lines, oval = rng.random() < 0.2, rng.uniform(0.5, 1.0)
    strong = 1.0 if rng.random() < 0.5 else rng.uniform(0.1, 1)
    bend = rng.uniform(0, 2) * smooth(size * fine, rng, 3) if rng.random() < 0.3 else np.float32(0)
    picture = np.full((size * fine,) * 2, rng.uniform(0.8, 1.0), np.float32)
    for angle, darkness in inks:
        share = np.clip(1 - tones + rng.uniform(-0.25, 0.25) * four, 0, 1) ** rng.uniform(0.7, 1.4)
        u, v = turned(x + bend + rng.uniform(0, pitch), y + bend, turn + angle)
        if lines:
            wave = np.cos(2 * math.pi / pitch * u)
        else:
            wave = (np.cos(2 * math.pi / pitch * u) + oval * np.cos(2 * math.pi / pitch * v)) / (1 + oval)
        dot = edge((wave - 1 + 2 * finer(share, fine)) * (pitch * fine / 4))  # as wide as one sample at its edge
        picture *= 1 - strong * darkness * rng.uniform(0.6, 1.0) * dot.astype(np.float32)
    return averaged(picture, fine, tent=bool(pitch < 4 or rng.random() < 0.6))


def _original(size: int, rng: Generator) -> Picture:
    """What is printed: shaded shapes on a shaded ground."""
    count, sheet = int(log_uniform(rng, 2, 60)), Sheet(size, 0)
    scatter_leaves(sheet, size, rng, count, (6, size * 0.4), 1.6)
    shapes = sheet.coloured(rng.uniform(0, 1, count + 1))
    tones = shapes + rng.uniform(0.05, 0.3) * smooth(size, rng, int(rng.integers(1, 8)))
    return np.asarray(np.clip(tones, rng.choice([-0.1, 0.05]), rng.choice([1.1, 0.95])), dtype=np.float32)
