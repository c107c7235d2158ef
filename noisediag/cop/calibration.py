"""Conformal calibration: how far the head's intervals must be stretched so that they cover as often as they say.

Split conformal prediction of quantiles (Romano et al. 2019), one-sided at each end, on scenes the head was not
trained on. The groups are seen in the picture itself: how many blocks it has, how much of the range its signals span,
and how large a share of it is smooth enough to be trusted.
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
ALARMS = 0.01  # of clean pictures said to hold a noise: far less than the 5 % allowed, for pictures of other kinds
RAW_TAIL = 0.035  # large bags have small statistical errors; what is left is the scene's, and unseen scenes cost more
SIZES = (1_000, 5_000)  # blocks
SPANS = (0.05,)  # normalised signal between the 3 % and the 97 % quantile
SMOOTH = (0.4,)  # share of the picture that the curve trusts
FEWEST = 60  # cases a group needs for factors of its own
EVERYTHING = "all"


def group(blocks: int, span: float, smooth: float, *, raw: bool = False) -> str:
    """The name of the conformal group: `blocks` in the picture, `span` of its signals, trusted share `smooth`.

    RAW files have groups of their own, by size: their noise is weaker, of fewer kinds, and seen in four planes at once.
    """
    size = sum(blocks >= edge for edge in SIZES)
    if raw:
        return f"raw-size{size}"
    return f"size{size}-span{sum(span >= edge for edge in SPANS)}-smooth{sum(smooth >= edge for edge in SMOOTH)}"


def factors(calibration: Mapping[str, Any], name: str, answer: SensorAnswer, *, raw: bool) -> tuple[float, float]:
    """Stretch of the lower and the upper half of the interval of `name` for this picture; `raw`: of a RAW file.

    Raises CheckpointError where the checkpoint holds no calibration for it.
    """
    low, high = _entry(calibration, "intervals", name, answer, raw)
    return float(low), float(high)


def limit_shift(calibration: Mapping[str, Any], name: str, answer: SensorAnswer, *, raw: bool) -> float:
    """What is added to the head's upper bound of a noise that is not seen. Raises CheckpointError as `factors`."""
    return float(_entry(calibration, "limits", name, answer, raw))


def alarm_shift(calibration: Mapping[str, Any], name: str) -> float:
    """What the head's presence logit must exceed for `name` to be reported. Raises CheckpointError as `factors`."""
    try:
        return float(calibration["alarms"][name])
    except KeyError as error:
        raise CheckpointError(f"the checkpoint has no false-alarm calibration for {name}") from error


def _entry(calibration: Mapping[str, Any], kind: str, name: str, answer: SensorAnswer, raw: bool) -> Any:
    signal = answer.evidence.signal[0]
    own = group(answer.block_mean.shape[1], float(signal[-1] - signal[0]), float(answer.evidence.smooth[0]), raw=raw)
    try:
        table = calibration[kind][name]
        return table.get(own, table[EVERYTHING])
    except KeyError as error:
        raise CheckpointError(f"the checkpoint has no interval calibration for {name}") from error


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
        low, high = (float(_upper(s[index], tail)) for s in scores)
        result[name] = (max(low, 0.05), max(high, 0.05))
    return result


def calibrate_limit(limit: Tensor, truth: Tensor, groups: list[str]) -> dict[str, float]:
    """Shift of the upper bound that keeps `truth` (N,) below `limit` (N,) plus it in 95 % of the cases, per group."""
    excess = truth.double() - limit
    return {name: float(_upper(excess[index], TAIL)) if index else 0.0 for name, index in _members(groups).items()}


def calibrate_alarm(logits: Tensor) -> float:
    """The presence logit that pictures without the noise `(N,)` exceed in ALARMS of the cases; at least 0."""
    return max(0.0, float(_upper(logits.double(), ALARMS))) if len(logits) else 0.0


def _members(groups: list[str]) -> dict[str, list[int]]:
    """Positions of every group with enough cases, and of all together."""
    members: dict[str, list[int]] = {}
    for i, name in enumerate(groups):
        members.setdefault(name, []).append(i)
    enough = {name: index for name, index in members.items() if len(index) >= FEWEST}
    return {EVERYTHING: list(range(len(groups))), **enough}


def _upper(scores: Tensor, tail: float) -> Tensor:
    """The conformal quantile: a further score exceeds it with probability `tail` at most."""
    count = len(scores)
    return scores.quantile(min(1.0, math.ceil((count + 1) * (1 - tail)) / count))
