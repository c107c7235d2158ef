"""`noisediag finetune`: a head of the user's own from about a hundred labels, and whether it is any better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from noisediag.errors import UsageError
from noisediag.estimator import Estimator
from noisediag.genome.parameters import NAMES
from noisediag.readout import own_head as tuned
from noisediag.reports.progress import Progress
from noisediag.studies.finetune import shots
from noisediag.studies.finetune.heads import FEWEST_LABELS, HeadFitting, JudgedPart, column_of, final_head
from noisediag.studies.finetune.judging import complaint, learning_curve, verdict_of
from noisediag.studies.finetune.labelled import Labelled
from noisediag.studies.finetune.result import FinetuneOptions, FinetuneResult, NoBetterError
from noisediag.studies.finetune.shots import Shot


@dataclass(frozen=True)
class Finetuned:
    """What was found, and the head of the names that got better."""

    result: FinetuneResult
    own: tuned.Tuned


def run(sources: Sequence[Labelled], options: FinetuneOptions, estimator: Estimator, progress: Progress) -> Finetuned:
    """Learn from `sources` and judge. Raises NoBetterError where no name got better, UsageError where the labels do
    not allow it, InputError for a picture that cannot be read.
    """
    table, strong, load = shots.merged(sources)
    split = shots.choose(table.rows, strong, options)
    needed = sorted({int(i) for part in split.parts for side in part for i in side} | {int(i) for i in split.learn})
    known = [name for name in table.names if name in NAMES and name not in table.classes]
    rows = [table.rows[i] for i in needed]
    answers = progress((shots.describe(load, row, estimator, known, options) for row in rows), len(rows))
    groups: list[tuple[int, ...]] = []
    described: dict[int, Shot] = {}
    for i, (shot, widths) in zip(needed, answers, strict=True):
        described[i] = shot
        groups.append(widths)
    columns = [c for c in (column_of(table, name, [table.rows[i] for i in split.learn]) for name in table.names) if c]
    if not columns:
        raise UsageError(f"no name has {FEWEST_LABELS} labels among the shots")
    fitting = HeadFitting(columns, groups[0], options, estimator)
    judged = []
    for learned, asked in split.parts:
        part = [described[i] for i in learned]
        judged.append(JudgedPart(part, [described[i] for i in asked], fitting.learn(part)))
    verdicts = tuple(verdict_of(fitting, number, judged) for number in range(len(columns)))
    if not any(verdict.better for verdict in verdicts):
        raise NoBetterError(complaint(verdicts))
    kept = [number for number, verdict in enumerate(verdicts) if verdict.better]
    made = final_head(fitting, kept, [described[i] for i in split.learn], judged)
    result = FinetuneResult(
        options=options,
        checkpoint=estimator.checkpoint,
        how=split.how,
        shots=len(split.learn),
        judged=sum(len(asked) for _, asked in split.parts),
        acquisitions=len({table.rows[i].group for i in needed}),
        verdicts=verdicts,
        curve=tuple(learning_curve(fitting, judged)) if options.learning_curve else (),
        judged_paths=tuple(str(shot.row.path) for part in judged for shot in part.asked),
    )
    return Finetuned(result, made)


def save(made: Finetuned, sources: Sequence[Labelled], estimator: Estimator, path: Path) -> None:
    """Write the checkpoint; its header says what it was tuned on."""
    result = made.result
    header = {
        "tuned_on": [dict(source.source) for source in sources],
        "shots": result.shots,
        "seed": result.options.seed,
        "full": result.options.full,
        "judged": {"how": result.how, "pictures": result.judged, "acquisitions": result.acquisitions},
        "start": {"name": result.checkpoint.name, "sha256": result.checkpoint.sha256},
    }
    tuned.save(path, estimator.model.cpu(), made.own, header)
