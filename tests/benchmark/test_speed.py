"""The speed study, with a stand-in that takes a known time."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from typing import ClassVar

import numpy as np
import pytest
import torch
from rich.console import Console

from noisediag import engine
from noisediag.benchmark import processes, speed
from noisediag.benchmark.speed import FROM_ARRAY, REFERENCE, Format, SpeedOptions
from noisediag.errors import NoisediagError, UsageError

SMALL, WIDE = Format(64, 64, 3), Format(64, 160, 1)
BUSY_S = 0.05


@pytest.fixture
def models(make_footprint):
    """An estimate that keeps the processor busy for BUSY_S, and says how many threads torch has."""

    class Model:
        checkpoint = make_footprint().checkpoint
        threads: ClassVar[set[int]] = set()
        calls = 0

        def estimate(self, image):
            end = time.process_time() + BUSY_S
            while time.process_time() < end:
                pass
            Model.threads.add(torch.get_num_threads())
            Model.calls += 1

    return lambda: {"noisediag": Model()}


def test_times_are_those_of_the_process_on_one_thread(models) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        result = speed.run(SpeedOptions(formats=(SMALL, WIDE), both_engines=False, cold_repeats=0), models=models)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    model = type(models()["noisediag"])
    assert model.threads == {1}
    assert model.calls == 4 * (4 + 2)  # one to warm up; on an image, from the array, and from two files
    rows = {(row.method, row.width_px): row for row in result.rows}
    for width in (64, 160):
        for method in ("noisediag", FROM_ARRAY, "noisediag, gray PNG", "noisediag, colour PNG"):
            assert rows[method, width].cpu_seconds == pytest.approx(BUSY_S, rel=0.5)
        assert rows[REFERENCE, width].times_reference == 1
        ratio = rows["noisediag", width].cpu_seconds / rows[REFERENCE, width].cpu_seconds
        assert rows["noisediag", width].times_reference == pytest.approx(ratio)
    assert {"block fit", "Liu 2013", "Immerkaer", "Chen 2015"} <= {method for method, _ in rows}
    assert result.notes == ()

    stream = io.StringIO()
    Console(width=80, file=stream).print(speed.render(result))
    assert "64 x 160" in stream.getvalue()
    assert len(list(csv.DictReader(io.StringIO(speed.dumps_csv(result))))) == len(result.rows)
    assert json.loads(speed.dumps(result))["schema"] == "noisediag.speed/1"


def test_methods_that_would_fill_the_memory_are_left_out(models, monkeypatch) -> None:
    monkeypatch.setattr(speed, "MEMORY_GB", 64 * 64 * 49 * 8 / 1e9)  # enough for Liu's 7 x 7, not for Chen's 8 x 8
    result = speed.run(SpeedOptions(formats=(SMALL,), both_engines=False, cold_repeats=0), models=models)
    methods = {row.method for row in result.rows}
    assert "Liu 2013" in methods
    assert "Chen 2015" not in methods
    assert result.notes[0].startswith("Chen 2015 left out at 64 x 64")


def test_pictures_are_laid_out_to_size_and_noisy(monkeypatch) -> None:
    monkeypatch.setattr(speed, "SCENE_PX", 64)
    codes = speed.picture(Format(100, 200, 1), seed=0)
    assert codes.shape == (100, 200)
    assert codes.dtype == np.uint16
    assert (np.diff(codes.astype(int)) != 0).mean() > 0.5
    assert (speed.picture(Format(100, 200, 1), seed=0) == codes).all()
    assert (speed.picture(Format(100, 200, 1), seed=1) != codes).any()


def test_without_scikit_image_one_line_says_so(models, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    with pytest.raises(UsageError, match=r"noisediag\[benchmark\]"):
        speed.run(SpeedOptions(formats=(SMALL,), both_engines=False, cold_repeats=0), models=models)


def test_whole_processes_and_the_other_engine(models, monkeypatch) -> None:
    """Real ones, once each: what is told is what a process of its own takes."""
    monkeypatch.setattr(speed, "COLD", ((64, "PNG"),))
    result = speed.run(SpeedOptions(formats=(SMALL,), cold_repeats=1), models=models)
    warm = {row.method: row for row in result.rows if row.start == "warm"}
    other = f"noisediag ({'numpy' if engine.name() == 'torch' else 'torch'})"
    assert 0 < warm[other].cpu_seconds < 2
    cold = [row for row in result.rows if row.start == "cold"]
    assert {(row.method, row.what) for row in cold} == {
        (method, "PNG") for method in ("noisediag (numpy)", "noisediag (torch)", REFERENCE)
    }
    by_method = {row.method: row for row in cold}
    assert by_method["noisediag (numpy)"].peak_mb < by_method["noisediag (torch)"].peak_mb
    assert by_method["noisediag (numpy)"].cpu_seconds < by_method["noisediag (torch)"].cpu_seconds
    assert by_method[REFERENCE].times_reference == 1
    stream = io.StringIO()
    Console(width=80, file=stream).print(speed.render(result))
    assert "whole processes" in stream.getvalue()
    assert max(map(len, stream.getvalue().splitlines())) <= 80


def test_a_process_that_fails_is_one_line() -> None:
    with pytest.raises(NoisediagError, match="ended with 3"):
        processes.cost([sys.executable, "-c", "raise SystemExit(3)"], "numpy")
