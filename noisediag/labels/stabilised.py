"""The generalised Anscombe transform, and the variance that it leaves: exactly, by quadrature.

A signal of Poisson electrons of gain S and Gaussian noise of variance O becomes f(x) = 2/S sqrt(S x + 3/8 S^2 + O), 0
where the root's argument is negative, whose variance is near 1 (Murtagh, Starck and Bijaoui 1995), but not at few
electrons, nor where the file clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

MANY = 1e3  # electrons from which their number is taken to be Gaussian: the variance moves by less than 1e-4
NODES = np.linspace(-6, 6, 241)  # standard deviations; the transform has a kink at 0, so they lie close
REACH = 8.0  # standard deviations of the electrons' number that are summed
GRID = 129  # signals at which the expected variance is computed; between them it is interpolated


@dataclass(frozen=True)
class Transform:
    """For variance = `shot` * x + `offset`, normalised; the file clips at `low` and `high`."""

    shot: float
    offset: float
    low: float = -np.inf
    high: float = np.inf

    def __call__(self, x: Floats) -> Floats:
        """f(x), any shape. Without shot noise it is x over its standard deviation."""
        if self.shot == 0:
            return np.asarray(x / np.sqrt(self.offset))
        inside = self.shot * x + 0.375 * self.shot**2 + self.offset
        return 2 / self.shot * np.sqrt(np.maximum(inside, 0.0))

    def moments(self, signal: float) -> tuple[float, float]:
        """At clean `signal`: the mean of the file's values, clipped as they are, and the variance of f."""
        weights = np.exp(-(NODES**2) / 2)
        weights /= weights.sum()
        if self.shot == 0 or signal / self.shot > MANY or signal <= 0:
            shot = max(self.shot * signal, 0.0)
            values = np.array([signal])
            shares, spread = np.ones(1), np.sqrt(shot + self.offset)
        else:
            values, shares = _electrons(signal / self.shot)
            values, spread = values * self.shot, np.sqrt(self.offset)
        x = np.clip(values[:, None] + spread * NODES, self.low, self.high)
        probability = shares[:, None] * weights
        transformed = self(x)
        mean = float((probability * transformed).sum())
        return float((probability * x).sum()), float((probability * (transformed - mean) ** 2).sum())

    def variances(self, means: Floats) -> Floats:
        """Of f where the file's values have each of `means`, any shape; interpolated between GRID signals up to white.

        Clipping moves the mean, so that it is not the clean signal.
        """
        low, high = min(float(means.min()), 0.0), max(float(means.max()), 1.0)
        # Few electrons, where the variance bends most, are at the dark end.
        at = low + (high - low) * np.linspace(0, 1, GRID) ** 2
        seen, variance = np.array([self.moments(x) for x in at]).T
        rising = np.concatenate([[True], np.diff(np.maximum.accumulate(seen)) > 0])
        return np.asarray(np.interp(means, seen[rising], variance[rising]))


def _electrons(mean: float) -> tuple[Floats, Floats]:
    """The numbers of electrons that occur, and their probabilities."""
    first = max(0, int(mean - REACH * np.sqrt(mean) - REACH))
    numbers = np.arange(first, int(mean + REACH * np.sqrt(mean) + 2 * REACH) + 1, dtype=np.float64)
    shares = np.exp(special.xlogy(numbers, mean) - mean - special.gammaln(numbers + 1))
    return numbers, shares / shares.sum()
