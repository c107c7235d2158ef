"""A small version of mutate.py."""

import importlib.util
from pathlib import Path

spec = importlib.util.spec_from_file_location("mutate", Path(__file__).parent / "mutate.py")
mutate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mutate)


def test_damaged_files_have_a_row_each(tmp_path):
    statuses, *_ = mutate.check(tmp_path, 60, workers=1)
    assert sum(statuses.values()) == 60
    assert len(statuses) > 2
