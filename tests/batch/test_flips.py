"""A small version of flips.py."""

import importlib.util
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("flips", Path(__file__).parent / "flips.py")
flips = importlib.util.module_from_spec(spec)
sys.modules["flips"] = flips
spec.loader.exec_module(flips)


@pytest.mark.acceptance
def test_no_flipped_bit_becomes_another_number(tmp_path, sized, say):
    count = sized(30, 2000)
    seen = flips.check(tmp_path / "f", count)
    assert sum(seen.values()) == count
    assert seen["journal, 1 rows again"] > 0
    assert seen["part, refused and mended"] == count // 2
    say(str(dict(seen)))
