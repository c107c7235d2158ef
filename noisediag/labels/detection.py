"""An amount of noise that was looked for: found with its standard error, or not found with a limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from noisediag.footprint.values import SD_90, Bounded


@dataclass(frozen=True)
class Detection:
    """`amount` with its standard `error`; 0: none found, and `limit` is what it may be at most (95 %)."""

    amount: float
    error: float
    limit: float

    def over(self, span: float) -> Detection:
        """The same in units of `span`, such as white - black."""
        return Detection(self.amount / span, self.error / span, self.limit / span)

    @property
    def bounded(self) -> Bounded:
        """With its 90 % interval; where none was found, without a value and up to the limit."""
        if not self.amount > 0:
            return Bounded(None, 0.0, self.limit)
        half = SD_90 * self.error
        return Bounded(self.amount, max(self.amount - half, 0.0), self.amount + half)


def from_variance(variance: float, error: float, *, significance: float, bound: float) -> Detection:
    """The root of a `variance` with its standard `error`.

    It counts as found beyond `significance` errors; the limit is `bound` errors above the variance.
    """
    limit = math.sqrt(max(variance, 0.0) + bound * error)
    if variance <= significance * error:
        return Detection(0.0, 0.0, limit)
    amount = math.sqrt(variance)
    return Detection(amount, error / (2 * amount), limit)


def quadratic_mean(detections: Sequence[Detection | None]) -> Detection | None:
    """Of the colours of one picture, where all of them show such a noise; None where one of them cannot show it."""
    known = [one for one in detections if one is not None]
    if len(known) < len(detections):
        return None
    if not all(one.amount > 0 for one in known):
        return Detection(0.0, 0.0, max(max(one.amount, one.limit) for one in known))
    amount = math.sqrt(sum(one.amount**2 for one in known) / len(known))
    error = math.sqrt(sum(one.error**2 for one in known)) / len(known)
    return Detection(amount, error, max(one.limit for one in known))
