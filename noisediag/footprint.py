"""What an estimate is: values with intervals and flags, the noise curve, and what follows from them in physical units.

Everything derived (electrons, decibels, stops, DNG and EMVA 1288 quantities) is computed here by pure functions of the
estimated plane, never predicted. All signals and sigmas are normalised: x = (DN - black) / (white - black).
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, overload

import numpy as np

from noisediag.genome.correlation import autocorrelation, kernel
from noisediag.genome.parameters import parameter
from noisediag.structure import Arrangement

LEVEL = 0.9  # of every interval
MAX_LOG_WIDTH = 7.0  # of half an interval of the curve, natural logarithm
MID_GREY = 0.18  # signal at which sigma and SNR are quoted
PRESENT = 0.5  # below this probability a noise counts as absent
WEAK_RATIO = 3.0  # high / low of an interval that no longer identifies the value
UNSURE_SHARE = 0.3  # of the variance: a noise whose upper bound is above this share is not known to be absent
CLIPPED_SHARE = 0.05  # of the pixels
FEW_PIXELS = 64 * 64
CURVE_POINTS = 16
COARSER = 1.5  # times the container's step: quantisation is a noise of its own

FLAGS = (
    "below_floor",
    "weakly_identified",
    "planes_differ",
    "out_of_range",
    "out_of_domain",
    "clipped",
    "few_pixels",
    "rendered",
    "assumed_scale",
    "denoised",
    "upscaled",
    "resaved",
)


@dataclass(frozen=True)
class Estimate:
    """One parameter. `value` None: unknown, and `flag` says why (`below_floor`: low 0, high = the detection limit).

    Of a measurement that cannot show it, a parameter has neither value nor flag.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    present: float | None  # probability that this noise is there at all
    flag: str | None = None
    symbol: str = ""
    unit: str = ""
    value_dn: float | None = None
    low_dn: float | None = None
    high_dn: float | None = None
    level: float = LEVEL
    word: str | None = None  # of a class that the user's own head tells; `value` is None then


def in_units(estimate: Estimate, span: float | None) -> Estimate:
    """`estimate` with symbol, unit and, where it scales with it and `span` (white - black) is known, values in DN."""
    declared = parameter(estimate.name)

    def dn(value: float | None) -> float | None:
        return None if value is None or span is None or not declared.scales_with_dn else value * span

    return replace(
        estimate,
        symbol=declared.symbol,
        unit=declared.unit,
        value_dn=dn(estimate.value),
        low_dn=dn(estimate.low),
        high_dn=dn(estimate.high),
    )


@dataclass(frozen=True)
class CurvePoint:
    """Standard deviation of the pixel noise, with its interval, at one clean signal; all normalised."""

    signal: float
    sigma: float
    low: float
    high: float


@dataclass(frozen=True)
class VarianceLaw:
    """sigma2(x) = shot*x + intercept + square*x^2; `intercept` includes q^2/12 and may be negative (unknown offset)."""

    shot: float
    intercept: float
    square: float
    floor: float  # the curve never falls below: q^2/12, or a small share of the mean variance where that is more

    @overload
    def sigma(self, x: float) -> float: ...

    @overload
    def sigma(self, x: np.ndarray) -> np.ndarray: ...

    def sigma(self, x: float | np.ndarray) -> float | np.ndarray:
        """Standard deviation of the pixel noise at clean signal `x` (a number or an array); all normalised.

        >>> VarianceLaw(shot=1e-4, intercept=4e-6, square=0.0, floor=0.0).sigma(0.0)
        0.002
        """
        variance = np.maximum(self.shot * x + self.intercept + self.square * x * x, self.floor)
        sigma = np.sqrt(variance)
        return sigma if isinstance(x, np.ndarray) else float(sigma)


@dataclass(frozen=True)
class SampledCurve:
    """A noise curve without a formula: straight lines in the variance over sqrt(signal) between samples.

    Constant beyond the first and the last. `signals` increase from 0 to 1, `sigmas` are positive; both normalised.
    """

    signals: tuple[float, ...]
    sigmas: tuple[float, ...]

    @overload
    def sigma(self, x: float) -> float: ...

    @overload
    def sigma(self, x: np.ndarray) -> np.ndarray: ...

    def sigma(self, x: float | np.ndarray) -> float | np.ndarray:
        """Standard deviation of the pixel noise at clean signal `x` (a number or an array); all normalised.

        >>> round(SampledCurve((0.0, 1.0), (0.01, 0.07)).sigma(0.25), 6)
        0.05
        """
        at = np.sqrt(np.clip(x, 0.0, 1.0))
        sigma = np.sqrt(np.interp(at, np.sqrt(self.signals), np.square(self.sigmas)))
        return sigma if isinstance(x, np.ndarray) else float(sigma)


@dataclass(frozen=True)
class Spatial:
    """How the noise of one plane of a rendered picture is spread, whatever processing did it.

    `lag1_h`, `lag1_v`: correlation with the next pixel to the right and below. `equivalent_blur_px`: width of the
    kernel exp(-d^2/(2 rho^2)) that correlates white noise as much. `sigma_after_area`: standard deviation after
    averaging squares of AREAS pixels a side, normalised.
    """

    name: str
    lag1_h: float
    lag1_v: float
    equivalent_blur_px: float
    sigma_after_area: tuple[float, ...]


@dataclass(frozen=True)
class Rendered:
    """What a picture shows of its processing. Probabilities lie in 0..1; None: unknown or meaningless.

    `processed`: probability that the noise went through more than rounding to codes. `channel_correlation`: of the
    noise in R and G, G and B, R and B. `block_strength`: see `jpeg.block_strength`.
    """

    planes: tuple[Spatial, ...]  # as the file's planes; the last one is luma, or the only plane
    processed: float
    denoised: float
    upscaled: float
    channel_correlation: tuple[float, float, float] | None
    jpeg_quality: int | None
    jpeg_standard: bool | None  # its quantisation tables are libjpeg's, not a camera's
    block_strength: float | None
    resaved: bool | None
    flags: frozenset[str] = frozenset()  # of the closed list: beyond what pictures without them reach


@dataclass(frozen=True)
class Quantity:
    """A derived quantity under its own symbol and unit. Bounds are None where the interval does not carry over."""

    symbol: str
    unit: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class PlaneFootprint:
    """The footprint of one plane, or of one bag of planes (`all`, `luma`)."""

    name: str
    shape: tuple[int, int]
    bit_depth: int | None
    black_dn: float | None
    white_dn: float | None
    scale_source: str
    curve: tuple[CurvePoint, ...]
    law: VarianceLaw | SampledCurve
    parameters: tuple[Estimate, ...]
    signal_median: float
    effective_sigma: float  # square root of the mean of sigma^2 over the signal histogram
    channel: str | None = None
    frame: int | None = None
    white_known: bool = True
    offset_known: bool = True
    flags: tuple[str, ...] = ()
    arrangement: Arrangement | None = None  # of the file's own footprint; None: not looked at
    dark_pattern: Quantity | None = None  # EMVA 1288 DSNU, where dark frames were measured

    @property
    def label(self) -> str:
        """What people call it: channel, name and frame, nothing said twice."""
        names = [part for part in (self.channel, self.name) if part is not None]
        frame = [] if self.frame is None else [f"frame {self.frame}"]
        return " ".join([*dict.fromkeys(names), *frame])

    def __getitem__(self, name: str) -> Estimate:
        """The estimate called `name`. Raises KeyError, naming what there is."""
        for estimate in self.parameters:
            if estimate.name == name:
                return estimate
        raise KeyError(f"no parameter {name!r}; there are: {', '.join(e.name for e in self.parameters)}")


@dataclass(frozen=True)
class Derived:
    """What follows from one plane. None: unknown, unidentified, or meaningless (no electrons in rendered pictures)."""

    sigma_at_18pct: float  # normalised
    snr_db_at_18pct: float | None
    read_noise_e: float | None
    electrons_at_white: float | None
    dynamic_range_stops: float | None
    dng_noise_profile: tuple[tuple[float, float], ...] | None  # (S, O) of DNG tag 51041; one pair, or one per colour
    K: Quantity  # EMVA 1288 system gain, DN/e-
    conversion_gain: Quantity  # its inverse, e-/DN
    sigma_d: Quantity  # EMVA 1288 temporal dark noise: the read noise in electrons
    PRNU1288: Quantity
    DSNU1288: Quantity  # one picture cannot tell a fixed dark pattern from a temporal one: known of dark frames only
    signal_median: float  # normalised
    sigma_at_median: float  # normalised
    snr_db_at_median: float | None
    sigma_effective: float  # normalised; square root of the mean of sigma^2 over the signal histogram


@dataclass(frozen=True)
class Structure:
    """How the noise lies. Shares are of sigma_total^2 at the median signal; lags are of the pixel noise alone.

    `correlated_share`: what a pixel has from the noise of its neighbours; `periodic_share`: one wave over the picture.
    `pixel_independent`: none of them was found; None: not all of them can be seen in this picture.
    """

    row_share: float | None
    column_share: float | None
    lag1_h: float | None
    lag1_v: float | None
    correlated_share: float | None
    periodic_share: float | None
    pixel_independent: bool | None

    @property
    def verdict(self) -> str:
        """One sentence on what Noise2Void and its kind assume: noise that is independent from pixel to pixel."""
        shares = {
            "row": self.row_share,
            "column": self.column_share,
            "correlated": self.correlated_share,
            "periodic": self.periodic_share,
        }
        if self.pixel_independent is None:
            unknown = ", ".join(name for name, value in shares.items() if value is None)
            return f"It is not known whether the noise is independent from pixel to pixel: {unknown} noise is not seen."
        if self.pixel_independent:
            return (
                "No row, column, correlated or periodic noise was found: the noise is independent from pixel to pixel, "
                "as Noise2Void and its kind assume."
            )
        found = ", ".join(f"{100 * value:.2g} % {name}" for name, value in shares.items() if value)
        return (
            f"The noise is not independent from pixel to pixel ({found}): Noise2Void and its kind would take that for "
            "picture."
        )


@dataclass(frozen=True)
class CheckpointId:
    """Which trained model an estimate comes from."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Rejected:
    """What a measurement left out, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class Measurement:
    """How a footprint was measured. `route`: repeats, flats or pairs; `quantities`: what else was found on the way."""

    route: str
    files: tuple[str, ...]
    frames: int
    frames_used: int
    rejected: tuple[Rejected, ...] = ()
    quantities: tuple[Quantity, ...] = ()


@dataclass(frozen=True)
class Footprint:
    """The noise of one file. `planes[-1]` is the file's own footprint (`all`, or `luma` for rendered colour).

    `measurement`: how it was measured; None: it is an estimate, of a model, the `checkpoint`. `measured`: beside an
    estimate, what the frames of the same stack show by their differences.
    """

    planes: tuple[PlaneFootprint, ...]
    domain: str
    reader: str
    checkpoint: CheckpointId | None
    path: str | None = None
    sha256: str | None = None
    acquisition: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    cfa_plane_colors: tuple[str, ...] = ()  # order of the NoiseProfile's pairs; empty: one pair
    rendered: Rendered | None = None  # of pictures whose domain is "rendered"
    measurement: Measurement | None = None
    measured: Footprint | None = None

    def __getitem__(self, name: str) -> Estimate:
        """The file's own estimate called `name`. Raises KeyError, naming what there is."""
        return self.planes[-1][name]

    @overload
    def sigma(self, x: float) -> float: ...

    @overload
    def sigma(self, x: np.ndarray) -> np.ndarray: ...

    def sigma(self, x: float | np.ndarray) -> float | np.ndarray:
        """Standard deviation of the pixel noise at clean signal `x` (a number or an array); all normalised."""
        return self.planes[-1].law.sigma(x)

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """What the measurement left out; nothing of an estimate."""
        return () if self.measurement is None else self.measurement.rejected

    @property
    def curve(self) -> tuple[CurvePoint, ...]:
        """The file's own noise curve."""
        return self.planes[-1].curve

    @property
    def derived(self) -> Derived:
        """What follows from the file's own footprint, with the DNG NoiseProfile of its colours."""
        return derive(self.planes[-1], domain=self.domain, noise_profile=self._noise_profile())

    @property
    def structure(self) -> Structure:
        """How the noise of the file's own footprint is arranged."""
        return arrange(self.planes[-1])

    def tags(self) -> dict[str, Any]:
        """`acquisition` in plain types, as `to_dict` has it."""
        return {_text(str(key)): _plain(item) for key, item in self.acquisition.items()}

    def to_dict(self) -> dict[str, Any]:
        """The `images[i]` object of `noisediag.report/1`: plain types, no NaN, 6 significant digits, unknown None."""
        return {
            **path_fields(self.path),
            "sha256": self.sha256,
            "status": "ok",
            "reader": self.reader,
            "domain": self.domain,
            "acquisition": self.tags(),
            "planes": [plane_dict(plane) for plane in self.planes],
            "derived": _plain(self.derived),
            "structure": {**_plain(self.structure), "verdict": self.structure.verdict},
            "rendered": None if self.rendered is None else _rendered_dict(self.rendered),
            "flags": list(self.flags),
            "warnings": [_text(warning) for warning in self.warnings],
            **({} if self.measurement is None else {"how": "measured", "measurement": _plain(self.measurement)}),
            **({} if self.measured is None else {"measured": self.measured.to_dict()}),
        }

    def _noise_profile(self) -> tuple[tuple[float, float], ...] | None:
        if self.domain == "rendered" or not self.planes[-1].offset_known:
            return None
        if not self.cfa_plane_colors:
            return (noise_profile(self.planes[-1:]),)
        by_colour = [
            [plane for plane in self.planes[:-1] if plane.name.rstrip("0123456789") == colour]
            for colour in self.cfa_plane_colors
        ]
        # A colour that was not measured (another plane was selected) leaves no valid tag.
        return tuple(noise_profile(planes) for planes in by_colour) if all(by_colour) else None


def derive(
    plane: PlaneFootprint, *, domain: str, noise_profile: tuple[tuple[float, float], ...] | None = None
) -> Derived:
    """What follows from `plane` in physical units.

    Electrons need a linear domain, values relative to white a known black and white, and an SNR a known black. The
    interval of read noise in electrons joins the ends of both intervals, so it is at least as wide as its level says.
    """
    linear = domain != "rendered"
    scaled = linear and plane.offset_known and plane.white_known
    shot, read, multiplicative = plane["shot_gain"], plane["read_noise"], plane["multiplicative"]
    shot_value = shot.value if linear else None

    system_gain = Quantity("K", "DN/e-")
    if shot_value is not None:
        system_gain = Quantity("K", "DN/e-", shot.value_dn, shot.low_dn, shot.high_dn)
    inverse_gain = Quantity(
        "1/K", "e-/DN", _ratio(1.0, system_gain.value), _ratio(1.0, system_gain.high), _ratio(1.0, system_gain.low)
    )
    dark_noise = Quantity("sigma_d", "e-")
    if shot_value is not None:
        dark_noise = Quantity(
            "sigma_d", "e-", _ratio(read.value, shot_value), _ratio(read.low, shot.high), _ratio(read.high, shot.low)
        )
    uniformity = Quantity("PRNU1288", "%")
    if linear:
        uniformity = Quantity(
            "PRNU1288",
            "%",
            *(
                None if v is None else 100.0 * v
                for v in (multiplicative.value, multiplicative.low, multiplicative.high)
            ),
        )
    return Derived(
        sigma_at_18pct=plane.law.sigma(MID_GREY),
        snr_db_at_18pct=_snr_db(plane, MID_GREY),
        read_noise_e=dark_noise.value,
        electrons_at_white=_ratio(1.0, shot_value) if scaled else None,
        dynamic_range_stops=math.log2(1.0 / read.value) if scaled and read.value else None,
        dng_noise_profile=noise_profile,
        K=system_gain,
        conversion_gain=inverse_gain,
        sigma_d=dark_noise,
        PRNU1288=uniformity,
        DSNU1288=plane.dark_pattern or Quantity("DSNU1288", "e-"),
        signal_median=plane.signal_median,
        sigma_at_median=plane.law.sigma(plane.signal_median),
        snr_db_at_median=_snr_db(plane, plane.signal_median),
        sigma_effective=plane.effective_sigma,
    )


def arrange(plane: PlaneFootprint) -> Structure:
    """Row, column, correlated and periodic noise as shares of sigma_total^2 at the median signal, and the lag-1
    correlation of the pixel noise.

    Row and column offsets are those measured on the pixels where these were looked at and found, else the model's.
    """
    seen = plane.arrangement or Arrangement(None, None, None)
    offsets = [
        _offsets(measured, plane[name]) for name, measured in (("row_noise", seen.row), ("column_noise", seen.column))
    ]
    pixel = plane.law.sigma(plane.signal_median) ** 2
    known = [value for value in offsets if value is not None]
    total = pixel + sum(value**2 for value in known) if len(known) == len(offsets) else 0.0

    def share(part: float | None) -> float | None:
        return part / total if part is not None and total > 0 else None

    rho = _amount(plane["correlation"])
    lag1 = None if rho is None else float(autocorrelation(rho, 1)[0, 1])  # the kernel is isotropic
    own = 1.0 if not rho else float(kernel(rho).max()) ** 2  # of a pixel's noise that is its own
    rows, columns = (share(None if value is None else value**2) for value in offsets)
    correlated = None if rho is None else share((1 - own) * pixel)
    parts = (rows, columns, correlated, seen.periodic_share)
    independent = False if any(parts) else None if None in parts else True
    return Structure(rows, columns, lag1, lag1, correlated, seen.periodic_share, independent)


def _offsets(measured: float | None, estimate: Estimate) -> float | None:
    if measured:
        return measured
    amount = _amount(estimate)
    return measured if amount is None else amount


def noise_profile(planes: Sequence[PlaneFootprint]) -> tuple[float, float]:
    """The pair (S, O) of DNG 1.4, tag 51041: N(x) = sqrt(S*x + O), pooled over `planes` of one colour.

    Without a multiplicative term it is the mean law itself, (S, O + q^2/12). With one, or where a given gain has left
    a negative O, which the tag cannot hold, it is the straight line nearest to the law at the curve's signals, by least
    squares of the relative error of the variance, with O held at the law's floor and S at 0 where the free line would
    fall below. Raises ValueError for planes whose curve has no law (processed pictures).
    """
    count = len(planes)
    laws = [plane.law for plane in planes if isinstance(plane.law, VarianceLaw)]
    if len(laws) < count:
        raise ValueError("a noise curve without a law has no shot and read noise")
    shot = sum(law.shot for law in laws) / count
    intercept = sum(law.intercept for law in laws) / count
    square = sum(law.square for law in laws) / count
    if square == 0 and intercept >= 0:
        return shot, intercept
    floor = sum(law.floor for law in laws) / count
    signals = np.array([point.signal for plane in planes for point in plane.curve])
    variances = np.maximum(shot * signals + intercept + square * signals**2, floor)
    if not variances.max(initial=0.0) > 0:
        return shot, intercept
    weight = 1.0 / np.maximum(variances, 1e-9 * variances.max())
    system = np.stack([signals * weight, weight], axis=1)
    slope, offset = (float(v) for v in np.linalg.lstsq(system, np.ones(len(signals)), rcond=None)[0])
    if offset < floor:
        direction = signals * weight
        slope, offset = float(direction @ (1.0 - floor * weight) / (direction @ direction)), floor
    if slope < 0:  # signals around black, where the squared term falls and rises again
        slope, offset = 0.0, float(weight.sum() / (weight @ weight))
    return slope, offset


def path_fields(path: str | None) -> dict[str, str | None]:
    r"""`path` as JSON can hold it; a name that is not UTF-8 has \xNN escapes, and its bytes in base64 beside it."""
    if path is None:
        return {"path": None}
    raw = os.fsencode(path)
    shown = raw.decode("utf-8", "backslashreplace")
    if shown.encode() == raw:
        return {"path": shown}
    return {"path": shown, "path_bytes": base64.b64encode(raw).decode("ascii")}


def _snr_db(plane: PlaneFootprint, signal: float) -> float | None:
    sigma = plane.law.sigma(signal)
    if not plane.offset_known or signal <= 0 or sigma <= 0:
        return None
    return 20.0 * math.log10(signal / sigma)


def _ratio(numerator: float | None, denominator: float | None) -> float | None:
    return None if numerator is None or not denominator else numerator / denominator


def _amount(estimate: Estimate) -> float | None:
    """The value; 0 where the noise was looked for and is absent; None where it is unknown."""
    if estimate.value is not None:
        return estimate.value
    return 0.0 if estimate.present is not None and estimate.present < PRESENT else None


def plane_dict(plane: PlaneFootprint) -> dict[str, Any]:
    """One of the `planes` of `noisediag.report/1`."""
    return {
        "name": plane.name,
        "frame": plane.frame,
        "shape": list(plane.shape),
        "bit_depth": plane.bit_depth,
        "black_dn": _number(plane.black_dn),
        "white_dn": _number(plane.white_dn),
        "scale_source": plane.scale_source,
        "curve": [
            {
                "signal": _number(point.signal),
                "sigma": _number(point.sigma),
                "low": _number(point.low),
                "high": _number(point.high),
            }
            for point in plane.curve
        ],
        "parameters": [_parameter_dict(estimate) for estimate in plane.parameters],
        "channel": None if plane.channel is None else _text(plane.channel),
        "flags": list(plane.flags),
    }


def _rendered_dict(rendered: Rendered) -> dict[str, Any]:
    whole = rendered.planes[-1]
    return {
        "jpeg_quality": rendered.jpeg_quality,
        "jpeg_standard": rendered.jpeg_standard,
        "block_strength": _number(rendered.block_strength),
        "lag1_h": _number(whole.lag1_h),
        "lag1_v": _number(whole.lag1_v),
        "equivalent_blur_px": _number(whole.equivalent_blur_px),
        "channel_correlation": _plain(rendered.channel_correlation),
        "sigma_after_area_2_4_8": _plain(whole.sigma_after_area),
        "processed": _number(rendered.processed),
        "denoised": _number(rendered.denoised),
        "upscaled": _number(rendered.upscaled),
        "resaved": rendered.resaved,
        "planes": [
            {
                "name": plane.name,
                "lag1_h": _number(plane.lag1_h),
                "lag1_v": _number(plane.lag1_v),
                "equivalent_blur_px": _number(plane.equivalent_blur_px),
                "sigma_after_area_2_4_8": _plain(plane.sigma_after_area),
            }
            for plane in rendered.planes
        ],
    }


def _parameter_dict(estimate: Estimate) -> dict[str, Any]:
    keys = (
        "name",
        "symbol",
        "unit",
        "value",
        "low",
        "high",
        "value_dn",
        "low_dn",
        "high_dn",
        "level",
        "present",
        "flag",
    )
    plain = {key: _plain(getattr(estimate, key)) for key in keys}
    return plain if estimate.word is None else {**plain, "value": _text(estimate.word)}


def _plain(value: Any) -> Any:
    """`value` in JSON's own types: tuples become lists, dataclasses and mappings dicts, foreign types their text."""
    if isinstance(value, float):  # the commonest first
        return _number(value)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Quantity):
        keys = ("value", "low", "high", "unit", "symbol")
        return {key: _plain(getattr(value, key)) for key in keys}
    if isinstance(value, CurvePoint | Derived | Measurement | Rejected | Structure):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    return _text(str(value))


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _text(value: str) -> str:
    """`value` without lone surrogates (undecodable bytes of tags or names), which UTF-8 cannot hold."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
