"""Which files of a folder stand out from the others of their domain."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

OUTLYING = 3.5  # robust standard deviations of ln(sigma) (Iglewicz and Hoaglin 1993)
FEWEST_FILES = 8  # of a domain, for one of them to stand out
LEAST_SCALE = 0.01  # of ln(sigma): files that differ by less are alike, however alike the others are
MAD_TO_STANDARD_DEVIATION = 1.4826  # 1 / quantile(3/4) of the standard normal distribution


def robust_scores(values: Sequence[float]) -> list[float]:
    """Distance of each value from the median in standard deviations, these from the median absolute deviation.

    0 for all where they are too few for one to stand out.
    """
    if len(values) < FEWEST_FILES:
        return [0.0] * len(values)
    middle = statistics.median(values)
    deviation = statistics.median(abs(value - middle) for value in values)
    scale = max(MAD_TO_STANDARD_DEVIATION * deviation, LEAST_SCALE)
    return [(value - middle) / scale for value in values]
