"""Fitting: from shots to a head of the user's own names; what each is read from is chosen by evidence on the shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from noisediag.cop import few_shot_learning as learning
from noisediag.cop.encoder import Encoder
from noisediag.cop.few_shot import Column, FewShotHead, Labels
from noisediag.cop.few_shot_learning import Inputs
from noisediag.cop.models import FAMILIAR_DIMENSIONS, Familiarity
from noisediag.estimator import Estimator
from noisediag.readout import own_head as tuned
from noisediag.studies.finetune.result import FinetuneOptions
from noisediag.studies.finetune.shots import Shot, folds
from noisediag.training.few_shot_encoder import tune

OWN = tuned.MODELS_OWN
SENSOR = ("levels", "evidence", "blocks")
VIEWS = (  # sets of inputs that are asked for evidence; where it does not tell, the first
    OWN,
    ("places",),
    ("places", "components"),
    ("places", *SENSOR),
    ("places", "components", *OWN),
)
VIEWS_OF_NEAR = (("places", *SENSOR), ("places",), ("places", "components"))  # where that encoder was asked for
VIEWS_OF_OTHER = (("components", *SENSOR), ("components",))  # of an encoder without places
SHOTS_A_COMPONENT = 4
FEWEST_TO_CHOOSE = 10  # acquisitions of all shots


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
    """How heads are fitted in this run. `columns`: what each name is learned as, or may be, before inputs are chosen.

    `total` of the columns that are parts of a whole. `encoder`: another one than the model's, which may be read.
    """

    columns: Sequence[Column]
    total: float | None
    options: FinetuneOptions
    estimator: Estimator
    encoder: Encoder | None
    choosing: bool  # whether there are enough acquisitions to choose inputs by

    def learn(self, shots: Sequence[Shot], *, intervals: bool = True) -> tuned.Tuned:
        """A head of all columns, and the encoder that it reads if that is not the model's."""
        labels = [labels_of(column, shots) for column in self.columns]
        if self.options.full:
            return self._learn_with_encoder(shots, labels)
        columns, components = self.chosen(shots, [(column,) for column in self.columns])
        read = {name for column in columns for name in column.reads}
        # The model's own embedding is kept in any case: it says what looks like the shots.
        names = [name for name in ("places", "components", *OWN) if name in read or name == "embedding"]
        fold = None
        if intervals:
            fold = torch.from_numpy(folds([shot.row for shot in shots], learning.FOLDS, self.options.seed))
        head = learning.learn(inputs_of(shots, names, components), columns, labels, fold, self.total)
        other = bool(read & {"places", "components"})
        return tuned.Tuned(
            head,
            self.encoder if other else None,
            components if "components" in read else None,
            kinds_of(shots),
        )

    def chosen(
        self, shots: Sequence[Shot], candidates: Sequence[Sequence[Column]]
    ) -> tuple[tuple[Column, ...], Familiarity | None]:
        """Of each name one of its `candidates`, with what it reads, by evidence.

        With few acquisitions nothing can be chosen: all of the model's own is read, or all of an encoder that was asked
        for, and the last candidate stands.
        """
        components = None
        if self.encoder is not None:
            seen = torch.cat([shot.parts["seen"] for shot in shots])
            components = tuned.components_of(seen, min(FAMILIAR_DIMENSIONS, len(shots) // SHOTS_A_COMPONENT))
        views = self._views()
        if not self.choosing:
            return tuple(replace(one[-1], reads=views[0]) for one in candidates), components
        names = tuple(dict.fromkeys(name for view in views for name in view))
        labels = [[labels_of(column, shots) for column in one] for one in candidates]
        places = {group: number for number, group in enumerate(dict.fromkeys(shot.row.group for shot in shots))}
        of = torch.tensor([places[shot.row.group] for shot in shots])
        return learning.choose(inputs_of(shots, names, components), candidates, labels, views, of), components

    def _views(self) -> tuple[tuple[str, ...], ...]:
        if self.encoder is None:
            return (OWN,)
        if self.encoder.config.near:
            # An encoder that was asked for is read in the place of the model's own.
            return VIEWS if self.options.encoder is None else VIEWS_OF_NEAR
        return VIEWS_OF_OTHER

    def _learn_with_encoder(self, shots: Sequence[Shot], labels: Sequence[Labels]) -> tuned.Tuned:
        crops = [shot.crops for shot in shots if shot.crops is not None]
        tuning = replace(self.options.tuning, seed=self.options.seed)
        encoder = tune(self.estimator.model.encoder, crops, self.columns, labels, tuning)
        shots = seen_by(encoder, shots)
        # A tuned encoder has seen all of its shots, so their errors say nothing: no folds.
        head = learning.learn(inputs_of(shots, ("seen", *SENSOR), None), self.columns, labels, None, self.total)
        return tuned.Tuned(head, encoder, None, kinds_of(shots))

    def inputs(self, own: tuned.Tuned, shots: Sequence[Shot]) -> Tensor:
        """What the head of `own` reads of `shots`, (n, sum(groups))."""
        if self.options.full and own.encoder is not None:
            shots = seen_by(own.encoder, shots)
        return inputs_of(shots, own.head.config.inputs, own.components).values


def inputs_of(shots: Sequence[Shot], names: Sequence[str], components: Familiarity | None) -> Inputs:
    """The inputs `names` of shots."""
    parts = {part: torch.cat([shot.parts[part] for shot in shots]) for part in shots[0].parts}
    groups = [tuned.part_of(parts, name, components) for name in names]
    return Inputs(torch.cat(groups, 1), tuple(group.shape[1] for group in groups), tuple(names))


def seen_by(encoder: Encoder, shots: Sequence[Shot]) -> list[Shot]:
    """`shots` with the embedding of a tuned encoder."""
    return [
        replace(shot, parts={**shot.parts, "seen": tuned.embed(encoder, shot.crops)[None]})
        for shot in shots
        if shot.crops is not None
    ]


def kinds_of(shots: Sequence[Shot]) -> tuple[str, ...]:
    """The kinds of file that shots are of."""
    return tuple(sorted({shot.kind for shot in shots if shot.kind}))


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
    everything = len(kept) == len(fitting.columns)
    fitting = replace(fitting, columns=[fitting.columns[number] for number in kept])
    if everything and len(judged) == 1 and list(judged[0].learned) == list(shots) and not fitting.options.full:
        return judged[0].own
    own = fitting.learn(shots)
    if not fitting.options.full:
        return own
    asked = [shot for part in judged for shot in part.asked]
    head = FewShotHead(replace(own.head.config, judged=len(asked)))
    learned = {k: v for k, v in own.head.state_dict().items() if not k.startswith(("error_", "judge_"))}
    head.load_state_dict({**head.state_dict(), **learned})
    for place, (number, column) in enumerate(zip(kept, fitting.columns, strict=True)):
        said = torch.cat([p.own.head.outputs(fitting.inputs(p.own, p.asked))[number][0] for p in judged])
        label = labels_of(column, asked)
        head.judge(place, label.values - said, torch.where(label.known, 0, -1))
    return replace(own, head=head)
