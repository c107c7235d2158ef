"""Calm pictures under ordinary laws: an answer that doubts them has lost something, too."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from noisediag.genome.traps.detectors import LEVELS, ROUNDING_DN2, Counter, a_camera, between, codes
from noisediag.genome.traps.files import Dng, Tiff
from noisediag.genome.traps.kinds.registry import control
from noisediag.genome.traps.scenes import Scenes
from noisediag.genome.traps.truth import NoiseAt, Trap, Truth

LAST_DN = 65535


@control
def calm_raw(scenes: Scenes, rng: Generator) -> Trap:
    """A RAW file whose levels are what it says, under shot and read noise."""
    camera = a_camera(rng, 512)
    pixels = codes(camera.dn(camera.shoot(scenes.photo(rng), rng)))
    truth = Truth(camera.noise(), gain_dn=camera.gain_dn, independent=True)
    return Trap(Dng(pixels, camera.black_dn, camera.white_dn), (truth,))


@control
def calm_counts(scenes: Scenes, rng: Generator) -> Trap:
    """Cells under a photon counter without an offset, in TIFF of 16 bits."""
    counter = Counter(float(rng.uniform(1, 4)), 1.0, 0.0)
    pixels = codes(counter.frame(scenes.cells(rng, 20, 400), rng), LAST_DN)
    return Trap(Tiff(pixels), (Truth(counter.noise(between(20, 400)), gain_dn=counter.gain_dn),))


@control
def calm_additive(scenes: Scenes, rng: Generator) -> Trap:
    """White noise that is the same everywhere, in TIFF of 16 bits."""
    sigma = float(rng.uniform(200, 2000))
    clean = LAST_DN * scenes.photo(rng, 0.2, 0.8)
    noise = tuple(NoiseAt(LAST_DN * x, float(np.sqrt(sigma**2 + ROUNDING_DN2))) for x in LEVELS[1:])
    pixels = codes(clean + sigma * rng.standard_normal(clean.shape), LAST_DN)
    return Trap(Tiff(pixels), (Truth(noise, no_electrons=True, independent=True),))
