"""The paper's law, by the moments its description states."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from noisediag.genome import paper

SIDE = 512


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(name: str, strength: float) -> Tensor:
    strengths = torch.zeros(1, len(paper.NAMES))
    strengths[0, paper.NAMES.index(name)] = strength
    return strengths


def flat(level: float) -> Tensor:
    return torch.full((1, SIDE, SIDE), level)


def test_strengths_sum_to_one_with_the_published_moments() -> None:
    n = 100_000
    strengths = paper.sample(n, generator())
    assert strengths.shape == (n, 6)
    torch.testing.assert_close(strengths.sum(1), torch.ones(n))
    for mean in strengths.mean(0):
        assert float(mean) == pytest.approx(1 / 6, abs=5 * 0.143 / math.sqrt(n))
    assert float(strengths.std()) == pytest.approx(0.143, abs=0.001)


def test_normal_adds_nothing() -> None:
    clean = torch.rand(2, 64, 64, generator=generator())
    torch.testing.assert_close(paper.corrupt(clean, only("normal", 1.0).expand(2, -1), generator()), clean)


def test_gaussian_has_its_strength_as_standard_deviation() -> None:
    residual = paper.corrupt(flat(0.5), only("gaussian", 0.08), generator()) - 0.5
    assert float(residual.std()) == pytest.approx(0.08, rel=5 / math.sqrt(2 * SIDE**2))


@pytest.mark.parametrize("strength", [0.1, 0.8])
def test_each_tail_of_salt_and_pepper_has_a_quarter_of_the_strength(strength: float) -> None:
    image = paper.corrupt(flat(0.5), only("salt_pepper", strength), generator())
    expected = 0.25 * strength
    for value in (0.0, 1.0):
        share = float((image == value).double().mean())
        assert share == pytest.approx(expected, abs=5 * math.sqrt(expected / SIDE**2))


def test_poisson_adds_whole_counts() -> None:
    level, strength = 0.4, 0.6
    image = paper.corrupt(flat(level), only("poisson", strength), generator())
    white = float((image == 1).double().mean())
    expected = 1 - math.exp(-0.25 * strength * level)  # a count of one or more is white after the clamp
    assert white == pytest.approx(expected, abs=5 * math.sqrt(expected / SIDE**2))
    assert torch.all((image == 1) | (image == level))


def test_quantization_is_dithered_without_bias_and_on_its_lattice() -> None:
    level, strength = 0.43, 0.5
    step = 0.25 * strength
    image = paper.corrupt(flat(level), only("quantization", strength), generator())
    codes = image / step
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-5)
    part = level / step % 1
    spread = step * math.sqrt(part * (1 - part))
    assert float(image.double().mean()) == pytest.approx(level, abs=5 * spread / SIDE)
    assert float(image.double().std()) == pytest.approx(spread, rel=0.02)


def test_anisotropic_is_weak_and_correlated_like_the_binomial() -> None:
    strength = 0.6
    residual = (paper.corrupt(flat(0.5), only("anisotropic", strength), generator())[0] - 0.5).double()
    inner = residual[2:-2, 2:-2]
    # 70/256 of the white noise's; the correlation makes about 256*256/70^2 = 13 pixels worth one
    assert float(inner.std()) == pytest.approx(0.273 * 0.25 * strength, rel=5 * math.sqrt(13 / 2) / SIDE)
    neighbours = float((inner[:, 1:] * inner[:, :-1]).mean() / inner.square().mean())
    assert neighbours == pytest.approx(56 / 70, abs=5 * math.sqrt(13) / SIDE)
    assert float(residual[0, 2:-2].std()) < 0.95 * float(inner.std())  # zeros beyond the border


def test_a_batch_is_corrupted_picture_by_picture_and_stays_in_range() -> None:
    clean = torch.rand(16, 64, 64, generator=generator(1))
    strengths = paper.sample(16, generator(2))
    first, second = (paper.corrupt(clean, strengths, generator(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == clean.shape
    assert first.min() >= 0
    assert first.max() <= 1
    assert len((first - clean).std((1, 2)).unique()) == 16
