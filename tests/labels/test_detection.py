"""An amount that was looked for: its interval, its limit, and the mean of several."""

from __future__ import annotations

import numpy as np
import pytest

from noisediag.footprint.values import SD_90, Bounded, of_draws
from noisediag.labels.detection import Detection, from_variance, quadratic_mean


def test_what_was_found_has_an_interval_and_what_was_not_a_limit() -> None:
    found, absent = Detection(2.0, 0.1, 3.0), Detection(0.0, 0.0, 3.0)
    assert found.bounded == Bounded(2.0, 2.0 - SD_90 * 0.1, 2.0 + SD_90 * 0.1)
    assert absent.bounded == Bounded(None, 0.0, 3.0)
    assert found.over(2.0) == Detection(1.0, 0.05, 1.5)


def test_a_variance_within_chance_is_no_detection() -> None:
    assert from_variance(3.0, 1.0, significance=3.0, bound=2.0) == Detection(0.0, 0.0, 5.0**0.5)
    found = from_variance(4.0, 1.0, significance=3.0, bound=2.0)
    assert (found.amount, found.error) == (2.0, 0.25)
    assert from_variance(-1.0, 1.0, significance=3.0, bound=2.0).limit == pytest.approx(2.0**0.5)


def test_colours_together_show_what_all_of_them_show() -> None:
    one, other, absent = Detection(3.0, 0.3, 4.0), Detection(4.0, 0.4, 5.0), Detection(0.0, 0.0, 1.0)
    mean = quadratic_mean([one, other])
    assert mean is not None
    assert mean.amount == pytest.approx(12.5**0.5)
    assert mean.error == pytest.approx(0.25)
    assert quadratic_mean([one, absent]) == Detection(0.0, 0.0, 4.0)
    assert quadratic_mean([one, None]) is None


def test_an_interval_holds_its_value() -> None:
    draws = np.linspace(0.0, 1.0, 101)
    assert of_draws(0.5, draws) == pytest.approx((0.5, 0.05, 0.95))
    assert of_draws(2.0, draws) == pytest.approx((2.0, 0.05, 2.0))
