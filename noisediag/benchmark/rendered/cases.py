"""The cases of `benchmark rendered`: clean pictures photographed by simulated cameras, the noise measured.

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

from noisediag.benchmark.rendered.truth import MeasuredTruth, flags_of, measured_truth
from noisediag.genome import rendered, scenes, srgb
from noisediag.genome.cases import SCENES, Job, case_seed
from noisediag.genome.clean import Picture, read_clean

Floats = NDArray[np.float64]

HELD_OUT, KNOWN, UNPROCESSED = "held out", "known", "unprocessed"
PHONES = "phones"
# Each with one stage of PHONE_HELD_OUT, which every camera of the group has.
PHONES_WITHOUT_TRAINING = {"phones, new tone": "local_tone", "phones, new codec": "codec"}
GROUPS = {
    HELD_OUT: "cameras with " + ", ".join(f"{k} {v}" for k, v in rendered.HELD_OUT.items()) + ", never trained on",
    KNOWN: "cameras as in training",
    UNPROCESSED: "sensor noise in 8 bits, no other processing, no JPEG",
    PHONES: "cameras that do what phones do: merging, local tones, smoothing of the encoded picture, halos, grain",
    **{
        group: f"as phones, with {kind.replace('_', ' ')} {rendered.PHONE_HELD_OUT[kind]}, never trained on"
        for group, kind in PHONES_WITHOUT_TRAINING.items()
    },
}
PICTURE_PX = 224
TRUTH_DRAWS = 24  # photographs that the truth is measured from: its own error is 1/sqrt(2 * 24) a pixel
LEAST_SCENE_PX = 32  # that scenes of every kind can be drawn at


@dataclass(frozen=True)
class RenderedCase:
    """A photograph and the truth about its noise."""

    codes: NDArray[np.uint8]  # (H, W, 3)
    clean: NDArray[np.uint8]  # (H, W, 3) the mean of all photographs
    camera: rendered.Camera
    gray: bool  # three equal channels, which are read as one: only luma is scored
    truth: MeasuredTruth
    flags: Floats  # (3,) processed, denoised, upscaled: 1, 0, or NaN where neither can be said

    @property
    def planes(self) -> range:
        """Numbers of the planes that are scored."""
        return range(len(rendered.PLANES) - 1, len(rendered.PLANES)) if self.gray else range(len(rendered.PLANES))


def jobs(
    found: tuple[Picture, ...], *, draws: int, scenes_: int, groups: tuple[str, ...] = tuple(GROUPS)
) -> Iterator[Job]:
    """`groups` over the pictures `found`, or over `scenes_` procedural ones where there are none."""
    for group in groups:
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
    photographs = measured.pictures[0].numpy().astype(np.float64)  # (TRUTH_DRAWS, 3, H, W)
    codes = _rows(photographs[0])
    return RenderedCase(
        codes=codes,
        clean=_rows(photographs.mean(axis=0)),
        camera=settings,
        gray=bool((codes == codes[..., :1]).all()),
        truth=measured_truth(photographs),
        flags=flags_of(settings, float(measured.denoised[0])),
    )


def camera_of(group: str, generator: torch.Generator) -> rendered.Camera:
    """A camera of one of GROUPS."""
    if group == PHONES or group in PHONES_WITHOUT_TRAINING:
        return rendered.sample_phone(generator, held_out=PHONES_WITHOUT_TRAINING.get(group))
    if group != UNPROCESSED:
        return rendered.sample_camera(generator, held_out=group == HELD_OUT)
    return rendered.sample_plain(generator)


def _scene(job: Job, settings: rendered.Camera, generator: torch.Generator) -> Tensor:
    """The job's picture as `settings` sees it, `(1, 3, side, side)`; a scene of the program's has colours of its own.

    Without processing the file holds the scene itself, which then stays as it is.
    """
    side = rendered.scene_px(settings, PICTURE_PX)
    if job.path is None:
        gray = scenes.make(3, max(side + side % 2, LEAST_SCENE_PX), generator)[:, None, :side, :side]
        return rendered.colourise(gray, generator)
    values = torch.from_numpy(np.clip(read_clean(job.path).signal, 0, 1).astype(np.float32))
    display = values.expand(3, -1, -1) if values.ndim == 2 else values.permute(2, 0, 1)
    scene = display if settings.tone is None else srgb.decoded(display)
    return rendered.mirrored(scene[None], side)


def _rows(picture: Floats) -> NDArray[np.uint8]:
    """Codes (3, H, W) as whole numbers (H, W, 3)."""
    return np.ascontiguousarray(np.rint(picture).astype(np.uint8).transpose(1, 2, 0))
