"""Which files of a folder stand out from the others of their domain."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

OUTLYING = 3.5  # robust standard deviations of ln(sigma) (Iglewicz and Hoaglin 1993)

FEWEST = 8  # files of a domain, for one of them to stand out

SAME = 0.01  # of ln(sigma): files that differ by less are alike, however alike the others are


def robust_scores(values: Sequence[float]) -> list[float]:
    """Distance of each value from the median in standard deviations, these from the median absolute deviation.

    0 for all where they are too few for one to stand out.
    """
    if len(values) < FEWEST:
        return [0.0] * len(values)
    middle = statistics.median(values)
    scale = max(1.4826 * statistics.median(abs(value - middle) for value in values), SAME)
    return [(value - middle) / scale for value in values]
