"""What clipping leaves of noise, against noise that was clipped."""

import pytest
import torch

from noisediag.cop.clipping import FARTHEST, clipping

SAMPLES = 400_000


def clipped(a: float, sigma: float) -> torch.Tensor:
    """Pixels whose true mean lies `a` sigmas above the limit 0, cut there."""
    generator = torch.Generator().manual_seed(1)
    return (sigma * (a + torch.randn(SAMPLES, generator=generator, dtype=torch.float64))).clamp(min=0)


@pytest.mark.parametrize("a", [-1.0, 0.0, 0.7, 2.0])
def test_variance_and_mean_are_those_of_clipped_noise(a: float) -> None:
    sigma = 0.02
    pixels = clipped(a, sigma)
    found = clipping(pixels.mean() / sigma)
    tolerance = 5 * (2 / SAMPLES) ** 0.5  # relative standard error of a variance, a little more with heavy cuts
    assert float(found.variance) == pytest.approx(float(pixels.var()) / sigma**2, rel=2 * tolerance)
    assert float(found.shift) == pytest.approx(float(pixels.mean()) / sigma - a, abs=5 * SAMPLES**-0.5 * 4)


@pytest.mark.parametrize("start", [0.5, 1.3])
def test_a_wrong_sigma_is_put_right_in_few_steps(start: float) -> None:
    pixels = clipped(0.0, 0.1)  # exact black: half of the pixels are cut
    mean, variance, sigma = pixels.mean(), pixels.var(), torch.tensor(start * 0.1, dtype=torch.float64)
    for _ in range(4):
        cut = clipping(mean / sigma)
        sigma = sigma * (1 + (variance / sigma**2 / cut.variance - 1) * cut.leverage).sqrt()
    assert float(sigma) == pytest.approx(0.1, rel=0.01)


def test_far_from_the_limit_nothing_happens() -> None:
    found = clipping(torch.tensor([FARTHEST, 100.0]))
    assert torch.allclose(found.variance, torch.ones(2), atol=1e-5)
    assert torch.allclose(found.shift, torch.zeros(2), atol=1e-6)
    assert torch.allclose(found.leverage, torch.ones(2), atol=1e-3)
