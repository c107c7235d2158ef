"""Each side of the interval of a processed picture's curve is stretched by the calibration of that side."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from noisediag import images
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint


@pytest.fixture(scope="module")
def denoised() -> images.Image:
    """A ramp under strong noise after a median of 5 x 5 pixels, in 8 bits."""
    noisy = np.linspace(60, 200, 164)[None] + 12 * np.random.default_rng(0).standard_normal((164, 164))
    around = np.lib.stride_tricks.sliding_window_view(noisy, (5, 5))
    return images.from_array(np.rint(np.median(around, axis=(2, 3))).astype(np.uint8), domain="rendered")


def widths(footprint: Footprint) -> tuple[list[float], list[float]]:
    """Halves of the curve's interval, in logarithms, below and above."""
    points = footprint.curve
    return [math.log(p.sigma / p.low) for p in points], [math.log(p.high / p.sigma) for p in points]


@pytest.mark.parametrize(("side", "factor"), [(0, 2.0), (1, 3.0)])
def test_one_side_is_stretched_and_the_other_is_not(denoised: images.Image, side: int, factor: float) -> None:
    estimator = Estimator(device="cpu")
    before = estimator.estimate(denoised)
    assert before["shot_gain"].flag == "rendered"
    calibration = copy.deepcopy(dict(estimator.model.calibration))
    calibration["rendered"]["curve"][side] *= factor
    estimator.model.calibration = calibration
    old, new = widths(before), widths(estimator.estimate(denoised))
    assert new[side] == pytest.approx([factor * width for width in old[side]], rel=1e-3)
    assert new[1 - side] == pytest.approx(old[1 - side], rel=1e-6)
