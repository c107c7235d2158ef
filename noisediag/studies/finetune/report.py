"""What a fine-tuning came to, as a table, JSON, CSV and a learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from noisediag.reports import figures
from noisediag.reports.charts import COLOURS
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
MARKERS = "o^sDvP*X"


def render(result: FinetuneResult) -> Group:
    """Before, after and the mean predictor of every name, and what was kept."""
    judged = f"{result.judged} pictures ({result.how}), {result.acquisitions} acquisitions in all"
    lines: list[Text | Table] = [Text(f"learned from {result.shots} shots, judged on {judged}\n"), _table(result)]
    notes = [
        "RMSE in the label's unit; log: in decades; class: share of wrong words.",
        "mean: always the mean (or the most frequent word) of the shots.",
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
    table = number_table("", "name", "by", "n", "RMSE mean", "before", "after", "R2 before", "after", "in 90 %", "")
    table.title = None
    for v in result.verdicts:
        table.add_row(
            printable(v.name)[:20],
            v.scale,
            str(v.judged),
            *(_error(v, error) for error in (v.rmse_mean, v.rmse_before, v.rmse_after)),
            *(decimal(NAN if r2 is None else r2) for r2 in (v.r2_before, v.r2_after)),
            percent(NAN if v.coverage_after is None else v.coverage_after, 0),
            "better" if v.better else "no",
        )
    return table


def _error(verdict: Verdict, error: float | None) -> str:
    if error is None:
        return "-"
    return f"{percent(error)} %" if verdict.scale == "class" else number(error, 3)


def dumps(result: FinetuneResult) -> str:
    """The result as JSON text."""
    return figures.dumps_json(figures.document(SCHEMA, result))


def dumps_csv(result: FinetuneResult) -> str:
    """One row a name."""
    return figures.dumps_rows(Verdict, result.verdicts)


def draw(result: FinetuneResult, path: Path) -> None:
    """Write a PNG: the error with ever more shots, as a share of the mean predictor's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for place, verdict in enumerate(result.verdicts):
        points = [point for point in result.curve if point.name == verdict.name]
        axes.plot(
            [point.shots for point in points],
            [point.rmse_share for point in points],
            color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place % len(MARKERS)],
            label=printable(verdict.name).replace("$", r"\$"),
        )
        if verdict.rmse_before is not None:
            axes.axhline(
                verdict.rmse_before / verdict.rmse_mean, color=COLOURS[place % len(COLOURS)], linestyle=":", linewidth=1
            )
    axes.axhline(1, color="grey", linestyle="--", linewidth=0.8, label="mean predictor")
    axes.set_xscale("log")
    ticks = sorted({point.shots for point in result.curve})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("shots (labelled pictures)")
    axes.set_ylabel("RMSE / mean predictor's (dotted: before)")
    axes.legend(fontsize="small")
    axes.grid(linewidth=0.3)
    figure.savefig(path, format="png", metadata={"Software": None})
