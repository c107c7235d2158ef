"""A small version of mixed.py."""

import importlib.util
import os
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("mixed", Path(__file__).parent / "mixed.py")
mixed = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mixed)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_mixed_files_have_a_row_each_however_often_the_run_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(mixed, "PLANTED", ("segfault", "locked"))  # test_pool.py has the others: they take their time
    monkeypatch.setattr(mixed, "KINDS", mixed.KINDS - 2)
    statuses = mixed.check(tmp_path, 32, kills=1)
    assert set(statuses) >= {"ok", "crashed", "memory", "permission", "truncated", "unreadable"}
