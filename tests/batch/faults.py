"""Every write, flush and rename of a batch fails once: `python tests/batch/faults.py FOLDER 40 [EVERY]` (Linux).

A run over made-up rows is begun again and again, and at its first, second, third ... operation the disk is full, or it
fails, or the process is killed, or the power goes off and takes along what was never flushed. Each time all rows that
had been counted must be in the journal, no half output may be there, and with --resume the bytes must be those of an
undisturbed run. With EVERY 3 each kind of failure meets only every third operation. The model has no part in it; what
is written, and how, is the real thing.
"""

import contextlib
import errno
import importlib.util
import io
import os
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

spec = importlib.util.spec_from_file_location("hand_made", Path(__file__).parents[1] / "conftest.py")
hand_made = importlib.util.module_from_spec(spec)
sys.modules["hand_made"] = hand_made  # where dataclasses look for it
spec.loader.exec_module(hand_made)

from noisediag.batch.pool import Done, Limits  # noqa: E402
from noisediag.batch.run import BatchOptions, run  # noqa: E402
from noisediag.batch.walk import Shard, Walk  # noqa: E402
from noisediag.batch.worker import EstimateOptions  # noqa: E402
from noisediag.errors import UsageError  # noqa: E402
from noisediag.reports import Failure, files, rows  # noqa: E402

CHECKPOINT = hand_made.CheckpointId("sensor", "0" * 64)
FAULTS = ("ENOSPC", "EIO", "SIGKILL", "power")
AT_ONCE = 3  # rows of one entry into the journal
UNREACHED, REFUSED, UNEXPECTED = 1, 2, 99  # exit codes: the run has fewer operations, ...


class Disk:
    """Counts what is done to the disk; the operation number `at` meets with `fault`."""

    def __init__(self, at, fault):
        self.at, self.fault, self.done = at, fault, 0
        self.written, self.safe = {}, {}  # by file: its path, and how many of its bytes are flushed

    def step(self, half=lambda: None):
        """One operation more; `half`: half of it, which a full disk still does."""
        self.done += 1
        if self.done != self.at:
            return
        half()
        if self.fault == "power":
            for file, path in self.written.items():
                with contextlib.suppress(FileNotFoundError):
                    os.truncate(path, self.safe.get(file, 0))
        if self.fault in ("power", "SIGKILL"):
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, self.fault)
        raise OSError(number, os.strerror(number))

    def installed(self):
        """From here on the operations of this process count."""
        disk = self

        class FileIO(io.FileIO):
            def __init__(self, file, mode):
                super().__init__(file, mode)
                path = Path(f"/proc/self/fd/{self.fileno()}").readlink() if isinstance(file, int) else file
                disk.written[identity(self.fileno())] = path
                if mode == "r+":
                    disk.safe[identity(self.fileno())] = os.fstat(self.fileno()).st_size

            def write(self, data):
                content = bytes(data)
                disk.step(lambda: super(FileIO, self).write(content[: len(content) // 2]))
                return super().write(data)

            def truncate(self, size=None):
                disk.step()
                return super().truncate(size)

        flush, replace, unlink = os.fsync, os.replace, os.unlink

        def fsync(descriptor):
            disk.step()
            flush(descriptor)
            disk.safe[identity(descriptor)] = os.fstat(descriptor).st_size

        def renamed(source, target):
            disk.step()
            replace(source, target)
            disk.written[identity(target)] = target

        def removed(path):
            disk.step()
            unlink(path)

        files.FileIO, os.fsync, os.replace, os.unlink = FileIO, fsync, renamed, removed
        return self


def identity(file):
    found = os.stat(file)  # noqa: PTH116 - of a descriptor, too
    return found.st_dev, found.st_ino


class Workers:
    """Rows without a model: most are footprints, some failures."""

    def __init__(self):
        self.asked = 0

    def start(self):
        return CHECKPOINT, "cpu"

    def run(self, paths):
        self.asked = len(paths)
        for first in range(0, len(paths), AT_ONCE):
            chunk = range(first, min(first + AT_ONCE, len(paths)))
            yield [Done(index, rows.encoded(outcome(paths[index]), CHECKPOINT)) for index in chunk]

    def close(self):
        pass


def outcome(path):
    number = int(Path(path).stem)
    if number % 5 == 3:
        return Failure(path, "truncated", f"ends at byte {number}")
    return hand_made._footprint(path=path, warnings=(f"{number}",), planes=(hand_made._plane("all"),))


class Watcher:
    """Tells how many rows have been counted, whatever happens then."""

    def __init__(self, descriptor=None):
        self.descriptor = descriptor

    def begin(self, total, done):
        pass

    def rows(self, rows):
        if self.descriptor is not None:
            os.write(self.descriptor, bytes(len(rows)))


def options(folder, place, suffixes, shard):
    walk = Walk(folder, shard=shard)
    outputs = tuple(place / f"r{suffix}" for suffix in suffixes)
    return BatchOptions(walk, EstimateOptions(), Limits(60, None), outputs, resume=True)


def disturbed(wanted, at, fault):
    """A run in a process of its own: how it ended, and how many rows had been counted."""
    count, counter = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(count)
        code = UNEXPECTED
        try:
            disk = Disk(at, fault).installed()
            run(wanted, Workers(), Watcher(counter))
            code = UNREACHED if disk.done < at else 0
        except UsageError as error:
            code = REFUSED if "\n" not in str(error) else UNEXPECTED
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(code)
    os.close(counter)
    with os.fdopen(count, "rb") as counted:
        done = len(counted.read())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), done


def check(folder, count, suffixes=(".jsonl", ".csv", ".parquet"), shard=None, every=1):
    """Fail each operation, or one in `every`, in every way; how often it ended how. Raises AssertionError."""
    inside = folder / "in"
    inside.mkdir(parents=True)
    for number in range(count):
        (inside / f"{number:03}.tif").write_bytes(b"x")
    (folder / "whole").mkdir()
    whole = options(inside, folder / "whole", suffixes, shard)
    workers = Workers()
    run(whole, workers, Watcher())
    expected, total = [path.read_bytes() for path in whole.outputs], workers.asked
    seen = Counter()
    for number, fault in enumerate(FAULTS):
        for at in range(1 + number % every, 10_000, every):
            with tempfile.TemporaryDirectory(dir=folder) as place:
                wanted = options(inside, Path(place), suffixes, shard)
                code, counted = disturbed(wanted, at, fault)
                seen[f"{fault} {code}"] += 1
                where = f"{fault} at operation {at}: ended with {code}"
                assert code in (0, UNREACHED, REFUSED if fault in ("ENOSPC", "EIO") else -signal.SIGKILL), where
                for path, content in zip(wanted.outputs, expected, strict=True):
                    assert not path.exists() or path.read_bytes() == content, f"{where}: {path.name} is half"
                workers = Workers()
                run(wanted, workers, Watcher())
                assert workers.asked <= total - counted, f"{where}: {counted} of {total} counted, {workers.asked} again"
                assert [path.read_bytes() for path in wanted.outputs] == expected, where
                left = {path.name for path in Path(place).iterdir()}
                assert left == {path.name for path in (*wanted.outputs, wanted.journal)}, f"{where}: left {left}"
            if code == UNREACHED:
                break
    return seen


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    sparse = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    found = check(folder / "plain", number, every=sparse)
    found += check(folder / "shard", number, (".jsonl",), Shard(1, 2), every=sparse)
    sys.stdout.write(f"{dict(found)}: the same bytes after --resume\n")
