"""The encoder: a bag of tokens to an embedding that keeps the noise and forgets the picture.

It reads the same tokens as the noise curve, in absolute scale, together with the spectrum of the value histogram
(quantisation shows as a line there, its blur by later noise as a fading one). All tiles and channels of one picture
are one bag.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from noisediag.cop.closed_forms import MIN_VARIANCE
from noisediag.cop.tokens import RADIAL, SHARES, Tokens
from noisediag.engine import Tensor, functional, nn, torch

OUTLIER_STEPS = (0.08, 0.16, 0.3, 0.45)  # normalised signal above and below the block's median
HISTOGRAM_BINS = 1024  # over [0, 1]
HISTOGRAM_FREQUENCIES = 384
HISTOGRAM_FLOOR = 0.01  # of |F| / N: above the randomness of 10^4 pixels
BLOCK_FEATURES = RADIAL + 6 + 2 * len(OUTLIER_STEPS)
PICTURE_FEATURES = HISTOGRAM_FREQUENCIES + 6


@dataclass(frozen=True)
class EncoderConfig:
    """Size of the encoder; travels in the checkpoint."""

    width: int = 96
    heads: int = 6
    embedding: int = 128
    projection: int = 64
    near: bool = False  # of files of noisediag 0.1; no encoder of this kind is any more


class Encoder(nn.Module):
    """Tokens of B bags to embeddings `(B, embedding)`.

    `project` maps these to the unit sphere of the contrastive loss.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        width, summary = config.width, (config.heads + 2) * config.width
        self.enter = nn.Sequential(nn.Linear(BLOCK_FEATURES, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.score = nn.Linear(width, config.heads)
        self.histogram = nn.Sequential(
            nn.Linear(PICTURE_FEATURES, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.GELU()
        )
        self.context = nn.Linear(summary + width, width)
        self.again = nn.Sequential(nn.Linear(width, width), nn.GELU())
        self.score_again = nn.Linear(width, config.heads)
        self.leave = nn.Sequential(
            nn.Linear(2 * width + summary, 2 * config.embedding),
            nn.GELU(),
            nn.Linear(2 * config.embedding, config.embedding),
        )
        self.projection = nn.Sequential(nn.GELU(), nn.Linear(config.embedding, config.projection))

    def forward(self, tokens: Tokens) -> Tensor:
        block, picture = features(tokens)
        hidden = self.enter(block)
        picture = self.histogram(picture)
        context = functional.gelu(self.context(torch.cat([self.pool(hidden, self.score), picture], 1)))
        local = self.again(hidden + context[:, None])
        embedding: Tensor = self.leave(torch.cat([self.pool(local, self.score_again), context, picture], 1))
        return embedding

    def pool(self, hidden: Tensor, score: nn.Linear) -> Tensor:
        attention = score(hidden).softmax(1)
        focused = torch.einsum("bnh,bnw->bhw", attention, hidden).flatten(1)
        mean = hidden.mean(1)
        deviation = ((hidden.square().mean(1) - mean.square()).clamp(min=0) + 1e-6).sqrt()  # faster than var
        return torch.cat([focused, mean, deviation], 1)

    def project(self, embedding: Tensor) -> Tensor:
        return functional.normalize(self.projection(embedding), dim=-1)


def features(tokens: Tokens) -> tuple[Tensor, Tensor]:
    """Per block `(B, N, BLOCK_FEATURES)` and per picture `(B, PICTURE_FEATURES)`."""
    block, offsets, _ = block_features(tokens, tokens.pixels - lower_median(tokens.pixels))
    return block, torch.cat([histogram_spectrum(tokens.first_grid().pixels), offsets], 1)


def block_features(tokens: Tokens, away: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Per block `(B, N, BLOCK_FEATURES)`, six numbers of the picture `(B, 6)`, and shares of pixels `(B, N)` that lie
    more than each of OUTLIER_STEPS above their block's median, then of those below; `away` (B, N, 64) from it.
    """
    log_energy = (tokens.energy[..., :RADIAL] + 1e-9).log()
    start = (log_energy @ torch.tensor(SHARES, device=log_energy.device)).quantile(0.1, 1)
    outliers = [(away > s).float().mean(-1) for s in OUTLIER_STEPS] + [
        (away < -s).float().mean(-1) for s in OUTLIER_STEPS
    ]
    shares = [tokens.low_share, tokens.high_share, tokens.low_impulses, tokens.high_impulses]
    block = torch.cat(
        [
            log_energy / 4 + 2,
            torch.stack(
                [
                    tokens.mean.clamp(-1, 2) * 2 - 1,
                    ((start / 4 + 2)[:, None]).expand_as(tokens.mean),
                    *((s + 1e-3).log() / 3 + 1 for s in shares),
                    *((o + 5e-3).log() / 2 + 1.5 for o in outliers),
                ],
                -1,
            ),
        ],
        -1,
    )
    rows, columns = (offset_ratio(tokens, c, across) for c, across in ((tokens.rows, 3), (tokens.columns, 2)))
    offsets = torch.stack(
        [start / 4 + 2, rows, columns, tokens.mean.mean(1), tokens.mean.std(1), tokens.high_share.mean(1)], 1
    )
    return block, offsets, outliers


def lower_median(pixels: Tensor) -> Tensor:
    """As torch.median over the last dimension, kept; numpy selects ten times faster on a CPU."""
    middle = (pixels.shape[-1] - 1) // 2
    if pixels.device.type != "cpu":
        return pixels.kthvalue(middle + 1, -1, keepdim=True).values
    return torch.from_numpy(np.partition(pixels.numpy(), middle, -1)[..., middle : middle + 1].copy())


def offset_ratio(tokens: Tokens, coefficients: Tensor, across: int) -> Tensor:
    """Share of the energy along an axis that a whole row or column of a tile has in common.

    Shape `(B,)`, about -1 to 1.
    """
    grid = tokens.split(coefficients)[0][..., 2:]
    blocks = grid.shape[across]
    scaled = grid / (grid.square().mean(-1, keepdim=True) + MIN_VARIANCE).sqrt()
    shared = scaled.sum(across).square() - scaled.square().sum(across)
    return shared.mean((1, 2, 3)) / max(blocks - 1, 1)


def histogram_spectrum(pixels: Tensor) -> Tensor:
    """Log magnitude of the Fourier transform of the value histogram, `(B, HISTOGRAM_FREQUENCIES)`.

    `pixels` (B, N, 64).
    """
    values = pixels.flatten(1)
    index = (values * HISTOGRAM_BINS).long().clamp(0, HISTOGRAM_BINS - 1)
    counts = torch.zeros(len(values), HISTOGRAM_BINS, device=values.device)
    counts.scatter_add_(1, index, torch.ones_like(values))
    spectrum = torch.fft.rfft(counts / values.shape[1]).abs()[:, 1 : 1 + HISTOGRAM_FREQUENCIES]
    log_magnitude: Tensor = (spectrum + HISTOGRAM_FLOOR).log() / 2 + 1.5
    return log_magnitude
