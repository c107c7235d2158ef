"""Noise over a chart, and places that analogies between genomes foretell."""

import pytest
import torch

from noisediag.cop.near_encoder import NearEncoder, NearEncoderConfig
from noisediag.genome import paper
from noisediag.training import chart as charts
from noisediag.training.chart import Analogies, ChartPlaces, analogies, analogy_loss, chart, evidence_on_chart
from noisediag.training.fit import FitConfig, fit


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy(places: int = 5) -> NearEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NearEncoder(NearEncoderConfig(width=8, heads=2, hidden=8, embedding=16, places=places))


def test_a_chart_has_every_level_once_in_blocks_that_differ_little_from_their_neighbours() -> None:
    blocks = chart()[::8, ::8]
    assert torch.equal(blocks.repeat_interleave(8, 0).repeat_interleave(8, 1), chart())
    assert torch.allclose(blocks.flatten().sort().values, torch.linspace(0, 1, 256))
    assert (blocks[:, 1:] - blocks[:, :-1]).abs().max() < 0.005


def test_the_last_genome_is_the_third_changed_as_the_first_differs_from_the_second() -> None:
    genomes, step = analogies(400, seeded(1))
    first, second, third, last = genomes.unbind(1)
    assert torch.allclose(last, third + step[:, None] * (first - second), atol=1e-6)
    assert genomes.min() >= 0
    assert torch.allclose(genomes.sum(2), torch.ones(400, 4), atol=1e-5)
    assert step.abs().max() <= charts.FARTHEST
    assert 0.3 < float(step.abs().median()) < 1.5
    assert 0.3 < float((step > 0).float().mean()) < 0.7


def test_places_are_affine_where_analogies_hold_and_no_bent_or_constant_one_passes() -> None:
    genomes, step = analogies(3000, seeded(2))
    mixing = torch.linalg.qr(torch.randn(6, 5, generator=seeded(3)) - 1 / 6).Q
    affine = genomes @ mixing + 0.3
    noise = torch.randn(affine.shape, generator=seeded(4))
    size = float(analogy_loss(affine, step))
    assert size < 0.1 * float(analogy_loss(affine + noise * affine.std(), step))
    bent = torch.cat([affine[..., :4], genomes[..., :1].square()], 2)  # even of the clearest gene
    constant = torch.cat([affine[..., :4], noise[..., :1] * 1e-6], 2)
    scale = 1 / affine.flatten(0, 1).var(0, unbiased=False).mean().sqrt()  # so that size costs nothing
    losses = [float(analogy_loss(places * scale, step)) for places in (affine, bent, constant)]
    assert losses[0] < 0.01
    assert min(losses[1:]) > 0.2


def test_training_makes_places_say_what_lies_on_the_chart(monkeypatch) -> None:
    monkeypatch.setattr(charts, "ANALOGIES", 10)
    monkeypatch.setattr(charts, "DRAWN", 200)
    network = toy()
    fit(network, Analogies(network, 5), FitConfig(steps=80, learning_rate=1e-2, warm_up=5, average=0.9, seed=0))
    places = ChartPlaces.of(network, 3)
    strengths = paper.sample(200, seeded(6))
    found = places(strengths, seeded(7))
    assert found.std(0).mean() == pytest.approx(1, abs=0.2)
    design = torch.cat([found, torch.ones(200, 1)], 1)
    left = strengths - design @ torch.linalg.lstsq(design, strengths).solution
    assert float(1 - left.square().mean() / strengths.var()) > 0.35


def test_a_stopped_run_sees_the_same_sets(monkeypatch) -> None:
    monkeypatch.setattr(charts, "ANALOGIES", 4)
    whole, later = Analogies(toy(), 1), Analogies(toy(), 1)
    losses = [float(whole.at_step(seeded(step), step)[0].detach()) for step in range(10)]
    assert float(later.at_step(seeded(9), 9)[0].detach()) == pytest.approx(losses[9], rel=1e-5)


def test_noise_on_the_chart_is_that_of_the_genome() -> None:
    strengths = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]])
    seen = evidence_on_chart(strengths, seeded(0))
    white = seen.share[..., 0].mean(1)
    assert float(white[0]) < 0.02
    assert float(white[1]) == pytest.approx(0.25, abs=0.03)
