"""What was planted in a simulated picture, and what of it can be scored (NOISE.md section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noisediag.genome.parameters import NAMES

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

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
) -> Truth:
    """Score sheet of a case. `values` in the order of `NAMES`, impulse being the realised share of visible impulses.

    `shape` is that of the scored pixels (H, W), of a mosaic the whole one: its rows and columns share an offset.
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
    height, width = shape

    def term_is_scored(name: str) -> bool:
        high = terms[name] >= TERM_SHARE * variance
        return at[name] > 0 and bool(levels.weight[high].sum() >= PIXEL_SHARE)

    def lines_are_scored(value: float, length_px: int) -> bool:
        return value > 0 and value >= max(LINE_SHARE, LINE_SIGMAS / np.sqrt(length_px)) * effective

    scored = {
        **{name: term_is_scored(name) for name in terms},
        "impulse": at["impulse"] * shape[0] * shape[1] >= IMPULSE_PX - 0.5,
        "quantisation": at["quantisation"] >= STEPS * container_step,
        "row_noise": lines_are_scored(at["row_noise"], width),
        "column_noise": lines_are_scored(at["column_noise"], height),
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
