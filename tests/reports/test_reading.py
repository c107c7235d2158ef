"""The one reader of our own reports."""

import json
import math
from dataclasses import astuple, replace

import pytest

from noisediag.errors import TruncatedError, UnreadableError
from noisediag.footprint.file import CheckpointId
from noisediag.reports import Failure, csv, writing
from noisediag.reports import json as json_report
from noisediag.reports.reading import SUFFIXES, ParameterRow, first_image, json_lines, row_of, rows

CHECKPOINT = CheckpointId("sensor", "0" * 64)


def write(path, outcomes):
    """A report in the format of the path's ending, as `estimate` and `batch` write it."""
    if path.suffix == ".json":
        path.write_text(json_report.dumps(outcomes, CHECKPOINT), encoding="utf-8")
        return path
    with writing.opened(path, path.suffix) as add:
        for outcome in outcomes:
            add(json_report.row(outcome, CHECKPOINT), csv.cells(outcome, CHECKPOINT))
    return path


@pytest.fixture
def outcomes(make_footprint):
    return [
        make_footprint(path='in/=1,\u2028"x".dng', acquisition={"ISO": 400, "Model": "=One", "ExposureTime": 0.01}),
        Failure("in/b.tif", "truncated", "ends early"),
        make_footprint(path="in/c.dng"),
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_the_same_rows(outcomes, tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    first, failed, last = rows(write(tmp_path / f"r{suffix}", outcomes))
    assert failed == outcomes[1]
    assert (first.path, last.path) == ('in/=1,\u2028"x".dng', "in/c.dng")
    assert (first.tags["Model"], first.tags["ISO"], first.tags["ExposureTime"]) == ("=One", 400, 0.01)
    assert first.parameters["shot_gain"] == ParameterRow(2.1e-5, 1.89e-5, 2.31e-5, 0.99)
    assert "multiplicative" not in first.parameters
    derived = outcomes[0].derived
    for name in ("sigma_effective", "sigma_at_18pct", "signal_median", "sigma_at_median"):
        assert getattr(first, name) == pytest.approx(getattr(derived, name), rel=1e-5)
    assert (first.curve is None) == (suffix in (".csv", ".parquet"))
    if first.curve:
        assert first.curve[3] == pytest.approx((outcomes[0].curve[3].signal, outcomes[0].curve[3].sigma), rel=1e-5)
    without = {"curve": None, "tags": {}}
    (reference, *_) = rows(write(tmp_path / "reference.json", outcomes))
    assert replace(first, **without) == replace(reference, **without)


def test_a_name_that_is_not_utf8_is_the_system_s_again(make_footprint, tmp_path):
    (row,) = rows(write(tmp_path / "r.jsonl", [make_footprint(path="a\udcff.dng")]))
    assert row.path == "a\udcff.dng"


def test_columns_that_users_add_are_tags(outcomes, tmp_path):
    path = write(tmp_path / "r.csv", outcomes)
    first, *others = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([f"{first},Temperature_C", *(f"{line},-10" for line in others)]), encoding="utf-8-sig")
    assert [row.tags["Temperature"] for row in rows(path) if not isinstance(row, Failure)] == ["-10", "-10"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("r.json", b"{", "Expecting"),
        ("r.json", b"[]", "no JSON object"),
        ("r.json", b'{"images": [1]}', r"images\[0\] is no object"),
        ("r.json", b'{"images": [{"path": "a", "status": "ok"}]}', r"images\[0\]: 'planes' is missing"),
        ("r.jsonl", b"1\n", "line 1: no JSON object"),
        ("r.jsonl", b'\n{"path": "a", "status": "ok"}\n', "line 2: 'planes' is missing"),
        ("r.jsonl", b"{]\n{}\n", "line 1: no JSON, "),
        ("r.csv", b"", "the column path is missing"),
        ("r.csv", b"path,ISO\nx,1\n", "line 1: the column status is missing"),
        ("r.csv", b"\xff\xfe", "codec can't decode"),
        ("r.parquet", b"PAR1", "is no noisediag report"),
        ("r.txt", b"", "a report is needed: .csv, .json, .jsonl, .parquet"),
    ],
)
def test_what_is_no_report_is_named_with_its_place(tmp_path, name, content, reason):
    if name == "r.parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableError, match=reason) as caught:
        list(rows(tmp_path / name))
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def replaced(value, new):
    """Every copy of a JSON value in which one part is `new`."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        for other in (new, *replaced(part, new)):
            copy = value.copy()
            copy[key] = other
            yield copy


@pytest.mark.parametrize("new", ["x", 7, True, None, [], {}, float("nan"), 10**400], ids=lambda new: f"{new}"[:9])
def test_a_part_of_another_kind_is_refused_or_of_no_account(footprint, new):
    """What row_of gives is what it says, whatever stands in the report; it raises what `rows` turns into words."""
    given = json_report.image(footprint)
    accepted = 0
    for image in replaced({key: given[key] for key in ("path", "status", "domain", "acquisition", "planes")}, new):
        try:
            row = row_of({**image, "derived": given["derived"]})
        except (LookupError, TypeError, ValueError, AttributeError):
            continue
        accepted += 1
        assert isinstance(row.path, str)
        assert isinstance(row.domain, str)
        assert all(value is None or math.isfinite(value) for p in row.parameters.values() for value in astuple(p))
        assert all(math.isfinite(value) for point in row.curve for value in point)
    assert accepted
    for name in ("sigma_effective", "sigma_at_18pct", "signal_median", "sigma_at_median"):
        if new not in (7, None):
            with pytest.raises(TypeError, match="is no number"):
                row_of({**given, "derived": {**given["derived"], name: new}})


def test_a_line_of_csv_with_other_cells_is_named(outcomes, tmp_path):
    path = write(tmp_path / "r.csv", outcomes)
    for more in ("one,two\n", ",".join("x" * 1000) + "\n"):
        path.write_text(path.read_text("utf-8") + more, encoding="utf-8")
        with pytest.raises(UnreadableError, match="another number of cells"):
            list(rows(path))


def test_missing_files_and_folders(tmp_path):
    for suffix in (".json", ".jsonl", ".csv"):
        with pytest.raises(UnreadableError, match="no such file"):
            list(rows(tmp_path / f"gone{suffix}"))
        (tmp_path / f"folder{suffix}").mkdir()
        with pytest.raises(UnreadableError, match="Is a directory"):
            list(rows(tmp_path / f"folder{suffix}"))


def test_lines_are_where_they_say(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"b": "\xe2\x80\xa8"}\n{"c": 3}')
    content = path.read_bytes()
    lines = list(json_lines(path))
    assert [(line.number, line.content) for line in lines] == [(1, {"a": 1}), (3, {"b": "\u2028"}), (4, {"c": 3})]
    assert [json.loads(content[line.offset : line.offset + line.length]) for line in lines] == [
        line.content for line in lines
    ]
    path.write_bytes(content[:-1])
    with pytest.raises(TruncatedError, match="line 4 is cut off"):
        list(json_lines(path))


def test_the_first_picture_that_is_no_error(outcomes, tmp_path):
    for suffix in (".json", ".jsonl"):
        path = write(tmp_path / f"r{suffix}", outcomes[1:])
        assert first_image(path)["path"] == "in/c.dng"
        with pytest.raises(UnreadableError, match="no noisediag report with an estimate"):
            first_image(write(path, outcomes[1:2]))
    truth = tmp_path / "a.truth.json"
    truth.write_text('{"parameters": []}')
    assert first_image(truth) == {"parameters": []}
