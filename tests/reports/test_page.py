"""The page, from reports made by hand."""

import base64
import hashlib
import json
import math
import random
import re
import time
from html.parser import HTMLParser
from importlib import resources
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from noisediag.cli import app
from noisediag.footprint.file import CheckpointId
from noisediag.reports import Failure, csv, records, thumbnails
from noisediag.reports import json as json_report
from noisediag.reports import page as report

CHECKPOINT = CheckpointId("sensor", "0" * 64)
OURS = resources.files("noisediag.reports").joinpath("templates", "page.js").read_text("utf-8")


class Checker(HTMLParser):
    """Whether every element is closed, and what leads out of the page."""

    VOID = frozenset(("meta", "img", "br", "link", "input"))

    def __init__(self):
        super().__init__()
        self.open, self.outside, self.ids, self.targets, self.tags, self.files = [], [], set(), set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href") and not value.startswith(("data:", "#")):
                (self.files if tag == "a" and not urlsplit(value).scheme else self.outside).append(value)
            if name == "href" and value.startswith("#"):
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
    assert checker.tags.count("script") == 1
    assert page.count("<script>") == 1
    assert page.count(OURS) == 1
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
    contents = records.load(written(40, suffix))
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
    source = written(400, ".csv")
    contents = records.load(source)
    found = [record.path for _, _, record in records.outliers(contents.records)]
    doubled = {record.path for record in contents.records if int(record.path[-8:-4]) % 20 == 7}
    assert set(found[:20]) == doubled  # 5 % of the files; all ISOs in one list
    assert len(report.page(source, thumbnails=False)) < 300_000
    _, times, _ = records.outliers(contents.records)[0]
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
    page = report.page(path, thumbnails=True, folder=tmp_path)
    checker = check(page)
    assert "b" not in checker.tags
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
    card = thumbnails.thumbnail(str(tmp_path / "a.tif"), digest)
    assert (card.reason, card.whole[:4], card.middle[:4]) == (None, b"\x89PNG", b"\x89PNG")
    assert thumbnails.thumbnail(str(tmp_path / "gone.tif"), digest).reason == "no such file"
    for other in (None, "", "0" * 64):
        card = thumbnails.thumbnail(str(tmp_path / "a.tif"), other)
        assert (card.whole, card.middle, card.reason) == (None, None, "is not the file that was measured")


def test_a_thumbnail_that_takes_too_long_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(thumbnails, "THUMBNAIL_S", 0.05)
    monkeypatch.setattr(thumbnails, "read", lambda path: time.sleep(30))
    assert thumbnails.thumbnail(str(tmp_path / "a.tif"), "").reason == "not done after 0.05 s"


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


def test_the_sentence_above_it_all(written, make_footprint, tmp_path):
    page = report.page(written(400, ".csv"), thumbnails=False)
    assert (
        "401 files, of which 1 failed; 1 camera (Maker One); taken from 2024-01-10 to 2024-12-10; the noise of" in page
    )
    found = records.outliers(records.load(tmp_path / "r.csv").records)
    count = sum(abs(score) > 3.5 for score, _, _ in found)
    assert count >= 5
    assert f"the noise of {count} stand out." in page
    (tmp_path / "one.csv").write_text(csv.dumps([make_footprint(acquisition={})], CHECKPOINT), encoding="utf-8")
    page = report.page(tmp_path / "one.csv", thumbnails=False)
    assert "1 file; no camera named; no date; too few to tell whether any stands out." in page


def test_the_table_has_every_file_with_a_link_that_leads_to_it(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = written(40, ".jsonl")
    (tmp_path / "pages").mkdir()
    checker = check(report.page(source, thumbnails=False, folder=tmp_path / "pages"))
    wanted = {record.path for record in records.load(source).records} | {"in/<b>&.tif"}
    assert {unquote(href) for href in checker.files} == {f"../{path}" for path in wanted}
    assert checker.tags.count("tr") > len(wanted)
    assert not check(report.page(source, thumbnails=False)).files  # nobody knows from where


def test_what_every_format_says_of_a_file_is_the_same(written):
    lines = {
        suffix: report.listing(contents, report.scores_of(records.outliers(contents.records)), None).lines
        for suffix in (".csv", ".jsonl", ".json")
        if (contents := records.load(written(40, suffix)))
    }
    assert lines[".csv"] == lines[".jsonl"] == lines[".json"]
    by_name = {line.name: line for line in lines[".json"]}
    line = by_name["b/0003.dng"]
    assert (line.camera, line.iso, line.date, line.domain) == ("Maker One", "1600", "2024-01-10", "raw-linear")
    assert all((line.sigma, line.times, line.at_18, line.gain))
    assert by_name["<b>&.tif"].remark == "failed, truncated: ends early"
    assert [line.name for line in lines[".json"] if "o" in line.kinds] == ["a/0007.dng", "b/0027.dng"]


def test_too_many_files_for_a_table_leave_those_that_matter(written, monkeypatch):
    monkeypatch.setattr("noisediag.reports.listing.MOST_LINES", 5)
    page = report.page(written(60, ".jsonl"), thumbnails=False)
    check(page)
    assert "The first 5 of 61," in page
    for path in ("&lt;b&gt;&amp;.tif", "0007.dng", "0027.dng", "0047.dng"):
        assert f'<th scope="row">{path}' in page or f"/{path}</th>" in page


def test_the_policy_lets_our_script_run_and_nothing_else(written):
    page = report.page(written(3, ".csv"), thumbnails=False)
    inside = page[page.index("<script>") + 8 : page.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page


def test_many_failures_are_in_sight_with_their_reasons(tmp_path):
    failed = [Failure(f"in/{number}.tif", "truncated", f"reason {number}") for number in range(30)]
    (tmp_path / "r.csv").write_text(csv.dumps(failed, CHECKPOINT), encoding="utf-8")
    page = report.page(tmp_path / "r.csv", thumbnails=False)
    check(page)
    assert "30 files, of which 30 failed." in page
    assert "Files that failed: 30" in page
    assert "10 more</summary>" in page
    assert page.index("reason 19") < page.index("10 more</summary>") < page.index("reason 29")
