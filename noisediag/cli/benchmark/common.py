"""What the benchmark's sub-commands share: options, and how their results are written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from noisediag.cli.common import OUTPUT_PANEL, REPORT_SUFFIXES, check_output, check_style, print_80


class Split(str, Enum):
    """Which files of each domain are used."""

    odd = "odd"
    even = "even"
    all = "all"


Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Clean pictures, a sub-folder a domain; procedural scenes unless given."),
]
OwnNoise = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.csv",
        help="What noise the clean pictures have themselves: domain,picture,own_noise (steps of 8 bits; an empty "
        "picture is the whole domain). DIR/own_noise.csv unless given; pictures without a figure count as clean.",
    ),
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same cases.")]
OfSplit = Annotated[Split, typer.Option(help="Files used: choices are made on even ones, figures on odd.")]
LimitPerDomain = Annotated[int | None, typer.Option(min=1, help="At most so many pictures a domain.")]
Baselines = Annotated[bool, typer.Option(help="Classical estimators in the same run.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
Sheet = Annotated[
    Path | None,
    typer.Option(metavar="FILE.png", help="The ten worst pictures, clean and noisy.", rich_help_panel=OUTPUT_PANEL),
]


@dataclass(frozen=True)
class Destination:
    """Where a result goes: stdout as a table, JSON or CSV, and files.

    `check` before the work, `write` after it. `report`: the module with `dumps`, `dumps_csv`, `render` and, for plots,
    `draw`, which is told the kind of file where `plots` allows several.
    """

    json: bool
    csv: bool
    output: Path | None
    force: bool
    plot: Path | None = None
    sheet: Path | None = None
    plots: tuple[str, ...] = (".png",)

    def check(self) -> None:
        """Raises UsageError where something could not be written."""
        check_style(json=self.json, csv=self.csv)
        if self.output is not None:
            check_output("--output", self.output, REPORT_SUFFIXES, force=self.force)
        if self.sheet is not None:
            check_output("--sheet", self.sheet, (".png",), force=self.force)
        if self.plot is not None:
            from noisediag.reports import plots

            check_output("--plot", self.plot, self.plots, force=self.force)
            plots.require()

    def write(self, report: Any, result: Any) -> None:
        """The result on stdout and in every file that was asked for."""
        if self.json:
            sys.stdout.write(report.dumps(result))
        elif self.csv:
            sys.stdout.write(report.dumps_csv(result))
        else:
            print_80(report.render(result))
        if self.output is not None:
            text = report.dumps(result) if self.output.suffix == ".json" else report.dumps_csv(result)
            self._file(self.output, lambda part: part.write_text(text, encoding="utf-8"))
        if self.plot is not None:
            kinds = [self.plot.suffix.lstrip(".").lower()] if len(self.plots) > 1 else []
            self._file(self.plot, lambda part: report.draw(result, part, *kinds))
        if self.sheet is not None:
            from noisediag.benchmark import sheet

            self._file(self.sheet, lambda part: sheet.write(result, part))

    def _file(self, path: Path, write: Callable[[Path], Any]) -> None:
        from noisediag.reports.files import replacing

        with replacing(path, force=self.force) as part:
            write(part)
