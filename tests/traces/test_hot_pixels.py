"""Planted hot pixels come back; what looks like them for other reasons does not."""

import numpy as np
import pytest
from scipy.special import erf

from noisediag.traces.hot_pixels import hot_pixels

SPAN_DN = 16000.0
SIDE, TILES = 192, 4
READ = 6 / SPAN_DN


def dark(rng, tiles=TILES):
    """Read noise and rows."""
    rows = 0.2 * READ * rng.standard_normal((tiles, SIDE, 1))
    return (READ * rng.standard_normal((tiles, SIDE, SIDE)) + rows).astype(np.float32)


def codes(tiles):
    return (np.rint(tiles * SPAN_DN) / SPAN_DN).astype(np.float32)


def with_hot(rng, tiles, share, mean_dn):
    hot = rng.random(tiles.shape) < share
    return tiles + np.where(hot, rng.exponential(mean_dn / SPAN_DN, tiles.shape), 0).astype(np.float32)


def stars(rng, tiles, count, fwhm_px, faintest_dn=60.0):
    """Point sources, integrated over pixels, as many of them brighter as the sky has: N(> F) ~ F^-1.2."""
    sd, at = fwhm_px / 2.355, np.arange(SIDE + 1) - 0.5
    sky = tiles.copy()
    for tile in sky:
        for y, x in SIDE * rng.random((count, 2)):
            down, across = (np.diff(0.5 * erf((at - c) / (sd * np.sqrt(2)))) for c in (y, x))
            flux = faintest_dn / SPAN_DN * (1 - rng.random()) ** (-1 / 1.2)
            tile += (min(flux, 5.0) * down[:, None] * across).astype(np.float32)
    return np.minimum(sky, 1)


def of(tiles):
    return hot_pixels([(codes(tiles), SPAN_DN)])


@pytest.mark.parametrize("share", [0.0005, 0.004, 0.015])
@pytest.mark.parametrize("mean_dn", [200.0, 600.0])
def test_planted_hot_pixels_come_back(share, mean_dn):
    rng = np.random.default_rng(7)
    found = of(with_hot(rng, dark(rng), share, mean_dn))
    seen = share * np.exp(-60 / mean_dn)  # those more than ten standard deviations above the others
    error = 4 / np.sqrt(seen * TILES * SIDE**2)
    assert found.share == pytest.approx(seen, rel=max(0.1, error))
    # Exponential values beyond 60 DN.
    assert found.mean_excess_dn == pytest.approx(60 + mean_dn, abs=max(0.1, error) * mean_dn)
    assert found.median_excess_dn == pytest.approx(60 + np.log(2) * mean_dn, abs=max(0.1, error) * mean_dn)


def test_colours_of_a_mosaic_are_looked_at_together():
    rng = np.random.default_rng(3)
    planes = [(codes(with_hot(rng, dark(rng, 1), 0.004, 600)), SPAN_DN) for _ in range(4)]
    assert hot_pixels(planes, colours=True).share == pytest.approx(0.0036, rel=0.2)


def test_among_stars():
    rng = np.random.default_rng(3)
    found = of(stars(rng, with_hot(rng, dark(rng), 0.004, 600), 30, 2.5))
    assert found.share == pytest.approx(0.0036, rel=0.2)


@pytest.mark.parametrize("fwhm_px", [1.0, 1.3, 2.0, 3.5])
@pytest.mark.parametrize("count", [30, 200])
def test_stars_are_not_hot(fwhm_px, count):
    rng = np.random.default_rng(5)
    assert of(stars(rng, dark(rng), count, fwhm_px)) is None


def test_stars_in_the_colours_of_a_mosaic_are_not_hot():
    """Sharper than a plane's pixels, they stand alone in each colour, but at one place."""
    rng = np.random.default_rng(5)
    places = rng.random((1, SIDE, SIDE)) < 0.003
    light = np.where(places, rng.exponential(600 / SPAN_DN, places.shape), 0)
    planes = [(codes(dark(rng, 1) + light.astype(np.float32) * share), SPAN_DN) for share in (0.6, 1, 1, 0.7)]
    assert hot_pixels(planes, colours=True) is None


def test_clustered_lights_are_not_hot():
    rng = np.random.default_rng(5)
    town = np.zeros((1, SIDE, SIDE))
    town[:, 60:130, 60:130] = 0.02
    assert of(with_hot(rng, dark(rng), np.broadcast_to(town, (TILES, SIDE, SIDE)), 600)) is None


@pytest.mark.parametrize(
    "noise",
    [
        lambda rng, shape: 0.1 * rng.exponential(1.0, shape),  # speckle of one look
        lambda rng, shape: 0.1 * rng.gamma(4.0, 0.25, shape),
        lambda rng, shape: (10 * rng.poisson(0.05, shape) + rng.normal(0, 2, shape)) / SPAN_DN,
        lambda rng, shape: (100 * rng.poisson(0.005, shape) + rng.normal(0, 3, shape)) / SPAN_DN,  # lone photons
        lambda rng, shape: 1e-3 * rng.standard_t(3, shape),
        lambda rng, shape: rng.normal(0.1, READ, shape) + (rng.random(shape) < 0.003),  # salt
        lambda rng, shape: np.where(rng.random(shape) < 0.003, rng.random(shape), rng.normal(0.1, READ, shape)),
        lambda rng, shape: rng.normal(0.1, READ, shape) * (1 - 2 * (rng.random(shape) < 0.002)),  # both ways
        lambda rng, shape: np.zeros(shape),
        lambda rng, shape: (rng.random(shape) < 0.002) * rng.exponential(0.1, shape),  # on codes that are all equal
        lambda rng, shape: rng.normal(0.1, READ, shape),
    ],
)
def test_the_tail_of_a_noise_is_not_hot(noise):
    rng = np.random.default_rng(11)
    assert of(np.minimum(noise(rng, (TILES, SIDE, SIDE)), 1).astype(np.float32)) is None


def test_a_picture_too_small_has_none():
    assert of(np.zeros((1, 8, 8), np.float32)) is None
