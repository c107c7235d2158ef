"""Labels from a wide CSV: `path,<parameter>[unit],...`, any names, any subset; an empty cell is not known."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from noisediag import images
from noisediag.errors import MAX_NAME, InputError, UsageError, is_name
from noisediag.genome.parameters import NAMES, PARAMETERS, Parameter, parameter
from noisediag.images.metadata import exif
from noisediag.images.naming import found
from noisediag.labels import units
from noisediag.labels.table import LabelRow, LabelTable

PATH, GROUPS = "path", ("group", "acquisition")
CAPTURE = ("Make", "Model", "DateTimeOriginal")  # what tells one acquisition from another
_HEADER = re.compile(r"(?P<name>[^\[\]]+?)\s*(?:\[(?P<unit>[^\[\]]*)\])?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LARGEST = 1e30  # label: its square is a number, too
_MOST_COLUMNS, _MOST_ROWS = 1000, 1_000_000
_SHOWN = 60  # characters of a cell in a message
_UNIT_ALIASES = {"norm": "normalised", "normalized": "normalised", "per_e": "1/e-", "percent": "%"}


@dataclass(frozen=True)
class _Column:
    name: str
    place: int
    unit: str
    words: bool = False  # a class


@dataclass(frozen=True)
class _TableRow:
    number: int  # of the file's line, as editors and spreadsheets count
    path: Path
    cells: Sequence[str]


def read(path: Path) -> LabelTable:
    """The labels of `path`. Pictures are looked for beside it.

    A column is `name` or `name[unit]`; a known parameter's values are brought to its declared unit, where the unit is
    another one that fits: DN by the picture's own black and white, electrons by the row's shot gain, %. A column of
    words is a class. `group` (or `acquisition`) says which pictures belong together; without it that is the folder, and
    within a single folder what the metadata tell: camera and time, else each file is on its own.

    Raises UsageError, one line with the number of the row, where anything does not fit.
    """
    header, body = _content(path)
    columns, group_column = _columns(path, header)
    lines = [_table_row(path, number, cells, header) for number, cells in body]
    if not lines:
        raise UsageError(f"{path}: holds no row")
    rows_by_file: dict[Path, int] = {}
    for line in lines:
        first = rows_by_file.setdefault(line.path.resolve(), line.number)
        if first != line.number:
            raise UsageError(f"{path}: row {line.number}: {line.path} stands in row {first} already")
    columns = [_numbers_or_words(path, column, lines) for column in columns]
    groups = [line.cells[group_column].strip() for line in lines] if group_column is not None else _groups(lines)
    rows = []
    for line, group in zip(lines, groups, strict=True):
        if not group:
            raise UsageError(f"{path}: row {line.number}: names no {header[group_column or 0].strip()}")
        if group_column is not None and not is_name(group):
            raise UsageError(f"{path}: row {line.number}: {_cut(repr(group))} names no group")
        rows.append(LabelRow(line.path, _values(path, line, columns), group, line.number))
    of_names = {c.name: parameter(c.name).unit if c.name in NAMES else c.unit for c in columns}
    return LabelTable(tuple(c.name for c in columns), of_names, tuple(rows))


def _content(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and numbered lines; empty lines are passed over."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            lines = ((reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells))
            numbered = list(itertools.islice(lines, _MOST_ROWS + 2))
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: is no CSV in UTF-8 ({error})") from error
    if not numbered:
        raise UsageError(f"{path}: is empty")
    if len(numbered) > _MOST_ROWS + 1 or len(numbered[0][1]) > _MOST_COLUMNS:
        raise UsageError(f"{path}: more than {_MOST_ROWS} rows or {_MOST_COLUMNS} columns")
    return numbered[0][1], numbered[1:]


def _columns(path: Path, header: Sequence[str]) -> tuple[list[_Column], int | None]:
    """The columns of labels, and where the acquisition stands."""
    columns: list[_Column] = []
    group = None
    names = []
    for place, text in enumerate(header):
        match = _HEADER.fullmatch(text.strip())
        name, unit = ("", "") if match is None else (match["name"], (match["unit"] or "").strip())
        if not is_name(name) or not (unit == "" or is_name(unit)):
            told = "is no column name; wanted is name or name[unit]"
            raise UsageError(f"{path}: row 1: {_cut(repr(text))} {told}, printable, up to {MAX_NAME} characters")
        if name in names:
            raise UsageError(f"{path}: row 1: the column {name} stands there twice")
        names.append(name)
        if name in GROUPS:
            if group is not None:
                raise UsageError(f"{path}: row 1: {' and '.join(GROUPS)} are two names for one column")
            group = place
        elif name != PATH:
            columns.append(_Column(name, place, _UNIT_ALIASES.get(unit, unit)))
    if PATH not in names:
        raise UsageError(f"{path}: row 1: the column path is missing")
    if not columns:
        raise UsageError(f"{path}: row 1: there is no column to learn beside path")
    for column in columns:
        if column.name in NAMES:
            _check_unit(path, column, {c.name for c in columns})
        elif not units.is_known(column.unit):
            near = units.nearest(column.unit)
            raise UsageError(
                f"{path}: row 1: {column.name}: no unit is called {_cut(repr(column.unit))}; known are, among others, "
                f"{near}; [] or none for a number without"
            )
    return columns, group


def _table_row(path: Path, number: int, cells: list[str], header: Sequence[str]) -> _TableRow:
    if len(cells) != len(header):
        raise UsageError(f"{path}: row {number}: {len(cells)} cells, where the header has {len(header)}")
    place = next(i for i, text in enumerate(header) if text.strip() == PATH)
    name = cells[place].strip()
    file = path.parent / name
    try:
        file = found(file) if name else file  # which another system may have spelled
        there = bool(name) and file.is_file()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if not there:
        raise UsageError(f"{path}: row {number}: no such file: {_cut(name) or '(empty)'}")
    return _TableRow(number, file, cells)


def _number(text: str) -> float | None:
    """The number that `text` is; None for anything else."""
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    return value if abs(value) <= _LARGEST else None


def _cut(text: str) -> str:
    """`text` as a message shows it."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _numbers_or_words(path: Path, column: _Column, lines: Sequence[_TableRow]) -> _Column:
    """The column, known to hold numbers or words. Raises UsageError for a text among numbers."""
    cells = [(line.number, line.cells[column.place].strip()) for line in lines]
    cells = [(number, text) for number, text in cells if text]
    if not cells:
        raise UsageError(f"{path}: the column {column.name} is empty")
    texts = [(number, text) for number, text in cells if _number(text) is None]
    if not texts:
        return column
    if column.name in NAMES or column.unit or 2 * len(texts) <= len(cells):
        number, text = texts[0]
        raise UsageError(f"{path}: row {number}: {_cut(repr(text))} in the column {column.name} is not a number")
    for number, text in texts:
        if not is_name(text):
            raise UsageError(
                f"{path}: row {number}: {_cut(repr(text))} is no word; up to {MAX_NAME} printable characters"
            )
    return _Column(column.name, column.place, "", words=True)


def _check_unit(path: Path, column: _Column, columns: set[str]) -> None:
    declared = parameter(column.name)
    fitting = {"", declared.unit, *_conversions(declared)}
    if column.unit not in fitting:
        known = ", ".join(sorted(fitting - {""}))
        raise UsageError(f"{path}: row 1: {column.name} is not in {column.unit}; units that fit: {known}")
    if column.unit == "e-" and "shot_gain" not in columns:
        raise UsageError(f"{path}: row 1: {column.name} in e- needs a column shot_gain beside it")


def _conversions(declared: Parameter) -> Mapping[str, Callable[[float, float, float], float]]:
    """By unit: value, white - black in DN and shot gain to the value in the declared unit."""
    known: dict[str, Callable[[float, float, float], float]] = {}
    if declared.scales_with_dn:
        known["DN/e-" if declared.unit == "1/e-" else "DN"] = lambda value, span, shot: value / span
    if declared.name == "read_noise":
        known["e-"] = lambda value, span, shot: value * shot
    if declared.unit == "fraction":
        known["%"] = lambda value, span, shot: value / 100
    return known


def _values(path: Path, line: _TableRow, columns: Sequence[_Column]) -> dict[str, float | str]:
    """What the row says, known parameters in their declared units."""
    values: dict[str, float | str] = {}
    in_electrons = []
    span: float | None = None
    for column in columns:
        text = line.cells[column.place].strip()
        if not text:
            continue
        if column.words:
            values[column.name] = text
            continue
        value = float(text)
        declared = next((p for p in PARAMETERS if p.name == column.name), None)
        if declared is not None and value < 0:
            raise UsageError(f"{path}: row {line.number}: {column.name} is below 0")
        if declared is None or column.unit in ("", declared.unit):
            values[column.name] = value
        elif column.unit == "e-":
            in_electrons.append((column, value))
        else:
            if column.unit.startswith("DN") and span is None:
                span = _span(path, line)
            values[column.name] = _conversions(declared)[column.unit](value, span or math.nan, math.nan)
    for column, value in in_electrons:
        shot = values.get("shot_gain")
        if not isinstance(shot, float) or shot <= 0:
            raise UsageError(f"{path}: row {line.number}: {column.name} in e- without a shot_gain")
        values[column.name] = _conversions(parameter(column.name))["e-"](value, math.nan, shot)
    return values


def _span(path: Path, line: _TableRow) -> float:
    """White minus black of the picture, DN."""
    try:
        planes = images.read(line.path).planes
    except InputError as error:
        raise UsageError(f"{path}: row {line.number}: {error}") from error
    spans = {plane.white_dn - plane.black_dn for plane in planes}
    if len(spans) > 1:
        raise UsageError(f"{path}: row {line.number}: the planes of {line.path} differ in scale, so DN says nothing")
    return spans.pop()


def _groups(lines: Sequence[_TableRow]) -> Iterator[str]:
    folders = {line.path.resolve().parent for line in lines}
    for line in lines:
        if len(folders) > 1:
            yield str(line.path.parent)
            continue
        tags = exif(line.path, [])
        taken = "DateTimeOriginal" in tags
        yield " ".join(str(tags[key]) for key in CAPTURE if key in tags) if taken else str(line.path)
