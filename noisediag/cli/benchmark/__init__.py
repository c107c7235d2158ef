"""`noisediag benchmark`: how far off the model is, beside classical estimators on the same files."""

from __future__ import annotations

from typing import Any

import typer

from noisediag.cli.benchmark import cost, few_shot, limit, real, rendered, sets, speed, traps
from noisediag.cli.common import PlainHelp
from noisediag.cli.dressing import add
from noisediag.errors import UsageError

_MOVED = {"--limit": "limit", "--real": "real", "--speed": "speed", "--cost": "cost", "--few-shot": "few-shot"}


class Benchmark(PlainHelp):
    """The group, which names the new spelling of a call in the old one: `benchmark --limit` is `benchmark limit`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            from noisediag.cli.common import complain

            complain(f"the benchmark has sub-commands now: noisediag benchmark {' '.join(new_spelling(args))}")
            raise typer.Exit(UsageError.exit_code)
        return super().parse_args(ctx, args)


def new_spelling(args: list[str]) -> list[str]:
    """The words behind `noisediag benchmark` today that do what `args` did in 0.1.0.

    >>> new_spelling(["--draws", "3", "--limit"])
    ['limit', '--draws', '3']
    >>> new_spelling(["--genome", "rendered", "--data", "d"])
    ['rendered', '--data', 'd']
    """
    words = [word for arg in args for word in (arg.split("=", 1) if arg.startswith("--") else [arg])]
    for option, command in _MOVED.items():
        if option in words:
            at = words.index(option)
            value = [words.pop(at + 1)] if command == "real" and at + 1 < len(words) else []
            words.pop(at)
            return [command, *value, *words]
    if "--genome" in words and words[words.index("--genome") + 1 :][:1] == ["rendered"]:
        at = words.index("--genome")
        return ["rendered", *words[:at], *words[at + 2 :]]
    return ["sets", *words]


app = typer.Typer(
    cls=Benchmark, no_args_is_help=True, help="Score the model on pictures with noise of known size, or time it."
)
for _name, _function in (
    ("sets", sets.sets),
    ("rendered", rendered.rendered),
    ("few-shot", few_shot.few_shot),
    ("real", real.real),
    ("limit", limit.limit),
    ("speed", speed.speed),
    ("cost", cost.cost),
    ("traps", traps.traps),
):
    add(app, _function, _name, of="benchmark", no_args_is_help=_name == "real")
