"""Calibration as it is used: by how much the head's intervals are stretched so that they cover as often as they say.

The factors come from split conformal prediction (`training.calibration`) and travel in the checkpoint, by groups that
are seen in the picture itself: how many blocks it has, how much of the range its signals span, how large a share of it
is smooth enough to be trusted, and whether most of it is as dark as its darkest part, as where little glows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from noisediag.errors import CheckpointError

if TYPE_CHECKING:
    from noisediag.cop.models import SensorAnswer

SIZES = (1_000, 5_000)  # blocks
SPANS = (0.05,)  # normalised signal between the 3 % and the 97 % quantile
SMOOTH = (0.4,)  # share of the picture that the curve trusts
LEAN = 0.15  # of its span: a picture whose median signal lies closer to the dark end is lean
OF_EVERY_SENSOR = ("shot_gain", "read_noise")
EVERYTHING = "all"  # the group of pictures whose own group had too few cases to be calibrated


def group(blocks: int, signal: Sequence[float], smooth: float, *, raw: bool = False) -> str:
    """The name of the conformal group: `blocks` in the picture, the 3, 50 and 97 % of its `signal`, trusted share.

    RAW files have groups of their own, by size: their noise is weaker, of fewer kinds, and seen in four planes at once.
    """
    size = sum(blocks >= edge for edge in SIZES)
    if raw:
        return f"raw-size{size}"
    dark, middle, bright = signal
    span = bright - dark
    wide, trusted = sum(span >= edge for edge in SPANS), sum(smooth >= edge for edge in SMOOTH)
    return f"size{size}-span{wide}-smooth{trusted}-lean{int(middle - dark < LEAN * span)}"


def factors(calibration: Mapping[str, Any], name: str, answer: SensorAnswer, *, raw: bool) -> tuple[float, float]:
    """Stretch of the lower and the upper half of the interval of `name` for this picture; `raw`: of a RAW file.

    Raises CheckpointError where the checkpoint holds no calibration for it.
    """
    low, high = _entry(calibration, "intervals", name, answer, raw)
    return float(low), float(high)


def limit_shift(calibration: Mapping[str, Any], name: str, answer: SensorAnswer, *, raw: bool) -> float:
    """What is added to the head's upper bound of a noise that is not seen. Raises CheckpointError as `factors`."""
    return float(_entry(calibration, "limits", name, answer, raw))


def alarm_shift(calibration: Mapping[str, Any], name: str, *, raw: bool = False) -> float:
    """What the head's presence logit must exceed for `name` to be reported. Raises CheckpointError as `factors`.

    Every RAW file has the noises of OF_EVERY_SENSOR: to be told they need no more than to be likelier than not.
    """
    if raw and name in OF_EVERY_SENSOR:
        return 0.0
    try:
        return float(calibration["alarms"][name])
    except KeyError as error:
        raise CheckpointError(f"the checkpoint has no false-alarm calibration for {name}") from error


def _entry(calibration: Mapping[str, Any], kind: str, name: str, answer: SensorAnswer, raw: bool) -> Any:
    signal, smooth = answer.evidence.signal[0].tolist(), float(answer.evidence.smooth[0])
    try:
        table = calibration[kind][name]
        return table.get(group(answer.block_mean.shape[1], signal, smooth, raw=raw), table[EVERYTHING])
    except KeyError as error:
        raise CheckpointError(f"the checkpoint has no interval calibration for {name}") from error
