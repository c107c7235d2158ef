"""The same rows from a Dask cluster, whatever becomes of its workers."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed")
SCRIPT = Path(__file__).parent / "cluster_run.py"


def test_a_cluster_that_loses_a_worker_gives_the_rows_of_the_pool(quick, run, tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    for number in range(60):
        (inside / f"{number:02}.tif").write_bytes(b"slow" if number % 7 else b"short")
    (inside / "bad.tif").write_bytes(b"segfault")
    run("batch", inside, "-o", tmp_path / "pool.jsonl", "--workers", 1)
    command = [sys.executable, str(SCRIPT), str(inside), str(tmp_path / "dask.jsonl"), quick]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "51 10\n"
    assert (tmp_path / "dask.jsonl").read_bytes() == (tmp_path / "pool.jsonl").read_bytes()


def test_an_address_without_a_scheduler(run, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    code = (
        "import sys; sys.argv = ['noisediag', 'batch', sys.argv[1], '-o', sys.argv[2], '--scheduler', 'tcp://127.0.0.1:9']\n"
        "from noisediag.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "x.jsonl")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "tcp://127.0.0.1:9: cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
