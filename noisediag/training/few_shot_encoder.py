"""`finetune --full`: the encoder tuned on the shots themselves, through the same `fit` loop as everything else."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from noisediag.cop.few_shot import Column, Labels
from noisediag.cop.models import AnyEncoder
from noisediag.cop.tokens import BLOCK, tokenize
from noisediag.training.fit import FitConfig, Objective, fit

CROP = 128  # px; smaller where a shot is


@dataclass(frozen=True)
class EncoderTuning:
    """How long and how fast; few steps at a low rate, because labels are few."""

    steps: int = 200
    learning_rate: float = 3e-4
    batch: int = 16
    seed: int = 0


class _Tuning(nn.Module):
    """An encoder with one linear layer a column."""

    def __init__(self, encoder: AnyEncoder, outputs: int):
        super().__init__()
        self.encoder = encoder
        self.outputs = nn.Linear(encoder.config.embedding, outputs)
        nn.init.zeros_(self.outputs.weight)
        nn.init.zeros_(self.outputs.bias)


def tune(
    encoder: AnyEncoder,
    crops: Sequence[Tensor],
    columns: Sequence[Column],
    labels: Sequence[Labels],
    tuning: EncoderTuning,
) -> AnyEncoder:
    """A copy of `encoder` tuned on tiles `crops`, `(T, H, W)` of each shot, to its labels."""
    model = _Tuning(copy.deepcopy(encoder).cpu(), sum(column.outputs for column in columns))
    config = FitConfig(
        steps=tuning.steps,
        learning_rate=tuning.learning_rate,
        weight_decay=1e-2,
        warm_up=20,
        average=0.98,
        seed=tuning.seed,
    )
    fit(model, _objective(model, crops, columns, labels, tuning.batch), config)
    return model.encoder.eval()


def _objective(
    model: _Tuning, crops: Sequence[Tensor], columns: Sequence[Column], labels: Sequence[Labels], batch: int
) -> Objective:
    """Squared error of standardised numbers, cross entropy of words; crops of one size, turned over at random."""
    size = min(CROP, *(min(tile.shape[1:]) // BLOCK * BLOCK for tile in crops))
    standard = []
    for column, label in zip(columns, labels, strict=True):
        used = label.values[label.known].float()
        if column.scale == "class":
            standard.append(label.values.float())
        else:
            standard.append((label.values.float() - used.mean()) / used.std().clamp(min=1e-12))

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        chosen = torch.randint(len(crops), (batch,), generator=generator)
        pictures = torch.stack([_crop(crops[int(i)], size, generator) for i in chosen])
        predicted = model.outputs(model.encoder(tokenize(pictures[:, None], grids=1)))
        parts = torch.split(predicted, [column.outputs for column in columns], 1)
        total = torch.zeros(())
        for column, label, target, part in zip(columns, labels, standard, parts, strict=True):
            known = label.known[chosen]
            if not bool(known.any()):
                continue
            if column.scale == "class":
                total = total + functional.cross_entropy(part[known], target[chosen][known])
            else:
                total = total + functional.mse_loss(part[known], target[chosen][known])
        return total + 0.0 * predicted.sum(), {}  # a gradient even where no label of the batch is known

    return objective


def _crop(tiles: Tensor, size: int, generator: torch.Generator) -> Tensor:
    def number(end: int) -> int:
        return int(torch.randint(end, (), generator=generator))

    tile = tiles[number(len(tiles))]
    y, x = (number((side - size) // BLOCK + 1) * BLOCK for side in tile.shape)
    crop = tile[y : y + size, x : x + size]
    return crop.flip(1) if number(2) else crop
