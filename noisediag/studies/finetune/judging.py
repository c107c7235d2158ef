"""Judging: whether a head is any better than what there was, on pictures that it was not learned from.

Judged is what the shipped model says before (for names it knows), what the new head says, and the mean of the learned
labels. A name is kept where a paired bootstrap over acquisitions says, one-sided at 95 % for all names together, that
the new head is better than both others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UsageError
from noisediag.studies.finetune.heads import HeadFitting, JudgedPart, labels_of
from noisediag.studies.finetune.result import CurvePoint, Prediction, Verdict

Floats = NDArray[np.float64]

RESAMPLES = 4000  # of the bootstrap
CONFIDENCE = 0.95
CURVE_SHOTS = (10, 25, 50, 100, 250, 1000)


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


def _losses(fitting: HeadFitting, number: int, judged: Sequence[JudgedPart]) -> _Losses:
    column = fitting.columns[number]
    truth, mean, before, after, group = [], [], [], [], []
    inside_before: list[bool] = []
    inside_after: list[bool] = []
    scale = math.log(10) if column.scale == "log" else 1.0
    for part in judged:
        labels, known = labels_of(column, part.learned), labels_of(column, part.asked)
        centre = labels.values[labels.known].mean(0)
        inputs = fitting.inputs(part.own, part.asked)
        said = part.own.head.outputs(inputs)[number][0]
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


def verdicts_of(fitting: HeadFitting, judged: Sequence[JudgedPart]) -> tuple[tuple[Verdict, ...], float | None]:
    """Whether each column is any better than the mean and than what the model said before; R2 of the parts of a whole.

    Parts of a whole stand or fall together, as one name; beside the others a part stays out that is no better than its
    mean on the pictures that judge.
    """
    parts = [number for number, column in enumerate(fitting.columns) if column.part]
    asked = len(fitting.columns) - max(len(parts) - 1, 0)
    losses = [_losses(fitting, number, judged) for number in range(len(fitting.columns))]
    verdicts = [_verdict(fitting, number, judged, losses[number], asked) for number in range(len(losses))]
    aligned = {len(losses[number].truth) for number in parts}
    if len(parts) < 2 or len(aligned) > 1:
        return tuple(verdicts), None
    after, mean = (sum(getattr(losses[number], kind) for number in parts) for kind in ("after", "mean"))
    shown = shown_better(after, mean, losses[parts[0]].group, asked, fitting.options.seed)
    for number in parts:
        own = losses[number]
        verdicts[number] = replace(verdicts[number], better=shown and bool(own.after.mean() < own.mean.mean()))
    left = sum((losses[number].after if verdicts[number].better else losses[number].mean).sum() for number in parts)
    return tuple(verdicts), 1 - float(left / sum(losses[number].mean.sum() for number in parts))


def _verdict(fitting: HeadFitting, number: int, judged: Sequence[JudgedPart], losses: _Losses, asked: int) -> Verdict:
    """Of the column at place `number`, one of `asked` at once."""
    column = fitting.columns[number]
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
        learned=sum(int(labels_of(column, part.learned).known.sum()) for part in judged) // len(judged),
        judged=len(losses.truth),
        rmse_mean=root(losses.mean),
        rmse_before=None if losses.before is None else root(losses.before),
        rmse_after=root(losses.after),
        r2_before=r2(losses.before),
        r2_after=r2(losses.after),
        coverage_before=_share_of(losses.covered_before),
        coverage_after=_share_of(losses.covered_after),
        better=all(shown_better(losses.after, rival, losses.group, asked, fitting.options.seed) for rival in rivals),
        part=column.part,
    )


def _share_of(covered: Sequence[bool]) -> float | None:
    return sum(covered) / len(covered) if covered else None


def shown_better(after: Floats, before: Floats, group: Sequence[str], names: int, seed: int) -> bool:
    """Paired bootstrap over acquisitions, one-sided; the level is shared by all `names` that are asked at once.

    Kept by hand on purpose: `scipy.stats.bootstrap` would draw acquisitions in another order, and with another verdict
    in close cases.
    """
    _, member = np.unique(np.array(group), return_inverse=True)
    count = member.max() + 1
    change = np.bincount(member, weights=after - before, minlength=count)
    rng = np.random.default_rng(seed)
    drawn = change[rng.integers(count, size=(RESAMPLES, count))].sum(1)
    return bool(np.quantile(drawn, 1 - (1 - CONFIDENCE) / names) < 0)


def predictions(fitting: HeadFitting, judged: Sequence[JudgedPart]) -> Iterator[Prediction]:
    """What was said of every picture that judged, beside its label, name by name."""
    read = [(part, part.own.head.read(fitting.inputs(part.own, part.asked))) for part in judged]
    for number, column in enumerate(fitting.columns):
        for part, readings in read:
            for shot, said in zip(part.asked, readings, strict=True):
                truth = shot.row.values.get(column.name)
                if truth is not None:
                    reading = said[number]
                    path = str(shot.row.path)
                    yield Prediction(column.name, path, truth, reading.value, reading.low, reading.high)


def learning_curve(fitting: HeadFitting, judged: Sequence[JudgedPart]) -> Iterator[CurvePoint]:
    """Ever more of every part's shots, in one random order, up to all of them."""
    rng = np.random.default_rng(fitting.options.seed + 2)
    most = min(len(part.learned) for part in judged)
    orders = [rng.permutation(len(part.learned)) for part in judged]
    for shots in [*(n for n in CURVE_SHOTS if n < most), most]:
        few = []
        for part, order in zip(judged, orders, strict=True):
            chosen = [part.learned[i] for i in sorted(order[:shots])]
            few.append(JudgedPart(chosen, part.asked, fitting.learn(chosen, intervals=False)))
        for number, column in enumerate(fitting.columns):
            losses = _losses(fitting, number, few)
            yield CurvePoint(column.name, shots, math.sqrt(losses.after.mean() / losses.mean.mean()))


def complaint(verdicts: Sequence[Verdict]) -> str:
    """Why nothing is written, with the error of every name."""
    parts = []
    for v in verdicts:
        rival = min(v.rmse_mean, v.rmse_mean if v.rmse_before is None else v.rmse_before)
        what = "wrong" if v.scale == "class" else "RMSE"
        parts.append(f"{v.name}: {what} {v.rmse_after:.3g}, without {rival:.3g}")
    return f"the new head is not shown to be better, so nothing is written ({'; '.join(parts)})"
