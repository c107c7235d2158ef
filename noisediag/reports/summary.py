"""What a footprint comes to, in sentences: what limits the noise, how much there is, what else adds, what is doubtful.

Every clause is said only where the footprint bears it: electrons under the photon law alone, mid-grey where the picture
has such signals, and what limits the noise where shot and read noise could be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from noisediag.footprint.derived import MID_GREY
from noisediag.footprint.file import Footprint
from noisediag.footprint.plane import (
    CLIPPED_SHARE,
    FEW_PIXELS,
    Estimate,
    PlaneFootprint,
    SampledCurve,
    counts_as_found,
)
from noisediag.reports.numbers import by_interval, number

WIDE = 2.0  # high / low of a crossing whose interval is said, too
MOSTLY = 0.5  # share of the variance from which rows and columns outweigh all else
NOT_PIXEL_LAWS = {
    "speckle": "The noise is that of speckle, in proportion to the signal: there are no electrons to count",
    "rician": "The noise is that of a Rician magnitude: there are no electrons to count",
    "grain": "The noise is that of film grain: there are no electrons to count",
}
FLAG_SENTENCES = {
    "planes_differ": "Colours, channels or frames differ by more than their intervals: --details has each",
    "out_of_range": "A value lies outside of what the model was trained on",
    "out_of_domain": "The picture is unlike those that the model was trained on: its numbers may be off",
    "clipped": f"More than {100 * CLIPPED_SHARE:.0f} % of the pixels lie at black or white, where no noise is seen",
    "few_pixels": f"There are fewer than {FEW_PIXELS} pixels to look at",
    "assumed_scale": "Black or white is not stated but assumed: --black and --white say them",
    "denoised": "It was denoised",
    "upscaled": "It was enlarged",
    "resaved": "It was saved as JPEG more than once",
    "saturation_measured": "Pixels saturate below the stated white, or about it: they are left out",
    "misfit": "The law does not explain the noise",
    "black_doubtful": "The stated black is contradicted",
    "smoothed": "Pixels share their noise with their neighbours: the file was filtered",
    "uneven": "The noise differs between parts of the picture",
}
_WARNED = ("misfit", "black_doubtful", "smoothed", "uneven", "out_of_range")  # these come with a warning in words
_SHAKEN = ("misfit", "out_of_domain", "black_doubtful", "uneven")  # what a sentence says then is only as fitted


def sentence(footprint: Footprint) -> str:
    """One sentence for the whole: its clauses joined by semicolons, without a number that is not in the footprint."""
    clauses = [*_nature(footprint)]
    if "empty" in footprint.flags or not footprint.structure.noise_found or footprint.planes[-1].says_nothing:
        return _joined(clauses, footprint)
    clauses += [*_gain(footprint), _sigma(footprint), *_additions(footprint)]
    return _joined(clauses, footprint)


def doubts(footprint: Footprint) -> list[str]:
    """Warnings, and what flags mean beyond them, a plain sentence each; the gravest first."""
    plane = footprint.planes[-1]
    above = sentence(footprint).lower()
    said = [warning for warning in footprint.warnings if warning.lower() not in above]
    told = " ".join(footprint.warnings)
    flags = {*footprint.flags, *plane.flags, *(e.flag for e in plane.parameters if e.flag)}
    for flag, words in FLAG_SENTENCES.items():
        if flag in flags and not (flag in _WARNED and told) and not (flag == "assumed_scale" and "assumed" in told):
            said.append(words + _probability(footprint, flag))
    weak = [_name(e) for e in plane.parameters if e.flag == "weakly_identified" and e.value is not None]
    if weak:
        said.append(f"Too little range of signal: {' and '.join(weak)} known only roughly, as the interval says")
    return [one[:1].upper() + one[1:] for one in said]


def reference(plane: PlaneFootprint, *, rendered: bool) -> tuple[float, str]:
    """The signal (normalised) at which sigma is quoted, and its name: mid-grey, else the picture's own median."""
    signals = [point.signal for point in plane.curve]
    inside = bool(signals) and min(signals) <= MID_GREY <= max(signals)
    if inside and plane.white_known and not rendered:
        return MID_GREY, "at mid-grey"
    return plane.signal_median, "at the picture's median signal"


def bounds_at(plane: PlaneFootprint, signal: float) -> tuple[float | None, float | None]:
    """The curve's interval at `signal`, as far out of its law as at the nearest of its points; normalised."""
    if not plane.curve:
        return None, None
    at = [point.signal for point in plane.curve]
    sigma = plane.law.sigma(signal)
    ratios = [
        float(np.interp(signal, at, [getattr(p, end) / p.sigma if p.sigma > 0 else 1.0 for p in plane.curve]))
        for end in ("low", "high")
    ]
    return sigma * min(ratios[0], 1.0), sigma * max(ratios[1], 1.0)


def _nature(footprint: Footprint) -> Iterator[str]:
    """What kind of noise it is, and what limits it."""
    plane = footprint.planes[-1]
    light = None if plane.light is None else plane.light.name
    if "empty" in footprint.flags:
        yield "All pixels are equal: there is no noise to see"
    elif plane.says_nothing:
        yield "Nothing is told of the noise"
    elif not footprint.structure.noise_found:
        yield f"No noise was found{_at_most(footprint)}"
    elif light in NOT_PIXEL_LAWS:
        yield NOT_PIXEL_LAWS[light]
    elif isinstance(plane.law, SampledCurve):
        yield "Processing has changed the noise, so there are no electrons to count"
    elif "smoothed" in plane.flags:
        yield "Neighbouring pixels of this RAW file share their noise: it was filtered, no electrons count"
    else:
        said = _limit(plane, rendered=footprint.domain == "rendered")
        shaken = any(flag in footprint.flags for flag in _SHAKEN)
        yield f"As fitted, {said[:1].lower()}{said[1:]}" if shaken else said


def _at_most(footprint: Footprint) -> str:
    plane = footprint.planes[-1]
    highest = max((point.high for point in plane.curve), default=None)
    return "" if highest is None else f": sigma is at most {_amount(plane, highest)}"


def _limit(plane: PlaneFootprint, *, rendered: bool) -> str:
    """Which noise limits the picture, and above which signal."""
    shot, read, gain_noise = plane["shot_gain"], plane["read_noise"], plane["multiplicative"]
    grows = "The noise grows with the light, as shot noise does" if rendered else "Shot-noise limited"
    if shot.flag == "planes_differ":
        return "Planes differ in their shot noise, so no one number says what limits it"
    if not _found(shot):
        if shot.flag == "weakly_identified":
            return "What limits the noise cannot be told: too little range of signal to tell shot from read noise"
        if _found(gain_noise):
            return "The noise grows in proportion to the signal, and no shot noise was found"
        if _found(read) and (read.value or 0.0) ** 2 >= _rounding(plane):
            return "Read-noise limited: no noise that grows with the signal was found"
        if _found(plane["quantisation"]):
            return "The step between the codes in use limits: no shot noise was found beside it"
        if read.flag == "below_floor":
            return "Neither shot nor read noise was found"
        return "No shot noise was found, and the read noise cannot be told"
    if shot.flag == "weakly_identified":
        return "The noise grows with the signal, but shot and read noise cannot be told apart well"
    if read.value is None and read.flag == "weakly_identified":
        why = "" if plane.offset_known else ", since black is not known"
        return f"The noise grows with the light, as shot noise does; its read noise cannot be told{why}"
    return _crossing(plane, grows, rendered=rendered)


def _crossing(plane: PlaneFootprint, grows: str, *, rendered: bool) -> str:
    """Above which signal shot noise exceeds what does not depend on the signal. Shot noise is there, and known."""
    shot, read, rounding = plane["shot_gain"], plane["read_noise"], _rounding(plane)
    assert shot.value is not None
    darkest, brightest = plane.curve[0].signal, plane.curve[-1].signal
    known = _found(read)
    level = read.value if known else read.high
    if rendered:
        return grows
    if level is None:
        return "The noise grows with the light, as shot noise does; its read noise is not known"
    at = (level**2 + rounding) / shot.value
    ends = ((read.low, shot.high), (read.high, shot.low))
    low, high = (((end or level) ** 2 + rounding) / (other or shot.value) for end, other in ends)
    wide = f" (90 %: {_percent(low)} to {_percent(high)})" if high > WIDE * low else ""
    if high <= darkest:
        said = f"{grows} at all signals of the picture"
    elif not known:
        said = f"{grows} above {_percent(at)} signal, if not everywhere" if at < brightest else f"{grows}, as it seems"
    elif at >= brightest:
        seems = "" if low >= brightest else ", as it seems,"
        what = "Read-noise limited" if level**2 >= rounding else "Limited by the step between the codes in use"
        said = f"{what}{seems} at all signals of the picture, shot noise from {_percent(at)} signal on{wide}"
    else:
        said = f"{grows} above {_percent(at)} signal{wide}"
    gain_noise = plane["multiplicative"].value if _found(plane["multiplicative"]) else None
    if gain_noise and shot.value / gain_noise**2 < brightest:
        said += f", and differences in pixel gain above {_percent(max(shot.value / gain_noise**2, at))}"
    return said


def _rounding(plane: PlaneFootprint) -> float:
    """Variance of the rounding to the levels in use; normalised."""
    return (plane["quantisation"].value or 0.0) ** 2 / 12


def _gain(footprint: Footprint) -> Iterator[str]:
    gain, shot = footprint.derived.conversion_gain, footprint["shot_gain"]
    if gain.value is None or shot.flag == "weakly_identified":
        return
    if gain.low == gain.high and gain.low is not None:
        yield f"{gain.value:.4g} e-/DN, as given"
    else:
        yield f"about {number(gain.value, 2)} e-/DN"


def _sigma(footprint: Footprint) -> str:
    plane = footprint.planes[-1]
    signal, name = reference(plane, rendered=footprint.rendered is not None)
    sigma = plane.law.sigma(signal)
    low, high = bounds_at(plane, signal)
    if signal == MID_GREY or plane.span_dn is None:
        return f"sigma {by_interval(sigma, low, high)[0]} of white {name}"
    span = plane.span_dn
    ends = (None if end is None else end * span for end in (low, high))
    where = f"{100 * signal:.2g} %" if plane.white_known else f"{(plane.black_dn or 0.0) + signal * span:.4g} DN"
    return f"sigma {by_interval(sigma * span, *ends)[0]} DN {name} ({where})"


def _additions(footprint: Footprint) -> Iterator[str]:
    """What else adds: shares of the variance at the median signal, pixels that stand out, gains that differ."""
    structure, plane = footprint.structure, footprint.planes[-1]
    lines = [
        (what, share) for what, share in (("rows", structure.row_share), ("columns", structure.column_share)) if share
    ]
    for what, share in lines:
        yield f"{what} add {_percent(share)} of the variance"
    if structure.correlated_share and not isinstance(plane.law, SampledCurve):
        yield (
            f"neighbouring pixels share {_percent(structure.correlated_share)} of it"
            if lines
            else (f"neighbouring pixels share {_percent(structure.correlated_share)} of the variance")
        )
    if structure.periodic_share:
        yield f"one wave adds {_percent(structure.periodic_share)}"
    impulse = plane["impulse"]
    if _found(impulse) and impulse.value:
        yield "some pixels are replaced by black or white"
    if plane.hot_pixels is not None:
        yield f"{_percent(plane.hot_pixels.share)} of the pixels are hot"


def _probability(footprint: Footprint, flag: str) -> str:
    """Of flags that a probability raises, beside the threshold where that is known."""
    rendered = footprint.rendered
    if rendered is None or flag not in ("denoised", "upscaled"):
        return ""
    from_ = rendered.thresholds.get(flag)
    said = "" if from_ is None else f"; flagged above {100 * from_:.0f} %"
    return f" (probability {100 * getattr(rendered, flag):.0f} %{said})"


def _amount(plane: PlaneFootprint, sigma: float) -> str:
    return f"{number(sigma, 2)} of white" if plane.span_dn is None else f"{number(sigma * plane.span_dn, 2)} DN"


def _found(estimate: Estimate) -> bool:
    return counts_as_found(estimate.value, estimate.present)


def _name(estimate: Estimate) -> str:
    return estimate.name.replace("_", " ")


def _percent(share: float) -> str:
    return f"{number(100 * share, 2)} %"


def _joined(clauses: Sequence[str], footprint: Footprint) -> str:
    """One sentence; of a file with several channels it says whose, since they have no footprint in common."""
    said = "; ".join(clauses) + "."
    channels = {plane.channel for plane in footprint.planes}
    last = footprint.planes[-1].channel
    return said if len(channels) < 2 or last is None else f"Channel {last}: {said[:1].lower()}{said[1:]}"
