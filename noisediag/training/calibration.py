"""Split conformal calibration: how far intervals must be stretched so that they cover as often as they say.

Quantiles are calibrated one-sided at each end (Romano et al. 2019), on scenes that the head was not trained on, in the
groups of `cop.calibration.group`, which also says how the factors are used.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noisediag.cop.calibration import EVERYTHING

TAIL = 0.05  # of the truth below the interval, and as much above
RAW_TAIL = 0.035  # Large bags have small statistical errors; what is left is the scene's, and unseen scenes cost more.
ALARMS = 0.01  # Of clean pictures said to hold a noise: far less than the 5 % allowed, for pictures of other kinds.
MIN_CASES = 60  # of a group with factors of its own; the conformal quantile of 5 % needs 19
MIN_FACTOR = 0.05  # by which the half of an interval is stretched; 0 would make it a point


def calibrate(
    quantiles: Tensor, truth: Tensor, groups: list[str], *, tail: float = TAIL
) -> dict[str, tuple[float, float]]:
    """Factors of every group with enough cases, and of all together.

    `quantiles` (N, 3) predicted, `truth` (N,), `groups` N names.
    """
    below, middle, above = quantiles.double().unbind(1)
    scores = torch.stack(
        [(middle - truth) / (middle - below).clamp(min=1e-9), (truth - middle) / (above - middle).clamp(min=1e-9)]
    )
    result = {}
    for name, index in _members(groups).items():
        if not index:  # without a case the head's own quantiles stand
            result[name] = (1.0, 1.0)
            continue
        low, high = (float(conformal_quantile(s[index], tail)) for s in scores)
        result[name] = (max(low, MIN_FACTOR), max(high, MIN_FACTOR))
    return result


def calibrate_limit(limit: Tensor, truth: Tensor, groups: list[str]) -> dict[str, float]:
    """Shift of the upper bound that keeps `truth` (N,) below `limit` (N,) plus it in 95 % of the cases, per group."""
    excess = truth.double() - limit
    return {
        name: float(conformal_quantile(excess[index], TAIL)) if index else 0.0
        for name, index in _members(groups).items()
    }


def calibrate_alarm(logits: Tensor) -> float:
    """The presence logit that pictures without the noise `(N,)` exceed in ALARMS of the cases; at least 0."""
    return max(0.0, float(conformal_quantile(logits.double(), ALARMS))) if len(logits) else 0.0


def _members(groups: list[str]) -> dict[str, list[int]]:
    """Positions of every group with enough cases, and of all together."""
    members: dict[str, list[int]] = {}
    for i, name in enumerate(groups):
        members.setdefault(name, []).append(i)
    enough = {name: index for name, index in members.items() if len(index) >= MIN_CASES}
    return {EVERYTHING: list(range(len(groups))), **enough}


def conformal_quantile(scores: Tensor, tail: float) -> Tensor:
    """What a further score exceeds with probability `tail` at most, given exchangeable `scores` (N,), N >= 1.

    The score of rank ceil((N + 1) * (1 - tail)): the finite-sample correction is the + 1. Below 1 / tail - 1 scores no
    rank is high enough, and the largest one is taken.
    """
    rank = math.ceil((len(scores) + 1) * (1 - tail))
    return scores.kthvalue(min(rank, len(scores))).values
