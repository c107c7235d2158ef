"""What few labels are worth, as a table, JSON, CSV and a learning curve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from noisediag.benchmark.few_shot.run import COP, PARITY, SCHEMA, SCRATCH, TRAINED, VIT, FewShotResult
from noisediag.genome import paper
from noisediag.genome.cases import LAW_TEXT
from noisediag.reports import figures, plots
from noisediag.reports.figures import decimal, number_table, percent

STYLES = {COP: ("#0072b2", "o", "-"), SCRATCH: ("#d55e00", "s", "--"), VIT: ("#009e73", "^", ":")}
SHORT = tuple(name[:4] for name in paper.NAMES)


def render(result: FewShotResult) -> Group:
    """The arms, what they lie between, and the probes."""
    options = result.options
    title = (
        f"few shots, genome paper ({LAW_TEXT['paper']}), {result.domains} domains, {result.pictures} pictures "
        f"({options.split} files, {options.draws} draws, seed {options.seed}), encoder {result.checkpoint.name}"
    )
    probe = result.probe
    lines: list[Text | Table] = [Text(title + "\n", style="bold"), _table(result)]
    lines.append(Text("\nR2 pooled over pictures and outputs against the global mean; +-: over seeds."))
    lines += [Text(verdict) for verdict in _verdicts(result)]
    lines.append(
        Text(
            f"\nlinear probes of the embedding, on unseen files: domain {percent(probe.domain_accuracy)} % right (the "
            f"most frequent one: {percent(probe.domain_chance)} %), noise R2 {decimal(probe.noise_r2, 3)}"
        )
    )
    if result.missing:
        lines.append(Text(f"not run: {', '.join(result.missing)}"))
    return Group(*lines)


def _table(result: FewShotResult) -> Table:
    table = number_table("", "arm", "R2", "+-", "RMSE", *SHORT)
    table.title = None
    for row in result.rows:
        table.add_row(
            row.arm + (" (void)" if row.void else ""),
            decimal(row.r2, 3),
            "" if row.r2_spread is None else decimal(row.r2_spread, 3),
            decimal(row.rmse, 4),
            *(decimal(value) for value in row.per_output),
        )
    return table


def _verdicts(result: FewShotResult) -> list[str]:
    rows = {row.arm: row for row in result.rows}
    few, many, same = (rows.get(arm) for arm in (f"{COP}-100", f"{SCRATCH}-100000", f"{SCRATCH}-100"))
    found = []
    if few is not None:
        found.append(f"parity with the paper (100 labels, R2 >= {PARITY}): {'yes' if few.r2 >= PARITY else 'no'}")
    if few is not None and same is not None:
        found.append(f"100 labels: RMSE {100 * (1 - few.rmse / same.rmse):.1f} % below the same network from scratch")
    if many is not None and many.void:
        found.append(f"{SCRATCH}-100000 is below R2 {TRAINED}: under-trained, so it compares nothing")
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


def dumps_csv(result: FewShotResult) -> str:
    """One row an arm and seed."""
    flat = [_Flat(s.arm, s.labels, s.seed, s.r2, s.rmse, *s.per_output) for s in result.scores]
    return figures.dumps_rows(_Flat, flat)


def draw(result: FewShotResult, path: Path) -> None:
    """Write a plot: R2 against the number of labels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for kind, (colour, marker, line) in STYLES.items():
        rows = [row for row in result.rows if row.arm.startswith(f"{kind}-") and row.labels]
        if rows:
            spread = [row.r2_spread or 0.0 for row in rows]
            labels = [float(row.labels or 0) for row in rows]
            axes.errorbar(
                labels, [row.r2 for row in rows], spread, c=colour, marker=marker, ls=line, capsize=3, label=kind
            )
    for row in result.rows:
        if not row.labels:
            axes.axhline(row.r2, color="grey", linewidth=0.8, linestyle="-.")
            axes.annotate(row.arm, (0.99, row.r2), xycoords=("axes fraction", "data"), ha="right", va="bottom", size=7)
    axes.axhline(PARITY, color="black", linewidth=0.8)
    axes.annotate("the paper, 100 labels", (0.01, PARITY), xycoords=("axes fraction", "data"), va="bottom", size=7)
    axes.set_xscale("log")
    axes.set_ylim(-0.1, 1)
    axes.set_xlabel("labels")
    axes.set_ylabel("pooled R2 on unseen domains")
    axes.legend(fontsize="small")
    axes.grid(linewidth=0.3)
    plots.save(figure, path)
