"""What few labels are worth, as tables, JSON, CSV and a learning curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from noisediag.benchmark.few_shot.data import PURE_KINDS, PURE_RANGE
from noisediag.benchmark.few_shot.result import (
    BOUND,
    COP,
    PARITY,
    SCHEMA,
    SCRATCH,
    TRAINED,
    VIT,
    ArmScore,
    FewShotResult,
    Row,
)
from noisediag.genome import paper
from noisediag.genome.cases import LAW_TEXT
from noisediag.reports import figures, plots
from noisediag.reports.charts import COLOURS
from noisediag.reports.figures import decimal, number_table, percent

STYLES = {COP: (COLOURS[0], "o", "-"), SCRATCH: (COLOURS[1], "s", "--"), VIT: (COLOURS[2], "^", ":")}
SHORT = tuple(name[:4] for name in paper.NAMES)
NAN = float("nan")


def render(result: FewShotResult) -> Group:
    """The arms, what they lie between, and the probes."""
    options = result.options
    title = (
        f"few shots, genome paper ({LAW_TEXT['paper']}), {result.domains} domains, {result.pictures} pictures "
        f"({options.split} files, {options.draws} draws, seed {options.seed}), encoder {result.checkpoint.name}"
    )
    lines: list[Text | Table] = [Text(title + "\n", style="bold"), _main_table(result)]
    lines.append(Text("\n" + "\n".join(_notes(result))))
    lines.append(_outputs_table("R2 of each output", result.rows, lambda row: row.per_output, 2))
    lines.append(_outputs_table("RMSE of each output", result.rows, lambda row: row.rmse_per_output, 3))
    if result.kinds:
        lines += _kinds(result)
    lines += [Text(verdict) for verdict in ("", *_verdicts(result))]
    probe = result.probe
    lines.append(
        Text(
            f"\nlinear probes of the embedding, on unseen files: domain {percent(probe.domain_accuracy)} % right (the "
            f"most frequent one: {percent(probe.domain_chance)} %), noise R2 {decimal(probe.noise_r2, 3)}"
        )
    )
    if result.missing:
        lines.append(Text(f"not run: {', '.join(result.missing)}"))
    return Group(*lines)


def _main_table(result: FewShotResult) -> Table:
    table = number_table(
        "", "arm", "n", "R2", "+-", "RMSE", "MAE", f"{result.domains}: R2", "RMSE", "MAE", "in 90", "kind"
    )
    table.title = None
    for row in result.rows:
        table.add_row(
            row.arm + ("*" if row.void else ""),
            str(row.seeds) if row.labels else "",
            decimal(row.r2, 3),
            "" if row.r2_spread is None else decimal(row.r2_spread, 3),
            decimal(row.rmse, 4),
            _number(row.mae),
            decimal(row.domain_r2, 3),
            decimal(row.domain_rmse, 4),
            _number(row.domain_mae),
            _percent(row.coverage),
            _percent(row.dominant),
        )
    return table


def _number(value: float | None) -> str:
    return "" if value is None else decimal(value, 4)


def _percent(value: float | None) -> str:
    return "" if value is None else percent(value, 1)


def _notes(result: FewShotResult) -> list[str]:
    left = sorted(f"{name} in {r.arm} ({sets} of {r.seeds})" for r in result.rows for name, sets in r.left_out.items())
    spreads = (
        "n: sets of labels, or seeds; +-: standard deviation over them. R2, RMSE, MAE: pooled over pictures and "
        f"outputs, R2 against the global mean; {result.domains}: the mean of the domains, each alone, as published. in "
        "90: % of truths inside the 90 % intervals. kind: % of pictures whose strongest kind (of six) has the largest "
        "strength read."
    )
    learned = (
        f"{COP}: 16-bit files, labels without units, learned as finetune does; an output that is left out counts as "
        f"the mean of its labels{': ' + ', '.join(left) if left else ''}. A format behind the labels is that of all "
        "files, /16 that of the labelled ones alone."
    )
    free = (
        "label-free: no strength is in the encoder's loss; it learns which noises are steps from one another, and what "
        "a picture's noise looks like over a chart, as a simulator arranges it that knows the strengths."
    )
    return [spreads, learned, free, f"{BOUND}: van Trees, the clean picture known, values read pixel by pixel."]


def _outputs_table(title: str, rows: Sequence[Row], values: Callable[[Row], Sequence[float]], digits: int) -> Table:
    table = number_table(f"\n{title}", "arm", *SHORT)
    for row in rows:
        table.add_row(row.arm, *(decimal(value, digits) for value in values(row)))
    return table


def _kinds(result: FewShotResult) -> Iterator[Text | Table]:
    table = number_table("\nkind of noise, from words", "arm", "n", "right %", "+-", "most frequent %")
    for row in result.kinds:
        spread = "" if row.right_spread is None else percent(row.right_spread)
        table.add_row(row.arm, str(row.seeds), percent(row.right), spread, percent(row.most_frequent))
    yield table
    low, high = PURE_RANGE
    yield Text(
        f"dominant: the strongest of six, on the pictures above. pure: {', '.join(PURE_KINDS)}, each as likely, alone "
        f"with a strength uniform in {low:g}-{high:g}."
    )


def _verdicts(result: FewShotResult) -> list[str]:
    rows = {row.arm: row for row in result.rows}
    few, many, same = (rows.get(arm) for arm in (f"{COP}-100", f"{SCRATCH}-100000", f"{SCRATCH}-100"))
    found = []
    if few is not None:
        found.append(f"parity with the paper (100 labels, R2 >= {PARITY}): {'yes' if few.r2 >= PARITY else 'no'}")
    if few is not None and same is not None:
        found.append(f"100 labels: RMSE {100 * (1 - few.rmse / same.rmse):.1f} % below the same network from scratch")
    if many is not None and many.void:
        found.append(f"* {SCRATCH}-100000 is below R2 {TRAINED}: under-trained, so it compares nothing")
    elif few is not None and many is not None:
        answer = "yes" if few.r2 > many.r2 else "no"
        found.append(f"100 labels beat 100,000 from scratch: {answer} ({decimal(few.r2, 3)}, {decimal(many.r2, 3)})")
    return found


def dumps(result: FewShotResult) -> str:
    """The result as JSON text."""
    return figures.dumps_json(figures.document(SCHEMA, result))


@dataclass(frozen=True)
class _Flat:
    arm: str
    labels: int
    seed: int
    r2: float
    rmse: float
    r2_gaussian: float
    r2_salt_pepper: float
    r2_poisson: float
    r2_quantization: float
    r2_anisotropic: float
    r2_normal: float
    mae: float | None
    domain_r2: float
    domain_rmse: float
    domain_mae: float | None
    rmse_gaussian: float
    rmse_salt_pepper: float
    rmse_poisson: float
    rmse_quantization: float
    rmse_anisotropic: float
    rmse_normal: float
    coverage: float | None
    interval_width: float | None
    dominant: float | None
    left_out: str


def dumps_csv(result: FewShotResult) -> str:
    """One row an arm of strengths and seed; arms of words stand in the JSON alone."""
    return figures.dumps_rows(_Flat, [_flat(one) for one in result.scores])


def _flat(one: ArmScore) -> _Flat:
    of_outputs = {
        f"{kind}_{name}": value
        for kind, values in (("r2", one.per_output), ("rmse", one.rmse_per_output))
        for name, value in zip(paper.NAMES, values, strict=True)
    }
    rest = figures.values_of(one)
    same = {entry.name: rest[entry.name] for entry in fields(_Flat) if entry.name in rest}
    return _Flat(**{**same, **of_outputs, "left_out": " ".join(one.left_out)})


def draw(result: FewShotResult, path: Path) -> None:
    """Write R2 against the number of labels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for arms, (colour, marker, line) in STYLES.items():
        rows = [row for row in result.rows if row.arm.startswith(f"{arms}-") and row.labels and " " not in row.arm]
        if rows:
            spread = [row.r2_spread or 0.0 for row in rows]
            labels = [float(row.labels or 0) for row in rows]
            axes.errorbar(
                labels, [row.r2 for row in rows], spread, c=colour, marker=marker, ls=line, capsize=3, label=arms
            )
    for row in result.rows:
        if not row.labels:
            axes.axhline(row.r2, color="grey", linewidth=0.8, linestyle="-.")
            axes.annotate(row.arm, (0.99, row.r2), xycoords=("axes fraction", "data"), ha="right", va="bottom", size=7)
    axes.axhline(PARITY, color="black", linewidth=0.8)
    axes.annotate("the paper, 100 labels", (0.01, PARITY), xycoords=("axes fraction", "data"), va="bottom", size=7)
    axes.set_xscale("log")
    axes.set_ylim(-0.1, 1.05)
    axes.set_xlabel("labels")
    axes.set_ylabel("pooled R2 on unseen domains")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
    axes.grid(linewidth=0.3)
    plots.save(figure, path)
