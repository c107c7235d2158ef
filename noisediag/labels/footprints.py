"""Measured laws as footprints: the parameters of the table with their intervals, and the noise curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from noisediag.errors import UnsupportedError
from noisediag.footprint.file import Footprint, Measurement
from noisediag.footprint.plane import (
    CLIPPED_SHARE,
    COARSER,
    CURVE_POINTS,
    FEW_PIXELS,
    UNSURE_SHARE,
    WEAK_RATIO,
    CurvePoint,
    Estimate,
    PlaneFootprint,
    VarianceLaw,
    in_units,
)
from noisediag.footprint.values import LEVEL, SD_90, of_draws
from noisediag.genome.correlation import autocorrelation
from noisediag.genome.parameters import NAMES, parameter
from noisediag.images.image import Image, Plane
from noisediag.labels.detection import Detection
from noisediag.labels.table import LabelRow, LabelTable
from noisediag.labels.variance_law import FittedLaw

Floats = NDArray[np.float64]

OWN = ("all", "luma")  # the names of a plane that stands for the file
LEAST_RANGE = 3.0  # standard deviations of noise that signals must span; a fixed pattern alone spans as many as 2
KERNEL_PX = (0.25, 2.0)  # rho, the widths between which a kernel is looked for; `correlation` is defined up to 2


@dataclass(frozen=True)
class PlaneMeasurement:
    """The noise of one plane, or of several together; all normalised to white - black.

    `signal`: of the pixels, any shape; `lag1`: mean correlation of a pixel's noise with its right and lower neighbour.
    A noise that is None cannot be shown by this way of measuring.
    """

    law: FittedLaw
    signal: Floats
    sums: Floats  # of `binned`, behind the law
    pairs: Floats  # of frames, behind each bin
    row: Detection | None = None
    column: Detection | None = None
    lag1: Detection | None = None
    impulse: Detection | None = None
    multiplicative: Detection | None = None  # where it is not the law's own squared term
    clipped: float = 0.0
    no_noise: bool = False  # more than noise changes between the frames


def describe(
    measured: PlaneMeasurement, plane: Plane, *, name: str, channel: str | None = None, same_scale: bool = True
) -> PlaneFootprint:
    """`measured` as the footprint of `plane`, called `name`; without DN values where several planes' scales differ."""
    span = plane.white_dn - plane.black_dn
    step = None if plane.step_dn is None else plane.step_dn / span
    floor = 0.0 if step is None else step**2 / 12
    law, signals = measured.law, measured.signal.ravel()
    square = law.square if measured.multiplicative is None else measured.multiplicative.amount**2
    curve_law = VarianceLaw(law.slope, law.intercept, square, max(floor, 1e-12 * float(law.variance(signals).mean())))
    first, last = (float(x) for x in np.quantile(signals, (0.005, 0.995)))
    at = np.linspace(first, last, CURVE_POINTS)
    extra = (square - law.square) * at**2
    drawn = np.sqrt(np.maximum(law.variances(at) + extra, curve_law.floor))
    lows, highs = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    sigmas = curve_law.sigma(at)
    columns = (at, sigmas, np.minimum(lows, sigmas), np.maximum(highs, sigmas))
    flags = []
    if plane.scale_source == "assumed" or not plane.offset_known:
        flags.append("assumed_scale")
    if measured.clipped > CLIPPED_SHARE:
        flags.append("clipped")
    if signals.size < FEW_PIXELS:
        flags.append("few_pixels")
    if measured.no_noise:
        flags.append("misfit")
    return PlaneFootprint(
        name=name,
        channel=channel,
        frame=None,
        shape=plane.shape,
        bit_depth=plane.bit_depth,
        black_dn=plane.black_dn if same_scale else None,
        white_dn=plane.white_dn if same_scale else None,
        scale_source=plane.scale_source,
        curve=tuple(CurvePoint(*point) for point in zip(*(column.tolist() for column in columns), strict=True)),
        law=curve_law,
        parameters=_parameters(measured, plane, floor, span if same_scale else None),
        signal_median=float(np.median(signals)),
        effective_sigma=float(np.sqrt(np.mean(curve_law.sigma(signals) ** 2))),
        white_known=plane.white_known,
        offset_known=plane.offset_known,
        flags=tuple(flags),
    )


def footprint_of(
    image: Image, planes: Sequence[PlaneFootprint], measurement: Measurement, *, warnings: Sequence[str] | None = None
) -> Footprint:
    """The footprint of `image` from its measured planes. `warnings` stand for those of reading it, if given."""
    flags = {flag for plane in planes for flag in plane.flags}
    if image.domain == "rendered":
        flags.add("rendered")
    return Footprint(
        planes=tuple(planes),
        domain=image.domain,
        reader=image.reader,
        checkpoint=None,
        path=image.path,
        sha256=image.sha256,
        acquisition=image.acquisition,
        flags=tuple(sorted(flags)),
        warnings=image.warnings if warnings is None else tuple(warnings),
        cfa_plane_colors=image.cfa_plane_colors,
        measurement=measurement,
    )


def label_rows(footprint: Footprint) -> tuple[LabelRow, ...]:
    """What was measured as labels of the files it was measured on, an acquisition all of them together.

    Noises below detection, and what a route cannot show, are not among a row's values. Raises UnsupportedError where
    channels have noises of their own, so that no label holds for the file.
    """
    own = footprint.planes[-1]
    if own.name not in OWN:
        raise UnsupportedError(f"{len(footprint.planes)} channels, each with noise of its own: no label is the file's")
    values = {one.name: one.value for one in own.parameters if one.value is not None}
    files = () if footprint.measurement is None else footprint.measurement.files
    return tuple(LabelRow(Path(file), values, str(footprint.path)) for file in files)


def label_table(footprints: Sequence[Footprint]) -> LabelTable:
    """The `label_rows` of all `footprints`. Raises as they do."""
    rows = tuple(row for footprint in footprints for row in label_rows(footprint))
    names = tuple(name for name in NAMES if any(name in row.values for row in rows))
    return LabelTable(names, {name: parameter(name).unit for name in names}, rows)


def _parameters(measured: PlaneMeasurement, plane: Plane, floor: float, span: float | None) -> tuple[Estimate, ...]:
    law, median = measured.law, float(np.median(measured.signal))
    variance = max(float(law.variance(np.array([median]))[0]), floor)
    # Without black only a range of signal shows the gain.
    unseen = not plane.offset_known and _range_of(measured.signal) < LEAST_RANGE * math.sqrt(variance)
    unseen |= measured.no_noise
    shot = _drawn("shot_gain", law.slope, law.slopes, unsure=lambda high: high * median > UNSURE_SHARE * variance)
    without = {
        "shot_gain": Estimate("shot_gain", None, None, None, None, "weakly_identified") if unseen else shot,
        "read_noise": _read_noise(law, floor, variance)
        if plane.offset_known
        else Estimate("read_noise", None, None, None, None, "weakly_identified"),
        "multiplicative": _multiplicative(measured),
        "impulse": _detected("impulse", measured.impulse),
        "quantisation": _quantisation(plane),
        "row_noise": _detected("row_noise", measured.row),
        "column_noise": _detected("column_noise", measured.column),
        "correlation": _correlation(measured.lag1),
    }
    return tuple(in_units(without[name], span) for name in NAMES)


def _range_of(signal: Floats) -> float:
    """Between the 0.5 % and the 99.5 % quantile."""
    low, high = np.quantile(signal, (0.005, 0.995))
    return float(high - low)


def _drawn(name: str, value: float, draws: Floats, *, unsure: Callable[[float], bool]) -> Estimate:
    """A value with the draws' interval; null with an upper bound where that reaches 0."""
    value, low, high = of_draws(value, draws)
    if low <= 0:
        flag = "weakly_identified" if unsure(max(high, 0.0)) else "below_floor"
        return Estimate(name, None, 0.0, max(high, 0.0), 0.0, flag)
    return Estimate(name, value, low, high, 1.0, "weakly_identified" if high > WEAK_RATIO * low else None)


def _read_noise(law: FittedLaw, floor: float, variance: float) -> Estimate:
    """From the variance without light, less that of the quantisation."""
    draws = np.sqrt(np.maximum(law.intercepts - floor, 0.0))
    value = math.sqrt(max(law.intercept - floor, 0.0))
    return _drawn("read_noise", value, draws, unsure=lambda high: high**2 > UNSURE_SHARE * variance)


def _multiplicative(measured: PlaneMeasurement) -> Estimate:
    law = measured.law
    if measured.multiplicative is not None:
        return _detected("multiplicative", measured.multiplicative)
    if law.square > 0:
        root = np.sqrt(np.maximum(law.squares, 0.0))
        return _drawn("multiplicative", math.sqrt(law.square), root, unsure=lambda _: False)
    if law.square_limit is None:
        return Estimate("multiplicative", None, None, None, None)
    return Estimate("multiplicative", None, 0.0, math.sqrt(law.square_limit), 0.0, "below_floor")


def _detected(name: str, detection: Detection | None) -> Estimate:
    if detection is None:
        return Estimate(name, None, None, None, None)
    bounded = detection.bounded
    if bounded.value is None:
        return Estimate(name, None, bounded.low, bounded.high, 0.0, "below_floor")
    return Estimate(name, bounded.value, bounded.low, bounded.high, 1.0)


def _quantisation(plane: Plane) -> Estimate:
    if plane.step_dn is None:
        return Estimate("quantisation", None, None, None, 0.0, "below_floor")
    step = plane.step_dn / (plane.white_dn - plane.black_dn)
    coarser = plane.step_dn > COARSER and not math.log2(plane.step_dn).is_integer()
    return Estimate("quantisation", step, step, step, 1.0 if coarser else 0.0)


def _correlation(lag1: Detection | None) -> Estimate:
    """The kernel's width that leaves such a correlation with the next pixel."""
    if lag1 is None:
        return Estimate("correlation", None, None, None, None)
    if not lag1.amount > 0:
        return Estimate("correlation", None, 0.0, _kernel_width(lag1.limit), 0.0, "below_floor")
    low, value, high = (_kernel_width(lag1.amount + sign * SD_90 * lag1.error) for sign in (-1, 0, 1))
    beyond = lag1.amount > _correlation_of(KERNEL_PX[1])
    return Estimate("correlation", value, low, high, 1.0, "out_of_range" if beyond else None)


def _correlation_of(rho: float) -> float:
    """With the next pixel, of noise with a kernel of `rho` px."""
    return float(autocorrelation(rho, 1)[0, 1])


def _kernel_width(lag1: float) -> float:
    """In px, within KERNEL_PX, of the kernel that leaves a correlation of `lag1` with the next pixel."""
    narrowest, widest = KERNEL_PX
    if lag1 <= _correlation_of(narrowest):
        return narrowest
    if lag1 >= _correlation_of(widest):
        return widest
    return float(optimize.brentq(lambda rho: _correlation_of(rho) - lag1, narrowest, widest))
