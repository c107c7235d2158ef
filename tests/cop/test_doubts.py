"""What is left over after the fit, in closed form: planted laws come back, and planted trouble shows."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from noisediag.cop.curve import CORRELATIONS, CurvePass
from noisediag.cop.doubt_head import LAWS, OTHER_LAWS_FROM, law_margin
from noisediag.cop.doubts import _Blocks, _by_signal, _quietest, gather_doubts, rician_variance
from noisediag.cop.tokens import BLOCK, RADIAL, SHARES, Tokens, tokenize
from noisediag.genome import light

SIDE = 256


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(low: float, high: float) -> Tensor:
    """From left to right, of one level in each block."""
    return torch.linspace(low, high, SIDE // BLOCK).repeat_interleave(BLOCK).expand(1, SIDE, SIDE)


def fitted(tokens: Tokens, shot: float, intercept: float) -> CurvePass:
    """A pass that trusts every block alike and has fitted this line."""
    count = tokens.mean.shape[1]
    energy = tokens.energy[..., :RADIAL] @ torch.tensor(SHARES)
    none = torch.zeros(1)
    logits = torch.full((1, len(CORRELATIONS)), -20.0)
    logits[:, 0] = 20.0  # white
    return CurvePass(
        law=torch.tensor([[shot, intercept, 0.0]], dtype=torch.float64),
        floor=torch.full((1,), 1e-9, dtype=torch.float64),
        correlation_logits=logits,
        row_variance=none,
        column_variance=none,
        low_impulse=none,
        high_impulse=none,
        context=torch.zeros(1, 4),
        weight=torch.ones(1, count),
        normal=torch.eye(3, dtype=torch.float64)[None],
        signal=tokens.mean,
        pure_logit=none,
        white_logit=torch.full((1,), -20.0),
        block_variance=energy.double(),
    )


def doubts(image: Tensor, shot: float, intercept: float):
    tokens = tokenize(image[:, None], grids=1)
    return gather_doubts(tokens, fitted(tokens, shot, intercept), torch.zeros(1))


def test_the_sigma_of_a_magnitude_comes_back() -> None:
    image = light.rician(ramp(0.0, 0.4), torch.tensor([0.03]), seeded())
    assert float(doubts(image, 0.0, 9e-4).fits.rician) == pytest.approx(0.03, rel=0.03)


def test_the_rician_variance_at_a_mean_is_that_of_its_amplitude() -> None:
    amplitude = torch.linspace(0, 6, 50, dtype=torch.float64)
    mean, variance = light.rician_moments(amplitude, torch.ones(50))
    assert torch.allclose(rician_variance(mean[None], torch.ones(1))[0], variance, rtol=2e-3)


def test_grain_bends_down_and_photons_do_not() -> None:
    grain = light.grain(ramp(0.1, 0.9), torch.tensor([0.05]), torch.tensor([0.3]), seeded())
    linear, square = doubts(grain, 1e-3, 2e-3).fits.grain[0].tolist()
    assert linear == pytest.approx(0.01, rel=0.1)
    assert square == pytest.approx(-0.01, rel=0.15)


def test_the_free_line_meets_zero_at_the_true_black() -> None:
    light_ = ramp(0.01, 0.5)
    image = torch.poisson(light_ / 0.002, generator=seeded()) * 0.002 + 0.2
    fits = doubts(image, 0.002, -4e-4).fits
    slope, intercept = fits.line[0].tolist()
    assert slope == pytest.approx(0.002, rel=0.1)
    assert -intercept / slope == pytest.approx(0.2, abs=0.01)
    assert intercept < -10 * float(fits.line_error)


def test_a_half_with_less_noise_shows_in_the_cells_and_even_noise_does_not() -> None:
    noise = 0.02 * torch.randn(1, SIDE, SIDE, generator=seeded())
    even = doubts(0.5 + noise, 0.0, 4e-4).fits.by_cell[0]
    assert even.tolist() == pytest.approx([1, 1], abs=0.06)
    noise[:, :, : SIDE // 2] /= 2
    low, high = doubts(0.5 + noise, 0.0, 2.5e-4).fits.by_cell[0].tolist()
    assert high / low == pytest.approx(4, rel=0.1)


def test_nothing_depends_on_the_scale() -> None:
    image = ramp(0.1, 0.5) + 0.01 * torch.randn(1, SIDE, SIDE, generator=seeded())
    one, half = doubts(image, 0.0, 1e-4), doubts(image / 2, 0.0, 2.5e-5)
    assert torch.allclose(one.features, half.features, atol=2e-2)


def test_the_margin_is_over_both_ordinary_laws() -> None:
    logits = torch.zeros(1, len(LAWS))
    logits[0, OTHER_LAWS_FROM] = 2.0
    margin = law_margin(logits)[0]
    assert margin.tolist() == pytest.approx([2 - 0.6931, -0.6931, -0.6931], abs=1e-3)


def test_bags_beside_each_other_are_read_as_alone() -> None:
    bags = ramp(0.1, 0.5).repeat(3, 1, 1) + 0.01 * torch.randn(3, SIDE, SIDE, generator=seeded())
    alone = [doubts(bag[None], 1e-3, 1e-4) for bag in bags]
    tokens = tokenize(bags[:, None], grids=1)
    one = fitted(tokens, 1e-3, 1e-4)
    every = replace(
        one, **{f.name: getattr(one, f.name).expand(3, *getattr(one, f.name).shape[1:]) for f in fields(CurvePass)}
    )
    together = gather_doubts(tokens, every, torch.zeros(3))
    assert torch.allclose(together.features, torch.cat([each.features for each in alone]), atol=1e-4)
    assert torch.allclose(together.fits.by_cell, torch.cat([each.fits.by_cell for each in alone]))


def test_rounding_does_not_move_blocks_of_equal_trust_to_another_part() -> None:
    """With blocks that count alike, parts of the signal end exactly at a block."""
    image = light.grain(ramp(0.1, 0.9), torch.tensor([0.05]), torch.tensor([0.3]), seeded())
    tokens = tokenize(image[:, None], grids=1)
    count = tokens.mean.shape[1]
    number = torch.arange(1, count + 1, dtype=torch.float64)[None]
    share = torch.full_like(number, 1 / count)

    def parts(end: float) -> Tensor:
        rank = torch.nextafter(number / count, torch.tensor(end, dtype=torch.float64))  # the last bit, down or up
        order = torch.arange(count)[None]
        blocks = _Blocks(number, share, share, share, share > 0, order, rank)
        return _by_signal(tokens, blocks)[0]

    assert torch.equal(parts(0.0), parts(2.0))


def test_of_blocks_that_do_not_count_the_first_are_taken() -> None:
    level, slope = torch.full((1, 1000), torch.inf), torch.arange(1000.0)[None]
    level[0, 500] = 0.0
    assert float(_quietest(level, slope)[0, 1]) == pytest.approx((500 + sum(range(29))) / 30)
