"""The one form that every source of labels is brought into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LabelRow:
    """One labelled picture. `values` holds what is known of it, by the names of its table."""

    path: Path
    values: Mapping[str, float | str]
    group: str  # acquisition: pictures of one group are never split between learning and judging
    line: int | None = None  # of the file it stands in, for messages


@dataclass(frozen=True)
class LabelTable:
    """Labels of pictures: `names` in order, `units` of each, "" where it has none; a name of words is a class.

    Names of `genome.parameters.PARAMETERS` are in the units declared there. `weak`: to learn from, never to judge by.
    """

    names: tuple[str, ...]
    units: Mapping[str, str]
    rows: tuple[LabelRow, ...]
    weak: bool = False

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The words of every class, sorted."""
        words = {
            name: {value for row in self.rows if isinstance(value := row.values.get(name), str)} for name in self.names
        }
        return {name: tuple(sorted(found)) for name, found in words.items() if found}
