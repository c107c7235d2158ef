"""What takes too long ends: by a signal, or, in native code, with the process, and nothing that is done is lost."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from noisediag.errors import LateError
from noisediag.reports.deadline import deadline

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers of the system")
STUCK = """
import hashlib
from noisediag.images import formats, reading
from noisediag.reports import deadline
deadline.GRACE_S = 0.3
real = reading.identify
def hang(path):
    if path.name == "late.npy":
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # minutes of native code that lets other threads run
    return real(path)
reading.identify = hang
from noisediag.cli import main
main()
"""


def test_waiting_is_interrupted_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(LateError, match=r"not done after 0.05 s"), deadline(0.05):
        time.sleep(30)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    with deadline(30):
        pass
    with deadline(float("inf")), deadline(None):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_what_swallows_every_exception_is_interrupted():
    def stubborn():
        with deadline(0.05):
            while True:
                with contextlib.suppress(Exception):  # as decoders do
                    time.sleep(30)

    with pytest.raises(LateError):
        stubborn()


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), deadline(30):
        1 / 0  # noqa: B018


def test_a_thread_has_no_signal_and_no_error():
    done = []

    def work():
        with deadline(0.01):
            time.sleep(0.05)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_native_code_ends_the_process_and_what_was_done_is_written(tmp_path):
    for name in ("good.npy", "late.npy"):
        np.save(tmp_path / name, np.random.default_rng(1).integers(900, 1100, (48, 48), dtype=np.uint16))
    files = [str(tmp_path / name) for name in ("good.npy", "late.npy")]
    output = tmp_path / "r.json"
    command = [
        sys.executable,
        "-c",
        STUCK,
        "estimate",
        *files,
        "--timeout",
        "3",
        "-o",
        str(output),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 3, done.stderr
    assert "late.npy: not done after 3 s, nor to be interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    rows = json.loads(output.read_text("utf-8"))["images"]
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert rows[1]["error"]["code"] == "timeout"
