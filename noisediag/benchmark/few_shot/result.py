"""What the few-shot benchmark measures: its options, the score of each arm and seed, and the rows that sum them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.benchmark.few_shot.cop import kinds_of
from noisediag.benchmark.few_shot.formats import FORMATS, PLAIN
from noisediag.footprint.file import CheckpointId
from noisediag.genome import paper

Floats = NDArray[np.float64]

SCHEMA = "noisediag.few-shot/2"
COP, SCRATCH, VIT = "cop", "scratch", "vit"
DOMINANT, PURE = "dominant", "pure"  # kinds of noise from words: of all six the strongest, and five alone
LABELS = {COP: (10, 25, 50, 100, 1000), SCRATCH: (100, 1000, 10_000, 100_000), VIT: (100, 100_000)}
KIND_LABELS = 100
FORMAT_LABELS = 100
ONE_SEED_FROM = 10_000  # labels of a scratch arm, of which there is one seed
LABEL_SETS, SEEDS = 10, 3
PARITY = 0.844  # R2 of the publication's 100 labels
TRAINED = 0.70  # R2 that a scratch on 100,000 labels must reach to count as trained
MEAN, BOUND = "mean predictor", "bound"


@dataclass(frozen=True)
class Arm:
    """One row of the table. `shown`, `taught`: formats of the pictures that are asked and of those with labels."""

    kind: str
    labels: int
    shown: str = PLAIN
    taught: str = PLAIN

    @property
    def name(self) -> str:
        shown = "" if self.shown == PLAIN else f" {self.shown}"
        taught = "" if self.taught == self.shown else f"/{self.taught.removeprefix('png')}"
        return f"{self.kind}-{self.labels}{shown}{taught}"


STRENGTH_ARMS = tuple(Arm(kind, labels) for kind in (COP, SCRATCH) for labels in LABELS[kind])
KIND_ARMS = tuple(Arm(kind, KIND_LABELS) for kind in (DOMINANT, PURE))
VIT_ARMS = tuple(Arm(VIT, labels) for labels in LABELS[VIT])
ARMS = tuple(arm.name for arm in (*STRENGTH_ARMS, *KIND_ARMS))


def format_arms(formats: Sequence[str]) -> tuple[Arm, ...]:
    """100 labels in each format, and of 8-bit pictures also labels of 16 bits."""
    found = []
    for name in formats:
        if name != PLAIN:
            found.append(Arm(COP, FORMAT_LABELS, name, name))
        if name == "png8":
            found.append(Arm(COP, FORMAT_LABELS, name, PLAIN))
    return tuple(found)


FORMAT_ARMS = format_arms(tuple(FORMATS))


@dataclass(frozen=True)
class FewShotOptions:
    """`journal`: the file of finished arms, and the folder of the states of unfinished ones.

    `label_sets` of arms on the frozen encoder, `seeds` of arms from scratch. `formats` beside the plain one add arms.
    """

    data: Path
    arms: tuple[str, ...] = ARMS
    label_sets: int = LABEL_SETS
    seeds: int = SEEDS
    formats: tuple[str, ...] = tuple(FORMATS)
    draws: int = 10
    seed: int = 0
    split: str = "odd"
    limit_per_domain: int | None = None
    images: Path | None = None
    checkpoint: Path | None = None
    device: str = "auto"
    journal: Path | None = None
    effort: float = 1.0  # times the steps of scratch arms


@dataclass(frozen=True)
class ArmScore:
    """One arm with one seed, which numbers the set of labels.

    `r2`, `rmse`, `mae` pooled over pictures and outputs, R2 against the global mean; `domain_*`: the same of each
    domain alone, and their mean, as published; `*_per_output`. `dominant`: share of pictures whose strongest kind is
    named right. `coverage` of the 90 % intervals of outputs that have one, `interval_width` their mean width.
    `left_out`: outputs that count as the mean of their labels. None: not known.
    """

    arm: str
    labels: int
    seed: int
    r2: float
    rmse: float
    mae: float | None
    domain_r2: float
    domain_rmse: float
    domain_mae: float | None
    per_output: tuple[float, ...]
    rmse_per_output: tuple[float, ...]
    mae_per_output: tuple[float, ...] | None
    dominant: float | None
    coverage: float | None
    interval_width: float | None
    left_out: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class KindScore:
    """One arm of words with one set of labels: the share of pictures whose kind is named right, and the share of the
    most frequent one.
    """

    arm: str
    labels: int
    seed: int
    right: float
    most_frequent: float
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One arm over its seeds: means, `*_spread` standard deviations (null for one seed). `void`: under-trained.

    `left_out`: outputs left out in any of them, with the number of sets.
    """

    arm: str
    labels: int | None
    seeds: int
    r2: float
    r2_spread: float | None
    rmse: float
    rmse_spread: float | None
    mae: float | None
    domain_r2: float
    domain_r2_spread: float | None
    domain_rmse: float
    domain_mae: float | None
    per_output: tuple[float, ...]
    rmse_per_output: tuple[float, ...]
    mae_per_output: tuple[float, ...] | None
    dominant: float | None
    coverage: float | None
    interval_width: float | None
    left_out: Mapping[str, int]
    void: bool


@dataclass(frozen=True)
class KindRow:
    """One arm of words over its sets of labels."""

    arm: str
    labels: int
    seeds: int
    right: float
    right_spread: float | None
    most_frequent: float


@dataclass(frozen=True)
class Probe:
    """Linear probes of the embedding, on files they did not see: what it tells of content, and of the noise."""

    domain_accuracy: float
    domain_chance: float  # the most frequent domain's share
    noise_r2: float


@dataclass(frozen=True)
class FewShotResult:
    """`model`: of `estimate`, which describes pictures beside the encoder `checkpoint`. `missing`: arms of the full
    table that were not run.
    """

    options: FewShotOptions
    checkpoint: CheckpointId
    model: CheckpointId
    pictures: int
    domains: int
    rows: tuple[Row, ...]
    kinds: tuple[KindRow, ...]
    probe: Probe
    scores: tuple[ArmScore, ...]
    kind_scores: tuple[KindScore, ...]
    missing: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Truth:
    """What is asked: `strengths` (n, 6) and the `domain` (n,) of each picture."""

    strengths: Floats
    domain: NDArray[np.str_]


def score(
    arm: str,
    labels: int,
    seed: int,
    predicted: Floats,
    truth: Truth,
    settings: Mapping[str, Any],
    *,
    ends: tuple[Floats, Floats] | None = None,
    left_out: tuple[str, ...] = (),
) -> ArmScore:
    """The score of strengths (n, 6) that were `predicted`, with the `ends` of their intervals, (n, 6) each."""
    error = predicted - truth.strengths
    absolute = np.abs(error)
    domains = [truth.domain == name for name in np.unique(truth.domain)]
    coverage = width = None
    if ends is not None and bool((known := ~np.isnan(ends[0])).any()):
        inside = (ends[0] <= truth.strengths) & (truth.strengths <= ends[1])
        coverage, width = float(inside[known].mean()), float((ends[1] - ends[0])[known].mean())
    return _of_errors(
        arm,
        labels,
        seed,
        np.square(error),
        truth,
        mae=float(absolute.mean()),
        domain_mae=float(np.mean([absolute[own].mean() for own in domains])),
        mae_per_output=tuple(float(v) for v in absolute.mean(0)),
        dominant=float((kinds_of(predicted) == kinds_of(truth.strengths)).mean()),
        coverage=coverage,
        interval_width=width,
        left_out=left_out,
        settings=settings,
    )


def bound_score(square: Floats, truth: Truth) -> ArmScore:
    """The same of squared errors (n, 6) that are a bound."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("mae", "domain_mae", "mae_per_output", "dominant", "coverage", "interval_width")
    )
    return _of_errors(BOUND, 0, 0, square, truth, left_out=(), settings={}, **nothing)


def _of_errors(arm: str, labels: int, seed: int, square: Floats, truth: Truth, **rest: Any) -> ArmScore:
    domains = [truth.domain == name for name in np.unique(truth.domain)]
    rmse = [np.sqrt(square[own].mean()) for own in domains]
    return ArmScore(
        arm=arm,
        labels=labels,
        seed=seed,
        r2=float(1 - square.mean() / truth.strengths.var()),
        rmse=float(np.sqrt(square.mean())),
        domain_r2=float(np.mean([1 - square[own].mean() / truth.strengths[own].var() for own in domains])),
        domain_rmse=float(np.mean(rmse)),
        per_output=tuple(float(v) for v in 1 - square.mean(0) / truth.strengths.var(0)),
        rmse_per_output=tuple(float(v) for v in np.sqrt(square.mean(0))),
        **rest,
    )


def row_of(arm: str, scores: Sequence[ArmScore]) -> Row:
    """One arm over its seeds."""

    def mean(name: str) -> Any:
        values = [getattr(one, name) for one in scores]
        return None if any(value is None for value in values) else np.mean(values, axis=0)

    def number(name: str) -> float | None:
        found = mean(name)
        return None if found is None else float(found)

    def spread(name: str) -> float | None:
        return float(np.std([getattr(one, name) for one in scores], ddof=1)) if len(scores) > 1 else None

    def numbers(name: str) -> tuple[float, ...]:
        return tuple(map(float, mean(name)))

    left = [name for one in scores for name in one.left_out]
    return Row(
        arm=arm,
        labels=scores[0].labels or None,
        seeds=len(scores),
        r2=float(mean("r2")),
        r2_spread=spread("r2"),
        rmse=float(mean("rmse")),
        rmse_spread=spread("rmse"),
        mae=number("mae"),
        domain_r2=float(mean("domain_r2")),
        domain_r2_spread=spread("domain_r2"),
        domain_rmse=float(mean("domain_rmse")),
        domain_mae=number("domain_mae"),
        per_output=numbers("per_output"),
        rmse_per_output=numbers("rmse_per_output"),
        mae_per_output=None if mean("mae_per_output") is None else numbers("mae_per_output"),
        dominant=number("dominant"),
        coverage=number("coverage"),
        interval_width=number("interval_width"),
        left_out={name: left.count(name) for name in paper.NAMES if name in left},
        void=arm == f"{SCRATCH}-100000" and float(mean("r2")) < TRAINED,
    )


def kind_row_of(arm: str, scores: Sequence[KindScore]) -> KindRow:
    """One arm of words over its sets of labels."""
    right = np.array([one.right for one in scores])
    return KindRow(
        arm=arm,
        labels=scores[0].labels,
        seeds=len(scores),
        right=float(right.mean()),
        right_spread=float(right.std(ddof=1)) if len(scores) > 1 else None,
        most_frequent=float(np.mean([one.most_frequent for one in scores])),
    )
