"""Contrast of near genomes on sets that are compared several times."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from noisediag.cop.near_encoder import NearEncoder, NearEncoderConfig
from noisediag.genome import sensor
from noisediag.training import near
from noisediag.training.chart import ChartPlaces
from noisediag.training.fit import FitConfig, fit
from noisediag.training.near import (
    KINDS,
    NEAR_PAPER,
    NEAR_SENSOR,
    REUSE,
    ROUND,
    NearObjective,
    NearSet,
    as_stored,
    chart_loss,
    embedded,
    near_contrast,
    near_set,
    scene_numbers,
    told_of_scene,
)
from noisediag.training.pictures import CleanPool


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pool() -> CleanPool:
    return CleanPool(torch.rand(6, 256, 256, generator=seeded(0)) * 0.2 + torch.linspace(0.1, 0.7, 256))


def toy() -> NearEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NearEncoder(NearEncoderConfig(width=8, heads=2, hidden=8, embedding=16))


def places(network: NearEncoder | None = None) -> ChartPlaces:
    size = NearEncoderConfig().places
    return ChartPlaces(network or toy(), torch.zeros(size), torch.eye(size))


def test_kinds_have_their_share_of_every_round_and_are_spread_over_it() -> None:
    kinds = [near._kind_of(step)[0] for step in range(3 * ROUND)]
    for start in range(0, len(kinds), ROUND):
        assert Counter(kinds[start : start + ROUND]) == {number: kind.steps for number, kind in enumerate(KINDS)}
    seen = Counter()
    for step, kind in enumerate(kinds):
        assert near._kind_of(step) == (kind, seen[kind])
        seen[kind] += 1


def test_a_set_holds_views_of_genomes_and_is_drawn_alike_by_the_same_seed() -> None:
    first, again = (near_set(NEAR_SENSOR, places(), pool(), 3, 2, seeded(5)) for _ in range(2))
    assert {part.shape[:2] for part in (*first.evidence, first.scene, first.place)} == {(2, 3)}
    assert all(torch.equal(a, b) for a, b in zip(first.evidence, again.evidence, strict=True))
    assert first.place.shape[2] == 0
    large = near_set(KINDS[1], places(), pool(), 4, 4, seeded(5))
    assert large.evidence[0].shape[:3] == (1, 4, 4 * first.evidence[0].shape[2])
    assert large.place.shape == (1, 4, NearEncoderConfig().places)


def test_a_stopped_run_continues_with_the_same_batches(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(near, "REUSE", 2)
    config = FitConfig(steps=6, learning_rate=1e-3, warm_up=0, seed=3)
    whole, parts = toy(), toy()
    fit(whole, NearObjective(whole, places(), pool(), 4, 2, 7), config)

    state = tmp_path / "near.state"
    often = replace(config, log_every=1)

    def stop(step: int, numbers: dict[str, float]) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(
            parts, NearObjective(parts, places(), pool(), 4, 2, 7), often, state_path=state, report=stop, save_every_s=0
        )
    fit(parts, NearObjective(parts, places(), pool(), 4, 2, 7), often, state_path=state, resume=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))


def test_a_set_is_seen_in_several_steps_and_with_others(monkeypatch) -> None:
    drawn = []
    real = near_set
    monkeypatch.setattr(near, "near_set", lambda kind, *rest: drawn.append(kind) or real(kind, *rest))
    objective = NearObjective(toy(), places(), pool(), 2, 2, 0)
    steps = 2 * ROUND
    for step in range(steps):
        objective.at_step(seeded(step), step)
    assert len(drawn) == sum(-(-2 * kind.steps // REUSE) for kind in KINDS)


def test_contrast_is_chance_without_an_encoder_that_sees() -> None:
    blind = toy()
    with torch.no_grad():
        for weight in blind.projection.parameters():
            weight.zero_()
    batch = near_set(NEAR_SENSOR, places(), pool(), 3, 2, seeded(1))
    found = near_contrast(blind, embedded(blind, batch), views=2)
    assert found.item() == pytest.approx(math.log(5))  # one of kin among 2 * 2 others


def test_what_is_learned_of_a_chart_is_its_places_and_how_far_off_they_are() -> None:
    network = toy()
    embedding = torch.randn(40, 16, generator=seeded(1), requires_grad=True)
    place = network.locate(embedding).place.detach()
    right = chart_loss(network, embedding, place)
    wrong = chart_loss(network, embedding, place + 0.5)
    assert wrong - right > 0.9 * 5 * 0.5**2 / (2 * near.LEFT)
    [shaped] = torch.autograd.grad(right, embedding)
    assert shaped.abs().max() == 0  # the variance is learned beside it


def test_an_embedding_that_follows_the_scene_is_told_from_one_that_does_not() -> None:
    scene = torch.randn(400, 3, generator=seeded(1))
    apart = torch.randn(400, 4, generator=seeded(2))
    follows = torch.cat([apart, scene[:, :1] * 3 + 0.1 * apart[:, :1]], 1)
    assert told_of_scene(apart, scene).abs() < 0.002
    assert told_of_scene(follows, scene) > 0.03


def test_scenes_differ_in_their_numbers_and_their_noise_does_not_enter() -> None:
    flat = torch.full((1, 32, 32), 0.3)
    striped = torch.linspace(0, 1, 32).expand(1, 32, 32) ** 2
    numbers = scene_numbers(torch.cat([flat, striped]))
    assert numbers.isfinite().all()
    assert (numbers[0] - numbers[1]).abs().max() > 1
    assert numbers[0, 0] == pytest.approx(0.3)
    assert near_set(NEAR_PAPER, places(), pool(), 2, 2, seeded(0)).scene.shape == (1, 4, numbers.shape[1])


def test_sets_are_joined_genome_by_genome() -> None:
    first, second = (near_set(NEAR_SENSOR, places(), pool(), 4, 2, seeded(seed)) for seed in (1, 2))
    both = NearSet.join(first.select(torch.tensor([2])), second.select(torch.tensor([0, 3])))
    assert torch.equal(both.scene[:, 0], first.scene[:, 2])
    assert torch.equal(both.evidence[0][:, 1:], second.evidence[0][:, [0, 3]])


def test_pictures_are_stored_in_fine_codes_in_eight_bits_and_as_jpeg() -> None:
    pictures = torch.rand(64, 16, 16, generator=seeded(2))
    stored = as_stored(pictures, seeded(3))
    codes = stored * 255
    eight = ((codes - codes.round()).abs() < 1e-3).all(2).all(1)
    fine = (stored == pictures).all(2).all(1)
    rounded = ((codes.round() - (pictures * 255).round()).abs() < 0.5).all(2).all(1)
    assert 20 < int(fine.sum()) < 45
    assert 8 < int((eight & rounded).sum()) < 32
    assert 6 < int((eight & ~rounded).sum()) < 28
    assert int((fine | eight).sum()) == 64


def test_near_sensor_noise_keeps_what_is_absent_and_moves_the_rest() -> None:
    noise = sensor.sample("wide", 2000, seeded(4))
    moved = sensor.near(noise, 0.25, 0.1, seeded(5))
    for name in ("shot_gain", "read_noise", "impulse", "quantisation", "row_noise"):
        before, after = getattr(noise, name), getattr(moved, name)
        assert torch.equal(before == 0, after == 0)
        ratio = (after / before)[before > 0].log()
        assert abs(float(ratio.std()) - 0.25) < 0.02
        assert abs(float(ratio.mean())) < 0.03
    assert torch.equal(noise.correlation == 0, moved.correlation == 0)
    assert moved.correlation[moved.correlation > 0].min() >= sensor.LEAST_RHO
    assert torch.equal(noise.salt_share, moved.salt_share)
