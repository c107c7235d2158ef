"""Choosing shots: which labelled pictures teach, which judge, and how the networks see them.

Pictures are split by acquisition, never within one. Where there are enough labels, those beyond the shots judge; else
five folds do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisediag.cop.encoder import Encoder
from noisediag.errors import InputError, UsageError
from noisediag.estimator import Estimator
from noisediag.footprint.plane import Estimate
from noisediag.images.image import Image
from noisediag.labels.table import LabelRow, LabelTable
from noisediag.readout import kind
from noisediag.readout.tiles import own_bags
from noisediag.studies.finetune.labelled import Labelled
from noisediag.studies.finetune.result import FinetuneOptions

JUDGING_FOLDS = 5  # that judge where labels are few
JUDGED_SHARE = 0.2  # of the labelled pictures at least
FEWEST_JUDGED = 20
ROUTES = "give --repeats, --flats with --darks, --pairs, --labels, or --clean with --genome"
WEAK_ALONE = f"labels from metadata teach, but cannot judge; beside them, {ROUTES}"


@dataclass(frozen=True)
class Shot:
    """One labelled picture as the networks see it. `before`: what the model said of each known name."""

    row: LabelRow
    parts: Mapping[str, Tensor]  # (1, width) each, see `own_head.Described`
    before: dict[str, Estimate]
    crops: Tensor | None = None  # (n, H, W) of its bag, where the encoder is tuned
    kind: str = ""  # of file, see `readout.kind`; "": not known


@dataclass(frozen=True)
class Split:
    """Positions of the shots to learn from and, for each part, those to judge by."""

    learn: NDArray[np.int64]
    parts: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]  # (learned, judged) of each part
    how: str


def merged(
    sources: Sequence[Labelled],
) -> tuple[LabelTable, NDArray[np.bool_], Callable[[LabelRow], Image]]:
    """One table of all sources, which rows may judge, and how to load a row.

    A picture whose noise is known in a better way has no weak label. Raises UsageError for sources that do not fit
    together, and where no row may judge.
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


def choose(rows: Sequence[LabelRow], strong: NDArray[np.bool_], options: FinetuneOptions) -> Split:
    """Learn from at most `shots` rows; whole acquisitions beside them judge if they are enough, else folds of what is
    learned from.

    Large acquisitions, as bursts, share the shots: each gives as many as the others, so that more scenes are seen.
    Raises UsageError where all pictures are of one acquisition.
    """
    rng = np.random.default_rng(options.seed)
    members: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        members.setdefault(row.group, []).append(i)
    groups = [members[name] for name in sorted(members)]
    if len(groups) < 2:
        raise UsageError("all labels are of one acquisition, so nothing independent is left to judge by")
    order = [groups[i] for i in rng.permutation(len(groups))]
    learn = in_turn(order[: -math.ceil(JUDGED_SHARE * len(order))], options.shots)
    taken = set(learn)
    rest = [i for group in order if not taken.intersection(group) for i in group if strong[i]]
    enough = max(FEWEST_JUDGED, JUDGED_SHARE * (len(learn) + len(rest)))
    if len(learn) == options.shots and len(rest) >= enough:
        chosen = np.array(sorted(learn))
        return Split(chosen, ((chosen, np.array(sorted(rest))),), "held out")
    chosen = np.array(sorted(in_turn(order, options.shots)))
    fold = folds([rows[i] for i in chosen], JUDGING_FOLDS, options.seed)
    if fold.max() < 1:
        raise UsageError("the shots are of one acquisition, so nothing independent is left to judge by")
    parts = tuple(
        (chosen[fold != k], chosen[(fold == k) & strong[chosen]]) for k in range(fold.max() + 1) if (fold == k).any()
    )
    return Split(chosen, tuple(p for p in parts if len(p[1])), f"{len(parts)} folds")


def in_turn(groups: Sequence[Sequence[int]], most: int) -> list[int]:
    """The first of each group, then the second of each that has one, and so on: at most `most`."""
    turns = itertools.zip_longest(*groups)
    return list(itertools.islice((i for turn in turns for i in turn if i is not None), most))


def folds(rows: Sequence[LabelRow], most: int, seed: int) -> NDArray[np.int64]:
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


def describe(
    load: Callable[[LabelRow], Image],
    row: LabelRow,
    estimator: Estimator,
    known: Sequence[str],
    encoder: Encoder | None,
    *,
    full: bool,
) -> Shot:
    """The picture of `row` as the networks see it, another `encoder` than the model's own among them.

    `full`: its tiles are kept. Raises the InputErrors of reading it, with the row's number where it has one.
    """
    try:
        image = load(row)
        described = [one.parts for one in estimator.describe(image, encoder=encoder)]
        parts = {name: torch.stack([one[name] for one in described]).mean(0) for name in described[0]}
        before: dict[str, Estimate] = {}
        if known:
            footprint = estimator.estimate(image)
            before = {name: footprint[name] for name in known}
        crops = None
        if full:
            crops = torch.cat([torch.from_numpy(bag.tiles) for _, bag in own_bags(image)])
    except InputError as error:
        if row.line is None:
            raise
        raise type(error)(f"row {row.line}: {error}") from error
    return Shot(row, parts, before, crops, kind.of(image))
