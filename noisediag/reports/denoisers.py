"""The file's noise as denoisers and encoders take it: one number, or the option that hands it over."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UsageError
from noisediag.footprint.file import Footprint
from noisediag.genome import srgb
from noisediag.images.image import LUMA

Floats = NDArray[np.float64]

DIGITS = 4  # of the numbers handed over

# The camera that AV1 encoders have in mind: libaom's examples/photon_noise_table.c, a 35 mm sensor in daylight.
PHOTONS_PER_LXS_UM2 = 11260.0  # photons per lux second and square micrometre
QUANTUM_EFFICIENCY = 0.2  # electrons per photon
RESPONSE_NON_UNIFORMITY = 0.005  # of the signal
READ_NOISE_E = 1.5
SENSOR_UM2 = 36000.0 * 24000.0
MID_TONE = 0.18  # of white
MID_TONE_EXPOSURE_LXS = 10.0  # lux seconds at ISO 1
AV1_ISO = (1.0, 1e7)  # searched for the wanted noise


def channel_sigma(footprint: Footprint) -> float:
    """Standard deviation of the noise of a channel, for white - black = 1: what denoisers ask for.

    The square root of the mean of sigma^2 over the picture's signals; of a colour picture over those of R, G and B.
    Its luma would be too quiet: averaging takes independent noise away. The file's own plane where a RAW file or one
    channel is all that there is. Raises UsageError for colours of different scales, which have no one number.
    """
    colours = [plane for plane in footprint.planes if plane.name in LUMA]
    if footprint.domain == "raw-linear" or {plane.name for plane in colours} != set(LUMA):
        return footprint.planes[-1].effective_sigma
    if len({(plane.black_dn, plane.white_dn) for plane in colours}) > 1:
        raise UsageError(
            f"{footprint.path}: black and white differ between R, G and B: give --black and --white, or a --channel"
        )
    return math.sqrt(sum(plane.effective_sigma**2 for plane in colours) / len(colours))


def quiet_value(footprint: Footprint, scale: float = 1.0) -> str:
    """`channel_sigma` for white - black = `scale`."""
    return f"{channel_sigma(footprint) * scale:.{DIGITS}g}"


def bm3d(footprint: Footprint) -> str:
    """The keyword of the Python package `bm3d`, for a picture of 0 to 1: of its colours, too, each one's sigma."""
    return f"sigma_psd={quiet_value(footprint)}"


def fastdvdnet(footprint: Footprint) -> str:
    """The option of FastDVDnet's test script, which counts to 255 and takes the sigma of a colour."""
    return f"--noise_sigma {quiet_value(footprint, 255.0)}"


def av1(footprint: Footprint) -> str:
    """The option of rav1e and Av1an: the ISO whose photon noise is the picture's own at its own signals.

    The grain of an ISO is laid over the luma, so that the luma's curve counts here. Raises UsageError where the file is
    not rendered (sRGB), or shows no noise.
    """
    if footprint.domain != "rendered" and footprint.rendered is None:
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


def encoded_sigma(signal: Floats, iso: float, width: int, height: int) -> Floats:
    """Noise (0 to 1) that AV1 encoders add at sRGB signals `signal` (0 to 1) of a `width` x `height` picture."""
    at_mid_tone = QUANTUM_EFFICIENCY * PHOTONS_PER_LXS_UM2 * MID_TONE_EXPOSURE_LXS / iso * SENSOR_UM2 / (width * height)
    full = at_mid_tone / MID_TONE
    linear = srgb.decoded(signal)
    electrons = full * linear
    noise = np.sqrt(READ_NOISE_E**2 + electrons + (RESPONSE_NON_UNIFORMITY * electrons) ** 2) / full
    start, end = np.maximum(linear - 2 * noise, 0.0), np.minimum(linear + 2 * noise, 1.0)
    return np.asarray(noise * (srgb.encoded(end) - srgb.encoded(start)) / (end - start))


FORMATS = {"bm3d": bm3d, "fastdvdnet": fastdvdnet, "av1": av1}
