"""Pictures as `finetune` sees them: written to files, read again, and described by the networks, once for all arms."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisediag.benchmark.few_shot.data import Noisy
from noisediag.benchmark.few_shot.formats import Format, reader
from noisediag.cop.models import AnyEncoder
from noisediag.estimator import Estimator
from noisediag.readout import kind, own_head
from noisediag.readout.mending import tokens_of
from noisediag.readout.questions import TOGETHER_PX
from noisediag.readout.tiles import Bag, own_bags, side_by_side
from noisediag.reports.files import replacing

Floats = NDArray[np.float64]

AT_ONCE = 16  # pictures that are held at a time


@dataclass(frozen=True)
class Networks:
    """What describes a picture: the model of `estimate`, and beside it the `encoder` of near genomes."""

    estimator: Estimator
    encoder: AnyEncoder
    key: str  # of both, and of what else the pictures depend on


@dataclass(frozen=True)
class Described:
    """Pictures as the networks see them: `parts` (n, width) by name, see `own_head.Described`, and what they are.

    `levels` (n, bound.LEVELS) of the clean ones, empty of labelled ones; `kind` of file.
    """

    parts: Mapping[str, Tensor]
    strengths: Floats  # (n, 6)
    domain: NDArray[np.str_]
    picture: NDArray[np.str_]
    levels: Floats
    kind: str

    def __len__(self) -> int:
        return len(self.strengths)

    def first(self, count: int) -> Described:
        """The first `count` of them."""
        return replace(
            self,
            parts={name: values[:count] for name, values in self.parts.items()},
            strengths=self.strengths[:count],
            domain=self.domain[:count],
            picture=self.picture[:count],
            levels=self.levels[:count],
        )


def described(
    pictures: Iterable[Noisy], chosen: Format, networks: Networks, *, folder: Path | None, name: str
) -> Described:
    """All of `pictures` as files of `chosen`. In `folder` the result is kept under `name`, and found again."""
    file = None
    if folder is not None:
        key = hashlib.sha256(json.dumps([networks.key, name, chosen.name]).encode()).hexdigest()[:16]
        file = folder / f"few-shot-{key}.npz"
        if file.exists():
            return _kept(file)
    found = _describe(pictures, chosen, networks)
    if file is not None:
        arrays: dict[str, Any] = {f"parts.{part}": values.numpy() for part, values in found.parts.items()}
        arrays |= {one: getattr(found, one) for one in ("strengths", "domain", "picture", "levels", "kind")}
        with replacing(file, force=True) as part, part.open("wb") as stream:
            np.savez(stream, **arrays)
    return found


def _kept(file: Path) -> Described:
    with np.load(file, allow_pickle=False) as held:
        parts = {
            name.removeprefix("parts."): torch.from_numpy(held[name])
            for name in held.files
            if name.startswith("parts.")
        }
        rest = {name: held[name] for name in ("strengths", "domain", "picture", "levels")}
        return Described(parts=parts, **rest, kind=str(held["kind"]))


def _describe(pictures: Iterable[Noisy], chosen: Format, networks: Networks) -> Described:
    parts: dict[str, list[Tensor]] = {}
    rows: list[Noisy] = []
    kinds = set()
    with TemporaryDirectory() as folder:
        read = reader(Path(folder), chosen)
        stream = iter(pictures)
        while batch := list(itertools.islice(stream, AT_ONCE)):
            bags: list[tuple[int, bool, Bag]] = []  # place of the picture, whether black is unknown, pixels
            for place, one in enumerate(batch):
                image = read(one.channels)
                bags += [(place, not plane.offset_known, bag) for plane, bag in own_bags(image)]
                kinds.add(kind.of(image))
            for part, values in _parts(bags, len(batch), networks).items():
                parts.setdefault(part, []).append(values)
            rows += [replace(one, channels=torch.empty(0)) for one in batch]
    return Described(
        parts={part: torch.cat(values) for part, values in parts.items()},
        strengths=np.stack([row.strengths for row in rows]),
        domain=np.array([row.domain for row in rows]),
        picture=np.array([row.picture for row in rows]),
        levels=np.stack([np.zeros(0) if row.levels is None else row.levels for row in rows]),
        kind="; ".join(sorted(kinds)),
    )


def _parts(bags: Sequence[tuple[int, bool, Bag]], count: int, networks: Networks) -> dict[str, Tensor]:
    """What is said of each of `count` pictures: the mean over its channels, where it has several of their own."""
    found: dict[str, list[Tensor]] = {}
    unknown = iter([free for _, free, _ in bags])
    for group in side_by_side([bag for _, _, bag in bags], TOGETHER_PX):
        said = own_head.describe(
            networks.estimator.model,
            tokens_of(group, networks.estimator.device),
            [bag.step or 0.0 for bag in group],
            free_intercept=list(itertools.islice(unknown, len(group))),
            encoder=networks.encoder,
        )
        for part, values in said.parts.items():
            found.setdefault(part, []).append(values)
    shares = (torch.arange(count)[:, None] == torch.tensor([place for place, _, _ in bags])).double()
    shares /= shares.sum(1, keepdim=True)
    return {part: shares @ torch.cat(values) for part, values in found.items()}
