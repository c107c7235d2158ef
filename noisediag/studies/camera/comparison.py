"""A stated number of a camera's noise beside the estimate of it, with the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from noisediag.footprint.values import Bounded

MAX_RATIO = 1.09  # of stated to estimated, or its inverse, that still agrees: half way between 3 and 15 %
MAX_HALF_WIDTH = 0.06  # of an interval, relative to its value, with which MAX_RATIO can be judged
GROSS_RATIO = 10.0  # to the nearer bound, that differs whatever the interval: texture has passed for 5 times the noise
MAX_GAIN_RATIO = 2.0  # beyond which a FITS GAIN is the position of a knob

Verdict = Literal["agrees", "differs", "setting", "cannot tell"]
WORDS: dict[Verdict, str] = {
    "agrees": "agrees",
    "differs": "differs",
    "setting": "a setting, not a gain",
    "cannot tell": "cannot tell",
}


@dataclass(frozen=True)
class Comparison:
    """One stated number beside the estimate; None: not identified in this picture. `ratio` is stated / estimated."""

    path: str
    tag: str
    quantity: str
    unit: str
    stated: float
    estimated: float | None
    low: float | None
    high: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    verdict: Verdict


def comparison(path: str, tag: str, quantity: str, unit: str, stated: float, estimated: Bounded) -> Comparison:
    """`stated` beside `estimated`, with the verdict."""
    value, low, high = estimated.value, estimated.low, estimated.high
    if value is None or low is None or high is None or value <= 0:
        ratios: tuple[float | None, float | None, float | None] = (None, None, None)
        verdict: Verdict = "setting" if tag.startswith("Detector") else "cannot tell"
        return Comparison(path, tag, quantity, unit, stated, None, None, None, *ratios, verdict)
    ratios = (stated / value, stated / high, stated / low if low > 0 else None)
    verdict = decide(ratios[0], estimated)
    if tag.startswith("Detector"):
        verdict = "agrees" if verdict == "agrees" else "setting"
    elif tag == "GAIN" and verdict == "differs" and not 1 / MAX_GAIN_RATIO < stated / value < MAX_GAIN_RATIO:
        verdict = "setting"
    return Comparison(path, tag, quantity, unit, stated, value, low, high, *ratios, verdict)


def decide(ratio: float | None, estimated: Bounded) -> Verdict:
    """Whether a ratio of stated to estimated is too far from 1, where the estimate is good enough to say so."""
    value, low, high = estimated.value, estimated.low, estimated.high
    if ratio is None or value is None or low is None or high is None:
        return "cannot tell"
    if max(high / value - 1, 1 - low / value) <= MAX_HALF_WIDTH:
        return "agrees" if abs(math.log(ratio)) < math.log(MAX_RATIO) else "differs"
    stated = ratio * value
    return "differs" if stated > GROSS_RATIO * high or stated * GROSS_RATIO < low else "cannot tell"
