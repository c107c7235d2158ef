"""`noisediag benchmark real DIR`: real files whose noise was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisediag.cli.benchmark.common import Baselines, Destination, Workers
from noisediag.cli.common import (
    NONE_READABLE,
    SOME_FAILED,
    Checkpoint,
    Csv,
    Device,
    Force,
    Json,
    OnDevice,
    Output,
    errors_in_words,
)


def real(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Real files whose measured noise DIR/truth.json states. A set, named by its folder, has `levels` of "
            "flat frames (mean_dn, temporal_var, fixed_pattern_var), `files` or Bayer positions `per_plane` with a and "
            "b (variance = a*signal + b), `sigma_dn` (at_mean), or pairs *_real and *_mean of processed pictures with "
            "`std_by_level`; all in DN. See `noisediag guide benchmark`.",
        ),
    ],
    baselines: Baselines = True,
    workers: Workers = 1,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Score the model on real files whose noise was measured.

    Exit codes: 0 all done, 2 usage, 3 some files failed, 4 none readable, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force)
        destination.check()

        from noisediag.benchmark.real import report, run
        from noisediag.benchmark.real.result import RealOptions
        from noisediag.reports.progress import console_progress

        options = RealOptions(folder, baselines, workers, checkpoint, device.value)
        result = run.run(options, progress=console_progress)
        destination.write(report, result)
        if result.failed:
            raise typer.Exit(NONE_READABLE if result.failed == result.files else SOME_FAILED)
