"""A line a file: what it says, how it is cut, and the orders it can be put in."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len

from noisediag.footprint.file import CheckpointId
from noisediag.reports import Failure, json, overview
from noisediag.reports.overview import HEADINGS, SORTS, Layout

CHECKPOINT = CheckpointId("sensor", "0" * 64)


@pytest.fixture
def row(make_footprint):
    return lambda **changes: json.row(make_footprint(**changes), CHECKPOINT)


@pytest.fixture
def failed():
    return json.row(Failure("gone.png", "unreadable", "no such file"), CHECKPOINT)


def test_what_a_line_says(row, failed):
    assert overview.cells(row(flags=("clipped", "misfit"))) == (
        *("photo.dng", "Maker One", "400", "raw-linear", "0.0019", "3.00", "2.38 e-", "clipped, law does not fit"),
    )
    assert overview.cells(failed) == ("gone.png", "", "", "unreadable", "-", "-", "-", "no such file")


def test_no_electrons_in_rendered_pictures(row):
    cells = overview.cells(row(domain="rendered", flags=("rendered",), acquisition={}))
    assert cells[5:] == ("-", "0.79 DN", "")
    assert cells[1:3] == ("-", "-")


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({"Make": "Canon", "Model": "Canon EOS 20D"}, "Canon EOS 20D"),
        ({"Make": "NIKON CORPORATION", "Model": "NIKON D600"}, "NIKON D600"),
        ({"Make": "LGE", "Model": "Nexus 4"}, "LGE Nexus 4"),
        ({"Model": "X"}, "X"),
        ({}, ""),
    ],
)
def test_maker_and_model_without_saying_it_twice(tags, name):
    assert overview.camera(tags) == name


@pytest.mark.parametrize("width", range(60, 201, 7))
def test_lines_fit_the_terminal(row, failed, width):
    """Wide characters count twice, and the end of a name, where files differ, is kept."""
    names = ["a/very/long/folder/name/" * 4 + "IMG_0001.dng", "写真/" * 12 + "一.png", "b.tif"]
    layout = Layout.of(names, width)
    lines = [layout.heading(), layout.line(overview.cells(failed))]
    lines += [
        layout.line(overview.cells(row(path=name, flags=("clipped", "misfit", "out_of_domain", "assumed_scale"))))
        for name in names
    ]
    assert max(map(cell_len, lines)) <= width
    assert "0001.dng" in lines[2]
    assert "read noise" in lines[0]
    assert not any(line != line.rstrip() for line in lines)


def test_a_pipe_gets_all_of_it(row):
    name = "x" * 300 + ".dng"
    layout = Layout.of([name], None)
    line = layout.line(overview.cells(row(path=name, flags=("clipped", "misfit", "uneven", "assumed_scale"))))
    assert name in line
    assert line.endswith("clipped, law does not fit, uneven, scale assumed")
    assert all(heading in layout.heading() for heading in HEADINGS)


@pytest.mark.parametrize("by", SORTS)
def test_orders(row, failed, make_plane, by):
    rows = [failed, row(path="d", acquisition={}, domain="linear")]
    for number in range(1, 4):
        plane = make_plane(values={"shot_gain": number * 1e-5, "read_noise": number * 1e-5})
        acquisition = {"Make": f"M{number}", "ISO": 100 * number}
        rows.append(row(path=f"{number}", planes=(plane,), acquisition=acquisition, flags=("clipped",) * (3 - number)))
    random.Random(by).shuffle(rows)
    found = [one["path"] for one in overview.ordered(rows, by)]
    turned = [one["path"] for one in overview.ordered(rows, by, reverse=True)]
    assert sorted(found) == sorted(turned)
    if by != "file":
        assert found[-1] == turned[-1] == "gone.png" or by in ("camera", "iso")
    in_order = [path for path in found if path in "123"]
    if by == "gain":  # e-/DN, the inverse of what grows
        assert in_order == ["3", "2", "1"]
    elif by in ("file", "camera", "iso", "sigma", "flags"):
        assert in_order == ["1", "2", "3"]
        assert [path for path in turned if path in "123"] == ["3", "2", "1"]
