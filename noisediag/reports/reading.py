"""Our own reports, read back: a row a file, the same from JSON, JSONL, CSV and Parquet.

Whatever is no report raises UnreadableError, one line with the file and the line (or the entry of `images`) in it.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Any

from noisediag.errors import TruncatedError, UnreadableError
from noisediag.genome.parameters import NAMES, PARAMETERS
from noisediag.reports import Failure
from noisediag.reports.csv import plain_text, tags_of, typed, value_columns
from noisediag.reports.writing import require

SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")

_NEEDED_COLUMNS = ("path", "status", "sigma_at_18pct_norm", *(value_columns(parameter)[0] for parameter in PARAMETERS))


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """One noise parameter that was found: value and interval in its declared unit, and the probability of presence."""

    value: float
    low: float | None
    high: float | None
    present: float | None


@dataclass(frozen=True, slots=True)
class FileRow:
    """The footprint of one file, that of its last plane, in a few numbers; sigmas and signals are normalised."""

    path: str
    domain: str
    tags: Mapping[str, Any]  # by ExifTool's names
    parameters: Mapping[str, ParameterRow] = field(default_factory=dict)  # by name; unknown ones are left out
    sigma_effective: float | None = None
    sigma_at_18pct: float | None = None
    signal_median: float | None = None
    sigma_at_median: float | None = None
    curve: tuple[tuple[float, float], ...] | None = None  # signal, sigma; None where the format has no curves
    sha256: str | None = None
    gain: float | None = None  # e-/DN
    read_noise_e: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JsonLine:
    """One line of a JSONL file, and where it stands in bytes."""

    number: int  # from 1
    offset: int
    length: int
    content: dict[str, Any]


def rows(report: Path) -> Iterator[FileRow | Failure]:
    """Every file of a report, in its order.

    Raises UnreadableError, also for an ending that is none of SUFFIXES, and UsageError where Parquet cannot be read.
    """
    if report.suffix in (".csv", ".parquet"):
        table = _csv_lines(report) if report.suffix == ".csv" else _parquet_lines(report)
        yield from _of_files(report, table)
    elif report.suffix in (".json", ".jsonl"):
        for place, image in _placed_images(report):
            with named(report, place):
                row = row_of(image)
            yield row
    else:
        raise UnreadableError(f"{report}: a report is needed: {', '.join(SUFFIXES)}")


def row_of(image: Mapping[str, Any]) -> FileRow | Failure:
    """The row of one of the `images` of `noisediag.report/1`. Raises LookupError or TypeError where it is none."""
    path = os.fsdecode(row_path(image))
    if image["status"] != "ok":
        return Failure(path, _text(image["error"], "code"), _text(image["error"], "message"))
    plane, derived, tags = image["planes"][-1], image["derived"], image["acquisition"]
    if not isinstance(tags, Mapping):
        raise TypeError("'acquisition' is no object")
    parameters = {}
    for entry in plane["parameters"]:
        name = entry["name"]
        value = _number(entry, "value") if name in NAMES else None  # the others are of a head of the user's own
        if value is not None:
            bounds = _number(entry, "low"), _number(entry, "high")
            parameters[name] = ParameterRow(value, *bounds, _number(entry, "present"))
    return FileRow(
        path=path,
        domain=_text(image, "domain"),
        tags=tags,
        parameters=parameters,
        sigma_effective=_number(derived, "sigma_effective"),
        sigma_at_18pct=_number(derived, "sigma_at_18pct"),
        signal_median=_number(derived, "signal_median"),
        sigma_at_median=_number(derived, "sigma_at_median"),
        curve=tuple((_known(point, "signal"), _known(point, "sigma")) for point in plane["curve"]),
        sha256=image.get("sha256"),
        gain=_number(derived.get("conversion_gain", {"value": None}), "value"),
        read_noise_e=_number(derived, "read_noise_e"),
        flags=_flags(image.get("flags", [])),
    )


def first_image(path: Path) -> dict[str, Any]:
    """The first picture of a report, `.json` or `.jsonl`, that was not an error; or a simulation's truth.

    Raises UnreadableError where there is none.
    """
    image = next((image for _, image in _placed_images(path) if image.get("status", "ok") == "ok"), None)
    if image is None:
        raise UnreadableError(f"{path}: is no noisediag report with an estimate in it")
    return image


def json_lines(path: Path) -> Iterator[JsonLine]:
    """The objects of a JSONL file, empty lines left out. Raises TruncatedError where the last one is cut off, too."""
    with opened(path) as file:
        number = offset = 0
        while True:
            number += 1
            with named(path):
                line = file.readline()
            if not line:
                return
            if line.strip():
                yield JsonLine(number, offset, len(line), _json_object(path, number, line))
            offset += len(line)


def opened(path: Path) -> BufferedReader:
    """The file at `path`, to be read. Raises UnreadableError, also for a pipe, which would wait for a writer."""
    with named(path):
        if path.exists() and not (path.is_file() or path.is_dir()):  # opening a folder says that it is one
            raise UnreadableError(f"{path}: is no file")
        return open(path, "rb")


def row_path(row: Mapping[str, Any]) -> bytes:
    """The path of a JSON row, as the system has it."""
    if "path_bytes" in row:
        return base64.b64decode(row["path_bytes"], validate=True)
    return os.fsencode(row["path"])


def _number(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry[key]
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return float(value)
    raise TypeError(f"{key!r} is no number")


def _known(entry: Mapping[str, Any], key: str) -> float:
    value = _number(entry, key)
    if value is None:
        raise TypeError(f"{key!r} is no number")
    return value


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str):
        raise TypeError(f"{key!r} is no text")
    return value


def _flags(given: object) -> tuple[str, ...]:
    if isinstance(given, list) and all(isinstance(flag, str) for flag in given):
        return tuple(given)
    raise TypeError("'flags' is no list of texts")


def _json_object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except RecursionError:
        raise _unreadable(path, f"line {number}", "nested too deeply") from None
    except ValueError as error:
        if not line.endswith(b"\n"):
            raise TruncatedError(f"{path}: line {number} is cut off") from None
        raise _unreadable(path, f"line {number}", f"no JSON, {error}") from None
    if not isinstance(content, dict):
        raise _unreadable(path, f"line {number}", "no JSON object")
    return content


def _placed_images(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The `images` of a .json report, or the object itself where it has none, or the lines of a .jsonl report."""
    if path.suffix == ".jsonl":
        lines = ((f"line {line.number}", line.content) for line in json_lines(path))
        yield from ((place, content) for place, content in lines if "status" in content or "part" not in content)
        return  # of a shard's part, the first line is no picture
    with named(path):
        with opened(path) as file:
            document = json.loads(file.read().decode("utf-8-sig"))
        if not isinstance(document, dict):
            raise TypeError("no JSON object")
        images = document.get("images", [document])
        for number, image in enumerate(images):
            if not isinstance(image, dict):
                raise TypeError(f"images[{number}] is no object")
    yield from ((f"images[{number}]", image) for number, image in enumerate(images))


def _of_files(report: Path, table: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[FileRow | Failure]:
    """The last line of each path is the file's own footprint."""
    for _, lines in itertools.groupby(table, lambda line: line[1]["path"]):
        *_, (place, cells) = lines
        with named(report, place):
            row = _row_of_cells(cells)
        yield row


def _row_of_cells(cells: Mapping[str, Any]) -> FileRow | Failure:
    path = plain_text(cells["path"])
    if cells["status"] != "ok":
        return Failure(path, cells.get("error_code") or "", plain_text(cells.get("error_message") or ""))
    parameters = {}
    for parameter in PARAMETERS:
        value, low, high = value_columns(parameter)[:3]
        if cells[value] is not None:
            present = cells.get(f"{parameter.name}_present")
            parameters[parameter.name] = ParameterRow(cells[value], cells.get(low), cells.get(high), present)
    return FileRow(
        path=path,
        domain=cells.get("domain") or "",
        tags=tags_of(cells),
        parameters=parameters,
        sigma_effective=cells.get("sigma_effective_norm"),
        sigma_at_18pct=cells["sigma_at_18pct_norm"],
        signal_median=cells.get("signal_median_norm"),
        sigma_at_median=cells.get("sigma_at_median_norm"),
        sha256=cells.get("sha256"),
        gain=cells.get("gain_e_per_dn"),
        read_noise_e=cells.get("read_noise_e"),
        flags=tuple(filter(None, (cells.get("flags") or "").split(";"))),
    )


def _csv_lines(report: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with TextIOWrapper(opened(report), encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file, strict=True)
        with named(report, "line 1"):
            _check_columns(lines.fieldnames or ())
        while True:
            with named(report, f"after line {lines.line_num}"):
                cells = next(lines, None)
                if cells is None:
                    return
                if None in cells or None in cells.values():
                    raise ValueError("another number of cells than in the first line")
            yield f"line {lines.line_num}", typed(cells)


def _parquet_lines(report: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    require(".parquet")
    from pyarrow import parquet

    with opened(report) as source:
        with named(report):
            file = parquet.ParquetFile(source)
            _check_columns(file.schema_arrow.names)
        batches = file.iter_batches()
        numbers = itertools.count(1)
        while True:
            with named(report):
                batch = next(batches, None)
            if batch is None:
                return
            yield from ((f"row {number}", cells) for cells, number in zip(batch.to_pylist(), numbers, strict=False))


def _check_columns(names: Iterable[str]) -> None:
    known = set(names)
    missing = [column for column in _NEEDED_COLUMNS if column not in known]
    if missing:
        raise LookupError(f"the column {missing[0]} is missing")


@contextlib.contextmanager
def named(path: Path, place: str = "") -> Iterator[None]:
    """Turn what cannot be read, or is no row, into an UnreadableError with the file and the place in it."""
    try:
        yield
    except FileNotFoundError:
        raise UnreadableError(f"{path}: no such file") from None
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror or error}") from None
    except RecursionError:
        raise _unreadable(path, place, "nested too deeply") from None
    except (ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise _unreadable(path, place, reason) from None


def _unreadable(path: Path, place: str, reason: str) -> UnreadableError:
    return UnreadableError(f"{path}: is no noisediag report: {place}{': ' if place else ''}{reason}")
