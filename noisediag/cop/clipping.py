"""What clipping leaves of Gaussian noise near black and white.

A pixel X ~ N(mu, sigma^2) that is cut at a limit L from below has, with a = (mu - L) / sigma, the mean
L + sigma*M(a), M(a) = phi(a) + a*Phi(a), and the variance sigma^2*V(a), V(a) = Phi(a)*(1 + a^2) + a*phi(a) - M(a)^2
(Foi 2009). A picture shows the mean, not mu: everything here is a function of t = M(a), the distance of the observed
mean to the limit in units of sigma. The upper limit is the mirror image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from noisediag.engine import Tensor, torch

NEAREST = 0.03  # of t: nearer, hardly a pixel is left that was not cut
FARTHEST = 5.0  # of t: farther, nothing is cut
STEPS = 1024
MAX_LEVERAGE = 3.0


@dataclass(frozen=True)
class Clipping:
    """Of every observed mean: what is left of the variance, how far clipping moved the mean, and the leverage.

    `leverage`: how much more than the observed variance the true one must change, in relative terms, to explain it:
    a wrong sigma also misjudges how much was cut.
    """

    variance: Tensor  # share of sigma^2 that is left
    shift: Tensor  # (observed mean - true mean) / sigma, >= 0
    leverage: Tensor  # >= 1


@cache
def _table() -> Tensor:
    """`(3, STEPS)` at equal steps of t from NEAREST to FARTHEST: V, t - a, leverage."""
    a = torch.linspace(-3.0, FARTHEST + 0.5, 20_001, dtype=torch.float64)
    density = torch.exp(-0.5 * a.square()) / math.sqrt(2 * math.pi)
    below = 0.5 * (1 + torch.erf(a / math.sqrt(2)))
    mean = density + a * below
    variance = below * (1 + a.square()) + a * density - mean.square()
    t = torch.linspace(NEAREST, FARTHEST, STEPS, dtype=torch.float64)
    upper = torch.searchsorted(mean, t).clamp(1, len(mean) - 1)
    part = (t - mean[upper - 1]) / (mean[upper] - mean[upper - 1])

    def at(values: Tensor) -> Tensor:
        return torch.lerp(values[upper - 1], values[upper], part)

    left, true = at(variance), at(a)
    slope = torch.gradient(left.log(), spacing=(t.log(),))[0]  # sigma too low by 1 %: t too high by 1 %
    leverage = 1 / (1 - 0.5 * slope.clamp(0, 2 * (1 - 1 / MAX_LEVERAGE)))
    return torch.stack([left, t - true, leverage]).float()


def clipping(distance: Tensor) -> Clipping:
    """Of the distance t of an observed mean to the limit, in units of sigma; any shape."""
    table = _table().to(distance)
    position = (distance.clamp(NEAREST, FARTHEST) - NEAREST) * ((STEPS - 1) / (FARTHEST - NEAREST))
    index = position.detach().long().clamp(max=STEPS - 2)
    low, high = table[:, index], table[:, index + 1]
    return Clipping(*torch.lerp(low, high, (position - index).expand_as(low)).unbind(0))
