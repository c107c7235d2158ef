"""What `estimate` and `batch` print of their files as they come."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from noisediag.cli.common import OUTPUT_PANEL, complain, panel, print_80, print_at, terminal_width, warn

if TYPE_CHECKING:
    from noisediag.footprint.file import CheckpointId
    from noisediag.reports import Outcome

Row = Mapping[str, Any]


class Sort(str, Enum):
    """What the lines of several files can be put in the order of."""

    file = "file"
    camera = "camera"
    iso = "iso"
    domain = "domain"
    sigma = "sigma"
    gain = "gain"
    read_noise = "read-noise"
    flags = "flags"


_output = panel(OUTPUT_PANEL)
Sorted = Annotated[Sort | None, _output("--sort", help="Order of the lines of several files; least first.")]
Reverse = Annotated[bool, _output("--reverse", help="The order of --sort turned about.")]


class Lines:
    """A line a file, printed as it comes; with `by`, when all are there."""

    def __init__(self, paths: Sequence[str], *, by: Sort | None = None, reverse: bool = False) -> None:
        from noisediag.reports.overview import Layout

        width = terminal_width() if sys.stdout.isatty() else None
        self.layout, self.by, self.reverse = Layout.of(paths, width), by, reverse
        self.kept: list[Row] = []
        sys.stdout.write(self.layout.heading() + "\n")

    def add(self, row: Row) -> None:
        """The row of one file."""
        if self.by is None:
            self._print(row)
        else:
            self.kept.append(row)

    def end(self) -> None:
        """Print what was kept to be sorted."""
        from noisediag.reports.overview import ordered

        kept, self.kept = self.kept, []
        for row in ordered(kept, (self.by or Sort.file).value, reverse=self.reverse):
            self._print(row)

    def _print(self, row: Row) -> None:
        from noisediag.reports.overview import cells

        sys.stdout.write(self.layout.line(cells(row)) + "\n")
        sys.stdout.flush()


class Answers:
    """What `estimate` prints. `style`: screen, details, lines, csv, number, or nothing that is printed on the way.

    `numbers`: what is printed of each file in the style `number`.
    """

    def __init__(
        self,
        style: str,
        files: Sequence[Path],
        checkpoint: CheckpointId,
        numbers: Mapping[Path, str],
        *,
        by: Sort | None = None,
        reverse: bool = False,
    ) -> None:
        self.style, self.checkpoint, self.numbers = style, checkpoint, numbers
        # On a terminal the table says what the warnings say: once is enough.
        on_a_terminal = sys.stdout.isatty() and sys.stderr.isatty()
        self.says_warnings = style in ("screen", "lines") and on_a_terminal
        self.warned = 0
        self.lines = Lines([str(file) for file in files], by=by, reverse=reverse) if style == "lines" else None
        if style == "csv":
            from noisediag.reports import csv

            sys.stdout.write(csv.header())

    def add(self, path: Path, outcome: Outcome) -> None:
        """What became of one file."""
        from noisediag.reports import Failure, csv, screen, table
        from noisediag.reports import json as json_report

        if isinstance(outcome, Failure):
            complain(outcome.message, outcome.path)
        else:
            self.warned += bool(outcome.warnings)
            for warning in () if self.says_warnings else outcome.warnings:
                warn(warning, path)
            if self.style == "screen":
                width = terminal_width()
                print_at(screen.render(outcome, width), width)
            elif self.style == "details":
                print_80(table.render(outcome))
                print_80("")
            elif self.style == "number":
                sys.stdout.write(self.numbers[path] + "\n")
        if self.lines is not None:
            self.lines.add(json_report.row(outcome, self.checkpoint))
        if self.style == "csv":
            sys.stdout.write(csv.rows(outcome, self.checkpoint))

    def end(self) -> None:
        """Print what was kept."""
        if self.lines is not None:
            self.lines.end()
            if self.says_warnings and self.warned:
                warn(f"{self.warned} of the files are doubtful in more than their flags say: --details has it in words")
                self.warned = 0
