"""What a run has done so far, on disk: an entry counts once its line has reached the disk, and only while it is whole.

A journal is a text file. Its first line says how the run was made; each other is an entry, a JSON object. The CRC-32 of
its text stands before each; an entry's is continued from the first line's, so that entries of another run never count.
A line that a kill has torn, or whose bits have changed on the disk, costs its own entry and no other.

SQLite does not do the same: its pages have no checksums without an extension, so a flipped bit would become another
number, and a commit needs two flushes of the disk where this needs one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from noisediag.errors import UsageError, complain
from noisediag.reports import files
from noisediag.reports.reading import row_path

if sys.platform != "win32":
    import fcntl

FORMAT = "noisediag.journal/2"
_CHECKSUM = re.compile(rb"[0-9a-f]{8} (?=\{)")
_CHECKSUM_BYTES = 9
_TORN_HEAD = re.compile(rb"[0-9a-f]{0,8}|[0-9a-f]{8} (\{[^\n]*)?")
_LISTED = 5  # places of damage that the message names
_HEAD_BYTES = 1_000_000  # of the first line
_ROW_KEYS = {"key", "row", "cells"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line, or a stretch of damage, stands in the file, in bytes."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


class Journal:
    """An open journal; only one process at a time may have it."""

    def __init__(
        self,
        path: Path,
        run: Mapping[str, Any],
        *,
        resume: bool,
        entry: Callable[[Place, dict[str, Any]], None],
        tell: Callable[[str], None] = complain,
    ) -> None:
        """Open the journal at `path`: a new one, or with `resume` the one there, if there is one.

        `run` is what must be equal for entries to belong together. `entry` is given every entry that is there and
        whole, in order; with a ValueError it says that this is none. Where others are damaged or unfinished, `tell` is
        given one line, and they are taken out.

        Raises UsageError where the file is in use, is no journal, or belongs to a `run` with other options.
        """
        self.path = path
        self._head = _line({"journal": FORMAT, "run": dict(run)}, 0)
        self._seed = _checksum(self._head, 0)
        with files.refusals(path):
            if path.exists() and not path.is_file():
                raise UsageError(f"{path}: is no file")
            self._file = files.update(path)
            try:
                self._lock()
                if not (resume and self._resumed(entry, tell)):
                    self._file.truncate(0)
                    self._write(0, self._head)
                    files.sync_folder(path.parent)
            except BaseException:
                self.close()
                raise

    def append(self, entries: Iterable[Mapping[str, Any]]) -> list[Place]:
        """Record `entries`, JSON objects; where each stands. When this returns, they are on the disk.

        Raises UsageError where the disk takes no more; `resume` goes on from there.
        """
        lines = [_line(content, self._seed) for content in entries]
        with files.refusals(self.path):
            offset = self._file.seek(0, os.SEEK_END)
            try:
                self._write(offset, b"".join(lines))
            except BaseException:
                with contextlib.suppress(OSError):  # else the next run finds half of a line, and takes it out
                    self._file.truncate(offset)
                raise
        places = []
        for line in lines:
            places.append(Place(offset, len(line)))
            offset += len(line)
        return places

    def read(self, place: Place) -> dict[str, Any]:
        """The entry there. Raises UsageError where the disk does not give back what was written."""
        with files.refusals(self.path):
            self._file.seek(place.offset)
            content = _content(self._file.read(place.length) or b"", self._seed)
        if content is None:
            raise UsageError(f"{self.path}: was damaged at byte {place.offset} in the meantime")
        return content

    def close(self) -> None:
        """Let the next one have it. All of it is on the disk, so that an error says nothing."""
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, offset: int, text: bytes) -> None:
        """Write `text` there, through to the disk."""
        self._file.seek(offset)
        left = memoryview(text)
        while left:
            left = left[self._file.write(left) or 0 :]
        os.fsync(self._file.fileno())

    def _resumed(self, entry: Callable[[Place, dict[str, Any]], None], tell: Callable[[str], None]) -> bool:
        """Hand out what is there and mend the rest. False where not even the first line was finished."""
        with self._reader(0) as reader:
            first = reader.readline(_HEAD_BYTES)
        if not first.endswith(b"\n") and _TORN_HEAD.fullmatch(first):
            return False
        head = _content(first, 0)
        if head is not None:
            self._check(head)
            self._head, self._seed = first, _checksum(first, 0)
        whole = 0
        damage: list[Place] = []
        for place, content in self._scan(0 if head is None else len(first)):
            if content is not None and _taken(entry, place, content):
                whole += 1
            elif damage and damage[-1].end == place.offset:
                damage[-1] = Place(damage[-1].offset, damage[-1].length + place.length)
            else:
                damage.append(place)
        begins = damage[0] if damage and damage[0].offset == 0 else Place(0, 0)
        if head is None and not (whole and begins.length >= len(self._head)):  # nothing shows that it is of this run
            raise UsageError(f"{self.path}: is no journal of this version of noisediag; --force starts anew")
        if damage:
            self._mend(damage)
            offsets = ", ".join(str(place.offset) for place in damage[:_LISTED])
            more = ", ..." if len(damage) > _LISTED else ""
            tell(f"{self.path}: damaged or unfinished at byte {offsets}{more}: what stood there is done again")
        return True

    def _scan(self, start: int) -> Iterator[tuple[Place, dict[str, Any] | None]]:
        """Every entry from byte `start` on, and every stretch of damage, as None."""
        offset = start
        with self._reader(start) as reader:
            for line in reader:
                if line.strip(b" \n"):  # no blank in the place of earlier damage
                    damaged, content = self._parsed(line)
                    if damaged:
                        yield Place(offset, damaged), None
                    if content is not None:
                        yield Place(offset + damaged, len(line) - damaged), content
                offset += len(line)

    @contextlib.contextmanager
    def _reader(self, offset: int) -> Iterator[BinaryIO]:
        """The file from byte `offset` on, a line at a time."""
        self._file.seek(offset)
        reader = BufferedReader(self._file)
        try:
            yield reader
        finally:
            reader.detach()

    def _parsed(self, line: bytes) -> tuple[int, dict[str, Any] | None]:
        """How many bytes of `line` are damaged, and the entry after them: where a line end is lost, two are in one."""
        for start in (match.start() for match in _CHECKSUM.finditer(line)):
            content = _content(line[start:], self._seed)
            if content is not None:
                return start, content
        return len(line), None

    def _mend(self, damage: Iterable[Place]) -> None:
        """Restore the first line, blank what is damaged, and cut off what is at the end."""
        for place in damage:
            if place.end == self._file.seek(0, os.SEEK_END):
                self._file.truncate(place.offset)
                os.fsync(self._file.fileno())
                continue
            text = self._head if place.offset == 0 else b""
            blank = place.length - len(text)
            self._write(place.offset, text + (b" " * (blank - 1) + b"\n" if blank else b""))

    def _check(self, head: Mapping[str, Any]) -> None:
        """Raise UsageError where the journal was begun with other options."""
        if head.get("journal") != FORMAT:
            raise UsageError(f"{self.path}: is no journal of this version of noisediag; --force starts anew")
        before, run = head.get("run"), json.loads(self._head[_CHECKSUM_BYTES:])["run"]
        if not isinstance(before, dict):
            raise UsageError(f"{self.path}: does not say of which run it is; --force starts anew")
        for name in {**before, **run}:
            if before.get(name) != run.get(name):
                raise UsageError(
                    f"{self.path}: was begun with {name} {_shown(before.get(name))}, not {_shown(run.get(name))}: rows "
                    "would not belong together; --force starts anew"
                )

    def _lock(self) -> None:
        if sys.platform != "win32":
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"{self.path}: another run is writing it") from None
            except OSError as error:
                raise UsageError(f"{self.path}: cannot be locked: {error.strerror or error}") from error


class RowJournal:
    """A journal of files: for each its key, its JSON row and its cells.

    A file that was measured again has a later entry, which is the one that holds.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], *, resume: bool, tell: Callable[[str], None] = complain):
        """Open it; see Journal."""
        self._places: dict[bytes, tuple[str, Place]] = {}  # by path
        self._journal = Journal(path, run, resume=resume, entry=self._remember, tell=tell)

    def key(self, path: str) -> str | None:
        """The key under which `path` was measured; None if it was not."""
        entry = self._places.get(os.fsencode(path))
        return None if entry is None else entry[0]

    def append(self, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Record (key, worker's reply) of several files. When this returns, they are on the disk."""
        contents = [{"key": key, **reply} for key, reply in entries]
        for place, content in zip(self._journal.append(contents), contents, strict=True):
            self._remember(place, content)

    def replies(self, paths: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The recorded rows of `paths`, in that order. Raises KeyError for one that was not measured."""
        for path in paths:
            found = self._journal.read(self._places[os.fsencode(path)][1])
            yield {"row": found["row"], "cells": found["cells"]}

    def __enter__(self) -> RowJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()

    def _remember(self, place: Place, content: Mapping[str, Any]) -> None:
        if content.keys() != _ROW_KEYS or not isinstance(content["row"], dict) or not isinstance(content["key"], str):
            raise ValueError("no row of a file")
        self._places[row_path(content["row"])] = (content["key"], place)


def _line(content: Mapping[str, Any], seed: int) -> bytes:
    text = json.dumps(content).encode()
    return b"%08x %s\n" % (zlib.crc32(text, seed), text)


def _checksum(line: bytes, seed: int) -> int:
    return zlib.crc32(line[_CHECKSUM_BYTES:-1], seed)


def _content(line: bytes, seed: int) -> dict[str, Any] | None:
    """What a line holds; None where it is not whole."""
    if not (line.endswith(b"\n") and _CHECKSUM.match(line) and int(line[:8], 16) == _checksum(line, seed)):
        return None
    try:
        content = json.loads(line[_CHECKSUM_BYTES:])
    except (ValueError, RecursionError):  # the right checksum of something else
        return None
    return content if isinstance(content, dict) else None


def _taken(entry: Callable[[Place, dict[str, Any]], None], place: Place, content: dict[str, Any]) -> bool:
    try:
        entry(place, content)
    except (ValueError, LookupError, TypeError):
        return False
    return True


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
