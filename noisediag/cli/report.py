"""`noisediag report`: one page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisediag.cli.common import Force, check_output, errors_in_words, write_file


def report(
    source: Annotated[Path, typer.Argument(metavar="REPORT", help="What batch or estimate wrote, in any format.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="The page to write.")],
    force: Force = False,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails/--no-thumbnails", help="Pictures of the outliers in the page.")
    ] = True,
) -> None:
    """Write a self-contained page: distributions by folder, camera, ISO and date, outliers, noise curves, drift."""
    with errors_in_words():
        check_output("--output", output, (".html",), inputs=[source], force=force, stdout=True)

        from noisediag.reports import page as study
        from noisediag.reports.progress import Waiting

        with Waiting("page"):
            text = study.page(source, thumbnails=thumbnails, folder=output.parent.absolute())
        write_file(output, lambda part: part.write_text(text, encoding="utf-8"), force=force)
