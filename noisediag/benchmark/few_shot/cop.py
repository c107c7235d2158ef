"""The arms on the frozen encoder: a head of few labels, learned as `noisediag finetune` learns it from plain headers.

The table has one column a name, without units. `studies.finetune` says what each name is learned as, chooses by
evidence what it is read from, and fits the head; here as there a name is left out that a paired bootstrap does not show
to be better than the mean of its labels. `finetune` judges by five folds that choose anew; here the ten folds of the
head's own intervals judge, which have not seen what they say, for a sixth of the time. A name left out counts as the
mean of its labels (a class as the most frequent word).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from noisediag.benchmark.few_shot.described import Described, Networks
from noisediag.cop.few_shot import FewShotHead, Reading
from noisediag.genome import paper
from noisediag.labels.table import LabelRow, LabelTable
from noisediag.readout import own_head
from noisediag.studies.finetune.heads import HeadFitting, labels_of
from noisediag.studies.finetune.judging import shown_better
from noisediag.studies.finetune.result import FinetuneOptions
from noisediag.studies.finetune.shots import Shot
from noisediag.studies.finetune.study import fitting_of

Floats = NDArray[np.float64]

KIND = "kind"  # the column of words


@dataclass(frozen=True)
class Read:
    """What a head says of pictures: `values` (n, 6), `low` and `high` of the 90 % intervals (not-a-number: none).

    `left_out`: names that count as their mean; `reads`: what the others are read from.
    """

    values: Floats
    low: Floats
    high: Floats
    left_out: tuple[str, ...]
    reads: str


@dataclass(frozen=True)
class ReadKinds:
    """The words of pictures, and what they are read from."""

    words: NDArray[np.str_]
    reads: str


def read_strengths(taught: Described, asked: Described, networks: Networks) -> Read:
    """The strengths of `asked` by a head of the labels of `taught`."""
    values = [dict(zip(paper.NAMES, map(float, row), strict=True)) for row in taught.strengths]
    shots = _shots(taught, values)
    table = LabelTable(paper.NAMES, dict.fromkeys(paper.NAMES, ""), tuple(shot.row for shot in shots))
    kept, own = _learned(table, shots, networks)
    mean = np.tile(taught.strengths.mean(0), (len(asked), 1))
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    if own is not None:
        for readings in _readings(own, asked):
            column = paper.NAMES.index(readings[0].column.name)
            mean[:, column] = [float(one.value) for one in readings]
            for bound, ends in ((low, [r.low for r in readings]), (high, [r.high for r in readings])):
                bound[:, column] = [np.nan if end is None else end for end in ends]
    return Read(mean, low, high, tuple(name for name in paper.NAMES if name not in kept), _reads(own))


def read_kinds(taught: Described, asked: Described, networks: Networks) -> ReadKinds:
    """The dominant kind of `asked` by a head of words, the dominant kinds of `taught`."""
    words = kinds_of(taught.strengths)
    shots = _shots(taught, [{KIND: str(word)} for word in words])
    table = LabelTable((KIND,), {}, tuple(shot.row for shot in shots))
    found, counts = np.unique(words, return_counts=True)
    own = None
    if len(found) > 1:
        _, own = _learned(table, shots, networks)
    if own is None:
        return ReadKinds(np.full(len(asked), found[counts.argmax()]), _reads(own))
    return ReadKinds(np.array([str(one.value) for one in _readings(own, asked)[0]]), _reads(own))


def kinds_of(strengths: Floats) -> NDArray[np.str_]:
    """The kind of noise that is the strongest. Of pure ones it is the one there is, however much `normal` is left."""
    pure = (strengths[:, :-1] > 0).sum(1) <= 1
    weighed = np.where(pure[:, None] & (np.arange(strengths.shape[1]) == strengths.shape[1] - 1), -1.0, strengths)
    return np.array([paper.NAMES[place] for place in weighed.argmax(1)])


def _shots(taught: Described, values: Sequence[dict[str, float] | dict[str, str]]) -> list[Shot]:
    """Labelled pictures as `finetune` holds them; each is an acquisition."""
    return [
        Shot(
            LabelRow(Path(name), dict(values[i]), str(name)),
            {part: numbers[i : i + 1] for part, numbers in taught.parts.items()},
            {},
            kind=taught.kind,
        )
        for i, name in enumerate(taught.picture)
    ]


def _learned(
    table: LabelTable, shots: Sequence[Shot], networks: Networks
) -> tuple[tuple[str, ...], own_head.Tuned | None]:
    """The names that are kept, and the head of these; None where it is no better than the means."""
    options = FinetuneOptions(shots=len(shots))
    fitting = fitting_of(table, shots, options, networks.estimator, networks.encoder)
    own = fitting.learn(shots)
    kept = _kept(fitting, own.head, shots)
    if not kept:
        return (), None
    if len(kept) < len(fitting.columns):
        own = replace(fitting, columns=[fitting.columns[number] for number in kept]).learn(shots)
    return tuple(fitting.columns[number].name for number in kept), own


def _kept(fitting: HeadFitting, head: FewShotHead, shots: Sequence[Shot]) -> list[int]:
    """The columns that the folds show to be better than the mean; parts of a whole stand or fall together."""
    after, mean, parts = [], [], []
    groups = [shot.row.group for shot in shots]
    for number, column in enumerate(fitting.columns):
        label = labels_of(column, shots)
        judge, values = head.part("judge", number), label.values
        said = values - head.part("error", number)
        others = torch.stack([values[judge != fold].mean(0) for fold in range(head.config.models)])[judge]
        if column.scale == "class":
            right = values.argmax(1)
            wrong = [(guess.argmax(1) != right).double() for guess in (said, others)]
        else:
            wrong = [(guess - values).square().sum(1) for guess in (said, others)]
        after.append(wrong[0].numpy())
        mean.append(wrong[1].numpy())
        parts += [number] if column.part else []
    asked = len(fitting.columns) - max(len(parts) - 1, 0)
    seed = fitting.options.seed
    together = len(parts) > 1 and shown_better(
        np.sum([after[i] for i in parts], 0), np.sum([mean[i] for i in parts], 0), groups, asked, seed
    )
    return [
        number
        for number in range(len(fitting.columns))
        if (
            together and after[number].mean() < mean[number].mean()
            if number in parts and len(parts) > 1
            else shown_better(after[number], mean[number], groups, asked, seed)
        )
    ]


def _readings(own: own_head.Tuned, asked: Described) -> list[list[Reading]]:
    """Of each column of the head the readings of all pictures."""
    by_picture = own.head.read(own.inputs(own_head.Described(asked.parts)))
    return [list(column) for column in zip(*by_picture, strict=True)]


def _reads(own: own_head.Tuned | None) -> str:
    """What the columns of a head are read from, and how."""
    if own is None:
        return "nothing"
    columns = own.head.config.columns
    found = {" + ".join(c.reads or own.head.config.inputs) + f", {c.by}{' of all' if c.joint else ''}" for c in columns}
    return "; ".join(sorted(found))
