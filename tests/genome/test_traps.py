"""Trap files: the noise they state is the noise they have, and the same seed gives the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noisediag.genome.clean import Picture
from noisediag.genome.traps.kinds import KINDS
from noisediag.genome.traps.scenes import Scenes

ROWS = 512
NEAR = 0.03  # of the range of the means: rows that stand for a level
# A part of every row is air, or an outlier; two channels and three colours are looked at on their own.
NO_RAMP = {"rician_magnitude", "hot_pixels", "one_channel_empty", "white_noise_rgb_png"}


class Ramps(Scenes):
    """Every scene is a ramp from top to bottom, so that a row of pixels is many draws at one level."""

    def photo(self, rng, low=0.004, high=0.85, shape=(ROWS, 512)):
        return np.repeat(np.linspace(low, high, ROWS)[:, None], shape[1], axis=1)

    def cells(self, rng, background, peak, *, blur_px=1.5, size_px=256):
        return np.repeat(np.linspace(background, background + peak, ROWS)[:, None], size_px, axis=1)

    def filaments(self, rng, background, peak, *, size_px=256):
        return self.cells(rng, background, peak)


def noise_at(pixels, level_dn):
    """Standard deviation within rows whose mean is near the level."""
    means, variances = np.nanmean(pixels, axis=1), np.nanvar(pixels, axis=1, ddof=1)
    near = np.abs(means - level_dn) <= NEAR * np.ptp(means)
    return float(np.sqrt(variances[near].mean())), int(near.sum()) * pixels.shape[1]


def stated():
    silent = {"empty_channel", "smoothed_raw"}  # they state no sigma
    return [name for name in KINDS if name not in NO_RAMP | silent and not name.startswith("advise_")]


@pytest.mark.parametrize("name", stated())
def test_the_noise_is_what_the_truth_says(name) -> None:
    trap = KINDS[name].trap(Ramps(), 1, 0)
    pixels = trap.stored.pixels.astype(np.float64)
    if name == "upscaled_linear":
        pixels = pixels[:, 8:-8]
    assert trap.truths[0].noise
    for at in trap.truths[0].noise:
        sigma, n = noise_at(pixels, at.level_dn)
        correlated = 6 if trap.truths[0].independent is False else 1  # so many pixels count as one
        heavy = 2.5 if "speckle" in name or "electrons" in name else 1.0  # of the tails' own scatter
        assert sigma == pytest.approx(at.sigma_dn, rel=0.02 + 4 * heavy * np.sqrt(correlated / (2 * n))), at


def test_parts_of_a_picture_state_their_extremes() -> None:
    trap = KINDS["half_merged"].trap(Ramps(), 1, 0)
    pixels = trap.stored.pixels.astype(np.float64)
    middle = pixels.shape[1] // 2
    for at in trap.truths[0].noise:
        assert at.parts_dn is not None
        for half, sigma in zip((pixels[:, :middle], pixels[:, middle:]), at.parts_dn, strict=True):
            assert noise_at(half, at.level_dn)[0] == pytest.approx(sigma, rel=0.06)


def test_colours_and_channels_state_their_own_noise() -> None:
    trap = KINDS["white_noise_rgb_png"].trap(Ramps(), 1, 0)
    red = trap.stored.pixels[ROWS // 2 - 50 : ROWS // 2, :, 0].astype(np.float64)  # far from both clips
    assert red.std(axis=1).mean() == pytest.approx(trap.truths[0].channel_sigma, rel=0.05)
    lit, dark = KINDS["one_channel_empty"].trap(Ramps(), 1, 0).stored.pixels.astype(np.float64)
    truth = KINDS["one_channel_empty"].trap(Ramps(), 1, 0).truths[0]
    assert (truth.channel, dark.max()) == ("channel0", 0)
    assert noise_at(lit, truth.noise[1].level_dn)[0] == pytest.approx(truth.noise[1].sigma_dn, rel=0.06)


@pytest.mark.parametrize("name", ["soft_ceiling", "one_channel_empty", "photons_in_8_bit_png", "advise_registered"])
def test_the_same_seed_gives_the_same_bytes(name, tmp_path: Path) -> None:
    files = []
    for number, (seed, draw) in enumerate([(3, 1), (3, 1), (4, 1), (3, 2)]):
        trap = KINDS[name].trap(Scenes(), seed, draw)
        path = tmp_path / f"{number}{trap.stored.suffix}"
        trap.stored.write(path)
        files.append(path.read_bytes())
    assert files[0] == files[1]
    assert len(set(files)) == 3


def test_photographs_of_any_size_fill_the_frame(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((40, 90)).astype(np.float32))
    scenes = Scenes([Picture("domain", tmp_path / "a.npy", None)])
    photo = scenes.photo(np.random.default_rng(0), 0.1, 0.7)
    assert photo.shape == (384, 512)
    assert (photo.min(), photo.max()) == pytest.approx((0.1, 0.7))
