"""Mean and variance of a Rician magnitude, for simulator and model."""

from __future__ import annotations

import math

from noisediag.engine import Tensor, torch


def rician_moments(amplitude: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of a Rician magnitude of the true `amplitude`, for Gaussian noise `sigma`, broadcast together.

    Rice 1944: the mean is sigma*sqrt(pi/2)*L_1/2(-a^2/(2*sigma^2)), the second moment a^2 + 2*sigma^2.

    >>> from noisediag.engine import torch
    >>> mean, variance = rician_moments(torch.tensor([0.0, 50.0]), torch.ones(2))
    >>> [round(float(v), 3) for v in (*mean, *variance)]
    [1.253, 50.01, 0.429, 1.0]
    """
    amplitude, sigma = amplitude.double(), sigma.double()
    q = (amplitude / sigma).square() / 4
    laguerre = (1 + 2 * q) * torch.special.i0e(q) + 2 * q * torch.special.i1e(q)
    excess = 2 - math.pi / 2 * laguerre.square() + 4 * q  # of unit sigma; cancels at high amplitudes
    far = 1 - 1 / (8 * q.clamp(min=1)) - 1 / (32 * q.clamp(min=1).square())
    return sigma * math.sqrt(math.pi / 2) * laguerre, sigma.square() * torch.where(q > 1e4, far, excess)
