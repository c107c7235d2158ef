"""The benchmark's result for people (80 columns) and for programs (JSON `noisediag.benchmark/1`, CSV)."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from noisediag import __version__
from noisediag.studies.benchmark import (
    MEAN,
    MODEL,
    POOLED,
    RANDOMISED,
    BenchmarkResult,
    CurveRow,
    ParameterRow,
)

SCHEMA = "noisediag.benchmark/1"
SIGNIFICANT = 6
CSV_COLUMNS = ("table", "set", "domain", "method", "parameter", "apart", "n", "metric", "value")
_KEYS = {"set_name": "set", "what": "parameter", "output": "parameter"}  # names in CSV
_TABLES = ("curves", "parameters", "presence", "alarms", "coverage", "flat", "paper")
_WITHOUT = frozenset({"workers", "checkpoint", "device"})  # of the options: they change no figure


def render(result: BenchmarkResult) -> Group:
    """Tables, no wider than 80 columns; a figure that does not exist is `-`, one without bound `inf`."""
    parts: list[RenderableType] = [_heading(result)]
    if result.paper:
        parts += [_paper_table(result), _paper_domains(result)]
    for name in result.laws:
        if any(row.set_name == name for row in result.curves):
            parts += [Text(f"\n{name}: {result.laws[name]}"), _curve_table(result, name), _domain_table(result, name)]
            parts += [_parameter_table(result, name), *_coverage_lines(result, name)]
    if result.flat:
        parts.append(_flat_table(result))
    if result.alarms:
        parts.append(_alarm_table(result))
    parts += [Text(f"note: {note}") for note in result.notes]
    return Group(*parts)


def document(result: BenchmarkResult) -> dict[str, Any]:
    """The result as plain objects: `set` for `set_name`, null for what is unknown or unbounded, 6 significant
    digits.
    """
    body = _plain(result)
    options = {key: value for key, value in body.pop("options").items() if key not in _WITHOUT}
    return {"schema": SCHEMA, "noisediag": __version__, "options": options, **body}


def dumps(result: BenchmarkResult) -> str:
    """The document as UTF-8 text with one line at the end."""
    return json.dumps(document(result), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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
            flat = {_KEYS.get(key, key): value for key, value in _fields(row).items()}
            cover = flat.pop("coverage", None)
            if is_dataclass(cover):
                of = _fields(cover)
                flat |= {"coverage": of["share"], "coverage_low": of["low"], "coverage_high": of["high"], "n": of["n"]}
            elif cover is not None:
                flat["coverage"] = cover
            names = {key: flat.pop(key) for key in CSV_COLUMNS if key in flat}
            for metric, value in flat.items():
                plain = _plain(value)
                yield {"table": table, **names, "metric": metric, "value": "" if plain is None else plain}


def _fields(row: Any) -> dict[str, Any]:
    return {entry.name: getattr(row, entry.name) for entry in fields(row)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {"set" if key == "set_name" else key: _plain(entry) for key, entry in _fields(value).items()}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT}g}") if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


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


def _new(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are right-aligned numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _curve_table(result: BenchmarkResult, name: str) -> Table:
    table = _new("curve error", "method", "cases", "median %", "p90 %", ">50 % off", "left out %", "ms")
    for row in _ranked(result, name, apart=False):
        table.add_row(row.method, str(row.n), *_errors(row), _percent(row.left_out), f"{1000 * row.seconds:.0f}")
    for row in _ranked(result, name, apart=True):
        if row.method == MODEL:
            table.add_row("  near own noise", str(row.n), *_errors(row), _percent(row.left_out), "")
    return table


def _ranked(result: BenchmarkResult, name: str, *, apart: bool) -> list[CurveRow]:
    rows = [r for r in result.curves if r.set_name == name and r.domain == POOLED and r.apart == apart]
    return sorted(rows, key=lambda row: (row.method != MODEL, row.median))


def _domain_table(result: BenchmarkResult, name: str) -> Table:
    """The model and the best of the others, domain by domain."""
    others = [row.method for row in _ranked(result, name, apart=False) if row.method not in (MODEL, MEAN, RANDOMISED)]
    methods = [MODEL, *others[:1]]
    table = _new(f"by domain: {' | '.join(methods)}", "domain", "cases", *["median %", "p90 %", ">50 %"] * len(methods))
    at = {(r.method, r.domain): r for r in result.curves if r.set_name == name and not r.apart}
    for domain in sorted({domain for method, domain in at if method == MODEL} - {POOLED}):
        cells = [cell for m in methods for cell in (_errors(at[m, domain]) if (m, domain) in at else ("-",) * 3)]
        table.add_row(domain, str(at[MODEL, domain].n), *cells)
    return table


def _parameter_table(result: BenchmarkResult, name: str) -> Table:
    table = _new(
        "parameters: |log10| of model, encoder randomised, mean predictor",
        "parameter", "scored%", "answ.%", "model", "rand.", "mean", "R2", "cover%", "width", "AUC",
    )  # fmt: skip
    rows = {(r.method, r.parameter): r for r in result.parameters if r.set_name == name and not r.apart}
    auc = {r.parameter: r.auc for r in result.presence if r.set_name == name and r.method == MODEL}
    for row in (r for (method, _), r in rows.items() if method == MODEL):
        table.add_row(
            row.parameter.replace("_", " "),
            _percent(row.share_scored),
            _percent(row.answered),
            *(_log(rows.get((method, row.parameter))) for method in (MODEL, RANDOMISED, MEAN)),
            _decimal(row.r2),
            _percent(row.coverage),
            _decimal(row.width),
            _decimal(auc.get(row.parameter, math.nan), 3),
        )
    return table


def _coverage_lines(result: BenchmarkResult, name: str) -> Iterator[Text]:
    labels = {"parameters": "all scored parameters", "curve": "curve"}
    for row in result.coverage:
        if row.set_name == name and not row.apart and row.what in labels:
            c = row.coverage
            share = f"{_percent(c.share)} % (bootstrap {_percent(c.low)}-{_percent(c.high)})"
            width = f"median width {_decimal(row.width, 3)} decades"
            yield Text(f"90 % intervals, {labels[row.what]}: {share}, {width}")


def _flat_table(result: BenchmarkResult) -> Table:
    table = _new("flat pictures", "method", "cases", "bias %", "RMS %", "RMS / Cramer-Rao")
    for row in result.flat:
        table.add_row(row.method, str(row.n), f"{100 * row.bias:+.2f}", _percent(row.rms, 2), f"{row.over_bound:.1f}")
    return table


def _alarm_table(result: BenchmarkResult) -> Table:
    rows = [row for row in result.alarms if row.method == MODEL]
    domains = list(dict.fromkeys(row.domain for row in rows))
    names = list(dict.fromkeys(row.parameter for row in rows))
    short = {"shot_gain": "shot", "read_noise": "read", "multiplicative": "mult.", "quantisation": "quant.",
             "row_noise": "row", "column_noise": "column", "correlation": "corr."}  # fmt: skip
    table = _new("false alarms on clean pictures, %", "content", "n", *(short.get(name, name) for name in names))
    at = {(row.domain, row.parameter): row for row in rows}
    for domain in domains:
        shares = [_percent(at[domain, name].share) for name in names]
        table.add_row(domain, str(at[domain, names[0]].n), *shares)
    return table


def _paper_table(result: BenchmarkResult) -> Table:
    methods = list(dict.fromkeys(row.method for row in result.paper))
    table = _new(f"RMSE and R2: {' | '.join(methods)}", "output", *["RMSE", "R2"] * len(methods))
    at = {(row.method, row.output): row for row in result.paper if row.domain == POOLED}
    for output in dict.fromkeys(output for _, output in at):
        cells = [cell for m in methods for cell in (f"{at[m, output].rmse:.4f}", _decimal(at[m, output].r2, 3))]
        table.add_row(output, *cells)
    return table


def _paper_domains(result: BenchmarkResult) -> Table:
    table = _new("by domain", "domain", "cases", "RMSE", "R2")
    for row in result.paper:
        if row.method == MODEL and row.domain != POOLED:
            table.add_row(row.domain, str(row.n), f"{row.rmse:.4f}", _decimal(row.r2, 3))
    return table


def _errors(row: CurveRow) -> tuple[str, str, str]:
    return _percent(row.median), _percent(row.p90), _percent(row.off)


def _log(row: ParameterRow | None) -> str:
    return "-" if row is None else _decimal(row.median_log10, 3)


def _percent(value: float, digits: int = 1) -> str:
    return _decimal(100 * value, digits)


def _decimal(value: float, digits: int = 2) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
