"""Contrast of near genomes: `info_nce_near` on sets of pictures that are drawn once and compared several times.

Drawing pictures costs three times what comparing them does. So a set of genomes, each laid over several scenes with
parameters that differ a little, is compared in REUSE steps, half of it at a time, with half of another set of its kind:
the negatives are others every time.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from noisediag.cop.near_encoder import NearEncoder, NearEvidence, near_evidence
from noisediag.cop.tokens import tokenize
from noisediag.genome import paper, sensor
from noisediag.genome.camera.compression import jpeg_gray
from noisediag.genome.seeds import stream
from noisediag.genome.srgb import encoded
from noisediag.training.fit import SteppedObjective
from noisediag.training.losses import info_nce_near
from noisediag.training.pictures import CROP, CleanPool

SPREAD = 0.045  # of near genomes `paper`, each strength (SD); the law's own is 0.143
LOG_SPREAD = 0.25  # of the logarithm of each parameter of near genomes `sensor` (SD)
RHO_SPREAD = 0.1  # px; of its correlation
REUSE = 6  # steps that compare a set
KEPT = 12  # sets of a kind, of which one is compared with the newest
AT_ONCE = 64  # pictures of CROP px, or as many pixels, that are drawn together
CODES = 255  # of 8 bits
COARSE, COMPRESSED = 0.3, 0.25  # of the pictures: stored in 8 bits, or as JPEG
QUALITY = (70, 100)
DISPLAYED = 0.3  # of the genomes `sensor`: with the tone curve of sRGB
PAPER, SENSOR = 0, 1  # numbers of `NearEncoder.locate`


@dataclass(frozen=True)
class _Kind:
    """What sets of this kind are: a genome, the side of their pictures, and how many steps of a round they get."""

    genome: int
    side: int
    steps: int


NEAR_PAPER, NEAR_SENSOR = _Kind(PAPER, CROP, 14), _Kind(SENSOR, CROP, 4)
KINDS = (NEAR_PAPER, _Kind(PAPER, 2 * CROP, 2), NEAR_SENSOR)
ROUND = sum(kind.steps for kind in KINDS)


class NearContrast(SteppedObjective):
    """The objective of the stage `paper-encoder`: `genomes` in `views` pictures each are compared in every step.

    Which sets a step compares depends on its number alone, so that a run can be continued.
    """

    def __init__(self, encoder: NearEncoder, pool: CleanPool, genomes: int, views: int, seed: int):
        self.encoder, self.pool, self.seed = encoder, pool, seed
        self.genomes, self.views = genomes, views
        self._sets: OrderedDict[tuple[int, int], tuple[Tensor, ...]] = OrderedDict()

    def at_step(self, generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, float]]:
        number, compared = _kind_of(step)
        newest = compared // REUSE
        oldest = max(newest - KEPT, 0)
        other = oldest + int(torch.randint(max(newest - oldest, 1), (), generator=generator, device=generator.device))
        first, second = (self._set(number, at, generator.device) for at in (newest, other))
        genomes = first[0].shape[1]
        order = torch.randperm(genomes, generator=generator, device=generator.device)
        half = genomes // 2
        chosen = order[:half], order[half:]  # of one and the same set all of it
        batch = tuple(torch.cat([a[:, chosen[0]], b[:, chosen[1]]], 1) for a, b in zip(first, second, strict=True))
        return near_contrast(self.encoder, batch, KINDS[number].genome), {}

    def _set(self, kind: int, number: int, device: torch.device) -> tuple[Tensor, ...]:
        key = kind, number
        if key not in self._sets:
            generator = torch.Generator(device=device).manual_seed(stream(self.seed, kind, number))
            self._sets[key] = near_set(KINDS[kind], self.pool, self.genomes, self.views, generator)
            while len(self._sets) > len(KINDS) * (KEPT + 1):
                self._sets.popitem(last=False)
        self._sets.move_to_end(key)
        return self._sets[key]


def near_contrast(encoder: NearEncoder, evidence: tuple[Tensor, ...], genome: int) -> Tensor:
    """The loss of one batch `(views, genomes, ...)`, as `near_set` gives it; `genome` PAPER or SENSOR."""
    views, genomes = evidence[0].shape[:2]
    seen = NearEvidence(*(part.flatten(0, 1) for part in evidence))
    kin = torch.arange(genomes, device=seen.block.device).repeat(views)
    located = encoder.locate(encoder.embed(seen), genome)
    return info_nce_near(located.place, located.variance, located.offset, kin)


def _kind_of(step: int) -> tuple[int, int]:
    """The kind of a step, and how many steps of that kind came before: kinds are spread evenly over a round."""
    order = _order()
    kind = order[step % ROUND]
    return kind, step // ROUND * KINDS[kind].steps + order[: step % ROUND].count(kind)


@cache
def _order() -> list[int]:
    due = sorted(((at + 0.5) / kind.steps, number) for number, kind in enumerate(KINDS) for at in range(kind.steps))
    return [number for _, number in due]


def near_set(kind: _Kind, pool: CleanPool, genomes: int, views: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Evidence of genomes in pictures of as many pixels as `genomes * views` crops have: `(views, genomes, ...)` each.

    Larger pictures are fewer: half of the views, and of the genomes.
    """
    if kind.side > CROP:
        genomes, views = genomes * CROP // kind.side, max(views * CROP // kind.side, 2)
    draw = _paper_pictures if kind.genome == PAPER else _sensor_pictures
    pictures = as_stored(draw(pool, genomes, views, kind.side, generator), generator)
    parts = [
        near_evidence(tokenize(some[:, None], grids=1)).parts()
        for some in torch.split(pictures, max(AT_ONCE * CROP**2 // kind.side**2, 1))
    ]
    return tuple(torch.unflatten(torch.cat(part), 0, (views, genomes)) for part in zip(*parts, strict=True))


def _paper_pictures(pool: CleanPool, genomes: int, views: int, side: int, generator: torch.Generator) -> Tensor:
    strengths = paper.near(paper.sample(genomes, generator).repeat(views, 1), SPREAD, generator)
    return torch.cat(
        [
            paper.corrupt(pool.draw(len(some), side, generator), some, generator)
            for some in torch.split(strengths, AT_ONCE)
        ]
    )


def _sensor_pictures(pool: CleanPool, genomes: int, views: int, side: int, generator: torch.Generator) -> Tensor:
    index = torch.arange(genomes, device=generator.device).repeat(views)
    noise = sensor.near(sensor.sample("wide", genomes, generator).select(index), LOG_SPREAD, RHO_SPREAD, generator)
    displayed = (torch.rand(genomes, generator=generator, device=generator.device) < DISPLAYED)[index]
    pictures = sensor.corrupt(pool.draw(len(index), side, generator), noise, generator).image.clamp(0, 1)
    return torch.where(displayed[:, None, None], encoded(pictures), pictures)


def as_stored(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (B, H, W) in [0, 1] as files hold them: some in fine codes, some in 8 bits, some as JPEG."""
    draw = torch.rand(2, len(pictures), generator=generator, device=generator.device)
    coarse = (pictures * CODES).round()
    stored = torch.where((draw[0] < COARSE)[:, None, None], coarse / CODES, pictures)
    for number in (draw[0] > 1 - COMPRESSED).nonzero()[:, 0].tolist():
        quality = round(QUALITY[0] + (QUALITY[1] - QUALITY[0]) * float(draw[1, number]) ** 0.5)
        stored[number] = jpeg_gray(coarse[number : number + 1], quality)[0] / CODES
    return stored
