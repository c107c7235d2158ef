"""Many files for one study: each is measured, none takes the others with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from noisediag.cli.common import complain

T = TypeVar("T")


def gather(paths: Sequence[Path], measure: Callable[[Path], T]) -> tuple[dict[Path, T], int]:
    """What `measure` says of every file it could read, and how many it could not: a line on stderr each."""
    from noisediag.reports import Failure
    from noisediag.studies.attempt import attempt
    from noisediag.studies.running import console_progress

    measured: dict[Path, T] = {}
    outcomes = ((path, attempt(path, measure)) for path in paths)
    for path, outcome in console_progress(outcomes, len(paths)):
        if isinstance(outcome, Failure):
            complain(outcome.message, outcome.path)
        else:
            measured[path] = outcome
    return measured, len(paths) - len(measured)
