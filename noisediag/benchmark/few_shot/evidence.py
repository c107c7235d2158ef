"""The evidence of labelled pictures, computed once: what the network of near genomes reads, whatever its weights.

Shares of a block's 64 pixels are kept as whole counts, exactly, the rest in half precision: 51 kB a picture of
192 px, 5.1 GB for 100,000. A test holds what the network says of it against what it says of the evidence itself.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisediag.benchmark.few_shot import data
from noisediag.benchmark.few_shot.data import in_codes
from noisediag.cop import near_encoder
from noisediag.cop.near_encoder import NearEvidence, near_evidence
from noisediag.cop.tokens import BLOCK, tokenize

PIXELS = BLOCK * BLOCK
PARTS = ("block", "share", "level", "offsets", "spectrum")
STORED = {"block": np.float16, "share": np.uint8, "level": np.float16, "offsets": np.float32, "spectrum": np.float16}
DONE = "done"  # a file that says that all is there


@dataclass(frozen=True)
class EvidenceStore:
    """Of n pictures with `rows` x `columns` blocks: arrays (n, ...) by the names of PARTS, and `strengths` (n, 6)."""

    arrays: dict[str, NDArray[np.generic]]
    strengths: Tensor
    rows: int
    columns: int

    def __len__(self) -> int:
        return len(self.strengths)

    def take(self, index: NDArray[np.int64], window: tuple[slice, slice] | None = None) -> NearEvidence:
        """The evidence of the pictures `index`, of the blocks in `window` (rows, columns) alone where one is given."""
        order = np.sort(index)  # a file is read in its order
        back = np.argsort(np.argsort(index, kind="stable"), kind="stable")
        found = {}
        for name in PARTS:
            values = torch.from_numpy(np.asarray(self.arrays[name][order]))[torch.from_numpy(back)]
            if name in ("block", "share", "level") and window is not None:
                grid = values.reshape(len(values), self.rows, self.columns, -1)
                values = grid[:, window[0], window[1]].flatten(1, 2)
            found[name] = values.float() / PIXELS if name == "share" else values.float()
        return NearEvidence(**found)


def evidence_of(pictures: Tensor) -> NearEvidence:
    """The evidence of pictures (n, H, W), sides of whole blocks, as 16-bit files hold them."""
    return near_evidence(tokenize(in_codes(pictures)[:, None], grids=1))


def store(count: int, seed: int, folder: Path | None, images: Path | None) -> EvidenceStore:
    """Of the first `count` labelled pictures of `seed`; more than IN_MEMORY lie in a folder beside the journal.

    What was not finished there is made anew.
    """
    place = None
    if folder is not None and count > data.IN_MEMORY:
        laws = [near_encoder.FREQUENCIES, near_encoder.FREQUENCY_RANGE, near_encoder.EVIDENCE, near_encoder.LEVELS]
        key = hashlib.sha256(json.dumps([count, seed, str(images), data.LABELLED_PX, laws]).encode()).hexdigest()[:12]
        place = folder / f"few-shot-evidence-{key}"
    blocks = data.LABELLED_PX // BLOCK
    strengths = data.label_strengths(count, seed)
    if place is not None and (place / DONE).exists():
        arrays: dict[str, NDArray[np.generic]] = {name: np.load(place / f"{name}.npy", mmap_mode="r") for name in PARTS}
        return EvidenceStore(arrays, strengths, blocks, blocks)
    if place is not None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    arrays = _filled(data.labelled_batches(count, seed, images), count, place)
    if place is not None:
        (place / DONE).touch()
    return EvidenceStore(arrays, strengths, blocks, blocks)


def _filled(batches: Iterable[tuple[int, Tensor]], count: int, place: Path | None) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {}
    for start, batch in batches:
        seen = evidence_of(batch[:, 0])
        for name in PARTS:
            values = getattr(seen, name).numpy()
            if name == "share":
                values = np.rint(values * PIXELS)
            if name not in arrays:
                shape = (count, *values.shape[1:])
                arrays[name] = (
                    np.empty(shape, STORED[name])
                    if place is None
                    else np.lib.format.open_memmap(place / f"{name}.npy", "w+", STORED[name], shape)
                )
            arrays[name][start : start + len(values)] = values.astype(STORED[name])
    for values in arrays.values():
        if isinstance(values, np.memmap):
            values.flush()
    return arrays
