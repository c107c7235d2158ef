"""`noisediag verify`: whether a noise profile fits a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisediag.cli.common import (
    Black,
    Channel,
    Force,
    Json,
    Output,
    Plot,
    Roi,
    White,
    area,
    check_numbers,
    check_output,
    check_plot,
    errors_in_words,
    warn,
    write_file,
)
from noisediag.cli.gather import print_or_write
from noisediag.errors import UsageError

FAILED = 1


def verify(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A picture, or a stack of repeats.")] = None,
    profile: Annotated[
        str, typer.Option(metavar="S,O|REPORT", help="variance = S * signal + O, or a report that says it.")
    ] = "",
    repeats: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder of repeats instead of FILE.")] = None,
    json: Json = False,
    output: Output = None,
    plot: Plot = None,
    force: Force = False,
    black: Black = None,
    white: White = None,
    channel: Channel = None,
    roi: Roi = None,
) -> None:
    """Transform FILE by a noise profile so that its noise must have a known variance, and look whether it has.

    Exit codes: 0 the profile fits, 1 more than 2 of 10 levels are outside of 0.9 to 1.1, 2 usage, 3 the file cannot be
    judged.
    """
    with errors_in_words():
        if (file is None) == (repeats is None):
            raise UsageError("one of FILE and --repeats DIR is needed")
        if not profile:
            raise UsageError("--profile S,O or --profile REPORT.json is needed")
        check_numbers(black, white, None)
        source = file or repeats
        assert source is not None
        check_output("--output", output, (".json",), inputs=[source], force=force, stdout=True)
        check_plot("--plot", plot, inputs=[source], force=force)

        from noisediag.labels.bursts import ReadOptions, columns_of, read_burst
        from noisediag.reports.progress import Waiting
        from noisediag.studies.camera import verify as study
        from noisediag.studies.measure import one_burst

        pairs = study.read_profile(profile)
        reading = ReadOptions(black, white, channel, None if roi is None else area(roi))
        names: list[str] = []
        if repeats is not None:
            files = one_burst(repeats)
            image, columns = read_burst(repeats, files, reading)
            names = [one.name for one in files][: len(columns[0])]
        else:
            image = reading.read(source)
            columns = columns_of(image)
        with Waiting("verify"):
            result = study.run(image, columns, pairs, names)
        for warning in result.warnings:
            warn(warning, source)
        print_or_write(study, result, json=json, output=output, force=force)
        write_file(plot, lambda part: study.plot(result, part), force=force)
        if not result.passes:
            raise typer.Exit(FAILED)
