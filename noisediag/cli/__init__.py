"""The command line: parse, call one function, print. stdout is the answer; everything else goes to stderr.

Command bodies import what they need, so that `--help`, `--version` and completion load neither numpy nor torch.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any

import typer

from noisediag import __version__
from noisediag.cli.common import INTERRUPTED, PIPE_CLOSED, PlainHelp, Stopped, refused, stop_at_signals

# The commands by what they are for, each with the first sentence of its help. A command NAME is the function of that
# name, or the group `app`, in noisediag.cli.NAME, which is imported when it is called: `noisediag --help` imports none.
GROUPS: dict[str, dict[str, str]] = {
    "Everyday": {
        "estimate": "Print the noise footprint of each FILE.",
        "batch": "Measure every picture of FOLDER; print a summary.",
        "merge": "Join the PARTs of a sharded batch; print the summary of the whole.",
        "report": "Write a self-contained page: distributions by folder, camera, ISO and date, outliers, noise curves, "
        "drift.",
        "schema": "Print the JSON Schema of a document that noisediag writes, or the list of them.",
        "guide": "Show a page of the handbook, or list its pages.",
    },
    "Cameras and microscopes": {
        "profile": "Print the noise profile of each camera: S and O per ISO and colour, pooled over its FILEs.",
        "check": "Compare the noise that each FILE, or a data sheet, states with the noise that its pixels show.",
        "verify": "Transform FILE by a noise profile so that its noise must have a known variance, and look whether it "
        "has.",
        "measure": "Print the noise that repeats, flat fields and darks, or pairs of noisy and clean pictures show: no "
        "model guesses.",
        "advise": "Print what each STACK says of the next acquisition: photons, SNR, frames, dwell or power for a "
        "target.",
    },
    "Your own labels": {
        "finetune": "Learn to read your own noise from about 100 labelled pictures; the result is a --checkpoint for "
        "estimate.",
    },
    "Science": {
        "simulate": "Write a noisy picture, or a stack, with a known footprint; print its truth as JSON, also written "
        "beside it.",
        "distance": "Compare the noise of two folders: MMD with a permutation p-value, and density overlap, in the "
        "embedding.",
        "explain": "Explain noise by ISO, exposure time, aperture, focal length, camera, date and temperature (Shapley "
        "values).",
        "benchmark": "Score the model on pictures with noise of known size, or time it.",
        "pretrain": "Train the encoder, one of the models on top of it, or all, from procedural scenes and clean "
        "pictures.",
    },
}
COMMANDS = {name: said for commands in GROUPS.values() for name, said in commands.items()}
_WITH_MANY_VALUES = frozenset({"measure", "finetune", "guide"})
_WITHOUT_ARGUMENTS = frozenset({"guide", "schema"})  # which say something when called without any


class Commands(PlainHelp):
    """All commands, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))


def _load(name: str) -> Any:
    module = importlib.import_module(f"noisediag.cli.{name}")
    group = getattr(module, "app", None)
    if group is None:
        from noisediag.cli.dressing import add

        group = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        add(
            group,
            getattr(module, name),
            name,
            no_args_is_help=name not in _WITHOUT_ARGUMENTS,
            many=name in _WITH_MANY_VALUES,
        )
    return typer.main.get_command(group)


app = typer.Typer(
    name="noisediag",
    cls=Commands,
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
    # The matrices are small: threads of numpy's linear algebra would mostly wait for each other. It reads this when it
    # is loaded; the workers of torch have a setting of their own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):  # reports are UTF-8 wherever they go
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    stop_at_signals()
    stdout = sys.stdout
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
            if sys.stdout is not stdout:  # which click does where the reader of a help is gone
                sys.exit(PIPE_CLOSED)
    except OSError as error:  # of --help and --version, and of what is printed before a command's own care begins
        sys.exit(refused(error))
    except KeyboardInterrupt as stop:
        sys.exit(128 + stop.number if isinstance(stop, Stopped) else INTERRUPTED)


def _open_standard_streams() -> None:
    """A standard stream that the caller has closed (`>&-`) becomes an empty one: the next file would take its place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            continue
        found = os.open(os.devnull, os.O_RDWR)
        if found != number:
            os.dup2(found, number)
            os.close(found)
        setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - for as long as the process


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
