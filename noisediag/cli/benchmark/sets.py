"""`noisediag benchmark sets`: pictures with noise of known size, by the sets of the noise model."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from noisediag.cli.benchmark.common import (
    Baselines,
    Data,
    Destination,
    LimitPerDomain,
    OfSplit,
    OwnNoise,
    Seed,
    Sheet,
    Split,
    Workers,
)
from noisediag.cli.common import Checkpoint, Csv, Device, Force, Json, OnDevice, Output, completing, errors_in_words


class Genome(str, Enum):
    """Which noise model is scored."""

    sensor = "sensor"
    paper = "paper"


def sets(
    genome: Annotated[Genome, typer.Option(help="The noise model that is scored.")] = Genome.sensor,
    data: Data = None,
    own_noise: OwnNoise = None,
    sets: Annotated[
        str,
        typer.Option(
            metavar="SET,...",
            help="gaussian, poisson-gauss, mixture, clean, flat, raw.",
            autocompletion=completing(("gaussian", "poisson-gauss", "mixture", "clean", "flat", "raw"), several=True),
        ),
    ] = "gaussian,poisson-gauss,mixture,clean,flat",
    draws: Annotated[int, typer.Option(min=1, help="Noise draws a picture.")] = 10,
    seed: Seed = 0,
    split: OfSplit = Split.odd,
    limit_per_domain: LimitPerDomain = None,
    baselines: Baselines = True,
    randomised: Annotated[bool, typer.Option(help="Our model with its encoder re-drawn, too.")] = True,
    workers: Workers = 1,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    sheet: Sheet = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Score the model on clean pictures with simulated noise: curve, parameters, presence, intervals.

    Exit codes: 0 done, 2 usage, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force, sheet=sheet)
        destination.check()

        from noisediag.benchmark.sets import report, run
        from noisediag.benchmark.sets.result import BenchmarkOptions
        from noisediag.reports.progress import console_progress

        options = BenchmarkOptions(
            genome=genome.value,
            data=data,
            own_noise=own_noise,
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
        destination.write(report, run.run(options, progress=console_progress))
