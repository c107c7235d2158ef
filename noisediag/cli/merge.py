"""`noisediag merge`: the parts of a sharded batch as one report."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisediag.cli.batch import Outputs, finish
from noisediag.cli.common import STDOUT, Force, errors_in_words
from noisediag.errors import UsageError

if TYPE_CHECKING:
    from noisediag.batch.summary import Summary


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
        from noisediag.reports.progress import Waiting

        with Waiting("merge"):
            if STDOUT not in output:
                summary = study.run(parts, output, force=force)
            elif len(output) > 1:
                raise UsageError("-o - stands alone")
            else:
                summary = _to_stdout(parts)
        finish(summary, on_stderr=STDOUT in output)


def _to_stdout(parts: list[Path]) -> Summary:
    """The rows as JSON lines on stdout, once it is certain that all belong together."""
    from noisediag.batch import merge as study

    with tempfile.TemporaryDirectory(prefix="noisediag-stdout-") as folder:
        whole = Path(folder, "all.jsonl")
        summary = study.run(parts, [whole], force=False)
        sys.stdout.flush()
        with whole.open("rb") as rows:
            shutil.copyfileobj(rows, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    return summary
