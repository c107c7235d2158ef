"""An answer held against the truth: right, honest or wrong.

Right: what it claims holds. Sigma is within 20 % of the truth, or an interval that is narrower than a factor of 3 holds
it; a gain is within 25 % or its interval; there is no gain where there are no electrons to be seen; independence is
told as it is. Where parts of a picture carry different noise at the same signal, the curve must hold in both extremes,
or the footprint's factors (`uneven`) give them. Honest: not right, but said so, by a warning, a flag that means "do not
trust this", a value withheld, or a wide interval that holds the truth. Wrong: neither. A calm picture of an ordinary
law is answered wrongly where it is doubted, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from noisediag.footprint.derived import arrange
from noisediag.footprint.file import Footprint
from noisediag.footprint.plane import PlaneFootprint
from noisediag.footprint.values import Bounded
from noisediag.genome.traps.truth import NoiseAt, Truth
from noisediag.reports.denoisers import quiet_value
from noisediag.studies.advise.result import Advice

Verdict = Literal["right", "honest", "wrong"]

SIGMA_WITHIN, GAIN_WITHIN, CHANNEL_WITHIN, PARTS_WITHIN = 0.2, 0.25, 0.1, 0.25
NARROW = 3.0  # high over low of an interval, from which on it claims nothing
BEYOND_CURVE = 0.05  # of the curve's range: how far outside of it a level is still asked for
SILENT = frozenset({"rendered", "assumed_scale", "few_pixels", "clipped", "denoised", "upscaled", "resaved"})
DOUBTS = frozenset({"misfit", "uneven", "black_doubtful", "smoothed", "saturation_measured"})  # of a calm picture
CODES = 255.0  # the scale of a channel's sigma


@dataclass(frozen=True)
class Judgement:
    """`wrong`: claims that do not hold; `withheld`: what was not claimed; `said`: warnings and flags that excuse it."""

    verdict: Verdict
    wrong: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


REFUSED = Judgement("honest", withheld=("refused",))


@dataclass
class _Findings:
    """What is found as the claims are gone through."""

    wrong: list[str] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)

    def claim(self, what: str, unit: str, claimed: Bounded, truth: float, within: float) -> None:
        """File a number that may be right, held by a wide interval, or wrong."""
        if is_near(claimed, truth, within):
            return
        words = f"{what} {_words(claimed)} {unit}, true {truth:.3g}"
        (self.withheld if _holds(claimed, truth) else self.wrong).append(words)

    def judgement(self, said: Iterable[str]) -> Judgement:
        """The verdict on all claims together."""
        said = tuple(said)
        verdict: Verdict = "wrong" if self.wrong and not said else "honest" if self.wrong or self.withheld else "right"
        return Judgement(verdict, tuple(self.wrong), tuple(self.withheld), said)


def is_near(claimed: Bounded, truth: float, within: float) -> bool:
    """Whether a claim holds: by its value, or by an interval narrow enough to be one.

    >>> [is_near(claimed, 1.0, 0.2) for claimed in (Bounded(1.1), Bounded(2.0, 0.9, 2.5), Bounded(2.0, 0.2, 9.0))]
    [True, True, False]
    """
    if claimed.value is None:
        return False
    if abs(math.log(max(claimed.value, 1e-12) / truth)) <= math.log(1 + within):
        return True
    low, high = claimed.low, claimed.high
    return low is not None and high is not None and 0 < low <= truth <= high <= NARROW * low


def judge(truths: Iterable[Truth], footprint: Footprint, *, control: bool = False) -> Judgement:
    """What `footprint` says of a trap, or, `control`, of a calm picture."""
    findings = _Findings()
    for truth in truths:
        plane = _plane_of(footprint, truth.channel)
        _judge_curve(findings, truth.noise, footprint, plane)
        _judge_gain(findings, truth, plane)
        _judge_structure(findings, truth, plane)
        if truth.channel_sigma is not None:
            claimed = Bounded(float(quiet_value(footprint, CODES)))
            findings.claim("sigma of a channel", "of 255", claimed, truth.channel_sigma, CHANNEL_WITHIN)
    said = (*footprint.warnings, *sorted(set(footprint.flags) - SILENT))
    doubts = sorted(DOUBTS.intersection(footprint.flags)) if control else []
    if doubts:
        return Judgement("wrong", (f"doubts a calm picture: {', '.join(doubts)}", *findings.wrong), said=said)
    return findings.judgement(said)


def judge_advice(truth: Truth, advice: Advice) -> Judgement:
    """What `advise` says of frames: only its gain is looked at."""
    findings = _Findings()
    gain: Bounded | None = advice.gain
    _judge_claimed_gain(findings, truth, Bounded(None) if gain is None else gain)
    return findings.judgement(advice.warnings)


def _plane_of(footprint: Footprint, channel: str | None) -> PlaneFootprint:
    """The file's own footprint, or the last of a channel, which is the channel's own."""
    planes = [plane for plane in footprint.planes if channel is None or plane.channel == channel]
    return planes[-1]


def _judge_curve(findings: _Findings, noise: Iterable[NoiseAt], footprint: Footprint, plane: PlaneFootprint) -> None:
    for at, claimed in _claims(noise, footprint, plane):
        what = f"sigma at {at.level_dn:.0f} DN"
        if at.parts_dn is None:
            findings.claim(what, "DN", claimed, at.sigma_dn, SIGMA_WITHIN)
        elif not _tells_parts(claimed, at.parts_dn, footprint.uneven):
            findings.claim(f"{what} where it is least", "DN", claimed, at.parts_dn[0], SIGMA_WITHIN)
            findings.claim(f"{what} where it is greatest", "DN", claimed, at.parts_dn[1], SIGMA_WITHIN)


def _claims(noise: Iterable[NoiseAt], footprint: Footprint, plane: PlaneFootprint) -> Iterator[tuple[NoiseAt, Bounded]]:
    """What the curve says at each level of the truth within its range, in DN."""
    own = plane if plane.black_dn is not None else footprint.planes[0]  # planes of different levels have none together
    if own.black_dn is None or own.white_dn is None:
        return
    span = own.white_dn - own.black_dn
    levels = own.black_dn + span * np.array([point.signal for point in plane.curve])
    beyond = BEYOND_CURVE * float(np.ptp(levels)) + 1
    columns = [
        span * np.array(values)
        for values in zip(*((point.sigma, point.low, point.high) for point in plane.curve), strict=True)
    ]
    for at in noise:
        if levels.min() - beyond <= at.level_dn <= levels.max() + beyond:
            yield at, Bounded(*(float(np.interp(at.level_dn, levels, column)) for column in columns))


def _tells_parts(claimed: Bounded, parts_dn: tuple[float, float], uneven: tuple[float, float] | None) -> bool:
    """Whether the extremes over the picture are given as factors on the curve."""
    if uneven is None or claimed.value is None:
        return False
    pairs = zip(uneven, parts_dn, strict=True)
    return all(is_near(Bounded(claimed.value * factor), part, PARTS_WITHIN) for factor, part in pairs)


def _judge_gain(findings: _Findings, truth: Truth, plane: PlaneFootprint) -> None:
    shot = next((estimate for estimate in plane.parameters if estimate.name == "shot_gain"), None)
    claimed = Bounded(None) if shot is None else Bounded(shot.value_dn, shot.low_dn, shot.high_dn)
    _judge_claimed_gain(findings, truth, claimed)


def _judge_claimed_gain(findings: _Findings, truth: Truth, claimed: Bounded) -> None:
    if truth.no_electrons:
        if claimed.value is not None:
            findings.wrong.append(f"claims a gain of {_words(claimed)} DN/e-, where there are no electrons to be seen")
    elif truth.gain_dn is not None:
        if claimed.value is None:
            findings.withheld.append("no gain")
        else:
            findings.claim("gain", "DN/e-", claimed, truth.gain_dn, GAIN_WITHIN)


def _judge_structure(findings: _Findings, truth: Truth, plane: PlaneFootprint) -> None:
    values: Mapping[str, float | None] = {estimate.name: estimate.value for estimate in plane.parameters}
    for name in truth.absent:
        value = values.get(name)
        if value is not None:
            findings.wrong.append(f"{name} {value:.3g}, where there is none to be seen")
    if truth.independent is None and not truth.no_verdict:
        return
    told = arrange(plane).pixel_independent
    if told is None:
        return
    if truth.no_verdict:
        findings.wrong.append("judges the independence of pixels where there is no noise")
    elif told != truth.independent:
        findings.wrong.append(f"pixels {'are' if told else 'are not'} independent, which is not so")


def _holds(claimed: Bounded, truth: float) -> bool:
    return claimed.low is not None and claimed.high is not None and claimed.low <= truth <= claimed.high


def _words(claimed: Bounded) -> str:
    if claimed.value is None:
        return "-"
    if claimed.low is None or claimed.high is None:
        return f"{claimed.value:.3g}"
    return f"{claimed.value:.3g} ({claimed.low:.3g} .. {claimed.high:.3g})"
