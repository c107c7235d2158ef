"""A plain ViT-B/16, as the paper trains it: the rival that a benchmark with a GPU may train from scratch.

Source: Dosovitskiy et al. 2021; positions are fixed sines of both coordinates, so that any size of picture fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from noisediag.genome import paper


@dataclass(frozen=True)
class ViTConfig:
    """ViT-B/16 has 86 M parameters."""

    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12


class ViT(nn.Module):
    """Pictures `(B, 1, H, W)` to the six strengths of the genome `paper`, by one linear layer and a softmax."""

    def __init__(self, config: ViTConfig):
        super().__init__()
        self.config = config
        self.patches = nn.Conv2d(1, config.width, config.patch, config.patch)
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.heads,
            4 * config.width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.body = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, len(paper.NAMES))

    def forward(self, pictures: Tensor) -> Tensor:
        patches = self.patches(2 * pictures - 1)
        tokens = patches.flatten(2).transpose(1, 2) + _positions(
            patches.shape[2], patches.shape[3], self.config.width
        ).to(patches)
        strengths: Tensor = self.head(self.norm(self.body(tokens)).mean(1)).softmax(-1)
        return strengths


def _positions(rows: int, columns: int, width: int) -> Tensor:
    """`(rows * columns, width)`: sines and cosines, half of the width for each coordinate."""
    rate = torch.exp(-math.log(10_000) * torch.arange(width // 4) / (width // 4))
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [at.reshape(-1, 1) * rate for at in (y, x)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], 1)
