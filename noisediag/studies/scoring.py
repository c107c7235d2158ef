"""Metrics of the benchmark, on plain arrays: no picture, no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noisediag.footprint import CurvePoint
from noisediag.genome.parameters import NAMES

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

OFF = float(np.log(1.5))  # a curve error beyond this is "off by more than 50 %"
TWICE = float(np.log(2))  # ... and "off by a factor 2"
DARK = 0.1  # clean signal below this shows the read noise
HISTOGRAM_STEPS = 4080  # 16 bins between two levels of 8 bits, so that k/255 is a bin's exact centre
TERM_SHARE = 0.1  # benchmark floor of S, O, M: this share of sigma2 ...
PIXEL_SHARE = 0.1  # ... on this share of the pixels
LINE_SHARE = 0.1  # benchmark floor of row and column noise, in sigma
LINE_SIGMAS = 3.0  # ... and in standard errors of a line's mean
IMPULSE_PX = 20  # benchmark floor of impulses: visibly changed pixels
CORRELATION_PX = 0.5  # benchmark floor of rho
STEPS = 2.0  # benchmark floor of q, in steps of the container


@dataclass(frozen=True)
class Histogram:
    """Clean signal levels, shape (n,), ascending, and the share of pixels at each; `inside`: not at the clip."""

    signal: Floats
    weight: Floats
    inside: Mask


def histogram(clean: NDArray[np.floating], *, low: float = 0.0, high: float = 1.0) -> Histogram:
    """Histogram of the clean signal in [low, high]; pixels at or beyond either end are at the clip."""
    x = np.asarray(clean, dtype=np.float64).reshape(-1)
    at_clip = (x <= low) | (x >= high)
    bin_ = np.rint(np.clip(x, 0, 1) * HISTOGRAM_STEPS).astype(np.int64)
    inner = np.bincount(bin_[~at_clip], minlength=HISTOGRAM_STEPS + 1)
    outer = np.bincount(bin_[at_clip], minlength=HISTOGRAM_STEPS + 1)
    (i,), (o,) = inner.nonzero(), outer.nonzero()
    signal = np.concatenate([i, o]) / HISTOGRAM_STEPS
    weight = np.concatenate([inner[i], outer[o]]) / max(x.size, 1)
    inside = np.arange(len(signal)) < len(i)
    order = np.argsort(signal, kind="stable")
    return Histogram(signal[order], weight[order], inside[order])


@dataclass(frozen=True)
class Truth:
    """What was planted in one case. `values` and `scored` stand in the order of `NAMES`; 0 is absent.

    `signal`, `weight` (sum 1) and `sigma`, shape (n,), hold the bins that the curve is scored on; `left_out` is the
    share of pixels in the other bins (clean signal at the clip, or noise below half a quantisation step).
    """

    values: tuple[float, ...]
    scored: tuple[bool, ...]
    signal: Floats
    weight: Floats
    sigma: Floats
    left_out: float
    effective_sigma: float  # square root of the mean of sigma2 over all pixels


def truth(
    values: tuple[float, ...],
    levels: Histogram,
    *,
    shape: tuple[int, int],
    container_step: float,
    mosaic_shape: tuple[int, int] | None = None,
) -> Truth:
    """Score sheet of a case. `values` in the order of `NAMES`, impulse being the realised share of visible impulses.

    `shape` is that of the scored pixels (H, W); `mosaic_shape` that of the rows and columns which share an offset.
    """
    at = dict(zip(NAMES, values, strict=True))
    shot, offset, square = at["shot_gain"], at["read_noise"] ** 2, at["multiplicative"] ** 2
    terms = {
        "shot_gain": shot * levels.signal,
        "read_noise": np.full_like(levels.signal, offset),
        "multiplicative": square * np.square(levels.signal),
    }
    variance = sum(terms.values()) + at["quantisation"] ** 2 / 12
    sigma = np.sqrt(variance)
    effective = float(np.sqrt((levels.weight * variance).sum()))
    height, width = mosaic_shape or shape

    def leads(name: str) -> bool:
        high = terms[name] >= TERM_SHARE * variance
        return at[name] > 0 and bool(levels.weight[high].sum() >= PIXEL_SHARE)

    def lines(value: float, length_px: int) -> bool:
        return value > 0 and value >= max(LINE_SHARE, LINE_SIGMAS / np.sqrt(length_px)) * effective

    scored = {
        **{name: leads(name) for name in terms},
        "impulse": at["impulse"] * shape[0] * shape[1] >= IMPULSE_PX - 0.5,
        "quantisation": at["quantisation"] >= STEPS * container_step,
        "row_noise": lines(at["row_noise"], width),
        "column_noise": lines(at["column_noise"], height),
        "correlation": at["correlation"] >= CORRELATION_PX,
    }
    kept = levels.inside & (sigma >= at["quantisation"] / 2) & (sigma > 0)
    share = float(levels.weight[kept].sum())
    weight = levels.weight[kept] / share if share > 0 else levels.weight[kept]
    return Truth(
        values=values,
        scored=tuple(bool(scored[name]) for name in NAMES),
        signal=levels.signal[kept],
        weight=weight,
        sigma=sigma[kept],
        left_out=1 - share,
        effective_sigma=effective,
    )


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
    _, group, counts = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    rank = (last - (counts - 1) / 2)[group]
    return float((rank[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


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
