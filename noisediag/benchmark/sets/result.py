"""What the benchmark measures: its options, the answers to each case, and the rows that sum them up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from noisediag.benchmark.scoring import Coverage
from noisediag.footprint.file import CheckpointId

MEAN = "mean predictor"
BOUND = "bound"  # what no reader of values goes below, see `bound`
POOLED = "all"
WORST = 10


@dataclass(frozen=True)
class BenchmarkOptions:
    """What to run. `data`: one sub-folder a domain; None: procedural scenes that no model was trained on.

    `own_noise`: the file that says how much noise the pictures of `data` carry themselves, see `genome.clean`.
    """

    genome: Literal["sensor", "paper"] = "sensor"
    data: Path | None = None
    own_noise: Path | None = None
    sets: tuple[str, ...] = ("gaussian", "poisson-gauss", "mixture", "clean", "flat")
    draws: int = 10
    seed: int = 0
    split: Literal["odd", "even", "all"] = "odd"
    limit_per_domain: int | None = None
    baselines: bool = True
    randomised: bool = True
    scenes: int = 200  # procedural pictures of the set `clean`
    flats: int = 20  # pictures of the set `flat`, each with `draws`
    raws: int = 200  # files of the set `raw`
    workers: int = 1
    checkpoint: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Answer:
    """One method's answer to one case. NaN: unknown, or not given by the method; tuples in the order of `NAMES`."""

    method: str
    curve_error: float
    seconds: float
    curve_covered: float = math.nan  # share of the scored signal where the interval holds the true sigma
    curve_width: float = math.nan  # mean ln(high/low)
    relative_error: float = math.nan  # ln(sigma/true) at the mean signal: with its sign
    sigma_alarm: bool = False
    values: tuple[float, ...] = ()
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    presents: tuple[float, ...] = ()
    alarms: tuple[bool, ...] = ()


@dataclass(frozen=True)
class CaseScore:
    """All answers to one case. `apart`: its sigma is below twice the picture's own stated noise."""

    set_name: str
    domain: str
    picture: str
    path: str | None
    draw: int
    apart: bool
    pixels: int
    truth: tuple[float, ...]
    scored: tuple[bool, ...]
    left_out: float
    dark_share: float  # of the pixels, with a clean signal below scoring.DARK
    answers: tuple[Answer, ...]
    checkpoint: CheckpointId | None


@dataclass(frozen=True)
class PaperScore:
    """Strengths of one case, true and as each method reads them."""

    domain: str
    picture: str
    path: str | None
    draw: int
    truth: tuple[float, ...]
    answers: Mapping[str, tuple[float, ...]]
    checkpoint: CheckpointId
    levels: tuple[float, ...]  # of the clean picture, see `bound`; empty without baselines


@dataclass(frozen=True)
class CurveRow:
    """Curve error of one method over `n` cases; `domain` "all" pools them.

    `off`, `twice`: share of cases off by more than 50 % and by more than a factor 2; `left_out`: mean share of
    unscored pixels.
    """

    set_name: str
    method: str
    domain: str
    apart: bool
    n: int
    median: float
    p90: float
    off: float
    twice: float
    left_out: float
    seconds: float


@dataclass(frozen=True)
class ParameterRow:
    """One parameter of one set. `share_scored`: cases above the benchmark floor; `answered`: of those, with a value.

    `median_log10` is the median |log10(value/truth)| over all scored cases, one without a value counting as infinite;
    `r2` is that of log10 over the answered. `width`: median log10(high/low).
    """

    set_name: str
    method: str
    parameter: str
    apart: bool
    n: int
    share_scored: float
    answered: float
    median_log10: float
    r2: float
    coverage: float
    width: float


@dataclass(frozen=True)
class DarkRow:
    """Shot gain and read noise where the picture says enough of them: at least 5 % of it is dark.

    `median_relative`: median |value/truth - 1| over the `n` scored cases, one without a value counting as infinite.
    """

    set_name: str
    method: str
    parameter: str
    n: int
    answered: float
    median_relative: float


@dataclass(frozen=True)
class PresenceRow:
    """How well `present` separates the cases that have a noise (above the benchmark floor) from those without.

    Of the set `mixture` only cases of four noises and more count.
    """

    set_name: str
    method: str
    parameter: str
    positives: int
    negatives: int
    auc: float


@dataclass(frozen=True)
class AlarmRow:
    """Share of `n` clean pictures on which a noise is reported that is not there; `parameter` "sigma": the curve
    itself.
    """

    domain: str
    method: str
    parameter: str
    n: int
    share: float


@dataclass(frozen=True)
class CoverageRow:
    """Coverage of 90 % intervals: `what` "parameters" (pooled, scored cases), one parameter's name, or "curve"."""

    set_name: str
    what: str
    apart: bool
    coverage: Coverage
    width: float


@dataclass(frozen=True)
class FlatRow:
    """Flat pictures: signed and RMS error of sigma, and the RMS over the Cramer-Rao bound 1/sqrt(2 N)."""

    method: str
    n: int
    bias: float
    rms: float
    over_bound: float


@dataclass(frozen=True)
class PaperRow:
    """RMSE and R2 (against the global mean) of one output, or of all pooled."""

    method: str
    domain: str
    output: str
    n: int
    rmse: float
    r2: float


@dataclass(frozen=True)
class WorstCase:
    """One of the cases with the largest error of the model."""

    set_name: str
    domain: str
    path: str | None
    picture: str
    draw: int
    error: float
    truth: Mapping[str, float]


@dataclass(frozen=True)
class BenchmarkResult:
    """Everything that was measured, and what it was measured on."""

    options: BenchmarkOptions
    laws: Mapping[str, str]
    checkpoint: CheckpointId | None
    cases: int
    curves: tuple[CurveRow, ...] = ()
    parameters: tuple[ParameterRow, ...] = ()
    dark: tuple[DarkRow, ...] = ()
    presence: tuple[PresenceRow, ...] = ()
    alarms: tuple[AlarmRow, ...] = ()
    coverage: tuple[CoverageRow, ...] = ()
    flat: tuple[FlatRow, ...] = ()
    paper: tuple[PaperRow, ...] = ()
    worst: tuple[WorstCase, ...] = ()
    notes: tuple[str, ...] = ()
