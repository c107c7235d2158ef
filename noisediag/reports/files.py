"""Output files appear whole or not at all, and stay: they are on the disk before they have their names."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO
from pathlib import Path

from noisediag.errors import UsageError


def check(path: Path, *, inputs: Iterable[Path] = (), force: bool = False) -> None:
    """Raise UsageError where `path` cannot be written: before the work, not after it."""
    with refusals(path):
        if not path.parent.is_dir():
            raise UsageError(f"{path}: the folder {path.parent} does not exist")
        if path.is_dir():
            raise UsageError(f"{path}: is a folder")
        if path.exists():
            if any(source.exists() and source.samefile(path) for source in inputs):
                raise UsageError(f"{path}: is one of the inputs, never overwritten")
            if not force:
                raise UsageError(f"{path}: exists already; --force overwrites it")


@contextmanager
def replacing(path: Path, *, force: bool = False) -> Iterator[Path]:
    """A temporary name in `path`'s folder to write to; renamed to `path` at the end, removed if anything fails.

    What was written is on the disk before it is renamed: a power cut leaves the old file or the new one, never half.
    Raises UsageError where `path` exists and `force` is not given, or the system refuses to write.
    """
    check(path, force=force)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with refusals(path):
            yield part
            _sync(part)
            part.replace(path)
            sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):  # what went wrong before is the reason to tell
            part.unlink(missing_ok=True)


def final_suffix(path: Path) -> str:
    """The ending of `path`, or, where `replacing` gave it, of the name that it will have.

    >>> final_suffix(Path(f".a.svg.{'0' * 32}.part")), final_suffix(Path("a.png"))
    ('.svg', '.png')
    """
    name = re.sub(r"\.[0-9a-f]{32}\.part$", "", path.name)
    return Path(name).suffix


def remove_parts(path: Path) -> None:
    """Remove what writers of `path` that were killed have left. None may be at work."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{32}}\.part")
    with refusals(path):
        for found in list(path.parent.iterdir()):
            if ours.fullmatch(found.name):
                found.unlink(missing_ok=True)


def create(path: Path) -> BufferedWriter:
    """A new, empty file."""
    return BufferedWriter(FileIO(path, "w"))


def update(path: Path) -> FileIO:
    """The file at `path`, made where there is none, to be read and written without a buffer."""
    return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+")


def sync_folder(folder: Path) -> None:
    """A file's new name must reach the disk, too; Windows does not open folders, and some file systems have no need."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """What the system refuses to do with `path` becomes one line: UsageError."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error


def _sync(path: Path) -> None:
    with open(path, "r+b") as file:
        os.fsync(file.fileno())
