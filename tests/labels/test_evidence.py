"""What differences of frames show beside variance: scenes that change, filters, time, and laws without photons."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from noisediag.images import from_array
from noisediag.labels import repeats
from noisediag.labels.bursts import from_stack

SIZE, GAIN, READ_DN, OFFSET_DN = 128, 20.0, 10.0, 200.0


def scene(photons: float) -> np.ndarray:
    """Soft blobs, 0 to `photons`."""
    noise = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((SIZE, SIZE)), 6)
    return photons * (noise - noise.min()) / np.ptp(noise)


def frames_of(light: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    shape = (count, *light.shape)
    return OFFSET_DN + GAIN * generator.poisson(light, shape) + generator.normal(0, READ_DN, shape)


def measured(frames: np.ndarray) -> repeats.Repeats:
    codes = np.clip(np.rint(frames), 0, 65535).astype(np.uint16)
    return repeats.measure([from_array(one).planes[0] for one in codes], np.random.default_rng(0))


@pytest.mark.parametrize(("photons", "count"), [(30, 2), (30, 8), (1.5, 8), (1000, 4)])
def test_still_frames_give_no_alarm(photons: float, count: int) -> None:
    found = measured(frames_of(scene(photons), count))
    assert found.evidence.no_gain is None
    assert not found.evidence.shared
    assert found.evidence.power == pytest.approx(1, abs=5 * found.evidence.power_error)
    assert found.evidence.unfiltered == 1
    assert not found.warnings


def test_flicker_and_bleaching_give_none_either() -> None:
    factors = np.linspace(1, 0.85, 8) * (1 + 0.02 * np.random.default_rng(1).standard_normal(8))
    frames = [frames_of(scene(30) * factor, 1, seed)[0] for seed, factor in enumerate(factors)]
    assert measured(np.stack(frames)).evidence.no_gain is None


@pytest.mark.parametrize("order", [1, 3])
def test_the_gain_before_an_interpolation(order: int) -> None:
    generator = np.random.default_rng(2)
    moved = [
        ndimage.shift(one, generator.uniform(-0.5, 0.5, 2), order=order, mode="nearest")
        for one in frames_of(scene(20), 16)
    ]
    found = measured(np.stack(moved))
    assert found.evidence.no_noise is None
    assert found.evidence.shared
    assert found.slope < 0.9 * GAIN  # of the pixels' own variance
    assert found.evidence.no_gain is None
    assert found.evidence.unfiltered * found.slope == pytest.approx(GAIN, rel=0.15)


def test_a_wide_filter_cannot_be_undone() -> None:
    found = measured(np.stack([ndimage.gaussian_filter(one, 1.0) for one in frames_of(scene(30), 8)]))
    assert "share noise" in (found.evidence.no_gain or "")


def test_a_scene_that_lives_is_told_from_noise() -> None:
    """Cells that light up one by one, each by a few photons, as wide as they are."""
    generator, (rows, columns) = np.random.default_rng(3), np.mgrid[:SIZE, :SIZE]
    places = generator.uniform(0, SIZE, (12, 2))
    frames = []
    for seed in range(6):
        cells = [np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 32) * generator.uniform(0, 8) for y, x in places]
        frames.append(frames_of(scene(20) + sum(cells), 1, seed)[0])
    found = measured(np.stack(frames))
    assert found.evidence.scene is not None
    footprint = from_stack(from_array(np.clip(np.stack(frames), 0, 65535).astype(np.uint16), domain="linear"))
    assert "misfit" in footprint.flags
    assert footprint["shot_gain"].value is None
    assert found.evidence.scene in footprint.warnings


@pytest.mark.parametrize("kept", [0.3, 0.5])
def test_noise_that_frames_share_over_time(kept: float) -> None:
    frames = frames_of(scene(30), 10)
    for place in range(1, len(frames)):
        frames[place] = kept * frames[place - 1] + (1 - kept) * frames[place]
    assert "share noise" in (measured(frames).evidence.no_noise or "")


def test_read_noise_alone_has_no_gain() -> None:
    found = measured(frames_of(np.zeros((SIZE, SIZE)), 6))
    assert found.evidence.no_noise is None
    assert "does not rise" in (found.evidence.no_gain or "")


def test_noise_that_grows_as_the_square_of_the_light_has_none() -> None:
    light = 20 * scene(100)
    frames = OFFSET_DN + light * np.random.default_rng(4).gamma(4, 1 / 4, (6, *light.shape))
    assert "square of the light" in (measured(frames).evidence.no_gain or "")
