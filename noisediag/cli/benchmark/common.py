"""What the sub-commands of `noisediag benchmark` share: options, and where their results go."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from noisediag.cli.common import OUTPUT_PANEL, REPORT_SUFFIXES, check_output, check_style, print_80

if TYPE_CHECKING:
    from rich.console import RenderableType

DOMAIN_DRAWS = 10  # noise draws of each picture of a domain (NOISE.md section 5)


class Split(str, Enum):
    """Which files of each domain are used."""

    odd = "odd"
    even = "even"
    all = "all"


Data = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Clean pictures, a sub-folder a domain; else procedural scenes.")
]
OwnNoise = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.csv",
        help="How much noise the clean pictures carry themselves: columns domain,picture,own_noise (8-bit steps; an "
        "empty picture is the whole domain). Unless given, own_noise.csv in DIR. Cases near it are scored apart.",
    ),
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same cases.")]
FilesUsed = Annotated[Split, typer.Option("--split", help="Files used: choices are made on even ones, figures on odd.")]
LimitPerDomain = Annotated[int | None, typer.Option(help="At most so many pictures a domain.")]
Baselines = Annotated[bool, typer.Option(help="Classical estimators in the same run.")]
Workers = Annotated[int, typer.Option(help="Processes.")]
Sheet = Annotated[
    Path | None,
    typer.Option(metavar="FILE.png", help="The ten worst pictures, clean and noisy.", rich_help_panel=OUTPUT_PANEL),
]


class Report(Protocol):
    """A module that says how a benchmark's result is read by people and by programs; some can plot it (`draw`)."""

    def render(self, result: Any) -> RenderableType: ...
    def dumps(self, result: Any) -> str: ...
    def dumps_csv(self, result: Any) -> str: ...


@dataclass(frozen=True)
class Destination:
    """Where a result goes: to stdout in one of three forms, and into files."""

    json: bool
    csv: bool
    output: Path | None
    force: bool
    plot: Path | None = None
    sheet: Path | None = None

    def check(self) -> None:
        """Raise UsageError for what could not be written: before the work, not after it."""
        check_style(json=self.json, csv=self.csv)
        if self.output is not None:
            check_output("--output", self.output, REPORT_SUFFIXES, force=self.force)
        if self.sheet is not None:
            check_output("--sheet", self.sheet, (".png",), force=self.force)
        if self.plot is not None:
            from noisediag.reports import plots

            check_output("--plot", self.plot, (".png",), force=self.force)
            plots.require()

    def write(self, report: Report, result: Any) -> None:
        """Print the result, then write its files."""
        from noisediag.reports.files import replacing

        if self.json:
            sys.stdout.write(report.dumps(result))
        elif self.csv:
            sys.stdout.write(report.dumps_csv(result))
        else:
            print_80(report.render(result))
        if self.output is not None:
            with replacing(self.output, force=self.force) as part:
                text = report.dumps(result) if self.output.suffix == ".json" else report.dumps_csv(result)
                part.write_text(text, encoding="utf-8")
        if self.plot is not None:
            with replacing(self.plot, force=self.force) as part:
                report.draw(result, part)  # type: ignore[attr-defined]  # of those whose command has --plot
        if self.sheet is not None:
            from noisediag.benchmark import sheet

            with replacing(self.sheet, force=self.force) as part:
                sheet.write(result, part)
