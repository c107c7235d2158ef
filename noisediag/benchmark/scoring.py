"""Metrics of the benchmark, on plain arrays: no picture, no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from noisediag.footprint.plane import CurvePoint
from noisediag.genome.truth import Truth

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

OFF = float(np.log(1.5))  # a curve error beyond this is "off by more than 50 %"
TWICE = float(np.log(2))  # ... and "off by a factor 2"
DARK = 0.1  # clean signal below this shows the read noise


def curve_error(sigma: Floats, expected: Truth) -> float:
    """Mean of |ln(sigma/true)| over the scored bins; infinite where no noise was found at all; NaN without bins."""
    return log_error(sigma, expected.sigma, expected.weight)


def log_error(sigma: Floats, true: Floats, weight: Floats) -> float:
    """Mean of |ln(sigma/true)| under `weight` (sum 1); infinite where no noise was found at all; NaN of nothing."""
    if not len(true):
        return float("nan")
    sigma = np.asarray(sigma, dtype=np.float64)
    if not (np.isfinite(sigma) & (sigma > 0)).all():
        return float("inf")
    return float((weight * np.abs(np.log(sigma / true))).sum())


def interval(curve: Sequence[CurvePoint], sigma: Floats, signal: Floats) -> tuple[Floats, Floats]:
    """Lower and upper bound of `sigma` at `signal`, both (n,), as far from it as those of the curve's points."""
    at = np.array([(point.signal, point.sigma, point.low, point.high) for point in curve]).T
    return sigma * np.interp(signal, at[0], at[2] / at[1]), sigma * np.interp(signal, at[0], at[3] / at[1])


def quantile(values: Floats, q: float) -> float:
    """Linear quantile that takes infinities as large numbers; NaN for no values."""
    if not len(values):
        return float("nan")
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    position = q * (len(ordered) - 1)
    low, high = ordered[int(np.floor(position))], ordered[int(np.ceil(position))]
    return float(low if low == high else low + (position % 1) * (high - low))


def r2(estimate: Floats, expected: Floats) -> float:
    """1 - SSE/SST about the mean of `expected`, over all entries; NaN where the truth does not vary."""
    total = float(np.square(expected - expected.mean()).sum()) if expected.size else 0.0
    return 1 - float(np.square(estimate - expected).sum()) / total if total > 0 else float("nan")


def roc_auc(score: Floats, positive: Mask) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half; NaN for one
    class.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(score)[positive]  # Mann and Whitney's U, over all pairs
    return float((ranks.sum() - positives * (positives + 1) / 2) / (positives * negatives))


@dataclass(frozen=True)
class Coverage:
    """Share of `n` intervals that hold the truth, and the bootstrap's 95 % interval over pictures."""

    share: float
    low: float
    high: float
    n: int


def coverage(covered: Mask | Floats, picture: NDArray[np.int64], *, seed: int, resamples: int = 1000) -> Coverage:
    """Coverage of intervals `covered` (n,), or of the shares that each covers; `picture` (n,) numbers the picture it
    is of.

    All intervals of one picture are drawn together, as they share its content.
    """
    if not len(covered):
        return Coverage(float("nan"), float("nan"), float("nan"), 0)
    _, group = np.unique(picture, return_inverse=True)
    hits = np.bincount(group, weights=covered.astype(np.float64))
    counts = np.bincount(group).astype(np.float64)
    draw = np.random.default_rng(seed).integers(0, len(hits), size=(resamples, len(hits)))
    shares = hits[draw].sum(axis=1) / counts[draw].sum(axis=1)
    low, high = np.quantile(shares, (0.025, 0.975))
    return Coverage(float(hits.sum() / counts.sum()), float(low), float(high), len(covered))
