"""What an estimate is: values with intervals and flags, the noise curve, and what follows from them in physical units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LEVEL = 0.9  # of every interval

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
    """One parameter. `value` None: unknown, and `flag` says why (`below_floor`: low 0, high = the detection limit)."""

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
    floor: float  # q^2/12: the curve never falls below


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
    law: VarianceLaw
    parameters: tuple[Estimate, ...]
    signal_median: float
    effective_sigma: float  # square root of the mean of sigma^2 over the signal histogram
    channel: str | None = None
    frame: int | None = None
    white_known: bool = True
    offset_known: bool = True
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckpointId:
    name: str
    sha256: str


@dataclass(frozen=True)
class Footprint:
    """The noise of one file. `planes[-1]` is the file's own footprint (`all`, or `luma` for rendered colour)."""

    planes: tuple[PlaneFootprint, ...]
    domain: str
    reader: str
    checkpoint: CheckpointId
    path: str | None = None
    sha256: str | None = None
    acquisition: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
