"""`noisediag benchmark limit`: flat fields against the physical limit."""

from __future__ import annotations

from typing import Annotated

import typer

from noisediag.cli.benchmark.common import Baselines, Destination, Seed, Workers
from noisediag.cli.common import Checkpoint, Csv, Device, Force, Json, OnDevice, Output, errors_in_words


def limit(
    draws: Annotated[int, typer.Option(min=1, help="Flat fields of each size and noise.")] = 200,
    seed: Seed = 0,
    baselines: Baselines = True,
    workers: Workers = 1,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Measure how near to the Cramer-Rao bound sigma is read where nothing but white noise is there.

    Exit codes: 0 done, 2 usage, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force)
        destination.check()

        from noisediag.benchmark import limit as study
        from noisediag.reports.progress import console_progress

        options = study.LimitOptions(
            draws=draws, seed=seed, baselines=baselines, workers=workers, checkpoint=checkpoint, device=device.value
        )
        destination.write(study, study.run(options, progress=console_progress))
