"""What a fine-tuning is asked for, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from noisediag.cop.encoder import Encoder
from noisediag.errors import NoisediagError
from noisediag.footprint.file import CheckpointId
from noisediag.training.few_shot_encoder import EncoderTuning

SCHEMA = "noisediag.finetune/1"


class NoBetterError(NoisediagError):
    """The new head is not shown to be better than what there was; exit code 1."""


@dataclass(frozen=True)
class FinetuneOptions:
    """`shots`: labelled pictures to learn from, at most. `full` also tunes the encoder, by `tuning`.

    `encoder`: one that the head reads in the place of the model's own; None: what to read is chosen.
    """

    shots: int = 100
    seed: int = 0
    full: bool = False
    tuning: EncoderTuning = field(default_factory=EncoderTuning)
    learning_curve: bool = False
    encoder: Encoder | None = None


@dataclass(frozen=True)
class Verdict:
    """One name, judged on `judged` pictures that were not learned from.

    Errors are in the label's unit, of a `log` one in decades, of a `class` the share of wrong words (`rmse_*`, with R2
    null). None: not known, or not asked. What was chosen, empty where the name is left out: the inputs it `reads`,
    `learned_by` a process or a ridge, `joint` with the other parts.
    """

    name: str
    unit: str
    scale: str
    learned: int
    judged: int
    rmse_mean: float
    rmse_before: float | None
    rmse_after: float
    r2_before: float | None
    r2_after: float | None
    coverage_before: float | None
    coverage_after: float | None
    better: bool
    part: bool = False  # of a whole, together with the other names that are
    reads: tuple[str, ...] = ()
    learned_by: str = ""
    joint: bool = False


@dataclass(frozen=True)
class CurvePoint:
    """The error of one name with fewer shots, as a share of the mean predictor's."""

    name: str
    shots: int
    rmse_share: float


@dataclass(frozen=True)
class FinetuneResult:
    """`how`: held out, or folds. `acquisitions` of all pictures used; `judged_paths`: those that judged.

    `pooled_r2` of the parts of a whole, of which one that is left out counts as the mean; None where there is no whole.
    `kinds` of file that were learned from.
    """

    options: FinetuneOptions
    checkpoint: CheckpointId
    how: str
    shots: int
    judged: int
    acquisitions: int
    verdicts: tuple[Verdict, ...]
    curve: tuple[CurvePoint, ...]
    judged_paths: tuple[str, ...] = ()
    pooled_r2: float | None = None
    kinds: tuple[str, ...] = ()
