"""An earlier compression: the combs it left in the coefficients of the last one, on its grid or on another.

Thresholds as in `last`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from noisediag.traces.jpeg.blocks import BINS, LOW, PER_BIN, Floats, LumaTiles, informative
from noisediag.traces.jpeg.last import MIN_COEFFICIENTS, MIN_SIZE, QUALITIES, ROUNDING, Compression
from noisediag.traces.jpeg.tables import SIDE, STANDARD_LUMA, Steps, standard_tables

Numbers = NDArray[np.float64]

MIN_EVIDENCE_RESAVED = 15.0  # nats for an earlier compression on the same grid
TRIMMED_FREQUENCIES = 3  # those that say most, left out of them
MIN_EVIDENCE_RESAVED_ANY_TABLE = 60.0  # the same for a table of any kind
FREE_FIRST_STEP_COST = 5.0  # nats that a free first step must gain at its frequency
COMB_OUTLIERS = 0.05  # share of coefficients that no comb explains
MIN_MULTIPLES = 20  # coefficients at a frequency
ORDERS = 32  # multiples of the step that are compared
MAX_STEP_RATIO = 4  # a first step smaller than the second by more leaves no comb
MIN_OTHER_GRID = 6.5  # standard deviations for an earlier grid
OTHER_GRID_STANDS_OUT = 1.6  # times those of the next best offset
OTHER_GRID_FLOOR = 25.0  # cosines, in square; keeps a handful of coefficients from standing out
OTHER_GRID_QUALITIES = np.arange(40, 99)
LARGEST_STEP = 63  # of a first table on another grid


def was_compressed_before(tiles: LumaTiles, last: Compression) -> bool | None:
    """Whether there are traces of a compression before `last`."""
    size = tiles.coefficients(last.offset)
    seen, standard, free = _same_grid(size, last.table)
    if tiles.patches is None or seen < MIN_COEFFICIENTS:
        return None
    if standard > MIN_EVIDENCE_RESAVED or free > MIN_EVIDENCE_RESAVED_ANY_TABLE:
        return True
    grid, next_grid = _other_grid(tiles.patches, last)
    return grid > max(MIN_OTHER_GRID, OTHER_GRID_STANDS_OUT * next_grid)


@dataclass(frozen=True)
class _Combs:
    """What multiples `first_size` of each of `steps` (S,) become when rounded to multiples of a second step.

    Two of the multiples of the second, `low` and `low + 1`, with shares `1 - up` and `up`; `step` is an index of
    `steps`. All but `steps` are flat, one entry a multiple of a first step.
    """

    steps: Steps
    step: NDArray[np.intp]
    first_size: Numbers
    low: Steps
    up: Numbers


@cache
def _combs(second: int) -> _Combs:
    steps = np.arange(max(1, second // MAX_STEP_RATIO), int(STANDARD_LUMA.max()) + 1)
    steps = steps[steps != second]
    multiples = np.arange(1, (ORDERS + 1) * MAX_STEP_RATIO + MAX_STEP_RATIO)
    size = steps[:, None] * multiples[None]
    step, multiple = np.nonzero(size < (ORDERS + 1) * second)
    first_size = size[step, multiple]
    low = np.floor(first_size / second).astype(int)
    deviations = (first_size - (low + 0.5) * second) / ROUNDING
    up = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in deviations.tolist()])
    return _Combs(steps, step, first_size.astype(float), low, up)


def _same_grid(size: Floats, table: Steps) -> tuple[int, float, float]:
    """How many coefficients (blocks, 64) were compared, and nats for an earlier table, of libjpeg and of any kind.

    The smooth density behind the multiples of each frequency is taken as exponential, fitted to them.
    """
    tables = standard_tables(tuple(QUALITIES[QUALITIES >= 40].tolist()))
    gains = np.zeros((len(tables), SIDE * SIDE))
    free = np.zeros(SIDE * SIDE)
    seen = 0
    for frequency in range(1, SIDE * SIDE):
        second = int(table[frequency])
        if second == 0:
            continue
        counts = np.bincount(np.minimum(np.rint(size[:, frequency] / second), ORDERS + 1).astype(int))[1 : ORDERS + 1]
        least = math.ceil(MIN_SIZE / second)
        of_multiples = counts[least - 1 :].astype(float)
        total = int(of_multiples.sum())
        if total < MIN_MULTIPLES:
            continue
        seen += total
        combs = _combs(second)
        if not len(combs.steps):
            continue
        gain = _comb_gain(of_multiples, least, second, combs)
        free[frequency] = max(float(gain.max()) - FREE_FIRST_STEP_COST, 0)
        index = tables[:, frequency] - combs.steps[0]
        index -= tables[:, frequency] > second
        known = (index >= 0) & (index < len(combs.steps)) & (tables[:, frequency] != second)
        gains[known, frequency] = gain[index[known]]
    return seen, float(_trimmed(gains).max()), float(_trimmed(free[None])[0])


def _trimmed(gains: Numbers) -> Numbers:
    """Sums of `gains` (n, frequencies) without the largest, in which a density may be off its exponential."""
    return np.asarray(np.sort(gains, axis=1)[:, :-TRIMMED_FREQUENCIES].sum(axis=1))


def _comb_gain(counts: Numbers, least: int, second: int, combs: _Combs) -> Numbers:
    """Log-likelihood ratio of each first step over none, from `counts` of the multiples `least`, `least` + 1, ..."""
    order = np.arange(len(counts))
    ratio = max(1 - counts.sum() / (counts @ (order + 1)), 0.02)
    once = ratio**order
    decay = -math.log(ratio) / second
    mass = np.exp(-decay * (combs.first_size - least * second))
    width = ORDERS + 2
    keys = combs.step * width + combs.low
    length = len(combs.steps) * width
    twice = (
        np.bincount(keys, mass * (1 - combs.up), length) + np.bincount(keys + 1, mass * combs.up, length + 1)[:length]
    )
    twice = twice.reshape(-1, width)[:, least : least + len(counts)]
    share = twice / np.maximum(twice.sum(axis=1, keepdims=True), 1e-30) * once.sum() / once
    return np.asarray(np.log((1 - COMB_OUTLIERS) * share + COMB_OUTLIERS) @ counts)


def _other_grid(counts: Floats, last: Compression) -> tuple[float, float]:
    """How much coefficients at the two best other offsets gather at a standard table's steps, standard deviations.

    `counts`: `LumaTiles.patches`. The mean cosine over the step is compared with that of all other offsets, weighted by
    what the later quantisation left of it.
    """
    steps, waves, beyond = _cosines()
    grid = last.offset[0] * SIDE + last.offset[1]
    others = np.delete(counts, grid, axis=0)[:, informative(LOW)]
    cosine, number = others @ waves, others @ beyond
    usual = cosine.sum(axis=0) / np.maximum(number.sum(axis=0), 1)
    low = last.table.reshape(SIDE, SIDE)[:LOW, :LOW].ravel()[informative(LOW)]
    error = ROUNDING**2 + np.minimum(low**2 / 12, 4)
    weight = np.exp(-2 * np.pi**2 * error[:, None] / steps[None] ** 2)
    excess = (cosine - number * usual) * weight
    variance = number * weight**2 / 2
    tables = standard_tables(tuple(OTHER_GRID_QUALITIES.tolist())).reshape(-1, SIDE, SIDE)[:, :LOW, :LOW]
    index = np.minimum(tables.reshape(len(tables), -1)[:, informative(LOW)], LARGEST_STEP) - 1
    frequency = np.arange(index.shape[1])
    z = excess[:, frequency, index].sum(axis=2) / np.sqrt(variance[:, frequency, index].sum(axis=2) + OTHER_GRID_FLOOR)
    ordered = np.sort(z.max(axis=1))
    return float(ordered[-1]), float(ordered[-2])


@cache
def _cosines() -> tuple[Steps, Floats, Floats]:
    """Steps (S,), cos(2 pi size / step) beyond half a step (BINS, S), and 1 there."""
    steps = np.arange(1, LARGEST_STEP + 1)
    size = (np.arange(BINS)[:, None] + 0.5) / PER_BIN
    beyond = size > np.maximum(steps / 2, MIN_SIZE)
    beyond[-1] = False
    return steps, np.where(beyond, np.cos(2 * np.pi * size / steps), 0).astype(np.float32), beyond.astype(np.float32)
