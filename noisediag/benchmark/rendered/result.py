"""What the benchmark of rendered pictures measures: options, the answers to each photograph, the rows of the tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from noisediag.benchmark.sets.result import WorstCase
from noisediag.footprint.file import CheckpointId
from noisediag.genome.cases import Job

Floats = NDArray[np.float64]

FLAGS = ("processed", "denoised", "upscaled")
DRAWS = 1


@dataclass(frozen=True)
class RenderedOptions:
    """What to run. `data`: one sub-folder a domain; None: `scenes` procedural pictures. `draws`: cameras a picture.

    `own_noise`: the file that says how much noise the pictures of `data` carry themselves, see `genome.clean`.
    """

    data: Path | None = None
    own_noise: Path | None = None
    draws: int = DRAWS
    seed: int = 0
    split: Literal["odd", "even", "all"] = "odd"
    limit_per_domain: int | None = None
    baselines: bool = True
    scenes: int = 100
    workers: int = 1
    checkpoint: Path | None = None
    device: str = "auto"
    cameras: tuple[str, ...] = ()  # names of `cases.GROUPS`; none: all


@dataclass(frozen=True)
class PlaneAnswer:
    """Errors of one method on one plane; NaN: not scored, or not given by the method.

    `covered`: share of the scored levels within the curve's interval, of which `width` is the mean ln(high/low).
    `areas`: mean |ln| of the SD after averaging.
    """

    curve_error: float
    covered: float = math.nan
    width: float = math.nan
    lag_h: float = math.nan
    lag_v: float = math.nan
    areas: float = math.nan


@dataclass(frozen=True)
class RenderedAnswer:
    """One method on one photograph. `channels`: mean error of the three correlations; `flags` are probabilities."""

    method: str
    planes: tuple[PlaneAnswer, ...]
    channels: float = math.nan
    flags: tuple[float, ...] = (math.nan,) * len(FLAGS)
    jpeg_quality: int | None = None


@dataclass(frozen=True)
class RenderedScore:
    """All answers to one photograph, and of its truth what summing up needs."""

    job: Job
    draw: int
    apart: bool
    left_out: float  # share of the levels of all its planes
    planes: tuple[int, ...]  # which of PLANES are scored: the last one of a gray picture, all of one in colour
    log_sigma: tuple[Floats, ...]  # of the scored levels, for each of `planes`
    lag1: Floats  # (len(planes), 2)
    flags: Floats
    jpeg: int | None
    answers: tuple[RenderedAnswer, ...]
    checkpoint: CheckpointId | None


@dataclass(frozen=True)
class RenderedRow:
    """One method over `n` planes of one group and domain (`all` pools them). Medians, but for shares and `p90`.

    `off`: share of planes off by more than 50 %; `left_out`: mean share of unscored levels; `covered`: of the scored
    levels, with the bootstrap's 95 % interval over pictures; `lag_h`, `lag_v`, `channels`: |error| of a correlation;
    `areas`: |ln| of the SD after averaging 2, 4 and 8 px.
    """

    set_name: str
    method: str
    domain: str
    apart: bool
    n: int
    median: float
    p90: float
    off: float
    left_out: float
    covered: float
    covered_low: float
    covered_high: float
    width: float
    lag_h: float
    lag_v: float
    channels: float
    areas: float


@dataclass(frozen=True)
class FlagRow:
    """How one flag tells pictures apart. `hits`, `alarms`: share of positives and of negatives that get it."""

    set_name: str
    flag: str
    positives: int
    negatives: int
    auc: float
    hits: float
    alarms: float


@dataclass(frozen=True)
class QualityRow:
    """JPEG quality read from pixels: median |error| over `n` compressed pictures, one without a quality as infinite.

    `answered`: share of them with a quality; `alarms`: share of `negatives`, never compressed, with one.
    """

    set_name: str
    n: int
    answered: float
    median: float
    negatives: int
    alarms: float


@dataclass(frozen=True)
class RenderedResult:
    """Everything that was measured."""

    options: RenderedOptions
    groups: Mapping[str, str]
    checkpoint: CheckpointId | None
    cases: int
    rows: tuple[RenderedRow, ...]
    flags: tuple[FlagRow, ...]
    quality: tuple[QualityRow, ...]
    worst: tuple[WorstCase, ...]
    notes: tuple[str, ...] = ()
