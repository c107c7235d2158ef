"""The encoder of near genomes: where a picture's noise lies among others, whatever it is laid over.

Beside the blocks' energies it reads three kinds of evidence in closed form, all in absolute scale: how often pixels are
white or black, by the brightness of what they lie in (whole counts of light turn bright places white more often than
dark ones, salt does not); how often they leave their block's median; and the characteristic function of the values, on
frequencies that are evenly spaced in their logarithm, so that a lattice of any step is a peak of the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from noisediag.cop.encoder import BLOCK_FEATURES, OUTLIER_STEPS, block_features, lower_median
from noisediag.cop.tokens import Tokens
from noisediag.engine import Tensor, functional, nn, torch

WHITE = (0.996, 0.97, 0.93, 0.88)  # normalised signal from which on a pixel may be white, the last noise on top of it
BLACK = (0.004, 0.03, 0.07, 0.12)
LEVELS = 8  # of brightness, between which a block is shared
EVIDENCE = len(WHITE) + len(BLACK) + 2 * len(OUTLIER_STEPS) + 1  # the last one counts blocks
OFFSETS = 6  # numbers of the picture as a whole
FREQUENCIES = 384  # of the characteristic function
FREQUENCY_RANGE = (3.0, 250.0)  # cycles over the range of signal: steps of 0.33 to 0.004 of it
HISTOGRAM_BINS = 2048
SPECTRUM = 3  # real part, imaginary part, magnitude
SPECTRUM_FLOOR = 0.01
SHARE_FLOOR, LEVEL_FLOOR = 2e-3, 1e-3
FEW_BLOCKS = 0.01  # of a picture: a level of brightness with fewer says little
EXCESS = 0.15  # of white pixels over black ones, at which it is cut
RATE = 0.3  # the same, of the excess over brightness
POOLS = 6  # attention heads of a pooling
SCORE_LIMIT = 6.0


@dataclass(frozen=True)
class NearEncoderConfig:
    """Size of the encoder; travels in the checkpoint. `places`: dimensions of where a genome `paper` lies."""

    width: int = 64
    heads: int = 4  # weightings of blocks by which pixels are counted
    hidden: int = 96  # of what is read of the picture as a whole
    embedding: int = 128
    places: int = 5  # as many as six strengths that sum to 1 are free to take
    sensor_places: int = 12  # the same of a genome `sensor`


@dataclass(frozen=True)
class Located:
    """Where the genomes of B bags lie among others of their kind; distances are those of the genomes, in units of the
    spread of near ones.
    """

    place: Tensor  # (B, places)
    variance: Tensor  # (B, places) of it: what the picture does not tell
    offset: Tensor  # (B,) how rare it is there


@dataclass(frozen=True)
class NearEvidence:
    """What the encoder reads of B bags of N blocks."""

    block: Tensor  # (B, N, BLOCK_FEATURES)
    share: Tensor  # (B, N, EVIDENCE) of the block's pixels; the last one is 1
    level: Tensor  # (B, N, LEVELS) to which level of brightness it belongs, summing to 1
    offsets: Tensor  # (B, OFFSETS)
    spectrum: Tensor  # (B, SPECTRUM * FREQUENCIES)

    def parts(self) -> tuple[Tensor, ...]:
        return self.block, self.share, self.level, self.offsets, self.spectrum


class _TwoLayers(nn.Module):
    """Linear, hardswish, linear."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.first, self.last = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def forward(self, values: Tensor) -> Tensor:
        result: Tensor = self.last(functional.hardswish(self.first(values)))
        return result


class NearEncoder(nn.Module):
    """Tokens of B bags to embeddings `(B, embedding)`; `locate` says where their genomes lie."""

    def __init__(self, config: NearEncoderConfig):
        super().__init__()
        self.config = config
        width, hidden = config.width, config.hidden
        self.enter = _TwoLayers(BLOCK_FEATURES, width, width)
        self.score = nn.Linear(width, POOLS + config.heads)
        counted = config.heads * LEVELS * (EVIDENCE + len(WHITE) + 2)
        self.counts = _TwoLayers(counted, 2 * hidden, hidden)
        self.lattice = _TwoLayers(SPECTRUM * FREQUENCIES, 2 * hidden, hidden)
        self.mix = nn.Linear(2 * hidden + OFFSETS, hidden)
        self.context = nn.Linear((POOLS + 2) * width + hidden, width)
        self.again = nn.Linear(width, width)
        self.score_again = nn.Linear(width, POOLS)
        self.leave = _TwoLayers(width + hidden + (POOLS + 2) * width, 2 * config.embedding, config.embedding)
        self.projection = nn.ModuleList(
            nn.Linear(config.embedding, 2 * places + 1) for places in (config.places, config.sensor_places)
        )

    def forward(self, tokens: Tokens) -> Tensor:
        return self.embed(near_evidence(tokens))

    def embed(self, seen: NearEvidence) -> Tensor:
        """The embedding `(B, embedding)` of evidence."""
        hidden = functional.hardswish(self.enter(seen.block))
        score = self.score(hidden)
        counted = self._counted(seen, score[..., POOLS:])
        whole = [self.counts(counted), self.lattice(seen.spectrum)]
        picture = self.mix(torch.cat([*(functional.hardswish(part) for part in whole), seen.offsets], 1))
        context = functional.hardswish(self.context(torch.cat([_pool(hidden, score[..., :POOLS]), picture], 1)))
        local = functional.hardswish(self.again(hidden + context[:, None]))
        embedding: Tensor = self.leave(torch.cat([_pool(local, self.score_again(local)), context, picture], 1))
        return embedding

    def _counted(self, seen: NearEvidence, score: Tensor) -> Tensor:
        """Shares of pixels by brightness, as each head weighs blocks, flat."""
        weight = score.clamp(-SCORE_LIMIT, SCORE_LIMIT).exp()
        weight = (weight / weight.sum(1, keepdim=True)).transpose(1, 2)
        by_level = (seen.level[..., None] * seen.share[:, :, None]).flatten(2)
        total = torch.unflatten(weight @ by_level, 2, (LEVELS, EVIDENCE))  # (B, heads, LEVELS, EVIDENCE)
        blocks = total[..., -1:]
        share = total[..., :-1] / (blocks + FEW_BLOCKS)
        brightness = torch.arange(LEVELS, device=share.device).float() / (LEVELS - 1)
        excess = share[..., : len(WHITE)] - share[..., len(WHITE) : len(WHITE) + len(BLACK)]
        # What whole counts of light make white is proportional to brightness: least squares through zero, of this level
        # and all darker ones. Brighter ones may be white by themselves.
        light = blocks[..., 0] * brightness
        rate = (light[..., None] * excess).cumsum(2) / ((light * brightness).cumsum(2)[..., None] + LEVEL_FLOOR)
        return torch.cat(
            [
                (share + SHARE_FLOOR).log() / 2 + 1.5,
                (blocks + LEVEL_FLOOR).log() / 3 + 1,
                10 * excess.clamp(-EXCESS, EXCESS),
                10 * rate[..., 1:3].clamp(-RATE, RATE),
            ],
            -1,
        ).flatten(1)

    def locate(self, embedding: Tensor, kind: int = 0) -> Located:
        """Where the genomes of embeddings `(B, embedding)` lie: of kind 0 `paper`, 1 `sensor`."""
        located = list(self.projection)[kind](functional.hardswish(embedding))
        places = located.shape[1] // 2
        return Located(located[:, :places], functional.softplus(located[:, places:-1]), located[:, -1])


def _pool(hidden: Tensor, score: Tensor) -> Tensor:
    """Attention, mean and deviation over blocks: (B, N, W) and scores (B, N, H) to (B, (H + 2) * W)."""
    focused = (score.softmax(1).transpose(1, 2) @ hidden).flatten(1)
    mean = hidden.mean(1)
    deviation = ((hidden.square().mean(1) - mean.square()).clamp(min=0) + 1e-6).sqrt()
    return torch.cat([focused, mean, deviation], 1)


def near_evidence(tokens: Tokens) -> NearEvidence:
    """The evidence of bags, from the blocks of their first grid."""
    tokens = tokens.first_grid()
    pixels = tokens.pixels
    median = lower_median(pixels)
    block, offsets, outliers = block_features(tokens, pixels - median)
    counts = [*((pixels >= v).float().mean(-1) for v in WHITE), *((pixels <= v).float().mean(-1) for v in BLACK)]
    share = torch.stack([*counts, *outliers, torch.ones_like(tokens.mean)], -1)
    levels = torch.arange(LEVELS, device=pixels.device).float()
    level = (1 - (median.clamp(0, 1) * (LEVELS - 1) - levels).abs()).clamp(min=0)
    return NearEvidence(block, share, level, offsets, spectrum(pixels))


def spectrum(pixels: Tensor) -> Tensor:
    """Characteristic function of the values between black and white, `(B, SPECTRUM * FREQUENCIES)`.

    `pixels` (B, N, 64). Parts are on a logarithmic scale, signed: a lattice that begins at black has a positive real
    part.
    """
    values = pixels.flatten(1)
    inside = ((values > 0) & (values < 1)).float()
    index = (values * HISTOGRAM_BINS).clamp(0, HISTOGRAM_BINS - 1).long()
    counts = torch.zeros(len(values), HISTOGRAM_BINS, device=values.device)
    counts.scatter_add_(1, index, inside)
    found = (counts / counts.sum(1, keepdim=True).clamp(min=1)) @ _waves().to(values.device)
    real, imaginary = found[:, :FREQUENCIES], found[:, FREQUENCIES:]
    magnitude = ((real.square() + imaginary.square()).sqrt() + SPECTRUM_FLOOR / 2).log() / 2 + 1.5
    return torch.cat([_signed_log(real), _signed_log(imaginary), magnitude], 1)


def _signed_log(values: Tensor) -> Tensor:
    size = (values.abs() / SPECTRUM_FLOOR + 1).log() / 3
    return torch.where(values < 0, -size, size)


@cache
def _waves() -> Tensor:
    """Cosines, then sines, of the middles of the bins, `(HISTOGRAM_BINS, 2 * FREQUENCIES)`."""
    frequencies = np.geomspace(*FREQUENCY_RANGE, FREQUENCIES)
    middles = (np.arange(HISTOGRAM_BINS) + 0.5) / HISTOGRAM_BINS
    phase = 2 * np.pi * middles[:, None] * frequencies
    return torch.from_numpy(np.concatenate([np.cos(phase), np.sin(phase)], 1).astype(np.float32))
