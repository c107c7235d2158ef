"""What a name may be learned as, by its labels alone: class, number, logarithm, fraction or part of a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from noisediag.cop.few_shot import Column
from noisediag.cop.few_shot_learning import SUM_TOLERANCE
from noisediag.genome import paper
from noisediag.genome.parameters import NAMES, parameter
from noisediag.labels.table import LabelRow, LabelTable

FEWEST_LABELS = 10  # of one name
WHOLES = (1.0, 100.0)  # what parts sum to: fractions, percent
FRACTION_FROM = 0.3  # of the whole that the largest label reaches: below, numbers may be small for another reason

Candidates = tuple[Column, ...]  # of one name; they differ in scale


def candidates_of(table: LabelTable, rows: Sequence[LabelRow]) -> tuple[tuple[Candidates, ...], float | None]:
    """What each name of `table` may be learned as, by its labels in `rows`, and what the parts of a whole sum to.

    Names with too few labels, or with one value alone, are left out.
    """
    names = [name for name in table.names if _has_labels(name, rows)]
    numbers = [name for name in names if name not in table.classes and name not in NAMES]
    parts, total = _parts(numbers, rows)
    return tuple(_of_name(table, name, rows, total if name in parts else None) for name in names), total


def _has_labels(name: str, rows: Sequence[LabelRow]) -> bool:
    values = [row.values[name] for row in rows if name in row.values]
    return len(values) >= FEWEST_LABELS and len(set(values)) > 1


def _of_name(table: LabelTable, name: str, rows: Sequence[LabelRow], total: float | None) -> Candidates:
    values = [row.values[name] for row in rows if name in row.values]
    unit = table.units.get(name, "")
    if name in table.classes:
        return (Column(name, unit, "class", tuple(sorted({str(value) for value in values}))),)
    if total is not None:
        return (Column(name, unit, "linear", low=0.0, high=total, part=True),)
    numbers = np.array([float(value) for value in values])
    if name in NAMES:
        log = parameter(name).spacing == "log" and bool(numbers.min() > 0)
        return (Column(name, unit, "log" if log else "linear"),)
    low = 0.0 if numbers.min() >= 0 else None
    top = next((whole for whole in WHOLES if FRACTION_FROM * whole <= numbers.max() <= whole), None)
    linear = Column(name, unit, "linear", low=low, high=top if low is not None and _may_be_share(unit, top) else None)
    if unit == paper.UNIT or not numbers.min() > 0:
        return (linear,)
    return (linear, Column(name, unit, "log", high=linear.high))


def _may_be_share(unit: str, top: float | None) -> bool:
    """Whether a name of this unit is a share of `top`: of 1 without a unit, of 100 only where it says so."""
    return unit in ("%", "percent") if top == max(WHOLES) else top is not None and unit in ("", paper.UNIT, "fraction")


def _parts(names: Sequence[str], rows: Sequence[LabelRow]) -> tuple[tuple[str, ...], float | None]:
    """Those of `names` that sum to 1, or 100, in every row that has them all, and that sum."""
    for total in WHOLES:
        inside = tuple(name for name in names if _within(name, rows, total))
        values = np.array(
            [[float(row.values[name]) for name in inside] for row in rows if all(name in row.values for name in inside)]
        )
        if len(inside) < 2 or len(values) < FEWEST_LABELS:
            continue
        off = np.abs(values.sum(1) - total).max()
        by_chance = np.sqrt(values.var(0).sum())  # the spread of a sum of labels that do not know each other
        if off <= SUM_TOLERANCE * total and off < by_chance:
            return inside, total
    return (), None


def _within(name: str, rows: Sequence[LabelRow], total: float) -> bool:
    return all(0 <= float(row.values[name]) <= total for row in rows if name in row.values)
