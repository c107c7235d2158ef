"""What the studies over many files share: each file is measured, and the result goes where it was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from noisediag.cli.common import STDOUT, complain, print_80, warn

if TYPE_CHECKING:
    from noisediag.footprint.file import CheckpointId
    from noisediag.reports import Outcome

T = TypeVar("T")


def readable(paths: Sequence[Path], measure: Callable[[Path], T], *, alone: bool = False) -> Iterator[tuple[Path, T]]:
    """What `measure` says of every file that it can read; each other is a line on stderr. `alone`: see `attempt`."""
    from noisediag.reports import Failure
    from noisediag.reports.attempt import attempt
    from noisediag.reports.progress import console_progress

    outcomes = ((path, attempt(path, measure, alone=alone)) for path in paths)
    for path, outcome in console_progress(outcomes, len(paths)):
        if isinstance(outcome, Failure):
            complain(outcome.message, outcome.path)
        else:
            yield path, outcome


def gather(paths: Sequence[Path], measure: Callable[[Path], T]) -> tuple[dict[Path, T], int]:
    """What `measure` says of the files of a folder, and how many could not be read."""
    found = dict(readable(paths, measure))
    return found, len(paths) - len(found)


def measured(files: Sequence[Path], measure: Callable[[Path], T]) -> tuple[list[T], int]:
    """What `measure` says of the files that were named, in order, and how many could not be read.

    Their warnings are a line on stderr each, too.
    """
    found: list[T] = []
    for path, outcome in readable(files, measure, alone=len(files) == 1):
        for warning in getattr(outcome, "warnings", ()):
            warn(warning, path)
        found.append(outcome)
    return found, len(files) - len(found)


def print_or_write(report: Any, *result: Any, json: bool, csv: bool = False, output: Path | None, force: bool) -> None:
    """Print or write `result` by the `render`, `dumps` and `dumps_csv` of `report`, a module."""
    from noisediag.reports.files import replacing

    if output == STDOUT:
        json, output = not csv, None
    if json:
        sys.stdout.write(report.dumps(*result))
    elif csv:
        sys.stdout.write(report.dumps_csv(*result))
    elif output is None:
        print_80(report.render(*result))
    if output is not None:
        with replacing(output, force=force) as part:
            text = report.dumps_csv(*result) if output.suffix == ".csv" else report.dumps(*result)
            part.write_text(text, encoding="utf-8")


def dumped(outcomes: Sequence[Outcome], checkpoint: CheckpointId | None, suffix: str) -> str:
    """The report of `estimate` and `measure`, `.json` or `.csv`."""
    from noisediag.reports import csv, json

    return json.dumps(outcomes, checkpoint) if suffix == ".json" else csv.dumps(outcomes, checkpoint)
