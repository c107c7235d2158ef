"""`noisediag measure`: noise measured, not estimated."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisediag.cli.common import (
    NONE_READABLE,
    OUTPUT_PANEL,
    REPORT_SUFFIXES,
    SOME_FAILED,
    Black,
    Channel,
    Csv,
    Force,
    Json,
    Output,
    Roi,
    White,
    area,
    check_numbers,
    check_output,
    check_style,
    complain,
    errors_in_words,
    print_80,
)
from noisediag.cli.routes import Darks, Flats, Pairs, Repeats, Routes
from noisediag.errors import UsageError

if TYPE_CHECKING:
    from noisediag.reports import Outcome


def measure(
    repeats: Repeats = None,
    flats: Flats = None,
    darks: Darks = None,
    pairs: Pairs = None,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    curve: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Plot the noise curve.", rich_help_panel=OUTPUT_PANEL)
    ] = None,
    force: Force = False,
    black: Black = None,
    white: White = None,
    channel: Channel = None,
    roi: Roi = None,
) -> None:
    """Print the noise that repeats, flat fields and darks, or pairs of noisy and clean pictures show: no model guesses.

    Exit codes: 0 all done, 2 usage, 3 some measurements failed, 4 all failed.
    """
    with errors_in_words():
        check_style(json=json, csv=csv)
        check_numbers(black, white, None)
        region = None if roi is None else area(roi)
        routes = Routes(repeats, flats or [], darks or [], pairs or [])
        if len(routes.given) != 1:
            raise UsageError("one of --repeats, --flats and --pairs is needed")
        for option, path, suffixes in (("--output", output, REPORT_SUFFIXES), ("--curve", curve, (".png",))):
            if path is not None:
                check_output(option, path, suffixes, inputs=routes.inputs, force=force)

        from noisediag.labels.bursts import Reading
        from noisediag.reports import Failure, plots, table
        from noisediag.reports import csv as csv_report
        from noisediag.reports import json as json_report
        from noisediag.reports.attempt import attempt
        from noisediag.reports.files import replacing

        if curve is not None:
            plots.require()
        (name,) = routes.given
        jobs = routes.jobs(name, Reading(black, white, channel, region))
        if curve is not None and len(jobs) > 1:
            raise UsageError("--curve takes one measurement at a time")
        outcomes: list[Outcome] = []
        for job in jobs:
            outcome = attempt(job.path, job.measure, alone=len(jobs) == 1)
            outcomes.append(outcome)
            if isinstance(outcome, Failure):
                complain(outcome.message, outcome.path)
                continue
            for warning in outcome.warnings:
                complain(f"warning: {warning}", job.path)
            if not (json or csv or output):
                print_80(table.render(outcome))
                print_80("")
        failed = sum(isinstance(outcome, Failure) for outcome in outcomes)
        if json:
            sys.stdout.write(json_report.dumps(outcomes, None))
        elif csv:
            sys.stdout.write(csv_report.dumps(outcomes, None))
        if failed == len(outcomes):
            raise typer.Exit(NONE_READABLE)
        if output is not None:
            with replacing(output, force=force) as part:
                report = json_report if output.suffix == ".json" else csv_report
                part.write_text(report.dumps(outcomes, None), encoding="utf-8")
        if curve is not None and not isinstance(outcomes[0], Failure):
            with replacing(curve, force=force) as part:
                plots.noise_curve(outcomes[0], part)
        if failed:
            raise typer.Exit(SOME_FAILED)
