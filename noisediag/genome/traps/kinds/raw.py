"""RAW files of cameras: ceilings, blacks, and what cameras and converters did before the file was written."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from noisediag.genome.traps.detectors import LEVELS, a_camera, codes
from noisediag.genome.traps.files import Dng
from noisediag.genome.traps.kinds.registry import kind
from noisediag.genome.traps.scenes import Scenes
from noisediag.genome.traps.truth import NoiseAt, Trap, Truth, noise_in_parts, noise_of_repeats

Floats = NDArray[np.float64]

BLOCK_PX = 8  # of the lossy compression
MERGED = 8  # frames of a burst
REPEATS = 6  # exposures from which noise is measured that no formula tells


@kind
def soft_ceiling(scenes: Scenes, rng: Generator) -> Trap:
    """Saturated pixels scatter by some codes about the stated white: the full well lies below the converter's end."""
    camera = a_camera(rng, 1024, 12965)
    clean = scenes.photo(rng, high=1.5)
    ceiling = camera.white_dn + rng.choice([5.0, 15.0]) * rng.standard_normal(clean.shape)
    pixels = codes(np.minimum(camera.dn(camera.shoot(clean, rng)), ceiling))
    return Trap(Dng(pixels, camera.black_dn, camera.white_dn), (Truth(camera.noise(), gain_dn=camera.gain_dn),))


@kind
def hard_ceiling_below_white(scenes: Scenes, rng: Generator) -> Trap:
    """Clips at one code far below the white that the file states."""
    return _ceiling(scenes, rng, stated_dn=15800, given_dn=None)


@kind
def hard_ceiling_below_given_white(scenes: Scenes, rng: Generator) -> Trap:
    """Clips at one code below the white that the user gives."""
    return _ceiling(scenes, rng, stated_dn=11000, given_dn=15800)


def _ceiling(scenes: Scenes, rng: Generator, *, stated_dn: int, given_dn: int | None) -> Trap:
    camera = a_camera(rng, 512, 11000)
    exposure = camera.shoot(scenes.photo(rng, high=1.6), rng)
    truth = Truth(camera.noise(), gain_dn=camera.gain_dn)
    return Trap(Dng(codes(camera.dn(exposure), camera.white_dn), 512, stated_dn), (truth,), given_white_dn=given_dn)


@kind
def black_stated_too_low(scenes: Scenes, rng: Generator) -> Trap:
    """A pedestal that the file denies, as where an editor wrote BlackLevel 0."""
    camera = a_camera(rng, int(rng.choice([512, 1023])))
    pixels = codes(camera.dn(camera.shoot(scenes.photo(rng), rng)))
    truth = Truth(camera.noise(), gain_dn=camera.gain_dn, absent=("multiplicative",))
    return Trap(Dng(pixels, 0, camera.white_dn), (truth,))


@kind
def smoothed_raw(scenes: Scenes, rng: Generator) -> Trap:
    """A camera that smooths its RAW at high ISO: no electrons can be counted in what is left."""
    camera = a_camera(rng, 800)
    exposure = camera.shoot(scenes.photo(rng), rng)
    for plane in _planes(exposure):
        plane[...] = ndimage.gaussian_filter(plane, 0.7)
    stored = Dng(codes(camera.dn(exposure)), camera.black_dn, camera.white_dn, iso=25600)
    return Trap(stored, (Truth(no_electrons=True, independent=False),))


@kind
def half_merged(scenes: Scenes, rng: Generator) -> Trap:
    """A merged burst, where the merging worked in one half of the picture."""
    camera = a_camera(rng, 1024)
    clean = scenes.photo(rng)
    middle = clean.shape[1] // 2
    exposure, factors = camera.shoot(clean, rng), np.ones(clean.shape)
    exposure[:, :middle] = np.mean([camera.shoot(clean[:, :middle], rng) for _ in range(MERGED)], axis=0)
    factors[:, :middle] /= np.sqrt(MERGED)
    noise = noise_in_parts(camera.dn(clean), factors, camera.noise())
    stored = Dng(codes(camera.dn(exposure)), camera.black_dn, camera.white_dn)
    return Trap(stored, (Truth(noise, gain_dn=camera.gain_dn),))


@kind
def shading_corrected(scenes: Scenes, rng: Generator) -> Trap:
    """A camera that lifts the corners of its RAW against the lens's shading, and their noise with them."""
    camera = a_camera(rng, 512)
    clean = scenes.photo(rng, high=0.6)
    height, width = clean.shape
    y, x = np.mgrid[:height, :width]
    radius2 = ((y - height / 2) ** 2 + (x - width / 2) ** 2) / (height**2 / 4 + width**2 / 4)
    lift = 1 + rng.uniform(1.5, 3.0) * radius2  # 1 in the middle, 2.5 to 4 in the corners
    exposure = lift * camera.shoot(clean / lift, rng)
    factors = lift * camera.sigma_dn(clean / lift) / camera.sigma_dn(clean)
    noise = noise_in_parts(camera.dn(clean), factors, camera.noise((0.1, 0.2, 0.4)))
    return Trap(Dng(codes(camera.dn(exposure)), camera.black_dn, camera.white_dn), (Truth(noise),))


@kind
def lossy_raw(scenes: Scenes, rng: Generator) -> Trap:
    """RAW in lossy compression: square roots of the codes, quantised by blocks of their cosine transform."""
    camera = a_camera(rng, 256)
    clean = scenes.photo(rng)
    coarse = rng.uniform(0.8, 2.0) * np.sqrt(camera.gain_dn) / 2  # steps in units of the roots' own noise
    repeats = np.empty((REPEATS, *clean.shape))
    for repeat in repeats:
        repeat[...] = camera.shoot(clean, rng)
        for plane in _planes(repeat):
            light_dn = np.maximum(plane * camera.span_dn, 0)
            plane[...] = _through_blocks(np.sqrt(light_dn), coarse) ** 2 / camera.span_dn
    dn = np.rint(camera.dn(repeats))
    noise = noise_of_repeats(camera.dn(clean), dn, camera.dn(np.array(LEVELS)))
    return Trap(Dng(codes(dn[0]), camera.black_dn, camera.white_dn), (Truth(noise),))


@kind
def hot_pixels(scenes: Scenes, rng: Generator) -> Trap:
    """A long dark exposure: read noise, and 0.4 % of hot pixels of any strength."""
    del scenes  # the lens is covered
    sigma, black = rng.uniform(4, 9), 512
    dark = black + sigma * rng.standard_normal((384, 512))
    dark += (rng.random(dark.shape) < 0.004) * rng.exponential(600, dark.shape)
    truth = Truth((NoiseAt(black, float(np.hypot(sigma, np.sqrt(1 / 12)))),), no_electrons=True)
    return Trap(Dng(codes(dark), black, 16383, iso=1600), (truth,))


def _planes(mosaic: Floats) -> list[Floats]:
    """The four colour planes of a mosaic (H, W), as views (H/2, W/2)."""
    return [mosaic[row::2, column::2] for row in (0, 1) for column in (0, 1)]


def _through_blocks(plane: Floats, step: float) -> Floats:
    """A plane (H, W), sides multiples of BLOCK_PX, with the cosine transform of its blocks rounded to `step`."""
    height, width = plane.shape
    blocks = plane.reshape(height // BLOCK_PX, BLOCK_PX, width // BLOCK_PX, BLOCK_PX)
    rounded = np.rint(scipy.fft.dctn(blocks, axes=(1, 3), norm="ortho") / step) * step
    return np.asarray(scipy.fft.idctn(rounded, axes=(1, 3), norm="ortho"), dtype=np.float64).reshape(height, width)
