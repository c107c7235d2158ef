"""The rows of one shard as a file, and back: the first line says which shard of which run, each has a checksum.

A part is JSON Lines, the rows as `batch` writes them with their cells beside them. The CRC-32 of each line is its last
member; a row's is continued from the first line's, so that rows of another part never count. How many rows there are
stands in the first line: a part that was cut at the end of a line is known, too.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from noisediag.batch.walk import MOST_SHARDS
from noisediag.errors import NoisediagError, TruncatedError, UnreadableError, one_line
from noisediag.reports import files, reading, rows, writing
from noisediag.reports.csv import Cell
from noisediag.reports.rows import Reply

FORMAT = "noisediag.part/2"
_CHECKSUM = re.compile(rb', "crc32": "([0-9a-f]{8})"\}\n\Z')
_CHECKSUM_BYTES = len(', "crc32": "01234567"}\n')
_LINE_BYTES = rows.ROW_BYTES + 1000
_LISTED = 5  # damaged lines that the message names
_OPEN = 64  # parts that are held open


@dataclass(frozen=True)
class Part:
    """Which part of which run it is: `index` of `count`, from 1, with so many `rows`."""

    index: int
    count: int
    rows: int
    run: Mapping[str, Any]  # what must be the same in all parts


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in its part, in bytes."""

    offset: int
    length: int


@contextmanager
def opened(path: Path, part: Part) -> Iterator[writing.Write]:
    """A new part at `path`, and what adds a row to it."""
    with files.create(path) as file:
        head = _line({"part": {"format": FORMAT, **asdict(part)}}, 0)
        seed = _seed(head)
        file.write(head)

        def write(row: Mapping[str, Any], cells: Sequence[Sequence[Cell]]) -> None:
            file.write(_line({**row, "cells": cells}, seed))

        yield write


def read(path: Path) -> tuple[Part, list[tuple[bytes, Place]]]:
    """The first line of the part at `path`, and the path and place of each of its rows, all of which are whole.

    Raises UnreadableError and TruncatedError, one line that names what is damaged.
    """
    with reading.opened(path) as file:
        head = _readline(file)
        part = _head(path, head)
        seed, offset, number = _seed(head), len(head), 1
        found: list[tuple[bytes, Place]] = []
        damaged: list[str] = []
        while line := _readline(file):
            number += 1
            if (reply := _reply(line, seed)) is None:
                damaged.append(f"{number} is cut off" if not line.endswith(b"\n") else str(number))
            else:
                _check(path, number, reply, part)
                found.append((reading.row_path(reply["row"]), Place(offset, len(line))))
            offset += len(line)
    again = f"batch --shard {part.index}/{part.count} --resume writes it anew"
    if damaged:
        listed = f"{', '.join(damaged[:_LISTED])}{', ...' if len(damaged) > _LISTED else ''}"
        raise UnreadableError(f"{path}: damaged at line {listed}: {again}")
    if len(found) != part.rows:
        raise TruncatedError(f"{path}: has {len(found)} of {part.rows} rows: {again}")
    return part, found


class Rows:
    """The rows of several parts, at places that are known."""

    def __init__(self, parts: Sequence[Path]):
        self._parts = parts
        self._opened: OrderedDict[int, tuple[BufferedReader, int]] = OrderedDict()

    def reply(self, part: int, place: Place) -> Reply:
        """The row there. Raises UnreadableError where it is not what it was when the part was read."""
        path = self._parts[part]
        with reading.named(path):
            file, seed = self._file(part)
            file.seek(place.offset)
            found = _reply(file.read(place.length), seed)
        if found is None:
            raise UnreadableError(f"{path}: has changed while it was read")
        return found

    def close(self) -> None:
        """Let go of the files."""
        while self._opened:
            self._opened.popitem()[1][0].close()

    def _file(self, part: int) -> tuple[BufferedReader, int]:
        if part not in self._opened:
            if len(self._opened) >= _OPEN:
                self._opened.popitem(last=False)[1][0].close()
            file = reading.opened(self._parts[part])
            self._opened[part] = file, _seed(_readline(file))
        self._opened.move_to_end(part)
        return self._opened[part]


def _line(content: Mapping[str, Any], seed: int) -> bytes:
    text = writing.json_line(content)[:-1]
    return b'%s, "crc32": "%08x"}\n' % (text[:-1], zlib.crc32(text, seed))


def _seed(head: bytes) -> int:
    return zlib.crc32(head)


def _readline(file: BufferedReader) -> bytes:
    return file.readline(_LINE_BYTES)


def _content(line: bytes, seed: int) -> dict[str, Any] | None:
    """What a line holds; None where it is not whole."""
    match = _CHECKSUM.search(line, max(len(line) - _CHECKSUM_BYTES, 0))
    if match is None or int(match[1], 16) != zlib.crc32(line[: match.start()] + b"}", seed):
        return None
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):  # the right checksum of something else
        return None
    if not isinstance(content, dict):
        return None
    return {key: value for key, value in content.items() if key != "crc32"}


def _reply(line: bytes, seed: int) -> Reply | None:
    content = _content(line, seed)
    if content is None or "cells" not in content:
        return None
    cells = content.pop("cells")
    return {"row": content, "cells": cells}


def _head(path: Path, line: bytes) -> Part:
    content = _content(line, 0)
    found = None if content is None else content.get("part")
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise UnreadableError(
            f"{path}: line 1 is damaged or was not written by batch --shard; with --resume, batch writes it anew"
        )
    numbers = [found.get(name) for name in ("index", "count", "rows")]
    if not (
        found.keys() == {"index", "count", "rows", "run"}
        and all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
        and 1 <= found["index"] <= found["count"] <= MOST_SHARDS
        and found["rows"] >= 0
        and isinstance(found["run"], dict)
    ):
        raise UnreadableError(f"{path}: line 1 does not say which part of which run it is")
    return Part(**found)


def _check(path: Path, number: int, reply: Reply, part: Part) -> None:
    try:
        rows.check(reply)
        if reply["row"]["checkpoint"]["sha256"] != part.run.get("checkpoint"):
            raise ValueError("it is of another checkpoint than its part")
    except (ValueError, LookupError, TypeError, NoisediagError) as error:
        raise UnreadableError(f"{path}: line {number} is no row of a report: {one_line(str(error))}") from None
