"""The files of a folder, as the studies that take one see them."""

from __future__ import annotations

from pathlib import Path

from noisediag.batch.walk import Walk
from noisediag.errors import UsageError

TRUTH_SUFFIX = ".truth.json"  # of what `simulate` writes beside its files


def files(folder: Path) -> tuple[Path, ...]:
    """Every file below `folder`, sorted, as `batch` finds them, whatever their names.

    Hidden ones and the truths of simulated files are passed over. Raises UsageError where there is no such folder or
    nothing in it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    found = Walk(folder, include=("*",), exclude=(f"*{TRUTH_SUFFIX}",)).find().entries
    if not found:
        raise UsageError(f"{folder}: holds no file")
    return tuple(Path(entry.path) for entry in found)
