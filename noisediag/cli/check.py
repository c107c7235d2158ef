"""`noisediag check`: a file's metadata against its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisediag.cli.common import (
    NONE_READABLE,
    REPORT_SUFFIXES,
    SOME_FAILED,
    Checkpoint,
    Csv,
    Device,
    Force,
    Json,
    OnDevice,
    Output,
    check_output,
    check_style,
    errors_in_words,
)
from noisediag.cli.gather import measured, print_or_write
from noisediag.errors import UsageError

if TYPE_CHECKING:
    from noisediag.footprint.file import Footprint


def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="DNG, FITS or OME-TIFF files.")],
    against_metadata: Annotated[
        bool, typer.Option("--against-metadata", help="Against what each file says of itself.")
    ] = False,
    datasheet: Annotated[
        str | None,
        typer.Option(
            "--datasheet",
            metavar="NAME=NUMBER,...",
            help="Against a data sheet: gain (DN/e-), full_well (e-), read_noise (e-), dark (e-/s) at temperature (C).",
        ),
    ] = None,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Compare the noise that each FILE, or a data sheet, states with the noise that its pixels show.

    DNG NoiseProfile, FITS EGAIN, GAIN and RDNOISE, OME gain and offset: the ratio stated / estimated with its 90 %
    interval and a verdict: agrees, differs (by more than 9 %), a setting, cannot tell. --datasheet compares the noise
    curve that a data sheet implies (differs: 25 % above the picture's, or a third below) and, with exposure time and
    dark=, says how much of the constant part is dark current. No verdict is given on noise that is not the camera's.
    Exit codes: 0 all done, 2 usage, 3 some files failed, 4 none readable, 5 the model is missing or damaged.
    """
    with errors_in_words():
        if not against_metadata and datasheet is None:
            raise UsageError("say what to check the files against: --against-metadata, --datasheet gain=...")
        check_style(json=json, csv=csv)
        check_output("--output", output, REPORT_SUFFIXES, inputs=files, force=force, stdout=True)

        from noisediag.estimator import Estimator
        from noisediag.images import read
        from noisediag.studies.camera import check as study
        from noisediag.studies.camera.datasheet import DataSheet

        sheet = None if datasheet is None else DataSheet.parse(datasheet)
        estimator = Estimator(checkpoint, device.value)

        def measure(path: Path) -> Footprint:
            return estimator.estimate(read(path))

        footprints, failed = measured(files, measure)
        if not footprints:
            raise typer.Exit(NONE_READABLE)
        result = study.run(footprints, metadata=against_metadata, sheet=sheet)
        print_or_write(study, result, json=json, csv=csv, output=output, force=force)
        if failed:
            raise typer.Exit(SOME_FAILED)
