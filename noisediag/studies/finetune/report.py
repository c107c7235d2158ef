"""What a fine-tuning came to, as a table, JSON and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Group
from rich.table import Table
from rich.text import Text

from noisediag.reports import figures
from noisediag.reports.figures import decimal, number_table, percent
from noisediag.reports.table import number, printable
from noisediag.studies.finetune.result import SCHEMA, FinetuneResult, Verdict

NAN = float("nan")
INPUTS = {
    "places": "places among near genomes",
    "components": "components of the other encoder",
    "seen": "the tuned encoder",
    "embedding": "components of the model's encoder",
    "levels": "levels of signal and noise",
    "evidence": "scale-free evidence",
    "blocks": "statistics of blocks",
}


def render(result: FinetuneResult) -> Group:
    """Before, after and the mean predictor of every name, and what was kept."""
    judged = f"{result.judged} pictures ({result.how}), {result.acquisitions} acquisitions in all"
    lines: list[Text | Table] = [Text(f"learned from {result.shots} shots, judged on {judged}\n"), _table(result)]
    notes = [
        "RMSE in the label's unit; log: in decades; class: share of wrong words.",
        "mean: always the mean (or the most frequent word) of the shots; n: pictures that judged.",
    ]
    if any(v.rmse_before is not None for v in result.verdicts):
        notes.append(f"before: {result.checkpoint.name} as it is, the mean where it gives no value.")
    if result.pooled_r2 is not None:
        notes.append(
            f"parts of a whole together: R2 {decimal(result.pooled_r2)}; one that is left out counts as its mean."
        )
    lines.append(Text("\n" + "\n".join(notes)))
    lines.append(Text("\nchosen by evidence on the shots:\n" + "\n".join(_choices(result.verdicts))))
    dropped = [v.name for v in result.verdicts if not v.better]
    if dropped:
        lines.append(Text(f"\nnot shown to be better, and left out: {printable(', '.join(dropped))}", style="yellow"))
    return Group(*lines)


def _choices(verdicts: Sequence[Verdict]) -> list[str]:
    """What the names that are kept were learned as, and from; those alike together."""
    alike: dict[str, list[str]] = {}
    for v in verdicts:
        if v.better:
            scale = {"log": "logarithm", "class": "class"}.get(v.scale, "parts of a whole" if v.part else "linear")
            by = v.learned_by + (" of all together" if v.joint else "")
            alike.setdefault(f"{scale}; {by} on {', '.join(INPUTS[name] for name in v.reads)}", []).append(v.name)
    return [f"{printable(', '.join(names))}: {choice}" for choice, names in alike.items()]


def _table(result: FinetuneResult) -> Table:
    heads = ("RMSE\nmean", "RMSE\nbefore", "RMSE\nafter", "R2\nbefore", "R2\nafter", "in its\n90 %")
    table = number_table("", "\nname", "\nscale", "\nn", *heads, "\nverdict")
    table.title = None
    table.columns[1].justify = table.columns[-1].justify = "left"
    for v in result.verdicts:
        table.add_row(
            printable(v.name)[:20],
            v.scale,
            str(v.judged),
            *(_error(v, error) for error in (v.rmse_mean, v.rmse_before, v.rmse_after)),
            *(decimal(NAN if r2 is None else r2) for r2 in (v.r2_before, v.r2_after)),
            percent(NAN if v.coverage_after is None else v.coverage_after, 0),
            "better" if v.better else "not shown",
        )
    return table


def _error(verdict: Verdict, error: float | None) -> str:
    if error is None:
        return "-"
    return f"{percent(error)} %" if verdict.scale == "class" else number(error, 3)


def dumps(result: FinetuneResult) -> str:
    """The result as JSON text."""
    options = replace(result.options, encoder=None)  # networks are no figures
    document = figures.document(SCHEMA, replace(result, options=options))
    document["options"]["encoder"] = result.options.encoder is not None
    return figures.dumps_json(document)


def dumps_csv(result: FinetuneResult) -> str:
    """One row a name."""
    return figures.dumps_rows(Verdict, result.verdicts)
