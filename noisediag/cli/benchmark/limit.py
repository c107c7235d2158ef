"""`noisediag benchmark limit`: flat fields against the physical limit."""

from __future__ import annotations

from typing import Annotated

import typer

from noisediag.cli.benchmark.common import Baselines, Destination, Seed, Workers
from noisediag.cli.common import Checkpoint, Csv, Device, Force, Json, OnDevice, Output, errors_in_words


def limit(
    draws: Annotated[int, typer.Option(help="Pictures of each size and noise; at most 20 of the largest.")] = 200,
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
    """Flat fields of white noise against the physical (Cramer-Rao) limit.

    Exit codes: 0 all done, 2 usage, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force)
        destination.check()

        from noisediag.benchmark import limit as benchmark
        from noisediag.reports.progress import console_progress

        options = benchmark.LimitOptions(
            draws=draws,
            seed=seed,
            baselines=baselines,
            workers=workers,
            checkpoint=checkpoint,
            device=device.value,
        )
        destination.write(benchmark, benchmark.run(options, progress=console_progress))
