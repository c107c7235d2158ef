import numpy as np
import pytest

from noisediag.benchmark.baselines import BASELINES, Baseline, block_fit

SIGMA = 0.05


def _by_name(baseline: Baseline) -> str:
    return baseline.name


def _smooth(size: int = 192) -> np.ndarray:
    """A clean picture with gradients and one edge, black and white far away."""
    y, x = np.mgrid[:size, :size] / size
    return 0.3 + 0.2 * y + 0.15 * np.sin(4 * x) + 0.1 * (x > 0.5)


@pytest.mark.parametrize("baseline", BASELINES, ids=_by_name)
def test_planted_gaussian_noise_is_given_back(baseline: Baseline) -> None:
    noisy = _smooth() + SIGMA * np.random.default_rng(1).standard_normal((192, 192))
    sigma = baseline.function(noisy)(np.array([0.3, 0.6]))
    np.testing.assert_allclose(sigma, SIGMA, rtol=0.06)


@pytest.mark.parametrize("baseline", BASELINES, ids=_by_name)
def test_only_curves_follow_the_signal(baseline: Baseline) -> None:
    rng = np.random.default_rng(2)
    clean = _smooth()
    noisy = rng.poisson(clean / 0.01) * 0.01
    low, high = baseline.function(noisy)(np.array([0.3, 0.7]))
    assert (high > 1.2 * low) == (baseline.name == "block fit")


def test_block_fit_gives_back_slope_and_intercept() -> None:
    rng = np.random.default_rng(3)
    clean = _smooth(256)
    noisy = rng.poisson(clean / 0.004) * 0.004 + 0.02 * rng.standard_normal(clean.shape)
    x = np.array([0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(block_fit(noisy)(x), np.sqrt(0.004 * x + 0.02**2), rtol=0.06)


def test_block_fit_is_not_fooled_by_clipped_black() -> None:
    rng = np.random.default_rng(4)
    clean = _smooth(256)
    clean[:, :100] = 0  # the padding of a medical picture: half of its noise is cut
    noisy = np.clip(clean + SIGMA * rng.standard_normal(clean.shape), 0, 1)
    np.testing.assert_allclose(block_fit(noisy)(np.array([0.3, 0.6])), SIGMA, rtol=0.06)


@pytest.mark.parametrize("baseline", BASELINES, ids=_by_name)
def test_a_constant_picture_has_no_noise(baseline: Baseline) -> None:
    assert baseline.function(np.full((64, 64), 0.5))(np.array([0.5]))[0] < 1e-6
