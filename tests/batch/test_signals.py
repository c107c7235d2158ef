"""What the system does to a run: signals, closed pipes, full disks, streams that are not there."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from noisediag import __version__
from noisediag.batch import pool
from noisediag.batch.pool import Limits, Origin, Worker
from noisediag.batch.worker import EstimateOptions
from noisediag.errors import CheckpointError, UsageError
from noisediag.footprint.file import CheckpointId

posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes as POSIX has them")
FULL = Path("/dev/full")
full = pytest.mark.skipif(not FULL.exists(), reason="looks at Linux's /dev/full")
MAIN = "from noisediag.cli import main; main()"
CODE = f"import noisediag.batch.pool as pool; pool._COMMAND = %r\n{MAIN}"
ANSWERING = f"""
import json, sys
sys.stdin.readline()
checkpoint = {{"name": "sensor", "sha256": 64 * "0"}}
print(json.dumps({{"version": "{__version__}", "checkpoint": checkpoint, "device": "cpu"}}), flush=True)
sys.stdin.readline()
sys.stdout.buffer.write(%r)
sys.stdout.flush()
sys.stdin.read()
"""


def shell(words, redirected):
    """The command line with `redirected` streams: the exit code, and what stderr says."""
    command = f'"{sys.executable}" -c "{MAIN}" {words} {redirected}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr


@posix
@pytest.mark.parametrize(
    ("words", "redirected", "code", "said"),
    [
        ("--help", "| true", 141, ""),
        ("--help", ">&-", 0, ""),
        ("--version", ">&- 2>&- <&-", 0, ""),
        ("nothing", "2>&-", 2, ""),
        pytest.param("--help", "> /dev/full", 2, "noisediag: the output: No space left on device\n", marks=full),
        pytest.param("merge nothing -o x.jsonl", "2> /dev/full", 3, "", marks=full),
    ],
)
def test_streams_that_take_nothing(words, redirected, code, said):
    assert shell(words, redirected) == (code, said)


def started(quick, folder, output, *options, **settings):
    command = [sys.executable, "-c", CODE % quick, "batch", str(folder), "-o", str(output), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


def until_rows(journal, count=2):
    """Until so many are on the disk: those that come together are when the next ones follow."""
    deadline = time.monotonic() + 30
    written = None
    while written is None or journal.stat().st_size == written:
        assert time.monotonic() < deadline
        if written is None and journal.exists() and (found := journal.read_bytes()).count(b"\n") > count:
            written = len(found)
        time.sleep(0.01)


@pytest.fixture
def slow(tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    for number in range(300):
        (inside / f"{number:03}.tif").write_bytes(b"slow")
    return inside


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_signal_to_all_processes_loses_no_row_and_leaves_nothing(quick, slow, tmp_path, name):
    """As a terminal, a queueing system or a shutdown sends it: to the workers too, which is no fault of their files."""
    output, journal = tmp_path / "r.jsonl", tmp_path / "r.jsonl.journal"
    before = signal.signal(getattr(signal, name), signal.SIG_DFL)  # where tests run under nohup
    process = started(quick, slow, output, "--workers", "2", start_new_session=True)
    signal.signal(getattr(signal, name), before)
    with process:
        until_rows(journal)
        os.killpg(process.pid, getattr(signal, name))
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + getattr(signal, name)
    assert said == "noisediag: interrupted; the same command with --resume goes on from here\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "r.jsonl.journal"]
    entries = [json.loads(line[9:]) for line in journal.read_bytes().splitlines()[1:]]
    assert {entry["row"]["status"] for entry in entries} == {"ok"}


@posix
def test_what_is_ignored_stays_ignored(quick, folder, tmp_path):
    """`nohup noisediag batch ...` outlives its terminal."""
    options = {"start_new_session": True, "preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    with started(quick, folder, tmp_path / "r.jsonl", "--workers", "1", **options) as process:
        until_rows(tmp_path / "r.jsonl.journal", 1)
        os.killpg(process.pid, signal.SIGHUP)
        process.communicate(timeout=30)
    assert process.returncode == 3
    assert (tmp_path / "r.jsonl").exists()


@full
def test_a_summary_that_cannot_be_printed_costs_no_report(quick, folder, tmp_path):
    output = tmp_path / "r.jsonl"
    with open(FULL, "w") as stdout:
        command = [sys.executable, "-c", CODE % quick, "batch", str(folder), "-o", str(output), "--workers", "1"]
        done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.endswith("noisediag: the output: No space left on device\n")
    assert "Traceback" not in done.stderr
    assert len(output.read_text("utf-8").splitlines()) == 12


def test_stale_part_files_are_removed_by_resume(quick, folder, run, tmp_path):
    output = tmp_path / "r.jsonl"
    stale, others = tmp_path / f".r.jsonl.{'0a' * 16}.part", [tmp_path / ".r.jsonl.mine.part", tmp_path / "r.part"]
    for path in (stale, *others):
        path.write_bytes(b"half")
    run("batch", folder, "-o", output, "--workers", 1, "--resume")
    assert not stale.exists()
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("timeout", [float("inf"), 1e300])
def test_any_time(tmp_path, monkeypatch, timeout):
    picture = tmp_path / "a.tif"
    row = {"row": {"path": str(picture), "status": "ok"}, "cells": []}
    monkeypatch.setattr(pool, "_COMMAND", ANSWERING % (json.dumps({"replies": [row]}).encode() + b"\n"))
    worker = Worker(EstimateOptions(), Limits(timeout, None))
    assert worker.measure(str(picture)) == row
    worker.close()


@posix
def test_a_journal_that_is_a_pipe(quick, folder, run, tmp_path):
    os.mkfifo(tmp_path / "r.jsonl.journal")
    result = run("batch", folder, "-o", tmp_path / "r.jsonl", "--workers", 1, "--resume")
    assert result.exit_code == 2
    assert "r.jsonl.journal: is no file" in result.stderr


@posix
@pytest.mark.parametrize(
    ("code", "words"), [(-34, "SIGRTMIN"), (-36, "signal 36"), (-9, "SIGKILL"), (3, "exit code 3")]
)
def test_how_a_process_ended(code, words):
    if code == -34 and not hasattr(signal, "SIGRTMIN"):
        pytest.skip("no real-time signals")
    assert pool._ending(code) == words


def test_processes_that_cannot_be_started_are_one_line(quick, folder, run, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(pool.subprocess, "Popen", refuse)
    result = run("batch", folder, "-o", tmp_path / "r.jsonl", "--workers", 1)
    assert result.exit_code == 1
    assert result.stderr == f"noisediag: a worker process cannot be started: {os.strerror(errno.EAGAIN)}\n"


ORIGIN = Origin(CheckpointId("sensor", "0" * 64), "cpu")


@pytest.mark.parametrize(
    ("started", "error", "word"),
    [
        (
            Origin(CheckpointId("sensor", "1" * 64), "cpu"),
            CheckpointError,
            "111111111111.*began with sensor .000000000000",
        ),
        (Origin(ORIGIN.checkpoint, "cuda"), UsageError, "a worker is on cuda.*began on cpu"),
        (Origin(ORIGIN.checkpoint, "cpu", "0.0.1"), UsageError, "a worker has noisediag 0.0.1"),
    ],
)
def test_a_worker_of_another_kind_ends_the_run(started, error, word):
    with pytest.raises(error, match=word):
        ORIGIN.check(started)


def test_a_worker_that_starts_later_is_asked_too(quick, tmp_path):
    """A checkpoint is replaced, or the program updated, while the run goes on."""
    picture = tmp_path / "a.tif"
    picture.write_bytes(b"fine")
    worker = Worker(EstimateOptions(), Limits(60, None), origin=Origin(CheckpointId("sensor", "1" * 64), "cpu"))
    with pytest.raises(CheckpointError, match="rows would not belong together"):
        worker.measure(str(picture))
    assert worker.process is None


def test_a_later_worker_with_another_checkpoint_ends_the_run_in_one_line(quick, folder, run, tmp_path, monkeypatch):
    changed = quick.replace(
        "misbehaving.main()",
        "misbehaving.Estimator.checkpoint = misbehaving.hand_made.CheckpointId('sensor', 'f' * 64); misbehaving.main()",
    )
    start, commands = Worker.start, iter([quick])

    def later(self):
        monkeypatch.setattr(pool, "_COMMAND", next(commands, changed))
        start(self)

    monkeypatch.setattr(Worker, "start", later)
    result = run("batch", folder, "-o", tmp_path / "r.jsonl", "--workers", 2)
    assert result.exit_code == 5
    last = result.stderr.splitlines()[-1]
    assert last.startswith("noisediag: a worker loaded the checkpoint sensor (ffffffffffff), and the run began with")
    assert not (tmp_path / "r.jsonl").exists()


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xfe\n",
        b"[1]\n",
        b'{"row": 5}\n',
        b'{"replies": 5}\n',
        b'{"replies": []}\n',
        b'{"replies": [null]}\n',
        b'{"replies": [{"same": true}]}\n',
        b'{"replies": [{"row": 5, "cells": []}]}\n',
        b'{"replies": [{"row": {"path": "b.tif"}, "cells": []}]}\n',
        b"[" * 9999 + b"\n",
    ],
)
def test_a_process_that_answers_nonsense_costs_its_own_row(tmp_path, monkeypatch, answer):
    """A decoder that writes over memory may change what the process says, of this file or of another."""
    monkeypatch.setattr(pool, "_COMMAND", ANSWERING % answer)
    worker = Worker(EstimateOptions(), Limits(60, None))
    row = worker.measure(str(tmp_path / "a.tif"))["row"]
    assert row["error"] == {"code": "crashed", "message": "reading it damaged the process"}
    assert worker.process is None


@posix
def test_a_terminal_has_its_cursor_back(quick, slow, tmp_path):
    import pty

    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-c",
        CODE % quick,
        "batch",
        str(slow),
        "-o",
        str(tmp_path / "r.jsonl"),
        "--workers",
        "1",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(theirs)
        until_rows(tmp_path / "r.jsonl.journal")
        process.send_signal(signal.SIGTERM)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal ends on Linux
            while found := os.read(ours, 4096):
                shown += found
    os.close(ours)
    assert b"\x1b[?25l" in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert shown.rstrip().endswith(b"--resume goes on from here")
    assert process.returncode == 128 + signal.SIGTERM


def test_a_full_disk_says_that_resume_goes_on(quick, folder, run, tmp_path, monkeypatch):
    output, sync = tmp_path / "r.jsonl", os.fsync
    synced = []

    def full_disk(descriptor):
        synced.append(descriptor)
        if len(synced) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        result = run("batch", folder, "-o", output, "--workers", 1)
    assert result.exit_code == 2
    words = f"{os.strerror(errno.ENOSPC)}; what was measured is kept, and --resume goes on from there"
    assert result.stderr.splitlines()[-1] == f"noisediag: {output}.journal: cannot be written: {words}"
    assert run("batch", folder, "-o", output, "--workers", 1, "--resume").exit_code == 3
