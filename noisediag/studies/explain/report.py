"""What `explain` found, as a table, as JSON and as one CSV row a file and parameter."""

from __future__ import annotations

import csv
import io
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from noisediag import __version__
from noisediag.genome.parameters import parameter
from noisediag.reports import figures
from noisediag.reports.csv import safe_text
from noisediag.reports.table import printable
from noisediag.studies.explain.data import SIGMA, words
from noisediag.studies.explain.study import ExplainResult, Explanation, TagEffect, UsedTag

SCHEMA = "noisediag.explain/1"
DECIMALS = 10  # of the values that add up: with six digits their sum would miss the prediction by more than 1e-6
NOTHING = 0.0  # cross-validated R2 from which the mean of all files does as well


def render(result: ExplainResult) -> Group:
    """A heading, the tags that move together, and a table a parameter; no wider than 80 columns."""
    tags = ", ".join(f"{tag.name} ({tag.distinct})" for tag in result.tags)
    parts: list[RenderableType] = [
        Text(f"{printable(result.options.source)}: {len(result.paths)} files", style="bold"),
        Text(f"tags that vary (distinct values): {tags}"),
    ]
    parts += [Text(f"warning: {sentence}", style="yellow") for sentence in warnings(result)]
    for explanation in result.explanations:
        parts += [Text(""), *_section(explanation)]
    parts += [Text(f"\nnote: {note}") if i == 0 else Text(f"note: {note}") for i, note in enumerate(result.notes)]
    return Group(*parts)


def warnings(result: ExplainResult) -> list[str]:
    """A sentence for each pair of tags that move together."""
    return [
        f"{pair.a} and {pair.b} move together in these files ({pair.strength:.2f}): what is said of one may be due to "
        "the other"
        for pair in result.together
    ]


def size(explanation: Explanation, value: float) -> str:
    """An importance in words: a factor, or a difference in the parameter's unit."""
    return f"x {10**value:.3f}" if explanation.log else f"{value:.3g} {_unit(explanation.target)}"


def dumps(result: ExplainResult) -> str:
    """The result as JSON text: for each parameter its tags and every file's Shapley values."""
    document = {
        "schema": SCHEMA,
        "noisediag": __version__,
        "options": figures.plain(result.options),
        "files": len(result.paths),
        "tags": [_tag_dict(tag) for tag in result.tags],
        "moving_together": figures.plain(result.together),
        "explanations": [_explanation_dict(explanation, result) for explanation in result.explanations],
        "notes": list(result.notes),
    }
    return figures.dumps_json(document)


def dumps_csv(result: ExplainResult) -> str:
    """One row a file and parameter: base + the sum of the tags' columns = prediction."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["parameter", "scale", "path", "observed", "prediction", "base", *(f"shapley_{t.name}" for t in result.tags)]
    )
    for explanation in result.explanations:
        scale = "log10" if explanation.log else "linear"
        for i, row in enumerate(explanation.rows):
            numbers = (explanation.observed[i], explanation.prediction[i], explanation.base, *explanation.shapley[i])
            cells = [f"{number:.{DECIMALS}f}" for number in numbers]
            writer.writerow([explanation.target, scale, safe_text(result.paths[row]), *cells])
    return stream.getvalue()


def _section(explanation: Explanation) -> list[RenderableType]:
    title = f"{words(explanation.target)}: {len(explanation.rows)} files, cross-validated R2 "
    title += f"{explanation.r2:.2f}" + ("" if explanation.r2 > NOTHING else ": the tags explain nothing")
    table = figures.number_table("", "tag", "moves it by", "share", "by chance", "p", "remark")
    table.title = None
    total = sum(effect.importance for effect in explanation.effects)
    for effect in explanation.effects:
        table.add_row(*_row(effect, explanation, total))
    table.columns[-1].justify = "left"
    lines: list[RenderableType] = [Text(title, style="bold"), table]
    if explanation.interactions:
        first = explanation.interactions[0]
        lines.append(Text(f"strongest interaction: {first.a} with {first.b}, {size(explanation, first.strength)}"))
    return lines


def _row(effect: TagEffect, explanation: Explanation, total: float) -> tuple[str, ...]:
    share = f"{100 * effect.importance / total:.0f} %" if total > 0 else "-"
    remark = "" if effect.beyond_chance else "no more than chance"
    shown = size(explanation, effect.importance), share, f"< {size(explanation, effect.null_95)}"
    return (effect.tag, *shown, f"{effect.p:.2g}", remark)


def _unit(target: str) -> str:
    return "" if target == SIGMA else parameter(target).unit


def _tag_dict(tag: UsedTag) -> dict[str, Any]:
    return {"name": tag.name, "unit": tag.tag.unit or None, "kind": tag.tag.kind, "distinct": tag.distinct}


def _explanation_dict(explanation: Explanation, result: ExplainResult) -> dict[str, Any]:
    names = [tag.name for tag in result.tags]
    return {
        "parameter": explanation.target,
        "scale": "log10" if explanation.log else "linear",
        "unit": "decades" if explanation.log else _unit(explanation.target),
        "files": len(explanation.rows),
        "r2_cross_validated": figures.plain(explanation.r2),
        "base": round(explanation.base, DECIMALS),
        "tags": figures.plain(explanation.effects),
        "interactions": figures.plain(explanation.interactions),
        "rows": [
            {
                "path": result.paths[row],
                "observed": round(float(explanation.observed[i]), DECIMALS),
                "prediction": round(float(explanation.prediction[i]), DECIMALS),
                "shapley": {
                    name: round(float(value), DECIMALS)
                    for name, value in zip(names, explanation.shapley[i], strict=True)
                },
            }
            for i, row in enumerate(explanation.rows)
        ],
    }
