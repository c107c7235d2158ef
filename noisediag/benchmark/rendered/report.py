"""The result for people (80 columns) and for programs (JSON `noisediag.rendered-benchmark/1`, CSV)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from noisediag.benchmark.rendered.result import RenderedResult, RenderedRow
from noisediag.benchmark.running import MODEL
from noisediag.benchmark.sets.result import POOLED
from noisediag.reports import figures
from noisediag.reports.figures import decimal, number_table, percent

SCHEMA = "noisediag.rendered-benchmark/1"


def render(result: RenderedResult) -> Group:
    """Tables by group, no wider than 80 columns."""
    parts: list[RenderableType] = [_heading(result)]
    for name in result.groups:
        rows = [row for row in result.rows if row.set_name == name]
        parts.append(_pooled_table(name, [row for row in rows if row.domain == POOLED]))
        of_model = [row for row in rows if row.method == MODEL]
        parts += [_domain_table(name, of_model)] if of_model else []
    parts += [table for table in (_flag_table(result), _quality_table(result)) if table.rows]
    return Group(*parts, *(Text(f"note: {note}") for note in result.notes))


def _heading(result: RenderedResult) -> Text:
    source = "procedural scenes" if result.options.data is None else f"{result.options.split} files"
    lines = [f"{result.cases} photographs by simulated cameras, {source}, seed {result.options.seed}"]
    if result.checkpoint is not None:
        lines.append(f"checkpoint {result.checkpoint.name} ({result.checkpoint.sha256[:12]})")
    lines += [f"{name}: {text}" for name, text in result.groups.items()]
    return Text("\n".join(lines))


def _pooled_table(name: str, rows: Sequence[RenderedRow]) -> Table:
    table = number_table(f"\n{name}: curve error of planes", "method", "n", "median %", "p90 %", "> 50 %", "out %")
    for row in rows:
        label = f"{row.method}, apart" if row.apart else row.method
        table.add_row(label, str(row.n), *(percent(v) for v in (row.median, row.p90, row.off, row.left_out)))
    return table


def _domain_table(name: str, rows: Sequence[RenderedRow]) -> Table:
    table = number_table(
        f"\n{name}: {MODEL} by domain", "domain", "n", "med %", "p90 %", "90 %", "width", "lag", "RGB", "areas"
    )
    for row in rows:
        lag = max(row.lag_h, row.lag_v) if not math.isnan(row.lag_h) else math.nan
        table.add_row(
            f"{row.domain}, apart" if row.apart else row.domain,
            str(row.n),
            *(percent(v) for v in (row.median, row.p90, row.covered)),
            *(decimal(v, 3) for v in (row.width, lag, row.channels, row.areas)),
        )
    return table


def _flag_table(result: RenderedResult) -> Table:
    table = number_table("\nflags", "cameras, flag", "with", "without", "AUC", "found %", "alarms %")
    for row in result.flags:
        shares = (decimal(row.auc, 3), percent(row.hits), percent(row.alarms))
        table.add_row(f"{row.set_name}, {row.flag}", str(row.positives), str(row.negatives), *shares)
    return table


def _quality_table(result: RenderedResult) -> Table:
    table = number_table("\nJPEG quality from pixels", "cameras", "n", "told %", "median error", "others", "alarms %")
    for row in result.quality:
        median = decimal(row.median, 1)
        table.add_row(row.set_name, str(row.n), percent(row.answered), median, str(row.negatives), percent(row.alarms))
    return table


def dumps(result: RenderedResult) -> str:
    """The result as JSON text."""
    return figures.dumps_json(figures.document(SCHEMA, result))


def dumps_csv(result: RenderedResult) -> str:
    """The rows as CSV."""
    return figures.dumps_rows(RenderedRow, result.rows)
