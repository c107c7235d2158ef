"""The genome `rendered`: what a camera's own processing leaves of the noise, with the truth measured by repetition.

A scene in linear light goes through a Bayer mosaic, sensor noise, white balance, demosaicing, denoising, colour
matrix, tone curve, sharpening, resizing, eight bits and JPEG, many times with new noise; phones merge exposures, tone
by place, denoise what is encoded already, add halos and grain, and compress twice. Whatever these stages do to the
noise, its variance, correlation and colour are those of the repetitions, not of a formula.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.genome import camera, sensor
from noisediag.genome.cameras import HELD_OUT as HELD_OUT
from noisediag.genome.cameras import KERNELS as KERNELS
from noisediag.genome.cameras import PHONE_HELD_OUT as PHONE_HELD_OUT
from noisediag.genome.cameras import Camera as Camera
from noisediag.genome.cameras import Grain as Grain
from noisediag.genome.cameras import Phone as Phone
from noisediag.genome.cameras import Unsharp as Unsharp
from noisediag.genome.cameras import sample_camera as sample_camera
from noisediag.genome.cameras import sample_phone as sample_phone
from noisediag.genome.cameras import sample_plain as sample_plain
from noisediag.genome.cameras import sample_stranger as sample_stranger
from noisediag.genome.display import AREAS as AREAS
from noisediag.genome.display import CODES as CODES
from noisediag.genome.display import PLANES as PLANES

LEVELS = 16  # of the clean signal, of equal count, at which the noise curve is measured
MARGIN = 12  # px that the stages see beyond the picture
DENOISED = 0.7  # of the noise's SD that a denoiser leaves at most to be called one
NOMINAL = 0.18  # light at which a camera states its noise
LEAST_NOMINAL = 0.2 / CODES
COLOUR_MATRIX = ((1.7, -0.5, -0.2), (-0.25, 1.55, -0.3), (-0.05, -0.55, 1.6))  # of a usual camera to sRGB

_REMOVING = camera.DENOISERS | camera.SMOOTHERS


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

    The second result is the picture before and after its denoiser, stabilised, `(2, N, 3, side, side)`, and before and
    after that of the encoded picture where there is one, `(4, ...)`: `measure` sees there how much noise was taken.
    """
    gains = torch.tensor([settings.white_balance[0], 1.0, settings.white_balance[1]])[:, None, None]
    if settings.tone is None:  # noise straight on what the file holds
        noisy = _expose(scene, settings, torch.ones_like(gains), generator)
        developed, stages = noisy, torch.stack([noisy, noisy])
    else:
        exposed = _expose(scene / gains, settings, gains, generator)
        developed, stages = _denoise(exposed, settings, gains)
        developed = _toned(_to_srgb(developed, settings).clamp(0, 1), settings)
        if settings.phone is not None:
            developed, further = _encoded_stages(developed, settings, settings.phone)
            stages = torch.cat([stages, further])
        if settings.sharpening is not None:
            developed = camera.sharpen(developed, *settings.sharpening)
    total = size + 2 * MARGIN
    if settings.kernel is not None:
        developed = camera.resize(developed, total, total, settings.kernel)
    developed = developed[..., :total, :total]
    if settings.phone is not None:
        developed = _finished(developed, settings.phone, generator)
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
    spread = [
        _centre(stage.unflatten(0, (draws, count)).transpose(0, 1))[1].square().mean((1, 2, 3, 4)).sqrt()
        for stage in stages
    ]
    left = torch.ones(count)
    for before, after in zip(spread[::2], spread[1::2], strict=True):
        left = left * (after / before.clamp(min=1e-9))
    unsure = torch.where(left < DENOISED, 1.0, torch.nan)
    return Measured(
        pictures=pictures[:, :kept],
        signal=signal,
        sigma=sigma,
        lag1=lag1,
        areas=torch.stack(areas, -1),
        channels=torch.stack([p / n for p, n in zip(pairs, norms, strict=True)], 1),
        denoised=unsure if settings.denoises else torch.zeros(count),
    )


def _expose(light: Tensor, settings: Camera, gains: Tensor, generator: torch.Generator) -> Tensor:
    """Sensor noise on `light` (N, 3, H, W), mosaic, white balance, demosaicing; channels back in balance."""
    height, width = light.shape[2:]
    mosaicked = settings.demosaicer is not None and settings.tone is not None
    masks = camera.bayer_masks(height, width, settings.phase)
    if mosaicked:
        light = (light * masks).sum(1)
    flat = light.reshape(-1, *light.shape[-2:])
    exposed = _noisy(flat, settings.shot_gain, settings.read_noise, generator)
    if settings.phone is not None and settings.phone.frames > 1:
        exposed = _merged(exposed, flat, settings, settings.phone, generator)
    exposed = exposed.reshape(light.shape)
    if not mosaicked:
        return exposed * gains
    assert settings.demosaicer is not None
    balanced = _power(exposed * (masks * gains).sum(0), settings.encoding)
    full = camera.DEMOSAICERS[settings.demosaicer](balanced, masks)
    if settings.second is not None:
        full = torch.lerp(full, camera.DEMOSAICERS[settings.second](balanced, masks), settings.mix)
    return _power(full, 1 / settings.encoding)


def _noisy(flat: Tensor, shot_gain: float, read_noise: float, generator: torch.Generator) -> Tensor:
    exact = torch.zeros(len(flat))
    absent = {entry.name: exact for entry in fields(sensor.SensorNoise)}
    present = {"shot_gain": exact + shot_gain, "read_noise": exact + read_noise}
    return sensor.corrupt(flat, sensor.SensorNoise(**absent | present), generator, black_clip=-0.05).image


def _merged(exposed: Tensor, flat: Tensor, settings: Camera, phone: Phone, generator: torch.Generator) -> Tensor:
    """`exposed` (N, H, W) with further exposures of `flat`; the mean of n of them has a shot gain n times lower."""
    places = camera.moved_places(flat.shape[-2], flat.shape[-1], phone.moved)
    others = phone.frames - 1
    seen = camera.displaced(flat, places)
    mean = _noisy(seen, settings.shot_gain / others, settings.read_noise / math.sqrt(others), generator)
    return camera.merge(exposed, mean, phone.frames, settings.shot_gain, settings.read_noise, phone.tolerance)


def _power(light: Tensor, exponent: float) -> Tensor:
    """Of what is below black, the negative."""
    return light if exponent == 1 else light.sign() * light.abs() ** exponent


def _denoise(picture: Tensor, settings: Camera, gains: Tensor) -> tuple[Tensor, Tensor]:
    """Denoise luma and chroma under the generalised Anscombe transform; also both pictures under it."""
    gain = settings.shot_gain * gains
    offset = 0.375 * gain.square() + (settings.read_noise * gains).square()
    stable = 2 / gain * (gain * picture + offset).clamp(min=0).sqrt()
    phone = settings.phone
    if settings.denoiser is None and (phone is None or phone.chroma_step == (1, 1)):
        return picture, torch.stack([stable, stable])
    bright = stable.mean(1)
    chroma = stable - bright[:, None]
    if phone is not None and phone.chroma_step != (1, 1):
        chroma = camera.subsampled_chroma(chroma, *phone.chroma_step)
    if settings.denoiser is None:
        mixed = bright[:, None] + chroma
    else:
        cleaned = _smoothed(bright, chroma, settings, (settings.luma_strength, settings.chroma_strength))
        mixed = torch.lerp(stable, cleaned, settings.blend)
    return ((mixed * gain / 2).square() - offset) / gain, torch.stack([stable, mixed])


def _smoothed(bright: Tensor, chroma: Tensor, settings: Camera, strengths: tuple[float, float]) -> Tensor:
    """`bright` (N, H, W) and `chroma` (N, 3, H, W) through the camera's denoiser, each as strongly as told."""

    def remove(plane: Tensor, strength: float) -> Tensor:
        assert settings.denoiser is not None
        cleaned = _REMOVING[settings.denoiser](plane, strength)
        if settings.second_denoiser is None:
            return cleaned
        return torch.lerp(cleaned, _REMOVING[settings.second_denoiser](plane, strength), settings.denoiser_mix)

    side_px = settings.phone.chroma_px if settings.phone is not None else 1
    smooth = camera.smoothed_chroma(chroma, side_px, lambda plane: remove(plane, strengths[1]))
    if settings.phone is not None and settings.phone.by_luma:
        smooth = camera.denoise_by_luma(smooth, bright, strengths[0])
    return remove(bright, strengths[0])[:, None] + smooth


def _toned(light: Tensor, settings: Camera) -> Tensor:
    """Linear light of any shape in 0..1, encoded by the camera's curves."""
    assert settings.tone is not None
    encoded = camera.TONES[settings.tone](light, torch.tensor(settings.shape))
    return encoded if settings.look is None else camera.bend(encoded, torch.tensor(settings.look))


def _encoded_stages(picture: Tensor, settings: Camera, phone: Phone) -> tuple[Tensor, Tensor]:
    """Local tones, and the denoiser of the encoded picture; also the picture before and after that, if there is one.

    It takes the noise at NOMINAL light for that of all signals, so it leaves more in the shadows than the eye would.
    """
    if phone.local_tone is not None:
        picture = camera.LOCAL_TONES[phone.local_tone](picture, phone.local_shape)
    if phone.smoother is None:
        return picture, picture.new_zeros(0, *picture.shape)
    level = nominal_noise(settings, phone)
    stable = picture / level
    bright = camera.luma(stable)
    how = replace(settings, denoiser=phone.smoother, second_denoiser=None)
    strengths = (phone.smoother_luma, phone.smoother_chroma)
    cleaned = camera.by_activity(stable, _smoothed(bright, stable - bright[:, None], how, strengths), phone.spared)
    return (cleaned * level).clamp(0, 1), torch.stack([stable, cleaned])


def nominal_noise(settings: Camera, phone: Phone) -> float:
    """What the camera takes for the SD of its noise in the encoded picture: that of all frames at NOMINAL light."""
    ends = _toned(torch.tensor([0.9 * NOMINAL, 1.1 * NOMINAL]), settings)
    slope = float(ends[1] - ends[0]) / (0.2 * NOMINAL)
    variance = (settings.shot_gain * NOMINAL + settings.read_noise**2) / phone.frames
    return max(slope * math.sqrt(variance), LEAST_NOMINAL)


def _finished(picture: Tensor, phone: Phone, generator: torch.Generator) -> Tensor:
    """Sharpening and grain at the size of the file."""
    if phone.unsharp is not None:
        sharp = phone.unsharp
        picture = camera.unsharp(picture, sharp.radius_px, sharp.amount, sharp.threshold, sharp.halo, sharp.colour)
    if phone.grain is not None:
        picture = camera.grain(picture, phone.grain.sd, phone.grain.size_px, phone.grain.colour, generator)
    return picture


def _to_srgb(picture: Tensor, settings: Camera) -> Tensor:
    matrix = torch.lerp(torch.eye(3), torch.tensor(COLOUR_MATRIX), settings.matrix)
    return torch.einsum("ij,njhw->nihw", matrix, picture)


def _compress(codes: Tensor, settings: Camera, size: int) -> Tensor:
    """JPEG once or twice, or HEVC, and the cut to `size`, from a picture MARGIN wider on all sides.

    The blocks of the first compression begin `first_shift` px before those of the last.
    """
    down, across = (0, 0) if settings.phone is None or settings.first_jpeg is None else settings.phone.first_shift
    begin, length = MARGIN - settings.offset, size + settings.offset
    inner = codes[..., begin - down : begin + length, begin - across : begin + length]
    if settings.first_jpeg is not None:
        inner = camera.jpeg(inner, settings.first_jpeg, settings.subsampled)
    inner = inner[..., down:, across:]
    if settings.phone is not None and settings.phone.hevc is not None:
        inner = camera.hevc(inner, settings.phone.hevc)
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
