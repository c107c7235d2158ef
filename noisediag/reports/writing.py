"""Reports of any length, written a file at a time: JSONL, CSV and Parquet (extra `parquet`)."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from noisediag.errors import UsageError
from noisediag.reports.csv import COLUMNS, TEXT_COLUMNS, WHOLE_COLUMNS, header, typed

SUFFIXES = (".jsonl", ".csv", ".parquet")
Write = Callable[[Mapping[str, Any], str], None]  # (JSON row of a file, its lines of CSV)
_GROUP_ROWS = 20_000  # of Parquet


def require(suffix: str) -> None:
    """Raise UsageError where files with this ending cannot be written here."""
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UsageError("Parquet needs pyarrow: pip install 'noisediag[parquet]'")


def opened(path: Path, suffix: str) -> AbstractContextManager[Write]:
    """A new report at `path`, in the format of `suffix`, and what adds a file to it."""
    return {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}[suffix](path)


@contextmanager
def _jsonl(path: Path) -> Iterator[Write]:
    with open(path, "w", encoding="utf-8", newline="") as file:

        def write(row: Mapping[str, Any], _: str) -> None:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")

        yield write


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(header())

        def write(_: Mapping[str, Any], lines: str) -> None:
            file.write(lines)

        yield write


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow
    from pyarrow import parquet

    kinds = {
        column: pyarrow.string()
        if column in TEXT_COLUMNS
        else pyarrow.int64()
        if column in WHOLE_COLUMNS
        else pyarrow.float64()
        for column in COLUMNS
    }
    schema = pyarrow.schema(list(kinds.items()))
    held: list[dict[str, Any]] = []
    with parquet.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pyarrow.Table.from_pylist(held, schema=schema))
            held.clear()

        def write(_: Mapping[str, Any], lines: str) -> None:
            held.extend(typed(line) for line in csv.DictReader(io.StringIO(lines, newline=""), COLUMNS))
            if len(held) >= _GROUP_ROWS:
                flush()

        yield write
        flush()
