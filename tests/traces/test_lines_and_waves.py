"""Row noise and waves that were planted are found; white noise over real content is neither."""

import math

import numpy as np
import pytest
import torch

from noisediag.genome import scenes
from noisediag.genome.clean import read_clean
from noisediag.traces.lines_and_waves import arrangement, offsets, periodic_share, strongest_wave

KINDS = ("photo", "leaves", "gradient", "satellite", "tissue", "retina", "underwater", "stars")
SIGMA = 0.04


@pytest.fixture(scope="module")
def clean():
    """Procedural scenes (n, 256, 256)."""
    generator = torch.Generator().manual_seed(5)
    return np.concatenate([scenes.make(2, 256, generator, kinds=(kind,)).double().numpy() for kind in KINDS])


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def test_row_noise_of_a_fifth_of_sigma_is_found_within_20_percent(clean, rng):
    noisy = clean + rng.normal(0, SIGMA, clean.shape) + rng.normal(0, 0.2 * SIGMA, (len(clean), 256, 1))
    found = np.array([offsets(tile[None]) for tile in noisy]) / (0.2 * SIGMA)
    assert np.mean(np.abs(found - 1) <= 0.2) >= 0.8
    assert offsets(noisy) == pytest.approx(0.2 * SIGMA, rel=0.2)  # all tiles together, as of one picture
    assert [offsets(tile.T[None]) for tile in noisy].count(0.0) >= len(noisy) - 1  # and no column noise


def test_white_noise_over_content_is_no_structure(clean, rng):
    found = [arrangement(tile[None]) for tile in clean + rng.normal(0, SIGMA, clean.shape)]
    assert sum(bool(one.row or one.column or one.periodic_share) for one in found) <= 1


@pytest.mark.parametrize("period", [(7.3, 11.7), (math.inf, 6.0), (5.0, math.inf)])
def test_a_wave_is_found_with_its_period_and_share(clean, rng, period):
    down, across = (np.arange(256) / length for length in period)
    wave = 0.5 * SIGMA * np.cos(2 * np.pi * (down[:, None] + across[None, :]))
    noisy = rng.normal(0, SIGMA, (2, 256, 256)) + wave
    assert periodic_share(noisy) == pytest.approx(0.125 / 1.125, rel=0.1)
    # What is fine in a picture counts as noise here.
    assert periodic_share(noisy + clean[:2]) == pytest.approx(0.125 / 1.125, rel=0.5)
    flat = noisy - noisy.mean(axis=(1, 2), keepdims=True)
    window = np.hanning(256)[:, None] * np.hanning(256)
    spectrum = (np.abs(np.fft.rfft2(flat * window)) ** 2).mean(axis=0)
    found = strongest_wave(flat, spectrum, float(np.median(spectrum)))
    # Cycles a tile; a wave along an axis has none across it, and the sign is that of either direction.
    assert np.abs(found) == pytest.approx([256 / length for length in period], rel=0.01, abs=0.1)


@pytest.fixture(scope="module")
def pictures(shared_data):
    """The clean pictures at hand, 256 x 256, odd-numbered ones; those of fine texture are said to be hard."""
    files = [
        path for folder in sorted((shared_data / "domains").iterdir()) for path in sorted(folder.glob("*.*"))[1::2]
    ]
    return [np.clip(read_clean(path).luma, 0, 1) for path in files]


@pytest.mark.acceptance
def test_row_noise_over_real_content(pictures, rng, sized, say):
    inside = []
    for clean in pictures[:: sized(16, 1)]:
        sigma = 10 ** rng.uniform(-2, -1)
        noisy = clean + rng.normal(0, sigma, clean.shape) + rng.normal(0, 0.2 * sigma, (len(clean), 1))
        found = offsets(noisy[None])
        inside.append(found is not None and abs(found / (0.2 * sigma) - 1) <= 0.2)
    say(f"structure: row noise of 0.2 sigma within 20 % in {np.mean(inside):.1%} of {len(inside)} pictures")
    assert np.mean(inside) >= 0.8


@pytest.mark.acceptance
def test_false_alarms_over_real_content(pictures, rng, sized, say):
    alarms, count = 0, sized(40, 500)
    for number in range(count):
        clean = pictures[number * len(pictures) // count]
        one = arrangement((clean + rng.normal(0, 10 ** rng.uniform(-2, -1), clean.shape))[None])
        alarms += bool(one.row or one.column or one.periodic_share)
    say(f"structure: {alarms} false alarms in {count} pictures with white noise")
    assert alarms <= sized(0.1, 0.05) * count


def test_what_a_picture_cannot_show_is_unknown(rng):
    assert periodic_share(rng.normal(0, 1, (3, 32, 32))) is None
    assert offsets(np.zeros((1, 64, 64))) is None
    assert arrangement(np.zeros((1, 64, 64))).periodic_share is None
