"""Which codes a picture really uses: the step of its lattice, and the depth that follows.

Evidence rule of `code_step`. A coarse lattice is claimed only if chance cannot explain it: were the levels placed at
random on the container's codes, each would fall within the tolerance of a lattice point with probability w/q (w codes
of q), so n levels do so with probability (w/q)^(n-2), two being spent on step and offset. The claim needs
ln(q/w) * (n-2) >= ln(span/q) + EVIDENCE and at least MIN_LEVELS levels, so three grey levels prove nothing, eight
prove a step of 16, and five a step of 257.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from noisediag.engine.orders import median
from noisediag.images.image import Codes

Counts = NDArray[np.int64]

MIN_LEVELS = 4
EVIDENCE = math.log(1e4)
_SAMPLE = 1 << 15  # values looked at where a sort is needed
_COUNTED = 1 << 21  # values looked at where counting is enough
_TRIM = 0.002  # share of pixels that may lie off the lattice: interpolated defects, burnt-in marks
_COARSE = 1.9  # codes: a finer lattice cannot be told from the beat of a noiseless ramp with the container
_FINE_GAPS = 0.3  # share of gaps of one code above which no coarse lattice is looked for
_FINE = 8.0  # codes: below this step the tolerance of a rounded lattice is half a code and a little
_MAX_CODES = 1 << 24
_CONTAINERS = (255, 1023, 4095, 16383, 65535)


def code_step(values: Codes) -> float | None:
    """The distance between adjacent levels that `values` really uses, in their own unit.

    Integer data: 1 for a plain container, 16 for 12 bits shifted left by 4, 257.3 for a coarse step rounded to
    16-bit codes. Float data: the step of an exact lattice; None if there is no lattice (continuous values) or too few
    levels to prove one. The lowest and highest level may lie off the lattice (clipping), as may 0.2 % of the values.
    Relative error below 1e-3. Any shape; not-a-number and infinite values are ignored.
    """
    values = np.asarray(values).ravel()
    if values.size == 0:
        return None
    if values.dtype.kind in "iub":
        return _integer_step(*_histogram(values))
    values = values[:: max(1, -(-values.size // _SAMPLE))]
    values = values[np.isfinite(values)]
    if values.size == 0:
        return None
    epsilon = _float_epsilon(values)
    levels, counts = np.unique(values.astype(np.float64), return_counts=True)
    span = float(levels[-1] - levels[0])
    if span < _MAX_CODES and bool(np.all(levels == np.floor(levels))):
        return _integer_step(levels.astype(np.int64), counts)
    magnitude = float(np.abs(levels[[0, -1]]).max())
    levels, counts = _merge(levels, counts, 4 * epsilon * magnitude)
    for codes_in_one in _CONTAINERS:  # integer codes divided by their maximum: known exactly, however sparse the levels
        codes = np.rint(levels * codes_in_one)
        if np.abs(levels * codes_in_one - codes).max() <= 4 * epsilon * magnitude * codes_in_one < 0.1:
            return _container_step(codes.astype(np.int64), counts, codes_in_one)
    return _float_step(levels, counts, epsilon)


def _container_step(codes: Codes, counts: Counts, codes_in_one: int) -> float | None:
    """Step of `codes / codes_in_one`; None if so few levels would fit a container by chance."""
    return _integer_step(codes, counts) / codes_in_one if codes.size >= MIN_LEVELS else None


def effective_bits(white: float, step: float | None) -> int:
    """Bits that codes 0..`white` need when only every `step`-th is used: 16 bits with step 16 are 12."""
    return max(1, math.ceil(math.log2(math.floor(white / (step or 1.0) + 1e-6) + 1)))


def power_of_two_above(maximum: float) -> float:
    """The smallest power of two not below `maximum`; 1 for a picture without light."""
    return 2.0 ** math.ceil(math.log2(maximum)) if maximum > 0 else 1.0


def _histogram(values: Codes) -> tuple[Codes, Counts]:
    """Occupied levels, ascending, with their counts."""
    if values.dtype.itemsize <= 2:
        values = values[:: max(1, -(-values.size // _COUNTED))]
        lowest = int(values.min())
        codes = values.astype(np.int64)
        codes -= lowest
        counts = np.bincount(codes)
        levels = np.flatnonzero(counts)
        return levels + lowest, counts[levels]
    values = values[:: max(1, -(-values.size // _SAMPLE))]
    levels, counts = np.unique(values.astype(np.int64), return_counts=True)
    return levels, counts


def _trim(levels: Codes, counts: Counts) -> Codes:
    """Levels without the rarest ones that together hold at most `_TRIM` of the values; of equal ones the first go."""
    ordered = np.sort(counts)
    rare = int(np.count_nonzero(np.cumsum(ordered) <= _TRIM * counts.sum()))
    if rare == 0:
        return levels
    last = ordered[rare - 1]
    gone = counts < last
    gone[np.flatnonzero(counts == last)[: rare - int(np.count_nonzero(gone))]] = True
    return np.asarray(levels[~gone])


def _shifted(levels: Codes, counts: Counts) -> NDArray[np.bool_]:
    """Mask of the levels that share the low bits of the commonest one, for the widest shift that nearly all share."""
    inside = counts.copy()
    inside[[0, -1]] = 0
    commonest = levels[np.argmax(counts)]
    same = np.ones(levels.size, dtype=bool)
    for shift in range(1, 11):
        wider = (levels - commonest) & ((1 << shift) - 1) == 0
        if inside[wider].sum() < (1 - _TRIM) * max(1, inside.sum()):
            break
        same = wider
    return same


def _integer_step(levels: Codes, counts: Counts) -> float:
    """Step of integer levels; 1 where nothing coarser is proven."""
    return _step_of_histogram(levels.astype(np.int64).tobytes(), counts.astype(np.int64).tobytes())


@lru_cache(maxsize=4)  # The whole of a small picture and its tiles hold the same codes, and both are asked about.
def _step_of_histogram(of_levels: bytes, of_counts: bytes) -> float:
    levels, counts = np.frombuffer(of_levels, np.int64), np.frombuffer(of_counts, np.int64)
    kept = levels[_shifted(levels, counts)]
    if kept.size == levels.size:
        kept = _trim(levels, counts)
    inner = kept[1:-1] if kept.size > MIN_LEVELS else kept
    if inner.size < 2:
        return 1.0
    span = int(levels[-1] - levels[0])
    base = int(np.gcd.reduce(np.diff(inner)))
    if base > 1 and not _proven(_on_lattice(levels, inner[0], base, 0), base, 1.0, span):
        base = 1
    step = _rounded_step((inner - inner[0]) / base, (levels - inner[0]) / base)
    return float(base) if step is None else base * step


def _on_lattice(levels: Codes, origin: float, step: float, tolerance: float) -> int:
    """How many of all levels, the two extreme ones included, lie on the lattice."""
    offset = levels - origin
    return int(np.count_nonzero(np.abs(offset - step * np.rint(offset / step)) <= tolerance))


def _proven(levels_on: int, step: float, width: float, span: float) -> bool:
    if levels_on < MIN_LEVELS or step <= width:
        return False
    return (levels_on - 2) * math.log(step / width) >= math.log(max(span / step, 1.0)) + EVIDENCE


def _rounded_step(codes: Codes, every: Codes) -> float | None:
    """The step of a lattice that was rounded to integer codes; None if there is none.

    `codes` must all lie on it; `every` also holds the rare and the extreme levels, which count only where they do.
    """
    if codes.size < MIN_LEVELS - 1:
        return None
    span = float(every[-1] - every[0])
    gaps = np.diff(codes)
    if np.count_nonzero(gaps == 1) > _FINE_GAPS * gaps.size:  # of a step of 1.9, a tenth of the gaps are 1
        return None
    best: float | None = None
    for candidate in _candidates(gaps, slack=1.0):
        if candidate < 0.9 * _COARSE or (best is not None and candidate < 1.1 * best):
            continue
        fitted = _fit(codes, gaps, candidate)
        if fitted is None:
            continue
        step, origin, residual = fitted
        # Codes lie within half a code of the true line; the fitted one is pulled off it where few roundings add up.
        tolerance = 0.55 if step < _FINE else 0.95
        levels_on = _on_lattice(every, origin, step, tolerance)
        if residual <= tolerance and step >= _COARSE and _proven(levels_on, step, 2 * tolerance, span):
            best = step if best is None else max(best, step)
    return best


def _candidates(gaps: Codes, slack: float) -> list[float]:
    """First guesses of the step: means of the gaps near low quantiles, and their halves and thirds."""
    guesses: list[float] = []
    for quantile in (0.0, 0.05, 0.25, 0.5, 0.75):
        gap = float(np.quantile(gaps, quantile, method="lower"))
        near = gaps[np.abs(gaps - gap) <= max(slack, 0.03 * gap)]
        for parts in (1, 2, 3):
            guess = float(near.mean()) / parts
            if guess > 0 and not any(abs(guess - other) < 1e-9 * other for other in guesses):
                guesses.append(guess)
    return sorted(guesses, reverse=True)


def _fit(levels: Codes, gaps: Codes, guess: float) -> tuple[float, float, float] | None:
    """Least-squares (step, origin, largest residual) over level indices; None where the guess cannot index them."""
    if float(median(np.abs(gaps / guess - np.rint(gaps / guess)))) > 0.3:
        return None
    index = np.concatenate([[0.0], np.cumsum(np.rint(gaps / guess))])
    step = origin = 0.0
    for _ in range(3):
        centred = index - index.mean()
        weight = float(centred @ centred)
        if weight == 0:
            return None
        step = float(centred @ levels) / weight
        if step <= 0:
            return None
        origin = float(levels.mean()) - step * float(index.mean())
        again = np.rint((levels - origin) / step)
        if np.array_equal(again, index):
            break
        index = again
    return step, origin, float(np.abs(levels - origin - step * index).max())


def _float_epsilon(values: Codes) -> float:
    """Rounding of the values: that of float32 also where such data were widened to float64."""
    if values.dtype.itemsize > 4 and bool(np.all(values == values.astype(np.float32))):
        return float(np.finfo(np.float32).eps)
    return float(np.finfo(values.dtype).eps)


def _merge(levels: Codes, counts: Counts, tolerance: float) -> tuple[Codes, Counts]:
    """Levels closer than the rounding are one."""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(levels) > tolerance]))
    return levels[starts], np.add.reduceat(counts, starts)


def _float_step(levels: Codes, counts: Counts, epsilon: float) -> float | None:
    kept = _trim(levels, counts)
    inner = kept[1:-1] if kept.size > MIN_LEVELS else kept
    if inner.size < MIN_LEVELS - 1:
        return None
    tolerance = 4 * epsilon * float(np.abs(levels[[0, -1]]).max())
    gaps = np.diff(inner)
    span = float(levels[-1] - levels[0])
    for candidate in _candidates(gaps, slack=2 * tolerance):
        if candidate < 8 * tolerance:
            continue
        fitted = _fit(inner, gaps, candidate)
        if fitted is None:
            continue
        step, origin, residual = fitted
        on_lattice = _on_lattice(levels, origin, step, tolerance)
        if residual <= tolerance and _proven(on_lattice, step, 2 * tolerance, span):
            codes = np.rint((inner - origin) / step)
            coarse = _rounded_step(codes, (levels - origin) / step)
            return step if coarse is None else step * coarse
    return None
