"""`noisediag merge`: the parts of a sharded run as one report, once it is certain that they belong together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from noisediag.batch import parts as shards
from noisediag.batch.parts import Part, Place
from noisediag.batch.run import check_outputs, write
from noisediag.batch.summary import Summary
from noisediag.errors import UsageError
from noisediag.reports import bounds, files
from noisediag.reports.rows import Reply

_LISTED = 5  # missing shards that the message names


@dataclass(frozen=True, slots=True)
class _Row:
    """Where the row of a file stands."""

    path: bytes
    part: int
    place: Place


def run(parts: Sequence[Path], outputs: Sequence[Path], *, force: bool) -> Summary:
    """Write the rows of all `parts`, in the order that one run over everything would have given them.

    Raises UsageError for shards that are missing, doubled or made with different options or checkpoints, for a file
    with two rows, and for outputs that cannot be written; UnreadableError and TruncatedError for damaged parts.
    """
    check_outputs(outputs, force=force)
    for output in outputs:
        files.check(output, inputs=parts, force=force)
    found = _index(parts)
    found.sort(key=lambda row: row.path)
    for before, row in itertools.pairwise(found):
        if before.path == row.path:
            shown = row.path.decode("utf-8", "backslashreplace")
            raise UsageError(f"{shown}: has a row in {parts[before.part]} and one more in {parts[row.part]}")
    summary = Summary()
    write(_replies(found, parts), outputs, summary)
    return summary


def _index(parts: Sequence[Path]) -> list[_Row]:
    found: list[_Row] = []
    known: dict[int, Path] = {}
    first: tuple[Path, Part] | None = None
    for number, path in enumerate(parts):
        part, places = shards.read(path)
        first = first or (path, part)
        _check_alike(first, (path, part))
        if part.index in known:
            raise UsageError(f"{path} and {known[part.index]} are both shard {part.index}/{part.count}")
        known[part.index] = path
        found += [_Row(name, number, place) for name, place in places]
    if first is not None:
        _check_complete(known, first[1].count)
    return found


def _check_alike(first: tuple[Path, Part], other: tuple[Path, Part]) -> None:
    (path, one), (other_path, two) = first, other
    before, after = ({"number of shards": part.count, **part.run} for part in (one, two))
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            values = " and ".join(bounds.text(str(values.get(name)), 100) for values in (before, after))
            raise UsageError(f"{path} and {other_path} do not belong together: {bounds.text(name, 100)} {values}")


def _check_complete(known: dict[int, Path], count: int) -> None:
    missing = [index for index in range(1, count + 1) if index not in known]
    if missing:
        names = ", ".join(f"{index}/{count}" for index in missing[:_LISTED])
        raise UsageError(f"shards without a part: {names}{', ...' if len(missing) > _LISTED else ''}")


def _replies(found: Sequence[_Row], parts: Sequence[Path]) -> Iterator[Reply]:
    """The rows as batch had them."""
    opened = shards.Rows(parts)
    try:
        for row in found:
            yield opened.reply(row.part, row.place)
    finally:
        opened.close()
