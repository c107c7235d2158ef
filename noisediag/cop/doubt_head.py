"""What a small network makes of `cop.doubts`: which law the light follows, and what contradicts the fit."""

from __future__ import annotations

from dataclasses import dataclass

from noisediag.engine import Tensor, nn, torch

LAWS = ("photon", "additive", "speckle", "rician", "grain")  # of light that the network tells apart
OTHER_LAWS_FROM = 2  # these and the following are no photons, nor noise that light has no part in
TROUBLES = ("black", "uneven", "misfit")  # what it may find wrong


@dataclass(frozen=True)
class DoubtReading:
    """Logits: `law` (B, len(LAWS)), and `trouble` (B, len(TROUBLES)) that something is wrong."""

    law: Tensor
    trouble: Tensor


def law_margin(law: Tensor) -> Tensor:
    """By how much each law that is not `photon` or `additive` leads these, of logits `(N, len(LAWS))`: (N, 3)."""
    ordinary = law[:, :OTHER_LAWS_FROM].logsumexp(1, keepdim=True)
    return law[:, OTHER_LAWS_FROM:] - ordinary


@dataclass(frozen=True)
class DoubtConfig:
    """Size of the network; travels in the checkpoint. The first three are the widths of its inputs."""

    doubts: int
    evidence: int
    embedding: int
    hidden: int = 128
    bottleneck: int = 16
    dropout: float = 0.3  # of what is hidden, in training: the pictures are few


class Dropout(nn.Module):
    """As torch has it, but with random numbers of a `generator` that training sets: a rerun gives the same weights."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        if not self.training:
            return hidden
        kept = torch.rand(hidden.shape, generator=self.generator, device=hidden.device) >= self.share
        return hidden * kept / (1 - self.share)


class DoubtHead(nn.Module):
    """Which law the light follows, and what contradicts the fit. Inputs are standardised by those of training."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: DoubtConfig):
        super().__init__()
        self.config = config
        inputs = config.doubts + config.evidence + config.embedding
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.squeeze = nn.Linear(config.embedding, config.bottleneck)
        self.body = nn.Sequential(
            nn.Linear(config.doubts + config.evidence + config.bottleneck, config.hidden),
            nn.GELU(),
            Dropout(config.dropout),
            nn.Linear(config.hidden, config.hidden),
            nn.GELU(),
            Dropout(config.dropout),
            nn.Linear(config.hidden, len(LAWS) + len(TROUBLES)),
        )

    def forward(self, doubts: Tensor, evidence: Tensor, embedding: Tensor) -> DoubtReading:
        everything = torch.cat([doubts, evidence, embedding], 1)
        inputs = ((everything - self.mean) / self.scale).clamp(-6, 6)
        widths = [self.config.doubts + self.config.evidence, self.config.embedding]
        numbers, picture = torch.split(inputs, widths, 1)
        logits = self.body(torch.cat([numbers, self.squeeze(picture)], 1))
        law, trouble = torch.split(logits, [len(LAWS), len(TROUBLES)], 1)
        return DoubtReading(law, trouble)
