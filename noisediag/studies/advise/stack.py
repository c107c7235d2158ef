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
from noisediag.footprint.plane import counts_as_found
from noisediag.footprint.values import Bounded, interval
from noisediag.images.image import Image, Plane
from noisediag.images.missing import complete
from noisediag.labels import repeats
from noisediag.labels.repeats import Repeats
from noisediag.labels.screening import smooth
from noisediag.studies.advise.light import PhotonLaw
from noisediag.studies.advise.result import AdviseOptions
from noisediag.studies.camera.profile import line, shows_noise

Floats = NDArray[np.float64]

LEVELS = {"background": 5.0, "median": 50.0, "peak": 99.5}  # percentile of the picture, smoothed over 3 x 3 pixels
TEXTURE = 1.1  # times their own noise, that a mean of frames must show for a fixed pattern: texture has passed for 1.07
BLIND = frozenset({"misfit", "out_of_domain", "smoothed", "few_pixels"})  # of an estimate that shows no gain
FAR_RATIO = 2.0  # of the gains of frames' differences and of a single frame, beyond their intervals
UNFILTERED_ERROR = 0.06  # of a gain whose interpolation was undone: edges that it blurred add up to 9 %
DARK_SD, DARK_SHARE = (
    4.0,
    0.1,
)  # standard errors, and of the variance at the median, by which it may be below 0 in the dark
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


@dataclass(frozen=True)
class Reading:
    """What the frames show. `law`: of the light before an interpolation, if there was one; `pixel_law`: of the frames.

    `no_gain`: why the slope of the law is no gain; `no_noise`: why its variance is no noise either.
    """

    law: PhotonLaw
    pixel_law: PhotonLaw
    picture: Picture
    no_gain: str | None = None
    no_noise: str | None = None
    warnings: tuple[str, ...] = ()
    how: str = "measured"  # or estimated, from a single frame


def frames_of(image: Image) -> list[Plane]:
    """The frames of the one channel; of a RAW mosaic its first green plane, or its first."""
    channels = {plane.channel or plane.name for plane in image.planes}
    if image.domain == "raw-linear" and len(channels) > 1:
        return [next((plane for plane in image.planes if plane.name.startswith("G")), image.planes[0])]
    if len(channels) > 1:
        raise UsageError(f"has several channels ({', '.join(sorted(channels))}): --channel picks one")
    return list(image.planes)


def read_stack(planes: Sequence[Plane], image: Image, options: AdviseOptions, estimator: Estimator) -> Reading:
    """The law of one frame's noise, measured from repeats or estimated from one picture, and what speaks against it.

    Raises UnsupportedError where there is no noise to be seen, or the frames are no repeats.
    """
    if len(planes) == 1:
        return _of_one(planes[0], image, options, estimator)
    measured = repeats.measure(planes, np.random.default_rng(0))
    if measured.evidence.scene is not None and options.gain is None:
        alone = _of_one(planes[len(planes) // 2], image, options, estimator)
        if alone.no_gain is None:
            words = f"{measured.evidence.scene}; the noise is estimated from one frame alone"
            return replace(alone, warnings=(words, *alone.warnings))
    return _of_repeats(measured, planes, image, estimator)


def _of_repeats(measured: Repeats, planes: Sequence[Plane], image: Image, estimator: Estimator) -> Reading:
    pixels = PhotonLaw(measured.slope, measured.intercept, measured.slopes, measured.intercepts)
    picture = Picture(measured.mean, smooth(measured.mean), measured.brightness)
    evidence, law, warnings = measured.evidence, pixels, list(measured.warnings)
    no_gain = evidence.no_gain
    if no_gain is None and evidence.shared:
        law = pixels.times(evidence.unfiltered, UNFILTERED_ERROR)
        warnings.append(
            f"neighbouring pixels share noise, as interpolation makes it ({evidence.power:.2g} times the variance of a "
            "pixel over all of them): gain, photons and SNR are those before it"
        )
    if no_gain is None:
        no_gain, doubts = _beside_one_frame(planes, image, pixels, estimator)
        warnings += doubts
    unique = [warning for warning in dict.fromkeys(warnings) if warning != no_gain]
    return Reading(law, pixels, picture, no_gain, evidence.no_line, tuple(unique))


def _beside_one_frame(
    planes: Sequence[Plane], image: Image, law: PhotonLaw, estimator: Estimator
) -> tuple[str | None, list[str]]:
    """Why the frames' differences are belied by the noise of a single one; or doubts that this leaves."""
    middle = planes[len(planes) // 2]
    footprint = estimator.estimate(replace(image, planes=(middle,), frames=1)).planes[-1]
    shot = footprint["shot_gain"]
    if shot.value_dn is None or shot.low_dn is None or shot.high_dn is None or BLIND & set(footprint.flags):
        return None, []
    low, high = interval(law.slopes)
    if low > FAR_RATIO * shot.high_dn:
        return (
            f"the frames' differences show {law.slope:.3g} DN a photon, a single frame at most {shot.high_dn:.3g}: "
            "more than its noise changes from frame to frame"
        ), []
    if FAR_RATIO * high < shot.low_dn:
        words = (
            f"a single frame shows at least {shot.low_dn:.3g} DN a photon, the frames' differences {law.slope:.3g}: "
            "the frames share noise (averaged, denoised over time), or a fixed pattern passes for noise in one of them"
        )
        return None, [words]
    return None, []


def _of_one(plane: Plane, image: Image, options: AdviseOptions, estimator: Estimator) -> Reading:
    footprint = estimator.estimate(replace(image, planes=(plane,), frames=1)).planes[-1]
    if not shows_noise([footprint]):
        raise UnsupportedError("shows no pixel noise")
    values = complete(plane).astype(np.float64)
    span = plane.white_dn - plane.black_dn
    (slope, level), (slopes, levels) = line([[footprint]], np.random.default_rng(0), free=not plane.offset_known)
    law = PhotonLaw(
        slope * span,
        level * span**2 - slope * span * plane.black_dn,
        slopes * span,
        levels * span**2 - slopes * span * plane.black_dn,
    )
    picture = Picture(values, smooth(values), np.array([values.mean()]))
    shot, shared, warnings = footprint["shot_gain"], footprint["correlation"], []
    no_gain = None if shot.value is not None else "one picture does not show its gain here: take repeats"
    doubted = sorted(BLIND & set(footprint.flags))
    if doubted:
        no_gain = f"the noise of this one picture is no count of photons ({', '.join(doubted)}): take repeats"
    elif counts_as_found(shared.value, shared.present):
        no_gain = "neighbouring pixels of this one picture share noise: take repeats"
    elif shot.flag == "weakly_identified" and options.gain is None:
        warnings.append("one picture leaves shot and read noise open here: take repeats, or give --gain")
        if shot.low_dn is not None and shot.high_dn is not None:
            law = law.between(shot.low_dn, shot.high_dn, picture.levels["median"])
    return Reading(law, law, picture, no_gain, warnings=tuple(warnings), how="estimated")


def offset_of(plane: Plane, reading: Reading, options: AdviseOptions) -> tuple[float | None, str]:
    """The DN without light and where it is known from (see `Advice.offset_source`).

    Raises UsageError where options need an offset that is not known.
    """
    if plane.offset_known:
        return plane.black_dn, "given" if options.black is not None else "file"
    if options.sky or options.read_noise_e is not None:
        raise UsageError("the offset is needed to tell read noise: --offset")
    law = reading.law
    if reading.no_gain is not None or not law.slope > 0:
        if options.gain is None:
            return None, "unknown"
        median = float(np.median(reading.picture.smooth))  # the noise there, at the gain that is given
        return median - (law.slope * median + law.intercept) * options.gain / (options.excess_noise or 1.0), "vanishing"
    return -law.intercept / law.slope, "vanishing"


def contradiction(law: PhotonLaw, offset: float, median_dn: float) -> str | None:
    """Why noise that vanishes above the offset is none of photons; None: it does not."""
    dark, darks = law.slope * offset + law.intercept, law.slopes * offset + law.intercepts
    usual = law.slope * median_dn + law.intercept
    if not law.slope > 0 or dark > -max(DARK_SD * float(darks.std()), DARK_SHARE * usual):
        return None
    return (
        f"the noise vanishes at {-law.intercept / law.slope:.4g} DN, above the offset {offset:.4g}: a wrong offset, or "
        "noise that grows faster than the light"
    )


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
