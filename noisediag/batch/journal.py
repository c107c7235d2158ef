"""What a batch has done so far, on disk: a row counts once its line has reached the disk, and a torn line never counts.

The first line says how the rows are made; each other holds one file's key, its JSON row and its lines of CSV. A file
that was measured again has a later line, which is the one that holds.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from noisediag.errors import UsageError
from noisediag.reports.reading import row_path

if sys.platform != "win32":
    import fcntl

FORMAT = "noisediag.journal/1"


class Journal:
    """The open journal; only one process at a time may have it."""

    def __init__(self, path: Path, run: Mapping[str, Any], *, resume: bool):
        """Open the journal at `path`: a new one, or with `resume` the one there, if there is one.

        Raises UsageError where it is in use, is no journal, or belongs to a `run` with other options.
        """
        self.path = path
        self._places: dict[bytes, tuple[str, int, int]] = {}  # path -> key, offset, length
        try:
            self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
        try:
            self._lock()
            if not (resume and self._read(run)):
                self._file.truncate(0)
                self._file.seek(0)
                self._write([{"journal": FORMAT, "run": dict(run)}])
                _sync_folder(path.parent)
        except BaseException:
            self._file.close()
            raise

    def key(self, path: str) -> str | None:
        """The key under which `path` was measured; None if it was not."""
        found = self._places.get(os.fsencode(path))
        return None if found is None else found[0]

    def append(self, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Record (key, worker's reply) of several files. When this returns, they are on the disk."""
        self._write([{"key": key, **reply} for key, reply in entries])

    def replies(self, paths: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The recorded rows of `paths`, in that order. Raises KeyError for one that was not measured."""
        for path in paths:
            _, offset, length = self._places[os.fsencode(path)]
            self._file.seek(offset)
            yield json.loads(self._file.read(length))

    def close(self) -> None:
        """Let the next one have it."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Raises UsageError where the disk takes no more; `--resume` goes on from there."""
        self._file.seek(0, os.SEEK_END)
        try:
            for content in lines:
                line = json.dumps(content).encode() + b"\n"
                if "row" in content:
                    self._remember(content, self._file.tell(), len(line))
                self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def _remember(self, content: Mapping[str, Any], offset: int, length: int) -> None:
        self._places[row_path(content["row"])] = (content["key"], offset, length)

    def _read(self, run: Mapping[str, Any]) -> bool:
        """Index what is there, and cut off a torn end. False where not even the first line was finished."""
        end = 0
        for line in self._file:
            try:
                content = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:  # the disk lost it, or a part of it: its file is measured anew
                content = None
            if end == 0:
                if content is None and not line.endswith(b"\n"):
                    return False
                self._check(content, run)
            elif content is not None:
                self._remember(content, end, len(line))
            elif not line.endswith(b"\n"):
                break
            end += len(line)
        self._file.truncate(end)
        return end > 0

    def _check(self, header: Any, run: Mapping[str, Any]) -> None:
        if not isinstance(header, dict) or header.get("journal") != FORMAT:
            raise UsageError(f"{self.path}: is no journal of this version of noisediag batch")
        before = header["run"]
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
            except OSError:
                raise UsageError(f"{self.path}: another run is writing it") from None


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _sync_folder(folder: Path) -> None:
    """A new file's name must reach the disk too; Windows does not open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
