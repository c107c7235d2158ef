"""Ceilings that were planted are found at their level, and ordinary pictures have none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from noisediag.traces.saturation import plateau

SIDE = 256
Floats = NDArray[np.float64]


def light(rng: np.random.Generator, top: float) -> Floats:
    """A disc that shines beyond any ceiling on a slope, with shot noise, DN of 14 bits."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    clean = 200 + 0.6 * top * x + 1.2 * top * np.clip(1.6 - 6 * np.hypot(x - 0.5, y - 0.5), 0, 1)
    return np.asarray(rng.poisson(clean / 1.5) * 1.5 + 4 * rng.standard_normal(clean.shape))


@pytest.mark.parametrize("ceiling", [9000, 12000])
def test_a_hard_clip_is_the_last_code(ceiling: int) -> None:
    values = np.minimum(np.rint(light(np.random.default_rng(1), 12000)), ceiling)
    found = plateau(values[None])
    assert found is not None
    assert (found.level, found.scatter, found.edge) == (ceiling, 0, ceiling)
    assert found.share == pytest.approx(np.mean(values == ceiling))


@pytest.mark.parametrize("scatter", [3.0, 15.0])
def test_a_ceiling_that_scatters_is_found_with_its_scatter(scatter: float) -> None:
    rng = np.random.default_rng(2)
    values = np.rint(np.minimum(light(rng, 12000), 9000 + scatter * rng.standard_normal((SIDE, SIDE))))
    found = plateau(values[None])
    assert found is not None
    assert found.level == pytest.approx(9000, abs=scatter)
    assert found.scatter == pytest.approx(scatter, rel=0.2)
    assert found.edge < 9000 - 3 * scatter


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_that_reaches_no_ceiling_has_none(seed: int) -> None:
    assert plateau(np.rint(light(np.random.default_rng(seed), 5000))[None]) is None


def test_a_picture_without_noise_has_flat_tops_and_no_ceiling() -> None:
    values = np.zeros((1, SIDE, SIDE))
    values[:, 40:200, 40:200] = 100
    values[:, 90:120, 90:120] = 200
    assert plateau(values) is None
    assert plateau(np.full((1, SIDE, SIDE), 7.0)) is None


def test_levels_of_a_coarse_lattice_are_no_ceiling() -> None:
    rng = np.random.default_rng(3)
    assert plateau(np.rint(100 + 0.8 * rng.standard_normal((1, SIDE, SIDE)))) is None


def test_a_few_pixels_at_the_top_are_no_ceiling() -> None:
    values = np.rint(light(np.random.default_rng(4), 5000))
    values[10, 10:40] = values.max() + 50
    assert plateau(values[None]) is None


@pytest.mark.parametrize("scatter", [0.0, 5.0])
def test_highlights_that_fill_no_block_show_the_ceiling(scatter: float) -> None:
    """Glints of a pixel or two: the pile stands in the histogram, not in the picture."""
    rng = np.random.default_rng(5)
    clean = light(rng, 6000)
    clean[rng.random((SIDE, SIDE)) < 0.004] = 20000
    found = plateau(np.rint(np.minimum(clean, 9000 + scatter * rng.standard_normal((SIDE, SIDE))))[None])
    assert found is not None
    assert found.level == pytest.approx(9000, abs=scatter)
    assert found.scatter == pytest.approx(scatter, rel=0.3)


def test_a_picture_that_is_mostly_saturated_shows_the_ceiling() -> None:
    rng = np.random.default_rng(6)
    found = plateau(np.rint(np.minimum(4 * light(rng, 12000), 9000 + 5 * rng.standard_normal((SIDE, SIDE))))[None])
    assert found is not None
    assert (found.level, found.share > 0.7) == (pytest.approx(9000, abs=2), True)


@pytest.mark.parametrize("seed", range(4))
def test_a_bright_sky_over_dark_ground_is_no_ceiling(seed: int) -> None:
    """Its pixels scatter as its light does."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    clean = np.where(y < 90 + 20 * np.sin(x / 30), 8000.0, 1500 + 25 * x)
    assert plateau(np.rint(rng.poisson(clean / 1.5) * 1.5 + 4 * rng.standard_normal(clean.shape))[None]) is None


def test_the_black_of_a_picture_without_light_is_no_ceiling() -> None:
    rng = np.random.default_rng(7)
    assert plateau(np.rint(rng.normal(512, 6, (1, SIDE, SIDE)))) is None
