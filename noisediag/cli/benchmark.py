"""`noisediag benchmark`: how far off we are, beside classical estimators on the same files."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from noisediag.cli.common import (
    REPORT_SUFFIXES,
    Checkpoint,
    Csv,
    Device,
    Force,
    Json,
    OnDevice,
    Output,
    check_output,
    errors_in_words,
    print_80,
)
from noisediag.errors import UsageError


class Genome(str, Enum):
    """Which noise model is scored."""

    sensor = "sensor"
    paper = "paper"


class Split(str, Enum):
    """Which files of each domain are used."""

    odd = "odd"
    even = "even"
    all = "all"


def benchmark(
    genome: Annotated[Genome, typer.Option(help="The noise model that is scored.")] = Genome.sensor,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Clean pictures, one sub-folder a domain.")] = None,
    sets: Annotated[
        str, typer.Option(metavar="SET,...", help="gaussian, poisson-gauss, mixture, clean, flat, raw.")
    ] = "gaussian,poisson-gauss,mixture,clean,flat",
    draws: Annotated[int, typer.Option(help="Noise draws a picture.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed gives the same cases.")] = 0,
    split: Annotated[
        Split, typer.Option(help="Files used: choices are made on even ones, figures on odd.")
    ] = Split.odd,
    limit_per_domain: Annotated[int | None, typer.Option(help="At most so many pictures a domain.")] = None,
    baselines: Annotated[bool, typer.Option(help="Classical estimators in the same run.")] = True,
    randomised: Annotated[bool, typer.Option(help="Our model with its encoder re-drawn, too.")] = True,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Score the model on pictures with noise of known size."""
    with errors_in_words():
        if json and csv:
            raise UsageError("--json and --csv exclude each other")
        if output is not None:
            check_output("--output", output, REPORT_SUFFIXES, force=force)

        from noisediag.studies import benchmark as study
        from noisediag.studies import benchmark_report as report
        from noisediag.studies.benchmark_result import BenchmarkOptions
        from noisediag.studies.running import console_progress

        options = BenchmarkOptions(
            genome=genome.value,
            data=data,
            sets=tuple(name.strip() for name in sets.split(",")),
            draws=draws,
            seed=seed,
            split=split.value,
            limit_per_domain=limit_per_domain,
            baselines=baselines,
            randomised=randomised,
            workers=workers,
            checkpoint=checkpoint,
            device=device.value,
        )
        result = study.run(options, progress=console_progress)
        if json:
            sys.stdout.write(report.dumps(result))
        elif csv:
            sys.stdout.write(report.dumps_csv(result))
        else:
            print_80(report.render(result))
        if output is not None:
            from noisediag.reports.files import replacing

            with replacing(output, force=force) as part:
                text = report.dumps(result) if output.suffix == ".json" else report.dumps_csv(result)
                part.write_text(text, encoding="utf-8")
