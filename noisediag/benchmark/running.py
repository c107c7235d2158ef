"""How the benchmarks run: their clean pictures, the models they score, jobs spread over processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UsageError
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.genome.clean import Picture, pictures
from noisediag.images.image import Image

MODEL = "noisediag"
RANDOMISED = "encoder randomised"


class SensorModel(Protocol):
    """What the sensor benchmark needs of a model."""

    def estimate(self, image: Image) -> Footprint: ...


class PaperModel(Protocol):
    """What the paper benchmark needs of a model: strengths (6,) of a noisy picture (H, W) in [0, 1]."""

    checkpoint: CheckpointId

    def predict(self, noisy: NDArray[np.float32]) -> NDArray[np.floating]: ...


class PictureOptions(Protocol):
    """What says which clean pictures a benchmark uses."""

    @property
    def data(self) -> Path | None: ...
    @property
    def own_noise(self) -> Path | None: ...
    @property
    def split(self) -> str: ...
    @property
    def limit_per_domain(self) -> int | None: ...


def pictures_of(options: PictureOptions) -> tuple[Picture, ...]:
    """The clean pictures of `options.data`; none without a folder, where scenes are made instead.

    Raises UsageError where there is nothing to read, and for `own_noise` of no pictures.
    """
    if options.data is not None:
        return pictures(
            options.data,
            split=options.split,
            limit_per_domain=options.limit_per_domain,
            own_noise=options.own_noise,
        )
    if options.own_noise is not None:
        raise UsageError("--own-noise is that of the pictures of --data")
    return ()


Models = Callable[[], Mapping[str, Any]]  # method name -> SensorModel or PaperModel; called once in every worker


@dataclass(frozen=True)
class ShippedModels:
    """The models of a checkpoint (None: the shipped one), and the same with the encoder's weights re-drawn."""

    genome: str
    checkpoint: Path | None
    device: str
    randomised: bool
    seed: int

    def __call__(self) -> Mapping[str, Any]:
        if self.genome == "sensor":
            from noisediag.estimator import Estimator

            model: Any = Estimator(self.checkpoint, self.device)
        else:
            from noisediag.benchmark.paper import PaperEstimator

            model = PaperEstimator(self.checkpoint, self.device)
        return {MODEL: model, **({RANDOMISED: model.randomised(self.seed)} if self.randomised else {})}


_worker_models: Mapping[str, Any] = {}  # of this worker process, made once


def _start_worker(models: Models) -> None:
    import torch

    from noisediag import engine

    global _worker_models
    torch.set_num_threads(1)
    with engine.one_thread():
        _worker_models = models()


def _in_worker(score: Callable[[Mapping[str, Any], Any], Any], job: Any) -> Any:
    return score(_worker_models, job)


def spread(
    score: Callable[[Mapping[str, Any], Any], Any], todo: Sequence[Any], models: Models, workers: int
) -> Iterator[Any]:
    """`score(models, job)` of all jobs, in their order.

    They run in this process, or in `workers` spawned ones of one thread each.
    """
    if workers == 1:
        made = models()
        yield from (score(made, job) for job in todo)
        return
    spawn = multiprocessing.get_context("spawn")  # torch is not safe to fork
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker, initargs=(models,)) as pool:
        yield from pool.map(partial(_in_worker, score), todo)
