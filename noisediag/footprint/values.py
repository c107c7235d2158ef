"""A value with its interval: the one form in which footprints, measurements and studies say how much of something.

The unit is that of the field that holds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.9  # probability that an interval holds the truth
SD_90 = 1.6449  # standard deviations from the middle of a normal distribution to the ends of its 90 % interval


@dataclass(frozen=True)
class Bounded:
    """`value` None: not known, or not found; then `high`, if any, is the limit of detection. Bounds None: not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Known(Bounded):
    """A value that is known; its bounds need not be."""

    value: float


@dataclass(frozen=True)
class Quantity(Bounded):
    """A derived quantity under its own symbol and unit. Bounds are None where the interval does not carry over."""

    symbol: str = ""
    unit: str = ""


def interval(draws: Floats) -> tuple[float, float]:
    """The ends of the interval of LEVEL that leaves out as many draws (n,) below as above it."""
    low, high = np.quantile(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def of_draws(value: float, draws: Floats) -> tuple[float, float, float]:
    """`value` and the `interval` of its draws (n,), widened where it does not hold the value."""
    low, high = interval(draws)
    return float(value), min(low, float(value)), max(high, float(value))
