"""Batches of tiny files, and workers that need no model."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from noisediag.cli import app
from noisediag.studies.batch import pool

HERE = Path(__file__).parent
COMMAND = f"import sys; sys.path[:] = [*sys.argv[1:], {str(HERE)!r}]; import misbehaving; misbehaving.main()"


@pytest.fixture
def quick(monkeypatch):
    """Workers that do what the files say."""
    monkeypatch.setattr(pool, "_COMMAND", COMMAND)
    return COMMAND


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures in two folders, one of them damaged, and something that is no picture."""
    inside = tmp_path / "in"
    (inside / "sub").mkdir(parents=True)
    for number in range(11):
        (inside / ("sub" if number % 2 else ".") / f"{number:02}.tif").write_bytes(b"fine")
    (inside / "short.tif").write_bytes(b"short")
    (inside / "notes.txt").write_bytes(b"words")
    return inside


@pytest.fixture
def run():
    """`run("batch", ...)`: the command line in this process."""

    def call(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call
