"""Simulated pictures with everything known about them: crops of clean pictures under the genome `sensor`.

All of it runs on the device of the generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.cop.tokens import BLOCK
from noisediag.genome import clean, light, scenes, sensor
from noisediag.genome.parameters import PARAMETERS
from noisediag.genome.seeds import stream
from noisediag.training.recipe import Recipe

CROP = 128  # px; the side of most crops that networks are trained on
SCENE_PX = 2 * CROP
GLOWING = 0.2  # of the scenes: fluorescence on wide dark ground
SCENES_AT_ONCE = 100  # of one generator
HELD_OUT = 10  # one of so many images of the folder is never trained on
QUANTILES = 33  # of the clean signal, where the curve is scored
CLIP_MARGIN = 2e-3  # normalised; clean signal this close to a clip is not scored
PEDESTAL = (2e-3, 0.5)  # normalised, log-uniform, in half of the pictures
RICIAN = (4e-3, 0.15)  # normalised, log-uniform: sigma of the two parts of a magnitude
GRAIN, GRAIN_PX = (0.01, 0.12), (0.3, 1.5)  # strength, normalised and log-uniform; width of the grains
PURE_CONTENT = 2e-3  # of the noise's variance in any block: 0.1 % of sigma
PURE_SIGMAS = 4.0  # from the clips, so that 6e-5 of the pixels at most are cut
EXACT_BELOW = 0.004  # Sigma at mid signal, one 8-bit code: weaker noise is laid over exactly clean scenes only.
HALVED = 0.35  # of the crops show twice the region
MOSAIC = 0.2  # of the crops are four pictures, shrunk: as fine as the pixels and without large smooth parts
MOST_SHRUNK = 4
JOINED = 0.1  # of the crops are two pictures that meet at a wavy border


class PoolPart(IntEnum):
    """What the clean pictures of a pool are for. Pools of different parts share no picture."""

    training = 0
    calibration = 1
    raw_calibration = 2
    validation = 3


class CleanPool:
    """Clean pictures to cut crops from; each crop is varied anew.

    `scenes` `(n, side, side)` are exactly clean. `images` `(m, side, side)`, at times none, carry a little noise of
    their own; they are drawn with the probability `image_share`. `finer`: small crops may show regions shrunk by up to
    MOST_SHRUNK instead of 2, and JOINED of all crops are two pictures.
    """

    def __init__(self, scenes: Tensor, images: Tensor | None = None, image_share: float = 0.0, *, finer: bool = False):
        self.pictures = scenes if images is None else torch.cat([scenes, images])
        self.scenes = len(scenes)
        self.image_share = 0.0 if images is None else image_share
        self.finer = finer

    def draw(
        self,
        n: int,
        size: int,
        generator: torch.Generator,
        *,
        varied: bool = True,
        exact: Tensor | None = None,
        shrunk: Tensor | None = None,
    ) -> Tensor:
        """`(n, size, size)` crops; some show larger regions, area-averaged: finer and cleaner.

        `exact` (n,) bool: these are cut from scenes, as the noise of an image would be as strong as what is added.
        `shrunk` (n,) bool: half of these are mosaics of images, whose noise shrinking averages away, whatever the
        share of images among the others.
        """
        count, side, _ = self.pictures.shape
        device = generator.device
        chosen = torch.randint(self.scenes, (n,), generator=generator, device=device)
        none = torch.zeros(n, dtype=torch.bool, device=device)
        exact, shrunk = (none if mask is None else mask for mask in (exact, shrunk))
        if count > self.scenes:
            image = torch.randint(self.scenes, count, (n,), generator=generator, device=device)
            share = torch.where(shrunk, 0.5, self.image_share)
            taken = torch.rand(n, generator=generator, device=device) < share
            chosen = torch.where(taken & ~exact, image, chosen)
        whole = torch.rand(n, generator=generator, device=device) < (HALVED if side >= 2 * size else 0.0)
        top, left = (torch.randint(side - size + 1, (n,), generator=generator, device=device) for _ in range(2))
        rows = top[:, None] + torch.arange(size, device=device)
        columns = left[:, None] + torch.arange(size, device=device)
        crops = self.pictures[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        if bool(whole.any()):
            self._shrink(crops, chosen, whole, generator)
        often = torch.rand(n, generator=generator, device=device) < MOSAIC
        tiled = (often | (shrunk & (chosen >= self.scenes))).nonzero()[:, 0]
        if len(tiled):
            crops[tiled] = self._mosaics(chosen[tiled], size, generator)
        if self.finer:
            clean = torch.where(chosen < self.scenes, 2, 0)  # 1: an image, its own noise averaged away
            clean[tiled] = clean[tiled].clamp(min=1)
            self._join(crops, clean, torch.where(exact, 2, torch.where(shrunk, 1, 0)), generator)
        return scenes.vary(crops, generator) if varied else crops

    def _shrink(self, crops: Tensor, chosen: Tensor, whole: Tensor, generator: torch.Generator) -> None:
        """Let the crops of the mask `whole` show regions twice as wide, or up to MOST_SHRUNK times where that fits."""
        side, size = self.pictures.shape[1], crops.shape[1]
        factors = torch.full((len(crops),), 2, device=crops.device)
        widest = min(MOST_SHRUNK, side // size) if self.finer else 2
        if widest > 2:
            factors = torch.randint(2, widest + 1, factors.shape, generator=generator, device=crops.device)
        for factor in range(2, widest + 1):
            here = whole & (factors == factor)
            region = self.pictures[chosen[here], : factor * size, : factor * size]
            crops[here] = functional.avg_pool2d(region[:, None], factor)[:, 0]

    def _join(self, crops: Tensor, clean: Tensor, needed: Tensor, generator: torch.Generator) -> None:
        """Let JOINED of the crops meet another one at a wavy, antialiased border, so that unlike kinds meet.

        `clean` (n,): how clean each is; `needed` (n,): how clean what is in it has to be.
        """
        n, size, device = len(crops), crops.shape[1], crops.device
        partner = torch.randperm(n, generator=generator, device=device)
        numbers = torch.rand(6, n, 1, 1, generator=generator, device=device)
        where = ((numbers[0, :, 0, 0] < JOINED) & (clean[partner] >= needed)).nonzero()[:, 0]
        if not len(where):
            return
        middle_y, middle_x, turn, waves, phase = numbers[1:, where]
        axis = torch.arange(size, device=device, dtype=torch.float32)
        y, x = axis[None, :, None] - size * middle_y, axis[None, None, :] - size * middle_x
        cos, sin = torch.cos(math.tau * turn), torch.sin(math.tau * turn)
        along = x * cos + y * sin
        height = 0.5 / (0.01 + 0.1 * waves)  # px: no border is steeper than 45 degrees, so that it stays antialiased
        border = y * cos - x * sin + height * torch.sin(2 * (0.01 + 0.1 * waves) * along + math.tau * phase)
        share = (border + 0.5).clamp(0, 1)
        crops[where] = torch.lerp(crops[where], crops[partner[where]], share)

    def _mosaics(self, chosen: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """`(len(chosen), size, size)`: every quarter a shrunk picture, those of `chosen` and three of the same kind.

        Together they are shifted around, so that the seams lie anywhere.
        """
        side, quarter, device = self.pictures.shape[1], size // 2, generator.device
        shrink = min(MOST_SHRUNK, side // quarter)
        exact = chosen < self.scenes
        others = torch.randint(2**31, (3, len(chosen)), generator=generator, device=device)
        scene, image = others % self.scenes, self.scenes + others % max(len(self.pictures) - self.scenes, 1)
        members = torch.cat([chosen[None], torch.where(exact, scene, image)])
        top, left = torch.randint(side - shrink * quarter + 1, (2,), generator=generator, device=device).tolist()
        region = self.pictures[members, top : top + shrink * quarter, left : left + shrink * quarter]
        small = functional.avg_pool2d(region, shrink)  # (4, n, quarter, quarter)
        whole = torch.cat([torch.cat([small[0], small[1]], 2), torch.cat([small[2], small[3]], 2)], 1)
        down, right = torch.randint(size, (2,), generator=generator, device=device).tolist()
        return whole.roll((down, right), (1, 2))


def clean_pool(
    recipe: Recipe,
    device: torch.device,
    *,
    part: PoolPart = PoolPart.training,
    count: int | None = None,
    side: int = SCENE_PX,
    finer: bool = True,
) -> CleanPool:
    """Procedural scenes and, if there is one, the folder of clean pictures, all `side` px wide and high.

    `count` replaces the recipe's number of scenes. What is trained on has nine tenths of the folder; the other parts
    have the rest, and only for pictures without noise. `finer`: with the scenes of `scenes.FINE`, and crops as
    `CleanPool` makes them with it; without, pool and crops are those of earlier releases. Raises the errors of
    `genome.clean.crops`.
    """
    total = recipe.scenes if count is None else count
    pictures = []
    for number in range(-(-total // SCENES_AT_ONCE)):
        generator = torch.Generator().manual_seed(stream(recipe.seed, part, number))
        wanted = min(SCENES_AT_ONCE, total - number * SCENES_AT_ONCE)
        glowing = round(GLOWING * wanted)
        pictures.append(scenes.make(wanted - glowing, side, generator, kinds=scenes.TRAINING if finer else None))
        if glowing:
            pictures.append(scenes.make(glowing, side, generator, kinds=("glow",)))
    drawn = torch.cat(pictures).to(device)
    if recipe.images is None:
        return CleanPool(drawn, finer=finer)
    images = clean.crops(Path(recipe.images), side).to(device)
    held_out = torch.arange(len(images), device=device) % HELD_OUT == 0
    if part is not PoolPart.training:
        return CleanPool(drawn, images[held_out], image_share=0.0, finer=finer)
    return CleanPool(drawn, images[~held_out], recipe.image_share, finer=finer)


@dataclass(frozen=True)
class SensorBatch:
    """Simulated pictures with everything known about them. Signals are on the scale the estimator sees."""

    image: Tensor  # (B, H, W)
    signal: Tensor  # (B, QUANTILES) of the clean picture
    sigma: Tensor  # (B, QUANTILES) truth there
    scored: Tensor  # (B, QUANTILES) bool
    noise: sensor.SensorNoise  # on the scale of the picture, counted from its black
    impulse_share: Tensor  # (B,) realised
    free_intercept: Tensor  # (B,) bool: black is not known to the estimator
    pedestal: Tensor  # (B,) offset of black on the estimator's scale; 0 where black is known
    rician: Tensor  # (B,) bool: the noise is that of a magnitude, not the genome's
    grain: Tensor  # (B,) bool: the noise is film grain, not the genome's
    filtered: Tensor  # (B,) bool: a kernel that is not the genome's has gone over the noise
    pure: Tensor  # (B,) bool: nothing but pixel noise, neither content nor offsets, impulses or clipping


def sensor_batch(
    clean: Tensor,
    noise: sensor.SensorNoise,
    generator: torch.Generator,
    *,
    tiles: int = 1,
    black_known: bool = False,
    other_laws: float = 0.0,
) -> SensorBatch:
    """Lay `noise` over `clean` (B, H, W), where `tiles` in a row belong to one picture.

    Half of the pictures have a pedestal; for half, the estimator does not know black, unless `black_known`. The share
    `other_laws` has another noise: a third each that of a Rician magnitude, film grain, and `noise` filtered.
    """
    n, device = len(clean), clean.device

    def uniform() -> Tensor:
        return torch.rand(n // tiles, generator=generator, device=device).repeat_interleave(tiles)

    laws = _OtherLaws.draw(n, other_laws, uniform)
    noise = laws.left(noise)
    low, high = PEDESTAL
    level = low * (high / low) ** uniform()
    level = torch.where(uniform() < 0.5, level, torch.zeros_like(level))
    free = (uniform() < 0.5) & (not black_known)  # it may also be unknown and 0
    pedestal = torch.where(free, level, torch.zeros_like(level))
    low_clip = -level / (1 - level)
    noisy = sensor.corrupt(clean, noise, generator, black_clip=low_clip)
    scale = 1 - pedestal
    image = (
        laws.lay(noisy.image, clean, low_clip, noise.quantisation, generator) * scale[:, None, None]
        + pedestal[:, None, None]
    )
    flat = clean.flatten(1)
    positions = torch.linspace(0.5 / QUANTILES, 1 - 0.5 / QUANTILES, QUANTILES, device=device)
    ordered = flat[:, :: max(1, flat.shape[1] // 2048)].sort(1).values
    x = ordered[:, (positions * (ordered.shape[1] - 1)).round().long()]
    x, plain = laws.truth(x, noise.sigma(x, quantised=False))
    step = noise.quantisation[:, None]
    sigma = (plain.square() + step.square() / 12).sqrt()
    scored = (x < 1 - CLIP_MARGIN) & ((x > CLIP_MARGIN) | (x - low_clip[:, None] > 3 * sigma))
    scored &= (plain >= step / 2) & (sigma > 0)
    in_dn = {declared.name for declared in PARAMETERS if declared.scales_with_dn}
    values = {entry.name: getattr(noise, entry.name) for entry in fields(noise)}
    scaled = sensor.SensorNoise(**{name: value * scale if name in in_dn else value for name, value in values.items()})
    return SensorBatch(
        image=image,
        signal=x * scale[:, None] + pedestal[:, None],
        sigma=sigma * scale[:, None],
        scored=scored,
        noise=scaled,
        impulse_share=noisy.impulse_share,
        free_intercept=free,
        pedestal=pedestal,
        rician=laws.rician,
        grain=laws.grain,
        filtered=laws.filtered,
        pure=is_pure(clean, noise, low_clip),
    )


@dataclass(frozen=True)
class _OtherLaws:
    """Which pictures of a batch follow another law than the genome's, and its strengths there; all (B,)."""

    rician: Tensor  # bool
    grain: Tensor  # bool
    filtered: Tensor  # bool
    sigma: Tensor  # of both parts of the complex signal, normalised
    strength: Tensor  # of the grain, normalised
    width: Tensor  # of the grain, px
    kernel: Tensor  # number in light.KERNELS

    @staticmethod
    def draw(n: int, share: float, uniform: Callable[[], Tensor]) -> _OtherLaws:
        """Of `n` pictures; `uniform` draws (n,) in 0..1. Nothing is drawn where the share is 0."""
        if share == 0:
            none, zero = torch.zeros(n, dtype=torch.bool), torch.zeros(n)
            return _OtherLaws(none, none, none, zero + 1, zero, zero, none.long())
        kind = (uniform() * 3 / share).floor()  # 3 and above: none of them
        low, high = GRAIN_PX
        return _OtherLaws(
            rician=kind == 0,
            grain=kind == 1,
            filtered=kind == 2,
            sigma=_log_uniform(uniform(), RICIAN),
            strength=_log_uniform(uniform(), GRAIN),
            width=low + (high - low) * uniform(),
            kernel=(uniform() * len(light.KERNELS)).long().clamp(max=len(light.KERNELS) - 1),
        )

    def left(self, noise: sensor.SensorNoise) -> sensor.SensorNoise:
        """`noise` without what these pictures do not have."""
        if not bool((self.rician | self.grain | self.filtered).any()):
            return noise
        values = {entry.name: getattr(noise, entry.name) for entry in fields(noise)}
        for name, value in values.items():
            gone = self.rician | self.grain
            if name == "quantisation":
                continue
            if name not in ("shot_gain", "read_noise", "multiplicative"):
                gone = gone | self.filtered
            values[name] = torch.where(gone, 0.0, value)
        return sensor.SensorNoise(**values)

    def lay(self, image: Tensor, clean: Tensor, low: Tensor, step: Tensor, generator: torch.Generator) -> Tensor:
        """`image` (B, H, W) with these pictures in it, laid over `clean`, from `low` (B,) to 1 in steps of `step`."""
        for chosen, make in ((self.rician, self._rician), (self.grain, self._grain)):
            where = chosen.nonzero()[:, 0]
            if len(where):
                laid = make(clean[where], where, generator).clamp(max=1)
                image[where] = torch.maximum(laid, low[where, None, None])
        where = self.filtered.nonzero()[:, 0]
        if len(where):
            image[where] = clean[where] + light.filtered(image[where] - clean[where], self.kernel[where])
        where = (self.rician | self.grain | self.filtered).nonzero()[:, 0]
        if len(where):  # on the same lattice as other pictures, which must not tell them apart
            base = low[where, None, None]
            image[where] = sensor.quantise(image[where], step[where], base, torch.ones_like(base))
        return image

    def truth(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (B, Q) of the pictures at clean signals `x`; `sigma`: by the genome."""
        if not bool((self.rician | self.grain | self.filtered).any()):
            return x, sigma
        mean, variance = light.rician_moments(x, self.sigma[:, None])
        grain = light.grain_sigma(x, self.strength[:, None])
        kept = torch.where(self.filtered, light.kept_sigma(self.kernel), 1.0)[:, None]
        rician = self.rician[:, None]
        found = torch.where(self.grain[:, None], grain, sigma * kept)
        return torch.where(rician, mean.float(), x), torch.where(rician, variance.clamp(min=0).sqrt().float(), found)

    def _rician(self, clean: Tensor, where: Tensor, generator: torch.Generator) -> Tensor:
        return light.rician(clean, self.sigma[where], generator)

    def _grain(self, clean: Tensor, where: Tensor, generator: torch.Generator) -> Tensor:
        return light.grain(clean, self.strength[where], self.width[where], generator)


def _log_uniform(u: Tensor, bounds: tuple[float, float]) -> Tensor:
    low, high = bounds
    return low * (high / low) ** u


def is_pure(clean: Tensor, noise: sensor.SensorNoise, low_clip: Tensor) -> Tensor:
    """Which pictures `(B, H, W)` are flat wherever one looks and show their pixel noise uncut and alone: `(B,)`."""
    blocks = clean.unfold(1, BLOCK, BLOCK).unfold(2, BLOCK, BLOCK)
    sigma = noise.sigma(torch.stack([clean.amin((1, 2)), clean.amax((1, 2))], 1))
    content = blocks.var((-2, -1), unbiased=False).amax((1, 2))
    inside = (clean.amin((1, 2)) - low_clip > PURE_SIGMAS * sigma[:, 0]) & (
        1 - clean.amax((1, 2)) > PURE_SIGMAS * sigma[:, 1]
    )
    alone = (noise.row_noise == 0) & (noise.column_noise == 0) & (noise.impulse == 0)
    return (content <= PURE_CONTENT * sigma.amin(1).square()) & inside & alone & (sigma.amin(1) > 0)


def faint(noise: sensor.SensorNoise) -> Tensor:
    """Which pictures have so little noise that a clean image's own would count, `(B,)` bool."""
    return noise.sigma(torch.full_like(noise.shot_gain, 0.5)) < EXACT_BELOW
