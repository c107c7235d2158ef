"""The shipped encoder for few labels, on scenes of its own kind that it has never seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noisediag.benchmark.few_shot import run as few_shot
from noisediag.benchmark.few_shot.data import CODES, LabelledPictures
from noisediag.cop import checkpoint
from noisediag.cop.encoder import Encoder
from noisediag.cop.models import Familiarity, load_encoder
from noisediag.genome import paper, scenes
from noisediag.training.pictures import CleanPool
from noisediag.training.sensor_head import learn_familiarity

SIDE = 192
LABELS, ASKED = 100, 100


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(checkpoint.read(checkpoint.shipped(few_shot.ENCODER)))


@pytest.fixture(scope="module")
def taken() -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy pictures `(LABELS + ASKED, SIDE, SIDE)` and their strengths, the asked ones of other scenes."""
    generator = torch.Generator().manual_seed(77)
    pools = [CleanPool(scenes.make(40, 256, generator)) for _ in range(2)]
    clean = torch.cat([pool.draw(count, SIDE, generator) for pool, count in zip(pools, (LABELS, ASKED), strict=True)])
    strengths = paper.sample(len(clean), generator)
    return paper.corrupt(clean, strengths, generator), strengths


def test_distances_in_the_embedding_are_those_of_the_strengths(encoder: Encoder, taken) -> None:
    pictures, strengths = taken
    with torch.inference_mode():
        place, _ = encoder.locate(few_shot.embed(encoder, pictures[-ASKED:]))
    pairs = torch.triu_indices(ASKED, ASKED, 1)
    seen, true = (torch.cdist(x, x)[pairs[0], pairs[1]] for x in (place, strengths[-ASKED:]))
    assert float(torch.corrcoef(torch.stack([seen, true]))[0, 1]) > 0.75


def test_a_hundred_labels_read_the_strengths(encoder: Encoder, taken) -> None:
    pictures, strengths = taken
    codes = (pictures.numpy() * CODES).round().astype(np.uint16)
    data = LabelledPictures(codes[:LABELS], strengths[:LABELS])
    embedding = few_shot.embed(encoder, pictures)
    components = Familiarity(encoder.config.embedding)
    learn_familiarity(components, embedding, quantile=1.0)
    truth = strengths[-ASKED:].double().numpy()
    nothing = np.zeros(ASKED)
    test = few_shot.EvaluationSet(truth, embedding[-ASKED:], nothing, nothing.astype(str), nothing.astype(int))
    said = few_shot._cop(few_shot.Inputs(encoder, components), data, test)
    r2 = 1 - np.square(said - truth).mean() / truth.var()
    assert r2 > 0.8
