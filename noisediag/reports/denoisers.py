"""The file's noise as denoisers and encoders take it: one number, or the option that hands it over."""

from __future__ import annotations

import math

import numpy as np

from noisediag.errors import UsageError
from noisediag.footprint.file import Footprint
from noisediag.genome import srgb

DIGITS = 4

# The camera that AV1 encoders have in mind: libaom's examples/photon_noise_table.c, a 35 mm sensor in daylight.
PHOTONS_PER_LXS_UM2 = 11260.0
QUANTUM_EFFICIENCY = 0.2
RESPONSE_NON_UNIFORMITY = 0.005
READ_NOISE_E = 1.5
SENSOR_UM2 = 36000.0 * 24000.0
MID_TONE = 0.18
MID_TONE_EXPOSURE_LXS = 10.0  # at ISO 1
AV1_ISO = (1.0, 1e7)


def quiet_value(footprint: Footprint, scale: float = 1.0) -> str:
    """Square root of the mean of sigma^2 over the picture's signals, for white - black = `scale`."""
    return f"{footprint.derived.sigma_effective * scale:.{DIGITS}g}"


def bm3d(footprint: Footprint) -> str:
    """The keyword of the Python package `bm3d`, for a picture of 0 to 1."""
    return f"sigma_psd={quiet_value(footprint)}"


def fastdvdnet(footprint: Footprint) -> str:
    """The option of FastDVDnet's test script, which counts to 255."""
    return f"--noise_sigma {quiet_value(footprint, 255.0)}"


def av1(footprint: Footprint) -> str:
    """The option of rav1e and Av1an: the ISO whose photon noise is the picture's own at its own signals.

    Raises UsageError where the file is not rendered (sRGB), or shows no noise.
    """
    if footprint.domain != "rendered":
        raise UsageError(
            f"{footprint.path}: AV1's film grain is that of rendered pictures, such as frames of the video"
        )
    return f"--photon-noise {photon_noise_iso(footprint)}"


def photon_noise_iso(footprint: Footprint) -> int:
    """The ISO at which the encoders' camera has the mean log sigma of the picture's curve; bisection, two digits."""
    points = [point for point in footprint.curve if 0 < point.signal < 1 and point.sigma > 0]
    if not points or not any(point.low > 0 for point in points):
        raise UsageError(f"{footprint.path}: no noise was found to make film grain of")
    signals = np.array([point.signal for point in points])
    wanted = float(np.mean(np.log([point.sigma for point in points])))
    low, high = AV1_ISO
    height, width = footprint.planes[-1].shape
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        found = float(np.mean(np.log(encoded_sigma(signals, middle, width, height))))
        low, high = (middle, high) if found < wanted else (low, middle)
    return int(float(f"{low:.2g}"))


def encoded_sigma(signal: np.ndarray, iso: float, width: int, height: int) -> np.ndarray:
    """Noise (0 to 1) that AV1 encoders add at sRGB signals `signal` (0 to 1) of a `width` x `height` picture."""
    at_mid_tone = QUANTUM_EFFICIENCY * PHOTONS_PER_LXS_UM2 * MID_TONE_EXPOSURE_LXS / iso * SENSOR_UM2 / (width * height)
    full = at_mid_tone / MID_TONE
    linear = srgb.decode(signal)
    electrons = full * linear
    noise = np.sqrt(READ_NOISE_E**2 + electrons + (RESPONSE_NON_UNIFORMITY * electrons) ** 2) / full
    start, end = np.maximum(linear - 2 * noise, 0.0), np.minimum(linear + 2 * noise, 1.0)
    return np.asarray(noise * (srgb.encode(end) - srgb.encode(start)) / (end - start))


FORMATS = {"bm3d": bm3d, "fastdvdnet": fastdvdnet, "av1": av1}
