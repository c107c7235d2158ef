"""`estimate`, `estimate_many` and `read`."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from noisediag.api.signatures import check_choice, check_number, public
from noisediag.api.sources import Reading, Source, image_of, is_path, kept, named, reading_of
from noisediag.errors import UsageError, WrongTypeError
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint
from noisediag.images.image import Domain, Image
from noisediag.labels.bursts import with_repeats
from noisediag.reports import Failure
from noisediag.reports.attempt import attempt

DEVICES = ("auto", "cpu", "cuda")
ERRORS = ("return", "raise")
_MODELS_KEPT = 4
_models: OrderedDict[tuple[object, ...], Estimator] = OrderedDict()
_loading = threading.Lock()


@dataclass(frozen=True)
class Job:
    """What is done with each picture. `keep`: the footprint can have its picture again."""

    reading: Reading
    gain: float | None
    estimator: Estimator
    keep: bool = True

    def footprint(self, source: Source) -> Footprint:
        """Raises the errors of `estimate`."""
        image = image_of(source, self.reading)
        footprint = self.estimator.estimate(image, gain=self.gain)
        if image.frames > 1:
            footprint = with_repeats(footprint, image)
        if self.keep or is_path(source):
            footprint = replace(footprint, picture=kept(source, image, self.reading))
        return footprint


@public
def estimate(
    source: Source,
    *,
    black: float | None = None,
    white: float | None = None,
    domain: Domain | None = None,
    axes: str | None = None,
    gain: float | None = None,
    channel: str | int | None = None,
    frame: int | None = None,
    roi: tuple[int, int, int, int] | None = None,
    linear: bool = False,
    series: str | int | None = None,
    z: int | None = None,
    dataset: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Footprint:
    """Estimate the noise of one picture: which kinds, how much of each, in which unit, with 90 % intervals.

    Args:
        source: one of

            - a path, `str` or `os.PathLike`: any file that `noisediag estimate FILE` reads
            - an array, `(H, W)`, `(H, W, 3)` or `(frames, H, W)`: of numpy, or what converts to it (dask, xarray, zarr,
              h5py, pandas). Three axes are colours where the last one is 1, 3 or 4 long, and frames otherwise: say
              `axes` where that is wrong, as for `(3, H, W)`. Masked pixels and not-a-number are left out.
            - a picture of PIL, in its present frame, with its EXIF and JPEG tables where it still has them
            - a tensor of torch on any device; one of `(3, H, W)` needs `axes`
            - `bytes`, or a file object opened for reading bytes: the content of a file
            - what `noisediag.read` gives
        black: DN without light; white: DN of saturation. Where nothing says so, black counts as 0 (and the footprint
            has the flag `assumed_scale`: without a black the read noise is unknown), and white as the largest code of
            integers up to 16 bits (255 of uint8, 65535 of uint16), of other types as the power of two at or above the
            largest value (1 where that lies between 0.5 and 1). Signals and sigmas are fractions of white - black.
        domain: of an array. "linear": proportional to light; "rendered": as a display takes it, 8-bit colours by
            default; "raw-linear": one plane of a sensor.
        axes: of an array, a letter an axis: Y and X (or H and W) rows and columns, C channels, S the colours of a
            pixel, any other letter frames, as in "CYX" or "THWC".
        gain: conversion gain in e-/DN, where it is known.
        channel, frame, roi: a part of a file: name or number, number from 0, (x, y, width, height) in px.
        linear: the codes are proportional to light, whatever the format; series, z, dataset: see `noisediag.read`.
        checkpoint: a model of your own, from `noisediag.finetune`, instead of the one that we ship.
        device: where the model runs; auto takes CUDA where there is one.

    Returns:
        A `Footprint`: `fp["shot_gain"].value`, `fp.curve`, `fp.sigma(0.18)`, `fp.to_dict()`, `fp.plot()`. Its numbers
        are those of `noisediag estimate --json`. Of a stack, `fp.measured` holds what its frames show by their
        differences.

    Raises:
        TypeError: for a source of another kind, which says what is taken, and for an unknown keyword.
        NoisediagError: `InputError` for a picture that cannot be read, `UsageError` for options that do not fit it or
            each other, `CheckpointError` for a model that is missing or damaged. The message is one line.

    Safe in several threads. The model is loaded once a process.

    >>> import numpy as np, noisediag
    >>> light = np.linspace(100, 3000, 256 * 256).reshape(256, 256)  # electrons
    >>> picture = np.random.default_rng(0).poisson(light) / 0.5 + 100  # 0.5 e-/DN
    >>> fp = noisediag.estimate(picture.astype(np.uint16), black=100, white=16383, device="cpu")
    >>> 0.45 < fp.derived.conversion_gain.value < 0.55  # e-/DN
    True
    """
    reading = reading_of(
        black=black,
        white=white,
        domain=domain,
        axes=axes,
        channel=channel,
        frame=frame,
        roi=roi,
        linear=linear,
        series=series,
        z=z,
        dataset=dataset,
    )
    check_number("gain", gain, positive=True)
    check_choice("device", device, DEVICES)
    return Job(reading, gain, estimator_of(checkpoint, device)).footprint(source)


@public
def estimate_many(
    sources: Iterable[Source],
    *,
    workers: int = 1,
    errors: Literal["return", "raise"] = "return",
    black: float | None = None,
    white: float | None = None,
    domain: Domain | None = None,
    axes: str | None = None,
    gain: float | None = None,
    channel: str | int | None = None,
    frame: int | None = None,
    roi: tuple[int, int, int, int] | None = None,
    linear: bool = False,
    series: str | int | None = None,
    z: int | None = None,
    dataset: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Iterator[Footprint | Failure]:
    """Estimate many pictures, one after the other as they are asked for, with the model loaded once.

    Args:
        sources: paths, arrays or whatever else `estimate` takes, in a list or from a generator, which is read a few
            pictures ahead at most.
        workers: threads that work side by side; the footprints come in the order of the sources all the same. For
            folders of thousands, `noisediag batch` has processes, a journal and time limits.
        errors: "return" gives a `Failure` (path, code and message) in the place of a picture that cannot be estimated,
            and goes on; "raise" raises its error.
        black, ..., device: as `estimate` takes them, the same for all.

    Returns:
        An iterator of `Footprint`s and `Failure`s. Footprints of arrays do not hold on to their pixels: hand these to
        `fp.sigma_map` again.

    Raises:
        TypeError: for a single path instead of several, and as `estimate`; errors of single pictures see `errors`.

    >>> import numpy as np, noisediag
    >>> frames = np.random.default_rng(0).normal(500, 5, (2, 128, 128)).astype(np.uint16)
    >>> [fp.planes[-1].shape for fp in noisediag.estimate_many(frames, device="cpu")]
    [(128, 128), (128, 128)]
    """
    reading = reading_of(
        black=black,
        white=white,
        domain=domain,
        axes=axes,
        channel=channel,
        frame=frame,
        roi=roi,
        linear=linear,
        series=series,
        z=z,
        dataset=dataset,
    )
    check_number("gain", gain, positive=True)
    check_choice("device", device, DEVICES)
    check_choice("errors", errors, ERRORS)
    if not isinstance(workers, int) or workers < 1:
        raise UsageError(f"workers is a number of threads from 1 on, not {workers!r:.60}")
    items = several(sources)
    job = Job(reading, gain, estimator_of(checkpoint, device), keep=False)

    def outcome(place: int, source: Source) -> Footprint | Failure:
        if errors == "raise":
            return job.footprint(source)
        return attempt(Path(named(source, place)), lambda _: job.footprint(source))

    return _in_order(items, outcome, workers)


@public
def read(
    source: Source,
    *,
    black: float | None = None,
    white: float | None = None,
    domain: Domain | None = None,
    axes: str | None = None,
    channel: str | int | None = None,
    frame: int | None = None,
    roi: tuple[int, int, int, int] | None = None,
    linear: bool = False,
    series: str | int | None = None,
    z: int | None = None,
    dataset: str | None = None,
) -> Image:
    """Read a picture as `estimate` sees it: planes of code values with their scale, and the acquisition's tags.

    `source`, `black`, `white`, `domain`, `axes`, `channel`, `frame`, `roi` and `linear` are those of `estimate`, which
    takes what this gives. `series` (name or number): one of the pictures of a file that holds several; `dataset`: the
    path of one within an HDF5 file or a Zarr store; `z`: one depth of a focus series, frames are then counted over the
    other axes. Raises the errors of `estimate`.

    >>> import numpy as np, noisediag
    >>> image = noisediag.read(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64), black=16)
    >>> plane = image.planes[0]
    >>> plane.black_dn, plane.white_dn, plane.load().dtype.name
    (16.0, 65535.0, 'uint16')
    """
    reading = reading_of(
        black=black,
        white=white,
        domain=domain,
        axes=axes,
        channel=channel,
        frame=frame,
        roi=roi,
        linear=linear,
        series=series,
        z=z,
        dataset=dataset,
    )
    return image_of(source, reading)


def estimator_of(checkpoint: str | os.PathLike[str] | None, device: str) -> Estimator:
    """The loaded model, kept for the next call. Raises CheckpointError, and WrongTypeError for what is no path."""
    if checkpoint is not None and not is_path(checkpoint):
        raise WrongTypeError(f"checkpoint is a path, not {checkpoint!r:.60}")
    path = None if checkpoint is None else Path(checkpoint)
    key: tuple[object, ...] = (path, device)
    if path is not None and path.is_file():
        about = path.stat()
        key = (path.resolve(), device, about.st_mtime_ns, about.st_size)
    with _loading:
        if key not in _models:
            _models[key] = Estimator(path, device)
            while len(_models) > _MODELS_KEPT:
                _models.popitem(last=False)
        _models.move_to_end(key)
        return _models[key]


def several(sources: Any) -> Iterator[Source]:
    """The items of `sources`. Raises WrongTypeError for one picture, and for tables of which nobody knows the order."""
    if is_path(sources) or isinstance(sources, (bytes, bytearray, Image)) or hasattr(sources, "read"):
        if is_path(sources) and os.path.isdir(sources):  # noqa: PTH112
            raise WrongTypeError(f"several pictures are taken: sorted(Path({os.fspath(sources)!r}).glob('*.tif'))")
        raise WrongTypeError("several pictures are taken, as a list of paths: for a single one there is estimate")
    if isinstance(sources, Mapping) or hasattr(sources, "columns"):
        raise WrongTypeError("a list of pictures is taken: of a mapping its values(), of a table one of its columns")
    try:
        return iter(sources)
    except TypeError:
        raise WrongTypeError(f"several pictures are taken, not {type(sources).__qualname__}") from None


def _in_order(
    items: Iterator[Source], outcome: Callable[[int, Source], Footprint | Failure], workers: int
) -> Iterator[Footprint | Failure]:
    if workers == 1:
        for place, item in enumerate(items):
            yield outcome(place, item)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="noisediag") as pool:
        waiting: deque[Future[Footprint | Failure]] = deque()
        try:
            for place, item in enumerate(items):
                waiting.append(pool.submit(outcome, place, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()
