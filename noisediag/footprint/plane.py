"""The footprint of one plane: values with intervals and flags, and the noise curve.

All signals and sigmas are normalised: x = (DN - black) / (white - black).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import printable
from noisediag.footprint.values import LEVEL, Quantity
from noisediag.genome.parameters import parameter
from noisediag.traces.hot_pixels import HotPixels
from noisediag.traces.lines_and_waves import Arrangement

MAX_LOG_WIDTH = 7.0  # of half an interval of the curve, natural logarithm
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
    "misfit",
    "black_doubtful",
    "saturation_measured",
    "smoothed",
    "uneven",
    "empty",
)
LIGHT_LAWS = ("photon", "additive", "speckle", "rician", "grain", "processed")


def counts_as_found(value: float | None, present: float | None) -> bool:
    """Whether a parameter of a report was found: it has a value, which a low probability of presence does not doubt.

    >>> counts_as_found(0.7, None), counts_as_found(0.7, 0.2), counts_as_found(None, 0.9)
    (True, False, False)
    """
    return value is not None and (present is None or present >= PRESENT)


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
    def sigma(self, x: NDArray[np.float64]) -> NDArray[np.float64]: ...

    def sigma(self, x: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
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
    def sigma(self, x: NDArray[np.float64]) -> NDArray[np.float64]: ...

    def sigma(self, x: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Standard deviation of the pixel noise at clean signal `x` (a number or an array); all normalised.

        >>> round(SampledCurve((0.0, 1.0), (0.01, 0.07)).sigma(0.25), 6)
        0.05
        """
        at = np.sqrt(np.clip(x, 0.0, 1.0))
        sigma = np.sqrt(np.interp(at, np.sqrt(self.signals), np.square(self.sigmas)))
        return sigma if isinstance(x, np.ndarray) else float(sigma)


@dataclass(frozen=True)
class LightLaw:
    """What the noise follows, one of LIGHT_LAWS, and the probability of that. Electrons stand under `photon` alone."""

    name: str
    probability: float


@dataclass(frozen=True)
class SaturationLevel:
    """Where the picture saturates, as its pixels show it: DN, standard deviation about it, share of the pixels there.

    `stated_white_dn`: what the file, or the user, says.
    """

    level_dn: float
    scatter_dn: float
    share: float
    stated_white_dn: float


@dataclass(frozen=True)
class BlackCheck:
    """A black that the picture contradicts. `source`: `variance` (the line's zero), `masked` (borders) or `floor`."""

    stated_dn: float
    fitted_dn: float
    source: str


@dataclass(frozen=True, repr=False)
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
    light: LightLaw | None = None  # None: not told
    saturation: SaturationLevel | None = None  # None: none is seen
    black: BlackCheck | None = None  # None: the black that is used is not contradicted
    missing_share: float = 0.0  # of the pixels: without a value, left out
    correlated_share: float | None = None  # of the noise's variance: what `correlation` describes; None: unknown
    hot_pixels: HotPixels | None = None  # None: none are known to be hot
    dark_pattern: Quantity | None = None  # EMVA 1288 DSNU, where dark frames were measured

    @property
    def span_dn(self) -> float | None:
        """White - black, DN; None where its planes have no scale in common."""
        return None if self.black_dn is None or self.white_dn is None else self.white_dn - self.black_dn

    @property
    def label(self) -> str:
        """What people call it: channel, name and frame, nothing said twice."""
        names = [part for part in (self.channel, self.name) if part is not None]
        frame = [] if self.frame is None else [f"frame {self.frame}"]
        return " ".join([*dict.fromkeys(names), *frame])

    @property
    def says_nothing(self) -> bool:
        """Whether it is empty, or nearly so: no parameter was looked for, and nothing can be held against it."""
        unknown = (e.value is None and e.present is None and e.flag == "weakly_identified" for e in self.parameters)
        return bool(self.parameters) and all(unknown)

    def __repr__(self) -> str:
        height, width = self.shape
        sigma = self.law.sigma(self.signal_median)
        at = f"sigma {sigma:.2g} at its median signal {self.signal_median:.2g}"
        return printable(f"<PlaneFootprint {self.label}: {width} x {height} px, {at}>")

    def __getitem__(self, name: str) -> Estimate:
        """The estimate called `name`. Raises KeyError, naming what there is."""
        for estimate in self.parameters:
            if estimate.name == name:
                return estimate
        raise KeyError(f"no parameter {name!r}; there are: {', '.join(e.name for e in self.parameters)}")
