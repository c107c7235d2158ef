"""`noisediag benchmark`: how far off we are, beside classical estimators on the same files. One file a sub-command."""

from __future__ import annotations

import typer

from noisediag.cli.benchmark import cost, few_shot, limit, real, rendered, sets, speed
from noisediag.cli.benchmark.old_spellings import BenchmarkGroup

app = typer.Typer(
    cls=BenchmarkGroup,
    help="Score the model on pictures with noise of known size, beside classical estimators.",
    no_args_is_help=True,
)
app.command("sets")(sets.sets)
app.command("rendered")(rendered.rendered)
app.command("few-shot")(few_shot.few_shot)
app.command("real")(real.real)
app.command("limit")(limit.limit)
app.command("speed")(speed.speed)
app.command("cost")(cost.cost)
