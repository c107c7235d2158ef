"""Up to 0.1.0 `noisediag benchmark` was one command: its spellings are answered with the new one."""

from __future__ import annotations

import shlex

import typer
import typer.core

from noisediag.cli.common import errors_in_words
from noisediag.errors import UsageError

SUB_COMMANDS = {f"--{name}": name for name in ("limit", "real", "speed", "cost", "few-shot")}  # former options


class BenchmarkGroup(typer.core.TyperGroup):
    """The sub-commands; where an option stands in their place, one line that names the one that is meant."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Raises typer.Exit with code 2 for an old spelling."""
        names = [word.split("=")[0] for word in args]
        if names and names[0].startswith("-") and (names[0] in self._options_of_sets() or {*names} & {*SUB_COMMANDS}):
            with errors_in_words():
                command = shlex.join(["noisediag", "benchmark", *translated(args)])
                raise UsageError(f"the benchmarks are sub-commands now: {command}")
        return super().parse_args(ctx, args)

    def _options_of_sets(self) -> set[str]:
        parameters = self.commands["sets"].params
        return {spelling for parameter in parameters for spelling in (*parameter.opts, *parameter.secondary_opts)}


def translated(args: list[str]) -> list[str]:
    """The words behind `noisediag benchmark` as they are written now."""
    words = [part for word in args for part in (word.split("=", 1) if word.startswith("--") else [word])]
    old = next((word for word in words if word in SUB_COMMANDS), None)
    genome = words.index("--genome") if "--genome" in words else None
    rendered = genome is not None and words[genome + 1 : genome + 2] == ["rendered"]
    if genome is not None and (old is not None or rendered):  # only the sets know of several
        del words[genome : genome + 2]
    if old is None:
        return ["rendered" if rendered else "sets", *words]
    place = words.index(old)
    return [SUB_COMMANDS[old], *words[place + 1 :], *words[:place]]
