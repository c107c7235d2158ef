"""How the studies' figures are written: tables of 80 columns, JSON and CSV without NaN, 6 significant digits."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from noisediag import __version__
from noisediag.reports.csv import safe_text

SIGNIFICANT = 6
WITHOUT = frozenset({"workers", "checkpoint", "device", "keep", "verbose"})  # of the options: they change no figure
_KEYS = {"set_name": "set"}  # `set` is a builtin, and so no name of a field


def values_of(row: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, not copied."""
    return {entry.name: getattr(row, entry.name) for entry in fields(row)}


def plain(value: Any) -> Any:
    """`value` in JSON's own types: null for what is unknown or unbounded, 6 significant digits."""
    if is_dataclass(value):
        return {_KEYS.get(key, key): plain(entry) for key, entry in values_of(value).items()}
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT}g}") if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def document(schema: str, result: Any) -> dict[str, Any]:
    """A result, a dataclass with `options`, as plain objects under its schema's name."""
    body = plain(result)
    options = {key: value for key, value in body.pop("options").items() if key not in WITHOUT}
    return {"schema": schema, "noisediag": __version__, "options": options, **body}


def dumps_json(document_: Mapping[str, Any]) -> str:
    """A document as UTF-8 text with one line at the end."""
    return json.dumps(document_, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def dumps_rows(row_type: type, rows: Sequence[Any]) -> str:
    """Dataclasses of one type as CSV, a row each, a column a field; an empty cell is unknown or unbounded."""
    columns = [_KEYS.get(entry.name, entry.name) for entry in fields(row_type)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in plain(row).items()} for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    return "" if value is None else safe_text(value) if isinstance(value, str) else value


def number_table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are right-aligned numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def percent(value: float, digits: int = 1) -> str:
    """A share as a number of percent; `-` where it is unknown."""
    return decimal(100 * value, digits)


def decimal(value: float, digits: int = 2) -> str:
    """A number; `-` where it is unknown."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
