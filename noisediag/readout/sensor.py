"""The sensor model's numbers as the footprint of a plane: units, calibrated intervals, flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.cop.calibration import alarm_shift, factors, limit_shift
from noisediag.cop.heads import LEARNED, UNIFORM
from noisediag.cop.models import SensorAnswer, SensorModel
from noisediag.engine import torch
from noisediag.engine.orders import median, quantile
from noisediag.footprint.plane import (
    CLIPPED_SHARE,
    COARSER,
    CURVE_POINTS,
    FEW_PIXELS,
    MAX_LOG_WIDTH,
    PRESENT,
    UNSURE_SHARE,
    WEAK_RATIO,
    CurvePoint,
    Estimate,
    PlaneFootprint,
    VarianceLaw,
    in_units,
)
from noisediag.genome.parameters import PARAMETERS, Parameter
from noisediag.images.image import SPANS_ALIKE, Image, Plane
from noisediag.readout.emptiness import Bare, emptied
from noisediag.readout.gaps import cautious
from noisediag.readout.tiles import Bag, Part, by_frame, evenly, whole_shape
from noisediag.traces.lines_and_waves import Arrangement, arrangement

STRUCTURE_TILES = 4  # Rows, columns and waves are looked for in so many tiles; more cost time and change little.
MAX_COMPONENT_RATIO = 1.5  # One component's sigma over the fitted total; above 1 because the fit itself errs.
MAX_IMPLIED_RATIO = 1.5  # Shot variance that a given gain implies over the fitted variance; beyond, a warning.
# Planes differ where their widened intervals are disjoint. The half-widths of 90 % intervals are multiplied by this, so
# that four equal planes differ by chance in less than 1 % of the files (simulated; models/sensor.md).
JOINT_WIDENING = 1.6


@dataclass(frozen=True)
class NoiseLevel:
    """The noise at the median signal. `hidden`: below half a quantisation step, where one picture cannot show it."""

    signal: float
    sigma: float
    span: float  # of the signals, darkest to brightest
    hidden: bool


def read_part(
    model: SensorModel,
    part: Part,
    answers: Sequence[SensorAnswer],
    image: Image,
    gain: float | None,
    nothing: Sequence[Bare | None],
) -> tuple[list[PlaneFootprint], PlaneFootprint]:
    """The footprints of the part's groups, and the file's own: `all`, or `luma` of rendered colour.

    `answers`: those of the part's bags; `gain`: e-/DN where it is known; `nothing`: which of the bags show nothing.
    """
    count = len(part.groups)
    described = [
        plane_footprint(model, members, bag, answer, image, gain, whole=number == count or count == 1)
        for number, ((members, bag), answer) in enumerate(zip(part.bags, answers, strict=True))
    ]
    described = [
        cautious(plane, bag) if bare is None else emptied(plane, bag, bare)
        for plane, (_, bag), bare in zip(described, part.bags, nothing, strict=True)
    ]
    colours = len(by_frame(part.groups)[0]) > 1
    name = "luma" if image.domain == "rendered" and colours else "all"
    together = replace(described[-1], name=name, frame=None, channel=part.channel)
    if image.domain != "rendered" and count > 1:
        together = replace(together, shape=whole_shape([p for members in part.groups for p in members]))
    if image.domain != "rendered" and nothing[-1] is None:
        together = replace(together, hot_pixels=part.hot)
    return described[:count], together


def plane_footprint(
    model: SensorModel,
    members: Sequence[Plane],
    bag: Bag,
    answer: SensorAnswer,
    image: Image,
    gain: float | None,
    *,
    whole: bool = False,
) -> PlaneFootprint:
    """The footprint of one bag: `answer`, what `model` says of it, in units, with intervals and flags.

    `members`: the planes that the bag was cut from; `gain`: e-/DN where it is known; `whole`: the file's own plane,
    whose arrangement is looked at.
    """
    plane = _of_one_scale(members)
    span = plane.white_dn - plane.black_dn
    same_scale = all(abs(p.white_dn - p.black_dn - span) <= SPANS_ALIKE * span for p in members)
    free = not plane.offset_known
    shot = None if gain is None else 1 / (gain * span)
    law = _law(answer)
    raw = image.domain == "raw-linear"
    scale = span if same_scale else None
    estimates = _parameters(model.calibration, answer, bag, law, shot, scale, free=free, raw=raw)
    seen = _lines_and_waves(bag) if whole else None
    means = _unsaturated(answer.block_mean[0].cpu().numpy().astype(np.float64), bag)
    flags = _plane_flags(answer, plane, bag, float(model.familiarity.threshold))
    return PlaneFootprint(
        name=plane.name,
        channel=plane.channel,
        frame=plane.frame,
        shape=plane.shape,
        bit_depth=plane.bit_depth,
        black_dn=plane.black_dn if same_scale else None,
        white_dn=plane.white_dn if same_scale else None,
        scale_source=plane.scale_source,
        curve=_curve(model.calibration, answer, law, means, raw=raw, any_noise=_any_pixel_noise(estimates)),
        law=law,
        parameters=estimates,
        signal_median=float(median(means)),
        effective_sigma=float(np.sqrt(np.mean(np.square(law.sigma(means))))),
        white_known=plane.white_known,
        offset_known=plane.offset_known,
        flags=flags,
        arrangement=seen,
        missing_share=bag.missing_share,
    )


def _unsaturated(means: NDArray[np.float64], bag: Bag) -> NDArray[np.float64]:
    """The means of blocks that do not lie at a measured ceiling with all their pixels; all where all do."""
    if bag.ceiling is None:
        return means
    below = means < bag.ceiling - 1e-6
    return means[below] if below.any() else means


def _of_one_scale(members: Sequence[Plane]) -> Plane:
    """The first of `members`, with the mean of their levels."""
    black, white = (float(np.mean([getattr(p, name) for p in members])) for name in ("black_dn", "white_dn"))
    return replace(members[0], black_dn=black, white_dn=white)


def reconcile(whole: PlaneFootprint, planes: Sequence[PlaneFootprint]) -> PlaneFootprint:
    """Where the planes' own intervals are disjoint, no one value describes the file: null with `planes_differ`."""
    parameters = []
    for estimate in whole.parameters:
        bounds = [
            (own.value, own.low, own.high)
            for own in (plane[estimate.name] for plane in planes)
            if own.value is not None and own.low is not None and own.high is not None
        ]
        # Several intervals are compared at once: widened, so that equal planes rarely differ by chance alone.
        lows = [value - JOINT_WIDENING * (value - low) for value, low, _ in bounds]
        highs = [value + JOINT_WIDENING * (high - value) for value, _, high in bounds]
        if estimate.value is not None and bounds and max(lows) > min(highs):
            estimate = replace(
                estimate,
                value=None,
                low=min(low for _, low, _ in bounds),
                high=max(high for _, _, high in bounds),
                value_dn=None,
                low_dn=None,
                high_dn=None,
                flag="planes_differ",
            )
        parameters.append(estimate)
    differ = any(estimate.flag == "planes_differ" for estimate in parameters)
    flags = {*whole.flags, "planes_differ"} if differ else whole.flags
    return replace(whole, parameters=tuple(parameters), flags=tuple(sorted(flags)))


def gain_doubts(planes: Sequence[PlaneFootprint], gain: float | None) -> list[str]:
    """A warning where a given gain implies more shot noise than there is noise."""
    if gain is None:
        return []
    doubts = []
    for plane in planes:
        implied = (plane["shot_gain"].value or 0.0) * plane.signal_median
        if implied > MAX_IMPLIED_RATIO * plane.law.sigma(plane.signal_median) ** 2:
            doubts.append(f"a gain of {gain:g} e-/DN implies more shot noise than the picture has noise")
    return doubts


def hot_pixels_told(planes: Sequence[PlaneFootprint]) -> list[str]:
    """A warning for each of the file's own `planes` with hot pixels."""
    return [
        f"hot pixels{'' if plane.channel is None else f' in {plane.channel}'}: {100 * hot.share:.2g} % of the pixels "
        f"stand alone above the others, by {float(f'{hot.mean_excess_dn:.2g}'):g} DN in the mean"
        for plane in planes
        if (hot := plane.hot_pixels) is not None
    ]


def _curve(
    calibration: Mapping[str, Any],
    answer: SensorAnswer,
    law: VarianceLaw,
    means: NDArray[np.float64],
    *,
    raw: bool,
    any_noise: bool,
) -> tuple[CurvePoint, ...]:
    """The noise curve over the picture's signals; where there may be no pixel noise at all, its lower bound is 0."""
    low_factor, high_factor = factors(calibration, "curve", answer, raw=raw)
    quantiles = answer.reading.curve[0].cpu().numpy().astype(np.float64)  # (signals, levels)
    at = answer.evidence.signal[0].cpu().numpy().astype(np.float64)
    first, last = quantile(means, (0.005, 0.995))
    signals = np.linspace(first, last, CURVE_POINTS)
    sigmas = law.sigma(signals)
    below, middle, above = (np.interp(signals, at, quantiles[:, i]) for i in range(3))
    low = np.clip(middle - low_factor * (middle - below), -MAX_LOG_WIDTH, 0.0)
    high = np.clip(middle + high_factor * (above - middle), 0.0, MAX_LOG_WIDTH)
    lows = sigmas * np.exp(low) if any_noise else np.zeros_like(sigmas)
    columns = (signals, sigmas, lows, sigmas * np.exp(high))
    return tuple(CurvePoint(*point) for point in zip(*(column.tolist() for column in columns), strict=True))


def _parameters(
    calibration: Mapping[str, Any],
    answer: SensorAnswer,
    bag: Bag,
    law: VarianceLaw,
    shot: float | None,
    span: float | None,
    *,
    free: bool,
    raw: bool,
) -> tuple[Estimate, ...]:
    quantiles = answer.reading.quantiles[0].double().cpu().numpy()
    limits = answer.reading.limit[0].double().cpu().numpy()
    shifts = torch.tensor([alarm_shift(calibration, name, raw=raw) for name in LEARNED], dtype=torch.float64)
    present = (answer.reading.present[0].double().cpu() - shifts).sigmoid().numpy()
    darkest, signal, brightest = (float(x) for x in answer.evidence.signal[0])
    level = NoiseLevel(
        signal,
        law.sigma(signal),
        brightest - darkest,
        hidden=bag.step is not None and law.sigma(signal) < bag.step / 2,
    )
    upper_bounds = _upper_bounds(answer, law, free=free)
    result = []
    for declared in PARAMETERS:
        name = declared.name
        if name == "quantisation":
            result.append(in_units(_quantisation(bag), span))
            continue
        i = LEARNED.index(name)
        hidden = level.hidden and name in ("shot_gain", "read_noise")
        if name == "shot_gain" and shot is not None:
            estimate = Estimate(name, shot, shot, shot, 1.0)
        elif free and (name == "read_noise" or (name == "shot_gain" and level.span < level.sigma)):
            # without black only a range of signal shows the gain, and nothing shows the read noise
            estimate = Estimate(name, None, None, None, None, "weakly_identified")
        elif present[i] >= PRESENT and not hidden:
            estimate = _detected(declared, _calibrated(calibration, answer, name, raw=raw), float(present[i]))
        else:
            limit = max(limits[i], quantiles[i][0]) + limit_shift(calibration, name, answer, raw=raw)
            estimate = _below_detection(declared, limit, float(present[i]), level)
        if estimate.high is not None and name in upper_bounds:
            estimate = replace(estimate, high=max(min(estimate.high, upper_bounds[name]), estimate.value or 0.0))
        result.append(in_units(estimate, span))
    return tuple(result)


def _calibrated(
    calibration: Mapping[str, Any], answer: SensorAnswer, name: str, *, raw: bool
) -> tuple[float, float, float]:
    """Low end, value and high end of `name` on the head's scale, the interval stretched as calibration says."""
    low_factor, high_factor = factors(calibration, name, answer, raw=raw)
    low, middle, high = answer.reading.quantiles[0, LEARNED.index(name)].double().tolist()
    return middle - low_factor * (middle - low), middle, middle + high_factor * (high - middle)


def _lines_and_waves(bag: Bag) -> Arrangement:
    """Of a few tiles, evenly spread: more say little that these do not."""
    index = evenly(len(bag.tiles), STRUCTURE_TILES)
    return arrangement(bag.seen[index], None if bag.missing is None else bag.missing[index])


def _law(answer: SensorAnswer) -> VarianceLaw:
    law = answer.curve.law[0].double().cpu()
    return VarianceLaw(float(law[0]), float(law[1]), float(law[2]), float(answer.curve.floor[0]))


def _quantisation(bag: Bag) -> Estimate:
    if bag.tiles.min() == bag.tiles.max():  # one level has no step
        return Estimate("quantisation", None, None, None, None, "weakly_identified")
    if bag.step is None:
        return Estimate("quantisation", None, None, None, 0.0, "below_floor")
    coarser = bag.container is None or bag.step > COARSER * bag.container
    half = 1e-3 * bag.step  # the lattice is fitted to better than this
    return Estimate("quantisation", bag.step, bag.step - half, bag.step + half, 1.0 if coarser else 0.0)


def _any_pixel_noise(estimates: Sequence[Estimate]) -> bool:
    """Whether shot, read or multiplicative noise was detected, or could not be told from one another."""
    return any(
        estimate.flag != "below_floor"
        for estimate in estimates
        if estimate.name in ("shot_gain", "read_noise", "multiplicative")
    )


def _upper_bounds(answer: SensorAnswer, law: VarianceLaw, *, free: bool) -> dict[str, float]:
    """What shot, read and multiplicative noise cannot exceed, because the whole noise is smaller.

    `free`: black is not known; then only what the light has added from the darkest to the brightest signal counts.
    """
    signals = answer.evidence.signal[0].double().cpu().numpy()
    sigmas = MAX_COMPONENT_RATIO * law.sigma(signals)
    bounds = {"read_noise": float(sigmas.min())}
    light = signals - signals.min() if free else signals
    lit = light > 0
    if lit.any():
        bounds["shot_gain"] = float((sigmas[lit] ** 2 / light[lit]).min())
        bounds["multiplicative"] = float((sigmas[lit] / light[lit]).min())
    return bounds


def _to_physical(declared: Parameter, value: float) -> float:
    """From the head's scale, the natural logarithm but for the parameters of UNIFORM, none of which can be negative.

    No share of the pixels is above 1, and neither are its bounds.
    """
    if declared.name in UNIFORM:
        return max(float(value), 0.0)
    return min(float(np.exp(value)), 1.0 if declared.unit == "fraction" else np.inf)


def _detected(declared: Parameter, quantiles: tuple[float, float, float], present: float) -> Estimate:
    low, middle, high = (_to_physical(declared, q) for q in quantiles)
    flag: str | None = None
    if declared.name not in UNIFORM and high > WEAK_RATIO * low:
        flag = "weakly_identified"
    elif not declared.low <= middle <= declared.high:
        flag = "out_of_range"
    return Estimate(declared.name, middle, low, high, present, flag)


def _below_detection(declared: Parameter, limit: float, present: float, level: NoiseLevel) -> Estimate:
    """Null with an upper bound.

    Nothing says that it is absent if it may still be a good part of the noise: shot and read noise stand in for each
    other where the picture has no range of signal. Such a one is weakly identified, the others are below the floor.
    """
    bound = level.sigma if level.hidden and declared.name == "read_noise" else _to_physical(declared, limit)
    term = {"shot_gain": bound * level.signal, "read_noise": bound**2}.get(declared.name, 0.0)
    unsure = not level.hidden and term > UNSURE_SHARE * level.sigma**2
    flag = "weakly_identified" if unsure else "below_floor"
    return Estimate(declared.name, None, 0.0, bound, present, flag)


def _plane_flags(answer: SensorAnswer, plane: Plane, bag: Bag, threshold: float) -> tuple[str, ...]:
    flags = []
    if plane.scale_source == "assumed" or not plane.offset_known:
        flags.append("assumed_scale")
    lowest = -plane.black_dn / (plane.white_dn - plane.black_dn)  # the code 0
    highest = 1.0 if bag.ceiling is None else min(bag.ceiling, 1.0)
    if max((bag.tiles <= lowest).mean(), (bag.tiles >= highest).mean()) > CLIPPED_SHARE:
        flags.append("clipped")
    if bag.tiles.size < FEW_PIXELS:
        flags.append("few_pixels")
    if float(answer.distance[0]) > threshold:
        flags.append("out_of_domain")
    return tuple(flags)
