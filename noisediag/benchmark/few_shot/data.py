"""The pictures of `benchmark few-shot`: labelled ones to learn from, and those of the domains to be judged on.

Labelled picture number i of a seed is the same in every arm of a pool, whatever their number; pictures of different
seeds are different ones, so seeds are disjoint sets of labels. One draw a picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisediag.benchmark import bound
from noisediag.errors import UsageError
from noisediag.genome import paper
from noisediag.genome.cases import Job, case_seed, jobs, named_seed
from noisediag.genome.clean import Clean, pictures, read_clean
from noisediag.training.pictures import CleanPool, clean_pool
from noisediag.training.recipe import Recipe

Floats = NDArray[np.float64]

LABELLED_PX = 192  # as in the paper
FEWEST_PX = 32
AT_ONCE = 50  # labelled pictures of one generator
CODES = 65535
IN_MEMORY = 10_000  # labelled pictures; more of them lie in a file
POOL_SEED = 20260  # of scenes that no shipped model was trained on
SCENES, MOST_SCENES = 400, 6400  # that the pictures are cut from: up to FEW pictures, and beyond
FEW = 1000
TINT_POWER, TINT_GAIN = (0.7, 1.4), (0.6, 1.0)  # what makes three channels of one scene: x -> gain * x^power

LAW, PURE = "paper", "pure"  # how strengths are drawn
PURE_KINDS = paper.NAMES[:5]
PURE_RANGE = (0.1, 0.9)  # of the strength of a pure kind; the rest of the sum is `normal`, which adds nothing


@dataclass(frozen=True)
class Noisy:
    """A noisy picture: `channels` (C, H, W) in [0, 1] with noise of their own, its six strengths, and where it is from.

    `levels`: how many pixels of the clean picture lie where, see `bound`; None of labelled ones.
    """

    channels: Tensor
    strengths: Floats
    domain: str
    picture: str
    levels: Floats | None = None


def draw_strengths(law: str, n: int, generator: torch.Generator) -> Tensor:
    """Strengths (n, 6): by the law of the genome, or one kind alone beside `normal`, each of PURE_KINDS as likely."""
    if law == LAW:
        return paper.sample(n, generator)
    low, high = PURE_RANGE
    kind = torch.randint(len(PURE_KINDS), (n,), generator=generator)
    strength = low + (high - low) * torch.rand(n, generator=generator)
    found = torch.zeros(n, len(paper.NAMES))
    found[torch.arange(n), kind] = strength
    found[:, -1] = 1 - strength
    return found


def in_codes(channels: Tensor) -> Tensor:
    """`channels` as 16-bit files hold them."""
    return (channels * CODES).round() / CODES


@dataclass(frozen=True)
class LabelledPictures:
    """`codes` (n, 192, 192) of 16 bits, `strengths` (n, 6)."""

    codes: NDArray[np.uint16]
    strengths: Tensor

    def pictures(self, index: NDArray[np.int64]) -> Tensor:
        """`(len(index), 192, 192)` in [0, 1]."""
        return torch.from_numpy(self.codes[index].astype(np.float32) / CODES)


def labelled(count: int, seed: int, folder: Path | None, images: Path | None) -> LabelledPictures:
    """The first `count` labelled pictures of `seed`: procedural scenes, and crops of `images` where given.

    More than IN_MEMORY lie in a file of `folder`, which is made once.
    """
    shape = (count, LABELLED_PX, LABELLED_PX)
    strengths = label_strengths(count, seed)
    file = None if folder is None or count <= IN_MEMORY else folder / f"few-shot-{count}-{seed}.npy"
    if file is not None and file.exists():
        return LabelledPictures(np.load(file, mmap_mode="r"), strengths)
    part_file = None if file is None else file.with_suffix(".part")
    if part_file is None:
        codes: NDArray[np.uint16] = np.empty(shape, np.uint16)
    else:
        codes = np.lib.format.open_memmap(part_file, "w+", np.uint16, shape)
    for start, batch in labelled_batches(count, seed, images):
        codes[start : start + len(batch)] = np.rint(batch[:, 0].numpy() * CODES)
    if part_file is not None and file is not None:
        part_file.replace(file)
    return LabelledPictures(codes, strengths)


def label_strengths(count: int, seed: int, law: str = LAW) -> Tensor:
    """Of the first `count` labelled pictures, `(count, 6)`."""
    return torch.cat([_strengths(seed, part, law) for part in range(-(-count // AT_ONCE))])[:count]


def labelled_batches(
    count: int, seed: int, images: Path | None, *, law: str = LAW, channels: int = 1
) -> Iterator[tuple[int, Tensor]]:
    """The first `count` labelled pictures: number of the first one of a batch, and `(n, channels, 192, 192)`.

    Three channels are tints of one scene, with independent noise of the same strengths.
    """
    pool = _pool(MOST_SCENES if count > FEW else SCENES, images)
    for part in range(-(-count // AT_ONCE)):
        generator = _generator(seed, part, "noise" if law == LAW else f"noise/{law}")
        clean = pool.draw(AT_ONCE, LABELLED_PX, generator)
        strengths = _strengths(seed, part, law)
        tints = [clean] if channels == 1 else _tinted(clean, channels, _generator(seed, part, "tint"))
        noisy = torch.stack([paper.corrupt(one, strengths, generator) for one in tints], 1)
        yield part * AT_ONCE, noisy[: count - part * AT_ONCE]


def labelled_pictures(
    count: int, seed: int, images: Path | None, *, law: str = LAW, channels: int = 1
) -> Iterator[Noisy]:
    """The same, one by one."""
    strengths = label_strengths(count, seed, law).double().numpy()
    for start, batch in labelled_batches(count, seed, images, law=law, channels=channels):
        for i, one in enumerate(batch, start):
            yield Noisy(one, strengths[i], "labelled", f"{seed}/{i}")


def _tinted(clean: Tensor, channels: int, generator: torch.Generator) -> list[Tensor]:
    def drawn(bounds: tuple[float, float]) -> Tensor:
        return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(len(clean), 1, 1, generator=generator)

    return [drawn(TINT_GAIN) * clean ** drawn(TINT_POWER) for _ in range(channels)]


@lru_cache(maxsize=1)
def _pool(scenes: int, images: Path | None) -> CleanPool:
    """What labelled pictures are cut from; which crops, and how they are turned, is the seed's."""
    recipe = Recipe(seed=POOL_SEED, scenes=scenes, images=None if images is None else str(images))
    return clean_pool(recipe, torch.device("cpu"), finer=False)  # the same labelled pictures in every release


def _generator(seed: int, part: int, what: str) -> torch.Generator:
    return torch.Generator().manual_seed(named_seed(f"few-shot/{seed}/{part}/{what}"))


def _strengths(seed: int, part: int, law: str) -> Tensor:
    return draw_strengths(law, AT_ONCE, _generator(seed, part, "strengths" if law == LAW else f"strengths/{law}"))


@dataclass(frozen=True)
class EvaluationPictures:
    """The noisy pictures of the domains, made anew at every pass: the same ones each time.

    One `channels`: the luma of the clean picture under one draw, as `cases.paper_case`. Three: its colours (or its gray
    three times), each with a draw of its own.
    """

    data: Path
    split: str
    draws: int
    seed: int
    limit_per_domain: int | None
    law: str = LAW
    channels: int = 1

    def _jobs(self) -> list[Job]:
        found = pictures(self.data, split=self.split, limit_per_domain=self.limit_per_domain)
        return list(jobs((self.law,), found, draws=self.draws, scenes_=0, flats=0, raws=0))

    def __len__(self) -> int:
        return sum(len(job.draws) for job in self._jobs())

    def __iter__(self) -> Iterator[Noisy]:
        for job in self._jobs():
            if job.path is None:
                continue
            clean = read_clean(job.path)
            if min(clean.signal.shape[:2]) < FEWEST_PX:
                raise UsageError(f"{job.path}: pictures of a benchmark have {FEWEST_PX} px a side at least")
            clean = Clean(np.clip(clean.signal, 0, 1), clean.step)
            signal = (clean.luma if self.channels == 1 else clean.signal).astype(np.float32)
            planes = torch.from_numpy(signal if signal.ndim == 3 else np.stack([signal] * self.channels, 2))
            planes = planes.permute(2, 0, 1).contiguous()
            levels = bound.levels_of(clean.luma)
            for draw in job.draws:
                generator = torch.Generator().manual_seed(case_seed(self.seed, job, draw))
                strengths = draw_strengths(self.law, 1, generator)
                noisy = paper.corrupt(planes, strengths.expand(len(planes), -1), generator)
                yield Noisy(noisy, strengths[0].double().numpy(), job.domain, f"{job.domain}/{job.picture}", levels)
