"""The cost study, with stand-ins that take a known time."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from noisediag import images
from noisediag.benchmark import cost, speed
from noisediag.benchmark.cost import PNG, RAW, CostOptions
from noisediag.benchmark.speed import Format

BUSY_S, START_S, FILE_S = 0.05, 0.2, 0.02
SIZES = (Format(64, 64, 2), Format(64, 96, 1))
FILES = (1, 4, 8)
SPIN = "import sys, time\nwhile time.process_time() < float(sys.argv[1]): pass"


@pytest.fixture(scope="module")
def result(checkpoint_id):
    seen: list[images.Image] = []

    class Model:
        checkpoint = checkpoint_id

        def estimate(self, image):
            seen.append(image)
            end = time.process_time() + BUSY_S
            while time.process_time() < end:
                pass

    def batch(paths):
        assert {Path(path).is_file() for path in paths} == {True}
        subprocess.run([sys.executable, "-c", SPIN, str(START_S + FILE_S * len(paths))], check=True)

    found = cost.run(CostOptions(formats=SIZES, files=FILES), models=lambda: {"noisediag": Model()}, batches=batch)
    return found, seen


@pytest.fixture(scope="module")
def checkpoint_id():
    from noisediag.footprint.file import CheckpointId

    return CheckpointId("sensor", "0" * 64)


def test_times_of_pictures_and_of_batches(result) -> None:
    found, seen = result
    assert [image.domain for image in seen] == ["linear"] * 3 + ["raw-linear"] * 3 + (
        ["linear"] * 2 + ["raw-linear"] * 2
    )
    assert len(seen[3].planes) == 4
    pictures = [row for row in found.rows if row.what != "batch"]
    assert [(row.what, row.width_px) for row in pictures] == [(PNG, 64), (RAW, 64), (PNG, 96), (RAW, 96)]
    for row in pictures:
        assert row.model_s == pytest.approx(BUSY_S, rel=0.5)
        assert 0 < row.reading_s == pytest.approx(row.cpu_seconds - row.model_s)
    assert [row.files for row in found.rows if row.what == "batch"] == list(FILES)
    assert found.file_s == pytest.approx(FILE_S, rel=0.4)
    assert found.start_s == pytest.approx(START_S, rel=0.4)


def test_what_is_written(result, tmp_path: Path) -> None:
    found, _ = result
    stream = io.StringIO()
    Console(width=80, file=stream).print(cost.render(found))
    assert "64 x 96" in stream.getvalue()
    assert "files a second and core" in stream.getvalue()
    assert len(list(csv.DictReader(io.StringIO(cost.dumps_csv(found))))) == len(found.rows)
    document = json.loads(cost.dumps(found))
    assert document["schema"] == "noisediag.cost/1"
    assert document["rows"][-1]["reading_s"] is None
    cost.draw(found, tmp_path / "cost.png")
    with Image.open(tmp_path / "cost.png") as plot:
        assert plot.width > 1000


def test_a_batch_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cost.write_picture(PNG, speed.picture(Format(64, 64, 1), 0), path)
    before = cost._children_s()
    cost.run_batch([str(path)] * 2)
    assert cost._children_s() > before
