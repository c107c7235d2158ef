"""What contradicts a plane's footprint, and what is left of it then: laws other than photons, misfit, uneven noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from noisediag.cop.doubt_head import LAWS, OTHER_LAWS_FROM, TROUBLES, law_margin
from noisediag.cop.doubts import rician_variance
from noisediag.cop.models import SensorAnswer
from noisediag.engine import torch
from noisediag.errors import CheckpointError
from noisediag.footprint.derived import neighbours_share
from noisediag.footprint.plane import (
    BlackCheck,
    CurvePoint,
    Estimate,
    LightLaw,
    PlaneFootprint,
    SampledCurve,
    VarianceLaw,
    counts_as_found,
    in_units,
)
from noisediag.images.image import Domain, Plane
from noisediag.readout.tiles import Part

SUSPECTED = 2.0  # so much below the alarm's logit unevenness is likely enough for the intervals to hold it
LOUDER = 0.8  # ln: of the energy in the quietest blocks of a region over those of another, that suspects it, too,
AS_FLAT = 0.5  # where the spectrum there does not fall by more than so much, ln: it is no texture
LAW_EXCESS = 10.0  # chi-square by which another law may fit worse than photons on any black, and still be told
LEAST_SPAN = 0.2  # of the brightest signal: a picture of one level shows no line, so not where it meets zero
SUSPECTED_BLACK = 0.5  # logit from which a doubtful black may explain a gain noise, short of an alarm
BENT = 0.03  # of the variance at the bright end: a gain noise of less bends nothing
DOUBTFUL_ERRORS = 3.0  # standard errors of the intercept below zero
LINE_EXCESS = 4.0  # chi-square: a straight line that fits no worse than by this
SAMPLES = 129  # of a curve without a formula
LEAST_SIGMA = 0.05  # of the greatest one: a sampled curve is not laid lower
ROOM = 1.1  # around the noise of the quietest and the loudest cells, which is known to some percent
PART_DIFFERS = 1.15  # sigma over the fitted one, or the inverse, that is named as the way in which the law fails
UNDONE = {  # what each law of light does not have
    "speckle": ("shot_gain",),
    "rician": ("shot_gain", "multiplicative"),
    "grain": ("shot_gain", "read_noise", "multiplicative"),
}
WORDS = {
    "speckle": "the noise is that of speckle, in proportion to the signal: there are no electrons to count",
    "rician": "the noise is that of a Rician magnitude: there are no electrons to count",
    "grain": "the noise is that of film grain: there are no electrons to count",
}


@dataclass(frozen=True)
class Doubted:
    """A plane as far as it can be believed, what is to be said of it, and how uneven its noise is (sigma, factors)."""

    plane: PlaneFootprint
    warnings: tuple[str, ...] = ()
    uneven: tuple[float, float] | None = None


def raised(calibration: Mapping[str, Any], answer: SensorAnswer, *, raw: bool) -> frozenset[str]:
    """Which of TROUBLES the picture shows beyond what ordinary ones reach; none without a head that doubts.

    `raw`: it is a RAW file, which is compared with RAW files.
    """
    if answer.doubted is None:
        return frozenset()
    return frozenset(name for name in TROUBLES if _trouble(answer, name) > _alarm(calibration, name, raw))


def doubt_part(
    calibration: Mapping[str, Any],
    answers: Sequence[SensorAnswer],
    planes: Sequence[PlaneFootprint],
    whole: PlaneFootprint,
    domain: Domain,
) -> tuple[list[PlaneFootprint], Doubted]:
    """The planes of a part and the file's own, each held against its own of `answers`; those are the bags'."""
    own = [
        doubt(calibration, answer, plane, domain, whole=False).plane
        for answer, plane in zip(answers, planes, strict=False)
    ]
    return own, doubt(calibration, answers[-1], whole, domain, whole=True)


def black_check(calibration: Mapping[str, Any], answers: Sequence[SensorAnswer], part: Part) -> BlackCheck | None:
    """The black that the variance of the part's own bag contradicts, and the one that it shows; None: none is."""
    members, _ = part.bags[-1]
    answer, plane = answers[-1], members[0]
    zero = black_zero(answer)
    dark, _, bright = (float(x) for x in answer.evidence.signal[0])
    if not plane.offset_known or zero <= 0 or bright - dark < LEAST_SPAN * bright:
        return None
    if not (
        "black" in raised(calibration, answer, raw=plane.lattice is not None) or _gain_noise_stands_in(answer, part)
    ):
        return None
    return BlackCheck(plane.black_dn, plane.black_dn + zero * (plane.white_dn - plane.black_dn), "variance")


def _gain_noise_stands_in(answer: SensorAnswer, part: Part) -> bool:
    """Whether the fit of a RAW file bends by a gain noise where a straight line on another black does as well.

    No sensor's pixels differ by as much as most inventions do.
    """
    members, _ = part.bags[-1]
    if members[0].lattice is None:
        return False
    fits, square = answer.doubts.fits, float(answer.curve.law[0, 2])
    intercept, error = float(fits.line[0, 1]), float(fits.line_error[0])
    bends = square * float(answer.evidence.signal[0, 2]) ** 2 > BENT * float(answer.evidence.sigma[0, 2]) ** 2
    suspected = _trouble(answer, "black") > SUSPECTED_BLACK
    return suspected and bends and intercept < -DOUBTFUL_ERRORS * error and float(fits.line_excess[0]) < LINE_EXCESS


def without_black(part: Part) -> Part:
    """`part` with planes whose black nobody knows."""

    def unknown(planes: Sequence[Plane]) -> tuple[Plane, ...]:
        return tuple(replace(plane, offset_known=False) for plane in planes)

    return replace(
        part,
        groups=tuple(unknown(group) for group in part.groups),
        bags=tuple((unknown(members), bag) for members, bag in part.bags),
    )


def with_black(plane: PlaneFootprint, black: BlackCheck) -> PlaneFootprint:
    """`plane`, read with an unknown black, told why."""
    stated = plane.scale_source != "assumed"
    kept = [flag for flag in plane.flags if not (stated and flag == "assumed_scale")]
    return replace(plane, black=black, flags=tuple(sorted({*kept, "black_doubtful"})))


def black_words(black: BlackCheck) -> str:
    """The warning that goes with it."""
    return (
        f"the noise vanishes at {black.fitted_dn:.4g} DN, not at the stated black {black.stated_dn:g}: black counts as "
        "unknown"
    )


def black_zero(answer: SensorAnswer) -> float:
    """Where the line through the blocks' variances meets zero, normalised: the black that would explain them."""
    slope, intercept = (float(value) for value in answer.doubts.fits.line[0])
    return -intercept / slope if slope > 0 else 0.0


def doubt(
    calibration: Mapping[str, Any], answer: SensorAnswer, plane: PlaneFootprint, domain: Domain, *, whole: bool
) -> Doubted:
    """`plane`, the reading of `answer`, with what contradicts it taken into account.

    `whole`: the file's own plane, of which warnings are given.
    """
    if answer.doubted is None or plane.says_nothing:
        return Doubted(plane)
    plane = replace(plane, correlated_share=_correlated_share(answer, plane))
    raw = domain == "raw-linear"
    light = law_of(calibration, answer, plane, raw=raw)
    warnings: list[str] = []
    if light is not None and light.name in UNDONE:
        plane = _under(light.name, answer, plane)
        warnings.append(WORDS[light.name])
    found = counts_as_found(plane["correlation"].value, plane["correlation"].present)
    if found and raw:
        light = LightLaw("processed", plane["correlation"].present or 0.0)
        plane = _without(plane, ("shot_gain",), "smoothed")
        warnings.append("neighbouring pixels of this RAW file share their noise: it was filtered, no electrons count")
    elif neighbours_share(plane) and plane["shot_gain"].value is not None:
        warnings.append(
            "neighbouring pixels share their noise: the shot gain is the slope of its variance, no electrons"
        )
    plane = replace(plane, light=light)
    troubles = raised(calibration, answer, raw=raw)
    if light is not None and light.name not in ("photon", "additive"):
        troubles -= {"misfit"}  # the law that fits has taken its place
    if "misfit" in troubles:
        plane = replace(plane, curve=_both_readings(plane, answer), flags=_with(plane.flags, "misfit"))
        warnings.append(f"the noise does not follow the law that was fitted: {_respect(answer)}")
    uneven = None
    if _trouble(answer, "uneven") > _alarm(calibration, "uneven", raw) - SUSPECTED or _louder_region(answer):
        extremes = _extremes(answer)
        plane = _wide_enough(plane, *extremes)
        if "uneven" in troubles:
            uneven = extremes
            plane = replace(plane, flags=_with(plane.flags, "uneven"))
            factors = f"{uneven[0]:.2g} to {uneven[1]:.2g} times the curve"
            warnings.append(f"the noise differs between parts of the picture, {factors}")
    return Doubted(plane, tuple(warnings) if whole else (), uneven if whole else None)


def law_of(
    calibration: Mapping[str, Any], answer: SensorAnswer, plane: PlaneFootprint, *, raw: bool
) -> LightLaw | None:
    """What the noise follows; None where there is no noise to follow anything."""
    assert answer.doubted is not None
    logits = answer.doubted.law[:1].double().cpu()
    probability = logits.softmax(1)[0]
    margins = law_margin(logits)[0]
    others = [
        (float(margins[i]) - _alarm(calibration, name, raw), name, float(probability[OTHER_LAWS_FROM + i]))
        for i, name in enumerate(LAWS[OTHER_LAWS_FROM:])
    ]
    excess = answer.doubts.fits.law_excess[0].tolist()
    fitting = [other for other, worse in zip(others, excess, strict=True) if worse < LAW_EXCESS]
    best = max(fitting, default=(0.0, "", 0.0))
    if best[0] > 0:
        return LightLaw(best[1], best[2])
    ordinary = float(probability[:OTHER_LAWS_FROM].sum())
    if counts_as_found(plane["shot_gain"].value, plane["shot_gain"].present):
        return LightLaw("photon", ordinary)
    additive = float(probability[LAWS.index("additive")])
    if counts_as_found(plane["read_noise"].value, plane["read_noise"].present) and additive > ordinary / 2:
        return LightLaw("additive", ordinary)
    return None


def _under(name: str, answer: SensorAnswer, plane: PlaneFootprint) -> PlaneFootprint:
    """`plane` under one of the laws of UNDONE: its curve laid anew, and the parameters that it does not have null."""
    plane = _without(plane, UNDONE[name])
    if name == "speckle":
        return plane
    fits = answer.doubts.fits
    seen_to = min(max(1.5 * max(point.signal for point in plane.curve), 1e-6), 1.0)
    x = np.unique(np.concatenate([np.linspace(0.0, seen_to, SAMPLES), [1.0]]))
    if name == "rician":
        sigma = float(fits.rician[0])
        sigmas = rician_variance(torch.from_numpy(x)[None], fits.rician[:1].double().cpu()).sqrt()[0].numpy()
        plane = _with_read_noise(plane, sigma)
    else:
        linear, square = (float(value) for value in fits.grain[0])
        sigmas = np.sqrt(np.maximum(linear * x + square * x**2, 0.0))
    seen = np.interp([p.signal for p in plane.curve], x, sigmas)
    law = SampledCurve(tuple(x.tolist()), tuple(np.maximum(sigmas, LEAST_SIGMA * seen.max()).tolist()))
    return _on_curve(plane, law)


def _on_curve(plane: PlaneFootprint, law: SampledCurve) -> PlaneFootprint:
    """`plane` on another curve; its relative intervals stay."""
    points = []
    for point in plane.curve:
        sigma = law.sigma(point.signal)
        ratio = sigma / point.sigma if point.sigma > 0 else 1.0
        points.append(CurvePoint(point.signal, sigma, point.low * ratio, point.high * ratio))
    scale = law.sigma(plane.signal_median) / max(plane.law.sigma(plane.signal_median), 1e-12)
    return replace(plane, law=law, curve=tuple(points), effective_sigma=plane.effective_sigma * scale)


def _with_read_noise(plane: PlaneFootprint, sigma: float) -> PlaneFootprint:
    """`plane` with the Gaussian sigma of a Rician magnitude as its read noise, as sure as its curve is."""
    middle = plane.curve[len(plane.curve) // 2]
    low, high = (sigma * bound / middle.sigma if middle.sigma > 0 else sigma for bound in (middle.low, middle.high))
    estimate = in_units(Estimate("read_noise", sigma, min(low, sigma), max(high, sigma), 1.0), plane.span_dn)
    return _replaced(plane, {"read_noise": estimate})


def _without(plane: PlaneFootprint, names: Sequence[str], flag: str | None = None) -> PlaneFootprint:
    """`plane` with null for what cannot be told of it, and a `flag` of the plane that says why."""
    cleared = {
        name: replace(
            plane[name],
            value=None,
            low=None,
            high=None,
            value_dn=None,
            low_dn=None,
            high_dn=None,
            present=None,
            flag="weakly_identified",
        )
        for name in names
    }
    plane = _replaced(plane, cleared)
    return plane if flag is None else replace(plane, flags=_with(plane.flags, flag))


def _replaced(plane: PlaneFootprint, estimates: Mapping[str, Estimate]) -> PlaneFootprint:
    return replace(plane, parameters=tuple(estimates.get(e.name, e) for e in plane.parameters))


def _correlated_share(answer: SensorAnswer, plane: PlaneFootprint) -> float | None:
    """Of the noise's variance at the median signal, the part that the correlation describes; 0 where there is none."""
    estimate = plane["correlation"]
    if not counts_as_found(estimate.value, estimate.present):
        return 0.0 if estimate.flag == "below_floor" else None
    if not isinstance(plane.law, VarianceLaw):
        return None
    darkest = min((point.sigma**2 for point in plane.curve), default=0.0)
    white = float(answer.curve.white_logit[0].sigmoid()) * darkest
    variance = plane.law.sigma(plane.signal_median) ** 2
    return float(np.clip(1 - white / variance, 0, 1)) if variance > 0 else None


def _both_readings(plane: PlaneFootprint, answer: SensorAnswer) -> tuple[CurvePoint, ...]:
    """The curve with intervals that hold what each part of the signal shows by itself, too."""
    parts = answer.doubts.fits.by_signal[0].double().cpu().numpy()  # (PARTS, 2)
    order = np.argsort(parts[:, 0])
    at, factor = parts[order, 0], np.sqrt(np.maximum(parts[order, 1], 1e-4))
    points = []
    for point in plane.curve:
        other = point.sigma * float(np.interp(point.signal, at, factor))
        below, above = (point.sigma / max(point.low, 1e-12), point.high / max(point.sigma, 1e-12))
        wide = max(below, above, PART_DIFFERS)
        points.append(replace(point, low=min(point.low, other / wide), high=max(point.high, other * wide)))
    return tuple(points)


def _respect(answer: SensorAnswer) -> str:
    """In which respect the law fails, in words."""
    parts = np.sqrt(np.maximum(answer.doubts.fits.by_signal[0, :, 1].double().cpu().numpy(), 1e-4))
    if max(parts.max(), 1 / parts.min()) > PART_DIFFERS:
        return f"parts of the signal have {parts.min():.2g} to {parts.max():.2g} times its sigma"
    return "its spectrum or its distribution is another one"


def _wide_enough(plane: PlaneFootprint, low: float, high: float) -> PlaneFootprint:
    """`plane` with intervals that also hold the noise of parts with `low` and `high` times its sigma."""
    curve = tuple(
        replace(point, low=min(point.low, point.sigma * low), high=max(point.high, point.sigma * high))
        for point in plane.curve
    )
    shot = plane["shot_gain"]
    if shot.value is None or shot.low is None or shot.high is None or shot.low == shot.high:  # a gain that was given
        return replace(plane, curve=curve)
    wide = in_units(replace(shot, low=shot.low * low**2, high=shot.high * high**2), plane.span_dn)
    return replace(_replaced(plane, {"shot_gain": wide}), curve=curve)


def _trouble(answer: SensorAnswer, name: str) -> float:
    """The logit of one of TROUBLES."""
    assert answer.doubted is not None
    return float(answer.doubted.trouble[0, TROUBLES.index(name)])


def _louder_region(answer: SensorAnswer) -> bool:
    """Whether the quietest blocks of a half, or a tile, are much louder than those of another, and as white."""
    loud, quiet = answer.doubts.fits.by_region[0].double().cpu().numpy().transpose(1, 2, 0)  # (level, slope), regions
    return bool(np.any((loud[0] - quiet[0] > LOUDER) & (loud[1] > quiet[1] - AS_FLAT)))


def _extremes(answer: SensorAnswer) -> tuple[float, float]:
    """Sigma over the fitted one in the quietest and the loudest cells, with some room."""
    low, high = np.sqrt(np.maximum(answer.doubts.fits.by_cell[0].double().cpu().numpy(), 1e-6))
    return float(min(low / ROOM, 1.0)), float(max(high * ROOM, 1.0))


def _alarm(calibration: Mapping[str, Any], name: str, raw: bool) -> float:
    try:
        return float(calibration["doubts_raw" if raw else "doubts"][name])
    except KeyError as error:
        raise CheckpointError(f"the checkpoint has no false-alarm calibration for {name}") from error


def _with(flags: tuple[str, ...], flag: str) -> tuple[str, ...]:
    return tuple(sorted({*flags, flag}))
