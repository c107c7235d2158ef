"""Batches of tiny files, and workers that need no model."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from noisediag.batch import pool
from noisediag.cli import app

HERE = Path(__file__).parent
COMMAND = f"import sys; sys.path[:] = [*sys.argv[1:], {str(HERE)!r}]; import misbehaving; misbehaving.main()"


@pytest.fixture(scope="module")
def quick():
    """Workers that do what the files say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_COMMAND", COMMAND)
        yield COMMAND


@pytest.fixture(scope="session")
def fill():
    """`fill(folder)`: twelve pictures in two folders, one of them damaged, and something that is no picture."""

    def make(folder):
        (folder / "sub").mkdir(parents=True)
        for number in range(11):
            (folder / ("sub" if number % 2 else ".") / f"{number:02}.tif").write_bytes(b"fine")
        (folder / "short.tif").write_bytes(b"short")
        (folder / "notes.txt").write_bytes(b"words")
        return folder

    return make


@pytest.fixture
def folder(fill, tmp_path):
    return fill(tmp_path / "in")


@pytest.fixture(scope="session")
def run():
    """`run("batch", ...)`: the command line in this process."""

    def call(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call
