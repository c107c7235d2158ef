"""`noisediag measure`: which files make one measurement, and by which route."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from noisediag.batch.folder import files as files_below
from noisediag.errors import NoisediagError, UsageError
from noisediag.footprint.file import Footprint
from noisediag.images.formats import is_picture_name
from noisediag.images.zarr_store import is_store
from noisediag.labels import bursts, pairs, photon_transfer
from noisediag.labels.bursts import ReadOptions


@dataclass(frozen=True)
class Job:
    """One measurement: what stands for it in a report, how it is made, and which of its files are without light."""

    path: Path
    run: Callable[[], Footprint]
    darks: tuple[Path, ...] = ()

    def measure(self, _: Path) -> Footprint:
        """As `attempt` calls it."""
        return self.run()


def of_repeats(path: Path, reading: ReadOptions) -> tuple[Job, ...]:
    """A stack; or every folder in `path`, it included, that holds files: stacks of one scene each, or its frames.

    Raises UsageError for a folder without pictures.
    """
    if not path.is_dir() or is_store(path):
        return (Job(path, partial(_stack, path, reading)),)
    return tuple(job for folder, files in _by_folder(path).items() for job in _of_folder(folder, files, reading))


def of_flats(flats: Sequence[Path], darks: Sequence[Path], reading: ReadOptions) -> tuple[Job, ...]:
    """Photon transfer of one camera setting; or, where `flats` is a folder, of every folder in it, it included, that
    holds files, with the darks that lie at the same place below the folder `darks`.

    Raises UsageError where a setting has fewer than two flats or a single dark, where a folder stands beside files, and
    for darks that are missing.
    """
    for side, paths in (("--flats", flats), ("--darks", darks)):
        if any(path.is_dir() for path in paths) and len(paths) > 1:
            raise UsageError(f"{side}: files, or a single folder")
    if not flats[0].is_dir():
        return (_setting(flats[0], flats, _pictures(darks[0]) if darks and darks[0].is_dir() else darks, reading),)
    if darks and not darks[0].is_dir():
        raise UsageError(f"{flats[0]} is a folder and {darks[0]} is not")
    dark = _by_folder(darks[0]) if darks else {}
    jobs = []
    for folder, files in _by_folder(flats[0]).items():
        at = folder.relative_to(flats[0])
        if darks and darks[0] / at not in dark:
            raise UsageError(f"{folder}: has no darks, which are looked for in {darks[0] / at}")
        jobs.append(_setting(folder, files, dark[darks[0] / at] if darks else (), reading))
    return tuple(jobs)


def _setting(path: Path, flats: Sequence[Path], darks: Sequence[Path], reading: ReadOptions) -> Job:
    if len(flats) < 2 or len(darks) == 1:
        raise UsageError("two shots or more of each level: --flats A B [C D ...], and --darks A B")
    return Job(path, partial(photon_transfer.from_files, flats, darks, reading), tuple(darks))


def of_pairs(noisy: Path, clean: Path, reading: ReadOptions) -> tuple[Job, ...]:
    """Two files, or two folders whose files answer each other by name.

    Raises UsageError where one is a folder and the other is not, and for a noisy file without counterpart.
    """
    if noisy.is_dir() != clean.is_dir():
        raise UsageError(f"{noisy} and {clean}: two files or two folders")
    sides = ([noisy], [clean]) if not noisy.is_dir() else (_pictures(noisy), _pictures(clean))
    return tuple(Job(one, partial(pairs.from_files, one, other, reading)) for one, other in pairs.matched(*sides))


def dngs(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Each of `paths`; of a folder the DNG files below it. A file named twice counts once.

    Raises UsageError for a folder without DNG files.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        files: Sequence[Path] = (path,)
        if path.is_dir():
            files = [file for file in files_below(path) if file.suffix.lower() == ".dng"]
            if not files:
                raise UsageError(f"{path}: holds no DNG file")
        for file in files:
            found.setdefault(file.resolve(), file)
    return tuple(found.values())


def one_burst(folder: Path) -> list[Path]:
    """The files of a folder that is one burst. Raises UsageError for a folder of several, or of none."""
    found = _pictures(folder)
    if len({file.parent for file in found}) > 1:
        raise UsageError(f"{folder}: has repeats of several scenes in sub-folders: give one of them")
    return found


def _of_folder(folder: Path, files: Sequence[Path], reading: ReadOptions) -> list[Job]:
    try:
        stacks = reading.read(files[0]).frames > 1
    except NoisediagError:  # the measurement will say what is wrong with the file
        stacks = False
    if stacks:
        return [Job(file, partial(_stack, file, reading)) for file in files]
    return [Job(folder, partial(bursts.from_files, folder, files, reading))]


def _stack(path: Path, reading: ReadOptions) -> Footprint:
    return bursts.from_stack(reading.read(path))


def _by_folder(folder: Path) -> dict[Path, list[Path]]:
    """The pictures below `folder` by the folder that holds them."""
    found: dict[Path, list[Path]] = {}
    for file in _pictures(folder):
        found.setdefault(file.parent, []).append(file)
    return found


def _pictures(folder: Path) -> list[Path]:
    """Files below `folder` that are pictures by their names, numbers in the order of their values."""
    found = [file for file in files_below(folder) if is_picture_name(file.name)]
    if not found:
        raise UsageError(f"{folder}: holds no picture")
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
