"""What tells whether a file, and the others beside it that it is read with, are still those that were measured."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

from noisediag.batch.walk import Entry
from noisediag.errors import InputError
from noisediag.images import siblings, zarr_store

_CHUNK = 1 << 20


def unchanged(stored: str | None, entry: Entry) -> bool:
    """Whether `stored`, the key of a row, is still that of `entry`: its size and time, and those of its siblings."""
    if stored is None or not stored.startswith(entry.key):
        return False
    others = stored[len(entry.key) :]
    if not others:
        return True
    try:
        said = json.loads(others)
    except ValueError:
        return False
    folder = os.path.dirname(entry.path)  # noqa: PTH120 - names that are no UTF-8
    return isinstance(said, dict) and said == {name: _stat_of(os.path.join(folder, name)) for name in said}  # noqa: PTH118


def beside(path: Path) -> str:
    """What is added to the key of the file at `path` for the others that it names; nothing where it names none."""
    found = {name: _stat_of(os.path.join(path.parent, name)) for name in siblings.named(path)}  # noqa: PTH118
    return f" {json.dumps(found)}" if found else ""


def by_content(path: Path) -> str | None:
    """SHA-256 of the file's bytes, and of those of the files that it names; None where they cannot be read."""
    own = _digest(path)
    if own is None:
        return None
    names = siblings.named(path)
    if not names:
        return own
    lines = [own, *(f"{_digest(path.parent / name)} {name!r}" for name in names)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digest(path: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        if zarr_store.is_store(path):
            return zarr_store.sha256(path)
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would never end
            return None
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except (InputError, OSError, ValueError):
        return None
    return digest.hexdigest()


def _stat_of(path: str) -> str:
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return "-"
    return f"{found.st_size} {found.st_mtime_ns}"
