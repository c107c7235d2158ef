"""How the encoder of near genomes learns: what noise looks like on a chart, and contrast of near genomes.

Of the genome `paper` a picture is to be put where `chart` puts the same noise without the scene: that is the limit of
contrast between pictures and charts for all genomes as negatives. Of the genome `sensor`, each genome is laid over
several scenes with parameters that differ a little, and `info_nce_near` asks which pictures belong together. In both,
the embedding is to be as much use as a random one for foretelling the scene by a straight line.

Drawing pictures costs more than looking at them. So a set is seen in REUSE steps, half of it at a time, with half of
another set of its kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.cop.near_encoder import NearEncoder, NearEvidence
from noisediag.cop.tokens import BLOCK
from noisediag.genome import paper, sensor
from noisediag.genome.camera.compression import jpeg_gray
from noisediag.genome.seeds import stream
from noisediag.genome.srgb import encoded
from noisediag.training.chart import ChartPlaces, evidence_of, laid
from noisediag.training.fit import SteppedObjective
from noisediag.training.losses import info_nce_near
from noisediag.training.pictures import CROP, CleanPool

LEFT = 0.1  # variance of a place, the law's own being 1, that a good reading leaves: the scale of that loss
FORGET = 50.0  # weight of what the embedding tells of the scene
LOG_SPREAD = 0.25  # of the logarithm of each parameter of near genomes `sensor` (SD)
RHO_SPREAD = 0.1  # px; of its correlation
REUSE = 6  # steps that see a set
KEPT = 12  # sets of a kind, of which one is seen with the newest
CODES = 255  # of 8 bits
COARSE, COMPRESSED = 0.3, 0.25  # of the pictures: stored in 8 bits, or as JPEG
QUALITY = (70, 100)
DISPLAYED = 0.3  # of the genomes `sensor`: with the tone curve of sRGB
PAPER, SENSOR = 0, 1  # numbers of `NearEncoder.locate`
SAMPLED = 16  # every so many pixels show the levels of a scene
LEVEL_SHARES = (0.02, 0.25, 0.5, 0.75, 0.98)
DETAIL_SHARES = (0.1, 0.5, 0.9)
BLACK, LEAST_DETAIL = 0.01, 1e-3


@dataclass(frozen=True)
class Kind:
    """What sets of this kind are: a genome, the side of their pictures, and how many steps of a round they get."""

    genome: int
    side: int
    steps: int


NEAR_PAPER, NEAR_SENSOR = Kind(PAPER, CROP, 14), Kind(SENSOR, CROP, 4)
KINDS = (NEAR_PAPER, Kind(PAPER, 2 * CROP, 2), NEAR_SENSOR)
ROUND = sum(kind.steps for kind in KINDS)


@dataclass(frozen=True)
class NearSet:
    """Pictures of G genomes in V views each; every tensor is `(V, G, ...)`."""

    evidence: tuple[Tensor, ...]  # parts of `NearEvidence`
    scene: Tensor  # (V, G, K) numbers of what is below the noise
    place: Tensor  # (V, G, D) on the chart; of the genome `paper` alone, D = 0 of others

    def select(self, genomes: Tensor) -> NearSet:
        return NearSet(
            tuple(part[:, genomes] for part in self.evidence), self.scene[:, genomes], self.place[:, genomes]
        )

    @staticmethod
    def join(first: NearSet, second: NearSet) -> NearSet:
        """Of the same kind: the genomes of one, then those of the other."""
        evidence = zip(first.evidence, second.evidence, strict=True)
        return NearSet(
            tuple(torch.cat(parts, 1) for parts in evidence),
            torch.cat([first.scene, second.scene], 1),
            torch.cat([first.place, second.place], 1),
        )


class NearObjective(SteppedObjective):
    """The objective of the stage `paper-encoder`: `genomes` in `views` pictures each are compared in every step, or as
    many pictures of other genomes.

    Which sets a step sees depends on its number alone, so that a run can be continued.
    """

    def __init__(self, encoder: NearEncoder, places: ChartPlaces, pool: CleanPool, genomes: int, views: int, seed: int):
        self.encoder, self.places, self.pool, self.seed = encoder, places, pool, seed
        self.genomes, self.views = genomes, views
        self._set = lru_cache(len(KINDS) * (KEPT + 1))(self._draw)

    def at_step(self, generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, float]]:
        number, seen = _kind_of(step)
        newest = seen // REUSE
        oldest = max(newest - KEPT, 0)
        other = oldest + int(torch.randint(max(newest - oldest, 1), (), generator=generator, device=generator.device))
        first, second = (self._set(number, at, generator.device) for at in (newest, other))
        genomes = first.scene.shape[1]
        order = torch.randperm(genomes, generator=generator, device=generator.device)
        half = genomes // 2  # of one and the same set all of it
        return near_loss(self.encoder, NearSet.join(first.select(order[:half]), second.select(order[half:])))

    def _draw(self, kind: int, number: int, device: torch.device) -> NearSet:
        generator = torch.Generator(device=device).manual_seed(stream(self.seed, kind, number))
        return near_set(KINDS[kind], self.places, self.pool, self.genomes, self.views, generator)


def near_loss(encoder: NearEncoder, seen: NearSet) -> tuple[Tensor, dict[str, float]]:
    """The loss of one batch, and its parts."""
    embedding = embedded(encoder, seen)
    if seen.place.shape[2]:
        numbers = {"chart": chart_loss(encoder, embedding, seen.place.flatten(0, 1))}
    else:
        numbers = {"contrast": near_contrast(encoder, embedding, views=len(seen.scene))}
    numbers["scene"] = told_of_scene(embedding, seen.scene.flatten(0, 1))
    total = torch.stack(list(numbers.values())) @ embedding.new_tensor([1.0, FORGET])
    return total, {name: float(value.detach()) for name, value in numbers.items()}


def embedded(encoder: NearEncoder, seen: NearSet) -> Tensor:
    """Embeddings of all pictures, `(V * G, E)`."""
    return encoder.embed(NearEvidence(*(part.flatten(0, 1) for part in seen.evidence)))


def chart_loss(encoder: NearEncoder, embedding: Tensor, place: Tensor) -> Tensor:
    """How far embeddings `(N, E)` lie from the places `(N, D)` that the same noise has on the chart.

    The variance of places is learned beside it and shapes nothing else.
    """
    found = encoder.locate(embedding, PAPER)
    away = (found.place - place).square()
    variance = encoder.locate(embedding.detach(), PAPER).variance + LEFT / 100
    width = (away.detach() / variance + variance.log()).mean()
    return away.sum(1).mean() / (2 * LEFT) + width / 2


def near_contrast(encoder: NearEncoder, embedding: Tensor, *, views: int) -> Tensor:
    """Contrast of embeddings `(views * genomes, E)` of near genomes `sensor`."""
    located = encoder.locate(embedding, SENSOR)
    kin = torch.arange(len(embedding) // views, device=embedding.device).repeat(views)
    return info_nce_near(located.place, located.variance, located.offset, kin)


def told_of_scene(embedding: Tensor, scene: Tensor) -> Tensor:
    """Mean squared correlation of what is read of embeddings `(N, E)` with `scene` (N, K), less that by chance."""
    read = torch.cat([embedding, functional.hardswish(embedding)], 1)
    first, second = ((values - values.mean(0)) / (values.std(0) + 1e-3) for values in (read, scene))
    return (first.T @ second / len(scene)).square().mean() - 1 / len(scene)


def _kind_of(step: int) -> tuple[int, int]:
    """The kind of a step, and how many steps of that kind came before: kinds are spread evenly over a round."""
    order = _order()
    kind = order[step % ROUND]
    return kind, step // ROUND * KINDS[kind].steps + order[: step % ROUND].count(kind)


@cache
def _order() -> list[int]:
    due = sorted(((at + 0.5) / kind.steps, number) for number, kind in enumerate(KINDS) for at in range(kind.steps))
    return [number for _, number in due]


def near_set(
    kind: Kind, places: ChartPlaces, pool: CleanPool, genomes: int, views: int, generator: torch.Generator
) -> NearSet:
    """Genomes in pictures of as many pixels as `genomes * views` crops have.

    Larger pictures are fewer: half of the views, and of the genomes. Of `paper` every picture has a genome of its own.
    """
    if kind.side > CROP:
        genomes, views = genomes * CROP // kind.side, max(views * CROP // kind.side, 2)
    if kind.genome == PAPER:
        genomes, views = genomes * views, 1
    clean = pool.draw(genomes * views, kind.side, generator)
    if kind.genome == PAPER:
        strengths = paper.sample(genomes, generator)
        noisy = laid(clean, strengths, generator)
        place = places(strengths, generator)
    else:
        noisy = _sensor_pictures(clean, genomes, views, generator)
        place = clean.new_zeros(len(clean), 0)
    evidence = evidence_of(as_stored(noisy, generator))
    shape = views, genomes
    return NearSet(
        tuple(torch.unflatten(part, 0, shape) for part in evidence.parts()),
        torch.unflatten(scene_numbers(clean), 0, shape),
        torch.unflatten(place, 0, shape),
    )


def _sensor_pictures(clean: Tensor, genomes: int, views: int, generator: torch.Generator) -> Tensor:
    index = torch.arange(genomes, device=generator.device).repeat(views)
    noise = sensor.near(sensor.sample("wide", genomes, generator).select(index), LOG_SPREAD, RHO_SPREAD, generator)
    displayed = (torch.rand(genomes, generator=generator, device=generator.device) < DISPLAYED)[index]
    pictures = sensor.corrupt(clean, noise, generator).image.clamp(0, 1)
    return torch.where(displayed[:, None, None], encoded(pictures), pictures)


def scene_numbers(clean: Tensor) -> Tensor:
    """What tells kinds of scenes `(B, H, W)` apart: levels, detail of three sizes, how even it lies, `(B, K)`."""
    levels = clean.flatten(1)[:, ::SAMPLED].sort(1).values
    shares = [levels[:, int(share * levels.shape[1])] for share in LEVEL_SHARES]
    across = (clean[:, :, 1:] - clean[:, :, :-1]).abs()
    bent = (across[:, :, 1:] - across[:, :, :-1]).abs()
    coarse = functional.avg_pool2d(clean[:, None], BLOCK)[:, 0]
    detail = functional.avg_pool2d(across[:, None], BLOCK).flatten(1).sort(1).values
    quiet = [detail[:, int(share * detail.shape[1])] for share in DETAIL_SHARES]
    sizes = [across.mean((1, 2)), bent.mean((1, 2)), (coarse[:, :, 1:] - coarse[:, :, :-1]).abs().mean((1, 2)), *quiet]
    return torch.stack(
        [
            *(levels.mean(1), levels.std(1), (levels < BLACK).float().mean(1), (levels > 1 - BLACK).float().mean(1)),
            *shares,
            *((size + LEAST_DETAIL).log() for size in sizes),
        ],
        1,
    )


def as_stored(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (B, H, W) in [0, 1] as files hold them: some in fine codes, some in 8 bits, some as JPEG."""
    draw = torch.rand(2, len(pictures), generator=generator, device=generator.device)
    coarse = (pictures * CODES).round()
    stored = torch.where((draw[0] < COARSE)[:, None, None], coarse / CODES, pictures)
    for number in (draw[0] > 1 - COMPRESSED).nonzero()[:, 0].tolist():
        quality = round(QUALITY[0] + (QUALITY[1] - QUALITY[0]) * float(draw[1, number]) ** 0.5)
        stored[number] = jpeg_gray(coarse[number : number + 1], quality)[0] / CODES
    return stored
