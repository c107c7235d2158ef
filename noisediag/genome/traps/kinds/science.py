"""Scientific cameras that count photons: pedestals, empty channels, multiplication, filtering."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from noisediag.genome.traps.detectors import ROUNDING_DN2, Counter, between, codes
from noisediag.genome.traps.files import Tiff
from noisediag.genome.traps.kinds.registry import kind
from noisediag.genome.traps.scenes import SCIENCE_PX, Scenes
from noisediag.genome.traps.truth import NoiseAt, Trap, Truth, noise_in_parts

Floats = NDArray[np.float64]

LAST_DN = 65535
NOT_SEEN = ("row_noise", "column_noise", "correlation")  # what a channel without signal cannot show
CAMERAS = (  # detector, background and peak in electrons
    (Counter(2.17, 1.4, 100), 5.0, 80.0),
    (Counter(0.5, 2.0, 100), 40.0, 600.0),
    (Counter(10.0, 0.8, 400), 2.0, 40.0),
)


@kind
def correlated_and_white(scenes: Scenes, rng: Generator) -> Trap:
    """Light that was blurred after it was counted (phosphor, fibre, charge diffusion), and white read noise on top."""
    blur_px, read_dn, offset_dn = rng.uniform(0.8, 1.3), rng.uniform(0.7, 1.5), 10.0
    light = scenes.cells(rng, 60, 300, blur_px=4.0)
    share = _left_by(lambda plane: ndimage.gaussian_filter(plane, blur_px), rng)
    counted = ndimage.gaussian_filter(rng.poisson(light).astype(np.float64), blur_px)
    pixels = codes(offset_dn + counted + read_dn * rng.standard_normal(light.shape), LAST_DN)
    noise = tuple(
        NoiseAt(offset_dn + level, float(np.sqrt(level * share + read_dn**2 + ROUNDING_DN2)))
        for level in between(60, 300)
    )
    return Trap(Tiff(pixels), (Truth(noise, independent=False),))


@kind
def pedestal_not_stated(scenes: Scenes, rng: Generator) -> Trap:
    """Fluorescent cells with a camera's offset that nobody wrote into the file."""
    counter, background, peak = CAMERAS[int(rng.integers(len(CAMERAS)))]
    return _counted(counter, scenes.cells(rng, background, peak), background, peak, rng)


@kind
def sparse_filaments(scenes: Scenes, rng: Generator) -> Trap:
    """Thin filaments on an almost dark ground, with an offset that is not stated."""
    counter, background, peak = CAMERAS[int(rng.integers(len(CAMERAS)))]
    return _counted(counter, scenes.filaments(rng, background, peak), background, peak, rng)


def _counted(counter: Counter, electrons: Floats, background: float, peak: float, rng: Generator) -> Trap:
    pixels = codes(counter.frame(electrons, rng), LAST_DN)
    return Trap(Tiff(pixels), (Truth(counter.noise(between(background, peak)), gain_dn=counter.gain_dn),))


@kind
def electrons_multiplied(scenes: Scenes, rng: Generator) -> Trap:
    """An EMCCD at high gain: multiplication doubles the variance, and offset and excess noise are not stated."""
    gain_dn, read_dn, offset_dn = rng.uniform(5, 20), rng.uniform(4, 10), 200.0
    electrons = scenes.cells(rng, 3, 60)
    multiplied = _multiplied(rng.poisson(electrons), gain_dn, rng)
    pixels = codes(offset_dn + multiplied + read_dn * rng.standard_normal(electrons.shape), LAST_DN)
    slope_dn = 2 * gain_dn  # the excess noise factor of many stages is 2
    noise = tuple(
        NoiseAt(offset_dn + gain_dn * level, float(np.sqrt(slope_dn * gain_dn * level + read_dn**2 + ROUNDING_DN2)))
        for level in between(3, 60)
    )
    return Trap(Tiff(pixels), (Truth(noise, gain_dn=slope_dn),))


def _multiplied(electrons: NDArray[np.int64], gain_dn: float, rng: Generator) -> Floats:
    """Each electron becomes an exponential number of codes, of mean `gain_dn`."""
    return np.where(electrons > 0, rng.gamma(np.maximum(electrons, 1), gain_dn), 0.0)


@kind
def empty_channel(scenes: Scenes, rng: Generator) -> Trap:
    """A channel of 8 bits without any signal: all zero, or a dozen photons in all."""
    del scenes  # nothing is there
    pixels = np.zeros((SCIENCE_PX, SCIENCE_PX), np.uint8)
    if rng.random() < 0.5:
        rows, columns = rng.integers(0, SCIENCE_PX, (2, 12))
        pixels[rows, columns] = 1
    return Trap(Tiff(pixels), (Truth(no_electrons=True, absent=NOT_SEEN, no_verdict=True),))


@kind
def one_channel_empty(scenes: Scenes, rng: Generator) -> Trap:
    """Two channels, of which the second never got any light."""
    counter = Counter(rng.uniform(1, 4), 1.5, 0.0)
    lit = codes(counter.frame(scenes.cells(rng, 10, 200), rng), LAST_DN)
    truths = (
        Truth(counter.noise(between(10, 200)), channel="channel0"),
        Truth(no_electrons=True, absent=NOT_SEEN, no_verdict=True, channel="channel1"),
    )
    return Trap(Tiff(np.stack([lit, np.zeros_like(lit)]), axes="CYX"), truths)


@kind
def stitched_gains(scenes: Scenes, rng: Generator) -> Trap:
    """Two tiles of a mosaic, taken with different light and brought to the same brightness."""
    factor, read_e, offset_dn = rng.uniform(2.5, 5), 1.5, 100.0
    bright = Counter(1.0, read_e, offset_dn)
    faint = Counter(factor, read_e, offset_dn)
    light = scenes.photo(rng, 30, 800, (SCIENCE_PX, SCIENCE_PX))
    half = SCIENCE_PX // 2
    stitched, factors = bright.frame(light, rng), np.ones(light.shape)
    stitched[:, half:] = faint.frame(light[:, half:] / factor, rng)
    faint_e2 = light[:, half:] / factor + read_e**2
    factors[:, half:] = factor * np.sqrt(faint_e2 / (light[:, half:] + read_e**2))
    noise = noise_in_parts(offset_dn + light, factors, bright.noise((100, 250, 500)))
    return Trap(Tiff(codes(stitched, LAST_DN)), (Truth(noise),))


@kind
def upscaled_linear(scenes: Scenes, rng: Generator) -> Trap:
    """Photon counts resized by straight lines between pixels, and stored as if they were measured."""
    counter, factor = Counter(rng.uniform(1, 4), 1.5, 0.0), float(rng.choice([1.5, 2.0]))
    small = scenes.cells(rng, 20, 300, blur_px=3.0, size_px=192)

    def resized(plane: Floats) -> Floats:
        return np.asarray(ndimage.zoom(plane, factor, order=1), dtype=np.float64)

    share = _left_by(resized, rng)
    noise = tuple(
        NoiseAt(counter.gain_dn * level, float(np.sqrt(share * counter.gain_dn**2 * (level + 1.5**2) + ROUNDING_DN2)))
        for level in between(20, 300)
    )
    pixels = codes(resized(counter.frame(small, rng)), LAST_DN)
    return Trap(Tiff(pixels), (Truth(noise, no_electrons=True, independent=False),))


def _left_by(linear: Callable[[Floats], Floats], rng: Generator) -> float:
    """Share of the variance of white noise that a linear filter leaves, on average over its output: measured."""
    white = rng.standard_normal((512, 512))
    return float(np.square(linear(white)).mean() / np.square(white).mean())
