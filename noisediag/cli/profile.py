"""`noisediag profile`: the noise profile of a camera, per ISO and colour."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisediag.cli.common import (
    NONE_READABLE,
    OUTPUT_PANEL,
    SOME_FAILED,
    Checkpoint,
    Device,
    Force,
    OnDevice,
    Plot,
    check_output,
    check_plot,
    errors_in_words,
    print_80,
    warn,
    write_file,
)
from noisediag.cli.gather import measured
from noisediag.errors import UsageError

if TYPE_CHECKING:
    from noisediag.footprint.file import Footprint
    from noisediag.studies.camera.profile import Profile


class To(str, Enum):
    """What the profile is for."""

    dng = "dng"
    darktable = "darktable"
    json = "json"


_SUFFIXES = {To.dng: ".sh", To.darktable: ".json", To.json: ".json"}


def profile(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="RAW files of one or several cameras and ISOs.")],
    to: Annotated[
        To | None,
        typer.Option(
            help="Instead of a table: exiftool commands for DNG, darktable's noiseprofiles.json, or JSON.",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write a .json file (--to dng: .sh).", rich_help_panel=OUTPUT_PANEL
        ),
    ] = None,
    iso: Annotated[
        str | None,
        typer.Option(metavar="ISO,...", help="Settings to interpolate, within those measured.", show_default=False),
    ] = None,
    plot: Plot = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Print the noise profile of each camera: S and O per ISO and colour, pooled over its FILEs.

    Ordinary pictures will do; a few of each ISO, some of them dark, are better than one. No RAW is ever edited.
    Exit codes: 0 all done, 2 usage, 3 some files failed, 4 none readable, 5 the model is missing or damaged.
    """
    with errors_in_words():
        wanted = () if iso is None else _isos(iso)
        check_output("--output", output, (_SUFFIXES[to or To.json],), inputs=files, force=force, stdout=True)
        check_plot("--plot", plot, inputs=files, force=force)

        from noisediag.estimator import Estimator
        from noisediag.images import read
        from noisediag.studies.camera import profile as study
        from noisediag.studies.camera import profile_report

        estimator = Estimator(checkpoint, device.value)

        def measure(path: Path) -> Footprint:
            return study.suitable(estimator.estimate(read(path)))

        footprints, failed = measured(files, measure)
        if not footprints:
            raise typer.Exit(NONE_READABLE)
        result = study.pool(footprints, isos=wanted)
        text = _text(result, to or To.json) if to is not None or output is not None else ""
        doubts = profile_report.darktable_doubts(result) if to is To.darktable else []
        for warning in (*result.warnings, *doubts):
            warn(warning)
        if output is not None:
            write_file(output, lambda part: part.write_text(text, encoding="utf-8"), force=force)
        elif to is not None:
            sys.stdout.write(text)
        else:
            print_80(profile_report.render(result))
        write_file(plot, lambda part: profile_report.plot(result, part), force=force)
        if failed:
            raise typer.Exit(SOME_FAILED)


def _text(result: Profile, to: To) -> str:
    from noisediag.studies.camera import profile_report

    dumps = {
        To.dng: profile_report.dumps_dng,
        To.darktable: profile_report.dumps_darktable,
        To.json: profile_report.dumps,
    }
    return dumps[to](result)


def _isos(text: str) -> tuple[float, ...]:
    try:
        isos = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--iso {text}: numbers are needed, as in 100,200,400") from None
    if not all(0 < value < float("inf") for value in isos):
        raise UsageError(f"--iso {text}: settings are above 0")
    return isos
