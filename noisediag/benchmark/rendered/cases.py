"""The cases of `benchmark --genome rendered`: clean pictures photographed by simulated cameras, the noise measured.

A clean picture is taken for light (the inverse of the sRGB curve) and photographed TRUTH_DRAWS times; the first
photograph is what is estimated, all of them tell the truth. A case depends on its own name and the seed only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisediag.genome import rendered, scenes, srgb
from noisediag.genome.cases import SCENES, Job, case_seed
from noisediag.genome.clean import Picture, read_clean
from noisediag.training.photographs import RenderedSet, labelled, mirrored
from noisediag.training.rendered import scored

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

HELD_OUT, KNOWN, UNPROCESSED = "held out", "known", "unprocessed"
GROUPS = {
    HELD_OUT: "cameras with " + ", ".join(f"{k} {v}" for k, v in rendered.HELD_OUT.items()) + ", never trained on",
    KNOWN: "cameras as in training",
    UNPROCESSED: "sensor noise in 8 bits, no other processing, no JPEG",
}
PICTURE_PX = 224
TRUTH_DRAWS = 24  # photographs that the truth is measured from: its own error is 1/sqrt(2 * 24) a pixel
TRIES = 1000  # cameras drawn until one does no processing


@dataclass(frozen=True)
class RenderedCase:
    """A photograph and the truth about its noise. P planes: `genome.rendered.PLANES`; L levels of equal count.

    Signals and sigmas are codes / 255.
    """

    codes: NDArray[np.uint8]  # (H, W, 3)
    clean: NDArray[np.uint8]  # (H, W, 3) the mean of all photographs
    camera: rendered.Camera
    gray: bool  # three equal channels, which are read as one: only luma is scored
    signal: Floats  # (P, L)
    sigma: Floats  # (P, L)
    scored: Mask  # (P, L) half a code of noise and more, and not at black or white
    lag1: Floats  # (P, 2)
    areas: Floats  # (P, len(AREAS)) SD after averaging
    channels: Floats  # (3,)
    flags: Floats  # (3,) processed, denoised, upscaled: 1, 0, or NaN where neither can be said

    @property
    def planes(self) -> range:
        """Numbers of the planes that are scored."""
        return range(len(rendered.PLANES) - 1, len(rendered.PLANES)) if self.gray else range(len(rendered.PLANES))


def jobs(found: tuple[Picture, ...], *, draws: int, scenes_: int) -> Iterator[Job]:
    """All groups over the pictures `found`, or over `scenes_` procedural ones where there are none."""
    for group in GROUPS:
        yield from (Job(group, p.domain, p.path.name, p.path, p.own_noise, range(draws)) for p in found)
        if not found:
            yield from (Job(group, SCENES, str(i), None, None, range(draws)) for i in range(scenes_))


def rendered_case(job: Job, draw: int, seed: int) -> RenderedCase:
    """Draw a camera of the job's group and photograph the job's picture.

    Raises InputError where the picture cannot be read.
    """
    generator = torch.Generator().manual_seed(case_seed(seed, job, draw))
    settings = camera_of(job.set_name, generator)
    scene = _scene(job, settings, generator)
    measured = rendered.measure(scene, settings, PICTURE_PX, TRUTH_DRAWS, TRUTH_DRAWS, generator)
    truth = labelled(measured, settings)
    codes = _rows(truth.pictures[0, 0])
    gray = bool((codes == codes[..., :1]).all())
    sigma = truth.sigma[0].double()
    total = sigma.square().mean(-1, keepdim=True).sqrt()
    return RenderedCase(
        codes=codes,
        clean=_rows(measured.pictures[0].mean(0).round().to(torch.uint8)),
        camera=settings,
        gray=gray,
        signal=_numbers(truth.signal),
        sigma=sigma.numpy(),
        scored=_scored(truth),
        lag1=_numbers(truth.lag1),
        areas=_numbers(truth.areas) * total.numpy(),
        channels=_numbers(truth.channels),
        flags=_numbers(truth.flags),
    )


def camera_of(group: str, generator: torch.Generator) -> rendered.Camera:
    """A camera of one of GROUPS."""
    if group != UNPROCESSED:
        return rendered.sample_camera(generator, held_out=group == HELD_OUT)
    for _ in range(TRIES):
        settings = rendered.sample_camera(generator)
        if not settings.processed and settings.kernel is None:
            return settings
    raise RuntimeError(f"{TRIES} cameras, and none without processing")


def light(display: Tensor) -> Tensor:
    """The inverse of the sRGB curve, IEC 61966-2-1."""
    return srgb.decode(display)


def _scene(job: Job, settings: rendered.Camera, generator: torch.Generator) -> Tensor:
    """The job's picture as `settings` sees it, `(1, 3, side, side)`; a scene of the program's has colours of its own.

    Without processing the file holds the scene itself, which then stays as it is.
    """
    side = rendered.scene_px(settings, PICTURE_PX)
    if job.path is None:
        gray = scenes.make(3, side + side % 2, generator)[:, None, :side, :side]
        return rendered.colourise(gray, generator)
    values = torch.from_numpy(np.clip(read_clean(job.path).signal, 0, 1).astype(np.float32))
    display = values.expand(3, -1, -1) if values.ndim == 2 else values.permute(2, 0, 1)
    scene = display if settings.tone is None else light(display)
    return mirrored(scene[None], side)


def _scored(truth: RenderedSet) -> Mask:
    return np.asarray(scored(truth)[0].numpy(), dtype=np.bool_)


def _numbers(values: Tensor) -> Floats:
    return np.asarray(values[0].numpy(), dtype=np.float64)


def _rows(picture: Tensor) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
