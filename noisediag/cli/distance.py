"""`noisediag distance`: whether two folders have the same noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    check_plot,
    check_style,
    errors_in_words,
    write_file,
)
from noisediag.cli.gather import gather, print_or_write
from noisediag.errors import UsageError


def distance(
    a: Annotated[Path, typer.Argument(metavar="A", help="A folder of pictures, at least 8.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png|.svg|.pdf", help="Draw both folders in the embedding.", rich_help_panel=OUTPUT_PANEL
        ),
    ] = None,
    force: Force = False,
    permutations: Annotated[int, typer.Option(min=99, max=1_000_000, help="Of the test.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same p.")] = 0,
    checkpoint: Checkpoint = None,
    device: OnDevice = Device.auto,
) -> None:
    """Compare the noise of two folders: MMD with a permutation p-value, and density overlap, in the embedding.

    Exit codes: 0 all done, 2 usage, 3 some files failed, 4 none readable, 5 the model is missing or damaged.
    """
    with errors_in_words():
        check_style(json=json, csv=csv)
        check_output("--output", output, REPORT_SUFFIXES, force=force, stdout=True)
        check_plot("--plot", plot, force=force)

        from noisediag.batch.folder import files
        from noisediag.studies import distance as study

        if a.resolve().is_relative_to(b.resolve()) or b.resolve().is_relative_to(a.resolve()):
            raise UsageError(f"{a} and {b}: one folder lies in the other")
        membership = {path: name for name, folder in (("A", a), ("B", b)) for path in files(folder)}

        from noisediag.estimator import Estimator
        from noisediag.images import read
        from noisediag.reports.progress import Waiting

        estimator = Estimator(checkpoint, device.value)
        embeddings, failed = gather(list(membership), lambda path: estimator.embed(read(path)))
        if not embeddings:
            raise typer.Exit(NONE_READABLE)
        options = study.DistanceOptions(a, b, permutations, seed)
        with Waiting("permutations"):
            result = study.compare(options, estimator.checkpoint, embeddings, membership, failed=failed)
        print_or_write(study, result, json=json, csv=csv, output=output, force=force)
        write_file(plot, lambda part: study.draw(result, part), force=force)
        if failed:
            raise typer.Exit(SOME_FAILED)
