"""Fitting: from shots to a head of the user's own names, and what each name is learned as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from noisediag.cop import few_shot
from noisediag.cop.encoder import Encoder
from noisediag.cop.few_shot import Column, FewShotHead, Labels
from noisediag.estimator import Estimator
from noisediag.genome import paper
from noisediag.genome.parameters import NAMES, parameter
from noisediag.labels.table import LabelRow, LabelTable
from noisediag.readout import own_head as tuned
from noisediag.studies.finetune.result import FinetuneOptions
from noisediag.studies.finetune.shots import Shot, folds
from noisediag.training.few_shot_encoder import tune

FEWEST_LABELS = 10  # of one name
MIN_LOG_SPAN = 10.0  # largest over smallest label, above which positive numbers are learned by their logarithm


def column_of(table: LabelTable, name: str, rows: Sequence[LabelRow]) -> Column | None:
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
        log = positive and max(numbers) > MIN_LOG_SPAN * min(numbers)
    if max(numbers) == min(numbers):
        return None
    return Column(name, table.units.get(name, ""), "log" if log else "linear")


def labels_of(column: Column, shots: Sequence[Shot]) -> Labels:
    """The labels of `column` as it is learned; a number that is not above 0 has no logarithm, and is not known."""
    known, values = [], []
    for shot in shots:
        value = shot.row.values.get(column.name)
        fits = value is not None and not (column.scale == "log" and float(value) <= 0)
        known.append(fits)
        values.append(column.encode(value) if fits and value is not None else [0.0] * column.outputs)
    return Labels(torch.tensor(values, dtype=torch.float64), torch.tensor(known))


@dataclass(frozen=True)
class HeadFitting:
    """How heads are fitted in this run. `groups`: widths of the groups of inputs of a shot."""

    columns: Sequence[Column]
    groups: tuple[int, ...]
    options: FinetuneOptions
    estimator: Estimator

    def learn(self, shots: Sequence[Shot], *, intervals: bool = True) -> tuned.Tuned:
        """A head of all columns, and the encoder that it reads if that is not the model's."""
        labels = [labels_of(column, shots) for column in self.columns]
        encoder = self.options.encoder
        if self.options.full:
            crops = [shot.crops for shot in shots if shot.crops is not None]
            tuning = replace(self.options.tuning, seed=self.options.seed)
            encoder = tune(self.estimator.model.encoder, crops, self.columns, labels, tuning)
        fold = None
        # A tuned encoder has seen all of its shots, so their errors say nothing.
        if intervals and not self.options.full:
            fold = torch.from_numpy(folds([shot.row for shot in shots], few_shot.FOLDS, self.options.seed))
        inputs, groups = self.inputs(shots, encoder)
        return tuned.Tuned(few_shot.learn(inputs, groups, self.columns, labels, fold), encoder)

    def inputs(self, shots: Sequence[Shot], encoder: Encoder | None) -> tuple[Tensor, tuple[int, ...]]:
        """Of the head, (shots, sum(groups)), and their groups; a tuned encoder's own in the place of the first."""
        inputs = torch.stack([shot.inputs for shot in shots])
        if not self.options.full or encoder is None:
            return inputs, self.groups
        own = torch.stack([tuned.embed(encoder, shot.crops) for shot in shots if shot.crops is not None])
        return torch.cat([own, inputs[:, self.groups[0] :]], 1), (own.shape[1], *self.groups[1:])


@dataclass(frozen=True)
class JudgedPart:
    """What one part of the split came to: `own` learned from `learned`, and is judged on `asked`."""

    learned: Sequence[Shot]
    asked: Sequence[Shot]
    own: tuned.Tuned


def final_head(
    fitting: HeadFitting, kept: Sequence[int], shots: Sequence[Shot], judged: Sequence[JudgedPart]
) -> tuned.Tuned:
    """The head of all shots and of the columns that are `kept`.

    With a tuned encoder its intervals come from the pictures that judged.
    """
    fitting = replace(fitting, columns=[fitting.columns[number] for number in kept])
    own = fitting.learn(shots)
    if not fitting.options.full:
        return own
    asked = [shot for part in judged for shot in part.asked]
    head = FewShotHead(replace(own.head.config, judged=len(asked)))
    learned = {k: v for k, v in own.head.state_dict().items() if not k.startswith(("error_", "judge_"))}
    head.load_state_dict({**head.state_dict(), **learned})
    for place, (number, column) in enumerate(zip(kept, fitting.columns, strict=True)):
        said = torch.cat([p.own.head.outputs(fitting.inputs(p.asked, p.own.encoder)[0], number)[0] for p in judged])
        label = labels_of(column, asked)
        head.judge(place, label.values - said, torch.where(label.known, 0, -1))
    return replace(own, head=head)
