"""Noise that leaves the genome's law: its moments are those that are told beside it."""

from __future__ import annotations

import math

import pytest
import torch

from noisediag.genome import light

SIDE = 500  # px; moments of so many pixels are known to 0.4 % (SD), or 1 % where neighbours share noise
PIXELS = SIDE**2


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("amplitude", [0.0, 0.02, 0.05, 0.1, 0.4])
def test_a_magnitude_has_the_moments_of_rice(amplitude: float) -> None:
    sigma = torch.tensor([0.05])
    drawn = light.rician(torch.full((1, SIDE, SIDE), amplitude), sigma, generator()).double()
    mean, variance = light.rician_moments(torch.tensor([amplitude]), sigma)
    error = float(variance.sqrt()) / SIDE
    assert float(drawn.mean()) == pytest.approx(float(mean), abs=5 * error)
    assert float(drawn.var()) == pytest.approx(float(variance), rel=5 * math.sqrt(2.5 / PIXELS))


def test_far_above_the_noise_a_magnitude_is_gaussian() -> None:
    amplitude = torch.tensor([10.0, 1e3, 1e5])
    mean, variance = light.rician_moments(amplitude, torch.ones(3))
    assert torch.allclose(mean, (amplitude.double().square() + 1).sqrt(), rtol=1e-4)
    assert variance.tolist() == pytest.approx([1, 1, 1], rel=6e-3)


@pytest.mark.parametrize("signal", [0.1, 0.5, 0.8])
def test_grain_is_strongest_in_the_middle_and_shared_by_neighbours(signal: float) -> None:
    strength = torch.tensor([0.05])
    drawn = light.grain(torch.full((1, SIDE, SIDE), signal), strength, torch.tensor([1.0]), generator())[0]
    expected = 2 * 0.05 * math.sqrt(signal * (1 - signal))
    assert float(drawn.std()) == pytest.approx(expected, rel=0.02)
    away = drawn - drawn.mean()
    assert float((away[:, 1:] * away[:, :-1]).mean() / away.square().mean()) == pytest.approx(math.exp(-0.25), abs=0.03)


def test_grain_wider_than_is_simulated_is_refused() -> None:
    with pytest.raises(ValueError, match="wider"):
        light.grain(torch.zeros(1, 32, 32), torch.ones(1), torch.tensor([3.0]), generator())


@pytest.mark.parametrize("number", range(len(light.KERNELS)))
def test_filters_keep_the_light_and_what_they_say_of_sigma(number: int) -> None:
    kernel = torch.tensor([number])
    assert float(light.filtered(torch.ones(1, 16, 16), kernel).std()) == pytest.approx(0, abs=1e-6)
    white = torch.randn(1, SIDE, SIDE, generator=generator())
    assert float(light.filtered(white, kernel).std()) == pytest.approx(float(light.kept_sigma(kernel)), rel=0.02)
