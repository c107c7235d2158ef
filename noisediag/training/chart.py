"""A chart: flat fields of known levels, and a network that says where noise laid over it lies among others.

Over a chart nothing hides the noise. So the network learns in minutes what a picture's encoder needs hours for, and
tells that encoder what each of its pictures would look like without its scene (`training.near`). It has no labels: the
simulator lays down four genomes of which the last is the third, changed as the first differs from the second, and the
places of the first three must foretell that of the last. What does so for steps of any kind and size is affine in the
genome (the analogies of Mikolov et al. 2013 as an objective), and what varies at the same time sees all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from noisediag.cop.near_encoder import NearEncoder, NearEvidence, near_evidence
from noisediag.cop.tokens import BLOCK, tokenize
from noisediag.genome import paper
from noisediag.genome.seeds import stream
from noisediag.training.fit import SteppedObjective
from noisediag.training.pictures import CROP

SIDE = 16  # blocks; every one of the SIDE * SIDE levels has a block of its own
FARTHEST = 2.0  # times the step from the second genome to the first, that the last lies from the third
ANALOGIES = 60  # of a set, four pictures each
REUSE = 4  # steps that compare a set
KEPT = 8  # sets, half of one of which is compared with half of the newest
LEAST_VARIANCE = 1e-4  # of that of a place: below, no precision is asked for
SCALE_WEIGHT = 0.01  # of the places' size, which nothing else holds
DRAWN = 2048  # genomes whose places are made the unit
AT_ONCE = 64  # crops, or as many pixels


def chart() -> Tensor:
    """`(SIDE * BLOCK, SIDE * BLOCK)` in [0, 1], levels in boustrophedon, so that neighbours differ little."""
    levels = torch.linspace(0, 1, SIDE * SIDE).view(SIDE, SIDE).clone()
    levels[1::2] = levels[1::2].flip(1)
    return levels.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)


def laid(clean: Tensor, strengths: Tensor, generator: torch.Generator) -> Tensor:
    """Noise `paper` of `strengths` (n, 6) over `clean` (n, H, W), some pictures at a time."""
    some = zip(torch.split(clean, AT_ONCE), torch.split(strengths, AT_ONCE), strict=True)
    return torch.cat([paper.corrupt(*few, generator) for few in some])


def evidence_of(pictures: Tensor) -> NearEvidence:
    """Of pictures (n, H, W), as many at a time as have the pixels of AT_ONCE crops."""
    at_once = max(AT_ONCE * CROP**2 // pictures[0].numel(), 1)
    found = [near_evidence(tokenize(some[:, None], grids=1)).parts() for some in torch.split(pictures, at_once)]
    return NearEvidence(*(torch.cat(part) for part in zip(*found, strict=True)))


def evidence_on_chart(strengths: Tensor, generator: torch.Generator) -> NearEvidence:
    """Of noise `paper` of `strengths` (n, 6), laid over the chart."""
    clean = chart().to(generator.device).expand(len(strengths), -1, -1)
    return evidence_of(laid(clean, strengths, generator))


def analogies(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Genomes `(n, 4, 6)` and steps t `(n,)`: the last is the third and t times the first less the second.

    t has half to all of the size that leaves no strength below 0, in the direction that lets it be larger.
    """
    first, second, third = (paper.sample(n, generator) for _ in range(3))
    away = first - second
    reach = [torch.where(sign * away < 0, -third / (sign * away), torch.inf).amin(1) for sign in (1, -1)]
    sign = torch.where(reach[0] > reach[1], 1.0, -1.0)
    share = 1 - 0.5 * torch.rand(n, generator=generator, device=generator.device)
    step = sign * share * torch.maximum(*reach).clamp(max=FARTHEST)
    last = (third + step[:, None] * away).clamp(min=0)  # rounding alone goes below
    return torch.stack([first, second, third, last], 1), step


def analogy_loss(place: Tensor, step: Tensor) -> Tensor:
    """The share of the places' variance that the analogies `(n, 4, D)` do not foretell, summed over dimensions.

    Both are seen in the directions in which the places vary, so that nothing is gained by a place that does not. Its
    gradient is that of a regression: no detail is too fine for it, as it is for contrast of near genomes.
    """
    first, second, third, last = place.unbind(1)
    miss = (step[:, None] * (first - second) + third - last) / (2 + 2 * step.square()).sqrt()[:, None]
    free = place[:, :3].flatten(0, 1)
    free = free - free.mean(0)
    variance = free.T @ free / len(free)
    size = variance.diagonal().mean()
    least = LEAST_VARIANCE * size.detach() * torch.eye(place.shape[2], device=place.device)
    left = torch.linalg.solve(variance + least, miss.T @ miss / len(miss) + least)
    total: Tensor = left.diagonal().sum() + SCALE_WEIGHT * size.log().square()
    return total


class Analogies(SteppedObjective):
    """The objective of the network that reads the chart, on sets that are drawn once and compared several times."""

    def __init__(self, network: NearEncoder, seed: int):
        self.network, self.seed = network, seed
        self._set = lru_cache(2 * KEPT)(self._draw)  # a set that may still be asked for is among so many

    def at_step(self, generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, float]]:
        newest = step // REUSE
        oldest = max(newest - KEPT + 1, 0)
        ago = int(torch.randint(newest - oldest + 1, (), generator=generator, device=generator.device))
        first, second = (self._set(number, generator.device) for number in (newest, newest - ago))
        order = torch.randperm(ANALOGIES, generator=generator, device=generator.device)
        half = order[: ANALOGIES // 2], order[ANALOGIES // 2 :]  # of one and the same set all of it
        steps, *parts = (torch.cat([a[half[0]], b[half[1]]]) for a, b in zip(first, second, strict=True))
        seen = NearEvidence(*(part.flatten(0, 1) for part in parts))
        place = self.network.locate(self.network.embed(seen)).place
        return analogy_loss(torch.unflatten(place, 0, (len(steps), 4)), steps), {}

    def _draw(self, number: int, device: torch.device) -> tuple[Tensor, ...]:
        """Steps `(ANALOGIES,)`, and the parts of their evidence `(ANALOGIES, 4, ...)`."""
        generator = torch.Generator(device=device).manual_seed(stream(self.seed, number))
        genomes, steps = analogies(ANALOGIES, generator)
        parts = evidence_on_chart(genomes.flatten(0, 1), generator).parts()
        return (steps, *(torch.unflatten(part, 0, (ANALOGIES, 4)) for part in parts))


@dataclass(frozen=True)
class ChartPlaces:
    """Says where genomes lie by what they look like on the chart; in its units the law's places have variance 1."""

    network: NearEncoder
    mean: Tensor  # (D,)
    unit: Tensor  # (D, D)

    @staticmethod
    def of(network: NearEncoder, seed: int) -> ChartPlaces:
        """`network` trained on `Analogies`; its units are those of DRAWN genomes."""
        network = network.eval().requires_grad_(False)
        device = next(network.parameters()).device
        generator = torch.Generator(device=device).manual_seed(seed)
        size = network.config.places
        plain = ChartPlaces(network, torch.zeros(size, device=device), torch.eye(size, device=device))
        place = plain(paper.sample(DRAWN, generator), generator)
        values, directions = torch.linalg.eigh(torch.cov(place.T))
        return ChartPlaces(network, place.mean(0), directions / values.clamp(min=1e-12).sqrt())

    @torch.no_grad()
    def __call__(self, strengths: Tensor, generator: torch.Generator) -> Tensor:
        """Places `(n, D)` of noise of `strengths` (n, 6), laid over the chart."""
        parts = evidence_on_chart(strengths, generator).parts()
        found = [
            self.network.locate(self.network.embed(NearEvidence(*some))).place
            for some in zip(*(torch.split(part, AT_ONCE) for part in parts), strict=True)
        ]
        return (torch.cat(found) - self.mean) @ self.unit
