"""Photographs by simulated cameras with the truth measured, for training and calibrating the rendered network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from noisediag.genome import rendered
from noisediag.training.fit import Report
from noisediag.training.pictures import CROP, CleanPool
from noisediag.training.streams import drawing

DRAWS = 4  # photographs of one scene, of which the truth is measured
KEPT = 2  # Of them that are trained on. New scenes in each step matter more than their truth, so these are all there.
FAINT = 0.004  # SD of the sensor's noise at a tenth of white: below, scenes and shrunk pictures only
FINE, LARGE_FINE = 0.4, 0.3  # shares of the scenes, see `scenes_for`
Cameras = Callable[[torch.Generator], rendered.Camera]  # how one is drawn
UPSCALED = 1.15  # scale from which a picture counts as enlarged; between the two, neither is learned
NOT_UPSCALED = 1.02


@dataclass(frozen=True)
class RenderedSet:
    """N scenes of one size, and what is true of the noise in them, see `genome.rendered.Measured`."""

    pictures: Tensor  # (N, KEPT, 3, H, W) uint8
    signal: Tensor  # (N, P, LEVELS)
    sigma: Tensor  # (N, P, LEVELS)
    lag1: Tensor  # (N, P, 2)
    areas: Tensor  # (N, P, len(AREAS))
    channels: Tensor  # (N, 3)
    flags: Tensor  # (N, 3) processed, denoised, upscaled: 1 or 0; NaN: neither

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def gray(self) -> Tensor:
        """Which pictures have no colour, `(N,)` bool. The network looks at their luma alone: no batch mixes both."""
        first = self.pictures[:, 0]
        return (first[:, :1] == first[:, 1:]).flatten(1).all(1)

    def luma(self) -> RenderedSet:
        """With what is true of luma only, P = 1."""
        return replace(self, **{name: getattr(self, name)[:, -1:] for name in ("signal", "sigma", "lag1", "areas")})

    def select(self, index: Tensor | slice) -> RenderedSet:
        return RenderedSet(*(getattr(self, entry.name)[index] for entry in fields(self)))

    def to(self, device: torch.device) -> RenderedSet:
        return RenderedSet(*(getattr(self, entry.name).to(device) for entry in fields(self)))

    @staticmethod
    def join(parts: list[RenderedSet]) -> RenderedSet:
        names = [entry.name for entry in fields(RenderedSet)]
        return RenderedSet(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def scenes_for(pool: CleanPool, settings: rendered.Camera, n: int, size: int, generator: torch.Generator) -> Tensor:
    """`n` scenes in linear light and colour, as large as `settings` needs them.

    Most show much in little room, as pictures do that were made smaller: mosaics of shrunk ones, in their own
    contrast, of CROP px and continued by their mirror images or as large as the pool's. The rest is varied as
    `CleanPool` does.
    """
    side = rendered.scene_px(settings, size)
    kind = float(torch.rand((), generator=generator))
    have = min(side + side % 2, CROP if kind < FINE else pool.pictures.shape[1])
    faint = settings.shot_gain / 10 + settings.read_noise**2 < FAINT**2
    shrunk = torch.full((3 * n,), faint or kind < FINE + LARGE_FINE)
    gray = pool.draw(3 * n, have, generator, shrunk=shrunk, varied=kind >= FINE + LARGE_FINE)
    triples = torch.unflatten(rendered.mirrored(gray[:, None], side)[:, 0], 0, (3, n))
    if settings.tone is None and settings.gray:
        return triples[0][:, None].expand(-1, 3, -1, -1)
    coloured: Tensor = rendered.colourise(triples, generator)
    return coloured


def a_camera(generator: torch.Generator, *, held_out: bool = False, phones: float = 0.0) -> rendered.Camera:
    """A random camera, `phones` the chance of one of the second kind, without which none of its numbers are drawn."""
    if phones > 0 and float(torch.rand((), generator=generator)) < phones:
        return rendered.sample_phone(generator)
    return rendered.sample_camera(generator, held_out=held_out)


def photographs(
    pool: CleanPool,
    size: int,
    together: int,
    draws: int,
    generator: torch.Generator,
    *,
    held_out: bool = False,
    phones: float = 0.0,
    cameras: Cameras | None = None,
) -> RenderedSet:
    """`together` scenes, each photographed `draws` times by one random camera: of `cameras`, else see `a_camera`."""
    settings = cameras(generator) if cameras else a_camera(generator, held_out=held_out, phones=phones)
    scene = scenes_for(pool, settings, together, size, generator)
    return labelled(rendered.measure(scene, settings, size, draws, KEPT, generator), settings)


def rendered_set(
    pool: CleanPool,
    count: int,
    size: int,
    seed: int,
    *,
    purpose: str,
    together: int = 2,
    held_out: bool = False,
    phones: float = 0.0,
    cameras: Cameras | None = None,
    report: Report | None = None,
) -> RenderedSet:
    """`count` scenes, `together` a camera, photographed DRAWS times each.

    Sets of another `purpose`, `size` or `seed` are taken by other cameras.
    """
    parts = []
    for number in range(math.ceil(count / together)):
        generator = drawing(purpose, seed, size, number)
        parts.append(
            photographs(pool, size, together, DRAWS, generator, held_out=held_out, phones=phones, cameras=cameras)
        )
        if report is not None and number % 50 == 0:
            report(number * together, {})
    return RenderedSet.join(parts)


def labelled(measured: rendered.Measured, settings: rendered.Camera) -> RenderedSet:
    """With what is known of the camera."""
    count = len(measured.pictures)
    up = 1.0 if settings.scale > UPSCALED else 0.0 if settings.scale < NOT_UPSCALED else math.nan
    processed = torch.full((count,), float(settings.processed))
    return RenderedSet(
        pictures=measured.pictures.to(torch.uint8),
        signal=measured.signal,
        sigma=measured.sigma,
        lag1=measured.lag1,
        areas=measured.areas,
        channels=measured.channels,
        flags=torch.stack([processed, measured.denoised, torch.full((count,), up)], 1),
    )
