"""The files of a folder measured and shown, without a report: nothing is written, so nothing can be resumed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

from noisediag.batch.run import Watcher, Workers
from noisediag.batch.summary import Summary
from noisediag.batch.walk import Walk
from noisediag.errors import NoisediagError, UsageError
from noisediag.reports import rows

Row = Mapping[str, Any]


class Shown(Protocol):
    """Where rows go, in the order of their paths."""

    def begin(self, paths: list[str]) -> None:
        """These files will come."""

    def add(self, row: Row) -> None:
        """The next one."""


def run(walk: Walk, workers: Workers, watcher: Watcher, shown: Shown) -> Summary:
    """Measure every picture of `walk` and show it. What is measured is shown, also where the run is stopped.

    Raises UsageError where there is no picture, and CheckpointError.
    """
    found = walk.find()
    if not found.entries:
        raise UsageError(f"{walk.folder}: holds no picture, by the names of its files")
    summary = Summary(skipped=found.skipped)
    waiting: dict[int, Row] = {}
    following = 0
    with contextlib.closing(workers):
        checkpoint, _ = workers.start()
        watcher.begin(len(found.entries), 0)
        shown.begin([entry.path for entry in found.entries])
        for index, entry in enumerate(found.entries):
            if entry.failure is not None:
                waiting[index] = rows.encoded(entry.failure, checkpoint)["row"]
        todo = [index for index in range(len(found.entries)) if index not in waiting]
        watcher.rows(list(waiting.values()))
        try:
            for done in workers.run([found.entries[index].path for index in todo]):
                fresh = {todo[item.index]: item.reply["row"] for item in done}
                waiting |= fresh
                watcher.rows(list(fresh.values()))
                while following in waiting:
                    _show(waiting.pop(following), shown, summary)
                    following += 1
        finally:
            for index in sorted(waiting):
                _show(waiting[index], shown, summary)
    if summary.done + summary.failed < len(found.entries):
        raise NoisediagError(f"the workers ended and left {len(found.entries) - summary.done - summary.failed} files")
    return summary


def _show(row: Row, shown: Shown, summary: Summary) -> None:
    summary.add(row)
    shown.add(row)
