"""The files of a folder, as the studies that take one see them."""

from __future__ import annotations

import os
from pathlib import Path

from noisediag.errors import UsageError

TRUTH_SUFFIX = ".truth.json"  # of what `simulate` writes beside its files


def files(folder: Path) -> tuple[Path, ...]:
    """Every file below `folder`, sorted; hidden files and folders, links to folders and truths of simulated
    files are passed over.

    Raises UsageError where there is no such folder or nothing in it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    found: list[Path] = []
    for root, names, members in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        found += [Path(root, name) for name in members if not name.startswith(".") and not name.endswith(TRUTH_SUFFIX)]
    if not found:
        raise UsageError(f"{folder}: holds no file")
    return tuple(sorted(found))
