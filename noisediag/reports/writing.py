"""Reports of any length, written a file at a time: JSONL, CSV and Parquet (extra `parquet`)."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from noisediag.errors import UsageError
from noisediag.reports import files
from noisediag.reports.csv import COLUMNS, TEXT_COLUMNS, WHOLE_COLUMNS, Cell, header, lines, native

SUFFIXES = (".jsonl", ".csv", ".parquet")
Write = Callable[[Mapping[str, Any], Sequence[Sequence[Cell]]], None]  # (JSON row of a file, its cells)
_GROUP_ROWS = 20_000  # of Parquet


def require(suffix: str) -> None:
    """Raise UsageError where files with this ending cannot be written here."""
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UsageError("Parquet needs pyarrow: pip install 'noisediag[parquet]'")


def opened(path: Path, suffix: str) -> AbstractContextManager[Write]:
    """A new report at `path`, in the format of `suffix`, and what adds a file to it."""
    return {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}[suffix](path)


def json_line(row: Mapping[str, Any]) -> bytes:
    """A line of a JSONL report."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"


@contextmanager
def _jsonl(path: Path) -> Iterator[Write]:
    with files.create(path) as file:

        def write(row: Mapping[str, Any], _: Sequence[Sequence[Cell]]) -> None:
            file.write(json_line(row))

        yield write


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with files.create(path) as file:
        file.write(header().encode())

        def write(_: Mapping[str, Any], cells: Sequence[Sequence[Cell]]) -> None:
            file.write(lines(cells).encode())

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
    held: list[list[Cell]] = []
    with files.create(path) as file, parquet.ParquetWriter(file, schema) as writer:

        def flush() -> None:
            columns = [list(column) for column in zip(*held, strict=True)] if held else [[] for _ in COLUMNS]
            arrays = [pyarrow.array(values, kinds[name]) for name, values in zip(COLUMNS, columns, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            held.clear()

        def write(_: Mapping[str, Any], cells: Sequence[Sequence[Cell]]) -> None:
            held.extend([native(name, cell) for name, cell in zip(COLUMNS, line, strict=True)] for line in cells)
            if len(held) >= _GROUP_ROWS:
                flush()

        yield write
        flush()
