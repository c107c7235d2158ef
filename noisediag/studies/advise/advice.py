"""`noisediag advise`: what a stack, or one picture, says of the next acquisition."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisediag import images
from noisediag.errors import UnsupportedError
from noisediag.estimator import Estimator
from noisediag.footprint.values import Bounded, of_draws
from noisediag.studies.advise.light import LEAST_SLOPE, Light, PhotonLaw, pays_until
from noisediag.studies.advise.protocol import routes_to, sky_of
from noisediag.studies.advise.result import Advice, AdviseOptions, Average, PictureLevel
from noisediag.studies.advise.stack import LEVELS, frames_of, law_of, offset_of, pattern_of

Floats = NDArray[np.float64]

FRAMES = (1, 2, 4, 8, 16, 32, 64)
NO_EXCESS = ("ccd", "scmos")  # detectors that do not multiply electrons


def advise(path: Path, options: AdviseOptions, estimator: Estimator) -> Advice:
    """The advice that one file gives.

    Raises the InputErrors of reading it, UnsupportedError for rendered pictures and pictures that show no noise or no
    gain, UsageError for options that do not fit it.
    """
    image = images.read(path, black=options.black, white=options.white, channel=options.channel, roi=options.roi)
    if image.domain == "rendered":
        raise UnsupportedError("a rendered picture has no photons to count")
    planes = frames_of(image)
    law, picture, warnings = law_of(planes, image, options, estimator)
    offset, source = offset_of(planes[0], law, options)
    law = law.with_given(offset, options, float(np.median(picture.smooth)))
    if source != "vanishing" and options.gain is None:
        law = law.physical(offset, picture.levels["peak"])
    if not law.slope > 0:
        raise UnsupportedError("shows no noise that grows with the light, so no gain: a range of signals is needed")
    pattern, pattern_draws = pattern_of(picture, planes[0], offset, law, estimator)
    excess = options.excess_noise or 1.0
    lights = {name: law.light(value, offset, pattern.value or 0.0) for name, value in picture.levels.items()}
    draws = {name: law.light_draws(value, source, offset, pattern_draws) for name, value in picture.levels.items()}
    chosen = lights[options.level]
    if not chosen.electrons > 0:
        raise UnsupportedError(f"no light above the offset {offset:g} DN at the {options.level}")
    read_known = source != "vanishing" or options.read_noise_e is not None
    headroom = (planes[0].white_dn - offset) / max(picture.levels["peak"] - offset, 1e-9)
    return Advice(
        path=str(path),
        how="measured" if len(planes) > 1 else "estimated",
        frames=len(planes),
        effective=options.excess_noise is None and options.detector not in NO_EXCESS,
        excess_noise=excess,
        gain=_bounded(law.slope / excess, law.slopes / excess),
        offset_dn=offset,
        offset_source=source,
        read_noise_e=_read_noise(law, offset, excess) if read_known else Bounded(None),
        levels=tuple(_level(name, picture.levels[name], lights[name], draws[name], excess) for name in LEVELS),
        target_level=options.level,
        shot_above_dn=offset + chosen.read2 * law.slope if read_known else None,
        fixed_pattern=pattern,
        change_per_frame=picture.change(offset),
        averages=tuple(Average(n, _bounded(chosen.snr(n), draws[options.level].snr(n))) for n in FRAMES),
        pays_until=pays_until(chosen),
        target_snr=options.target_snr,
        max_dose=options.max_dose,
        routes=tuple(routes_to(chosen, options, headroom)),
        sky=sky_of(lights["median"], image, options) if options.sky else None,
        warnings=(*image.warnings, *warnings),
        checkpoint=estimator.checkpoint,
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
