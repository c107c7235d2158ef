"""`noisediag benchmark rendered`: what simulated cameras leave of the noise, read back."""

from __future__ import annotations

from typing import Annotated

import typer

from noisediag.cli.benchmark.common import (
    Baselines,
    Data,
    Destination,
    FilesUsed,
    LimitPerDomain,
    OwnNoise,
    Seed,
    Sheet,
    Split,
    Workers,
)
from noisediag.cli.common import Checkpoint, Csv, Device, Force, Json, OnDevice, Output, errors_in_words


def rendered(
    data: Data = None,
    own_noise: OwnNoise = None,
    draws: Annotated[int, typer.Option(help="Cameras a picture.")] = 1,
    seed: Seed = 0,
    split: FilesUsed = Split.odd,
    limit_per_domain: LimitPerDomain = None,
    baselines: Baselines = True,
    workers: Workers = 1,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    sheet: Sheet = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Photographs by simulated cameras: what is left of the noise, measured by repetition, and what is read of it.

    Exit codes: 0 all done, 2 usage, 3 a picture cannot be read, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force, sheet=sheet)
        destination.check()

        from noisediag.benchmark.rendered import report, run
        from noisediag.benchmark.rendered.result import RenderedOptions
        from noisediag.reports.progress import console_progress

        options = RenderedOptions(
            data=data,
            own_noise=own_noise,
            draws=draws,
            seed=seed,
            split=split.value,
            limit_per_domain=limit_per_domain,
            baselines=baselines,
            workers=workers,
            checkpoint=checkpoint,
            device=device.value,
        )
        destination.write(report, run.run(options, progress=console_progress))
