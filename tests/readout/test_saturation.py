"""A ceiling is told where it is not the stated white, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from noisediag import images
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint

WHITE = 16383.0


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator(device="cpu")


def estimate(estimator: Estimator, codes: NDArray[np.float64], white: float = WHITE) -> Footprint:
    return estimator.estimate(images.from_array(np.rint(codes).astype(np.uint16), black=0, white=white))


def shining(rng: np.random.Generator, ceiling: float, scatter: float = 0.0) -> NDArray[np.float64]:
    """A slope that shines beyond the ceiling in its last quarter, 2 DN a photon."""
    clean = np.linspace(200, 1.3 * ceiling, 256)[None].repeat(256, 0)
    noisy = 2.0 * rng.poisson(clean / 2) + 5 * rng.standard_normal(clean.shape)
    return np.asarray(np.minimum(noisy, ceiling + scatter * rng.standard_normal(clean.shape)))


@pytest.mark.parametrize("scatter", [0.0, 8.0])
def test_a_ceiling_below_the_stated_white_is_told(estimator: Estimator, scatter: float) -> None:
    found = estimate(estimator, shining(np.random.default_rng(1), 9000, scatter))
    level = found.planes[-1].saturation
    assert level is not None
    assert "saturation_measured" in found.flags
    assert level.level_dn == pytest.approx(9000, abs=2)
    assert level.scatter_dn == pytest.approx(scatter, rel=0.2)
    assert level.share == pytest.approx(0.23, abs=0.03)
    assert level.stated_white_dn == WHITE
    assert found.sigma(0.3) * WHITE == pytest.approx(np.sqrt(2 * 0.3 * WHITE), rel=0.15)


def test_a_clip_at_the_stated_white_is_none(estimator: Estimator) -> None:
    assert "saturation_measured" not in estimate(estimator, shining(np.random.default_rng(2), WHITE)).flags


def test_the_last_level_of_a_coarse_lattice_below_white_is_that_white(estimator: Estimator) -> None:
    codes = np.floor(shining(np.random.default_rng(3), WHITE) / 160) * 160
    assert "saturation_measured" not in estimate(estimator, codes).flags


def test_values_beyond_the_given_white_are_saturated(estimator: Estimator) -> None:
    found = estimate(estimator, shining(np.random.default_rng(4), 12000), white=8000)
    assert found.sigma(0.5) * 8000 == pytest.approx(np.sqrt(2 * 4000), rel=0.15)
