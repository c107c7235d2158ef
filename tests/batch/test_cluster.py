"""The same rows from a Dask cluster, whatever becomes of its workers."""

import os
import subprocess
import sys
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from noisediag import __version__
from noisediag.batch import cluster
from noisediag.batch.pool import Limits, Origin
from noisediag.batch.worker import EstimateOptions
from noisediag.errors import CheckpointError, NoisediagError, UsageError
from noisediag.footprint.file import CheckpointId

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


def test_a_dask_worker_with_another_version_ends_the_run():
    """Each is asked with each task, whenever it came: what it was started from may have been updated since."""
    task = cluster.Task(EstimateOptions(), Limits(60, None), ".", "one", version="0.0.1")
    with pytest.raises(UsageError, match=rf"has noisediag {__version__}, and the run 0\.0\.1"):
        cluster._measure(task, Origin(CheckpointId("sensor", "0" * 64), "cpu"), ["a.tif"])
    assert not cluster._workers


def test_a_dask_worker_with_another_checkpoint_ends_the_run(quick, folder):
    task = cluster.Task(EstimateOptions(), Limits(60, None), str(folder), "one")
    try:
        assert cluster._describe(task) == (("sensor", "0" * 64), "cpu")
        (row,) = cluster._measure(task, Origin(CheckpointId("sensor", "0" * 64), "cpu"), ["00.tif"])
        assert row["row"]["status"] == "ok"
        with pytest.raises(CheckpointError, match="rows would not belong together"):
            cluster._measure(task, Origin(CheckpointId("sensor", "1" * 64), "cpu"), ["00.tif"])
    finally:
        cluster._workers.popitem()[1][1].close()


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (CancelledError(), "scheduler is gone; --resume goes on"),
        (StopIteration(), "scheduler is gone; --resume goes on"),
        (TypeError("no such\nargument"), "the cluster: TypeError: no such argument"),
        (CheckpointError("damaged"), "^damaged$"),
    ],
)
def test_what_dask_raises_is_one_line(raised, said):
    """Workers may have other versions of everything; a scheduler may go. What came before stays in the journal."""
    crew = cluster.Cluster(EstimateOptions(), Limits(60, None), scheduler="tcp://x:1", kind=None, count=1)

    def raises(*_, **__):
        raise raised

    crew._distributed = SimpleNamespace(as_completed=SimpleNamespace, KilledWorker=KeyError)
    crew._client = SimpleNamespace(
        nthreads=lambda: {"w": 1}, submit=raises, cancel=raises, run=raises, close=raises, status="running"
    )
    with pytest.raises(NoisediagError, match=said):
        next(crew.run(["a.tif"]))
    crew.close()


SBATCH = """#!/bin/sh
cp "$1" {folder}/job.sh
setsid sh {folder}/job.sh > {folder}/job.log 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
echo "$1" >> {folder}/cancelled
kill -- -"$1"
"""
SETTINGS = {
    "DEATH_TIMEOUT": "240",
    "CORES": "1",
    "MEMORY": "3GB",
    "QUEUE": "long",
    "ACCOUNT": "lab",
    "INTERFACE": "lo",
    "WALLTIME": "02:00:00",
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="jobs of their own session, on the interface lo")
def test_slurm_is_given_a_job_that_works_and_takes_it_back(tmp_path):
    pytest.importorskip("dask_jobqueue")
    inside, programs = tmp_path / "in", tmp_path / "bin"
    inside.mkdir()
    programs.mkdir()
    rng = np.random.default_rng(2)
    for number in range(3):
        codes = rng.normal(128, 9, (32, 32)).clip(0, 255).round().astype(np.uint8)
        Image.fromarray(codes).save(inside / f"{number}.png")
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):  # a cluster of this one machine
        (programs / name).write_text(text.format(folder=tmp_path))
        (programs / name).chmod(0o755)
    settings = {f"DASK_JOBQUEUE__SLURM__{name}": value for name, value in SETTINGS.items()}
    options = ("-o", str(tmp_path / "slurm.jsonl"), "--cluster", "slurm", "--workers", "1", "--device", "cpu")
    done = subprocess.run(
        [sys.executable, "-m", "noisediag", "batch", str(inside), *options],
        env={**os.environ, **settings, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    job = (tmp_path / "job.sh").read_text().splitlines()
    assert {"#SBATCH -p long", "#SBATCH -A lab", "#SBATCH -n 1", "#SBATCH --mem=3G", "#SBATCH -t 02:00:00"} <= set(job)
    assert "dask_worker tcp://127.0.0.1:" in job[-1]
    assert len(set((tmp_path / "cancelled").read_text().splitlines())) == 1
    own = ("-o", str(tmp_path / "pool.jsonl"), "--workers", "1", "--device", "cpu")  # a process without stand-ins
    subprocess.run([sys.executable, "-m", "noisediag", "batch", str(inside), *own], check=True, timeout=300)
    assert (tmp_path / "slurm.jsonl").read_bytes() == (tmp_path / "pool.jsonl").read_bytes()
