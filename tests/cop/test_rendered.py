"""The closed forms of the rendered network; what needs training is tested with the shipped checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noisediag.cop.rendered import FLAGS, RenderedConfig, RenderedNet, RenderedPass
from noisediag.cop.rendered_tokens import (
    COARSE,
    KNOTS,
    PHASES,
    SMALLEST_SIDE,
    SPECTRUM,
    coarse_energy,
    phase_energies,
    planes_of,
    signal_shares,
    tokens_of,
)
from noisediag.cop.tokens import tokenize
from noisediag.footprint.plane import SampledCurve
from noisediag.genome.rendered import AREAS, PLANES

KNOT_SIGNALS = (np.arange(KNOTS) / (KNOTS - 1)) ** 2


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def network() -> RenderedNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return RenderedNet(RenderedConfig(width=8, heads=2, passes=2)).eval()


def flat_noise(sigma: float, *, pictures: int = 1, tiles: int = 1, side: int = 64) -> torch.Tensor:
    return 0.5 + sigma * torch.randn(pictures, tiles, 3, side, side, generator=seeded(1))


def test_shares_of_the_knots_are_straight_lines_between_them_and_sum_to_one() -> None:
    levels = torch.tensor([*KNOT_SIGNALS, 0.3, -0.1, 1.1], dtype=torch.float32)
    flat = levels[:, None, None, None].expand(-1, 1, 32, 32).contiguous()
    shares = signal_shares(flat)
    assert shares.shape == (len(levels), 16, KNOTS)
    assert torch.allclose(shares.sum(-1), torch.ones(len(levels), 16), atol=1e-5)
    assert torch.allclose(shares[:KNOTS, 0], torch.eye(KNOTS), atol=1e-5)
    signal = shares[KNOTS, 0] @ torch.arange(KNOTS, dtype=torch.float32) / (KNOTS - 1)
    assert float(signal) ** 2 == pytest.approx(0.3, rel=1e-5)


def test_of_a_gray_picture_luma_alone_is_looked_at() -> None:
    gray = (0.5 + 0.1 * torch.randn(1, 2, 1, 64, 64, generator=seeded(3))).clamp(0, 1).expand(-1, -1, 3, -1, -1)
    almost = gray.clone()
    almost[0, 0, 0, 0, 0] += 1e-6  # no longer gray
    once, six_times = tokens_of(gray), tokens_of(almost)
    assert once.planes == 1
    assert six_times.planes == len(PLANES)
    for name in ("energy", "basis", "cross", "phases"):
        assert torch.allclose(getattr(once, name)[0], getattr(six_times, name)[-1], atol=1e-6), name
    assert once.tokens.mean.shape == (1, 128)


def test_tokens_at_hand_are_taken() -> None:
    tiles = flat_noise(0.02, tiles=2)
    at_hand = tokenize(planes_of(tiles)[:, : len(PLANES)].flatten(0, 1)).first_grid()
    anew, taken = tokens_of(tiles), tokens_of(tiles, at_hand)
    assert taken.tokens is at_hand
    for name in ("energy", "basis", "cross", "phases", "quiet"):
        assert torch.allclose(getattr(anew, name), getattr(taken, name), rtol=1e-4, atol=1e-6), name


def test_a_sampled_curve_of_the_knots_is_what_the_network_means() -> None:
    log_variance = torch.randn(2, len(PLANES), KNOTS, generator=seeded(2)) - 6
    known = RenderedPass(log_variance, log_variance, log_variance)
    signal = torch.linspace(0, 1, 101).expand(2, len(PLANES), 101)
    ours = known.log_sigma(signal).exp()
    for picture in range(2):
        for plane in range(len(PLANES)):
            sigmas = (log_variance[picture, plane].double() / 2).exp().tolist()
            curve = SampledCurve(tuple(KNOT_SIGNALS.tolist()), tuple(sigmas))
            np.testing.assert_allclose(curve.sigma(signal[0, 0].double().numpy()), ours[picture, plane], rtol=1e-4)
    beyond = known.log_sigma(torch.tensor([-1.0, 2.0]).expand(2, len(PLANES), 2))
    assert torch.allclose(beyond, log_variance[..., [0, -1]] / 2, atol=1e-6)


def test_the_planes_looked_at_are_three_colours_luma_and_two_differences() -> None:
    tiles = torch.rand(1, 1, 3, 8, 8, generator=seeded(3))
    planes = planes_of(tiles)
    assert torch.equal(planes[:, :3, 0], tiles[:, 0])
    assert torch.allclose(planes[:, 3] + 2 * planes[:, 4], planes[:, 2], atol=1e-6)
    gray = planes_of(tiles[:, :, :1].expand(-1, -1, 3, -1, -1))
    assert gray[:, 4:].abs().max() < 1e-6


@pytest.mark.parametrize("area", COARSE)
def test_averaged_white_noise_has_the_variance_over_the_pixels(area: int) -> None:
    energy = coarse_energy(torch.randn(4, 1, 128, 128, generator=seeded(4)), area)
    assert energy.shape[:2] == (4, 256)
    independent = 4 * 128**2 / area**2
    assert float(energy.mean()) * area**2 == pytest.approx(1, abs=8 / independent**0.5)


def test_places_of_the_cell_show_which_pixels_were_measured() -> None:
    noise = torch.randn(2, 1, 64, 64, generator=seeded(5))
    noise[:, :, 1::2, ::2] *= 0.1
    blocks, whole = phase_energies(noise)
    assert blocks.shape == (2, 64, PHASES)
    assert (whole.diff() >= 0).all()
    assert whole.sum(1).abs().max() < 1e-4
    assert (whole[:, 0] < whole[:, 1] - 0.5).all()
    _, even = phase_energies(torch.randn(2, 1, 64, 64, generator=seeded(6)))
    assert even.abs().max() < 0.2


def test_shapes_of_an_answer(network: RenderedNet) -> None:
    results, reading = network(flat_noise(0.02, pictures=3, tiles=2, side=SMALLEST_SIDE))
    assert len(results) == 2
    assert reading.curve is results[-1]
    assert reading.curve.log_variance.shape == (3, len(PLANES), KNOTS)
    assert reading.curve.log_spectrum.shape == (3, len(PLANES), SPECTRUM)
    assert reading.lag1.shape == (3, len(PLANES), 2)
    assert reading.areas.shape == (3, len(PLANES), len(AREAS))
    assert reading.channels.shape == (3, 3)
    assert reading.flags.shape == (3, len(FLAGS))
    assert reading.spread.shape == (3, len(PLANES), KNOTS, 2)
    assert (reading.spread > 0).all()


def test_scale_comes_from_the_picture_not_from_the_network(network: RenderedNet) -> None:
    """Twice the noise about the same level is read as twice the sigma, whatever the weights."""
    with torch.no_grad():
        weak, strong = (network(flat_noise(sigma))[1].curve for sigma in (0.02, 0.04))
    at = torch.full((1, len(PLANES), 1), 0.5)
    ratio = (strong.log_sigma(at) - weak.log_sigma(at)).exp()
    # features of level and distance from black and white are all that differs
    assert (ratio - 2).abs().max() < 0.2


def test_untrained_it_reads_flat_white_noise_roughly(network: RenderedNet) -> None:
    with torch.no_grad():
        curve = network(flat_noise(0.03, side=128))[1].curve
    sigma = curve.log_sigma(torch.full((1, 3, 1), 0.5)).exp()[:, :3]
    assert (sigma / 0.03).log().abs().max() < 0.5


def test_pictures_beside_each_other_do_not_see_each_other(network: RenderedNet) -> None:
    tiles = torch.cat([flat_noise(0.02), flat_noise(0.1) * 0.7])
    with torch.no_grad():
        both = network(tiles)[1]
        alone = network(tiles[:1])[1]
    assert torch.allclose(both.curve.log_variance[:1], alone.curve.log_variance, atol=1e-4)
    assert torch.allclose(both.lag1[:1], alone.lag1, atol=1e-4)


def test_the_order_of_the_tiles_does_not_matter(network: RenderedNet) -> None:
    tiles = torch.cat([flat_noise(0.02), flat_noise(0.05) * 0.9], 1)
    with torch.no_grad():
        first, second = (network(some)[1].curve.log_variance for some in (tiles, tiles.flip(1)))
    assert torch.allclose(first, second, atol=1e-4)
    assert tokens_of(tiles).energy.shape[1] == 2 * tokens_of(tiles[:, :1]).energy.shape[1]


def test_clipped_pictures_without_noise_give_numbers(network: RenderedNet) -> None:
    with torch.no_grad():
        reading = network(torch.ones(1, 1, 3, 32, 32))[1]
    for value in (reading.curve.log_variance, reading.lag1, reading.areas, reading.flags, reading.spread):
        assert torch.isfinite(value).all()
    assert reading.curve.log_variance.max() < 2 * torch.tensor(0.01).log()
