"""How far off the noise curve of a rendered picture may be, by what is seen in it.

The rendered network's own half-widths know the pictures it was trained on. Here they are one number among others: how
strong the noise is in codes, how correlated, what the flags say, how much of the picture was trusted at each signal,
how quiet its quietest blocks are, whether the last pass still moved, and how far the sensor model, which knows nothing
of processing, reads something else. A small network makes half-widths of all of them, of the rendered network's curve
and of the sensor model's, which stands where no processing is seen. It is fitted by quantile regression and stretched
by split conformal prediction (`training.rendered_interval`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noisediag.cop.rendered import RenderedReading
from noisediag.cop.rendered_tokens import KNOTS
from noisediag.cop.tokens import RADIAL
from noisediag.engine import Tensor, nn, torch
from noisediag.genome.display import CODES

Floats = NDArray[np.float64]

SIDES = 2  # of an interval: below and above
CURVES = 2  # that intervals are of: the rendered network's, and the sensor model's
LEAST_LOG, MOST_LOG = -5.0, 1.5  # ln of a half-width of ln sigma before it is stretched: 0.7 % to a factor 88
FARTHEST = 5.0  # standard deviations from the mean of the calibration that an input may lie
MOST_LOGIT = 8.0
MOST_APART = 3.0  # |ln| of one sigma over another
INPUTS = 32  # numbers at a knot, see `inputs`


@dataclass(frozen=True)
class SensorCurve:
    """What the sensor model says of the planes of one picture at the knots, each (P, KNOTS)."""

    log_sigma: Floats
    below: Floats  # half-widths of its interval in ln sigma
    above: Floats


def inputs(reading: RenderedReading, sensor: SensorCurve) -> Floats:
    """What the network is told of one picture, `(P, KNOTS, INPUTS)`; `reading` with B = 1, planes as those of `sensor`.

    Raises ValueError for a reading without evidence.
    """
    evidence = reading.curve.evidence
    if evidence is None:
        raise ValueError("the reading tells nothing of what was weighed")
    log_sigma = _array(reading.curve.log_variance) / 2
    planes = len(log_sigma)
    codes = np.clip(log_sigma + np.log(CODES), -3, 5)
    shown, trust = _array(evidence.shown), _array(evidence.trust)
    middle = (shown * codes).sum(-1, keepdims=True) / np.maximum(shown.sum(-1, keepdims=True), 1e-6)
    spread = np.log(np.clip(_array(reading.spread), 1e-3, 10))
    lags, areas, quiet = _array(reading.lag1), np.log(np.clip(_array(reading.areas), 1e-3, 1)), _array(evidence.quiet)
    moved = np.clip(_array(evidence.moved), -MOST_APART, MOST_APART)
    among = np.clip(codes - codes.mean(0, keepdims=True), -MOST_APART, MOST_APART)
    apart = np.clip(sensor.log_sigma - log_sigma, -MOST_APART, MOST_APART)
    halves = [np.log(np.clip(half, 1e-3, 10)) for half in (sensor.below, sensor.above)]
    spectrum = _array(reading.curve.log_spectrum)
    flags = np.clip(_array(reading.flags), -MOST_LOGIT, MOST_LOGIT)
    half = RADIAL // 2
    of_picture = [*flags, float(_array(reading.channels).mean()) if planes > 1 else 0.0, float(planes > 1)]
    of_plane = [
        lags.mean(-1),
        np.abs(lags[:, 0] - lags[:, 1]),
        *areas.T,
        *np.clip(quiet, -6, 6).T,
        (trust * shown).sum(-1),
        spectrum[:, half:RADIAL].mean(-1) - spectrum[:, :half].mean(-1),
        spectrum[:, -RADIAL:].mean(-1),
        np.eye(planes)[-1],
    ]
    of_knot = [
        codes,
        codes - middle,
        np.log(trust + 1e-3),
        np.log(shown + 1e-3),
        moved,
        np.abs(moved),
        among,
        np.abs(among),
        apart,
        np.abs(apart),
        np.broadcast_to(np.arange(KNOTS) / (KNOTS - 1), codes.shape),
    ]
    columns = [
        spread[..., 0],
        spread[..., 1],
        *halves,  # the four of `RenderedInterval.forward`
        *(np.full_like(codes, value) for value in of_picture),
        *(np.broadcast_to(value[:, None], codes.shape) for value in of_plane),
        *of_knot,
    ]
    return np.stack(columns, -1)


def _array(values: Tensor) -> Floats:
    """Those of the only picture, as float64."""
    found: Floats = values[0].double().cpu().numpy()
    return found


@dataclass(frozen=True)
class IntervalConfig:
    """Size of the network; travels in the checkpoint."""

    inputs: int
    hidden: int = 16


class RenderedInterval(nn.Module):
    """Half-widths of the intervals of both curves at their knots, in ln sigma, from `inputs`."""

    mean: Tensor
    scale: Tensor
    stretch: Tensor

    def __init__(self, config: IntervalConfig):
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.inputs))
        self.register_buffer("scale", torch.ones(config.inputs))
        self.register_buffer("stretch", torch.ones(CURVES * SIDES))  # of split conformal prediction
        self.straight = nn.Linear(config.inputs, CURVES * SIDES)
        self.bent = nn.Sequential(
            nn.Linear(config.inputs, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, CURVES * SIDES),
        )

    def forward(self, told: Tensor) -> Tensor:
        """`told` (..., inputs) to half-widths (..., CURVES, SIDES), stretched.

        What is learned multiplies the half-widths that both curves have of their own, whose logarithms come first.
        """
        values = ((told - self.mean) / self.scale).clamp(-FARTHEST, FARTHEST)
        learned = self.straight(values) + self.bent(values)
        logs = (told[..., : CURVES * SIDES] + learned).clamp(LEAST_LOG, MOST_LOG)
        return torch.unflatten(logs.exp() * self.stretch, -1, (CURVES, SIDES))

    def widths(self, told: Floats) -> Floats:
        """The same of an array, float64."""
        device = self.stretch.device
        with torch.inference_mode():
            made: Floats = self(torch.from_numpy(told.astype(np.float32)).to(device)).double().cpu().numpy()
        return made
