"""`noisediag merge`: the parts of a sharded run as one report, once it is certain that they belong together."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisediag.batch.pool import Reply
from noisediag.batch.run import check_outputs, write
from noisediag.batch.summary import Summary
from noisediag.errors import UnreadableError, UsageError
from noisediag.reports import files
from noisediag.reports.reading import JsonLine, json_lines, row_path

_PART_KEYS = {"index", "count", "run", "csv"}


@dataclass(frozen=True, slots=True)
class _RowPlace:
    """Where a row stands."""

    path: bytes
    part: int
    offset: int
    length: int


def run(parts: Sequence[Path], outputs: Sequence[Path], *, force: bool) -> Summary:
    """Write the rows of all `parts`, in the order that one run over everything would have given them.

    Raises UsageError for shards that are missing, doubled or made with different options or checkpoints, for a file
    with two rows, and for outputs that cannot be written; UnreadableError and TruncatedError for damaged parts.
    """
    check_outputs(outputs, force=force)
    for output in outputs:
        files.check(output, inputs=parts, force=force)
    lines = _index(parts)
    lines.sort(key=lambda line: line.path)
    for before, line in itertools.pairwise(lines):
        if before.path == line.path:
            shown = line.path.decode("utf-8", "backslashreplace")
            raise UsageError(f"{shown}: has a row in {parts[before.part]} and one more in {parts[line.part]}")
    summary = Summary()
    write(_replies(lines, parts), outputs, summary)
    return summary


def _index(parts: Sequence[Path]) -> list[_RowPlace]:
    lines: list[_RowPlace] = []
    shards: dict[int, Path] = {}
    empty: list[Path] = []
    first: tuple[Path, Mapping[str, Any]] | None = None
    for number, part in enumerate(parts):
        own: Mapping[str, Any] | None = None
        for line in _rows(part):
            found = line.content["part"]
            if own is None:
                own = found
            elif (own["index"], own["run"]) != (found["index"], found["run"]):
                raise UnreadableError(f"{part}: its rows are not of one run")
            lines.append(_RowPlace(row_path(line.content), number, line.offset, line.length))
        if own is None:
            empty.append(part)
            continue
        first = first or (part, own)
        _check_alike(first, (part, own))
        if own["index"] in shards:
            raise UsageError(f"{part} and {shards[own['index']]} are both shard {own['index']}/{own['count']}")
        shards[own["index"]] = part
    if first is None:
        raise UsageError("there is no row in any part")
    _check_complete(set(shards), len(empty), first[1]["count"])
    return lines


def _check_alike(first: tuple[Path, Mapping[str, Any]], other: tuple[Path, Mapping[str, Any]]) -> None:
    (path, one), (other_path, two) = first, other
    before, after = ({"number of shards": part["count"], **part["run"]} for part in (one, two))
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            raise UsageError(
                f"{path} and {other_path} do not belong together: {name} {before.get(name)} and {after.get(name)}"
            )


def _check_complete(shards: set[int], empty: int, count: int) -> None:
    """A shard without any file leaves an empty part, which does not say which one it is."""
    missing = sorted(set(range(1, count + 1)) - shards)
    if len(missing) != empty:
        names = ", ".join(f"{index}/{count}" for index in missing)
        but = f", and {empty} of the parts given are empty" if empty else ""
        raise UsageError(f"shards without a row: {names or 'none'}{but}")


def _rows(part: Path) -> Iterator[JsonLine]:
    """Every line of a part. Raises UnreadableError, TruncatedError."""
    for line in json_lines(part):
        if set(line.content.get("part") or ()) != _PART_KEYS:
            raise UnreadableError(f"{part}: line {line.number} was not written by batch --shard")
        yield line


def _replies(lines: Sequence[_RowPlace], parts: Sequence[Path]) -> Iterator[Reply]:
    """The rows of `lines` as batch had them."""
    opened: dict[int, Any] = {}
    try:
        for line in lines:
            if line.part not in opened:
                opened[line.part] = open(parts[line.part], "rb")  # noqa: SIM115 - all of them until the end
            file = opened[line.part]
            file.seek(line.offset)
            row = json.loads(file.read(line.length))
            yield {"csv": row.pop("part")["csv"], "row": row}
    finally:
        for file in opened.values():
            file.close()
