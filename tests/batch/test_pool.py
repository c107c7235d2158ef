"""Worker processes that crash, hang and grow."""

import os
import time
from pathlib import Path

import pytest

from noisediag.batch import pool
from noisediag.batch.pool import Limits, Pool, Worker
from noisediag.batch.worker import EstimateOptions
from noisediag.errors import CheckpointError, NoisediagError

LIMITS = Limits(timeout_s=60, memory_mb=None)
linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at Linux's /proc")


def children():
    """Processes that this one has started and not yet buried."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.fixture
def file(tmp_path):
    def make(content, name="a.tif"):
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return make


@pytest.fixture
def worker(quick):
    made = []

    def make(limits=LIMITS, **options):
        made.append(Worker(EstimateOptions(**options), limits))
        return made[-1]

    yield make
    for one in made:
        one.close()


def error(reply):
    return reply["row"]["error"]


def test_a_row_and_its_lines_of_csv(worker, file):
    path = file(b"fine")
    answer = worker(gain=2.0).measure(path)
    assert (answer["row"]["status"], answer["row"]["path"], answer["row"]["warnings"]) == ("ok", path, ["gain 2.0"])
    assert [cells[:2] for cells in answer["cells"]] == [[path, "ok"]] * 5


def test_a_failure_as_the_reader_tells_it(worker, file):
    assert error(worker().measure(file(b"short"))) == {"code": "truncated", "message": "ends early"}


def test_a_crash_costs_its_own_row(worker, file):
    one = worker()
    answer = error(one.measure(file(b"segfault")))
    assert answer == {"code": "crashed", "message": "reading it ended the process (SIGSEGV)"}
    assert one.measure(file(b"fine"))["row"]["status"] == "ok"


def test_what_happens_only_once_is_not_the_file_s_fault(worker, file):
    assert worker().measure(file(b"once"))["row"]["status"] == "ok"


def test_a_hang_costs_its_own_row(worker, file):
    one = worker(Limits(timeout_s=1.5, memory_mb=None))
    one.start()
    assert error(one.measure(file(b"hang"))) == {"code": "timeout", "message": "not done after 1.5 s"}
    assert one.process is None


@linux
def test_memory_costs_its_own_row(worker, file):
    one = worker(Limits(timeout_s=60, memory_mb=500))
    answer = error(one.measure(file(b"grow")))
    assert answer == {"code": "memory", "message": "needs more memory than the 500 MB that a file may take"}
    assert one.measure(file(b"fine"))["row"]["status"] == "ok"


def test_a_damaged_checkpoint_is_nobody_s_row(worker):
    with pytest.raises(CheckpointError, match="mine: damaged"):
        worker(checkpoint="mine").start()


def test_a_worker_that_cannot_start(monkeypatch):
    monkeypatch.setattr(pool, "_COMMAND", "import sys; sys.exit(3)")
    with pytest.raises(NoisediagError, match="exit code 3"):
        Worker(EstimateOptions(), LIMITS).start()


@linux
@pytest.mark.parametrize("left", ["at the end", "early"])
def test_the_pool_leaves_no_process_behind(quick, file, left):
    before = children()
    paths = [file(b"fine", f"{number}.tif") for number in range(8)] + [file(b"hang", "z.tif")] * (left == "early")
    several = Pool(EstimateOptions(), LIMITS, 3)
    several.start()
    results = several.run(paths)
    if left == "early":
        next(results)
        results.close()
    else:
        indices = [done.index for found in results for done in found]
        assert sorted(indices) == list(range(8))
    assert children() == before


@linux
def test_workers_end_with_their_parent(quick, file, tmp_path):
    hanging = file(b"hang")
    code = (
        "import noisediag.batch.pool as pool\n"
        f"pool._COMMAND = {quick!r}\n"
        "worker = pool.Worker(pool.EstimateOptions(), pool.Limits(60, None))\n"
        "worker.start()\n"
        "print(worker.process.pid, flush=True)\n"
        f"worker.measure({hanging!r})\n"
    )
    parent = pool.subprocess.Popen([pool.sys.executable, "-c", code], stdout=pool.subprocess.PIPE)
    pid = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(pid)


def running(pid):
    """Alive, and no zombie that init has yet to collect."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@linux
def test_a_crash_a_hang_and_a_bomb_among_two_hundred(quick, run, tmp_path):
    before = children()
    inside = tmp_path / "in"
    inside.mkdir()
    for number in range(200):
        word = {50: b"segfault", 100: b"hang", 150: b"grow"}.get(number, b"fine")
        (inside / f"{number:03}.tif").write_bytes(word)
    result = run(
        *("batch", inside, "-o", tmp_path / "r.csv", "--workers", 2),
        *("--timeout", 10, "--memory-limit", 500),
    )
    assert result.exit_code == 3
    assert "200 files: 197 ok" in result.stdout
    assert sorted(line.split(": ")[1] for line in result.stderr.splitlines()) == [
        f"{inside}/{number}.tif" for number in ("050", "100", "150")
    ]
    assert children() == before


@linux
@pytest.mark.parametrize("word", [b"segfault", b"once", b"short", b"grow"])
def test_what_one_of_several_files_does_is_its_own(quick, worker, file, word):
    paths = [file(b"fine", f"{n}.tif") for n in range(3)] + [file(word, "bad.tif"), file(b"fine", "last.tif")]
    replies = worker(Limits(timeout_s=60, memory_mb=500)).measure_together(paths)
    assert [reply["row"]["path"] for reply in replies] == paths
    found = [reply["row"].get("error", {}).get("code") for reply in replies]
    assert found == [
        None,
        None,
        None,
        {b"segfault": "crashed", b"short": "truncated", b"grow": "memory"}.get(word),
        None,
    ]


def test_small_files_go_together_and_large_ones_alone(file):
    paths = [file(b"fine", f"{n:02}.tif") for n in range(40)]
    Path(paths[2]).write_bytes(b"fine " + bytes(pool.SMALL_BYTES))
    two = Pool(EstimateOptions(), Limits(60, None), 2)
    taken = []
    while (part := two._take(paths)) is not None:
        taken.append(part)
    assert [index for part in taken for index in part] == list(range(40))
    assert taken[0] == range(2)
    assert taken[1] == range(2, 3)
    assert max(map(len, taken)) == 8
    assert len(taken[-1]) == 1  # towards the end, so that all workers end together
    hurried = Pool(EstimateOptions(), Limits(5, None), 2)
    assert hurried._take(paths) == range(1)


def test_the_pool_measures_all_of_many(quick, file):
    paths = [file(b"fine" if n % 7 else b"short", f"{n:02}.tif") for n in range(24)]
    several = Pool(EstimateOptions(), Limits(60, None), 2)
    several.start()
    done = [one for found in several.run(paths) for one in found]
    assert sorted(one.index for one in done) == list(range(24))
    for one in done:
        assert one.reply["row"]["path"] == paths[one.index]
        assert (one.reply["row"]["status"] == "ok") == bool(one.index % 7)
