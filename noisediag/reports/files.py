"""Output files appear whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from noisediag.errors import UsageError


def check(path: Path, *, inputs: Iterable[Path] = (), force: bool = False) -> None:
    """Raise UsageError where `path` cannot be written: before the work, not after it."""
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

    Raises UsageError where `path` exists and `force` is not given, or the system refuses to write.
    """
    check(path, force=force)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
