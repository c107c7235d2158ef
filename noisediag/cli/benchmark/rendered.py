"""`noisediag benchmark rendered`: pictures by simulated cameras, the noise measured by repetition."""

from __future__ import annotations

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
from noisediag.cli.common import Checkpoint, Csv, Device, Force, Json, OnDevice, Output, errors_in_words


def rendered(
    data: Data = None,
    own_noise: OwnNoise = None,
    cameras: Annotated[
        str, typer.Option(help='Groups of cameras, with ";" between them, as "held out;phones"; all unless given.')
    ] = "",
    draws: Annotated[int, typer.Option(min=1, help="Cameras a picture.")] = 1,
    seed: Seed = 0,
    split: OfSplit = Split.odd,
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
    """Score the model on pictures by simulated cameras: curve, correlation, noise after averaging, flags.

    Exit codes: 0 done, 2 usage, 5 the model is missing or damaged.
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
            cameras=tuple(name.strip() for name in cameras.split(";") if name.strip()),
        )
        destination.write(report, run.run(options, progress=console_progress))
