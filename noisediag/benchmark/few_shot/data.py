"""The pictures of `benchmark few-shot`: labelled ones to learn from, and those of the domains to be judged on.

Labelled picture number i of a seed is the same in every arm, whatever their number. One plane, one draw a picture.
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

from noisediag.benchmark.oracle import features
from noisediag.genome import paper
from noisediag.genome.cases import Job, jobs, named_seed, paper_case
from noisediag.genome.clean import pictures
from noisediag.training.pictures import CleanPool, clean_pool
from noisediag.training.recipe import Recipe

LABELLED_PX = 192  # as in the paper
AT_ONCE = 50  # labelled pictures of one generator
CODES = 65535
IN_MEMORY = 10_000  # labelled pictures; more of them lie in a file
POOL_SEED = 20260  # of scenes that no shipped model was trained on
SCENES, MOST_SCENES = 400, 6400  # that the pictures are cut from: up to FEW pictures, and beyond
FEW = 1000
BLOCK_PX = 8


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
    strengths = torch.cat([_strengths(seed, part) for part in range(-(-count // AT_ONCE))])[:count]
    file = None if folder is None or count <= IN_MEMORY else folder / f"few-shot-{count}-{seed}.npy"
    if file is not None and file.exists():
        return LabelledPictures(np.load(file, mmap_mode="r"), strengths)
    pool = _pool(MOST_SCENES if count > FEW else SCENES, images)
    part_file = None if file is None else file.with_suffix(".part")
    if part_file is None:
        codes: NDArray[np.uint16] = np.empty(shape, np.uint16)
    else:
        codes = np.lib.format.open_memmap(part_file, "w+", np.uint16, shape)
    for part in range(-(-count // AT_ONCE)):
        generator = _generator(seed, part, "noise")
        clean = pool.draw(AT_ONCE, LABELLED_PX, generator)
        noisy = paper.corrupt(clean, _strengths(seed, part), generator)
        here = slice(part * AT_ONCE, min((part + 1) * AT_ONCE, count))
        codes[here] = np.rint(noisy.numpy() * CODES)[: here.stop - here.start]
    if part_file is not None and file is not None:
        part_file.replace(file)
    return LabelledPictures(codes, strengths)


@lru_cache(maxsize=1)
def _pool(scenes: int, images: Path | None) -> CleanPool:
    """What labelled pictures are cut from; which crops, and how they are turned, is the seed's."""
    recipe = Recipe(seed=POOL_SEED, scenes=scenes, images=None if images is None else str(images))
    return clean_pool(recipe, torch.device("cpu"), finer=False)  # the same labelled pictures in every release


def _generator(seed: int, part: int, what: str) -> torch.Generator:
    return torch.Generator().manual_seed(named_seed(f"few-shot/{seed}/{part}/{what}"))


def _strengths(seed: int, part: int) -> Tensor:
    return paper.sample(AT_ONCE, _generator(seed, part, "strengths"))


@dataclass(frozen=True)
class EvaluationPictures:
    """The noisy pictures of the domains, made anew at every pass: the same ones each time."""

    data: Path
    split: str
    draws: int
    seed: int
    limit_per_domain: int | None

    def _jobs(self) -> list[Job]:
        found = pictures(self.data, split=self.split, limit_per_domain=self.limit_per_domain)
        return list(jobs(("paper",), found, draws=self.draws, scenes_=0, flats=0, raws=0))

    def __len__(self) -> int:
        return sum(len(job.draws) for job in self._jobs())

    def __iter__(self) -> Iterator[tuple[Tensor, NDArray[np.float64], NDArray[np.float64], str, str]]:
        """Picture `(H, W)` in whole blocks, strengths (6,), features of the oracle, domain, file."""
        for job in self._jobs():
            for draw in job.draws:
                case = paper_case(job, draw, self.seed)
                height, width = (side // BLOCK_PX * BLOCK_PX for side in case.noisy.shape)
                noisy = torch.from_numpy(np.ascontiguousarray(case.noisy[:height, :width]))
                yield noisy, case.strengths, features(case.clean, case.noisy), job.domain, job.picture
