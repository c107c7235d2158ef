"""The command line: parse, call one function, print. stdout is the answer; everything else goes to stderr.

Command bodies import what they need, so that `--help`, `--version` and completion load neither numpy nor torch.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from noisediag import __version__
from noisediag.cli import (
    advise,
    batch,
    benchmark,
    check,
    distance,
    estimate,
    explain,
    finetune,
    measure,
    merge,
    pretrain,
    profile,
    report,
    simulate,
    verify,
)
from noisediag.cli.common import ManyValues

app = typer.Typer(
    name="noisediag",
    help="Reads the noise in a picture: which kinds, how much of each, in physical units, with 90 % intervals.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point of the `noisediag` command."""
    # Threads that wait for each other spin unless told to sleep. Where the cores are busy with something else, that
    # costs several times the work itself. OpenMP reads this when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):  # reports are UTF-8 wherever they go
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"noisediag {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command(no_args_is_help=True)(estimate.estimate)
app.command(no_args_is_help=True)(batch.batch)
app.command(no_args_is_help=True)(merge.merge)
app.command(no_args_is_help=True)(report.report)
app.command(no_args_is_help=True)(simulate.simulate)
app.add_typer(benchmark.app, name="benchmark")
app.command(no_args_is_help=True)(pretrain.pretrain)
app.command(no_args_is_help=True)(profile.profile)
app.command(no_args_is_help=True)(check.check)
app.command(no_args_is_help=True)(advise.advise)
app.command(no_args_is_help=True)(distance.distance)
app.command(no_args_is_help=True)(explain.explain)
app.command(no_args_is_help=True, cls=ManyValues)(measure.measure)
app.command(no_args_is_help=True)(verify.verify)
app.command(no_args_is_help=True, cls=ManyValues)(finetune.finetune)
