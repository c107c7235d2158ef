"""Every input of corpus/ through its target, without atheris: what once broke something does not do so again."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("targets", Path(__file__).parent / "targets.py")
targets = importlib.util.module_from_spec(spec)
spec.loader.exec_module(targets)
INPUTS = sorted(path for path in (Path(__file__).parent / "corpus").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_only_errors_in_words(tmp_path, path):
    targets.run(path.parent.name, path.read_bytes(), tmp_path)


def test_every_target_has_inputs():
    assert {path.parent.name for path in INPUTS} == set(targets.TARGETS)


def test_other_errors_are_found(tmp_path, monkeypatch):
    monkeypatch.setitem(targets.TARGETS, "labels", lambda data, folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        targets.run("labels", b"", tmp_path)


def test_the_command_runs_a_target_for_a_time(tmp_path):
    pytest.importorskip("atheris")
    command = [
        sys.executable,
        str(Path(__file__).parent / "run.py"),
        "labels",
        "--seconds",
        "1",
        "--keep",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("labels: nothing stat::number_of_executed_units: ")
