"""The loss of the rendered network is finite whatever the truth, and turning a picture turns its truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from noisediag.cop.rendered import RenderedConfig, RenderedNet, RenderedPass
from noisediag.cop.rendered_tokens import KNOTS, interpolated
from noisediag.genome import scenes
from noisediag.genome.rendered import CODES, PLANES
from noisediag.training.photographs import RenderedSet, rendered_set
from noisediag.training.pictures import CleanPool
from noisediag.training.rendered import (
    CLIPPED,
    LEAST_SIGMA,
    curve_error,
    rendered_loss,
    rendered_objective,
    scored,
    turned,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pool() -> CleanPool:
    return CleanPool(scenes.make(6, 256, seeded(1)))


@pytest.fixture(scope="module")
def data(pool: CleanPool) -> RenderedSet:
    return rendered_set(pool, 4, 64, seed=2, purpose="test")


@pytest.fixture
def network() -> RenderedNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return RenderedNet(RenderedConfig(width=8, heads=2, passes=2))


def tiles_of(data: RenderedSet) -> torch.Tensor:
    return data.pictures[:, :1].float() / CODES


@pytest.mark.parametrize("symmetry", range(8))
def test_turning_swaps_the_lags_with_the_axes_and_nothing_else(data: RenderedSet, symmetry: int) -> None:
    picture, truth = turned(data.pictures[:, 0], data, symmetry)
    assert sorted(picture.flatten().tolist()) == sorted(data.pictures[:, 0].flatten().tolist())
    assert torch.equal(truth.lag1, data.lag1.flip(-1) if symmetry & 4 else data.lag1)
    assert torch.equal(truth.sigma, data.sigma)


def test_the_eight_ways_of_turning_are_different(data: RenderedSet) -> None:
    assert len({turned(data.pictures[:, 0], data, s)[0].contiguous().numpy().tobytes() for s in range(8)}) == 8


def test_lags_of_a_turned_picture_are_those_of_its_truth() -> None:
    wide = torch.randn(1, 1, 64, 65, generator=seeded(3))
    smeared = (wide[..., 1:] + wide[..., :-1]).expand(1, 3, 64, 64)  # correlated horizontally
    none = torch.zeros(1, len(PLANES), 1)
    truth = RenderedSet(smeared, none, none, torch.tensor([[[0.5, 0.0]]]), none, none[:, :3, 0], none[:, :3, 0])
    for symmetry in range(8):
        picture, said = turned(smeared, truth, symmetry)
        across = float((picture[..., 1:] * picture[..., :-1]).mean() / picture.square().mean())
        assert across == pytest.approx(float(said.lag1[0, 0, 0]), abs=0.06)


def test_black_white_and_less_than_half_a_code_are_not_scored(data: RenderedSet) -> None:
    signal = torch.tensor([0.5 * CLIPPED, 0.5, 1 - 0.5 * CLIPPED, 0.5]).expand(1, len(PLANES), 4)
    sigma = torch.tensor([0.1, 0.1, 0.1, 0.9 * LEAST_SIGMA]).expand(1, len(PLANES), 4)
    truth = replace(data.select(slice(0, 1)), signal=signal, sigma=sigma)
    assert scored(truth)[0, 0].tolist() == [False, True, False, False]


def test_the_curve_error_is_the_mean_logarithm_of_the_ratio(data: RenderedSet) -> None:
    count, planes = len(data), len(PLANES)
    flat = torch.full((count, planes, KNOTS), 2 * torch.tensor(0.02).log())
    known = RenderedPass(flat, flat, flat)
    sigma = torch.full_like(data.sigma, 0.02)
    middle = data.signal.clamp(0.1, 0.9)
    assert curve_error(known, replace(data, signal=middle, sigma=sigma)).max() < 1e-5
    error = curve_error(known, replace(data, signal=middle, sigma=1.2 * sigma))
    assert torch.allclose(error, torch.tensor(1.2).log().expand_as(error), atol=1e-5)
    assert curve_error(known, replace(data, sigma=torch.zeros_like(sigma))).abs().max() == 0


def test_knots_are_read_by_straight_lines_over_the_root_of_the_signal() -> None:
    knots = torch.arange(float(KNOTS)).expand(1, 1, KNOTS)
    signal = torch.linspace(0, 1, 9).expand(1, 1, 9)
    assert torch.allclose(interpolated(knots, signal), signal.sqrt() * (KNOTS - 1), atol=1e-5)


def test_loss_and_gradient_are_finite_even_with_nothing_to_score(data: RenderedSet, network: RenderedNet) -> None:
    silent = replace(data, sigma=torch.zeros_like(data.sigma), lag1=torch.zeros_like(data.lag1))
    for truth in (data, silent):
        network.zero_grad()
        loss, numbers = rendered_loss(network, tiles_of(data), truth)
        loss.backward()
        assert torch.isfinite(loss)
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        assert set(numbers) == {"curve", "lag", "areas", "flags"}
    assert rendered_loss(network, tiles_of(data), silent)[1]["lag"] == 0


def test_pictures_without_any_noise_or_content_give_finite_gradients(data: RenderedSet, network: RenderedNet) -> None:
    for value in (0.0, 0.5, 1.0):
        loss, _ = rendered_loss(network, torch.full_like(tiles_of(data), value), data)
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_a_step_down_the_gradient_lowers_the_loss(data: RenderedSet, network: RenderedNet) -> None:
    loss, _ = rendered_loss(network, tiles_of(data), data)
    loss.backward()
    gradients = [(p, p.grad) for p in network.parameters() if p.grad is not None]
    length = sum(float(gradient.square().sum()) for _, gradient in gradients) ** 0.5
    with torch.no_grad():
        for parameter, gradient in gradients:
            parameter -= 0.02 * gradient / length
        after, _ = rendered_loss(network, tiles_of(data), data)
    assert after < loss


def test_batches_are_the_same_from_the_same_generator(pool: CleanPool, network: RenderedNet) -> None:
    objective = rendered_objective(network, pool, 4)
    assert objective(seeded(4))[0].item() == objective(seeded(4))[0].item()
    assert len({round(objective(seeded(seed))[0].item(), 6) for seed in range(4)}) > 1


def test_a_gray_picture_counts_by_its_luma(data: RenderedSet, network: RenderedNet) -> None:
    gray = replace(data, pictures=data.pictures[:, :, 1:2].expand(-1, -1, 3, -1, -1))
    assert gray.gray.all()
    assert not data.gray.all()
    other = replace(gray, sigma=torch.cat([2 * gray.sigma[:, :-1], gray.sigma[:, -1:]], 1))
    assert rendered_loss(network, tiles_of(gray), gray)[1]["curve"] == pytest.approx(
        rendered_loss(network, tiles_of(gray), other)[1]["curve"]
    )
