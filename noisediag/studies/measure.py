"""`noisediag measure`: which files make one measurement, and by which route."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from noisediag.errors import NoisediagError, UsageError
from noisediag.footprint import Footprint
from noisediag.images.formats import SUFFIXES
from noisediag.labels import bursts, pairs, photon_transfer
from noisediag.labels.bursts import Reading
from noisediag.studies.folder import files as files_below


@dataclass(frozen=True)
class Job:
    """One measurement: what stands for it in a report, and how it is made."""

    path: Path
    run: Callable[[], Footprint]

    def measure(self, _: Path) -> Footprint:
        """As `attempt` calls it."""
        return self.run()


def of_repeats(path: Path, reading: Reading) -> tuple[Job, ...]:
    """A stack; or every folder in `path`, it included, that holds files: stacks of one scene each, or its frames.

    Raises UsageError for a folder without pictures.
    """
    if not path.is_dir():
        return (Job(path, partial(_stack, path, reading)),)
    folders: dict[Path, list[Path]] = {}
    for file in _pictures(path):
        folders.setdefault(file.parent, []).append(file)
    return tuple(job for folder, files in folders.items() for job in _of_folder(folder, files, reading))


def of_flats(flats: Sequence[Path], darks: Sequence[Path], reading: Reading) -> tuple[Job, ...]:
    """Photon transfer. Raises UsageError where there are fewer than two flats, or a single dark."""
    if len(flats) < 2 or len(darks) == 1:
        raise UsageError("two shots or more of each level: --flats A B [C D ...], and --darks A B")
    return (Job(flats[0], partial(photon_transfer.from_files, flats, darks, reading)),)


def of_pairs(noisy: Path, clean: Path, reading: Reading) -> tuple[Job, ...]:
    """Two files, or two folders whose files answer each other by name.

    Raises UsageError where one is a folder and the other is not, and for a noisy file without counterpart.
    """
    if noisy.is_dir() != clean.is_dir():
        raise UsageError(f"{noisy} and {clean}: two files or two folders")
    sides = ([noisy], [clean]) if not noisy.is_dir() else (_pictures(noisy), _pictures(clean))
    return tuple(Job(one, partial(pairs.from_files, one, other, reading)) for one, other in pairs.matched(*sides))


def one_burst(folder: Path) -> list[Path]:
    """The files of a folder that is one burst. Raises UsageError for a folder of several, or of none."""
    found = _pictures(folder)
    if len({file.parent for file in found}) > 1:
        raise UsageError(f"{folder}: has repeats of several scenes in sub-folders: give one of them")
    return found


def _of_folder(folder: Path, files: Sequence[Path], reading: Reading) -> list[Job]:
    try:
        stacks = reading.read(files[0]).frames > 1
    except NoisediagError:  # the measurement will say what is wrong with the file
        stacks = False
    if stacks:
        return [Job(file, partial(_stack, file, reading)) for file in files]
    return [Job(folder, partial(bursts.from_files, folder, files, reading))]


def _stack(path: Path, reading: Reading) -> Footprint:
    return bursts.from_stack(reading.read(path))


def _pictures(folder: Path) -> list[Path]:
    """Files below `folder` that are pictures by their names, numbers in the order of their values."""
    found = [file for file in files_below(folder) if file.suffix.lower() in SUFFIXES]
    if not found:
        raise UsageError(f"{folder}: holds no picture")
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
