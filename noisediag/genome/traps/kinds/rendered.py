"""Pictures in another clothing than their own: linear light in display files, display codes in linear ones."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from noisediag.genome import srgb
from noisediag.genome.traps.detectors import LEVELS, ROUNDING_DN2, a_camera, codes
from noisediag.genome.traps.files import Png, Tiff
from noisediag.genome.traps.kinds.registry import kind
from noisediag.genome.traps.scenes import SCIENCE_PX, Scenes
from noisediag.genome.traps.truth import NoiseAt, Trap, Truth

LAST_DN = 65535


@kind
def photons_in_8_bit_png(scenes: Scenes, rng: Generator) -> Trap:
    """A micrograph as the microscope exports it: linear, 8 bits, nothing processed."""
    gain_dn = float(rng.uniform(4, 8))
    pixels = np.clip(np.rint(gain_dn * rng.poisson(scenes.cells(rng, 4, 20, blur_px=2.5))), 0, 255).astype(np.uint8)
    noise = tuple(
        NoiseAt(gain_dn * level, float(np.sqrt(gain_dn**2 * level + ROUNDING_DN2))) for level in (5.0, 9.0, 14.0)
    )
    return Trap(Png(pixels), (Truth(noise),))


@kind
def white_noise_rgb_png(scenes: Scenes, rng: Generator) -> Trap:
    """A test picture of denoisers: independent noise in R, G and B, of which a channel's sigma is wanted."""
    sigma = float(rng.uniform(8, 40))
    clean = scenes.photo(rng, 0.25, 0.75, (SCIENCE_PX, SCIENCE_PX))
    colour = 255 * np.stack([clean, 0.9 * clean, 0.8 * clean], axis=-1)
    noisy = colour + sigma * rng.standard_normal(colour.shape)
    return Trap(Png(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)), (Truth(channel_sigma=sigma),))


@kind
def gamma_in_16_bit_tiff(scenes: Scenes, rng: Generator) -> Trap:
    """A photograph with the tone curve of displays, in gray TIFF of 16 bits that says nothing of it."""
    camera = a_camera(rng, 0, LAST_DN)
    clean = scenes.photo(rng, low=0.02)
    pixels = codes(LAST_DN * srgb.encoded(camera.shoot(clean, rng).clip(0, 1)), LAST_DN)
    at = np.array(LEVELS)
    step = 1e-4
    slope = (srgb.encoded(at + step) - srgb.encoded(at - step)) / (2 * step)
    pairs = zip(LAST_DN * srgb.encoded(at), slope * camera.sigma_dn(at), strict=True)
    noise = tuple(NoiseAt(float(level), float(sigma)) for level, sigma in pairs)
    return Trap(Tiff(pixels), (Truth(noise, no_electrons=True, independent=True),))
