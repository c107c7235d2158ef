"""What JPEG compression left in a picture: quality of the last one, strength of the blocks, traces of an earlier one.

All of it looks at the luma of 8-bit codes, which a decoder's colour conversion leaves exact where no channel is cut at
0 or 255: 0.299 R + 0.587 G + 0.114 B, rounded, is the luma that was decoded. Its DCT coefficients are multiples of the
quantiser's steps, but for the rounding of the pixels (standard deviation 1 / sqrt(12) in each coefficient). The lattice
is tested as in Z. Fan and R. de Queiroz, IEEE Trans. Image Process. 12, 230 (2003); a second compression on the same
grid as in J. Lukas and J. Fridrich, Proc. DFRWS (2003), and on another one as in T. Bianchi and A. Piva, IEEE Trans.
Inf. Forensics Secur. 7, 842 (2012), each as a likelihood over the qualities of libjpeg.

Large pictures are looked at in tiles, evenly spread, so that the time is bounded.

More than 400 lines in one module, because all three readings share one view of the pixels and one set of thresholds,
which were chosen together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import special

from noisediag.images.image import LUMA, JpegTables
from noisediag.traces.dct import dct_matrix

SIDE = 8  # px of a block
LUMA_WEIGHTS = np.array(list(LUMA.values()), dtype=np.float32)
# Tables K.1 and K.2 of ITU-T T.81, rows from low to high vertical frequency: libjpeg's quality 50.
STANDARD_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
).ravel()
STANDARD_CHROMA = np.full(SIDE * SIDE, 99)
STANDARD_CHROMA.reshape(SIDE, SIDE)[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

QUALITIES = np.arange(30, 101)  # looked for in pixels
MAX_PIXELS = 1 << 18  # of a picture that is looked at whole
TILE = 72  # px; eight whole blocks at any offset
TILES = 8  # along each side of a larger picture
ROUNDING = 1 / math.sqrt(12)  # standard deviation of a coefficient's error from rounded pixels
OUTLIERS = 0.02  # share of coefficients that no lattice explains
LEAST = 1.5  # a coefficient below may be a rounded zero: it says nothing
SURE = 3.0  # from here even where the roundings of a smooth block add up
PATCHES = 192  # in which all 64 offsets of the grid are tried
PATCH = 2 * SIDE - 1  # px
LOW = 6  # frequencies of a patch, along each axis
PATCH_STEPS = (*range(1, 25), 26, 28, 30, 32, 34, 36, 40, 44, 48, 52, 56, 60)
BINS, PER_BIN = 256, 4  # of coefficients' magnitudes in patches: up to 64 in steps of 1/4
FINE_BINS, PER_FINE_BIN = 1024, 8  # and in blocks
FREE = 4.0  # nats that a free step must gain at its frequency
FLAT = 3  # codes; patches whose range is smaller say nothing

# Decisions, set on the even-numbered files of the development pictures (tests/jpeg_accuracy.py).
FEW_OPEN = 500  # coefficients; below, clipped pixels are not left out
FEW = 60  # coefficients above `LEAST`; fewer decide nothing
COMPRESSED = 25.0  # nats for a standard table over none
COMPRESSED_SHARE = 0.035  # nats a coefficient, likewise: quality 100 gives 0.06
ASTRAY = 0.05  # share of coefficients off the lattice of the last compression, at most
LAST_SURE = 97  # quality; the steps beyond are mostly 1
FREE_COMPRESSED = 100.0  # the same for a table of any kind
FREE_SHARE = 0.15
ALONE = 2.0  # times the evidence of the next best offset, for a table of any kind
OTHER_TABLE = 1.5  # times the evidence of the best standard table from which the table is not standard
TWICE = 15.0  # nats for an earlier compression on the same grid
TRIMMED = 3  # frequencies that say most, left out of them
OTHER_GRID = 6.5  # standard deviations for an earlier grid
OTHER_GRID_ALONE = 1.6  # times those of the next best offset
OTHER_GRID_FLOOR = 25.0  # cosines, in square; keeps a handful of coefficients from standing out
TWICE_FREE = 60.0  # the same for a table of any kind
FREE_COMB = 5.0  # nats that a free first step must gain at its frequency
COMB_OUTLIERS = 0.05
FEW_MULTIPLES = 20  # at a frequency
ORDERS = 32  # multiples of the step that are compared
SEEN_TWICE = 4  # a first step smaller than the second by more leaves no comb
OTHER_GRID_QUALITIES = np.arange(40, 99)
LARGEST_STEP = 63  # of a first table on another grid
OUTSTANDING = 4.0  # standard deviations of the other phases by which steps across block borders exceed them


@dataclass(frozen=True)
class TableQuality:
    """libjpeg's quality, 1..100, of a file's tables; `standard` False: the nearest one, the tables are a camera's."""

    quality: int
    standard: bool


@dataclass(frozen=True)
class Traces:
    """What the pixels, and the tables where there are any, say of JPEG compression.

    `quality`: of the last compression, None: never compressed, or not seen. `standard`: its tables are libjpeg's.
    `offset`: (row, column) at which its blocks begin, 0..7. `block_strength`: see the function. `resaved`: there was an
    earlier compression; None: the picture does not say.
    """

    quality: int | None
    standard: bool | None
    offset: tuple[int, int] | None
    block_strength: float | None
    resaved: bool | None


def luma_table(quality: int) -> np.ndarray:
    """libjpeg's luma steps (64,) at `quality` 1..100, rows from low to high vertical frequency."""
    return _scaled(STANDARD_LUMA, quality)


def chroma_table(quality: int) -> np.ndarray:
    """libjpeg's chroma steps, as `luma_table`."""
    return _scaled(STANDARD_CHROMA, quality)


def _scaled(base: np.ndarray, quality: int) -> np.ndarray:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.asarray(np.clip((base * scale + 50) // 100, 1, 255))


def quality_of_tables(tables: JpegTables) -> TableQuality:
    """libjpeg's quality of a file's tables.

    Exact where all of them are libjpeg's at one quality. Else the quality whose luma table is nearest: the smallest
    mean over the 64 steps of |ln(step / standard step)|, the finest of equals.
    """
    luma = np.array(tables.luma)
    nearest = _nearest(luma)
    chroma = tables.chroma is None or np.array_equal(tables.chroma, chroma_table(nearest))
    return TableQuality(nearest, bool(chroma and np.array_equal(luma, luma_table(nearest))))


def _nearest(luma: np.ndarray) -> int:
    """The quality of the nearest standard luma table; steps of 0 are unknown and left out."""
    known = luma > 0
    qualities = np.arange(1, 101)
    ratios = np.log(luma[known] / np.array([luma_table(int(quality))[known] for quality in qualities]))
    return 100 - int(np.argmin(np.abs(ratios).mean(axis=1)[::-1]))


def block_strength(codes: np.ndarray, offset: tuple[int, int] | None = None) -> float | None:
    """Mean absolute step between neighbours across the borders of 8 x 8 blocks over that inside blocks, less 1.

    The mean of both directions, each at least 0. `codes`: (H, W) or (H, W, 3) uint8, of which the luma is taken.
    `offset`: (row, column) at which blocks begin; None: where the steps are largest, and 0 where they are not beyond
    chance. None for a picture without any step, or smaller than 16 px.
    """
    return _strength(_look(codes), offset)


def resaved(codes: np.ndarray, tables: JpegTables | None = None) -> bool | None:
    """Whether the picture was compressed as JPEG before its last JPEG compression.

    `codes`: (H, W) or (H, W, 3) uint8, not changed since decoding. `tables`: of the file, whose grid then begins at the
    first pixel; None: quality and grid are first found in the pixels. False where no trace is seen (as after the same
    quality twice on one grid, or where the last compression was much coarser), and for pictures never compressed; None
    where there is too little to see.
    """
    return traces(codes, tables).resaved


def traces(codes: np.ndarray, tables: JpegTables | None = None) -> Traces:
    """Everything at once, which costs less than one by one; arguments as in `resaved`."""
    view = _look(codes)
    if tables is not None:
        named = quality_of_tables(tables)
        found: _Found | None = _Found(named.quality, named.standard, (0, 0), np.array(tables.luma))
    else:
        found = _found(view)
    if found is None:
        return Traces(None, None, None, _strength(view, None), None if view.patches is None else False)
    earlier = _earlier(view, found)
    return Traces(found.quality, found.standard, found.offset, _strength(view, found.offset), earlier)


@dataclass(frozen=True)
class _Found:
    """The last compression; `table`: its luma steps (64,), 0 where unknown."""

    quality: int
    standard: bool
    offset: tuple[int, int]
    table: np.ndarray


@dataclass(frozen=True)
class _View:
    """Luma `values` (T, h, w), float32, of tiles whose corners lie at multiples of 8 px; `open`: not clipped."""

    values: np.ndarray
    open: np.ndarray

    @cached_property
    def patches(self) -> np.ndarray | None:
        """Counts of coefficients by magnitude at each offset: (64, LOW * LOW, BINS); None where nothing is seen.

        The last bin takes what is beyond, and blocks with clipped pixels.
        """
        rows, columns = (side // SIDE - 1 for side in self.values.shape[1:])
        if rows < 1 or columns < 1:
            return None
        usable = _blocks(_open_windows(self.open)[:, : SIDE * rows, : SIDE * columns]).reshape(-1, SIDE * SIDE)
        corner = _blocks(self.values[:, : SIDE * rows, : SIDE * columns]).reshape(-1, SIDE * SIDE)
        share = np.where(np.ptp(corner, axis=1) >= FLAT, usable.sum(axis=1), 0)
        best = np.flatnonzero(share == SIDE * SIDE)
        if len(best) < PATCHES // 4:  # those with the most open blocks
            best = np.sort(np.argsort(-share, kind="stable")[: PATCHES // 4])
            best = best[share[best] > 0]
        if not len(best):
            return None
        chosen = best[np.unique(np.linspace(0, len(best) - 1, PATCHES).astype(int))]
        tile, row, column = np.unravel_index(chosen, (len(self.values), rows, columns))
        views = np.lib.stride_tricks.sliding_window_view(self.values, (PATCH, PATCH), axis=(1, 2))
        sliding = _sliding()
        size = np.abs(sliding @ (views[tile, row * SIDE, column * SIDE] - 128) @ sliding.T) * PER_BIN
        bins = np.minimum(size, BINS - 1).astype(np.int16)
        if not usable[chosen].all():
            cut = ~usable[chosen].reshape(-1, SIDE, SIDE).repeat(LOW, axis=1).repeat(LOW, axis=2)
            bins[cut] = BINS - 1
        counts = _counted(bins.reshape(len(chosen), -1), BINS).reshape(SIDE, LOW, SIDE, LOW, BINS)
        return np.ascontiguousarray(counts.transpose(0, 2, 1, 3, 4)).reshape(SIDE * SIDE, LOW * LOW, BINS)

    def coefficients(self, offset: tuple[int, int]) -> np.ndarray:
        """Magnitudes (blocks, 64) of the DCT coefficients of the blocks without clipped pixels."""
        top, left = offset
        rows, columns = ((side - start) // SIDE for side, start in zip(self.values.shape[1:], offset, strict=True))

        end = top + rows * SIDE, left + columns * SIDE
        kept = _blocks(self.open[:, top : end[0], left : end[1]]).all(axis=(1, 2))
        blocks = _blocks(self.values[:, top : end[0], left : end[1]])[kept].reshape(-1, SIDE * SIDE) - 128
        size: np.ndarray = np.abs(blocks @ _dct_of_blocks().T)
        return size


def _look(codes: np.ndarray) -> _View:
    """The luma of `codes`, whole or in tiles. Raises ValueError for another shape or type."""
    if codes.dtype != np.uint8 or codes.ndim not in (2, 3) or codes.shape[2:] not in ((), (3,)):
        raise ValueError(f"JPEG traces need (H, W) or (H, W, 3) uint8 codes, not {codes.shape} {codes.dtype}")
    if codes.shape[0] * codes.shape[1] <= MAX_PIXELS:
        tiles = codes[None]
    else:
        rows, columns = (_starts(length) for length in codes.shape[:2])
        high, wide = (min(TILE, length) for length in codes.shape[:2])
        tiles = np.stack([codes[top : top + high, left : left + wide] for top in rows for left in columns])
    cut = (tiles == 0) | (tiles == 255)
    if codes.ndim == 2:
        return _View(tiles.astype(np.float32), ~cut)
    return _View(np.rint(tiles.astype(np.float32) @ LUMA_WEIGHTS), ~(cut[..., 0] | cut[..., 1] | cut[..., 2]))


def _starts(length: int) -> list[int]:
    """Where tiles begin along one side: multiples of 8 px, evenly spread."""
    count = max(1, min(TILES, length // TILE))
    return [SIDE * int(start // SIDE) for start in np.linspace(0, max(length - TILE, 0), count)]


def _blocks(plane: np.ndarray) -> np.ndarray:
    """`plane` (T, 8 rows, 8 columns) as (T * rows * columns, 8, 8)."""
    tiles, height, width = plane.shape
    cut = plane.reshape(tiles, height // SIDE, SIDE, width // SIDE, SIDE)
    return cut.transpose(0, 1, 3, 2, 4).reshape(-1, SIDE, SIDE)


def _open_windows(open_: np.ndarray) -> np.ndarray:
    """For every pixel that an 8 x 8 block can begin at, whether the block is open: (T, h - 7, w - 7)."""
    for axis in (1, 2):
        for reach in (1, 2, 4):  # 8 neighbours in three doublings
            there = [slice(None)] * 3
            here = [slice(None)] * 3
            there[axis], here[axis] = slice(reach, None), slice(None, -reach)
            open_ = open_[tuple(there)] & open_[tuple(here)]
    return open_


def _counted(bins: np.ndarray, count: int) -> np.ndarray:
    """Histograms (columns, count), float32, of the columns of `bins` (n, columns), integers below `count`."""
    columns = bins.shape[1]
    keys = bins.T.astype(np.intp, order="C")  # column after column: counts that are near each other stay in the cache
    keys += np.arange(columns)[:, None] * count
    return np.bincount(keys.ravel(), minlength=columns * count).astype(np.float32).reshape(columns, count)


@cache
def _dct_of_blocks() -> NDArray[np.float32]:
    """The DCT of whole blocks, flattened: (64, 64)."""
    lines = dct_matrix(SIDE).astype(np.float32)
    return np.kron(lines, lines)


@cache
def _sliding() -> np.ndarray:
    """The `LOW` lowest frequencies of the DCT at each of 8 shifts: (8 * LOW, PATCH)."""
    matrix = np.zeros((SIDE, LOW, PATCH), dtype=np.float32)
    for shift in range(SIDE):
        matrix[shift, :, shift : shift + SIDE] = dct_matrix(SIDE)[:LOW]
    return matrix.reshape(-1, PATCH)


@cache
def _telling(frequencies: int) -> np.ndarray:
    """Which of frequencies x frequencies coefficients say something: (frequencies ** 2,).

    Those with 0 and 4 only are sums of whole codes over 8, on a lattice of their own.
    """
    order = np.arange(frequencies) % 4 == 0
    return np.asarray(~(order[:, None] & order[None, :]).ravel())


@cache
def _lattice_scores(steps: tuple[int, ...], bins: int, per_bin: int) -> np.ndarray:
    """Log-likelihood ratio of a magnitude under a lattice over a smooth density: (bins, steps).

    q * (sum of normal densities around multiples of the step q), mixed with outliers. 0 below `LEAST`, where a smooth
    density is no fair alternative, and in the last bin.
    """
    size = (np.arange(bins)[:, None] + 0.5) / per_bin
    step = np.array(steps)[None]
    rest = size - step * np.rint(size / step)
    near = sum(np.exp(-0.5 * ((rest + k * step) / ROUNDING) ** 2) for k in range(-3, 4))
    density = step * near / (ROUNDING * math.sqrt(2 * math.pi))
    scores = np.where(size >= LEAST, np.log((1 - OUTLIERS) * density + OUTLIERS), 0)
    scores[-1] = 0
    return scores.astype(np.float32)


@cache
def _off_lattice(steps: tuple[int, ...], bins: int, per_bin: int) -> np.ndarray:
    """1 where a magnitude is no multiple of the step, else 0: (bins, steps)."""
    return (_lattice_scores(steps, bins, per_bin) < math.log(2 * OUTLIERS)).astype(np.float32)


@cache
def _tables(qualities: tuple[int, ...]) -> np.ndarray:
    """Standard luma steps (qualities, 64)."""
    return np.array([luma_table(quality) for quality in qualities])


def _found(view: _View) -> _Found | None:
    """The last compression; pictures with hardly an open block are looked at with their clipped pixels as they are."""
    seen, found = _fitted(view)
    if found is None and seen < FEW_OPEN:
        found = _fitted(_View(view.values, np.ones_like(view.open)))[1]
    return found


def _fitted(view: _View) -> tuple[int, _Found | None]:
    """How many coefficients could say something, and the last compression if they show it."""
    counts = view.patches
    if counts is None:
        return 0, None
    telling = _telling(LOW)
    gain = (counts[:, telling] @ _lattice_scores(PATCH_STEPS, BINS, PER_BIN)).max(axis=2) - FREE
    evidence = np.maximum(gain, 0).sum(axis=1)
    order = np.argsort(-evidence, kind="stable")
    alone = bool(evidence[order[0]] > ALONE * evidence[order[1]] + FREE)
    # Evidence is weak at the highest qualities, and most pictures are not cropped.
    places = [order[0]] if alone else dict.fromkeys([0, *order[:2].tolist()])
    most = 0
    for place in places:
        offset = (int(place) // SIDE, int(place) % SIDE)
        seen, found = _fit(view, offset, alone=alone)
        most = max(most, seen)
        if found is not None:
            return seen, found
    return most, None


def _fit(view: _View, offset: tuple[int, int], *, alone: bool) -> tuple[int, _Found | None]:
    """`alone`: this offset stands out, so that tables of any kind are believed."""
    size = view.coefficients(offset)
    bins = np.minimum(size * PER_FINE_BIN, FINE_BINS - 1).astype(np.int16)
    counts = _counted(bins, FINE_BINS)
    telling = _telling(SIDE)
    seen = int(counts[telling, int(LEAST * PER_FINE_BIN) : -1].sum())
    if seen < FEW:
        return seen, None
    tables = _tables(tuple(QUALITIES.tolist()))
    steps = tuple(range(1, int(tables.max()) + 1))
    lattice = _lattice_scores(steps, FINE_BINS, PER_FINE_BIN)
    scores = counts @ lattice
    telling_steps = np.flatnonzero(telling), (tables - 1)[:, telling]
    standard = scores[telling_steps].sum(axis=1)
    enough = COMPRESSED + COMPRESSED_SHARE * seen
    if not alone and standard.max() <= enough:
        return seen, None
    sure = slice(int(SURE * PER_FINE_BIN), -1)
    astray = counts[:, sure] @ _off_lattice(steps, FINE_BINS, PER_FINE_BIN)[sure]
    allowed = ASTRAY * counts[:, sure].sum(axis=1)
    # A finer table leaves the multiples of a coarser one nearly where they were: the last is the one that all fit.
    fits = astray[telling_steps].sum(axis=1) <= allowed[telling].sum()
    best = int(np.where(fits, standard, -np.inf).argmax()) if fits.any() else int(standard.argmax())
    quality = int(QUALITIES[best])
    own = np.where(astray <= allowed[:, None], scores, 0)
    gain = np.where(telling, np.maximum(own.max(axis=1) - FREE, 0), 0)
    free = float(gain.sum())
    # Tables of mostly ones fit any lattice.
    unsure = not fits.any() or quality > LAST_SURE
    other = alone and unsure and free > OTHER_TABLE * max(float(standard[best]), 0) + FREE_COMPRESSED
    if other and free > FREE_COMPRESSED + FREE_SHARE * seen:
        table = np.where(gain > 0, own.argmax(axis=1) + 1, 0)
        return seen, _Found(_nearest(table), False, offset, table)
    if standard[best] > enough:
        return seen, _Found(quality, True, offset, tables[best])
    return seen, None


def _earlier(view: _View, found: _Found) -> bool | None:
    """Whether there are traces of a compression before `found`."""
    size = view.coefficients(found.offset)
    seen, standard, free = _same_grid(size, found.table)
    if view.patches is None or seen < FEW:
        return None
    if standard > TWICE or free > TWICE_FREE:
        return True
    grid, next_grid = _other_grid(view.patches, found)
    return grid > max(OTHER_GRID, OTHER_GRID_ALONE * next_grid)


@dataclass(frozen=True)
class _Combs:
    """What multiples `first_size` of each of `steps` (S,) become when rounded to multiples of a second step.

    Two of the multiples of the second, `low` and `low + 1`, with shares `1 - up` and `up`; `step` is an index of
    `steps`. All but `steps` are flat, one entry a multiple of a first step.
    """

    steps: np.ndarray
    step: np.ndarray
    first_size: np.ndarray
    low: np.ndarray
    up: np.ndarray


@cache
def _combs(second: int) -> _Combs:
    steps = np.arange(max(1, second // SEEN_TWICE), int(STANDARD_LUMA.max()) + 1)
    steps = steps[steps != second]
    multiples = np.arange(1, (ORDERS + 1) * SEEN_TWICE + SEEN_TWICE)
    size = steps[:, None] * multiples[None]
    step, multiple = np.nonzero(size < (ORDERS + 1) * second)
    first_size = size[step, multiple]
    low = np.floor(first_size / second).astype(int)
    beyond = (first_size - (low + 0.5) * second) / (ROUNDING * math.sqrt(2))
    up = 0.5 * (1 + special.erf(beyond))
    return _Combs(steps, step, first_size.astype(float), low, up)


def _same_grid(size: np.ndarray, table: np.ndarray) -> tuple[int, float, float]:
    """How many coefficients (blocks, 64) were compared, and nats for an earlier table, of libjpeg and of any kind.

    The smooth density behind the multiples of each frequency is taken as exponential, fitted to them.
    """
    tables = _tables(tuple(QUALITIES[QUALITIES >= 40].tolist()))
    gains = np.zeros((len(tables), SIDE * SIDE))
    free = np.zeros(SIDE * SIDE)
    seen = 0
    for frequency in range(1, SIDE * SIDE):
        second = int(table[frequency])
        if second == 0:
            continue
        counts = np.bincount(np.minimum(np.rint(size[:, frequency] / second), ORDERS + 1).astype(int))[1 : ORDERS + 1]
        least = math.ceil(LEAST / second)
        counts = counts[least - 1 :].astype(float)
        total = int(counts.sum())
        if total < FEW_MULTIPLES:
            continue
        seen += total
        combs = _combs(second)
        if not len(combs.steps):
            continue
        gain = _comb_gain(counts, least, second, combs)
        free[frequency] = max(float(gain.max()) - FREE_COMB, 0)
        index = tables[:, frequency] - combs.steps[0]
        index -= tables[:, frequency] > second
        known = (index >= 0) & (index < len(combs.steps)) & (tables[:, frequency] != second)
        gains[known, frequency] = gain[index[known]]
    return seen, float(_trimmed(gains).max()), float(_trimmed(free[None])[0])


def _trimmed(gains: np.ndarray) -> np.ndarray:
    """Sums of `gains` (n, frequencies) without the largest, in which a density may be off its exponential."""
    return np.asarray(np.sort(gains, axis=1)[:, :-TRIMMED].sum(axis=1))


def _comb_gain(counts: np.ndarray, least: int, second: int, combs: _Combs) -> np.ndarray:
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
    gain: np.ndarray = np.log((1 - COMB_OUTLIERS) * share + COMB_OUTLIERS) @ counts
    return gain


def _other_grid(counts: np.ndarray, found: _Found) -> tuple[float, float]:
    """How much coefficients at the two best other offsets gather at a standard table's steps, standard deviations.

    `counts`: `_View.patches`. The mean cosine over the step is compared with that of all other offsets, weighted by
    what the later quantisation left of it.
    """
    steps, waves, beyond = _cosines()
    last = found.offset[0] * SIDE + found.offset[1]
    others = np.delete(counts, last, axis=0)[:, _telling(LOW)]
    cosine, number = others @ waves, others @ beyond
    usual = cosine.sum(axis=0) / np.maximum(number.sum(axis=0), 1)
    low = found.table.reshape(SIDE, SIDE)[:LOW, :LOW].ravel()[_telling(LOW)]
    error = ROUNDING**2 + np.minimum(low**2 / 12, 4)
    weight = np.exp(-2 * np.pi**2 * error[:, None] / steps[None] ** 2)
    excess = (cosine - number * usual) * weight
    variance = number * weight**2 / 2
    tables = _tables(tuple(OTHER_GRID_QUALITIES.tolist())).reshape(-1, SIDE, SIDE)[:, :LOW, :LOW]
    index = np.minimum(tables.reshape(len(tables), -1)[:, _telling(LOW)], LARGEST_STEP) - 1
    frequency = np.arange(index.shape[1])
    z = excess[:, frequency, index].sum(axis=2) / np.sqrt(variance[:, frequency, index].sum(axis=2) + OTHER_GRID_FLOOR)
    ordered = np.sort(z.max(axis=1))
    return float(ordered[-1]), float(ordered[-2])


@cache
def _cosines() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps (S,), cos(2 pi size / step) beyond half a step (BINS, S), and 1 there."""
    steps = np.arange(1, LARGEST_STEP + 1)
    size = (np.arange(BINS)[:, None] + 0.5) / PER_BIN
    beyond = size > np.maximum(steps / 2, LEAST)
    beyond[-1] = False
    return steps, np.where(beyond, np.cos(2 * np.pi * size / steps), 0).astype(np.float32), beyond.astype(np.float32)


def _strength(view: _View, offset: tuple[int, int] | None) -> float | None:
    if min(view.values.shape[1:]) < 2 * SIDE:
        return None
    excess = [
        _excess(np.abs(np.diff(view.values, axis=axis + 1)).mean(axis=(0, 2 - axis)), offset and offset[axis])
        for axis in (0, 1)
    ]
    known = [value for value in excess if value is not None]
    return sum(known) / len(known) if known else None


def _excess(steps: np.ndarray, start: int | None) -> float | None:
    """Steps across borders over the others, less 1, along one axis; `steps`: mean of those before pixel 1, 2, ..."""
    phase = np.arange(1, len(steps) + 1) % SIDE
    means = np.bincount(phase, steps, SIDE) / np.bincount(phase, minlength=SIDE)
    border = int(means.argmax()) if start is None else start
    inside = np.delete(means, border)
    if inside.mean() == 0:
        return None
    if start is None and means[border] < inside.mean() + OUTSTANDING * inside.std():
        return 0.0
    return max(float(means[border] / inside.mean()) - 1, 0.0)
