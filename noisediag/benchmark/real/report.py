"""The result for people (80 columns) and for programs (JSON `noisediag.real/1`, CSV)."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.text import Text

from noisediag.benchmark.real import pairs
from noisediag.benchmark.real.pairs import PairReading
from noisediag.benchmark.real.result import RealReading, RealResult
from noisediag.benchmark.running import MODEL
from noisediag.reports import figures
from noisediag.reports.figures import number_table, percent

SCHEMA = "noisediag.real/1"
SHORT = {"scikit-image": "skimage"}  # names for narrow columns


def render(result: RealResult) -> Group:
    """Tables by set, no wider than 80 columns."""
    read = result.files - result.failed
    lines = [f"real files of measured noise, {read} of {result.files} in {result.options.folder}"]
    if result.checkpoint is not None:
        lines.append(f"checkpoint {result.checkpoint.name} ({result.checkpoint.sha256[:12]})")
    table = number_table("|ln(sigma/true)|", "set", "n", "median %", "worst %", "ratio")
    table.add_column("of")
    for row in (row for row in result.sets if row.method == MODEL):
        ratio = figures.decimal(row.worst_ratio, 3)
        table.add_row(
            row.set_name, str(row.n), percent(row.median_abs_ln), percent(row.worst_abs_ln), ratio, row.worst_file
        )
    parts: list[RenderableType] = [Text("\n".join(lines)), *([table] if table.rows else [])]
    methods = list(dict.fromkeys(row.method for row in result.sets))
    if len(methods) > 1:
        beside = number_table("\nmedian %, beside classical estimators", "set", *(SHORT.get(m, m) for m in methods))
        at = {(row.set_name, row.method): row.median_abs_ln for row in result.sets}
        for name in dict.fromkeys(row.set_name for row in result.sets):
            beside.add_row(name, *(percent(at.get((name, method), math.nan)) for method in methods))
        parts.append(beside)
    parts += pairs.tables(result.pairs)
    for gain in result.gains:
        verdict = "not identifiable, as it must" if gain.gain_null else "given, though these frames cannot tell it"
        parts.append(Text(f"{gain.set_name}/{gain.file}: gain {verdict}"))
    return Group(*parts, *(Text(f"note: {note}") for note in result.notes))


def dumps(result: RealResult) -> str:
    """The result as JSON text."""
    return figures.dumps_json(figures.document(SCHEMA, result))


def dumps_csv(result: RealResult) -> str:
    """The readings as CSV, those of pairs among them: each of their channels is a part."""
    return figures.dumps_rows(RealReading, (*result.readings, *map(_as_reading, result.pair_readings)))


def _as_reading(pair: PairReading) -> RealReading:
    ratio = pair.sigma_est_dn / pair.sigma_true_dn
    return RealReading(
        set_name=pair.set_name,
        file=pair.file,
        part=pair.channel,
        method=pair.method,
        mean_dn=pair.mean_dn,
        sigma_true_dn=pair.sigma_true_dn,
        sigma_est_dn=pair.sigma_est_dn,
        ratio=ratio,
        ln_ratio=math.log(ratio) if ratio > 0 else -math.inf,
        curve_error=pair.curve_error,
        left_out=pair.left_out,
    )
