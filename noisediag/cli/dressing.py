"""What every command is given beside its own options: `--quiet`, `--verbose` and an example."""

from __future__ import annotations

import functools
import inspect
import time
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer

from noisediag.cli.common import GivenWords, ManyValues, panel
from noisediag.cli.examples import EXAMPLES
from noisediag.errors import VOICE, UsageError, complain, tell

_messages = panel("Messages")


Quiet = Annotated[
    bool,
    _messages("--quiet", "-q", help="Errors alone on stderr: neither warnings nor progress."),
]
Verbose = Annotated[
    bool,
    _messages("--verbose", "-v", help="Say on stderr what is done, and how long it takes."),
]
_ADDED = {"quiet": Quiet, "verbose": Verbose}


def add(group: typer.Typer, function: Callable[..., Any], name: str, *, of: str = "", **options: Any) -> None:
    """Make `function` the command `name` of `group`, with what every command has.

    `of`: the name of a group whose command it is. `options`: of `typer.Typer.command`; `many`: its repeatable options
    take many values.
    """
    kind = ManyValues if options.pop("many", False) else GivenWords
    example = EXAMPLES.get(f"{of} {name}".strip())
    epilog = None if example is None else f"Example: {example}"
    group.command(name, cls=kind, epilog=epilog, **options)(_voiced(function))


def _voiced(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with the options --quiet and --verbose, which it need not know of."""
    signature = inspect.signature(function)
    hints = typing.get_type_hints(function, include_extras=True)
    lacking = {name: kind for name, kind in _ADDED.items() if name not in signature.parameters}

    @functools.wraps(function)
    def voiced(**values: Any) -> Any:
        if values["quiet"] and values["verbose"]:
            complain("--quiet and --verbose exclude each other")
            raise typer.Exit(UsageError.exit_code)
        VOICE.quiet, VOICE.verbose = values["quiet"], values["verbose"]
        values = {name: value for name, value in values.items() if name not in lacking}
        begun = time.monotonic()
        try:
            return function(**values)
        finally:
            tell(f"took {time.monotonic() - begun:.1f} s")

    own = [one.replace(annotation=hints.get(one.name, one.annotation)) for one in signature.parameters.values()]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in lacking.items()
    ]
    own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    voiced.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    voiced.__annotations__ = {**hints, **lacking}
    return voiced
