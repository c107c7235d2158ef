"""A small version of faults.py."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "faults.py"
MEMORY = Path("/dev/shm")  # where a flush costs nothing


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at Linux's /proc")
@pytest.mark.acceptance
def test_every_operation_on_the_disk_may_fail(tmp_path, sized, say):
    pytest.importorskip("pyarrow")
    place = MEMORY / f"noisediag-{tmp_path.parent.name}-{tmp_path.name}" if MEMORY.is_dir() else tmp_path / "f"
    try:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(place), *sized(("4", "3"), ("40", "1"))],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        subprocess.run(["rm", "-rf", str(place)], check=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for fault, ending in (("ENOSPC", 2), ("EIO", 2), ("SIGKILL", -9), ("power", -9)):
        assert int(re.search(rf"'{fault} {ending}': (\d+)", done.stdout)[1]) >= sized(8, 40)
    say(done.stdout)
