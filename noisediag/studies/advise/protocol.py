"""The protocol: ways to a target SNR, sub-exposures of a sky, and how light grows with power and dwell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from noisediag.errors import UnsupportedError, UsageError
from noisediag.images.image import Image
from noisediag.studies.advise.light import Light, brightness_for, frames_for, power_for
from noisediag.studies.advise.result import Advice, AdviseOptions, Route, Sky

ORDERS = (1, 2, 3)  # photons absorbed at once
SKY_LOSSES = (0.10, 0.05, 0.02)  # shares that read noise may add to the noise of the sky


def routes_to(light: Light, options: AdviseOptions, headroom: float) -> list[Route]:
    """Every way from `light` to the target SNR, if asked for. `headroom`: times the light that clips the peak."""
    target, budget = options.target_snr, options.max_dose
    if target is None:
        return []

    def route(means: str, factor: float | None, brightness: float | None) -> Route:
        within = None if budget is None or factor is None else factor <= budget
        return Route(means, factor, factor, within, brightness is not None and brightness > headroom)

    brightness = brightness_for(target, light)
    powers = [
        route(f"power, {order}-photon", None if brightness is None else power_for(brightness, order), brightness)
        for order in ORDERS
    ]
    return [route("frames", frames_for(target, light), None), route("dwell", brightness, brightness), *powers]


def routes_without_gain(light: Light, options: AdviseOptions) -> list[Route]:
    """The one way that is known without a gain: how the noise grows with the light is not."""
    target, budget = options.target_snr, options.max_dose
    if target is None or not light.electrons > 0:
        return []
    frames = frames_for(target, light)
    return [Route("frames", frames, frames, None if budget is None or frames is None else frames <= budget, False)]


def sky_of(light: Light, image: Image, options: AdviseOptions) -> Sky:
    """Shortest exposures: read noise adds the share s to the sky's noise where r^2 = ((1 + s)^2 - 1) * sky.

    Raises UsageError where the exposure is not known, UnsupportedError where there is no light.
    """
    exposure = options.exposure_s or image.acquisition.get("ExposureTime")
    if not isinstance(exposure, int | float) or not exposure > 0:
        raise UsageError("the file does not say its exposure time: --exposure, in seconds")
    if not light.electrons > 0:
        raise UnsupportedError("no sky above the offset")
    excess = options.excess_noise or 1.0
    swamped = light.read2 / light.electrons * float(exposure)
    shortest = tuple((share, swamped / ((1 + share) ** 2 - 1)) for share in SKY_LOSSES)
    added = math.sqrt(1 + light.read2 / light.electrons) - 1
    sky_e = excess * light.electrons
    return Sky(float(exposure), sky_e, sky_e / float(exposure), added, shortest)


@dataclass(frozen=True)
class Exponents:
    """Brightness against power and dwell over a series: slopes of the logarithms, with standard errors."""

    power: float | None
    power_error: float | None
    dwell: float | None
    dwell_error: float | None


def exponents(advices: Sequence[Advice], powers: Sequence[float], dwells: Sequence[float]) -> Exponents:
    """How the photons at the target level grow with power and dwell; 1, 2 or 3 is the order of the excitation.

    `powers`, `dwells`: one a file, or none. Raises UsageError where they do not vary, or vary together.
    """
    names = [name for name, values in (("power", powers), ("dwell", dwells)) if values]
    columns = [np.log(values) for values in (powers, dwells) if len(values)]
    withheld = [advice.path for advice in advices if advice.gain.value is None]
    if withheld:
        raise UsageError(f"{withheld[0]}: has no gain, so no photons for a series")
    photons = [
        next(level.photons.value or 0.0 for level in advice.levels if level.name == advice.target_level)
        for advice in advices
    ]
    system = np.stack([*columns, np.ones(len(photons))], axis=1)
    if min(photons) <= 0 or np.linalg.matrix_rank(system) < system.shape[1]:
        raise UsageError(f"{' and '.join(f'--{name}' for name in names)}: do not vary independently over the files")
    log = np.log(photons)
    solution = np.linalg.lstsq(system, log, rcond=None)[0]
    freedom = len(log) - system.shape[1]
    errors = np.full(len(solution), np.nan)
    if freedom > 0:
        scatter = float(np.sum((log - system @ solution) ** 2)) / freedom
        errors = np.sqrt(scatter * np.diag(np.linalg.inv(system.T @ system)))
    fitted = {name: (float(solution[i]), float(errors[i]) if freedom > 0 else None) for i, name in enumerate(names)}
    power, dwell = fitted.get("power", (None, None)), fitted.get("dwell", (None, None))
    return Exponents(*power, *dwell)
