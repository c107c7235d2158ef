"""The correlating kernel and the autocorrelation it leaves."""

import numpy as np
import pytest

from noisediag.genome.correlation import autocorrelation, kernel


@pytest.mark.parametrize("rho", [0.4, 0.7, 1.5])
def test_the_kernel_has_unit_energy(rho: float) -> None:
    assert (kernel(rho) ** 2).sum() == pytest.approx(1)


def test_autocorrelation_is_that_of_filtered_noise() -> None:
    rho, size = 0.7, 512
    weights = np.zeros((size, size))
    own = kernel(rho)
    weights[: len(own), : len(own)] = own
    white = np.random.default_rng(0).standard_normal((size, size))
    noise = np.fft.ifft2(np.fft.fft2(white) * np.fft.fft2(weights)).real
    expected = autocorrelation(rho, 2)
    for down, right in ((0, 1), (1, 0), (1, 1), (2, 0)):
        measured = (noise * np.roll(noise, (down, right), (0, 1))).mean() / (noise**2).mean()
        assert expected[down, right] == pytest.approx(measured, abs=5 / size)


def test_a_wide_kernel_is_the_continuous_one() -> None:
    assert autocorrelation(1.5, 1)[0, 1] == pytest.approx(np.exp(-1 / (4 * 1.5**2)), abs=1e-3)


def test_white_noise_is_uncorrelated() -> None:
    expected = np.zeros((3, 3))
    expected[0, 0] = 1
    assert np.array_equal(autocorrelation(0.0, 2), expected)
