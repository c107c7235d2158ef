"""Reading a stack, or one picture: its light, the law of its noise, its offset and its fixed pattern."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from noisediag import images
from noisediag.errors import UnsupportedError, UsageError
from noisediag.estimator import Estimator
from noisediag.footprint.values import Bounded
from noisediag.images.image import Image, Plane
from noisediag.images.missing import complete
from noisediag.labels import repeats
from noisediag.labels.screening import smooth
from noisediag.studies.advise.light import PhotonLaw
from noisediag.studies.advise.result import AdviseOptions
from noisediag.studies.camera.profile import line, shows_noise

Floats = NDArray[np.float64]

LEVELS = {"background": 5.0, "median": 50.0, "peak": 99.5}  # percentile of the picture, smoothed over 3 x 3 pixels
TEXTURE = 1.1  # times their own noise, that a mean of frames must show for a fixed pattern: texture has passed for 1.07
SD_90 = 1.645  # standard deviations to either end of a normal 90 % interval, as rounded in printed advice


@dataclass(frozen=True)
class Picture:
    """The mean of the frames, DN, and its smoothed levels. `brightness`: the mean of every frame, DN."""

    mean: Floats
    smooth: Floats
    brightness: Floats

    @property
    def levels(self) -> dict[str, float]:
        return {name: float(np.percentile(self.smooth, at)) for name, at in LEVELS.items()}

    def change(self, offset: float) -> Bounded:
        """Relative change of brightness a frame, from a straight line with its standard error; None below 4 frames."""
        light = self.brightness - offset
        if len(light) < repeats.MIN_TREND_FRAMES or not light.mean() > 0:
            return Bounded(None)
        trend = repeats.brightness_trend(light)
        value, low, high = ((trend.slope + sign * SD_90 * trend.error) / float(light.mean()) for sign in (0, -1, 1))
        return Bounded(value, low, high)


def frames_of(image: Image) -> list[Plane]:
    """The frames of the one channel; of a RAW mosaic its first green plane, or its first."""
    channels = {plane.channel or plane.name for plane in image.planes}
    if image.domain == "raw-linear" and len(channels) > 1:
        return [next((plane for plane in image.planes if plane.name.startswith("G")), image.planes[0])]
    if len(channels) > 1:
        raise UsageError(f"has several channels ({', '.join(sorted(channels))}): --channel picks one")
    return list(image.planes)


def law_of(
    planes: Sequence[Plane], image: Image, options: AdviseOptions, estimator: Estimator
) -> tuple[PhotonLaw, Picture, list[str]]:
    """The law of one frame's noise, measured from repeats or estimated from one picture; the picture; warnings.

    Raises UnsupportedError where there is no noise to be seen, or the frames are no repeats.
    """
    generator = np.random.default_rng(0)
    if len(planes) > 1:
        measured = repeats.measure(planes, generator)
        law = PhotonLaw(measured.slope, measured.intercept, measured.slopes, measured.intercepts)
        return law, Picture(measured.mean, smooth(measured.mean), measured.brightness), []
    plane = planes[0]
    footprint = estimator.estimate(replace(image, planes=(plane,), frames=1)).planes[-1]
    if not shows_noise([footprint]):
        raise UnsupportedError("shows no pixel noise")
    values = complete(plane).astype(np.float64)
    span = plane.white_dn - plane.black_dn
    (slope, level), (slopes, levels) = line([[footprint]], generator, free=not plane.offset_known)
    doubt = footprint["shot_gain"].flag == "weakly_identified" and options.gain is None
    warnings = ["one picture leaves shot and read noise open here: take repeats, or give --gain"] if doubt else []
    law = PhotonLaw(
        slope * span,
        level * span**2 - slope * span * plane.black_dn,
        slopes * span,
        levels * span**2 - slopes * span * plane.black_dn,
    )
    return law, Picture(values, smooth(values), np.array([values.mean()])), warnings


def offset_of(plane: Plane, law: PhotonLaw, options: AdviseOptions) -> tuple[float, str]:
    """The DN without light and where it is known from (see `Advice.offset_source`).

    Raises UsageError where options need an offset that is not known, UnsupportedError where the noise does not show it.
    """
    if plane.offset_known:
        return plane.black_dn, "given" if options.black is not None else "file"
    if options.sky or options.read_noise_e is not None:
        raise UsageError("the offset is needed to tell read noise: --offset")
    if not law.slope > 0:
        raise UnsupportedError("shows no noise that grows with the light, so no gain: a range of signals is needed")
    return -law.intercept / law.slope, "vanishing"


def pattern_of(
    picture: Picture, plane: Plane, offset: float, law: PhotonLaw, estimator: Estimator
) -> tuple[Bounded, Floats]:
    """The fixed pattern relative to the light: what noise the mean of the frames has beyond theirs over their number.

    Of one picture it is the noise that multiplies the light, as the model splits it off.
    """
    white = max(plane.white_dn, float(picture.mean.max()))
    black = min(offset, white - 1)
    image = images.from_array(picture.mean.astype(np.float32), black=black, white=white)
    footprint = estimator.estimate(image)
    frames, draws, visible = len(picture.brightness), len(law.slopes), True
    multiplicative = footprint["multiplicative"]
    value, low, high = multiplicative.value, multiplicative.low or 0.0, multiplicative.high
    if frames > 1:
        points = [point for point in footprint.curve if point.signal > 0]
        bright = points[len(points) // 2 :]  # where a pattern shows best
        if not bright:
            return Bounded(None), np.zeros(draws)
        signal, *sigmas = (np.array(part) * (white - black) for part in zip(*map(astuple, bright), strict=True))
        temporal = (law.slope * (signal + black) + law.intercept) / frames
        visible = bool(np.median(sigmas[1] / np.sqrt(np.maximum(temporal, 1e-30))) > TEXTURE)
        value, low, high = (float(np.median(np.sqrt(np.maximum(s**2 - temporal, 0)) / signal)) for s in sigmas)
    if not visible or not value or not high or not low > 0:
        return Bounded(None, 0.0, high), np.zeros(draws)
    spread = math.log(high / low) / (2 * SD_90)
    normal = np.random.default_rng(1).standard_normal(draws)
    return Bounded(value, low, high), value * np.exp(spread * normal)
