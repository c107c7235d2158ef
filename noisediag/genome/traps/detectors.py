"""Light to codes: the two detectors of the traps, and their noise as a formula."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from noisediag.genome.painters.brushes import log_uniform
from noisediag.genome.traps.truth import NoiseAt

Floats = NDArray[np.float64]

CONVERTER_END_DN = 16383  # 14 bits
ROUNDING_DN2 = 1 / 12  # variance of rounding to whole codes
LEVELS = (0.1, 0.3, 0.6)  # of white, at which the noise of photographs is asked for


@dataclass(frozen=True)
class Camera:
    """sigma2(x) = shot_gain * x + read_noise^2 for x of 0 to 1, which are the codes `black_dn` and `white_dn`."""

    shot_gain: float
    read_noise: float
    black_dn: int
    white_dn: int

    @property
    def span_dn(self) -> int:
        """White - black."""
        return self.white_dn - self.black_dn

    @property
    def gain_dn(self) -> float:
        """DN per electron."""
        return self.shot_gain * self.span_dn

    def shoot(self, clean: Floats, rng: Generator) -> Floats:
        """One exposure of `clean`, normalised, any shape; not rounded, not clipped."""
        electrons = rng.poisson(np.maximum(clean, 0) / self.shot_gain)
        return electrons * self.shot_gain + self.read_noise * rng.standard_normal(clean.shape)

    def dn(self, values: Floats) -> Floats:
        """Normalised values as unrounded codes."""
        return self.black_dn + values * self.span_dn

    def sigma_dn(self, clean: Floats) -> Floats:
        """Standard deviation of an exposure of `clean`, rounding included, in DN."""
        variance = (self.shot_gain * np.maximum(clean, 0) + self.read_noise**2) * self.span_dn**2
        return np.sqrt(variance + ROUNDING_DN2)

    def noise(self, levels: Iterable[float] = LEVELS) -> tuple[NoiseAt, ...]:
        """What a truth says at normalised `levels`."""
        at = np.array(tuple(levels))
        pairs = zip(self.dn(at), self.sigma_dn(at), strict=True)
        return tuple(NoiseAt(float(level), float(sigma)) for level, sigma in pairs)


def a_camera(rng: Generator, black_dn: int, white_dn: int = CONVERTER_END_DN) -> Camera:
    """A camera at some ISO: 1250 to 20000 electrons at white, read noise 0.0006 to 0.004 of white."""
    return Camera(log_uniform(rng, 5e-5, 8e-4), log_uniform(rng, 6e-4, 4e-3), black_dn, white_dn)


def codes(dn: Floats, last_dn: int = CONVERTER_END_DN) -> NDArray[np.uint16]:
    """Whole codes of 0 to `last_dn`, as a converter gives them."""
    return np.clip(np.rint(dn), 0, last_dn).astype(np.uint16)


@dataclass(frozen=True)
class Counter:
    """A scientific camera: offset + gain * electrons, with `read_noise_e` electrons of read noise."""

    gain_dn: float
    read_noise_e: float
    offset_dn: float

    def frame(self, electrons: Floats, rng: Generator) -> Floats:
        """One exposure of the mean number of electrons a pixel, any shape; unrounded DN."""
        read = self.read_noise_e * rng.standard_normal(electrons.shape)
        return self.offset_dn + self.gain_dn * (rng.poisson(np.maximum(electrons, 0)) + read)

    def noise(self, levels_e: Iterable[float]) -> tuple[NoiseAt, ...]:
        """What a truth says at `levels_e`, mean electrons."""
        return tuple(
            NoiseAt(
                self.offset_dn + self.gain_dn * level,
                math.sqrt(self.gain_dn**2 * (level + self.read_noise_e**2) + ROUNDING_DN2),
            )
            for level in levels_e
        )


def between(background: float, peak: float) -> tuple[float, float, float]:
    """Three levels of a scene of glowing things: a little above the background, a quarter and half of the peak."""
    return background + 0.08 * peak, background + 0.25 * peak, background + 0.5 * peak
