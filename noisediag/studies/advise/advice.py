"""`noisediag advise`: what a stack, or one picture, says of the next acquisition.

Laws. A pixel's light gives lambda effective electrons a frame, its noise has the variance lambda + r^2 (r: read noise
in effective electrons), and a fixed pattern of relative size M stays in every frame. The mean of N frames has

    SNR(N) = lambda / sqrt((lambda + r^2) / N + (M * lambda)^2), never above 1 / M.

A dwell d times as long gives d * lambda; a power p times as high p^n * lambda, n photons being absorbed at once. A
detector that multiplies each electron by a random gain has an excess noise factor F: shot variance is F times that of
its electrons (Robbins and Hadwen 2003), so that the detected photons are F times the effective ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag import images
from noisediag.errors import UnsupportedError, UsageError
from noisediag.estimator import Estimator
from noisediag.footprint.file import CheckpointId
from noisediag.images.image import Image, Plane
from noisediag.labels.repeats import measure
from noisediag.labels.screening import smooth
from noisediag.studies.camera.profile import line, shows_noise

Floats = NDArray[np.float64]

LEVELS = {"background": 5.0, "median": 50.0, "peak": 99.5}  # percentile of the picture, smoothed over 3 x 3 pixels
FRAMES = (1, 2, 4, 8, 16, 32, 64)
ORDERS = (1, 2, 3)  # photons absorbed at once
DIMINISHED = 0.9  # of the highest SNR that averaging can give: from there on it hardly pays
SKY_LOSSES = (0.10, 0.05, 0.02)  # noise that read noise may add to that of the sky
TEXTURE = 1.1  # times their own noise, that a mean of frames must show for a fixed pattern: texture has passed for 1.07
LEAST_SLOPE = 1e-3  # of the line's own, in its draws: light without shot noise is none
NO_EXCESS = ("ccd", "scmos")  # detectors that do not multiply electrons


@dataclass(frozen=True)
class Value:
    """A number with its 90 % interval; None: unknown."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Level:
    """A part of the picture. `photons` a pixel and frame; `limit`: shot, read or pattern, the largest noise."""

    name: str
    signal_dn: float
    photons: Value
    snr: Value
    limit: str


@dataclass(frozen=True)
class Average:
    """SNR of the mean of so many frames."""

    frames: int
    snr: Value


@dataclass(frozen=True)
class Route:
    """One way to the target. `factor`: frames, or times the present dwell or power; None: no factor is enough.

    `dose`: light on the sample, in present frames. `clips`: the brightest pixels would reach white.
    """

    means: str
    factor: float | None
    dose: float | None
    within_dose: bool | None
    clips: bool


@dataclass(frozen=True)
class Sky:
    """Sub-exposures of a sky. `read_share`: what read noise adds to the noise of the sky alone, now."""

    exposure_s: float
    sky_e: float
    sky_rate: float  # e-/px/s
    read_share: float
    minimal_s: tuple[tuple[float, float], ...]  # added noise, shortest exposure


@dataclass(frozen=True)
class Advice:
    """What one file says. DN/e- and photons are effective where the excess noise factor is not known."""

    path: str
    how: str  # measured (from repeats) or estimated (from one picture)
    frames: int
    effective: bool
    excess_noise: float
    gain: Value  # DN a photon
    offset_dn: float
    offset_source: str  # file, given, or vanishing (the DN at which the variance vanishes)
    read_noise_e: Value
    levels: tuple[Level, ...]
    target_level: str
    shot_above_dn: float | None
    fixed_pattern: Value  # relative; value None: not found, high is the limit of detection
    change_per_frame: Value
    averages: tuple[Average, ...]
    pays_until: int | None  # frames
    target_snr: float | None
    max_dose: float | None
    routes: tuple[Route, ...]
    sky: Sky | None
    warnings: tuple[str, ...]
    checkpoint: CheckpointId


@dataclass(frozen=True)
class AdviseOptions:
    """`excess_noise`: F, the factor on the shot variance; `gain` (e-/DN) and `read_noise_e`; None: not known."""

    black: float | None = None
    white: float | None = None
    channel: str | None = None
    roi: tuple[int, int, int, int] | None = None
    gain: float | None = None
    read_noise_e: float | None = None
    detector: str | None = None
    excess_noise: float | None = None
    level: str = "peak"
    target_snr: float | None = None
    max_dose: float | None = None
    sky: bool = False
    exposure_s: float | None = None


@dataclass(frozen=True)
class Light:
    """Signal and noise of one pixel and frame, in effective electrons; numbers or arrays of draws."""

    electrons: Any
    read2: Any
    pattern: Any = 0.0

    def snr(self, frames: Any = 1) -> Any:
        """Of the mean of so many frames."""
        variance = (self.electrons + self.read2) / frames + (self.pattern * self.electrons) ** 2
        return self.electrons / np.sqrt(variance)


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


def advise(path: Path, options: AdviseOptions, estimator: Estimator) -> Advice:
    """The advice that one file gives.

    Raises the InputErrors of reading it, UnsupportedError for rendered pictures and pictures that show no noise or no
    gain, UsageError for options that do not fit it.
    """
    image = images.read(path, black=options.black, white=options.white, channel=options.channel, roi=options.roi)
    if image.domain == "rendered":
        raise UnsupportedError("a rendered picture has no photons to count")
    planes = _frames(image)
    law, picture, warnings = _law(planes, image, options, estimator)
    offset, source = _offset(planes[0], law, options)
    law = law.known(offset, options, float(np.median(picture.smooth)))
    if source != "vanishing" and options.gain is None:
        law = law.physical(offset, picture.levels["peak"])
    if not law.slope > 0:
        raise UnsupportedError("shows no noise that grows with the light, so no gain: a range of signals is needed")
    pattern, pattern_draws = _pattern(picture, planes[0], offset, law, estimator)
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
        gain=_with_draws(law.slope / excess, law.slopes / excess),
        offset_dn=offset,
        offset_source=source,
        read_noise_e=_read_noise(law, offset, excess) if read_known else Value(None),
        levels=tuple(_level(name, picture.levels[name], lights[name], draws[name], excess) for name in LEVELS),
        target_level=options.level,
        shot_above_dn=offset + chosen.read2 * law.slope if read_known else None,
        fixed_pattern=pattern,
        change_per_frame=picture.change(offset),
        averages=tuple(Average(n, _with_draws(chosen.snr(n), draws[options.level].snr(n))) for n in FRAMES),
        pays_until=pays_until(chosen),
        target_snr=options.target_snr,
        max_dose=options.max_dose,
        routes=tuple(_routes(chosen, options, headroom)),
        sky=_sky(lights["median"], image, options) if options.sky else None,
        warnings=(*image.warnings, *warnings),
        checkpoint=estimator.checkpoint,
    )


@dataclass(frozen=True)
class _Law:
    """Variance of one frame = slope * DN + intercept, DN^2, with draws."""

    slope: float
    intercept: float
    slopes: Floats
    intercepts: Floats

    def known(self, offset: float, options: AdviseOptions, median_dn: float) -> _Law:
        """The line where gain or read noise are given: the other one follows from the noise at the median."""
        law = self
        median, medians = self.slope * median_dn + self.intercept, self.slopes * median_dn + self.intercepts
        if options.gain is not None:
            slope = (options.excess_noise or 1.0) / options.gain
            shot = slope * median_dn
            law = _Law(slope, median - shot, np.full_like(self.slopes, slope), medians - shot)
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

    def physical(self, offset: float, peak_dn: float) -> _Law:
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
        return _Law(float(slopes[-1]), float(intercepts[-1]), slopes[:-1], intercepts[:-1])

    def _through(self, slope: float, intercept: float) -> _Law:
        ones = np.ones_like(self.slopes)
        return _Law(slope, intercept, slope * ones, intercept * ones)

    def light(self, signal_dn: float, offset: float, pattern: float) -> Light:
        read2 = max(self.slope * offset + self.intercept, 0.0) / self.slope**2
        return Light(max(signal_dn - offset, 0.0) / self.slope, read2, pattern)

    def light_draws(self, signal_dn: float, source: str, offset: float, pattern: Floats) -> Light:
        """`light` for every draw; an offset that was taken from the line is drawn with it."""
        slopes = np.maximum(self.slopes, LEAST_SLOPE * self.slope)
        offsets = -self.intercepts / slopes if source == "vanishing" else np.full_like(slopes, offset)
        read2 = np.maximum(slopes * offsets + self.intercepts, 0.0) / slopes**2
        return Light(np.maximum(signal_dn - offsets, 0.0) / slopes, read2, pattern)


@dataclass(frozen=True)
class _Picture:
    """The mean of the frames, DN, and its smoothed levels. `brightness`: the mean of every frame, DN."""

    mean: Floats
    smooth: Floats
    brightness: Floats

    @property
    def levels(self) -> dict[str, float]:
        return {name: float(np.percentile(self.smooth, at)) for name, at in LEVELS.items()}

    def change(self, offset: float) -> Value:
        """Relative change of brightness a frame, from a straight line with its standard error; None below 4 frames."""
        light = self.brightness - offset
        if len(light) < 4 or not light.mean() > 0:
            return Value(None)
        time = np.arange(len(light)) - (len(light) - 1) / 2
        slope = float((time @ light) / (time @ time))
        error = math.sqrt(float(np.sum((light - light.mean() - slope * time) ** 2)) / (len(light) - 2) / (time @ time))
        return Value(*((slope + sign * 1.645 * error) / float(light.mean()) for sign in (0, -1, 1)))


def _frames(image: Image) -> list[Plane]:
    """The frames of the one channel; of a RAW mosaic its first green plane, or its first."""
    channels = {plane.channel or plane.name for plane in image.planes}
    if image.domain == "raw-linear" and len(channels) > 1:
        return [next((plane for plane in image.planes if plane.name.startswith("G")), image.planes[0])]
    if len(channels) > 1:
        raise UsageError(f"has several channels ({', '.join(sorted(channels))}): --channel picks one")
    return list(image.planes)


def _law(
    planes: Sequence[Plane], image: Image, options: AdviseOptions, estimator: Estimator
) -> tuple[_Law, _Picture, list[str]]:
    generator = np.random.default_rng(0)
    if len(planes) > 1:
        repeats = measure(planes, generator)
        law = _Law(repeats.slope, repeats.intercept, repeats.slopes, repeats.intercepts)
        return law, _Picture(repeats.mean, smooth(repeats.mean), repeats.brightness), []
    plane = planes[0]
    footprint = estimator.estimate(replace(image, planes=(plane,), frames=1)).planes[-1]
    if not shows_noise([footprint]):
        raise UnsupportedError("shows no pixel noise")
    values = plane.load().astype(np.float64)
    span = plane.white_dn - plane.black_dn
    (slope, level), (slopes, levels) = line([[footprint]], generator, free=not plane.offset_known)
    doubt = footprint["shot_gain"].flag == "weakly_identified" and options.gain is None
    warnings = ["one picture leaves shot and read noise open here: take repeats, or give --gain"] if doubt else []
    law = _Law(
        slope * span,
        level * span**2 - slope * span * plane.black_dn,
        slopes * span,
        levels * span**2 - slopes * span * plane.black_dn,
    )
    return law, _Picture(values, smooth(values), np.array([values.mean()])), warnings


def _offset(plane: Plane, law: _Law, options: AdviseOptions) -> tuple[float, str]:
    if plane.offset_known:
        return plane.black_dn, "given" if options.black is not None else "file"
    if options.sky or options.read_noise_e is not None:
        raise UsageError("the offset is needed to tell read noise: --offset")
    if not law.slope > 0:
        raise UnsupportedError("shows no noise that grows with the light, so no gain: a range of signals is needed")
    return -law.intercept / law.slope, "vanishing"


def _pattern(picture: _Picture, plane: Plane, offset: float, law: _Law, estimator: Estimator) -> tuple[Value, Floats]:
    """The fixed pattern relative to the light: what noise the mean of the frames has beyond theirs over their number.

    Of one picture it is the noise that multiplies the light, as the model splits it off.
    """
    white = max(plane.white_dn, float(picture.mean.max()))
    black = min(offset, white - 1)
    image = images.from_array(picture.mean.astype(np.float32), black=black, white=white)
    footprint = estimator.estimate(image)
    frames, draws, seen = len(picture.brightness), len(law.slopes), True
    found = footprint["multiplicative"]
    value, low, high = found.value, found.low or 0.0, found.high
    if frames > 1:
        points = [point for point in footprint.curve if point.signal > 0]
        bright = points[len(points) // 2 :]  # where a pattern shows best
        if not bright:
            return Value(None), np.zeros(draws)
        signal, *sigmas = (np.array(part) * (white - black) for part in zip(*map(astuple, bright), strict=True))
        temporal = (law.slope * (signal + black) + law.intercept) / frames
        seen = bool(np.median(sigmas[1] / np.sqrt(np.maximum(temporal, 1e-30))) > TEXTURE)
        value, low, high = (float(np.median(np.sqrt(np.maximum(s**2 - temporal, 0)) / signal)) for s in sigmas)
    if not seen or not value or not high or not low > 0:
        return Value(None, 0.0, high), np.zeros(draws)
    spread = math.log(high / low) / (2 * 1.645)
    normal = np.random.default_rng(1).standard_normal(draws)
    return Value(value, low, high), value * np.exp(spread * normal)


def _read_noise(law: _Law, offset: float, excess: float) -> Value:
    """In detected electrons: sigma_r / K, K = slope / F."""
    sigma = math.sqrt(max(law.slope * offset + law.intercept, 0.0))
    sigmas = np.sqrt(np.maximum(law.slopes * offset + law.intercepts, 0.0))
    return _with_draws(sigma * excess / law.slope, sigmas * excess / np.maximum(law.slopes, LEAST_SLOPE * law.slope))


def _level(name: str, signal_dn: float, light: Light, draws: Light, excess: float) -> Level:
    parts = {"shot": light.electrons, "read": light.read2, "pattern": (light.pattern * light.electrons) ** 2}
    photons = _with_draws(excess * light.electrons, excess * draws.electrons)
    snr = _with_draws(float(light.snr()), draws.snr()) if light.electrons > 0 else Value(0.0)
    return Level(name, signal_dn, photons, snr, max(parts, key=lambda part: parts[part]))


def _routes(light: Light, options: AdviseOptions, headroom: float) -> list[Route]:
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


def _sky(light: Light, image: Image, options: AdviseOptions) -> Sky:
    """Shortest exposures: read noise adds the share s to the sky's noise where r^2 = ((1 + s)^2 - 1) * sky."""
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


def _with_draws(value: float, draws: Floats) -> Value:
    low, high = (float(bound) for bound in np.quantile(draws, (0.05, 0.95)))
    return Value(float(value), min(low, float(value)), max(high, float(value)))


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
    found = {name: (float(solution[i]), float(errors[i]) if freedom > 0 else None) for i, name in enumerate(names)}
    power, dwell = found.get("power", (None, None)), found.get("dwell", (None, None))
    return Exponents(*power, *dwell)
