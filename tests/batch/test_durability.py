"""What a batch promises of its journal: on the disk when it says so, and never of two kinds of rows."""

import os

import pytest

from noisediag.batch.journal import RowJournal
from noisediag.batch.pool import Done, Limits
from noisediag.batch.run import BatchOptions, run
from noisediag.batch.walk import Walk
from noisediag.batch.worker import EstimateOptions
from noisediag.errors import UsageError
from noisediag.footprint.file import CheckpointId
from noisediag.reports import Failure
from noisediag.reports.rows import encoded

CHECKPOINT = CheckpointId("sensor", "0" * 64)
RUN = {"checkpoint": "0" * 64, "gain": None}


def reply(path):
    return {"row": {"path": path}, "cells": [[path]]}


@pytest.mark.skipif(os.name != "posix", reason="files are told by device and inode")
def test_rows_are_on_the_disk_when_append_returns(tmp_path, monkeypatch):
    """Power may fail at any moment after that. What `os.fsync` was not called for is in the system's memory only."""
    synced = {}
    sync = os.fsync

    def recorded(descriptor):
        sync(descriptor)
        found = os.fstat(descriptor)
        synced[found.st_dev, found.st_ino] = found.st_size

    monkeypatch.setattr(os, "fsync", recorded)
    path = tmp_path / "r.journal"
    with RowJournal(path, RUN, resume=False) as journal:
        for name in "abc":
            journal.append([(f"key of {name}", reply(name))])
            found = path.stat()
            assert synced[found.st_dev, found.st_ino] == found.st_size
            assert name.encode() in path.read_bytes().splitlines()[-1]
    folder = tmp_path.stat()
    assert (folder.st_dev, folder.st_ino) in synced  # the name of a new file, too


@pytest.mark.parametrize("run", [{**RUN, "linear": True}, {"checkpoint": RUN["checkpoint"]} | {"offset": 3.0}])
def test_an_option_that_the_first_run_did_not_have_is_another_run(tmp_path, run):
    """A later version may know more options, which change the rows."""
    path = tmp_path / "r.journal"
    with RowJournal(path, RUN, resume=False):
        pass
    before = path.read_bytes()
    with pytest.raises(UsageError, match="rows would not belong together"):
        RowJournal(path, run, resume=True).__enter__()
    assert path.read_bytes() == before


def test_an_option_at_its_default_is_the_same_run(tmp_path):
    path = tmp_path / "r.journal"
    with RowJournal(path, RUN, resume=False):
        pass
    with RowJournal(path, {**RUN, "linear": None}, resume=True):
        pass


class Locked:
    """Workers that may not read a file; `unlocked`, they may."""

    def __init__(self, *, unlocked):
        self.unlocked, self.asked = unlocked, []

    def start(self):
        return CHECKPOINT, "cpu"

    def run(self, paths):
        self.asked += paths
        for index, path in enumerate(paths):
            outcome = Failure(path, "unreadable" if self.unlocked else "permission", "no")
            yield [Done(index, encoded(outcome, CHECKPOINT))]

    def close(self):
        pass


class Nobody:
    def begin(self, total, done):
        pass

    def rows(self, rows):
        pass


def test_a_file_that_could_not_be_opened_is_tried_again_and_a_damaged_one_is_not(tmp_path):
    """Permissions have no date: the file is as it was when it may be read at last."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tif").write_bytes(b"fine")

    def asked(workers, *, resume):
        options = BatchOptions(
            Walk(tmp_path / "in"), EstimateOptions(), Limits(10, None), (tmp_path / "r.jsonl",), resume=resume
        )
        run(options, workers, Nobody())
        return len(workers.asked)

    assert asked(Locked(unlocked=False), resume=False) == 1
    assert asked(Locked(unlocked=True), resume=True) == 1
    assert asked(Locked(unlocked=True), resume=True) == 0
