"""Pictures whose light follows another law than counting: magnitudes, speckle, grain; and pictures with holes."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from noisediag.genome.traps.detectors import ROUNDING_DN2, codes
from noisediag.genome.traps.files import Tiff
from noisediag.genome.traps.kinds.registry import kind
from noisediag.genome.traps.scenes import SCIENCE_PX, Scenes
from noisediag.genome.traps.truth import NoiseAt, Trap, Truth

Floats = NDArray[np.float64]

LAST_DN = 65535
HIGH_SNR = (8.0, 12.0)  # sigmas of signal, where a magnitude's noise is Gaussian


@kind
def rician_magnitude(scenes: Scenes, rng: Generator) -> Trap:
    """A magnitude picture of magnetic resonance, with air around the body."""
    signal = scenes.cells(rng, rng.uniform(0, 40), 350, blur_px=2.0)
    y, x = np.mgrid[:SCIENCE_PX, :SCIENCE_PX] - SCIENCE_PX / 2
    signal[x**2 + y**2 > (0.41 * SCIENCE_PX) ** 2] = 0
    return _magnitude(signal, rng.uniform(12, 25), rng)


@kind
def rician_bright_ground(scenes: Scenes, rng: Generator) -> Trap:
    """A magnitude picture cut out of the body: no air, so that nothing shows the law but the dark tissue."""
    return _magnitude(scenes.cells(rng, 60, 350, blur_px=2.0), rng.uniform(12, 25), rng)


def _magnitude(signal: Floats, sigma: float, rng: Generator) -> Trap:
    parts = sigma * rng.standard_normal((2, *signal.shape))
    noise = tuple(NoiseAt(snr * sigma, float(np.sqrt(sigma**2 + ROUNDING_DN2))) for snr in HIGH_SNR)
    return Trap(Tiff(codes(np.hypot(signal + parts[0], parts[1]), LAST_DN)), (Truth(noise, no_electrons=True),))


@kind
def speckle_single_look(scenes: Scenes, rng: Generator) -> Trap:
    """Radar intensity of one look: the standard deviation is the mean."""
    return _speckle(scenes, rng, looks=1)


@kind
def speckle_four_looks(scenes: Scenes, rng: Generator) -> Trap:
    """Radar intensity, the mean of four looks."""
    return _speckle(scenes, rng, looks=4)


def _speckle(scenes: Scenes, rng: Generator, looks: int) -> Trap:
    mean = scenes.cells(rng, 200, 1500, blur_px=2.0)
    pixels = codes(mean * rng.gamma(looks, 1 / looks, mean.shape), LAST_DN)
    noise = tuple(NoiseAt(level, float(np.sqrt(level**2 / looks + ROUNDING_DN2))) for level in (300.0, 600.0, 1000.0))
    return Trap(Tiff(pixels), (Truth(noise, no_electrons=True),))


@kind
def film_grain(scenes: Scenes, rng: Generator) -> Trap:
    """A scan of film: grain is strongest in the middle tones, and wider than a pixel."""
    strength, grain_px, scanner_dn = rng.uniform(0.03, 0.08), rng.uniform(0.6, 1.1), 60.0
    clean = scenes.photo(rng, 0.04, 0.96)
    grain = ndimage.gaussian_filter(rng.standard_normal(clean.shape), grain_px)
    grain /= grain.std()
    scanned = LAST_DN * (clean + 2 * strength * np.sqrt(clean * (1 - clean)) * grain)
    pixels = codes(scanned + scanner_dn * rng.standard_normal(clean.shape), LAST_DN)
    noise = tuple(
        NoiseAt(LAST_DN * x, float(np.sqrt((LAST_DN * 2 * strength) ** 2 * x * (1 - x) + scanner_dn**2)))
        for x in (0.2, 0.4, 0.7)
    )
    return Trap(Tiff(pixels), (Truth(noise, no_electrons=True, independent=False),))


@kind
def pixels_missing(scenes: Scenes, rng: Generator) -> Trap:
    """Unobserved pixels are NaN at one border and here and there, as in mosaics and masked frames."""
    picture, truth = _calm_floats(scenes, rng)
    picture[:, : rng.integers(1, 20)] = np.nan
    at = rng.integers(0, picture.size, 9)
    picture.flat[at] = np.nan
    return Trap(Tiff(picture), (truth,))


@kind
def third_missing(scenes: Scenes, rng: Generator) -> Trap:
    """30 % of the pixels are NaN, all over the picture."""
    picture, truth = _calm_floats(scenes, rng)
    picture[rng.random(picture.shape) < 0.3] = np.nan
    return Trap(Tiff(picture), (truth,))


def _calm_floats(scenes: Scenes, rng: Generator) -> tuple[NDArray[np.float32], Truth]:
    """A picture of floats under noise that is the same everywhere."""
    sigma = float(rng.uniform(5, 20))
    clean = scenes.photo(rng, 1000, 1200, (192, 192))
    noise = (NoiseAt(1050, sigma), NoiseAt(1120, sigma))
    return (clean + sigma * rng.standard_normal(clean.shape)).astype(np.float32), Truth(noise)
