"""`noisediag merge`: the parts of a sharded batch as one report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisediag.cli.batch import Outputs, finish
from noisediag.cli.common import Force, errors_in_words


def merge(
    parts: Annotated[list[Path], typer.Argument(metavar="PART...", help="What batch --shard wrote, all of it.")],
    output: Outputs,
    force: Force = False,
) -> None:
    """Join the PARTs of a sharded batch; print the summary of the whole.

    Parts that are missing, doubled, or made with another checkpoint or other options are refused. Exit codes as batch.
    """
    with errors_in_words():
        from noisediag.batch import merge as study

        finish(study.run(parts, output, force=force))
