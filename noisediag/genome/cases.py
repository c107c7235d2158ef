"""The benchmark's cases: which picture, draw and noise. A case depends on its own name and the seed only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from noisediag import images
from noisediag.errors import UsageError
from noisediag.genome import paper, scenes, sensor
from noisediag.genome.clean import Clean, Picture, mosaic, read_clean
from noisediag.genome.parameters import NAMES
from noisediag.genome.truth import Truth, histogram, truth
from noisediag.images.image import Image, Lattice, Plane

Floats = NDArray[np.float64]

SETS = ("gaussian", "poisson-gauss", "mixture", "clean", "flat", "raw")
SCENES = "scenes"  # the domain of procedural pictures
SCENE_PX = 256
RAW_SCENE_PX = 512  # a mosaic of four planes of 256x256
CONTAINER_STEP = 1 / 65535  # pictures are handed over in 16 bits
FLAT_LEVELS = (0.1, 0.9)
RAW_LAW = {"shot_gain": (1e-5, 2e-2), "read_noise": (3e-4, 1e-2)}
RAW_SCALES = ((12, 0), (12, 256), (14, 0), (14, 1024))  # bits, black in DN: half of the draws have a pedestal
LAW_SAMPLES = 4096  # of the mean predictor

LAW_TEXT = {
    "gaussian": "sigma log-uniform 1..40/255",
    "poisson-gauss": "S log-uniform .001-.05, read noise log-uniform .002-.03",
    "mixture": "S .0005-.05, read .001-.05; M .02-.3, p .001-.1, q 1/255-.06, row, column .002-.03 (log-uniform), "
    "rho 0.5-1.5 (uniform), each with probability 1/2; sigma(0.5) in .004-.2",
    "clean": "nothing added",
    "flat": "constant pictures of level 0.1-0.9 under the poisson-gauss law",
    "raw": "Bayer files, 12 or 14 bit, half with a black pedestal; S log-uniform 1e-5..2e-2, read 3e-4..1e-2",
    "paper": "softmax of 6 standard normals",
}


@dataclass(frozen=True)
class Job:
    """One picture of one set, with all its draws: the unit that a worker takes. `path` None: made by the program."""

    set_name: str
    domain: str
    picture: str
    path: Path | None
    own_noise: float | None
    draws: range


@dataclass(frozen=True)
class SensorCase:
    """A noisy picture with its truth. `clean` (H, W): the signal without noise, of a mosaic too; `plane` (H, W): the
    noisy one in [0, 1], or None for a mosaic.
    """

    image: Image
    clean: Floats
    plane: Floats | None
    truth: Truth
    own_noise: float  # normalised; of the clean picture, its rounding included
    source_step: float  # between the codes of the clean file
    mean_signal: float


@dataclass(frozen=True)
class PaperCase:
    """A noisy picture (H, W) in [0, 1] with the clean one and the six strengths that made it."""

    noisy: NDArray[np.float32]
    clean: NDArray[np.float32]
    strengths: Floats


def jobs(
    sets: tuple[str, ...], found: tuple[Picture, ...], *, draws: int, scenes_: int, flats: int, raws: int
) -> Iterator[Job]:
    """All jobs of `sets` over the pictures `found`, sets in the order given.

    `scenes_`, `flats` and `raws` count the procedural pictures of `clean` (of every set where none are found, anew for
    each draw), the pictures of `flat` and the files of `raw`.
    """
    for name in sets:
        if name == "flat":
            yield from (Job(name, "flat", str(i), None, None, range(draws)) for i in range(flats))
        elif name == "raw":
            yield from _raw_jobs(found, raws)
        else:
            times = range(1) if name == "clean" else range(draws)
            yield from (Job(name, p.domain, p.path.name, p.path, p.own_noise, times) for p in found)
            if name == "clean" or not found:
                yield from (Job(name, SCENES, str(i), None, None, times) for i in range(scenes_))


def _raw_jobs(found: tuple[Picture, ...], raws: int) -> Iterator[Job]:
    """`raws` files, spread over the pictures; procedural scenes where there are none."""
    if not found:
        yield from (Job("raw", SCENES, str(i), None, None, range(1)) for i in range(raws))
        return
    stride = max(len(found) // raws, 1)  # pictures come sorted by domain: few files should still see all of them
    for place, picture in enumerate(found[::stride]):
        draws = range(len(range(place, raws, len(found[::stride]))))
        if draws:
            yield Job("raw", picture.domain, picture.path.name, picture.path, picture.own_noise, draws)


def case_seed(seed: int, job: Job, draw: int) -> int:
    """A seed of 63 bits that no other case shares, whatever else runs beside it."""
    return named_seed(f"{seed}/{job.set_name}/{job.domain}/{job.picture}/{draw}")


def named_seed(name: str) -> int:
    """A seed of 63 bits made from a case's name."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") >> 1


def sensor_case(job: Job, draw: int, seed: int) -> SensorCase:
    """Draw noise by the law of `job.set_name` and add it to the job's picture."""
    generator = torch.Generator().manual_seed(case_seed(seed, job, draw))
    if job.set_name == "raw":
        return _raw_case(job, generator)
    if job.set_name == "flat":
        low, high = FLAT_LEVELS
        level = low + (high - low) * float(torch.rand((), generator=generator))
        clean = Clean(np.full((SCENE_PX, SCENE_PX), level), 0.0)
    else:
        clean = _clean(job, generator, SCENE_PX)
    noise = sensor.sample("poisson-gauss" if job.set_name == "flat" else job.set_name, 1, generator)
    signal = clean.luma
    batch = torch.from_numpy(signal.astype(np.float32))[None]
    noisy = sensor.corrupt(batch, noise, generator, container_step=CONTAINER_STEP)
    codes = np.rint(noisy.image[0].numpy().astype(np.float64) / CONTAINER_STEP).astype(np.uint16)
    values = _values(noise, float(noisy.impulse_share[0]))
    return SensorCase(
        image=images.from_array(codes, black=0, white=65535),
        clean=signal,
        plane=codes / 65535,
        truth=truth(values, histogram(signal), shape=signal.shape, container_step=CONTAINER_STEP),
        own_noise=_own_noise(job, clean, CONTAINER_STEP),
        source_step=max(clean.step, CONTAINER_STEP),
        mean_signal=float(signal.mean()),
    )


def paper_case(job: Job, draw: int, seed: int) -> PaperCase:
    """Draw strengths by the paper's law and corrupt the luma of the job's picture."""
    generator = torch.Generator().manual_seed(case_seed(seed, job, draw))
    clean = torch.from_numpy(_clean(job, generator, SCENE_PX).luma.astype(np.float32))[None]
    strengths = paper.sample(1, generator)
    noisy = paper.corrupt(clean, strengths, generator)
    return PaperCase(noisy[0].numpy(), clean[0].numpy(), strengths[0].numpy().astype(np.float64))


@lru_cache(maxsize=8)
def mean_curve(name: str, points: int = 65) -> tuple[Floats, Floats]:
    """The mean predictor of a set: signals (points,) and the geometric mean of sigma there over the set's own law."""
    generator = torch.Generator().manual_seed(0)
    if name == "raw":
        noise = _raw_noise(LAW_SAMPLES, generator)
    else:
        noise = sensor.sample("poisson-gauss" if name == "flat" else name, LAW_SAMPLES, generator)
    x = torch.linspace(0, 1, points).expand(LAW_SAMPLES, -1)
    sigma = noise.sigma(x).double().clamp_min(1e-12)
    return x[0].double().numpy(), sigma.log().mean(dim=0).exp().numpy()


def bayer_image(codes: NDArray[np.uint16], *, black: float, white: float, bits: int) -> Image:
    """An Image as a RAW reader would give it: four planes of an RGGB mosaic, linear, black and white known."""
    planes = tuple(
        Plane(
            name=name,
            shape=codes[row::2, column::2].shape,
            load=lambda row=row, column=column: codes[row::2, column::2],  # type: ignore[misc]
            black_dn=black,
            white_dn=white,
            scale_source="file",
            offset_known=True,
            white_known=True,
            bit_depth=bits,
            step_dn=1.0,
            lattice=Lattice(row, column, 2, 2),
        )
        for name, row, column in (("R", 0, 0), ("G1", 0, 1), ("G2", 1, 0), ("B", 1, 1))
    )
    return Image(planes=planes, domain="raw-linear", reader="simulated", cfa_plane_colors=("R", "G", "B"))


def _raw_case(job: Job, generator: torch.Generator) -> SensorCase:
    clean = _clean(job, generator, RAW_SCENE_PX)
    bits, black = RAW_SCALES[int(torch.randint(len(RAW_SCALES), (), generator=generator))]
    white = 2**bits - 1
    step = 1 / (white - black)
    noise = _raw_noise(1, generator)
    signal = mosaic(clean.signal)
    batch = torch.from_numpy(signal.astype(np.float32))[None]
    noisy = sensor.corrupt(batch, noise, generator, black_clip=-black * step, container_step=step)
    codes = np.rint(noisy.image[0].numpy().astype(np.float64) / step + black).astype(np.uint16)
    # unlike in 16 bits the rounding to whole codes is part of the noise here
    values = tuple(
        step if name == "quantisation" else value for name, value in zip(NAMES, _values(noise, 0.0), strict=True)
    )
    levels = histogram(signal, low=-black * step)
    return SensorCase(
        image=bayer_image(codes, black=black, white=white, bits=bits),
        clean=signal,
        plane=None,
        truth=truth(values, levels, shape=signal.shape, container_step=step),
        own_noise=_own_noise(job, clean, step),
        source_step=max(clean.step, step),
        mean_signal=float(signal.mean()),
    )


def _raw_noise(n: int, generator: torch.Generator) -> sensor.SensorNoise:
    absent = {entry.name: torch.zeros(n) for entry in fields(sensor.SensorNoise)}
    drawn = {
        name: torch.exp(math.log(low) + math.log(high / low) * torch.rand(n, generator=generator))
        for name, (low, high) in RAW_LAW.items()
    }
    return sensor.SensorNoise(**absent | drawn)


def _clean(job: Job, generator: torch.Generator, scene_px: int) -> Clean:
    if job.path is None:
        return Clean(scenes.make(1, scene_px, generator)[0].numpy().astype(np.float64), 0.0)
    clean = _read(job.path)
    if min(clean.signal.shape[:2]) < 32:
        raise UsageError(
            f"{job.path}: {clean.signal.shape[1]}x{clean.signal.shape[0]} pixels are too few for a benchmark"
        )
    return Clean(np.clip(clean.signal, 0, 1), clean.step)


@lru_cache(maxsize=1)
def _read(path: Path) -> Clean:
    return read_clean(path)  # the draws of a picture follow each other


def _values(noise: sensor.SensorNoise, impulse_share: float) -> tuple[float, ...]:
    """The truth in the order of `NAMES`: what was drawn, and for impulses the share that is visible."""
    return tuple(impulse_share if name == "impulse" else float(getattr(noise, name)[0]) for name in NAMES)


def _own_noise(job: Job, clean: Clean, container_step: float) -> float:
    return max(job.own_noise or 0.0, max(clean.step, container_step) / math.sqrt(12))
