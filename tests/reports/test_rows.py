"""What counts can be written: any text, number and nesting, through every writer and back."""

import csv
import io
import json
import math
import os
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import noisediag
from noisediag.footprint.file import CheckpointId
from noisediag.reports import Failure, bounds, reading, rows, writing
from noisediag.reports.csv import COLUMNS, plain_text, safe_text

CHECKPOINT = CheckpointId("sensor", "0" * 64)
SCHEMA = json.loads((Path(noisediag.__file__).parent / "reports" / "report.schema.json").read_text("utf-8"))

# Half of a surrogate pair, the end of a C string, formulas, line ends of all kinds, right-to-left marks, long ones.
ODD = (
    "\ud800",
    "a\udcffb",
    "\0",
    "=1+1",
    "\r\n",
    "\u2028",
    "\u202e",
    "'",
    '"',
    ";",
    "\t=",
    "x" * 131_073,
    "é" * 40_000,
)
texts = st.one_of(
    st.sampled_from(ODD), st.text(st.characters(), max_size=40), st.text("\ud800\udfff\0\r\n\"',;=", max_size=9)
)
numbers = st.one_of(st.floats(), st.integers(), st.sampled_from([2**63, -(2**64), 10**400, 1e308, 5e-324]))
leaves = st.one_of(st.none(), st.booleans(), numbers, texts, st.binary(max_size=5))
values = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=3))
)
names = st.one_of(st.sampled_from(["Make", "Model", "ISO", "ExposureTime", "FNumber", "DateTimeOriginal"]), texts)
paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)
FULL = bool(os.environ.get("NOISEDIAG_FULL"))
often = settings(
    max_examples=2000 if FULL else 15,
    derandomize=not FULL,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def written(folder, reply):
    """The row through every writer: its JSON, its cells of CSV, and those of Parquet."""
    suffixes = [suffix for suffix in writing.SUFFIXES if suffix != ".parquet" or pyarrow is not None]
    for suffix in suffixes:
        with writing.opened(folder / f"r{suffix}", suffix) as add:
            add(reply["row"], reply["cells"])
    (line,) = (folder / "r.jsonl").read_text("utf-8").split("\n")[:-1]
    with open(folder / "r.csv", encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file, strict=True))
    columns = None
    if pyarrow is not None:
        from pyarrow import parquet

        columns = parquet.read_table(folder / "r.parquet").to_pylist()
    return json.loads(line), table, columns


try:
    import pyarrow
except ImportError:
    pyarrow = None


def check(folder, reply, path):
    """What is in the files is the row, and valid."""
    rows.check(json.loads(json.dumps(reply)))
    row, table, columns = written(folder, reply)
    assert row == reply["row"]
    head = {"schema": row.pop("schema"), "checkpoint": row.pop("checkpoint"), "noisediag": "0"}
    jsonschema.validate({**head, "images": [row]}, SCHEMA)
    assert [tuple(line) for line in table] == [COLUMNS] * len(reply["cells"])
    for line in table:
        assert plain_text(line["path"]) == plain_text(safe_text(row["path"]))
        assert all(len(cell) < csv.field_size_limit() for cell in line.values())
        for column in ("sigma_effective_norm", "shot_gain_per_e"):
            assert line[column] == "" or math.isfinite(float(line[column]))
    if columns is not None:
        assert [line["path"] for line in columns] == [line["path"] for line in table]
        assert [line["error_message"] or "" for line in columns] == [line["error_message"] for line in table]
    shown = [reading.row_of(row).path, *(one.path for one in reading.rows(folder / "r.jsonl"))]
    assert shown == [path, path]


@often
@given(st.dictionaries(names, values, max_size=6), st.lists(texts, max_size=4), texts, paths)
def test_any_footprint(make_footprint, make_plane, tmp_path, tags, warnings, channel, path):
    plane = make_plane("all", channel=channel)
    made = make_footprint(path=path, acquisition=tags, warnings=tuple(warnings), planes=(plane,))
    reply = rows.encoded(made, CHECKPOINT)
    assert reply["row"]["status"] == "ok", reply["row"]
    check(tmp_path, reply, path)


@often
@given(st.sampled_from(["unreadable", "crashed", "timeout"]), texts, paths)
def test_any_failure(tmp_path, code, message, path):
    reply = rows.encoded(Failure(path, code, message), CHECKPOINT)
    assert reply["row"]["error"]["code"] == code
    check(tmp_path, reply, path)


@often
@given(st.floats(), st.floats(), st.one_of(st.none(), st.integers(-(2**70), 2**70)), st.integers(0, 2**70))
def test_any_number(make_footprint, make_plane, tmp_path, black, share, depth, frame):
    """NaN and infinity are unknown; what no format can hold becomes the file's error."""
    plane = make_plane("all", black_dn=black, missing_share=share, bit_depth=depth, frame=frame)
    reply = rows.encoded(make_footprint(path="a.tif", planes=(plane,)), CHECKPOINT)
    check(tmp_path, reply, "a.tif")
    if all(value is None or abs(value) < 2**63 for value in (depth, frame)) and 0 <= share <= 1:
        assert reply["row"]["status"] == "ok"
        assert (reply["row"]["planes"][0]["black_dn"] is None) == (not math.isfinite(black))
    if reply["row"]["status"] != "ok":
        assert reply["row"]["error"]["message"].startswith("its row cannot be written: ")


@pytest.mark.parametrize("levels", [8, 100, 100_000])
def test_deep_nesting(make_footprint, tmp_path, levels):
    reply = rows.encoded(make_footprint(path="a.tif", acquisition={"Note": deep(levels)}), CHECKPOINT)
    assert reply["row"]["status"] == "ok"
    check(tmp_path, reply, "a.tif")


def test_texts_are_cut_with_a_mark(make_footprint):
    tags = {"Model": "m" * 131_073, "k": list(range(5000)), **{f"k{number}": 1 for number in range(1500)}}
    row = rows.encoded(make_footprint(acquisition=tags, warnings=("w" * 5000,) * 300), CHECKPOINT)["row"]
    model = row["acquisition"]["Model"]
    assert len(model) == bounds.TEXT_CHARACTERS
    assert model.endswith("m [... cut at 4096 of 131073 characters]")
    assert len(row["acquisition"]) == bounds.ITEMS + 1
    assert row["acquisition"]["..."] == "cut at 1000 of 1502 tags"
    assert row["acquisition"]["k"][-1] == "[... cut at 1000 of 5000 items]"
    assert row["warnings"][-1] == "and 200 more"
    assert bounds.text(model) == model


def test_a_number_that_python_itself_would_not_write(make_footprint, tmp_path):
    reply = rows.encoded(make_footprint(path="a.tif", acquisition={"ISO": 10**5000, "Big": -(2**64)}), CHECKPOINT)
    assert reply["row"]["acquisition"] == {"ISO": None, "Big": pytest.approx(-(2.0**64), rel=1e-5)}
    check(tmp_path, reply, "a.tif")


def test_a_path_is_never_cut(tmp_path):
    path = "/".join(["d" * 255] * 20)
    check(tmp_path, rows.encoded(Failure(path, "unreadable", "no"), CHECKPOINT), path)


def test_names_that_are_not_utf8(make_footprint, tmp_path):
    path = "a/\udcff\udc80=.tif"
    check(tmp_path, rows.encoded(make_footprint(path=path), CHECKPOINT), path)


@pytest.mark.parametrize(
    "words",
    [
        "[Errno 2] No such file or directory: '{folder}/a b.tif'",
        "{folder}/a b.tif: bad",
        "cannot map {folder}/a b.tif, sorry",
        "RuntimeError: /usr/lib/python3.11/site-packages/reader.py:12 failed",
        'File "/opt/x y/reader.py", line 3',
        r"C:\Users\ann\x.tif is bad",
        r"\\server\share\x.tif",
        "open('/proc/1/mem')",
    ],
)
def test_messages_hold_no_absolute_path(tmp_path, words):
    path = tmp_path / "my pictures" / "a b.tif"
    reply = rows.encoded(Failure(str(path), "unreadable", words.format(folder=path.parent)), CHECKPOINT)
    message = reply["row"]["error"]["message"]
    for sign in (str(tmp_path), str(path.parent), "/usr", "/opt", "Users", "server", "/proc"):
        assert sign not in message
    assert any(name in message for name in ("a b.tif", "reader.py", "x.tif", "mem"))
    assert message == reply["cells"][0][COLUMNS.index("error_message")]


@pytest.mark.parametrize(
    "words", ["1/e- at 3/4 of e-/DN", "and/or", "see https://example.org/a/b", "50 % / 60 %", "a/b.tif"]
)
def test_what_is_no_path_stays(words):
    assert bounds.message(words, "in/a.tif") == words


@pytest.mark.parametrize(
    "spoil",
    [
        lambda reply: reply["row"].update(domain="paper"),
        lambda reply: reply["row"].update(more=1),
        lambda reply: reply["row"].pop("planes"),
        lambda reply: reply["row"].update(path=5),
        lambda reply: reply["row"].update(path="other.tif"),
        lambda reply: reply["row"].update(path_bytes="!!"),
        lambda reply: reply["row"].update(path_bytes="eA=="),
        lambda reply: reply["row"].update(schema="noisediag.report/2"),
        lambda reply: reply["row"].update(checkpoint=None),
        lambda reply: reply["row"]["acquisition"].update(Model="\ud800"),
        lambda reply: reply["row"]["acquisition"].update(ISO=math.nan),
        lambda reply: reply["row"]["acquisition"].update(Note=deep(100_000)),
        lambda reply: reply["cells"].pop(),
        lambda reply: reply["cells"][0].pop(),
        lambda reply: reply["cells"][0].__setitem__(9, 2**63),
        lambda reply: reply["cells"][0].__setitem__(9, [1]),
        lambda reply: reply["cells"][0].__setitem__(9, True),
        lambda reply: reply["cells"][0].__setitem__(9, "x" * 131_073),
        lambda reply: reply["cells"][0].__setitem__(0, "other.tif"),
        lambda reply: reply.update(cells="x"),
        lambda reply: reply.update(more=1),
        lambda reply: reply.pop("row"),
    ],
)
def test_what_is_no_row_is_refused(footprint, spoil):
    reply = rows.encoded(footprint, CHECKPOINT)
    rows.check(reply)
    spoil(reply)
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        rows.check(reply)


def test_what_cannot_be_written_is_the_file_s_error(make_footprint, monkeypatch):
    reply = rows.encoded(make_footprint(domain="paper", path="a.tif"), CHECKPOINT)
    rows.check(reply)
    assert reply["row"]["error"]["code"] == "unsupported"
    assert reply["row"]["error"]["message"].startswith("its row cannot be written: domain is not as the schema says")
    monkeypatch.setattr(rows, "ROW_BYTES", 2000)
    assert "2000 at most" in rows.encoded(make_footprint(), CHECKPOINT)["row"]["error"]["message"]


def test_the_csv_of_a_row_is_that_of_estimate(footprint):
    from noisediag.reports import csv as csv_report

    reply = json.loads(json.dumps(rows.encoded(footprint, CHECKPOINT)))
    assert csv_report.lines(reply["cells"]) == csv_report.rows(footprint, CHECKPOINT)
    assert next(csv.reader(io.StringIO(csv_report.lines(reply["cells"]))))[0] == "photo.dng"
