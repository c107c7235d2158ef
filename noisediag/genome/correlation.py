"""The kernel that correlates pixel noise, and the autocorrelation it leaves.

Numpy only: shared by simulator, model and report.
"""

from __future__ import annotations

import numpy as np

REACH = 4.0  # in units of rho: the kernel is cut at d <= 4 rho


def kernel(rho: float) -> np.ndarray:
    """Sampled kernel exp(-d^2 / (2 rho^2)), d <= 4 rho, of unit energy, `(2r+1, 2r+1)`; `rho` in px, > 0."""
    radius = int(REACH * rho)
    offset = np.arange(-radius, radius + 1, dtype=np.float64)
    distance2 = offset[:, None] ** 2 + offset[None, :] ** 2
    weights = np.where(distance2 <= (REACH * rho) ** 2, np.exp(-distance2 / (2 * rho**2)), 0.0)
    return np.asarray(weights / np.sqrt((weights**2).sum()))


def autocorrelation(rho: float, reach: int) -> np.ndarray:
    """Autocorrelation at lags 0..reach px, vertical by horizontal, `(reach + 1, reach + 1)`; 1 at lag 0.

    `rho` = 0 is white noise.
    """
    result = np.zeros((reach + 1, reach + 1))
    result[0, 0] = 1.0
    if rho <= 0:
        return result
    weights = kernel(rho)
    side = len(weights)
    for down in range(min(reach + 1, side)):
        for right in range(down, min(reach + 1, side)):  # the kernel is its own transpose
            shared = (weights[down:, right:] * weights[: side - down, : side - right]).sum()
            result[down, right] = result[right, down] = shared
    return result
