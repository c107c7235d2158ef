"""The benchmark's result for people (80 columns) and for programs (JSON `noisediag.benchmark/1`, CSV)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from noisediag.benchmark.running import MODEL, RANDOMISED
from noisediag.benchmark.sets.result import MEAN, POOLED, BenchmarkResult, CurveRow, ParameterRow
from noisediag.reports.figures import decimal, document, dumps_json, number_table, percent, plain, values_of

SCHEMA = "noisediag.benchmark/1"
CSV_COLUMNS = ("table", "set", "domain", "method", "parameter", "apart", "n", "metric", "value")
_KEYS = {"set_name": "set", "what": "parameter", "output": "parameter"}  # names in CSV
_TABLES = ("curves", "parameters", "dark", "presence", "alarms", "coverage", "flat", "paper")


def render(result: BenchmarkResult) -> Group:
    """Tables, no wider than 80 columns; a figure that does not exist is `-`, one without bound `inf`."""
    parts: list[RenderableType] = [_heading(result)]
    if result.paper:
        parts += [_paper_table(result), _paper_domains(result)]
    for name in result.laws:
        if any(row.set_name == name for row in result.curves):
            parts += [Text(f"\n{name}: {result.laws[name]}"), _curve_table(result, name), _domain_table(result, name)]
            parts += [_parameter_table(result, name), *_dark_lines(result, name), *_coverage_lines(result, name)]
    if result.flat:
        parts.append(_flat_table(result))
    if result.alarms:
        parts.append(_alarm_table(result))
    parts += [Text(f"note: {note}") for note in result.notes]
    return Group(*parts)


def dumps(result: BenchmarkResult) -> str:
    """The result as UTF-8 text, `set` for `set_name`, with one line at the end."""
    return dumps_json(document(SCHEMA, result))


def dumps_csv(result: BenchmarkResult) -> str:
    """One figure a row, in the columns `CSV_COLUMNS`; an empty value is unknown or unbounded."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_figures(result))
    return stream.getvalue()


def _figures(result: BenchmarkResult) -> Iterator[dict[str, Any]]:
    for table in _TABLES:
        for row in getattr(result, table):
            flat = {_KEYS.get(key, key): value for key, value in values_of(row).items()}
            cover = flat.pop("coverage", None)
            if is_dataclass(cover):
                of = values_of(cover)
                flat |= {"coverage": of["share"], "coverage_low": of["low"], "coverage_high": of["high"], "n": of["n"]}
            elif cover is not None:
                flat["coverage"] = cover
            names = {key: flat.pop(key) for key in CSV_COLUMNS if key in flat}
            for metric, value in flat.items():
                figure = plain(value)
                yield {"table": table, **names, "metric": metric, "value": "" if figure is None else figure}


def _heading(result: BenchmarkResult) -> Text:
    options = result.options
    lines = [f"genome {options.genome}, {result.cases} cases, seed {options.seed}, {options.split} files"]
    if options.data is not None:
        lines[0] += f" of {options.data}"
    if result.checkpoint is not None:
        lines.append(f"checkpoint {result.checkpoint.name} ({result.checkpoint.sha256[:12]})")
    if result.paper:
        lines.append(f"strengths: {result.laws['paper']}")
    return Text("\n".join(lines))


def _curve_table(result: BenchmarkResult, name: str) -> Table:
    table = number_table("curve error", "method", "cases", "median %", "p90 %", ">50 % off", ">2x %", "out %", "ms")
    for row in _ranked(result, name, apart=False):
        table.add_row(row.method, str(row.n), *_errors(row), *_rest(row), f"{1000 * row.seconds:.0f}")
    for row in _ranked(result, name, apart=True):
        if row.method == MODEL:
            table.add_row("  near own noise", str(row.n), *_errors(row), *_rest(row), "")
    return table


def _ranked(result: BenchmarkResult, name: str, *, apart: bool) -> list[CurveRow]:
    rows = [r for r in result.curves if r.set_name == name and r.domain == POOLED and r.apart == apart]
    return sorted(rows, key=lambda row: (row.method != MODEL, row.median))


def _domain_table(result: BenchmarkResult, name: str) -> Table:
    """The model and the best of the others, domain by domain."""
    others = [row.method for row in _ranked(result, name, apart=False) if row.method not in (MODEL, MEAN, RANDOMISED)]
    methods = [MODEL, *others[:1]]
    table = number_table(
        f"by domain: {' | '.join(methods)}", "domain", "cases", *["median %", "p90 %", ">50 %"] * len(methods)
    )
    at = {(r.method, r.domain): r for r in result.curves if r.set_name == name and not r.apart}
    for domain in sorted({domain for method, domain in at if method == MODEL} - {POOLED}):
        cells = [cell for m in methods for cell in (_errors(at[m, domain]) if (m, domain) in at else ("-",) * 3)]
        table.add_row(domain, str(at[MODEL, domain].n), *cells)
    return table


def _parameter_table(result: BenchmarkResult, name: str) -> Table:
    table = number_table(
        "parameters: |log10| of model, encoder randomised, mean predictor",
        "parameter", "scored%", "answ.%", "model", "rand.", "mean", "R2", "cover%", "width", "AUC",
    )  # fmt: skip
    rows = {(r.method, r.parameter): r for r in result.parameters if r.set_name == name and not r.apart}
    auc = {r.parameter: r.auc for r in result.presence if r.set_name == name and r.method == MODEL}
    for row in (r for (method, _), r in rows.items() if method == MODEL):
        table.add_row(
            row.parameter.replace("_", " "),
            percent(row.share_scored),
            percent(row.answered),
            *(_log(rows.get((method, row.parameter))) for method in (MODEL, RANDOMISED, MEAN)),
            decimal(row.r2),
            percent(row.coverage),
            decimal(row.width),
            decimal(auc.get(row.parameter, math.nan), 3),
        )
    return table


def _dark_lines(result: BenchmarkResult, name: str) -> Iterator[Text]:
    for row in result.dark:
        if row.set_name == name and row.method == MODEL:
            answered = f"{row.n} cases, {percent(row.answered)} % answered"
            yield Text(f"5 % of the pixels dark: {row.parameter} off by {percent(row.median_relative)} % ({answered})")


def _coverage_lines(result: BenchmarkResult, name: str) -> Iterator[Text]:
    labels = {"parameters": "all scored parameters", "curve": "curve"}
    for row in result.coverage:
        if row.set_name == name and not row.apart and row.what in labels:
            c = row.coverage
            share = f"{percent(c.share)} % (bootstrap {percent(c.low)}-{percent(c.high)})"
            width = f"median width {decimal(row.width, 3)} decades"
            yield Text(f"90 % intervals, {labels[row.what]}: {share}, {width}")


def _flat_table(result: BenchmarkResult) -> Table:
    table = number_table("flat pictures", "method", "cases", "bias %", "RMS %", "RMS / Cramer-Rao")
    for row in result.flat:
        table.add_row(row.method, str(row.n), f"{100 * row.bias:+.2f}", percent(row.rms, 2), f"{row.over_bound:.1f}")
    return table


def _alarm_table(result: BenchmarkResult) -> Table:
    rows = [row for row in result.alarms if row.method == MODEL]
    domains = list(dict.fromkeys(row.domain for row in rows))
    names = list(dict.fromkeys(row.parameter for row in rows))
    short = {"shot_gain": "shot", "read_noise": "read", "multiplicative": "mult.", "quantisation": "quant.",
             "row_noise": "row", "column_noise": "column", "correlation": "corr."}  # fmt: skip
    table = number_table(
        "false alarms on clean pictures, %", "content", "n", *(short.get(name, name) for name in names)
    )
    at = {(row.domain, row.parameter): row for row in rows}
    for domain in domains:
        shares = [percent(at[domain, name].share) for name in names]
        table.add_row(domain, str(at[domain, names[0]].n), *shares)
    return table


def _paper_table(result: BenchmarkResult) -> Table:
    methods = list(dict.fromkeys(row.method for row in result.paper))
    table = number_table(f"RMSE and R2: {' | '.join(methods)}", "output", *["RMSE", "R2"] * len(methods))
    at = {(row.method, row.output): row for row in result.paper if row.domain == POOLED}
    for output in dict.fromkeys(output for _, output in at):
        cells = [cell for m in methods for cell in (f"{at[m, output].rmse:.4f}", decimal(at[m, output].r2, 3))]
        table.add_row(output, *cells)
    return table


def _paper_domains(result: BenchmarkResult) -> Table:
    table = number_table("by domain", "domain", "cases", "RMSE", "R2")
    for row in result.paper:
        if row.method == MODEL and row.domain != POOLED:
            table.add_row(row.domain, str(row.n), f"{row.rmse:.4f}", decimal(row.r2, 3))
    return table


def _errors(row: CurveRow) -> tuple[str, str, str]:
    return percent(row.median), percent(row.p90), percent(row.off)


def _rest(row: CurveRow) -> tuple[str, str]:
    return percent(row.twice), percent(row.left_out)


def _log(row: ParameterRow | None) -> str:
    return "-" if row is None else decimal(row.median_log10, 3)
