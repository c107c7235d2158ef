"""Training objectives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.1  # of cosines; the best one of Chen et al. 2020 (SimCLR), table 5


def info_nce(first: Tensor, second: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Contrastive loss of two views of G genomes, each `(G, P)` on the unit sphere; row i of both has genome i.

    Everything else in the batch is a negative, the same scene under another genome included. No strength is used.
    Source: van den Oord et al. 2018, symmetrised over the views as in SimCLR.
    """
    views = torch.cat([first, second])
    similarity = views @ views.T / temperature
    similarity = similarity.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), -torch.inf)
    half = len(first)
    target = torch.arange(2 * half, device=views.device).roll(half)
    return functional.cross_entropy(similarity, target)


def info_nce_near(place: Tensor, variance: Tensor, offset: Tensor, genome: Tensor) -> Tensor:
    """Contrastive loss of N views whose genomes are nearly, not exactly, those of their kin.

    `place`, `variance` (N, D), `offset` (N,), `genome` (N,) numbers the kin. The likelihood of being kin is a Gaussian
    of the distance: with positives that differ by a known spread, distances in the embedding come to be those of the
    genomes (Zimmermann et al. 2021), and a gene that is hard to see counts as much as one that is easy. Its variance is
    1, that of kin, and what either picture leaves open: one that does not tell a gene need not be drawn to the middle.
    Every pair of kin is compared with all views that are none. No strength is used.
    """
    open_to = 1 + variance[:, None] + variance
    away = (place[:, None] - place).square()
    likelihood = offset - 0.5 * (away / open_to + open_to.log()).sum(-1)
    kin = genome[:, None] == genome
    others = likelihood.masked_fill(kin, -torch.inf).logsumexp(1, keepdim=True)
    pairs = kin & ~torch.eye(len(place), dtype=torch.bool, device=place.device)
    return functional.softplus(others - likelihood)[pairs].mean()


def log_ratio(estimate: Tensor, truth: Tensor, floor: Tensor | float) -> Tensor:
    """|ln| of a ratio whose two sides are lifted by `floor`, so that absent is close to very small; same shape."""
    return ((estimate.clamp(min=0) + floor) / (truth + floor)).log().abs()


def pinball(error: Tensor, levels: Tensor) -> Tensor:
    """Quantile loss of `error` = truth - prediction, last dimension one entry per level."""
    return torch.maximum(levels * error, (levels - 1) * error)
