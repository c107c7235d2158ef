"""The command line: parse, call one function, print. stdout is the answer; everything else goes to stderr.

Command bodies import what they need, so that `--help`, `--version` and completion load neither numpy nor torch.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Annotated, Any

import typer
import typer.core

from noisediag import __version__
from noisediag.cli.common import ManyValues
from noisediag.cli.overview import COMMANDS, print_overview

_WITH_MANY_VALUES = frozenset({"measure", "finetune"})


class _Loaded(MutableMapping[str, Any]):
    """The commands by name, each imported when it is looked up."""

    def __init__(self, loaded: Mapping[str, Any]) -> None:
        self._commands: dict[str, Any] = {**dict.fromkeys(COMMANDS), **loaded}

    def __getitem__(self, name: str) -> Any:
        if self._commands[name] is None:
            self._commands[name] = _load(name)
        return self._commands[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)


class Commands(typer.core.TyperGroup):
    """All commands. Only the one that is called is imported, and `--help` needs none of them."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.commands = _Loaded(self.commands)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        records = (param.get_help_record(ctx) for param in self.get_params(ctx))
        print_overview(self.get_usage(ctx), self.help or "", [record for record in records if record is not None])


def _load(name: str) -> Any:
    """The function or the group of a command; see overview.COMMANDS."""
    module = importlib.import_module(f"noisediag.cli.{name}")
    if hasattr(module, "app"):
        return typer.main.get_group(module.app)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    kind = ManyValues if name in _WITH_MANY_VALUES else None
    alone.command(name, no_args_is_help=True, cls=kind)(getattr(module, name))
    return typer.main.get_command(alone)


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
