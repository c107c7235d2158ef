"""The noise of a picture does not depend on how far above it white lies."""

from __future__ import annotations

import numpy as np
import pytest

from noisediag import images
from noisediag.estimator import Estimator
from noisediag.footprint.plane import SampledCurve
from noisediag.readout import gauge
from noisediag.readout.tiles import plan

BLACK, GAIN, READ = 100, 2.0, 1.5  # DN, DN/e-, e-


def counts(seed: int = 0) -> np.ndarray:
    """Few electrons on an even ground: at most 150 DN above black."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :128]
    light = (
        5 + 40 * np.exp(-((x - 40) ** 2 + (y - 60) ** 2) / 900) + 20 * np.exp(-((x - 95) ** 2 + (y - 90) ** 2) / 400)
    )
    return np.round(BLACK + GAIN * (rng.poisson(light) + rng.normal(0, READ, light.shape))).astype(np.uint16)


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator(device="cpu")


def test_a_long_scale_changes_no_answer_in_dn(estimator: Estimator) -> None:
    short, long = (
        estimator.estimate(images.from_array(counts(), black=BLACK, white=white))
        for white in (BLACK + 512, BLACK + 65536)
    )
    assert long.planes[-1].white_dn == BLACK + 65536
    for one, other in zip(short.planes[-1].parameters, long.planes[-1].parameters, strict=True):
        assert (one.value_dn, one.low_dn, one.high_dn, one.flag) == (
            other.value_dn,
            other.low_dn,
            other.high_dn,
            other.flag,
        )
    for near, far in zip(short.planes[-1].curve, long.planes[-1].curve, strict=True):
        assert (far.signal * 65536, far.sigma * 65536) == pytest.approx((near.signal * 512, near.sigma * 512))
    assert long.planes[-1].law.sigma(0.001) * 65536 == pytest.approx(short.planes[-1].law.sigma(0.128) * 512)


def test_a_picture_that_fills_its_scale_is_left_alone() -> None:
    (part,) = plan(images.from_array(counts(), black=BLACK, white=300))
    assert gauge.gauge(part) == 1
    assert gauge.shortened(part, 1.0) is part


def test_the_scale_is_shortened_so_far_that_nothing_clips() -> None:
    (part,) = plan(images.from_array(counts(), black=BLACK, white=60000))
    factor = gauge.gauge(part)
    short = gauge.shortened(part, factor)
    brightest = max(bag.tiles.max() for _, bag in short.bags)
    assert gauge.BRIGHTEST / 2 <= brightest <= gauge.BRIGHTEST
    (plane,) = short.groups[0]
    assert plane.white_dn - BLACK == pytest.approx((60000 - BLACK) / factor)
    assert short.bags[0][1].step == pytest.approx(factor / (60000 - BLACK))


def test_a_sampled_curve_goes_on_to_white() -> None:
    law = gauge._law_on(SampledCurve((0.0, 0.5, 1.0), (0.1, 0.2, 0.3)), 4.0)
    assert law.sigma(0.125) == pytest.approx(0.05)
    assert law.sigma(0.25) == law.sigma(1.0) == pytest.approx(0.075)


def test_an_empty_picture_has_no_scale_to_shorten() -> None:
    (part,) = plan(images.from_array(np.zeros((64, 64), np.uint16), black=0, white=1000))
    assert gauge.gauge(part) == 1
