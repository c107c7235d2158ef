"""The last compression: the lattice of its steps that the DCT coefficients lie on, and the grid of its blocks.

Thresholds were set on the even-numbered files of the development pictures (tests/traces/jpeg_accuracy.py). Evidence is
counted in nats, the natural logarithm of a likelihood ratio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from noisediag.traces.jpeg.blocks import BINS, LOW, PER_BIN, Floats, LumaTiles, histograms, informative
from noisediag.traces.jpeg.tables import SIDE, Steps, nearest_quality, standard_tables

QUALITIES = np.arange(30, 101)  # looked for in pixels
ROUNDING = 1 / math.sqrt(12)  # standard deviation of a coefficient's error from rounded pixels
OUTLIERS = 0.02  # share of coefficients that no lattice explains
MIN_SIZE = 1.5  # a coefficient below may be a rounded zero: it says nothing
SURE_SIZE = 3.0  # from here it does even where the roundings of a smooth block add up
PATCH_STEPS = (*range(1, 25), 26, 28, 30, 32, 34, 36, 40, 44, 48, 52, 56, 60)
FINE_BINS, PER_FINE_BIN = 1024, 8  # of coefficients' magnitudes in blocks
FREE_STEP_COST = 4.0  # nats that a free step must gain at its frequency
FEW_UNCLIPPED = 500  # coefficients; below, clipped pixels are not left out
MIN_COEFFICIENTS = 60  # above MIN_SIZE; fewer decide nothing
MIN_EVIDENCE = 25.0  # nats for a standard table over none
MIN_EVIDENCE_EACH = 0.035  # nats a coefficient, likewise: quality 100 gives 0.06
MAX_OFF_LATTICE = 0.05  # share of coefficients off the lattice of the last compression
LAST_SURE_QUALITY = 97  # the steps beyond are mostly 1, which fit any lattice
MIN_EVIDENCE_ANY_TABLE = 100.0  # nats for a table of any kind
MIN_EVIDENCE_EACH_ANY_TABLE = 0.15
OFFSET_STANDS_OUT = 2.0  # times the evidence of the next best offset, for a table of any kind
NON_STANDARD_RATIO = 1.5  # times the evidence of the best standard table from which the table is not standard


@dataclass(frozen=True)
class Compression:
    """A compression; `table`: its luma steps (64,), 0 where unknown."""

    quality: int
    standard: bool
    offset: tuple[int, int]
    table: Steps


def last_compression(tiles: LumaTiles) -> Compression | None:
    """The last compression; pictures with hardly an open block are looked at with their clipped pixels as they are."""
    seen, found = _best_offset(tiles)
    if found is None and seen < FEW_UNCLIPPED:
        found = _best_offset(LumaTiles(tiles.values, np.ones_like(tiles.unclipped)))[1]
    return found


def _best_offset(tiles: LumaTiles) -> tuple[int, Compression | None]:
    """How many coefficients could say something, and the last compression if they show it."""
    counts = tiles.patches
    if counts is None:
        return 0, None
    telling = informative(LOW)
    scores = counts.reshape(-1, BINS) @ _lattice_scores(PATCH_STEPS, BINS, PER_BIN)
    gain = scores.reshape(*counts.shape[:2], -1)[:, telling].max(axis=2) - FREE_STEP_COST
    evidence = np.maximum(gain, 0).sum(axis=1)
    order = np.argsort(-evidence, kind="stable")
    alone = bool(evidence[order[0]] > OFFSET_STANDS_OUT * evidence[order[1]] + FREE_STEP_COST)
    # Evidence is weak at the highest qualities, and most pictures are not cropped.
    places = [order[0]] if alone else dict.fromkeys([0, *order[:2].tolist()])
    most = 0
    for place in places:
        offset = (int(place) // SIDE, int(place) % SIDE)
        seen, found = _best_table(tiles, offset, alone=alone)
        most = max(most, seen)
        if found is not None:
            return seen, found
    return most, None


def _best_table(tiles: LumaTiles, offset: tuple[int, int], *, alone: bool) -> tuple[int, Compression | None]:
    """`alone`: this offset stands out, so that tables of any kind are believed."""
    size = tiles.coefficients(offset)
    bins = np.minimum(size * PER_FINE_BIN, FINE_BINS - 1).astype(np.int16)
    counts = histograms(bins, FINE_BINS)
    used = 1 + int(np.flatnonzero(counts[:, :-1].any(axis=0)).max(initial=0))  # the last bin scores nothing
    telling = informative(SIDE)
    seen = int(counts[telling, int(MIN_SIZE * PER_FINE_BIN) : -1].sum())
    if seen < MIN_COEFFICIENTS:
        return seen, None
    tables = standard_tables(tuple(QUALITIES.tolist()))
    steps = tuple(range(1, int(tables.max()) + 1))
    lattice = _lattice_scores(steps, FINE_BINS, PER_FINE_BIN)
    scores = counts[:, :used] @ lattice[:used]
    telling_steps = np.flatnonzero(telling), (tables - 1)[:, telling]
    standard = scores[telling_steps].sum(axis=1)
    enough = MIN_EVIDENCE + MIN_EVIDENCE_EACH * seen
    if not alone and standard.max() <= enough:
        return seen, None
    sure = slice(int(SURE_SIZE * PER_FINE_BIN), max(used, int(SURE_SIZE * PER_FINE_BIN)))
    astray = counts[:, sure] @ _off_lattice(steps, FINE_BINS, PER_FINE_BIN)[sure]
    allowed = MAX_OFF_LATTICE * counts[:, sure].sum(axis=1)
    # A finer table leaves the multiples of a coarser one nearly where they were: the last is the one that all fit.
    fits = astray[telling_steps].sum(axis=1) <= allowed[telling].sum()
    best = int(np.where(fits, standard, -np.inf).argmax()) if fits.any() else int(standard.argmax())
    quality = int(QUALITIES[best])
    own = np.where(astray <= allowed[:, None], scores, 0)
    gain = np.where(telling, np.maximum(own.max(axis=1) - FREE_STEP_COST, 0), 0)
    free = float(gain.sum())
    # Tables of mostly ones fit any lattice.
    unsure = not fits.any() or quality > LAST_SURE_QUALITY
    other = alone and unsure and free > NON_STANDARD_RATIO * max(float(standard[best]), 0) + MIN_EVIDENCE_ANY_TABLE
    if other and free > MIN_EVIDENCE_ANY_TABLE + MIN_EVIDENCE_EACH_ANY_TABLE * seen:
        table = np.where(gain > 0, own.argmax(axis=1) + 1, 0)
        return seen, Compression(nearest_quality(table), False, offset, table)
    if standard[best] > enough:
        return seen, Compression(quality, True, offset, tables[best])
    return seen, None


@cache
def _lattice_scores(steps: tuple[int, ...], bins: int, per_bin: int) -> Floats:
    """Log-likelihood ratio of a magnitude under a lattice over a smooth density: (bins, steps).

    q * (sum of normal densities around multiples of the step q), mixed with outliers. 0 below `MIN_SIZE`, where a
    smooth density is no fair alternative, and in the last bin.
    """
    size = (np.arange(bins)[:, None] + 0.5) / per_bin
    step = np.array(steps)[None]
    rest = size - step * np.rint(size / step)
    near = sum(np.exp(-0.5 * ((rest + k * step) / ROUNDING) ** 2) for k in range(-3, 4))
    density = step * near / (ROUNDING * math.sqrt(2 * math.pi))
    scores = np.where(size >= MIN_SIZE, np.log((1 - OUTLIERS) * density + OUTLIERS), 0)
    scores[-1] = 0
    return scores.astype(np.float32)


@cache
def _off_lattice(steps: tuple[int, ...], bins: int, per_bin: int) -> Floats:
    """1 where a magnitude is no multiple of the step, else 0: (bins, steps)."""
    return (_lattice_scores(steps, bins, per_bin) < math.log(2 * OUTLIERS)).astype(np.float32)
