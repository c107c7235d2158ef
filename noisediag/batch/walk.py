"""Which files of a folder are pictures: by their names, since opening a million files to look would take hours."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from noisediag.errors import InputError, UsageError
from noisediag.images import zarr_store
from noisediag.images.formats import SUFFIXES, is_picture_name
from noisediag.reports import Failure

MOST_SHARDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One file to be measured, or something in its place that cannot be: then `failure` is its row."""

    path: str  # FOLDER as given, and the way from there
    size: int  # bytes; -1 where there is nothing to ask
    mtime_ns: int
    failure: Failure | None = None

    @property
    def key(self) -> str:
        """What tells whether the file is still the one that was measured."""
        return f"{self.size} {self.mtime_ns}"


@dataclass(frozen=True)
class Listing:
    """What a folder holds: the files in byte order of their paths, and how many others were passed over."""

    entries: tuple[Entry, ...]
    skipped: int  # files whose names are not those of pictures, or that were excluded


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`, counted from 1. A file belongs to one part by its path within the folder alone."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `i/n`. Raises UsageError."""
        index, _, count = text.partition("/")
        digits = len(str(MOST_SHARDS))
        whole = all(part.isdecimal() and part.isascii() and len(part) <= digits for part in (index, count))
        if not (whole and 1 <= int(index) <= int(count) <= MOST_SHARDS):
            raise UsageError(f"--shard {text}: i/n with i from 1 to n, as in 3/8; n up to {MOST_SHARDS}")
        return cls(int(index), int(count))

    def holds(self, inner: str) -> bool:
        """Whether the file at `inner`, its path within the folder, belongs here."""
        digest = hashlib.sha256(os.fsencode(inner.replace(os.sep, "/"))).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1


@dataclass(frozen=True)
class Walk:
    """A folder and which of its files are wanted.

    Patterns are shell globs, upper and lower case alike, of a name or of the path within the folder. Without `include`
    the names of picture formats count. A folder that an `exclude` names is not entered.
    """

    folder: Path
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    hidden: bool = False
    shard: Shard | None = None
    leave_out: frozenset[str] = frozenset()  # paths of our own outputs

    def find(self) -> Listing:
        """All that is there. Links to folders are followed once, and after the folders themselves.

        Raises UsageError where `folder` is none.
        """
        if not self.folder.is_dir():
            raise UsageError(f"{self.folder}: is no folder")
        entries: list[Entry] = []
        seen: set[tuple[int, int]] = set()
        skipped = 0
        pending: list[str] = [""]
        linked: list[str] = []
        while pending or linked:
            inner = pending.pop() if pending else linked.pop(0)
            here = os.path.join(self.folder, inner)  # noqa: PTH118 - a Path could not tell "./x" from "x"
            try:
                at = os.stat(here)  # noqa: PTH116
                if (at.st_dev, at.st_ino) in seen:
                    continue
                seen.add((at.st_dev, at.st_ino))
                with os.scandir(here) as listing:
                    children = sorted(listing, key=lambda child: os.fsencode(child.name))
            except OSError as error:
                if self._in_shard(inner):
                    entries.append(_failed(here, error))
                continue
            if not zarr_store.MARKS.isdisjoint(child.name for child in children):
                entries += [entry for entry in _of_store(here) if self._takes(inner, entry.path)]
                continue
            for child in children:
                place = f"{inner}/{child.name}" if inner else child.name
                if _is_folder(child) and not self._leaves_out(place, child.name):
                    (linked if child.is_symlink() else pending).append(place)
                if not self._wants(place, child):
                    skipped += not _is_folder(child)
                elif self._in_shard(place):
                    entries.append(_entry(child))
        return Listing(tuple(sorted(entries, key=lambda entry: os.fsencode(entry.path))), skipped)

    def _takes(self, inner: str, path: str) -> bool:
        """Whether a picture of the store at `inner` is wanted: it or the store must answer the patterns."""
        place = os.path.relpath(path, self.folder)
        names = [os.path.basename(os.path.normpath(part)) for part in (place, inner or self.folder)]  # noqa: PTH119
        matches = [_matches(part, name, self.include) for part, name in zip((place, inner), names, strict=True)]
        left_out = any(_matches(part, name, self.exclude) for part, name in zip((place, inner), names, strict=True))
        return (not self.include or any(matches)) and not left_out and self._in_shard(place)

    def _wants(self, inner: str, child: os.DirEntry[str]) -> bool:
        """Files by pattern or suffix; a folder only if it is called like a picture, which needs a row that says so."""
        name = child.name
        if self._leaves_out(inner, name) or (self.include and os.path.realpath(child.path) in self.leave_out):
            return False
        suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122
        if _is_folder(child):
            return suffix in SUFFIXES and not zarr_store.is_store(Path(child.path))
        return _matches(inner, name, self.include) if self.include else is_picture_name(name)

    def _leaves_out(self, inner: str, name: str) -> bool:
        return (name.startswith(".") and not self.hidden) or _matches(inner, name, self.exclude)

    def _in_shard(self, inner: str) -> bool:
        return self.shard is None or self.shard.holds(inner)


def _of_store(path: str) -> list[Entry]:
    """The pictures of the Zarr store at `path`, each of the size and the time of what lies below it."""
    path = path.removeprefix(f".{os.sep}")
    try:
        places = zarr_store.members(Path(path))
        return [Entry(str(place), *zarr_store.size_and_time(place)) for place in places]
    except InputError as error:
        return [Entry(path, -1, -1, Failure(path, error.code, str(error)))]
    except OSError as error:
        return [_failed(path, error)]


def _is_folder(child: os.DirEntry[str]) -> bool:
    try:
        return child.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _entry(child: os.DirEntry[str]) -> Entry:
    path = child.path.removeprefix(f".{os.sep}")  # of the folder `.`; rows say x.tif, as pathlib does
    try:
        found = child.stat()
    except OSError:  # a link to nothing: the reader says so
        return Entry(path, -1, -1)
    entry = Entry(path, found.st_size, found.st_mtime_ns)
    return replace(entry, failure=Failure(path, "unreadable", "is a directory")) if _is_folder(child) else entry


def _failed(path: str, error: OSError) -> Entry:
    code = "permission" if isinstance(error, PermissionError) else "unreadable"
    return Entry(path, -1, -1, Failure(path, code, f"the folder cannot be listed: {error.strerror or error}"))


def _matches(inner: str, name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(subject.lower(), pattern.lower()) for pattern in patterns for subject in (name, inner))
