"""Spellings of units that people use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noisediag.labels import csv


@pytest.mark.parametrize(
    ("column", "value", "normalised"),
    [
        ("impulse[percent]", "5", 0.05),
        ("impulse[%]", "5", 0.05),
        ("multiplicative[percent]", "2", 0.02),
        ("read_noise[norm]", "0.01", 0.01),
        ("read_noise[normalized]", "0.01", 0.01),
        ("shot_gain[per_e]", "0.001", 0.001),
    ],
)
def test_are_the_declared_ones(tmp_path: Path, column: str, value: str, normalised: float) -> None:
    np.save(tmp_path / "a.npy", np.full((16, 16), 100, np.uint16))
    (tmp_path / "labels.csv").write_text(f"path,{column}\na.npy,{value}\n", encoding="utf-8")
    table = csv.read(tmp_path / "labels.csv")
    assert dict(table.rows[0].values) == pytest.approx({column.split("[")[0]: normalised})
