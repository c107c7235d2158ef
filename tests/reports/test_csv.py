import csv
import io
from pathlib import Path

import pytest

from noisediag import __version__
from noisediag.footprint.file import CheckpointId
from noisediag.reports import Failure
from noisediag.reports.csv import COLUMNS, dumps, safe_text

CHECKPOINT = CheckpointId("sensor", "0" * 64)


def read(*outcomes):
    return list(csv.DictReader(io.StringIO(dumps(outcomes, CHECKPOINT))))


def test_one_row_a_plane_in_a_fixed_order(footprint):
    rows = read(footprint)
    assert tuple(rows[0]) == COLUMNS
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert [row["plane"] for row in rows] == ["R", "G1", "G2", "B", "all"]


def test_columns_stay_where_they_are():
    """What scripts count on: new ones come at the end, and none goes."""
    known = Path(__file__).with_name("columns.txt").read_text("utf-8").split()
    assert list(COLUMNS[: len(known)]) == known


def test_cells_carry_the_numbers(footprint):
    row = read(footprint)[-1]
    assert float(row["shot_gain_per_e"]) == 2.1e-5
    assert float(row["shot_gain_dn_per_e_high"]) == pytest.approx(2.1e-5 * 1.1 * 15871, rel=1e-5)
    assert float(row["gain_e_per_dn"]) == pytest.approx(1 / (2.1e-5 * 15871), rel=1e-5)
    assert float(row["read_noise_e"]) == pytest.approx(5 / 2.1, rel=1e-5)
    assert row["ISO"] == "400"
    assert row["noisediag_version"] == __version__
    assert row["checkpoint_sha256"] == "0" * 64


def test_unknown_is_empty_never_zero(make_footprint, make_plane):
    row = read(make_footprint(planes=(make_plane(bit_depth=None, black_dn=None),), acquisition={}))[0]
    assert row["multiplicative_fraction"] == row["bit_depth"] == row["sigma_effective_dn"] == row["Make"] == ""
    assert row["multiplicative_fraction_low"] == "0"  # below the floor: the limits are known
    assert row["multiplicative_flag"] == "below_floor"


def test_a_failure_is_one_row():
    (row,) = read(Failure("a\nb.cr2", "unreadable", "empty file"))
    assert (row["path"], row["status"], row["error_code"]) == ("a\nb.cr2", "error", "unreadable")
    assert row["plane"] == row["sha256"] == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", " =1", "＝1"])  # noqa: RUF001
def test_no_text_cell_starts_a_formula(text, make_footprint):
    assert safe_text(text) == f"'{text}"
    row = read(make_footprint(path=text, acquisition={"Model": text}))[0]
    assert row["path"].startswith("'")
    assert row["Model"].startswith("'")


def test_a_carriage_return_does_not_end_a_row(make_footprint):
    assert [row["path"] for row in read(make_footprint(path="a\r=1.tif"))] == ["a\\r=1.tif"] * 5


def test_ordinary_text_is_left_alone():
    assert safe_text("a-b = c@d.tif") == "a-b = c@d.tif"
