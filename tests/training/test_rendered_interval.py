"""Intervals of rendered pictures: they hold what they promise on toy readings, and are wide where errors are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from noisediag.cop import checkpoint
from noisediag.cop.models import SensorModel
from noisediag.cop.rendered import FLAGS
from noisediag.cop.rendered_interval import CURVES, INPUTS, SIDES
from noisediag.cop.rendered_tokens import KNOTS
from noisediag.genome import rendered, scenes
from noisediag.genome.rendered import LEVELS
from noisediag.training import rendered_interval
from noisediag.training.photographs import rendered_set
from noisediag.training.pictures import CleanPool
from noisediag.training.rendered_interval import (
    FROM_SENSOR,
    PROCESSED,
    IntervalSet,
    conformal,
    fitted,
    half_widths,
    held,
    interval_set,
    stands_in,
    thresholds,
    weights,
)

PROCESSING = 7  # column of what is told that the toy's errors follow


HALF = dict.fromkeys(FLAGS, 0.5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toys(pictures: int, seed: int, *, processed: float = 1.0) -> IntervalSet:
    """Pictures of one plane whose curves are off by 5 to 40 %, the more the more they are processed."""
    generator = seeded(seed)
    told = torch.randn(pictures, 1, INPUTS, generator=generator).repeat(1, KNOTS, 1)
    told[..., : CURVES * SIDES] = -2.0  # ln of the half-widths that the networks have of their own
    told[..., PROCESSING] = torch.rand(pictures, 1, generator=generator)
    spread = 0.05 * 8 ** told[:, :1, PROCESSING]
    error = spread * torch.randn(pictures, 1, generator=generator) + 0.2 * spread
    logit = torch.where(torch.rand(pictures, 1, generator=generator) < processed, 3.0, -3.0)
    return IntervalSet(
        told=told,
        position=torch.rand(pictures, LEVELS, generator=generator),
        error=error[..., None].expand(-1, LEVELS, CURVES) * torch.tensor([1.0, 2.0]),
        counted=torch.ones(pictures, LEVELS, dtype=torch.bool),
        picture=torch.arange(pictures),
        logits=logit.expand(-1, len(FLAGS)),
        flags=(logit > 0).float().expand(-1, len(FLAGS)),
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered_interval, "STEPS", 150)
    monkeypatch.setattr(rendered_interval, "DECAY", 1.0)  # the toys' errors differ eightfold by one number alone
    monkeypatch.setattr(rendered_interval, "UNSEEN", (1.0, 1.0))  # the toys are of one source


def test_intervals_hold_nine_in_ten_and_widen_with_the_processing() -> None:
    network = fitted({"first": toys(600, 1, processed=0.5), "strangers": toys(600, 2)}, HALF, seed=0)
    fresh = toys(2000, 3, processed=0.5)
    assert 0.86 < held(network, fresh, HALF) < 0.94
    for low, high in ((0.0, 0.3), (0.7, 1.0)):  # not in the mean alone
        amount = fresh.told[:, 0, PROCESSING]
        assert 0.82 < held(network, fresh.select((amount >= low) & (amount <= high)), HALF) < 0.97
    halves = half_widths(network, fresh).mean((1, 3))
    little, much = (halves[index] for index in (amount < 0.1, amount > 0.9))
    assert (much.mean(0) > 2 * little.mean(0)).all()
    assert halves[:, FROM_SENSOR].mean() > 1.5 * halves[:, PROCESSED].mean()  # its errors are twice as large


def test_pictures_of_other_sources_have_wider_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, fresh = {"first": toys(200, 1)}, toys(20, 2)
    before = half_widths(fitted(parts, HALF, seed=0), fresh)
    monkeypatch.setattr(rendered_interval, "UNSEEN", (1.5, 2.0))
    ratio = half_widths(fitted(parts, HALF, seed=0), fresh) / before
    assert torch.allclose(ratio[..., PROCESSED, :], torch.tensor(1.5))
    assert torch.allclose(ratio[..., FROM_SENSOR, :], torch.tensor(2.0))


def test_the_same_seed_gives_the_same_intervals() -> None:
    one, again, other = (fitted({"first": toys(200, 1)}, HALF, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["bent.0.weight"], other["bent.0.weight"])


def test_a_plane_counts_alike_however_many_levels_are_scored() -> None:
    data = toys(3, 1)
    counted = torch.zeros(3, LEVELS, dtype=torch.bool)
    counted[0], counted[1, :4] = True, True
    weight = weights(replace(data, counted=counted), torch.tensor([PROCESSED, FROM_SENSOR, PROCESSED]))
    assert weight.sum(1).tolist() == [[1, 0], [0, 1], [0, 0]]


def test_the_conformal_quantile_counts_the_next_case() -> None:
    scores = torch.arange(1.0, 100.0)
    assert conformal(scores, torch.ones(99), 0.05) == 95
    assert conformal(scores, torch.full((99,), 2.0), 0.05) == 95
    few = rendered_interval.MIN_CASES - 1
    assert conformal(scores[:few], torch.ones(few), 0.05) == 1  # nothing to calibrate on: the fit stands
    assert conformal(scores, torch.where(scores > 50, 0.0, 10.0), 0.05) == 48  # what has no weight is not counted


def test_halves_between_the_knots_lie_on_straight_lines() -> None:
    network = fitted({"first": toys(100, 1)}, HALF, seed=0)
    data = toys(5, 2)
    data.told[:, :, PROCESSING] = torch.linspace(0, 1, KNOTS)
    at_knots = network(data.told)
    middle = (torch.arange(LEVELS) % (KNOTS - 1) + 0.5) / (KNOTS - 1)
    between = half_widths(network, replace(data, position=middle.expand(5, -1)))
    knot = torch.arange(LEVELS) % (KNOTS - 1)
    assert torch.allclose(between, (at_knots[:, knot] + at_knots[:, knot + 1]) / 2, rtol=1e-4)
    ends = half_widths(network, replace(data, position=torch.tensor([0.0, 1.0]).repeat(5, LEVELS // 2)))
    assert torch.allclose(ends[:, :2], at_knots[:, [0, -1]], rtol=1e-5)


def test_thresholds_are_those_of_pictures_without() -> None:
    data = toys(400, 1, processed=0.0)
    logits = torch.linspace(-4, 4, 400)[:, None].expand(-1, len(FLAGS))
    found = thresholds({"first": replace(data, logits=logits), "plain": toys(10, 2), "strangers": toys(400, 3)})
    assert found["denoised"] == pytest.approx(float(logits[:, 0].sigmoid().quantile(0.97)))
    assert thresholds({"plain": data}) == dict.fromkeys(FLAGS, 0.5)


def test_the_answer_is_the_curve_of_processing_where_that_is_told() -> None:
    data = toys(50, 1, processed=0.5)
    assert (stands_in(data, HALF) == FROM_SENSOR).tolist() == (data.flags[:, 0] == 0).tolist()
    assert (stands_in(data, dict.fromkeys(FLAGS, 0.99)) == FROM_SENSOR).all()
    assert (stands_in(data, {**dict.fromkeys(FLAGS, 0.99), "upscaled": 0.0}) == PROCESSED).all()


@pytest.mark.parametrize("cameras", [rendered.sample_plain, rendered.sample_stranger])
def test_photographs_are_read_as_estimate_reads_them(cameras: Callable[[torch.Generator], rendered.Camera]) -> None:
    from noisediag import images
    from noisediag.estimator import Estimator

    model = SensorModel.load(checkpoint.read(checkpoint.shipped("sensor")))
    data = rendered_set(CleanPool(scenes.make(4, 128, seeded(1))), 3, 96, 3, purpose="x", together=1, cameras=cameras)
    found = interval_set(model, data)
    assert torch.isfinite(found.told).all()
    estimator = Estimator(device="cpu")
    stands = stands_in(found, model.calibration["rendered"]["thresholds"])
    for number in range(3):
        codes = data.pictures[number, 0].permute(1, 2, 0).contiguous().numpy()
        footprint = estimator.estimate(images.from_array(codes, domain="rendered"))
        luma = int((found.picture == number).nonzero()[-1])
        signal, sigma = data.signal[number, -1].double(), data.sigma[number, -1].double()
        expected = (sigma.clamp(min=1e-9) / torch.from_numpy(footprint.planes[-1].law.sigma(signal.numpy()))).log()
        assert torch.allclose(found.error[luma, :, stands[luma]].double(), expected, atol=1e-3)
        assert footprint.rendered is not None
        assert bool(stands[luma] == PROCESSED) == footprint.rendered.noise_processed
