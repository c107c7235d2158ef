"""`measure` and `measure_many`: noise measured, not estimated."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from noisediag.api.arrays import is_tensor
from noisediag.api.signatures import check_choice, public
from noisediag.api.sources import Reading, Source, image_of, is_path, reading_of
from noisediag.errors import UsageError, WrongTypeError
from noisediag.footprint.file import Footprint
from noisediag.images.image import Image
from noisediag.labels import bursts, pairs, photon_transfer
from noisediag.labels.bursts import ReadOptions
from noisediag.reports import Failure
from noisediag.reports.attempt import attempt
from noisediag.studies import measure as study
from noisediag.studies.measure import Job

Frames: TypeAlias = "Source | Sequence[Source]"
ERRORS = ("return", "raise")


@dataclass(frozen=True)
class _Held(ReadOptions):
    """How files are read, and pictures that are in memory, by the names that stand for them."""

    pictures: dict[Path, Image] = field(default_factory=dict)

    def read(self, path: Path) -> Image:
        """Raises the errors of `images.read`."""
        if path in self.pictures:
            return self.pictures[path]
        own = {name: value for name, value in vars(self).items() if name != "pictures"}
        return ReadOptions(**own).read(path)


@public
def measure(
    *,
    repeats: Frames | None = None,
    flats: Frames | None = None,
    darks: Frames | None = None,
    pairs: tuple[Source, Source] | None = None,
    black: float | None = None,
    white: float | None = None,
    channel: str | None = None,
    roi: tuple[int, int, int, int] | None = None,
    series: str | None = None,
    z: int | None = None,
    dataset: str | None = None,
    axes: str | None = None,
) -> Footprint:
    """Measure the noise that frames show by their differences: no model guesses.

    Args:
        repeats: frames of one scene that stands still: a stack (a path, or an array `(frames, H, W)`), a folder, or a
            list of files or arrays.
        flats, darks: flat fields, two of each level of light or more, and dark frames: a folder, or lists of files or
            arrays. They give gain, read noise, PRNU and DSNU by photon transfer (EMVA 1288).
        pairs: a noisy picture and its clean counterpart, as the mean of many frames: files or arrays.
        black, white: levels in DN, where the files do not say or say wrongly; axes: of arrays, see `estimate`.
        channel, roi, series, z, dataset: a part of each file, see `estimate` and `read`.

    Returns:
        A `Footprint` whose `measurement` says how. Parameters that the frames cannot show have no value.

    Raises:
        UsageError: unless one of repeats, flats and pairs is given; for a folder that holds several scenes or settings,
            which `measure_many` takes.
        InputError: where the frames cannot be read, or show no one scene.
        TypeError: as `estimate`.

    >>> import numpy as np, noisediag
    >>> noise = np.random.default_rng(0)
    >>> light = np.linspace(100, 3000, 128 * 128).reshape(128, 128)
    >>> frames = (noise.poisson(light, (8, 128, 128)) * 2 + 100).astype(np.uint16)  # 2 DN/e-
    >>> measured = noisediag.measure(repeats=frames, black=100, white=16383)
    >>> 1.9 < measured.derived.K.value < 2.1, measured.measurement.frames_used
    (True, 8)
    """
    reading = reading_of(
        black=black, white=white, axes=axes, channel=channel, roi=roi, series=series, z=z, dataset=dataset
    )
    jobs = _jobs(repeats, flats, darks, pairs, reading)
    if len(jobs) > 1:
        names = ", ".join(str(job.path) for job in jobs[:3])
        raise UsageError(f"there are {len(jobs)} measurements to make ({names}, ...): measure_many makes them")
    return jobs[0].run()


@public
def measure_many(
    *,
    repeats: Frames | None = None,
    flats: Frames | None = None,
    darks: Frames | None = None,
    pairs: tuple[Source, Source] | None = None,
    errors: Literal["return", "raise"] = "return",
    black: float | None = None,
    white: float | None = None,
    channel: str | None = None,
    roi: tuple[int, int, int, int] | None = None,
    series: str | None = None,
    z: int | None = None,
    dataset: str | None = None,
    axes: str | None = None,
) -> Iterator[Footprint | Failure]:
    """Measure every scene below a folder, every setting of flats and darks, or every pair of two folders.

    Args:
        repeats, flats, darks, pairs: as `measure` takes them; each sub-folder, or each noisy file, is a measurement.
        errors: "return" gives a `Failure` in the place of a measurement that fails and goes on; "raise" raises it.
        black, ..., axes: as `measure`.

    Returns:
        An iterator of `Footprint`s and `Failure`s. Raises as `measure`.
    """
    check_choice("errors", errors, ERRORS)
    reading = reading_of(
        black=black, white=white, axes=axes, channel=channel, roi=roi, series=series, z=z, dataset=dataset
    )
    jobs = _jobs(repeats, flats, darks, pairs, reading)
    if errors == "raise":
        return (job.run() for job in jobs)
    return (attempt(job.path, job.measure) for job in jobs)


def _jobs(repeats: Any, flats: Any, darks: Any, pairs_: Any, reading: Reading) -> tuple[Job, ...]:
    """The measurements to make. Raises UsageError unless exactly one route is given."""
    given = [name for name, one in (("repeats", repeats), ("flats", flats), ("pairs", pairs_)) if one is not None]
    if len(given) != 1:
        told = f", not {' and '.join(given)}" if given else ""
        raise UsageError(f"one of repeats=, flats= and pairs= is needed{told}")
    if darks is not None and flats is None:
        raise UsageError("darks= go with flats=")
    selection = reading.selection
    options = ReadOptions(
        selection.black,
        selection.white,
        None if selection.channel is None else str(selection.channel),
        selection.roi,
        None if selection.series is None else str(selection.series),
        selection.z,
        selection.dataset,
    )
    if repeats is not None:
        return _of_repeats(repeats, options, reading)
    if flats is not None:
        return _of_flats(flats, darks, options, reading)
    return _of_pairs(pairs_, options, reading)


def _of_repeats(repeats: Any, options: ReadOptions, reading: Reading) -> tuple[Job, ...]:
    if is_path(repeats):
        return study.of_repeats(Path(repeats), options)
    if not isinstance(repeats, (list, tuple)):
        image = image_of(repeats, reading)
        return (Job(Path("repeats"), lambda: bursts.from_stack(image)),)
    files, held = _held("repeats", repeats, options, reading)
    return (Job(Path("repeats"), lambda: _unnamed(bursts.from_files(Path("repeats"), files, held), held)),)


def _of_flats(flats: Any, darks: Any, options: ReadOptions, reading: Reading) -> tuple[Job, ...]:
    bright, dark = _listed("flats", flats), [] if darks is None else _listed("darks", darks)
    if all(is_path(one) for one in (*bright, *dark)):
        return study.of_flats([Path(one) for one in bright], [Path(one) for one in dark], options)
    if len(bright) < 2 or len(dark) == 1:
        raise UsageError("two shots or more of each level: flats=[a, b, ...], and darks=[a, b]")
    bright_files, held = _held("flat", bright, options, reading)
    dark_files, held_dark = _held("dark", dark, options, reading)
    held.pictures.update(held_dark.pictures)
    return (Job(Path("flats"), lambda: _unnamed(photon_transfer.from_files(bright_files, dark_files, held), held)),)


def _of_pairs(sides: Any, options: ReadOptions, reading: Reading) -> tuple[Job, ...]:
    if not isinstance(sides, (list, tuple)) or len(sides) != 2:
        raise UsageError("pairs=(noisy, clean): two files, folders or arrays")
    noisy, clean = sides
    if is_path(noisy) and is_path(clean):
        return study.of_pairs(Path(noisy), Path(clean), options)
    (first, second), held = _held("pair", sides, options, reading)
    return (Job(Path("pairs"), lambda: _unnamed(pairs.from_files(first, second, held), held)),)


def _listed(name: str, shots: Any) -> list[Any]:
    """The shots one by one: an array of three axes is a stack of them."""
    if is_path(shots):
        return [shots]
    if isinstance(shots, (list, tuple)):
        return list(shots)
    if (isinstance(shots, np.ndarray) or is_tensor(shots)) and shots.ndim == 3:
        return list(shots)
    raise WrongTypeError(f"{name} is a folder, a list of files or arrays, or an array (frames, H, W)")


def _held(name: str, sources: Sequence[Any], options: ReadOptions, reading: Reading) -> tuple[list[Path], _Held]:
    """The names of `sources`, and what reads them: files by their paths, others by their places."""
    held = _Held(**vars(options))
    paths = []
    for place, source in enumerate(sources, 1):
        path = Path(source) if is_path(source) else Path(f"{name} {place}")
        if not is_path(source):
            held.pictures[path] = image_of(source, reading)
        paths.append(path)
    return paths, held


def _unnamed(footprint: Footprint, held: _Held) -> Footprint:
    """`footprint` without a path where its pictures are in memory."""
    in_memory = footprint.path is not None and (not os.path.exists(footprint.path) and bool(held.pictures))  # noqa: PTH110
    return replace(footprint, path=None) if in_memory else footprint
