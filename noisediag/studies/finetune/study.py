"""`noisediag finetune`: a head of the user's own from about a hundred labels, and whether it is any better.

Pictures are split by acquisition, never within one. Where there are enough labels, those beyond the shots judge; else
five folds do. Judged is what the shipped model says before (for names it knows), what the new head says, and the mean
of the learned labels. A name is kept where a paired bootstrap over acquisitions says, one-sided at 95 % for all names
together, that the new head is better than both others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisediag.cop import few_shot
from noisediag.cop.encoder import Encoder
from noisediag.cop.few_shot import Column, FewShotHead, Labels
from noisediag.errors import InputError, NoisediagError, UsageError
from noisediag.estimator import Estimator
from noisediag.footprint.file import CheckpointId
from noisediag.footprint.plane import Estimate
from noisediag.genome import paper
from noisediag.genome.parameters import NAMES, parameter
from noisediag.images.image import Image
from noisediag.labels.table import LabelRow, LabelTable
from noisediag.readout import own_head as tuned
from noisediag.readout.tiles import own_bags
from noisediag.reports.progress import Progress
from noisediag.studies.finetune.labelled import Labelled
from noisediag.training.few_shot_encoder import EncoderTuning, tune

Floats = NDArray[np.float64]

SCHEMA = "noisediag.finetune/1"
FOLDS = 5  # that judge where labels are few
JUDGED_SHARE = 0.2  # of the labelled pictures at least
FEWEST_JUDGED = 20
FEWEST_LABELS = 10  # of one name
LOG_SPAN = 10.0  # numbers above 0 that span more than this are learned by their logarithm
RESAMPLES = 4000
CONFIDENCE = 0.95
ROUTES = "give --repeats, --flats with --darks, --pairs, --labels, or --clean with --genome"
WEAK_ALONE = f"labels from metadata teach, but cannot judge; beside them, {ROUTES}"
CURVE_SHOTS = (10, 25, 50, 100, 250, 1000)


class NoBetterError(NoisediagError):
    """The new head is not shown to be better than what there was; exit code 1."""


@dataclass(frozen=True)
class FinetuneOptions:
    """`shots`: labelled pictures to learn from, at most. `full` also tunes the encoder, by `tuning`.

    `encoder`: one that the head reads in the place of the model's own.
    """

    shots: int = 100
    seed: int = 0
    full: bool = False
    tuning: EncoderTuning = field(default_factory=EncoderTuning)
    learning_curve: bool = False
    encoder: Encoder | None = None


@dataclass(frozen=True)
class Shot:
    """One labelled picture as the networks see it. `before`: what the model said of each known name."""

    row: LabelRow
    inputs: Tensor  # (sum(groups),)
    before: dict[str, Estimate]
    crops: Tensor | None = None  # (n, H, W) of its bag, where the encoder is tuned


@dataclass(frozen=True)
class Verdict:
    """One name, judged on `judged` pictures that were not learned from.

    Errors are in the label's unit, of a `log` one in decades, of a `class` the share of wrong words (`rmse_*`, with R2
    null). None: not known, or not asked.
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


@dataclass(frozen=True)
class CurvePoint:
    """The error of one name with fewer shots, as a share of the mean predictor's."""

    name: str
    shots: int
    rmse_share: float


@dataclass(frozen=True)
class FinetuneResult:
    """`how`: held out, or folds. `acquisitions` of all pictures used; `judged_paths`: those that judged."""

    options: FinetuneOptions
    checkpoint: CheckpointId
    how: str
    shots: int
    judged: int
    acquisitions: int
    verdicts: tuple[Verdict, ...]
    curve: tuple[CurvePoint, ...]
    judged_paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finetuned:
    """What was found, and the head of the names that got better."""

    result: FinetuneResult
    own: tuned.Tuned


@dataclass(frozen=True)
class Split:
    """Positions of the shots to learn from and, for each part, those to judge by."""

    learn: NDArray[np.int64]
    parts: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]  # (learned, judged) of each part
    how: str


def run(sources: Sequence[Labelled], options: FinetuneOptions, estimator: Estimator, progress: Progress) -> Finetuned:
    """Learn from `sources` and judge. Raises NoBetterError where no name got better, UsageError where the labels do
    not allow it, InputError for a picture that cannot be read.
    """
    table, strong, load = _together(sources)
    split = _split(table.rows, strong, options)
    needed = sorted({int(i) for part in split.parts for side in part for i in side} | {int(i) for i in split.learn})
    known = [name for name in table.names if name in NAMES and name not in table.classes]
    rows = [table.rows[i] for i in needed]
    described = progress((_shot(load, row, estimator, known, options) for row in rows), len(rows))
    groups: list[tuple[int, ...]] = []
    shots: dict[int, Shot] = {}
    for i, (shot, widths) in zip(needed, described, strict=True):
        shots[i] = shot
        groups.append(widths)
    columns = [c for c in (_column(table, name, [table.rows[i] for i in split.learn]) for name in table.names) if c]
    if not columns:
        raise UsageError(f"no name has {FEWEST_LABELS} labels among the shots")
    work = _Work(columns, groups[0], options, estimator)
    judged = []
    for learned, asked in split.parts:
        part = [shots[i] for i in learned]
        judged.append(_Part(part, [shots[i] for i in asked], work.learn(part)))
    verdicts = tuple(_verdict(work, number, judged) for number in range(len(columns)))
    if not any(verdict.better for verdict in verdicts):
        raise NoBetterError(_complaint(verdicts))
    kept = [number for number, verdict in enumerate(verdicts) if verdict.better]
    made = _final(work, kept, [shots[i] for i in split.learn], judged)
    result = FinetuneResult(
        options=options,
        checkpoint=estimator.checkpoint,
        how=split.how,
        shots=len(split.learn),
        judged=sum(len(asked) for _, asked in split.parts),
        acquisitions=len({table.rows[i].group for i in needed}),
        verdicts=verdicts,
        curve=tuple(_learning_curve(work, judged)) if options.learning_curve else (),
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


def _together(
    sources: Sequence[Labelled],
) -> tuple[LabelTable, NDArray[np.bool_], Callable[[LabelRow], Image]]:
    """One table of all sources, which rows may judge, and how to load a row.

    A picture whose noise is known in a better way has no weak label.
    """
    if not sources:
        raise UsageError("no labels: " + ROUTES)
    names = tuple(dict.fromkeys(name for source in sources for name in source.table.names))
    units: dict[str, str] = {}
    for source in sources:
        others = {name for other in sources if other is not source for name in other.table.names}
        if others and not others & set(source.table.names):
            raise UsageError(f"--{source.route} has no name in common with the other labels: one run for each")
        for name, unit in source.table.units.items():
            if units.setdefault(name, unit) != unit:
                raise UsageError(f"{name} is in {units[name] or 'no unit'} here and in {unit or 'no unit'} there")
    if all(source.table.weak for source in sources):
        raise UsageError(WEAK_ALONE)
    known: dict[Path, Labelled] = {}
    rows: list[tuple[LabelRow, Labelled]] = []
    for source in sorted(sources, key=lambda one: one.table.weak):
        for row in source.table.rows:
            first = known.setdefault(row.path.resolve(), source)
            if first is source:
                rows.append((row, source))
            elif not source.table.weak:
                raise UsageError(f"{row.path} has labels by --{first.route} and by --{source.route}: leave one out")
    strong = np.array([not source.table.weak for _, source in rows])
    loads = {id(row): source.load for row, source in rows}
    return LabelTable(names, units, tuple(row for row, _ in rows)), strong, lambda row: loads[id(row)](row)


def _split(rows: Sequence[LabelRow], strong: NDArray[np.bool_], options: FinetuneOptions) -> Split:
    """Learn from at most `shots` rows; whole acquisitions beside them judge if they are enough, else folds of what is
    learned from.

    Large acquisitions, as bursts, share the shots: each gives as many as the others, so that more scenes are seen.
    """
    rng = np.random.default_rng(options.seed)
    members: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        members.setdefault(row.group, []).append(i)
    groups = [members[name] for name in sorted(members)]
    if len(groups) < 2:
        raise UsageError("all labels are of one acquisition, so nothing independent is left to judge by")
    order = [groups[i] for i in rng.permutation(len(groups))]
    learn = _in_turn(order[: -math.ceil(JUDGED_SHARE * len(order))], options.shots)
    taken = set(learn)
    rest = [i for group in order if not taken.intersection(group) for i in group if strong[i]]
    enough = max(FEWEST_JUDGED, JUDGED_SHARE * (len(learn) + len(rest)))
    if len(learn) == options.shots and len(rest) >= enough:
        chosen = np.array(sorted(learn))
        return Split(chosen, ((chosen, np.array(sorted(rest))),), "held out")
    chosen = np.array(sorted(_in_turn(order, options.shots)))
    fold = _folds([rows[i] for i in chosen], FOLDS, options.seed)
    if fold.max() < 1:
        raise UsageError("the shots are of one acquisition, so nothing independent is left to judge by")
    parts = tuple(
        (chosen[fold != k], chosen[(fold == k) & strong[chosen]]) for k in range(fold.max() + 1) if (fold == k).any()
    )
    return Split(chosen, tuple(p for p in parts if len(p[1])), f"{len(parts)} folds")


def _in_turn(groups: Sequence[Sequence[int]], most: int) -> list[int]:
    """The first of each group, then the second of each that has one, and so on: at most `most`."""
    turns = itertools.zip_longest(*groups)
    return list(itertools.islice((i for turn in turns for i in turn if i is not None), most))


def _folds(rows: Sequence[LabelRow], most: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row, from 0: whole acquisitions, the folds about equal in size."""
    rng = np.random.default_rng(seed + 1)
    members: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        members.setdefault(row.group, []).append(i)
    groups = [members[name] for name in sorted(members)]
    count = min(most, len(groups))
    fold, sizes = np.zeros(len(rows), dtype=np.int64), np.zeros(count)
    for group in sorted((groups[i] for i in rng.permutation(len(groups))), key=len, reverse=True):
        smallest = int(sizes.argmin())
        fold[group] = smallest
        sizes[smallest] += len(group)
    return fold


def _shot(
    load: Callable[[LabelRow], Image],
    row: LabelRow,
    estimator: Estimator,
    known: Sequence[str],
    options: FinetuneOptions,
) -> tuple[Shot, tuple[int, ...]]:
    try:
        image = load(row)
        described = estimator.describe(image, encoder=options.encoder)
        inputs = torch.stack([d.inputs[0] for d in described]).mean(0)
        before: dict[str, Estimate] = {}
        if known:
            footprint = estimator.estimate(image)
            before = {name: footprint[name] for name in known}
        crops = None
        if options.full:
            crops = torch.cat([torch.from_numpy(bag.tiles) for _, bag in own_bags(image)])
    except InputError as error:
        if row.line is None:
            raise
        raise type(error)(f"row {row.line}: {error}") from error
    return Shot(row, inputs, before, crops), described[0].groups


def _column(table: LabelTable, name: str, rows: Sequence[LabelRow]) -> Column | None:
    """How `name` is learned; None where its labels are too few."""
    values = [row.values[name] for row in rows if name in row.values]
    if len(values) < FEWEST_LABELS:
        return None
    if name in table.classes:
        words = tuple(sorted({str(value) for value in values}))
        return Column(name, "", "class", words) if len(words) > 1 else None
    numbers = [float(value) for value in values]
    positive = min(numbers) > 0
    if table.units.get(name) == paper.UNIT:
        log = False
    elif name in NAMES:
        log = parameter(name).spacing == "log" and positive
    else:
        log = positive and max(numbers) > LOG_SPAN * min(numbers)
    if max(numbers) == min(numbers):
        return None
    return Column(name, table.units.get(name, ""), "log" if log else "linear")


def _labels(column: Column, shots: Sequence[Shot]) -> Labels:
    known, values = [], []
    for shot in shots:
        value = shot.row.values.get(column.name)
        fits = value is not None and not (column.scale == "log" and float(value) <= 0)
        known.append(fits)
        values.append(column.encode(value) if fits and value is not None else [0.0] * column.outputs)
    return Labels(torch.tensor(values, dtype=torch.float64), torch.tensor(known))


@dataclass(frozen=True)
class _Work:
    """How heads are made in this run."""

    columns: Sequence[Column]
    groups: tuple[int, ...]
    options: FinetuneOptions
    estimator: Estimator

    def learn(self, shots: Sequence[Shot], *, intervals: bool = True) -> tuned.Tuned:
        labels = [_labels(column, shots) for column in self.columns]
        encoder = self.options.encoder
        if self.options.full:
            crops = [shot.crops for shot in shots if shot.crops is not None]
            tuning = replace(self.options.tuning, seed=self.options.seed)
            encoder = tune(self.estimator.model.encoder, crops, self.columns, labels, tuning)
        fold = None
        # A tuned encoder has seen all of its shots, so their errors say nothing.
        if intervals and not self.options.full:
            fold = torch.from_numpy(_folds([shot.row for shot in shots], few_shot.FOLDS, self.options.seed))
        inputs, groups = self.inputs(shots, encoder)
        return tuned.Tuned(few_shot.learn(inputs, groups, self.columns, labels, fold), encoder)

    def inputs(self, shots: Sequence[Shot], encoder: Encoder | None) -> tuple[Tensor, tuple[int, ...]]:
        inputs = torch.stack([shot.inputs for shot in shots])
        if not self.options.full or encoder is None:
            return inputs, self.groups
        own = torch.stack([tuned.embed(encoder, shot.crops) for shot in shots if shot.crops is not None])
        return torch.cat([own, inputs[:, self.groups[0] :]], 1), (own.shape[1], *self.groups[1:])


@dataclass(frozen=True)
class _Part:
    """What one part of the split came to: `own` learned from `learned`, and is judged on `asked`."""

    learned: Sequence[Shot]
    asked: Sequence[Shot]
    own: tuned.Tuned


def _final(work: _Work, kept: Sequence[int], shots: Sequence[Shot], judged: Sequence[_Part]) -> tuned.Tuned:
    """The head of all shots and of the columns that are `kept`.

    With a tuned encoder its intervals come from the pictures that judged.
    """
    work = replace(work, columns=[work.columns[number] for number in kept])
    own = work.learn(shots)
    if not work.options.full:
        return own
    asked = [shot for part in judged for shot in part.asked]
    head = FewShotHead(replace(own.head.config, judged=len(asked)))
    learned = {k: v for k, v in own.head.state_dict().items() if not k.startswith(("error_", "judge_"))}
    head.load_state_dict({**head.state_dict(), **learned})
    for place, (number, column) in enumerate(zip(kept, work.columns, strict=True)):
        said = torch.cat([p.own.head.outputs(work.inputs(p.asked, p.own.encoder)[0], number)[0] for p in judged])
        label = _labels(column, asked)
        head.judge(place, label.values - said, torch.where(label.known, 0, -1))
    return replace(own, head=head)


def _learning_curve(work: _Work, judged: Sequence[_Part]) -> Iterator[CurvePoint]:
    """Ever more of every part's shots, in one random order, up to all of them."""
    rng = np.random.default_rng(work.options.seed + 2)
    most = min(len(part.learned) for part in judged)
    orders = [rng.permutation(len(part.learned)) for part in judged]
    for shots in [*(n for n in CURVE_SHOTS if n < most), most]:
        few = []
        for part, order in zip(judged, orders, strict=True):
            chosen = [part.learned[i] for i in sorted(order[:shots])]
            few.append(_Part(chosen, part.asked, work.learn(chosen, intervals=False)))
        for number, column in enumerate(work.columns):
            losses = _losses(work, number, few)
            yield CurvePoint(column.name, shots, math.sqrt(losses.after.mean() / losses.mean.mean()))


@dataclass(frozen=True)
class _Losses:
    """Of every judged picture with a label: squared errors (of a class 0 or 1), labels, coverage, acquisition."""

    truth: Floats
    mean: Floats
    before: Floats | None
    after: Floats
    covered_before: list[bool]
    covered_after: list[bool]
    group: list[str]


def _losses(work: _Work, number: int, judged: Sequence[_Part]) -> _Losses:
    column = work.columns[number]
    truth, mean, before, after, group = [], [], [], [], []
    inside_before: list[bool] = []
    inside_after: list[bool] = []
    scale = math.log(10) if column.scale == "log" else 1.0
    for part in judged:
        labels, known = _labels(column, part.learned), _labels(column, part.asked)
        centre = labels.values[labels.known].mean(0)
        inputs, _ = work.inputs(part.asked, part.own.encoder)
        said = part.own.head.outputs(inputs, number)[0]
        readings = part.own.head.read(inputs)
        for i, shot in enumerate(part.asked):
            if not bool(known.known[i]):
                continue
            value, group_name = known.values[i], shot.row.group
            group.append(group_name)
            if column.scale == "class":
                right = int(value.argmax()) if float(value.max()) > 0 else -1  # a word that no shot has is never said
                truth.append(float(right))
                mean.append(float(int(centre.argmax()) != right))
                after.append(float(int(said[i].argmax()) != right))
                continue
            target = float(value[0])
            truth.append(target / scale)
            mean.append(((float(centre[0]) - target) / scale) ** 2)
            after.append(((float(said[i, 0]) - target) / scale) ** 2)
            reading, native = readings[i][number], float(shot.row.values[column.name])
            if reading.low is not None and reading.high is not None:
                inside_after.append(reading.low <= native <= reading.high)
            estimate = shot.before.get(column.name)
            if estimate is None:
                continue
            guess = estimate.value
            if guess is None or (column.scale == "log" and guess <= 0):
                guessed = float(centre[0])  # where it said nothing, as good as the mean
            else:
                guessed = column.encode(guess)[0]
            before.append(((guessed - target) / scale) ** 2)
            if estimate.low is not None and estimate.high is not None:
                inside_before.append(estimate.low <= native <= estimate.high)
    return _Losses(
        np.array(truth),
        np.array(mean),
        np.array(before) if before else None,
        np.array(after),
        inside_before,
        inside_after,
        group,
    )


def _verdict(work: _Work, number: int, judged: Sequence[_Part]) -> Verdict:
    column = work.columns[number]
    losses = _losses(work, number, judged)
    if not len(losses.truth):
        raise UsageError(f"{column.name}: none of the pictures left to judge by has a label")
    spread = float(losses.truth.var())

    def r2(loss: Floats | None) -> float | None:
        if loss is None or column.scale == "class" or spread == 0:
            return None
        return 1 - float(loss.mean()) / spread

    def root(loss: Floats) -> float:
        return float(loss.mean()) if column.scale == "class" else math.sqrt(float(loss.mean()))

    rivals = [losses.mean] + ([] if losses.before is None else [losses.before])
    return Verdict(
        name=column.name,
        unit=column.unit,
        scale=column.scale,
        learned=sum(int(_labels(column, part.learned).known.sum()) for part in judged) // len(judged),
        judged=len(losses.truth),
        rmse_mean=root(losses.mean),
        rmse_before=None if losses.before is None else root(losses.before),
        rmse_after=root(losses.after),
        r2_before=r2(losses.before),
        r2_after=r2(losses.after),
        coverage_before=_share(losses.covered_before),
        coverage_after=_share(losses.covered_after),
        better=all(
            _better(losses.after, rival, losses.group, len(work.columns), work.options.seed) for rival in rivals
        ),
    )


def _share(covered: Sequence[bool]) -> float | None:
    return sum(covered) / len(covered) if covered else None


def _better(after: Floats, before: Floats, group: Sequence[str], names: int, seed: int) -> bool:
    """Paired bootstrap over acquisitions, one-sided; the level is shared by all `names` that are asked at once."""
    _, member = np.unique(np.array(group), return_inverse=True)
    count = member.max() + 1
    gain = np.bincount(member, weights=after - before, minlength=count)
    rng = np.random.default_rng(seed)
    drawn = gain[rng.integers(count, size=(RESAMPLES, count))].sum(1)
    return bool(np.quantile(drawn, 1 - (1 - CONFIDENCE) / names) < 0)


def _complaint(verdicts: Sequence[Verdict]) -> str:
    parts = []
    for v in verdicts:
        rival = min(v.rmse_mean, v.rmse_mean if v.rmse_before is None else v.rmse_before)
        what = "wrong" if v.scale == "class" else "RMSE"
        parts.append(f"{v.name}: {what} {v.rmse_after:.3g}, without {rival:.3g}")
    return f"the new head is not shown to be better, so nothing is written ({'; '.join(parts)})"
