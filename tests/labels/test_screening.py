"""What may be taken off a difference of two frames, and what may not."""

from __future__ import annotations

import numpy as np
import pytest

from noisediag.labels.screening import without_trend


def test_chance_is_no_gain() -> None:
    """On flat fields the fitted gain is noise of the blocks; taken off, it would add 2 % to every variance."""
    generator = np.random.default_rng(1)
    variances = []
    for _ in range(40):
        first, second = generator.normal(1000, 10, (2, 96, 96))
        variances.append(without_trend(first - second, (first + second) / 2).var() / (2 * 10**2))
    assert np.mean(variances) == pytest.approx(1, abs=0.008)


def test_bleaching_is_taken_off() -> None:
    generator = np.random.default_rng(2)
    light = np.linspace(500, 1500, 96)[None].repeat(96, axis=0)
    first, second = (factor * light + generator.normal(0, 5, light.shape) for factor in (1, 0.95))
    assert without_trend(first - second, (first + second) / 2).var() == pytest.approx(2 * 5**2, rel=0.05)
