"""`noisediag advise`: what a stack, or one picture, says of the next acquisition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisediag import images
from noisediag.errors import UnsupportedError
from noisediag.estimator import Estimator
from noisediag.footprint.values import Bounded, of_draws
from noisediag.images.image import Image, Plane
from noisediag.labels.bursts import over_time
from noisediag.studies.advise.light import LEAST_SLOPE, Light, PhotonLaw, pays_until
from noisediag.studies.advise.protocol import routes_to, routes_without_gain, sky_of
from noisediag.studies.advise.result import Advice, AdviseOptions, Average, PictureLevel
from noisediag.studies.advise.stack import LEVELS, Reading, contradiction, frames_of, offset_of, pattern_of, read_stack

Floats = NDArray[np.float64]

FRAMES = (1, 2, 4, 8, 16, 32, 64)
NO_EXCESS = ("ccd", "scmos")  # detectors that do not multiply electrons


@dataclass(frozen=True)
class _Stack:
    """A file as it was read, and what its frames show. `offset_dn` None: not known."""

    image: Image
    planes: Sequence[Plane]
    reading: Reading
    offset_dn: float | None
    offset_source: str


def advise(path: Path, options: AdviseOptions, estimator: Estimator) -> Advice:
    """The advice that one file gives.

    Raises the InputErrors of reading it and what `advise_on` raises.
    """
    image = images.read(path, black=options.black, white=options.white, channel=options.channel, roi=options.roi)
    return advise_on(image, str(path), options, estimator)


def advise_on(image: Image, path: str, options: AdviseOptions, estimator: Estimator) -> Advice:
    """The advice that a picture, or a stack, gives, which was read with the `options`; `path` names it.

    Raises UnsupportedError for rendered pictures and pictures that show no noise, and for a sky without a gain,
    UsageError for options that do not fit it.
    """
    if image.domain == "rendered":
        raise UnsupportedError("a rendered picture has no photons to count")
    image = over_time(image, single=True)
    planes = frames_of(image)
    reading = read_stack(planes, image, options, estimator)
    offset, source = offset_of(planes[0], reading, options)
    if offset is not None and source in ("file", "given") and reading.no_gain is None:
        reading = replace(reading, no_gain=contradiction(reading.law, offset, reading.picture.levels["median"]))
    stack = _Stack(image, planes, reading, offset, source)
    nothing = _nothing_known(path, stack, options, estimator)
    if options.gain is None and (reading.no_gain is not None or offset is None):
        return _without_gain(nothing, stack, options, estimator)
    return _with_gain(nothing, stack, options, estimator)


def _nothing_known(path: str, stack: _Stack, options: AdviseOptions, estimator: Estimator) -> Advice:
    """The advice on `stack` without anything that its noise would say."""
    return Advice(
        path=path,
        how=stack.reading.how,
        frames=len(stack.planes),
        effective=options.excess_noise is None and options.detector not in NO_EXCESS,
        excess_noise=options.excess_noise or 1.0,
        gain=Bounded(None),
        offset_dn=stack.offset_dn,
        offset_source=stack.offset_source,
        read_noise_e=Bounded(None),
        levels=tuple(
            PictureLevel(name, value, Bounded(None), Bounded(None), None)
            for name, value in stack.reading.picture.levels.items()
        ),
        target_level=options.level,
        shot_above_dn=None,
        fixed_pattern=Bounded(None),
        change_per_frame=Bounded(None) if stack.offset_dn is None else stack.reading.picture.change(stack.offset_dn),
        averages=tuple(Average(n, Bounded(None)) for n in FRAMES),
        pays_until=None,
        target_snr=options.target_snr,
        max_dose=options.max_dose,
        routes=(),
        sky=None,
        warnings=(*stack.image.warnings, *stack.reading.warnings),
        checkpoint=estimator.checkpoint,
    )


def _with_gain(nothing: Advice, stack: _Stack, options: AdviseOptions, estimator: Estimator) -> Advice:
    """Photons, and all that follows from them."""
    reading, offset, picture = stack.reading, stack.offset_dn, stack.reading.picture
    assert offset is not None
    law = reading.law.with_given(offset, options, float(np.median(picture.smooth)))
    read_known = stack.offset_source in ("file", "given")
    if read_known and options.gain is None:
        law = law.physical(offset, picture.levels["peak"])
    pattern, pattern_draws = pattern_of(picture, stack.planes[0], offset, reading.pixel_law, estimator)
    excess = options.excess_noise or 1.0
    lights = {name: law.light(value, offset, pattern.value or 0.0) for name, value in picture.levels.items()}
    draws = {
        name: law.light_draws(value, stack.offset_source, offset, pattern_draws)
        for name, value in picture.levels.items()
    }
    chosen = lights[options.level]
    if not chosen.electrons > 0:
        raise UnsupportedError(f"no light above the offset {offset:g} DN at the {options.level}")
    read_known = read_known or options.read_noise_e is not None
    headroom = (stack.planes[0].white_dn - offset) / max(picture.levels["peak"] - offset, 1e-9)
    doubts = () if reading.no_noise is None else (reading.no_noise,)
    return replace(
        nothing,
        gain=_bounded(law.slope / excess, law.slopes / excess),
        read_noise_e=_read_noise(law, offset, excess) if read_known else Bounded(None),
        levels=tuple(_level(name, picture.levels[name], lights[name], draws[name], excess) for name in LEVELS),
        shot_above_dn=offset + chosen.read2 * law.slope if read_known else None,
        fixed_pattern=pattern,
        averages=tuple(Average(n, _bounded(chosen.snr(n), draws[options.level].snr(n))) for n in FRAMES),
        pays_until=pays_until(chosen),
        routes=tuple(routes_to(chosen, options, headroom)),
        sky=sky_of(lights["median"], stack.image, options) if options.sky else None,
        warnings=(*nothing.warnings, *doubts),
    )


def _without_gain(nothing: Advice, stack: _Stack, options: AdviseOptions, estimator: Estimator) -> Advice:
    """No photons, but the SNR, where black and the noise at least are known: it is a ratio of two numbers in DN."""
    reading, offset, picture = stack.reading, stack.offset_dn, stack.reading.picture
    reason = reading.no_gain or "the noise does not rise with the light here: a gain needs a range of signals"
    if options.sky:
        raise UnsupportedError(f"no gain, so no electrons of the sky: {reason}")
    nothing = replace(nothing, warnings=(*nothing.warnings, f"no gain, so no photons: {reason}"))
    if offset is None or reading.no_noise is not None:
        return nothing
    law = reading.pixel_law
    pattern, pattern_draws = pattern_of(picture, stack.planes[0], offset, law, estimator)
    lights = {name: law.unscaled(value, offset, pattern.value or 0.0) for name, value in picture.levels.items()}
    draws = {name: law.unscaled_draws(value, offset, pattern_draws) for name, value in picture.levels.items()}

    def snr(name: str, frames: int = 1) -> Bounded:
        light = lights[name]
        if light is None:
            return Bounded(None)
        return _bounded(float(light.snr(frames)), draws[name].snr(frames))

    chosen = lights[options.level]
    return replace(
        nothing,
        levels=tuple(replace(level, snr=snr(level.name)) for level in nothing.levels),
        fixed_pattern=pattern,
        averages=tuple(Average(n, snr(options.level, n)) for n in FRAMES),
        pays_until=None if chosen is None else pays_until(chosen),
        routes=() if chosen is None else tuple(routes_without_gain(chosen, options)),
    )


def _read_noise(law: PhotonLaw, offset: float, excess: float) -> Bounded:
    """In detected electrons: sigma_r / K, K = slope / F."""
    sigma = math.sqrt(max(law.slope * offset + law.intercept, 0.0))
    sigmas = np.sqrt(np.maximum(law.slopes * offset + law.intercepts, 0.0))
    return _bounded(sigma * excess / law.slope, sigmas * excess / np.maximum(law.slopes, LEAST_SLOPE * law.slope))


def _level(name: str, signal_dn: float, light: Light, draws: Light, excess: float) -> PictureLevel:
    parts = {"shot": light.electrons, "read": light.read2, "pattern": (light.pattern * light.electrons) ** 2}
    photons = _bounded(excess * light.electrons, excess * draws.electrons)
    snr = _bounded(float(light.snr()), draws.snr()) if light.electrons > 0 else Bounded(0.0)
    return PictureLevel(name, signal_dn, photons, snr, max(parts, key=lambda part: parts[part]))


def _bounded(value: float, draws: Floats) -> Bounded:
    return Bounded(*of_draws(value, draws))
