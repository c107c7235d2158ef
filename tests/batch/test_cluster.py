"""The same rows from a Dask cluster, whatever becomes of its workers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
