"""The photon budget: signal and noise of a pixel in electrons, and what more frames, dwell or power would give.

Laws. A pixel's light gives lambda effective electrons a frame, its noise has the variance lambda + r^2 (r: read noise
in effective electrons), and a fixed pattern of relative size M stays in every frame. The mean of N frames has

    SNR(N) = lambda / sqrt((lambda + r^2) / N + (M * lambda)^2), never above 1 / M.

A dwell d times as long gives d * lambda; a power p times as high p^n * lambda, n photons being absorbed at once. A
detector that multiplies each electron by a random gain has an excess noise factor F: shot variance is F times that of
its electrons (Robbins and Hadwen 2003), so that the detected photons are F times the effective ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.footprint.values import SD_90
from noisediag.studies.advise.result import AdviseOptions

Floats = NDArray[np.float64]

DIMINISHED = 0.9  # of the highest SNR that averaging can give: from there on it hardly pays
LEAST_SLOPE = 1e-3  # of the line's own, in its draws: light without shot noise is none


@dataclass(frozen=True)
class Light:
    """Signal and noise of one pixel and frame, in effective electrons; numbers or arrays of draws."""

    electrons: Any
    read2: Any
    pattern: Any = 0.0

    def snr(self, frames: Any = 1) -> Any:
        """Of the mean of so many frames."""
        variance = (self.electrons + self.read2) / frames + (self.pattern * self.electrons) ** 2
        return self.electrons / np.sqrt(np.maximum(variance, 1e-300))  # without light and noise: 0


def frames_for(snr: float, light: Light) -> int | None:
    """The least number of frames whose mean reaches `snr`; None where the fixed pattern forbids it."""
    left = (light.electrons / snr) ** 2 - (light.pattern * light.electrons) ** 2
    return None if left <= 0 else max(1, math.ceil((light.electrons + light.read2) / left * (1 - 1e-12)))


def brightness_for(snr: float, light: Light) -> float | None:
    """Times the present light that one frame of `snr` needs; None where the fixed pattern forbids it."""
    rest = 1 / snr**2 - light.pattern**2
    if rest <= 0:
        return None
    return float((1 + math.sqrt(1 + 4 * light.read2 * rest)) / (2 * rest) / light.electrons)


def power_for(brightness: float, order: int) -> float:
    """Times the present power that makes `order`-photon excitation so many times as bright."""
    return float(brightness ** (1 / order))


def pays_until(light: Light) -> int | None:
    """Frames whose mean has 90 % of the highest SNR; None without a fixed pattern: averaging always pays."""
    if not light.pattern > 0 or not light.electrons > 0:
        return None
    floor = (light.pattern * light.electrons) ** 2
    return int(max(1, math.ceil((light.electrons + light.read2) / floor / (1 / DIMINISHED**2 - 1))))


@dataclass(frozen=True)
class PhotonLaw:
    """Variance of one frame = slope * DN + intercept, DN^2, with draws."""

    slope: float
    intercept: float
    slopes: Floats
    intercepts: Floats

    def with_given(self, offset: float, options: AdviseOptions, median_dn: float) -> PhotonLaw:
        """The line where gain or read noise are given: what is not given follows from the noise at the median."""
        law = self
        median, medians = self.slope * median_dn + self.intercept, self.slopes * median_dn + self.intercepts
        if options.gain is not None:
            slope = (options.excess_noise or 1.0) / options.gain
            shot = slope * median_dn
            law = PhotonLaw(slope, median - shot, np.full_like(self.slopes, slope), medians - shot)
        if options.read_noise_e is not None and median_dn > offset:
            excess = options.excess_noise or 1.0
            if options.gain is not None:
                law = law._through(law.slope, (options.read_noise_e / options.gain) ** 2 - law.slope * offset)
            else:  # variance = K * F * x + (K * r)^2 at the median x above the offset, for K
                x, read = median_dn - offset, options.read_noise_e
                gain = (
                    (math.sqrt((excess * x) ** 2 + 4 * read**2 * median) - excess * x) / (2 * read**2)
                    if read
                    else (median / (excess * x))
                )
                law = law._through(gain * excess, (gain * read) ** 2 - gain * excess * offset)
        return law

    def physical(self, offset: float, peak_dn: float) -> PhotonLaw:
        """No read variance below 0: where a line would have one, it goes through `offset` with the noise of the peak.

        The noise there is known even where the picture has too little range for the slope.
        """
        if not (peak_dn > offset and self.slope > 0):
            return self
        slopes, intercepts = np.append(self.slopes, self.slope), np.append(self.intercepts, self.intercept)
        peak = slopes * peak_dn + intercepts
        slopes = np.clip(
            slopes, LEAST_SLOPE * self.slope, np.maximum(peak / (peak_dn - offset), LEAST_SLOPE * self.slope)
        )
        intercepts = peak - slopes * peak_dn
        return PhotonLaw(float(slopes[-1]), float(intercepts[-1]), slopes[:-1], intercepts[:-1])

    def unscaled(self, signal_dn: float, offset: float, pattern: float) -> Light | None:
        """Signal and noise in DN, for an SNR without a gain; None where the line has no variance."""
        light, variance = max(signal_dn - offset, 0.0), self.slope * signal_dn + self.intercept
        return Light(light, variance - light, pattern) if variance > 0 else None

    def unscaled_draws(self, signal_dn: float, offset: float, pattern: Floats) -> Light:
        """`unscaled` for every draw."""
        light = max(signal_dn - offset, 0.0)
        variances = self.slopes * signal_dn + self.intercepts
        least = 1e-3 * float(np.median(np.abs(variances)))  # a draw below 0 is one of hardly any noise
        return Light(light, np.maximum(variances, max(least, 1e-12)) - light, pattern)

    def times(self, factor: float, error: float) -> PhotonLaw:
        """The variance `factor` times as large, with draws of a relative standard `error` of that factor."""
        factors = factor * np.exp(error * np.random.default_rng(3).standard_normal(len(self.slopes)))
        return PhotonLaw(factor * self.slope, factor * self.intercept, factors * self.slopes, factors * self.intercepts)

    def between(self, low: float, high: float, median_dn: float) -> PhotonLaw:
        """With draws whose 90 % interval reaches at least from `low` to `high`, the noise at the median kept."""
        median = self.slopes * median_dn + self.intercepts
        normal = np.random.default_rng(4).standard_normal(len(self.slopes))
        least = LEAST_SLOPE * self.slope
        down, up = (
            abs(math.log(max(end, least) / self.slope)) / SD_90 for end in (min(low, self.slope), max(high, self.slope))
        )
        slopes = self.slope * np.exp(np.where(normal < 0, down, up) * normal)
        return PhotonLaw(self.slope, self.intercept, slopes, median - slopes * median_dn)

    def _through(self, slope: float, intercept: float) -> PhotonLaw:
        ones = np.ones_like(self.slopes)
        return PhotonLaw(slope, intercept, slope * ones, intercept * ones)

    def light(self, signal_dn: float, offset: float, pattern: float) -> Light:
        read2 = max(self.slope * offset + self.intercept, 0.0) / self.slope**2
        return Light(max(signal_dn - offset, 0.0) / self.slope, read2, pattern)

    def light_draws(self, signal_dn: float, source: str, offset: float, pattern: Floats) -> Light:
        """`light` for every draw; an offset that was taken from the line is drawn with it."""
        slopes = np.maximum(self.slopes, LEAST_SLOPE * self.slope)
        offsets = -self.intercepts / slopes if source == "vanishing" else np.full_like(slopes, offset)
        read2 = np.maximum(slopes * offsets + self.intercepts, 0.0) / slopes**2
        return Light(np.maximum(signal_dn - offsets, 0.0) / slopes, read2, pattern)
