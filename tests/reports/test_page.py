"""The page, from reports made by hand."""

import hashlib
import json
import math
import random
import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from noisediag.cli import app
from noisediag.footprint.file import CheckpointId
from noisediag.reports import Failure, csv
from noisediag.reports import json as json_report
from noisediag.reports import page as report

CHECKPOINT = CheckpointId("sensor", "0" * 64)


class Checker(HTMLParser):
    """Whether every element is closed, and what leads out of the page."""

    VOID = frozenset(("meta", "img", "br"))

    def __init__(self):
        super().__init__()
        self.open, self.outside, self.ids, self.targets, self.tags = [], [], set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href") and not value.startswith(("data:", "#")):
                self.outside.append(value)
            if name == "href":
                self.targets.add(value[1:])
            if name == "id":
                self.ids.add(value)
            assert not name.startswith("on")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check(page):
    checker = Checker()
    checker.feed(page)
    assert (checker.open, checker.outside) == ([], [])
    assert checker.targets <= checker.ids
    assert "script" not in checker.tags
    assert not re.search(r"\b(nan|inf)\b", page)
    return checker


@pytest.fixture
def outcomes(make_footprint, make_plane):
    """`outcomes(count)`: files of two folders, cameras and ISOs over a year; every 20th has twice the noise."""

    def make(count):
        rng = random.Random(3)
        made = []
        for number in range(count):
            iso = (100, 1600)[number % 2]
            factor = math.exp(rng.gauss(0, 0.05)) * (iso / 100) ** 0.5 * (2 if number % 20 == 7 else 1)
            plane = make_plane("all", {"shot_gain": 2e-5 * factor**2, "read_noise": 5e-5 * factor})
            made.append(
                make_footprint(
                    planes=(make_plane("R"), plane),
                    path=f"in/{'ab'[number % 3 == 0]}/{number:04}.dng",
                    acquisition={
                        "Make": "Maker",
                        "Model": "One",
                        "ISO": iso,
                        "DateTimeOriginal": f"2024:{1 + number * 12 // count:02}:10 08:00:00",
                    },
                )
            )
        return [*made, Failure("in/<b>&.tif", "truncated", "ends early")]

    return make


@pytest.fixture
def written(outcomes, tmp_path):
    """`written(count, suffix)`: such a report in a file."""

    def write(count, suffix):
        path = tmp_path / f"r{suffix}"
        made = outcomes(count)
        if suffix == ".jsonl":
            lines = [json.dumps(json_report.row(outcome, CHECKPOINT)) + "\n" for outcome in made]
            path.write_text("".join(lines), encoding="utf-8")
        else:
            module = csv if suffix == ".csv" else json_report
            path.write_text(module.dumps(made, CHECKPOINT), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json"])
def test_every_format_says_the_same(written, suffix):
    contents = report.load(written(40, suffix))
    assert contents.failures == [Failure("in/<b>&.tif", "truncated", "ends early")]
    first = contents.records[0]
    assert (first.path, first.camera, first.iso) == ("in/b/0000.dng", "Maker One", 100)
    assert first.values["row_noise"] == 1e-4
    assert "multiplicative" not in first.values
    page = report.page(written(40, suffix), thumbnails=False)
    check(page)
    for text in (
        "By folder",
        "By camera",
        "By ISO",
        "By date",
        "ISO 1600",
        "2024-05",
        "&lt;b&gt;&amp;.tif",
        "ends early",
    ):
        assert text in page
    assert ("noise curves: median" in page) == (suffix != ".csv")
    assert ("A dot a file" in page) == (suffix == ".csv")
    assert "effective sigma over time" in page


def test_outliers_are_those_with_twice_the_noise(written):
    contents = report.load(written(400, ".csv"))
    found = [record.path for _, _, record in report.outliers(contents.records)]
    doubled = {record.path for record in contents.records if int(record.path[-8:-4]) % 20 == 7}
    assert set(found[:20]) == doubled  # 5 % of the files; all ISOs in one list
    assert len(report.page(written(400, ".csv"), thumbnails=False)) < 200_000
    _, times, _ = report.outliers(contents.records)[0]
    assert times == pytest.approx(2, rel=0.25)


def test_many_groups_are_the_largest_and_it_says_so(make_footprint, tmp_path):
    folders = [number for number in range(20) for _ in range(1 + number % 3)]
    made = [make_footprint(path=f"in/{folder:02}/{number}.dng") for number, folder in enumerate(folders)]
    (tmp_path / "r.csv").write_text(csv.dumps(made, CHECKPOINT), encoding="utf-8")
    page = report.page(tmp_path / "r.csv", thumbnails=False)
    assert "By folder, the 14 largest of 20" in page
    assert "By camera, " not in page


def test_whatever_files_are_called_stays_text(make_footprint, make_plane, tmp_path):
    hostile = """</title></style><script>alert('1')</script>" onload="x" {{ 7 * 7 }} {% raw %} \x1b[31m"""
    made = [
        make_footprint(
            path=f"in/{number % 2}{hostile}/{number}{hostile}.dng",
            acquisition={"Make": hostile, "Model": hostile, "ISO": 100, "DateTimeOriginal": f"2024:01:{number + 1:02}"},
            planes=(make_plane("all", {"shot_gain": 2e-5, "read_noise": 5e-3 if number == 7 else 5e-5}),),
        )
        for number in range(12)
    ]
    report_of = [*made, Failure(hostile, "truncated", hostile)]
    path = tmp_path / "r&<b>.jsonl"
    path.write_text("".join(json.dumps(json_report.row(one, CHECKPOINT)) + "\n" for one in report_of), encoding="utf-8")
    page = report.page(path, thumbnails=True)
    checker = check(page)
    assert not {"script", "b"} & set(checker.tags)
    assert "Noise of r&amp;&lt;b&gt;.jsonl" in page
    assert "{{ 7 * 7 }} {% raw %} \\x1b[31m" in page
    assert "\x1b" not in page
    assert "no picture: " in page


@pytest.mark.parametrize("count", [1, 3])
def test_very_few_files(written, count):
    checker = check(report.page(written(count, ".jsonl"), thumbnails=True))
    assert "svg" in checker.tags


def test_no_file_that_was_read(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text(csv.dumps([Failure("a.tif", "crashed", "boom")], CHECKPOINT), encoding="utf-8")
    page = report.page(path, thumbnails=True)
    check(page)
    assert "boom" in page


def test_thumbnails(tmp_path):
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 4096, (300, 400), dtype=np.uint16))
    digest = hashlib.sha256((tmp_path / "a.tif").read_bytes()).hexdigest()
    card = report.thumbnail(str(tmp_path / "a.tif"), digest)
    assert (card.reason, card.whole[:4], card.middle[:4]) == (None, b"\x89PNG", b"\x89PNG")
    assert report.thumbnail(str(tmp_path / "gone.tif"), digest).reason == "no such file"
    for other in (None, "", "0" * 64):
        card = report.thumbnail(str(tmp_path / "a.tif"), other)
        assert (card.whole, card.middle, card.reason) == (None, None, "is not the file that was measured")


def test_a_thumbnail_that_takes_too_long_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "THUMBNAIL_S", 0.05)
    monkeypatch.setattr(report, "read", lambda path: time.sleep(30))
    assert report.thumbnail(str(tmp_path / "a.tif"), "").reason == "not done after 0.05 s"


def test_the_command(written, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(app, ["report", *map(str, arguments)])

    source, output = written(30, ".csv"), tmp_path / "r.html"
    result = run(source, "-o", output)
    assert (result.exit_code, result.output) == (0, "")
    check(output.read_text("utf-8"))
    assert run(source, "-o", output).exit_code == 2
    assert run(source, "-o", tmp_path / "r.txt").exit_code == 2
    for name, content in {"a.csv": "x,y\n1,2\n", "b.jsonl": "{}\n", "c.jsonl": "[", "d.txt": "", "e.csv": ""}.items():
        (tmp_path / name).write_text(content)
        result = run(tmp_path / name, "-o", tmp_path / "x.html")
        assert result.exit_code == 3, result.output
        assert name in result.stderr
        assert "Traceback" not in result.stderr
