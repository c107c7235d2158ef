"""Many files at a glance: a line each, of the JSON rows that reports hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size

from noisediag.errors import printable
from noisediag.reports.numbers import by_interval, number
from noisediag.reports.table import FLAG_WORDS

Row = Mapping[str, Any]  # a file's row, as in a report
HEADINGS = ("file", "camera", "ISO", "domain", "sigma 18 %", "e-/DN", "read noise", "flags")
_RIGHT = (2, 4, 5, 6)
# Characters of the columns behind the first; the last takes what is left.
_WIDTHS = {1: 14, 2: 6, 3: 10, 4: 10, 5: 8, 6: 10}
_LEAST_FILE, _MOST_FILE, _LEAST_FLAGS = 12, 60, 8
_GAP = 1
_LESS_IMPORTANT = (1, 2, 3)  # columns that narrow terminals go without, in this order
_OFTEN = ("rendered",)  # flags that the domain says already


@dataclass(frozen=True)
class Layout:
    """Which columns are shown, how wide; `cut`: whether what is longer is cut to fit."""

    columns: tuple[int, ...]
    widths: tuple[int, ...]
    cut: bool

    @classmethod
    def of(cls, paths: Sequence[str], width: int | None) -> Layout:
        """For files of these `paths`. `width`: of the terminal; None: a pipe or a file, in which nothing is cut."""
        longest = max([cell_len(printable(path)) for path in paths], default=4)
        if width is None:
            columns = tuple(range(len(HEADINGS)))
            return cls(columns, (max(longest, _LEAST_FILE), *(_WIDTHS[c] for c in columns[1:-1]), 0), cut=False)
        shown = list(range(len(HEADINGS)))
        file = max(_LEAST_FILE, min(longest, _MOST_FILE))
        for column in _LESS_IMPORTANT:
            if file + _behind(shown) <= width:
                break
            shown.remove(column)
        file = max(_LEAST_FILE, min(file, width - _behind(shown)))
        flags = max(width - file - _behind(shown) + _LEAST_FLAGS, 0)
        return cls(tuple(shown), (file, *(_WIDTHS[c] for c in shown[1:-1]), flags), cut=True)

    def line(self, cells: Sequence[str]) -> str:
        """One line, without blanks at its end."""
        parts = []
        for column, width in zip(self.columns, self.widths, strict=True):
            text = cells[column]
            if self.cut and cell_len(text) > width:
                text = _shortened(text, width, end=column != 0)
            missing = max(width - cell_len(text), 0)
            parts.append(" " * missing + text if column in _RIGHT else text + " " * missing)
        return (" " * _GAP).join(parts).rstrip()

    def heading(self) -> str:
        """The line above all."""
        return self.line(HEADINGS)


def cells(row: Row) -> tuple[str, ...]:
    """What the line of one file says, in the order of HEADINGS; a failed one says why."""
    path = printable(row["path"])
    if row["status"] != "ok":
        return path, "", "", row["error"]["code"], "-", "-", "-", printable(row["error"]["message"])
    tags, derived = row["acquisition"], row["derived"]
    gain = derived["conversion_gain"]
    return (
        path,
        printable(camera(tags)) or "-",
        printable(str(tags.get("ISO") or "-")),
        row["domain"],
        number(derived["sigma_at_18pct"], 2),
        "-" if gain["value"] is None else by_interval(gain["value"], gain["low"], gain["high"])[0],
        read_noise(row),
        ", ".join(FLAG_WORDS[flag] for flag in row["flags"] if flag not in _OFTEN),
    )


def camera(tags: Mapping[str, Any]) -> str:
    """Maker and model, nothing said twice."""
    make, model = (str(tags.get(tag) or "").strip() for tag in ("Make", "Model"))
    first = make.split(" ", 1)[0]
    return model if first and model.lower().startswith(first.lower()) else f"{make} {model}".strip()


def read_noise(row: Row) -> str:
    """In electrons where they count, else in DN, else as a share of white; with its unit."""
    dark = row["derived"]["sigma_d"]
    if dark["value"] is not None:
        return f"{by_interval(dark['value'], dark['low'], dark['high'])[0]} e-"
    for entry in row["planes"][-1]["parameters"]:
        if entry["name"] == "read_noise" and isinstance(entry["value"], float | int):
            if entry["value_dn"] is not None:
                return f"{by_interval(entry['value_dn'], entry['low_dn'], entry['high_dn'])[0]} DN"
            return by_interval(entry["value"], entry["low"], entry["high"])[0]
    return "-"


_KEYS: Mapping[str, Callable[[Row], Any]] = {
    "file": lambda row: row["path"],
    "camera": lambda row: camera(row["acquisition"]).lower(),
    "iso": lambda row: _positive(row["acquisition"].get("ISO")),
    "domain": lambda row: row["domain"],
    "sigma": lambda row: row["derived"]["sigma_at_18pct"],
    "gain": lambda row: row["derived"]["conversion_gain"]["value"],
    "read-noise": lambda row: _read_noise_value(row),
    "flags": lambda row: -len(row["flags"]),
}
SORTS = tuple(_KEYS)


def ordered(rows: Iterable[Row], by: str, *, reverse: bool = False) -> list[Row]:
    """The rows by one of SORTS, ascending (flags: most first); files that fail, or do not say it, come last."""
    known: list[tuple[Any, Row]] = []
    unknown: list[tuple[Any, Row]] = []
    for row in rows:
        key = None if row["status"] != "ok" and by != "file" else _KEYS[by](row)
        (unknown if key is None or key == "" else known).append((key, row))
    known.sort(key=lambda item: item[0], reverse=reverse)
    return [row for _, row in (*known, *unknown)]


def _read_noise_value(row: Row) -> tuple[int, float] | None:
    """Electrons apart from DN: they have no order in common."""
    dark = row["derived"]["sigma_d"]["value"]
    if dark is not None:
        return 0, dark
    entry = next((e for e in row["planes"][-1]["parameters"] if e["name"] == "read_noise"), None)
    value = None if entry is None else entry["value_dn"] if entry["value_dn"] is not None else entry["value"]
    return None if value is None else (1, value)


def _positive(value: object) -> float | None:
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _behind(columns: Sequence[int]) -> int:
    """The least width of all but the first."""
    return sum(_WIDTHS.get(column, _LEAST_FLAGS) + _GAP for column in columns[1:])


def _shortened(text: str, width: int, *, end: bool) -> str:
    """`text` in `width` cells, with a mark where it was cut: at its `end`, or in its middle."""
    if width < 2:
        return set_cell_size(text, width)
    if end:
        return set_cell_size(text, width - 1).rstrip() + "…"
    tail = text[-(width * 2 // 3) :]
    while cell_len(tail) > width * 2 // 3:
        tail = tail[1:]
    return set_cell_size(text, width - 1 - cell_len(tail)) + "…" + tail
