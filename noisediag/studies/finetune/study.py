"""`noisediag finetune`: a head of the user's own from about a hundred labels, and whether it is any better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from noisediag.cop import checkpoint as store
from noisediag.cop.models import AnyEncoder, load_any_encoder
from noisediag.errors import UsageError
from noisediag.estimator import Estimator
from noisediag.genome.parameters import NAMES
from noisediag.labels.table import LabelTable
from noisediag.readout import own_head as tuned
from noisediag.reports.progress import Progress
from noisediag.studies.finetune import shots
from noisediag.studies.finetune.candidates import FEWEST_LABELS, candidates_of
from noisediag.studies.finetune.heads import FEWEST_TO_CHOOSE, HeadFitting, JudgedPart, final_head
from noisediag.studies.finetune.judging import complaint, learning_curve, predictions, verdicts_of
from noisediag.studies.finetune.labelled import Labelled
from noisediag.studies.finetune.result import FinetuneOptions, FinetuneResult, NoBetterError, Verdict
from noisediag.studies.finetune.shots import Shot

NEAR_ENCODER = "paper-encoder"


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
    encoder = _other_encoder(options, estimator)
    answers = (shots.describe(load, row, estimator, known, encoder, full=options.full) for row in rows)
    described: dict[int, Shot] = dict(zip(needed, progress(answers, len(rows)), strict=True))
    learned = [described[i] for i in split.learn]
    fitting = fitting_of(table, learned, options, estimator, encoder)
    judged = []
    for taught, asked in split.parts:
        part = [described[i] for i in taught]
        judged.append(JudgedPart(part, [described[i] for i in asked], fitting.learn(part)))
    verdicts, pooled = verdicts_of(fitting, judged)
    if not any(verdict.better for verdict in verdicts):
        raise NoBetterError(complaint(verdicts))
    kept = [number for number, verdict in enumerate(verdicts) if verdict.better]
    made = final_head(fitting, kept, learned, judged)
    result = FinetuneResult(
        options=options,
        checkpoint=estimator.checkpoint,
        how=split.how,
        shots=len(split.learn),
        judged=sum(len(asked) for _, asked in split.parts),
        acquisitions=len({table.rows[i].group for i in needed}),
        verdicts=tuple(_with_choice(verdict, made) for verdict in verdicts),
        pooled_r2=pooled,
        kinds=made.kinds,
        curve=tuple(learning_curve(fitting, judged)) if options.learning_curve else (),
        predictions=tuple(predictions(fitting, judged)),
        judged_paths=tuple(str(shot.row.path) for part in judged for shot in part.asked),
    )
    return Finetuned(result, made)


def fitting_of(
    table: LabelTable,
    learned: Sequence[Shot],
    options: FinetuneOptions,
    estimator: Estimator,
    encoder: AnyEncoder | None,
) -> HeadFitting:
    """How heads of the names of `table` are fitted: what each is learned as is chosen on the shots `learned`.

    Raises UsageError where no name has enough labels.
    """
    candidates, total = candidates_of(table, [shot.row for shot in learned])
    if not candidates:
        raise UsageError(f"no name has {FEWEST_LABELS} labels among the shots")
    choosing = len({shot.row.group for shot in learned}) >= FEWEST_TO_CHOOSE
    fitting = HeadFitting([one[-1] for one in candidates], total, options, estimator, encoder, choosing)
    if any(len(one) > 1 for one in candidates) and not options.full:
        scales = fitting.chosen(learned, candidates)[0]
        fitting = replace(fitting, columns=[replace(one, reads=(), by="process", joint=False) for one in scales])
    return fitting


def _other_encoder(options: FinetuneOptions, estimator: Estimator) -> AnyEncoder | None:
    """The one that was asked for; else the one whose distances are those of near genomes, which may be chosen."""
    if options.encoder is not None or options.full:
        return options.encoder
    return load_any_encoder(store.read(store.shipped(NEAR_ENCODER))).to(estimator.device)


def _with_choice(verdict: Verdict, made: tuned.Tuned) -> Verdict:
    """`verdict` with what its name is read from in the head that is written, if it is there."""
    chosen = next((column for column in made.head.config.columns if column.name == verdict.name), None)
    if chosen is None:
        return verdict
    return replace(verdict, reads=chosen.reads or made.head.config.inputs, learned_by=chosen.by, joint=chosen.joint)


def save(made: Finetuned, sources: Sequence[Labelled], estimator: Estimator, path: Path) -> None:
    """Write the checkpoint; its header says what it was tuned on."""
    result = made.result
    header = {
        "tuned_on": [dict(source.source) for source in sources],
        "shots": result.shots,
        "seed": result.options.seed,
        "full": result.options.full,
        "judged": {"how": result.how, "pictures": result.judged, "acquisitions": result.acquisitions},
        "reads": {
            v.name: {"scale": v.scale, "inputs": v.reads, "by": v.learned_by} for v in result.verdicts if v.better
        },
        "start": {"name": result.checkpoint.name, "sha256": result.checkpoint.sha256},
    }
    tuned.save(path, estimator.model.cpu(), made.own, header)
