"""The genome `rendered`: what a camera's own processing leaves of the noise, with the truth measured by repetition.

A scene in linear light goes through a Bayer mosaic, sensor noise, white balance, demosaicing, denoising, colour
matrix, tone curve, sharpening, resizing, eight bits and JPEG, many times with new noise. Whatever these stages do to
the noise, its variance, correlation and colour are those of the repetitions, not of a formula.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome import camera, sensor
from noisediag.genome.display import AREAS as AREAS
from noisediag.genome.display import CODES as CODES
from noisediag.genome.display import PLANES as PLANES

LEVELS = 16  # of the clean signal, of equal count, at which the noise curve is measured
MARGIN = 12  # px that the stages see beyond the picture
HELD_OUT = {"demosaicer": "constant_hue", "denoiser": "guided", "tone": "log"}  # never trained on
DENOISED = 0.7  # of the noise's SD that a denoiser leaves at most to be called one
KERNELS = ("area", "bilinear", "bicubic")
COLOUR_MATRIX = ((1.7, -0.5, -0.2), (-0.25, 1.55, -0.3), (-0.05, -0.55, 1.6))  # of a usual camera to sRGB


@dataclass(frozen=True)
class Camera:
    """One way of processing; None: a stage that is left out."""

    shot_gain: float  # of the sensor, normalised
    read_noise: float
    white_balance: tuple[float, float]  # gains of red and blue
    demosaicer: str | None  # None: every pixel has all colours
    second: str | None  # another demosaicer, blended in
    mix: float  # share of the second
    phase: int  # of the mosaic
    encoding: float  # power of the light that is demosaiced: 1 is linear
    denoiser: str | None
    second_denoiser: str | None  # another one, blended in
    denoiser_mix: float  # share of the second
    luma_strength: float
    chroma_strength: float
    blend: float  # share of the denoised picture
    matrix: float  # share of COLOUR_MATRIX
    tone: str | None  # None: the scene is what the file holds, and the noise is the sensor's own
    shape: tuple[float, ...]  # of the tone curve, six of 0..1
    look: tuple[float, ...] | None  # four of 0..1: a further bend of the tones
    sharpening: tuple[float, float] | None  # sigma in px, amount
    scale: float  # of the resizing
    kernel: str | None
    gray: bool
    first_jpeg: int | None  # an earlier compression
    jpeg: int | None  # quality
    subsampled: bool
    offset: int  # px cropped from the compressed picture, so that its blocks begin elsewhere

    @property
    def processed(self) -> bool:
        """Whether the noise has gone through more than rounding."""
        return self.tone is not None or self.jpeg is not None


@dataclass(frozen=True)
class Measured:
    """Pictures and the truth about their noise, for N scenes. Signals and sigmas are codes / 255."""

    pictures: Tensor  # (N, kept, 3, H, W) codes of some of the repetitions
    signal: Tensor  # (N, len(PLANES), LEVELS)
    sigma: Tensor  # (N, len(PLANES), LEVELS)
    lag1: Tensor  # (N, len(PLANES), 2) correlation with the next pixel: horizontally, vertically
    areas: Tensor  # (N, len(PLANES), len(AREAS)) SD after averaging squares over the SD of a pixel
    channels: Tensor  # (N, 3) correlation of R and G, G and B, R and B
    denoised: Tensor  # (N,) 1 or 0; NaN between: too little was taken to say so


def sample_camera(generator: torch.Generator, *, held_out: bool = False) -> Camera:
    """A random camera; `held_out`: with the stages of HELD_OUT, which are never drawn otherwise."""
    everything = torch.rand(80, generator=generator).tolist()
    draws, further = iter(everything), reversed(everything)  # what came later is drawn from the end

    def chance(share: float) -> bool:
        return bool(next(draws) < share)

    def between(low: float, high: float) -> float:
        return float(low + (high - low) * next(draws))

    def logarithmic(low: float, high: float) -> float:
        return math.exp(between(math.log(low), math.log(high)))

    def one_of(names: tuple[str, ...]) -> str:
        return names[int(next(draws) * len(names))]

    def stage(kind: str, names: Iterable[str]) -> str:
        picked = one_of(tuple(name for name in names if name != HELD_OUT[kind]))
        return HELD_OUT[kind] if held_out else picked

    plain = chance(0.12) and not held_out  # the noise as it is, in eight bits
    full_colour, denoised = chance(0.1), chance(0.7)
    blended = chance(0.25) and not held_out
    strength = logarithmic(0.4, 3.0)
    resized = chance(0.35)
    scale = logarithmic(0.5, 2.0)
    sharpened = chance(0.6)
    quality = round(100 - 50 * next(draws) ** 1.5) if chance(0.25 if plain else 0.75) else None
    last = next(further)
    encoded, power, two, other, share, bent, *look = itertools.islice(further, 10)
    names = tuple(name for name in camera.DENOISERS if name != HELD_OUT["denoiser"])
    reduced = tuple(kernel for kernel in KERNELS if scale < 1 or kernel != "area")
    return Camera(
        shot_gain=logarithmic(3e-4, 0.08) * chance(0.7) if plain else logarithmic(2e-4, 0.04),
        read_noise=logarithmic(1e-3, 0.16) if plain else logarithmic(5e-4, 0.02),
        white_balance=(between(1.2, 2.6), between(1.2, 2.6)),
        demosaicer=None if full_colour and not held_out else stage("demosaicer", camera.DEMOSAICERS),
        second=stage("demosaicer", camera.DEMOSAICERS) if blended else None,
        mix=between(0, 1),
        phase=int(between(0, 4)),
        encoding=0.4 + 0.6 * power if encoded < 0.3 and not held_out else 1.0,
        second_denoiser=names[int(other * len(names))] if two < 0.3 and not held_out else None,
        denoiser_mix=share,
        denoiser=stage("denoiser", camera.DENOISERS) if denoised or held_out else None,
        luma_strength=strength,
        chroma_strength=strength * logarithmic(1.0, 3.0),
        blend=between(0.4, 1.0),
        matrix=between(0, 1),
        tone=None if plain else stage("tone", camera.TONES),
        shape=(*(next(draws) for _ in range(5)), last),
        look=tuple(look) if bent < 0.3 and not held_out else None,
        sharpening=(between(0.5, 1.6), between(0.1, 1.6)) if sharpened else None,
        scale=scale if resized else 1.0,
        kernel=one_of(reduced) if resized else None,
        gray=chance(0.2),
        first_jpeg=round(between(50, 95)) if quality is not None and chance(0.15) else None,
        jpeg=quality,
        subsampled=chance(0.5),
        offset=int(between(1, 8)) if chance(0.25) else 0,
    )


def scene_px(settings: Camera, size: int) -> int:
    """Side of the square scene that `render` needs for a picture of `size` px."""
    return math.ceil((size + 2 * MARGIN) / settings.scale)


def colourise(gray: Tensor, generator: torch.Generator) -> Tensor:
    """Scenes in linear light and colour, `(N, 3, H, W)`, from three display-referred gray ones each `(3, N, H, W)`.

    The first gives the light. Its colour mostly stays within an object: it follows the first picture without its
    texture; sometimes it varies as smoothly as light does, with the texture itself, or as another picture does.
    """
    count = gray.shape[1]

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=generator)

    light = gray[0] ** draw(1.8, 2.4)
    objects = camera.denoise_guided(gray[:1], 0.1).expand(2, -1, -1, -1)
    phases = torch.stack([2 * math.pi * (draw(0.3, 2.0) * plane + draw(0, 1)) for plane in objects])
    coarse = functional.interpolate(functional.avg_pool2d(gray[1:], 8), gray.shape[2:], mode="bilinear")
    kind = draw(0, 1)
    tints = phases.cos() / 2
    for least, other in ((0.6, coarse), (0.75, gray[:1].expand_as(coarse)), (0.9, gray[1:])):
        tints = torch.where(kind > least, other - 0.5, tints)
    vivid = torch.where(draw(0, 1) < 0.15, 0.0, draw(0.1, 1.6))
    red, blue = (vivid * (sign * tint + draw(-0.3, 0.3)) for sign, tint in ((draw(-1, 1), tints[0]), (1.0, tints[1])))
    green = -(red + blue) / 3
    return (light[:, None] * torch.stack([red, green, blue], 1).exp()).clamp(0, 1)


def render(scene: Tensor, settings: Camera, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`scene` (N, 3, side, side) in linear light, side from `scene_px`, to codes `(N, 3, size, size)`.

    The second result is the picture before and after its denoiser, stabilised, `(2, N, 3, side, side)`: `measure` sees
    there how much noise was taken.
    """
    gains = torch.tensor([settings.white_balance[0], 1.0, settings.white_balance[1]])[:, None, None]
    if settings.tone is None:  # noise straight on what the file holds
        noisy = _expose(scene, settings, torch.ones_like(gains), generator)
        developed, stages = noisy, torch.stack([noisy, noisy])
    else:
        exposed = _expose(scene / gains, settings, gains, generator)
        developed, stages = _denoise(exposed, settings, gains)
        developed = camera.TONES[settings.tone](_to_srgb(developed, settings).clamp(0, 1), torch.tensor(settings.shape))
        if settings.look is not None:
            developed = camera.bend(developed, torch.tensor(settings.look))
        if settings.sharpening is not None:
            developed = camera.sharpen(developed, *settings.sharpening)
    total = size + 2 * MARGIN
    if settings.kernel is not None:
        developed = camera.resize(developed, total, total, settings.kernel)
    developed = developed[..., :total, :total]
    if settings.gray:
        developed = camera.luma(developed)[:, None].expand_as(developed)
    codes = (CODES * developed).round().clamp(0, CODES)
    return _compress(codes, settings, size), stages


def mirrored(pictures: Tensor, side: int) -> Tensor:
    """`(N, C, H, W)` continued by mirror images, and cut, to `(N, C, side, side)`."""
    while min(pictures.shape[2:]) < side:
        down, across = (min(max(side - length, 0), length - 1) for length in pictures.shape[2:])
        pictures = functional.pad(pictures, (0, across, 0, down), mode="reflect")
    return pictures[..., :side, :side]


def measure(scene: Tensor, settings: Camera, size: int, draws: int, kept: int, generator: torch.Generator) -> Measured:
    """Photograph every `scene` (N, 3, side, side) `draws` times and measure what differs."""
    count = len(scene)
    pictures, stages = render(scene.repeat(draws, 1, 1, 1), settings, size, generator)
    pictures = torch.unflatten(pictures, 0, (draws, count)).transpose(0, 1)  # (N, draws, 3, H, W)
    stack = torch.cat([pictures, camera.luma(pictures)[:, :, None]], 2) / CODES
    mean, residual = _centre(stack)
    variance = residual.square().mean(1)  # (N, planes, H, W)
    signal, sigma = _curve(mean[:, 0], variance)
    total = variance.mean((-2, -1)).clamp(min=1e-12)
    lag1 = torch.stack(
        [
            (residual[..., :, 1:] * residual[..., :, :-1]).mean((1, 3, 4)) / total,
            (residual[..., 1:, :] * residual[..., :-1, :]).mean((1, 3, 4)) / total,
        ],
        -1,
    )
    areas = [functional.avg_pool2d(residual.flatten(0, 1), k).square().mean((-2, -1)) for k in AREAS]
    areas = [(torch.unflatten(a, 0, (count, draws)).mean(1) / total).sqrt() for a in areas]
    red, green, blue, _ = residual.unbind(2)
    pairs = [(a * b).mean((1, 2, 3)) for a, b in ((red, green), (green, blue), (red, blue))]
    norms = [(total[:, a] * total[:, b]).sqrt() for a, b in ((0, 1), (1, 2), (0, 2))]
    before, after = (
        _centre(stage.unflatten(0, (draws, count)).transpose(0, 1))[1].square().mean((1, 2, 3, 4)).sqrt()
        for stage in stages
    )
    left = after / before.clamp(min=1e-9)
    unsure = torch.where(left < DENOISED, 1.0, torch.nan)
    return Measured(
        pictures=pictures[:, :kept],
        signal=signal,
        sigma=sigma,
        lag1=lag1,
        areas=torch.stack(areas, -1),
        channels=torch.stack([p / n for p, n in zip(pairs, norms, strict=True)], 1),
        denoised=unsure if settings.denoiser is not None and settings.tone is not None else torch.zeros(count),
    )


def _expose(light: Tensor, settings: Camera, gains: Tensor, generator: torch.Generator) -> Tensor:
    """Sensor noise on `light` (N, 3, H, W), mosaic, white balance, demosaicing; channels back in balance."""
    height, width = light.shape[2:]
    mosaicked = settings.demosaicer is not None and settings.tone is not None
    masks = camera.bayer_masks(height, width, settings.phase)
    if mosaicked:
        light = (light * masks).sum(1)
    flat = light.reshape(-1, *light.shape[-2:])
    exact = torch.zeros(len(flat))
    absent = {entry.name: exact for entry in fields(sensor.SensorNoise)}
    present = {"shot_gain": exact + settings.shot_gain, "read_noise": exact + settings.read_noise}
    noise = sensor.SensorNoise(**absent | present)
    exposed = sensor.corrupt(flat, noise, generator, black_clip=-0.05).image.reshape(light.shape)
    if not mosaicked:
        return exposed * gains
    assert settings.demosaicer is not None
    balanced = _power(exposed * (masks * gains).sum(0), settings.encoding)
    full = camera.DEMOSAICERS[settings.demosaicer](balanced, masks)
    if settings.second is not None:
        full = torch.lerp(full, camera.DEMOSAICERS[settings.second](balanced, masks), settings.mix)
    return _power(full, 1 / settings.encoding)


def _power(light: Tensor, exponent: float) -> Tensor:
    """Of what is below black, the negative."""
    return light if exponent == 1 else light.sign() * light.abs() ** exponent


def _denoise(picture: Tensor, settings: Camera, gains: Tensor) -> tuple[Tensor, Tensor]:
    """Denoise luma and chroma under the generalised Anscombe transform; also both pictures under it."""
    gain = settings.shot_gain * gains
    offset = 0.375 * gain.square() + (settings.read_noise * gains).square()
    stable = 2 / gain * (gain * picture + offset).clamp(min=0).sqrt()
    if settings.denoiser is None:
        return picture, torch.stack([stable, stable])
    bright = stable.mean(1)
    chroma = stable - bright[:, None]

    def remove(plane: Tensor, strength: float) -> Tensor:
        assert settings.denoiser is not None
        cleaned = camera.DENOISERS[settings.denoiser](plane, strength)
        if settings.second_denoiser is None:
            return cleaned
        return torch.lerp(cleaned, camera.DENOISERS[settings.second_denoiser](plane, strength), settings.denoiser_mix)

    cleaned = remove(bright, settings.luma_strength)[:, None] + torch.stack(
        [remove(plane, settings.chroma_strength) for plane in chroma.unbind(1)], 1
    )
    mixed = torch.lerp(stable, cleaned, settings.blend)
    return ((mixed * gain / 2).square() - offset) / gain, torch.stack([stable, mixed])


def _to_srgb(picture: Tensor, settings: Camera) -> Tensor:
    matrix = torch.lerp(torch.eye(3), torch.tensor(COLOUR_MATRIX), settings.matrix)
    return torch.einsum("ij,njhw->nihw", matrix, picture)


def _compress(codes: Tensor, settings: Camera, size: int) -> Tensor:
    """JPEG once or twice and the cut to `size`, from a picture MARGIN wider on all sides."""
    inner = codes[..., MARGIN - settings.offset :, MARGIN - settings.offset :]
    length = size + settings.offset
    inner = inner[..., :length, :length]
    if settings.first_jpeg is not None:
        inner = camera.jpeg(inner, settings.first_jpeg, settings.subsampled)
    if settings.jpeg is not None:
        inner = camera.jpeg(inner, settings.jpeg, settings.subsampled)
    return inner[..., settings.offset :, settings.offset :]


def _centre(stack: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over the draws (N, 1, ...) of `(N, draws, ...)`, and residuals whose mean square is the variance."""
    mean = stack.mean(1, keepdim=True)
    return mean, (stack - mean) * math.sqrt(stack.shape[1] / (stack.shape[1] - 1))


def _curve(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean signal and SD in LEVELS groups of equal count, each `(N, planes, LEVELS)`."""
    flat, order = mean.flatten(2).sort(-1)
    spread = variance.flatten(2).gather(-1, order)
    usable = flat.shape[-1] // LEVELS * LEVELS
    signal = torch.unflatten(flat[..., :usable], -1, (LEVELS, -1)).mean(-1)
    return signal, torch.unflatten(spread[..., :usable], -1, (LEVELS, -1)).mean(-1).sqrt()
