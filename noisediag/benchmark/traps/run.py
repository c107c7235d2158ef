"""`noisediag benchmark traps`: how often an answer is confidently wrong, on files outside of the noise model.

Every trap is written to a file and read back as a user's would be; `genome.traps` says what is in it, `judging` what
counts as right.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from noisediag import images
from noisediag.benchmark.running import MODEL, Models, ShippedModels, pictures_of, spread
from noisediag.benchmark.traps.judging import REFUSED, Judgement, judge, judge_advice
from noisediag.benchmark.traps.result import ALL, CONTROLS, TRAPS, TrapAnswer, TrapOptions, TrapResult, TrapRow
from noisediag.errors import InputError, UsageError
from noisediag.estimator import Estimator
from noisediag.footprint.file import CheckpointId
from noisediag.genome.traps.kinds import KINDS
from noisediag.genome.traps.scenes import Scenes
from noisediag.genome.traps.truth import Trap
from noisediag.reports.progress import Progress
from noisediag.studies.advise.advice import advise
from noisediag.studies.advise.result import AdviseOptions


@dataclass(frozen=True)
class TrapJob:
    """One file: number `draw` of a kind."""

    kind: str
    draw: int


def run(options: TrapOptions, *, models: Models | None = None, progress: Progress | None = None) -> TrapResult:
    """Make the files, ask, judge. `models` stands in for the shipped one (picklable where `workers` > 1).

    Raises UsageError for options that cannot be carried out.
    """
    if options.per_kind < 1 or options.workers < 1:
        raise UsageError("--per-kind and --workers are at least 1")
    unknown = [name for name in options.kinds if name not in KINDS]
    if unknown:
        raise UsageError(f"--kinds {', '.join(unknown)}: there are {', '.join(KINDS)}")
    scenes = Scenes(pictures_of(options))
    models = models or ShippedModels("sensor", options.checkpoint, options.device, randomised=False, seed=options.seed)
    todo = [
        TrapJob(name, draw) for name in KINDS if name in (options.kinds or KINDS) for draw in range(options.per_kind)
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if options.keep is None else options.keep
        folder.mkdir(parents=True, exist_ok=True)
        results = spread(partial(_answer, scenes, options.seed, folder), todo, models, options.workers)
        answered = list(progress(results, len(todo)) if progress else results)
    answers = tuple(answer for answer, _ in answered)
    checkpoint = next((checkpoint for _, checkpoint in answered if checkpoint is not None), None)
    return TrapResult(options, checkpoint, rows_of(answers), totals_of(answers), answers)


def rows_of(answers: Sequence[TrapAnswer]) -> tuple[TrapRow, ...]:
    """A row a kind, in the order of the answers."""
    kinds = dict.fromkeys(answer.kind for answer in answers)
    return tuple(_row(kind, KINDS[kind].control, [a for a in answers if a.kind == kind]) for kind in kinds)


def totals_of(answers: Sequence[TrapAnswer]) -> tuple[TrapRow, ...]:
    """All traps, all controls, and both, as far as there are any."""
    traps = [answer for answer in answers if not KINDS[answer.kind].control]
    controls = [answer for answer in answers if KINDS[answer.kind].control]
    rows = ((TRAPS, False, traps), (CONTROLS, True, controls), (ALL, None, answers))
    return tuple(_row(name, control, part) for name, control, part in rows if part)


def _answer(
    scenes: Scenes, seed: int, folder: Path, models: Mapping[str, Estimator], job: TrapJob
) -> tuple[TrapAnswer, CheckpointId | None]:
    """Make one file, ask what its question is, and judge the answer."""
    kind = KINDS[job.kind]
    trap = kind.trap(scenes, seed, job.draw)
    path = folder / f"{job.kind}-{job.draw}{trap.stored.suffix}"
    trap.stored.write(path)
    judgement, checkpoint = _judged(trap, path, models[MODEL], control=kind.control)
    return TrapAnswer(job.kind, job.draw, path.name, judgement), checkpoint


def _judged(trap: Trap, path: Path, model: Estimator, *, control: bool) -> tuple[Judgement, CheckpointId | None]:
    try:
        if trap.question == "advise":
            advice = advise(path, AdviseOptions(white=trap.given_white_dn), model)
            return judge_advice(trap.truths[0], advice), advice.checkpoint
        footprint = model.estimate(images.read(path, white=trap.given_white_dn))
    except InputError:
        return REFUSED, None
    return judge(trap.truths, footprint, control=control), footprint.checkpoint


def _row(name: str, control: bool | None, answers: Sequence[TrapAnswer]) -> TrapRow:
    counts = Counter(answer.judgement.verdict for answer in answers)
    return TrapRow(name, control, len(answers), counts["right"], counts["honest"], counts["wrong"])
