"""The shipped encoder for few labels, on scenes of its own kind that it has never seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noisediag.benchmark.few_shot import cop, described
from noisediag.benchmark.few_shot import run as few_shot
from noisediag.benchmark.few_shot.data import Noisy
from noisediag.benchmark.few_shot.described import Described, Networks
from noisediag.benchmark.few_shot.formats import FORMATS
from noisediag.cop import checkpoint
from noisediag.cop.models import load_any_encoder
from noisediag.cop.near_encoder import NearEncoder
from noisediag.estimator import Estimator
from noisediag.genome import paper, scenes
from noisediag.training.pictures import CleanPool

SIDE = 192
LABELS, ASKED = 100, 100


@pytest.fixture(scope="module")
def networks() -> Networks:
    encoder = load_any_encoder(checkpoint.read(checkpoint.shipped(few_shot.ENCODER)))
    if not isinstance(encoder, NearEncoder):
        pytest.skip("the shipped encoder gives no places")
    return Networks(Estimator(device="cpu"), encoder, "shipped")


@pytest.fixture(scope="module")
def taken(networks: Networks) -> tuple[Described, Described]:
    """Labelled pictures and those that are asked, of other scenes."""
    generator = torch.Generator().manual_seed(77)
    found = []
    for count in (LABELS, ASKED):
        clean = CleanPool(scenes.make(40, 256, generator)).draw(count, SIDE, generator)
        strengths = paper.sample(count, generator)
        noisy = paper.corrupt(clean, strengths, generator)
        rows = [
            Noisy(n[None], s.double().numpy(), "", str(i))
            for i, (n, s) in enumerate(zip(noisy, strengths, strict=True))
        ]
        found.append(described.described(rows, FORMATS["png16"], networks, folder=None, name=""))
    return found[0], found[1]


def test_strengths_are_an_affine_function_of_the_places(taken) -> None:
    """What the contrast of near genomes is to bring about: a few labels then fix the map."""
    labels, asked = taken
    known, wanted = (torch.cat([one.parts["places"], torch.ones(len(one), 1)], 1) for one in (labels, asked))
    read = wanted @ torch.linalg.lstsq(known, torch.from_numpy(labels.strengths)).solution
    r2 = 1 - np.square(read.numpy() - asked.strengths).mean() / asked.strengths.var()
    assert r2 > 0.75, r2


def test_a_hundred_labels_read_the_strengths(networks: Networks, taken) -> None:
    labels, asked = taken
    read = cop.read_strengths(labels, asked, networks)
    r2 = 1 - np.square(read.values - asked.strengths).mean() / asked.strengths.var()
    assert r2 > 0.8, r2
    assert read.left_out == ()
    inside = (read.low <= asked.strengths) & (asked.strengths <= read.high)
    assert 0.8 < inside.mean() < 0.97
