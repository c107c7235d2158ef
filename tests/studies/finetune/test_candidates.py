"""What a name may be learned as, by its labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noisediag.labels.table import LabelRow, LabelTable
from noisediag.studies.finetune.candidates import candidates_of


def table(units: dict[str, str] | None = None, **columns) -> LabelTable:
    count = len(next(iter(columns.values())))
    rows = tuple(
        LabelRow(Path(f"{i}.png"), {name: v[i] for name, v in columns.items() if v[i] is not None}, f"g{i}", i)
        for i in range(count)
    )
    return LabelTable(tuple(columns), units or {}, rows)


def scales(labels: LabelTable) -> dict[str, set[str]]:
    return {columns[0].name: {c.scale for c in columns} for columns in candidates_of(labels, labels.rows)[0]}


@pytest.fixture
def shares() -> np.ndarray:
    drawn = np.exp(np.random.default_rng(0).standard_normal((30, 4)))
    return drawn / drawn.sum(1, keepdims=True)


@pytest.mark.parametrize(("total", "digits"), [(1.0, 4), (1.0, 2), (100.0, 1), (100.0, 0)])
def test_columns_that_sum_to_a_whole_are_its_parts(shares, total: float, digits: int) -> None:
    labels = table(**{name: np.round(total * shares[:, i], digits).tolist() for i, name in enumerate("abcd")})
    found, whole = candidates_of(labels, labels.rows)
    assert whole == total
    assert all(column.part and column.scale == "linear" for (column,) in found)
    assert all((column.low, column.high) == (0, total) for (column,) in found)


def test_what_does_not_sum_is_no_part(shares) -> None:
    labels = table(a=shares[:, 0].tolist(), b=shares[:, 1].tolist())
    found, whole = candidates_of(labels, labels.rows)
    assert whole is None
    assert not any(column.part for columns in found for column in columns)


def test_another_column_beside_the_parts(shares) -> None:
    iso = np.linspace(100, 3200, len(shares)).tolist()
    labels = table(iso=iso, **{name: shares[:, i].tolist() for i, name in enumerate("abcd")})
    found, whole = candidates_of(labels, labels.rows)
    assert whole == 1
    assert {columns[0].name for columns in found if columns[0].part} == set("abcd")
    assert scales(labels)["iso"] == {"linear", "log"}


def test_fractions_stay_within_0_and_1() -> None:
    rng = np.random.default_rng(1)
    labels = table({"percent": "%"}, share=rng.uniform(0, 1, 30).tolist(), percent=rng.uniform(1, 80, 30).tolist())
    found = {columns[0].name: columns for columns in candidates_of(labels, labels.rows)[0]}
    assert {(c.low, c.high) for c in found["share"]} <= {(0.0, 1.0), (None, 1.0)}
    assert {c.high for c in found["percent"]} == {100.0}


@pytest.mark.parametrize(
    ("values", "unit", "high"),
    [
        (np.linspace(30, 95, 30), "", None),  # a quality, which may be 100, or a size
        (np.geomspace(0.001, 0.1, 30), "", None),  # small for another reason
        (np.linspace(0.1, 0.9, 30), "mm", None),  # a length
        (np.linspace(-0.5, 0.9, 30), "", None),
        (np.linspace(0.1, 1.2, 30), "", None),
    ],
)
def test_other_numbers_are_not_held_within_1(values, unit: str, high: float | None) -> None:
    labels = table({"x": unit}, x=values.tolist())
    assert {column.high for column in candidates_of(labels, labels.rows)[0][0]} == {high}


def test_logarithms_only_of_what_is_above_0() -> None:
    labels = table(some=np.linspace(1, 5000, 20).tolist(), none=np.linspace(0, 5, 20).tolist())
    assert scales(labels) == {"some": {"linear", "log"}, "none": {"linear"}}


def test_too_few_or_all_alike_are_left_out() -> None:
    labels = table(few=[1.0] * 3 + [None] * 17, alike=[2.0] * 20, words=["x", "y"] * 10, one=["z"] * 20)
    assert scales(labels) == {"words": {"class"}}
