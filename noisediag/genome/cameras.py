"""Simulated cameras: what their stages are called, which of them are never trained on, and how they are drawn.

Cameras of the first kind (`sample_camera`) are those of the first models and of the benchmark's first groups; those of
the second (`sample_phone`) do what phones do, with strengths that follow one ISO. Strangers (`sample_stranger`) are put
together of both. `genome.rendered` takes the pictures.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from noisediag.genome import camera

# Never trained on: no camera has one of these unless a benchmark asks for it, and nothing else is drawn from here.
HELD_OUT = {"demosaicer": "constant_hue", "denoiser": "guided", "tone": "log"}
PHONE_HELD_OUT = {"local_tone": "equalised", "codec": "hevc"}

KERNELS = ("area", "bilinear", "bicubic")
ZOOM_KERNELS = ("bilinear", "bicubic", "lanczos")
TRIES = 1000  # cameras drawn until one does no processing
PHONE_DRAWS = 160  # random numbers of one camera, taken at once: a further one does not move what follows


@dataclass(frozen=True)
class Unsharp:
    """Sharpening with halos, see `camera.unsharp`."""

    radius_px: float
    amount: float
    threshold: float
    halo: float | None
    colour: float


@dataclass(frozen=True)
class Grain:
    """Grain added afterwards, see `camera.grain`."""

    sd: float
    size_px: float
    colour: float


@dataclass(frozen=True)
class Phone:
    """Stages beyond those of `Camera`, in the order in which they are done."""

    iso: float  # 0 .. 1, the lowest and the highest: what noise and strengths follow
    frames: int  # merged to one; 1: a single exposure
    moved: tuple[tuple[float, float, float], ...]  # discs, see `camera.moved_places`, that the merge must leave out
    tolerance: float  # of the merge
    chroma_step: tuple[int, int]  # px down and across that share their colour before denoising
    chroma_px: int  # side of the squares in whose means colours are denoised
    by_luma: bool  # colours are smoothed along luma, too
    local_tone: str | None
    local_shape: tuple[float, float]
    smoother: str | None  # a denoiser of the encoded picture, as strong in shadows as in lights
    smoother_luma: float
    smoother_chroma: float
    spared: float  # share of the smoothing undone where there is texture
    unsharp: Unsharp | None  # at the size of the file
    grain: Grain | None
    first_shift: tuple[int, int]  # px down and across by which the blocks of the earlier compression lie elsewhere
    hevc: int | None  # quantisation parameter of a HEIC file; None: JPEG, or nothing


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
    phone: Phone | None = None  # what it does beyond

    @property
    def processed(self) -> bool:
        """Whether the noise has gone through more than rounding."""
        return self.tone is not None or self.jpeg is not None

    @property
    def denoises(self) -> bool:
        """Whether something is meant to take noise out of a single picture, be it little."""
        smooths = self.phone is not None and self.phone.smoother is not None
        return self.tone is not None and (self.denoiser is not None or smooths)


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


def sample_plain(generator: torch.Generator) -> Camera:
    """A random camera of the first kind that does nothing but round. The first such one that `sample_camera` gives."""
    for _ in range(TRIES):
        settings = sample_camera(generator)
        if not settings.processed and settings.kernel is None:
            return settings
    raise RuntimeError(f"{TRIES} cameras, and none without processing")


class Dice:
    """Random numbers of one camera."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self._draws = iter(torch.rand(count, generator=generator).tolist())

    def between(self, low: float, high: float) -> float:
        return float(low + (high - low) * next(self._draws))

    def chance(self, share: float) -> bool:
        return self.between(0, 1) < share

    def logarithmic(self, low: float, high: float) -> float:
        return math.exp(self.between(math.log(low), math.log(high)))

    def one_of(self, names: Iterable[str]) -> str:
        listed = tuple(names)
        return listed[int(self.between(0, len(listed)))]

    def following(self, latent: float) -> float:
        """A number of 0..1 that follows `latent`, of 0..1: 0.9 correlated, but in one of seven cameras on its own."""
        alone, own, near = (self.between(0, 1) for _ in range(3))
        return own if alone < 1 / 7 else min(max(0.8 * latent + 0.2 * near, 0), 1)


def sample_phone(generator: torch.Generator, *, held_out: str | None = None) -> Camera:
    """A random camera of the second kind; `held_out`: with that stage of PHONE_HELD_OUT, never drawn otherwise.

    One ISO drives noise, the number of frames, denoising, sharpening and compression.
    """
    dice = Dice(PHONE_DRAWS, generator)
    iso = dice.between(0, 1)
    strength = 0.4 * 7.5 ** dice.following(iso)
    denoisers = tuple(name for name in (*camera.DENOISERS, *camera.SMOOTHERS) if name != HELD_OUT["denoiser"])
    demosaicers = tuple(name for name in camera.DEMOSAICERS if name != HELD_OUT["demosaicer"])
    tones = tuple(name for name in camera.TONES if name != HELD_OUT["tone"])
    size = dice.between(0, 1)
    zoomed, reduced = size < 0.35, size > 0.75
    scale = dice.logarithmic(1.1, 4.0) if zoomed else dice.logarithmic(0.5, 1.0)
    kernels = ZOOM_KERNELS if zoomed else (*KERNELS, "lanczos")
    poorer = dice.following(iso) ** 1.5  # noisy pictures are coded in coarser steps
    quality = round(100 - 50 * poorer) if dice.chance(0.85) else None
    phone = _sample_phone_stages(dice, iso, strength, denoisers, held_out)
    first = round(dice.between(60, 95)) if dice.chance(0.25) and quality is not None and phone.hevc is None else None
    return Camera(
        shot_gain=2e-4 * 200 ** dice.following(iso) * dice.logarithmic(0.7, 1.4),
        read_noise=5e-4 * 40 ** dice.following(iso) * dice.logarithmic(0.7, 1.4),
        white_balance=(dice.between(1.2, 2.6), dice.between(1.2, 2.6)),
        demosaicer=None if dice.chance(0.1) else dice.one_of(demosaicers),
        second=dice.one_of(demosaicers) if dice.chance(0.2) else None,
        mix=dice.between(0, 1),
        phase=int(dice.between(0, 4)),
        encoding=1.0,
        denoiser=dice.one_of(denoisers) if dice.chance(0.4) else None,
        second_denoiser=None,
        denoiser_mix=0.0,
        luma_strength=strength,
        chroma_strength=strength * dice.logarithmic(1.0, 4.0),
        blend=dice.between(0.5, 1.0),
        matrix=dice.between(0, 1),
        tone=dice.one_of(tones),
        shape=tuple(dice.between(0, 1) for _ in range(6)),
        look=tuple(dice.between(0, 1) for _ in range(4)) if dice.chance(0.3) else None,
        sharpening=None,
        scale=scale if zoomed or reduced else 1.0,
        kernel=dice.one_of(kernels) if zoomed or reduced else None,
        gray=dice.chance(0.12),
        first_jpeg=first,
        jpeg=quality if phone.hevc is None else None,
        subsampled=dice.chance(0.65),
        offset=int(dice.between(1, 6)) if dice.chance(0.25) else 0,
        phone=phone,
    )


def _sample_phone_stages(
    dice: Dice, iso: float, strength: float, denoisers: tuple[str, ...], held_out: str | None
) -> Phone:
    """What a camera of `iso` does beyond the first kind; every stage may be left out."""
    steps = ((1, 1), (1, 1), (1, 2), (2, 2))[int(dice.between(0, 4))]
    local = dice.one_of(name for name in camera.LOCAL_TONES if name != PHONE_HELD_OUT["local_tone"])
    toned = dice.chance(0.4)
    softer = dice.following(1 - iso)  # the noisier, the less is sharpened
    sharpening = Unsharp(
        radius_px=dice.logarithmic(0.5, 2.5),
        amount=dice.logarithmic(0.5, 1.5) * (0.3 + softer),
        threshold=dice.between(0, 0.02) if dice.chance(0.5) else 0.0,
        halo=dice.between(0, 0.05) if dice.chance(0.3) else None,
        colour=dice.between(0, 1) if dice.chance(0.3) else 0.0,
    )
    grain = Grain(
        sd=dice.logarithmic(0.004, 0.05),
        size_px=dice.between(0.4, 1.2) if dice.chance(0.6) else 0.0,
        colour=dice.between(0, 1) if dice.chance(0.5) else 0.0,
    )
    hevc = round(12 + 20 * dice.following(iso))
    places = tuple((dice.between(0, 1), dice.between(0, 1), dice.between(0.1, 0.4)) for _ in range(3))
    frames = 2 + round(8 * dice.following(iso))
    merged, still = dice.chance(0.4), int(dice.between(0, 4))
    return Phone(
        iso=iso,
        frames=frames if merged else 1,
        moved=places[still:],
        tolerance=dice.logarithmic(2, 32),
        chroma_step=steps,
        chroma_px=(1, 2, 4)[int(dice.between(0, 3))],
        by_luma=dice.chance(0.2),
        local_tone=PHONE_HELD_OUT["local_tone"] if held_out == "local_tone" else local if toned else None,
        local_shape=(dice.between(0, 1), dice.between(0, 1)),
        smoother=dice.one_of(denoisers) if dice.chance(0.45) else None,
        smoother_luma=strength * dice.logarithmic(0.5, 1.5),
        smoother_chroma=strength * dice.logarithmic(0.7, 4.0),
        spared=dice.between(0.2, 1) if dice.chance(0.5) else 0.0,
        unsharp=sharpening if dice.chance(0.7) else None,
        grain=grain if dice.chance(0.15) else None,
        first_shift=(int(dice.between(0, 8)), int(dice.between(0, 8))),
        hevc=hevc if held_out == "codec" else None,
    )


STRANGER_DRAWS = 16  # random numbers of one stranger, beside those of the two cameras that it is made of
MOST_STRANGE = 2.5  # times as strong, or as weak, as cameras of either kind
NEAR_PX = 5  # of an earlier compression's shift: with the offset of either kind's, `render` sees so far
# Fields of `Camera` that a stranger has all of one of the two cameras, or all of the other.
_TAKEN_TOGETHER = (
    ("shot_gain", "read_noise"),
    ("demosaicer", "second", "mix", "encoding"),
    ("denoiser", "second_denoiser", "denoiser_mix", "luma_strength", "chroma_strength", "blend"),
    ("tone", "shape", "look"),
    ("scale", "kernel"),
    ("jpeg", "first_jpeg", "subsampled", "offset"),
)


def sample_stranger(generator: torch.Generator) -> Camera:
    """A camera unlike those of both kinds: stages of one with stages of another, up to MOST_STRANGE times as strong.

    What is calibrated on it must hold where nothing was trained on. Nothing of HELD_OUT or PHONE_HELD_OUT is drawn.
    """
    first = sample_camera(generator)
    while first.tone is None:
        first = sample_camera(generator)
    phone = sample_phone(generator)
    dice = Dice(STRANGER_DRAWS, generator)
    taken = {name: getattr(first, name) for names in _TAKEN_TOGETHER if dice.chance(0.5) for name in names}
    mixed = replace(phone, **taken, sharpening=first.sharpening if dice.chance(0.5) else None)
    stages = phone.phone
    assert stages is not None

    def strange() -> float:
        return dice.logarithmic(1 / MOST_STRANGE, MOST_STRANGE)

    unsharp = stages.unsharp and replace(stages.unsharp, amount=stages.unsharp.amount * strange())
    return replace(
        mixed,
        luma_strength=mixed.luma_strength * strange(),
        chroma_strength=mixed.chroma_strength * strange(),
        sharpening=mixed.sharpening and (mixed.sharpening[0], mixed.sharpening[1] * strange()),
        phone=replace(
            stages,
            first_shift=(min(stages.first_shift[0], NEAR_PX), min(stages.first_shift[1], NEAR_PX)),
            smoother_luma=stages.smoother_luma * strange(),
            smoother_chroma=stages.smoother_chroma * strange(),
            unsharp=unsharp,
        ),
    )
