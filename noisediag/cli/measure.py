"""`noisediag measure`: noise measured, not estimated."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisediag.cli.common import (
    NONE_READABLE,
    OUTPUT_PANEL,
    REPORT_SUFFIXES,
    SOME_FAILED,
    STDOUT,
    Black,
    Channel,
    Csv,
    Dataset,
    DepthIndex,
    Force,
    Json,
    Output,
    Roi,
    Series,
    White,
    area,
    check_numbers,
    check_output,
    check_plot,
    check_style,
    complain,
    errors_in_words,
    print_80,
    warn,
    write_file,
)
from noisediag.cli.gather import dumped
from noisediag.cli.routes import Darks, Flats, Pairs, Repeats, Routes
from noisediag.errors import UsageError

if TYPE_CHECKING:
    from noisediag.reports import Outcome
    from noisediag.studies.measure import Job


def measure(
    repeats: Repeats = None,
    flats: Flats = None,
    darks: Darks = None,
    pairs: Pairs = None,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    curve: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png|.svg|.pdf", help="Plot the noise curve.", rich_help_panel=OUTPUT_PANEL),
    ] = None,
    force: Force = False,
    black: Black = None,
    white: White = None,
    channel: Channel = None,
    roi: Roi = None,
    series: Series = None,
    z: DepthIndex = None,
    dataset: Dataset = None,
) -> None:
    """Print the noise that repeats, flat fields and darks, or pairs of noisy and clean pictures show: no model guesses.

    Exit codes: 0 all done, 2 usage, 3 some measurements failed, 4 all failed.
    """
    with errors_in_words():
        check_style(json=json, csv=csv)
        if output == STDOUT:
            json, output = not csv, None
        check_numbers(black, white, None)
        region = None if roi is None else area(roi)
        routes = Routes(repeats, flats or [], darks or [], pairs or [])
        if len(routes.given) != 1:
            raise UsageError("one of --repeats, --flats and --pairs is needed")
        check_output("--output", output, REPORT_SUFFIXES, inputs=routes.inputs, force=force)
        check_plot("--curve", curve, inputs=routes.inputs, force=force)

        from noisediag.labels.bursts import ReadOptions
        from noisediag.reports import Failure, plots

        (name,) = routes.given
        jobs = routes.jobs(name, ReadOptions(black, white, channel, region, series, z, dataset))
        if curve is not None and len(jobs) > 1:
            raise UsageError("--curve takes one measurement at a time")
        outcomes = _outcomes(jobs, tables=not (json or csv or output))
        failed = sum(isinstance(outcome, Failure) for outcome in outcomes)
        if json or csv:
            sys.stdout.write(dumped(outcomes, None, ".json" if json else ".csv"))
        if failed == len(outcomes):
            raise typer.Exit(NONE_READABLE)
        if output is not None:
            text = dumped(outcomes, None, output.suffix)
            write_file(output, lambda part: part.write_text(text, encoding="utf-8"), force=force)
        first = outcomes[0]
        if not isinstance(first, Failure):
            write_file(curve, lambda part: plots.noise_curve(first, part), force=force)
        if failed:
            raise typer.Exit(SOME_FAILED)


def _outcomes(jobs: Sequence[Job], *, tables: bool) -> list[Outcome]:
    """What became of every measurement; warnings, errors and, if wanted, `tables` are printed as they come."""
    from noisediag.reports import Failure, table
    from noisediag.reports.attempt import attempt
    from noisediag.reports.progress import console_progress

    outcomes: list[Outcome] = []
    measuring = (attempt(job.path, job.measure, alone=len(jobs) == 1) for job in jobs)
    for job, outcome in zip(jobs, console_progress(measuring, len(jobs)), strict=True):
        outcomes.append(outcome)
        if isinstance(outcome, Failure):
            complain(outcome.message, outcome.path)
            continue
        for warning in outcome.warnings:
            warn(warning, job.path)
        if tables:
            print_80(table.render(outcome))
            print_80("")
    return outcomes
