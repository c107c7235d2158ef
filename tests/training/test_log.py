"""The log of a training run: whole lines, no step twice, whatever it was interrupted at."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from noisediag.errors import UsageError
from noisediag.training.log import Log


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_repeated_after_a_resume_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = Log(path, resume=False)
    for step in (50, 100):
        log.add("encoder", "contrast", step, {"loss": 1.0 / step})
    again = Log(path, resume=True)
    again.begin("encoder")
    for step in (100, 150):
        again.add("encoder", "contrast", step, {"loss": 1.0 / step})
    again.add("encoder", "validation", 150, {"info_nce": 0.5})
    entries = lines(path)
    assert [(e["part"], e["step"]) for e in entries] == [
        *(("contrast", step) for step in (50, 100, 150)),
        ("validation", 150),
    ]
    assert [e["seconds"] for e in entries] == sorted(e["seconds"] for e in entries)
    assert set(entries[0]) == {"stage", "part", "step", "seconds", "loss"}


def test_time_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"stage": "paper", "part": "paper", "step": 50, "seconds": 1000.0}\n')
    log = Log(path, resume=True)
    log.add("paper", "paper", 100, {})
    log.add("sensor", "curve", 50, {})
    assert [math.floor(e["seconds"]) for e in lines(path)] == [1000, 1000, 0]


def test_a_line_that_was_cut_off_is_dropped_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    Log(path, resume=False).add("encoder", "contrast", 50, {"loss": 1.0})
    with path.open("a") as file:
        file.write('{"stage": "encoder", "part": "contr')
    Log(path, resume=True).add("encoder", "contrast", 100, {"loss": math.nan})
    assert [(e["step"], e["loss"]) for e in lines(path)] == [(50, 1.0), (100, None)]
    path.write_text("not json\n" + path.read_text())
    with pytest.raises(UsageError, match="line 1 is damaged"):
        Log(path, resume=True)


def test_a_new_run_begins_a_new_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    Log(path, resume=False).add("encoder", "contrast", 50, {})
    Log(path, resume=False)
    assert path.read_text() == ""
    with pytest.raises(UsageError, match="cannot be written"):
        Log(tmp_path / "no" / "log.jsonl", resume=False)
