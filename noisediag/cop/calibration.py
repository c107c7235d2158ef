"""Conformal calibration: how far the head's intervals must be stretched so that they cover as often as they say.

Split conformal prediction of quantiles (Romano et al. 2019), one-sided at each end, on scenes the head was not
trained on. The groups are seen in the picture itself: how many blocks it has, and how much of the range its trusted
signals span.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from noisediag.errors import CheckpointError

if TYPE_CHECKING:
    from noisediag.cop.models import SensorAnswer

TAIL = 0.05  # of the truth below the interval, and as much above
SIZES = (1_000, 5_000)  # blocks
SPANS = (0.05,)  # normalised signal between the 3 % and the 97 % quantile
FEWEST = 60  # cases a group needs for factors of its own
EVERYTHING = "all"


def group(blocks: int, span: float) -> str:
    """The name of the conformal group."""
    size = sum(blocks >= edge for edge in SIZES)
    return f"size{size}-span{sum(span >= edge for edge in SPANS)}"


def factors(calibration: Mapping[str, Any], name: str, answer: SensorAnswer) -> tuple[float, float]:
    """Stretch of the lower and the upper half of the interval of `name` for this picture.

    Raises CheckpointError where the checkpoint holds no calibration for it.
    """
    signal = answer.evidence.signal[0]
    own = group(answer.block_mean.shape[1], float(signal[-1] - signal[0]))
    try:
        table = calibration[name]
        low, high = table.get(own, table[EVERYTHING])
    except KeyError as error:
        raise CheckpointError(f"the checkpoint has no interval calibration for {name}") from error
    return float(low), float(high)


def calibrate(quantiles: Tensor, truth: Tensor, groups: list[str]) -> dict[str, tuple[float, float]]:
    """Factors of every group with enough cases, and of all together.

    `quantiles` (N, 3) predicted, `truth` (N,), `groups` N names.
    """
    below, middle, above = quantiles.double().unbind(1)
    scores = torch.stack(
        [(middle - truth) / (middle - below).clamp(min=1e-9), (truth - middle) / (above - middle).clamp(min=1e-9)]
    )
    members: dict[str, list[int]] = {EVERYTHING: list(range(len(truth)))}
    for i, name in enumerate(groups):
        members.setdefault(name, []).append(i)
    result = {}
    for name, index in members.items():
        if name == EVERYTHING or len(index) >= FEWEST:
            rank = min(1.0, math.ceil((len(index) + 1) * (1 - TAIL)) / max(len(index), 1))
            low, high = (float(s[index].quantile(rank)) for s in scores)
            result[name] = (max(low, 0.05), max(high, 0.05))
    return result
