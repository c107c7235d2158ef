"""Ceilings of the picture's own: what saturates is left out, and told where it is not the stated white."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from noisediag import images
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint
from noisediag.readout import saturation
from noisediag.readout.questions import OfBags, about_bags
from noisediag.readout.tiles import plan
from noisediag.traces.saturation import Plateau

SIDE = 256
BLACK, WHITE = 512, 15800
SHOT_DN, READ_DN = 1.5, 4.0

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator(device="cpu")


def light(seed: int, peak: float) -> Floats:
    """Discs that shine beyond any ceiling on a slope, electrons as DN above black."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    clean = 150 + 0.5 * peak * x
    for _ in range(4):
        cy, cx = rng.random(2)
        clean = clean + peak * np.clip(1.3 - 7 * np.hypot(x - cx, y - cy), 0, 1)
    return np.asarray(BLACK + rng.poisson(clean / SHOT_DN) * SHOT_DN + READ_DN * rng.standard_normal(clean.shape))


def read(estimator: Estimator, values: Floats) -> Footprint:
    codes = np.clip(np.rint(values), 0, 16383).astype(np.uint16)
    return estimator.estimate(images.from_array(codes, black=BLACK, white=WHITE))


def sigma_dn(found: Footprint, dn: float) -> float:
    span = WHITE - BLACK
    return found.sigma((dn - BLACK) / span) * span


def true_sigma(dn: float) -> float:
    return float(np.sqrt(SHOT_DN * (dn - BLACK) + READ_DN**2 + 1 / 12))


@pytest.mark.parametrize("scatter", [0.0, 6.0])
def test_noise_below_a_ceiling_is_read_as_without_it(estimator: Estimator, scatter: float) -> None:
    ceiling = 9000 + scatter * np.random.default_rng(9).standard_normal((SIDE, SIDE))
    found = read(estimator, np.minimum(light(1, 12000), ceiling))
    assert "saturation_measured" in found.flags
    level = found.planes[-1].saturation
    assert level is not None
    assert level.level_dn == pytest.approx(9000, abs=max(scatter, 1))
    assert level.stated_white_dn == WHITE
    for dn in (1500, 4000, 7000):
        assert sigma_dn(found, dn) == pytest.approx(true_sigma(dn), rel=0.1)
    assert found["shot_gain"].value_dn == pytest.approx(SHOT_DN, rel=0.15)


def test_a_clip_at_the_stated_white_is_no_news(estimator: Estimator) -> None:
    found = read(estimator, np.minimum(light(2, 22000), WHITE))
    assert "saturation_measured" not in found.flags
    assert "clipped" in found.flags


@pytest.mark.parametrize("seed", range(3))
def test_a_picture_that_reaches_no_ceiling_has_none(estimator: Estimator, seed: int) -> None:
    found = read(estimator, light(seed, 5000))
    assert found.planes[-1].saturation is None
    assert "saturation_measured" not in found.flags


def test_a_bright_surface_that_is_as_quiet_as_its_light_is_no_ceiling(estimator: Estimator) -> None:
    rng = np.random.default_rng(5)
    rough = BLACK + 3000 + 900 * rng.standard_normal((SIDE, SIDE))  # texture everywhere but in an even sky
    sky = (
        BLACK
        + rng.poisson(np.full((SIDE, SIDE), 9000 / SHOT_DN)) * SHOT_DN
        + READ_DN * rng.standard_normal((SIDE, SIDE))
    )
    values = np.where(np.mgrid[:SIDE, :SIDE][0] < 100, sky, rough)
    assert "saturation_measured" not in read(estimator, values).flags


def test_the_last_level_of_a_coarse_lattice_below_white_is_that_white(estimator: Estimator) -> None:
    codes = np.floor(np.minimum(light(6, 22000), WHITE) / 160) * 160
    assert "saturation_measured" not in read(estimator, codes).flags


def test_the_curve_ends_below_the_ceiling(estimator: Estimator) -> None:
    """What is saturated has no noise of its own to show."""
    found = read(estimator, np.minimum(3 * (light(7, 12000) - BLACK) + BLACK, 9000))
    assert found.planes[-1].signal_median * (WHITE - BLACK) + BLACK < 8999
    assert found.curve[-1].signal * (WHITE - BLACK) + BLACK < 9000


@pytest.mark.parametrize(("scatter", "outshone"), [(0.2, True), (0.9, False)])
def test_a_pile_as_noisy_as_its_light_is_outshone_by_nothing(
    estimator: Estimator, scatter: float, outshone: bool
) -> None:
    """`scatter`: of the pile, in units of the noise that the light below has, continued to it."""
    codes = np.clip(np.rint(light(3, 5000)), 0, 16383).astype(np.uint16)
    (part,) = plan(images.from_array(codes, black=BLACK, white=WHITE))
    deviation = scatter * true_sigma(8000) / (WHITE - BLACK)
    part = part.under(Plateau((8000 - BLACK) / (WHITE - BLACK), deviation, 0.05, 0.9))
    answers = about_bags(estimator.model, estimator.device, [OfBags(part.bags)])[0].answers
    assert saturation.outshone(part, answers[-1]) == outshone
