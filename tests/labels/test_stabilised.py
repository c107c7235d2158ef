"""The variance after the generalised Anscombe transform, against draws."""

from __future__ import annotations

import numpy as np
import pytest

from noisediag.labels.stabilised import Transform


@pytest.mark.parametrize("shot", [0.2, 0.02, 1e-3, 1e-5, 0.0])
@pytest.mark.parametrize("signal", [0.0, 0.05, 0.4, 0.95])
@pytest.mark.parametrize("high", [np.inf, 1.0])
def test_the_quadrature_is_what_draws_show(shot, signal, high):
    read = 0.01
    transform = Transform(shot, read**2, low=-0.05, high=high)
    generator = np.random.default_rng(0)
    light = shot * generator.poisson(signal / shot, 400_000) if shot else np.full(400_000, signal)
    x = np.clip(light + read * generator.standard_normal(400_000), -0.05, high)
    mean, variance = transform.moments(signal)
    assert mean == pytest.approx(x.mean(), abs=5 * x.std() / 600)
    assert variance == pytest.approx(transform(x).var(), rel=0.02)


def test_it_is_one_where_there_are_many_electrons_and_not_at_few():
    assert Transform(1e-4, 1e-6).moments(0.5)[1] == pytest.approx(1, abs=1e-3)
    assert Transform(0.2, 1e-6).moments(0.1)[1] < 0.6


def test_the_variance_of_a_mean_that_clipping_moved():
    transform = Transform(0.05, 1e-4, high=1.0)
    mean, variance = transform.moments(0.9)
    assert mean < 0.88
    assert transform.variances(np.array([mean, 0.4]))[0] == pytest.approx(variance, rel=1e-2)
