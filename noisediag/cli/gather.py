"""What the studies over many files share: each file is measured, and the result goes where it was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from noisediag.cli.common import complain, print_80

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


def hand_out(report: Any, result: Any, *, json: bool, csv: bool, output: Path | None, force: bool) -> None:
    """Print or write `result` by the `render`, `dumps` and `dumps_csv` of `report`, a module."""
    from noisediag.reports.files import replacing

    if json:
        sys.stdout.write(report.dumps(result))
    elif csv:
        sys.stdout.write(report.dumps_csv(result))
    elif output is None:
        print_80(report.render(result))
    if output is not None:
        with replacing(output, force=force) as part:
            text = report.dumps(result) if output.suffix == ".json" else report.dumps_csv(result)
            part.write_text(text, encoding="utf-8")
