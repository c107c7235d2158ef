"""`noisediag explain`: which acquisition tags drive each noise parameter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisediag.cli.common import (
    NONE_READABLE,
    OUTPUT_PANEL,
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
from noisediag.cli.gather import gather, print_or_write
from noisediag.errors import UsageError

if TYPE_CHECKING:
    from noisediag.studies.explain.data import Record


def explain(
    source: Annotated[
        Path, typer.Argument(metavar="FOLDER|REPORT", help="Pictures to estimate, or a report of any format.")
    ],
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write bar.png, beeswarm.png and dependence.png there.", rich_help_panel=OUTPUT_PANEL
        ),
    ] = None,
    force: Force = False,
    permutations: Annotated[int, typer.Option(min=39, max=100_000, help="Shufflings of each tag.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same figures.")] = 0,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Explain noise by ISO, exposure time, aperture, focal length, camera, date and temperature (Shapley values).

    Exit codes: 0 all done, 2 usage, 3 some files failed, 4 none readable, 5 the model is missing or damaged.
    """
    with errors_in_words():
        check_style(json=json, csv=csv)
        check_output("--output", output, REPORT_SUFFIXES, inputs=(source,), force=force, stdout=True)

        from noisediag.reports.files import replacing
        from noisediag.reports.progress import console_progress
        from noisediag.studies.explain import model as explain_model
        from noisediag.studies.explain import report as explain_report
        from noisediag.studies.explain import study
        from noisediag.studies.explain.plots import PLOTS

        explain_model.require()
        if plots is not None:
            _check_plots(plots, force=force)
        records, failed = _records(source, checkpoint, device.value)
        if not records and failed:
            raise typer.Exit(NONE_READABLE)
        options = study.ExplainOptions(str(source), permutations, seed)
        result = study.run(records, options, progress=console_progress)
        print_or_write(explain_report, result, json=json, csv=csv, output=output, force=force)
        if plots is not None:
            plots.mkdir(exist_ok=True)
            for name, draw in PLOTS.items():
                with replacing(plots / name, force=force) as part:
                    draw(result, part)
        if failed:
            raise typer.Exit(SOME_FAILED)


def _records(source: Path, checkpoint: Path | None, device: str) -> tuple[list[Record], int]:
    """What to explain, and how many files could not be read."""
    from noisediag.batch.folder import files
    from noisediag.reports.reading import SUFFIXES
    from noisediag.studies.explain.data import from_footprint, read_report

    if not source.is_dir():
        if source.suffix not in SUFFIXES:
            raise UsageError(f"{source}: neither a folder nor a report ({', '.join(SUFFIXES)})")
        return list(read_report(source)), 0
    paths = files(source)

    from noisediag.estimator import Estimator
    from noisediag.images import read

    estimator = Estimator(checkpoint, device)
    found, failed = gather(paths, lambda path: from_footprint(estimator.estimate(read(path))))
    return list(found.values()), failed


def _check_plots(folder: Path, *, force: bool) -> None:
    """Raise UsageError where the plots could not be written."""
    from noisediag.reports import files, plots
    from noisediag.studies.explain.plots import PLOTS

    plots.require()
    if folder.is_dir():
        for name in PLOTS:
            files.check(folder / name, force=force)
    elif folder.exists() or not folder.parent.is_dir():
        raise UsageError(f"--plots {folder}: is no folder and none can be made there")
