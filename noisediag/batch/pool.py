"""Worker processes from the parent's side: what crashes, hangs or outgrows its memory costs its own row only."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisediag import __version__
from noisediag.batch.worker import EstimateOptions
from noisediag.errors import OUT_OF_MEMORY, CheckpointError, NoisediagError, UsageError
from noisediag.footprint.file import CheckpointId
from noisediag.reports import Failure, rows
from noisediag.reports.reading import row_path
from noisediag.reports.rows import Reply

# The parent's own import path and nothing else: a numpy.py among the pictures must not become ours.
_COMMAND = "import sys; sys.path[:] = sys.argv[1:]; from noisediag.batch.worker import main; main()"
# Processes share the cores; threads of one process would only get in the way.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TIFFFILE_NUM_THREADS"), "1")
_ANSWER_BYTES = 6 * rows.ROW_BYTES  # every character escaped
SAME = {"same": True}  # instead of a row
_PARTS = {"row", "cells"}
_ABOUT_THE_FILE = {"key", "beside"}  # what it is known by, beside its size and time
_AT_ONCE = 64  # rows handed on together: one flush of the journal serves them all
TOGETHER = 8  # small files that a worker is given at once
SMALL_BYTES = 1 << 18  # of such a file
TOGETHER_S = 30.0  # Of a time limit: one below is that of a file alone.
_ERRORS: dict[int, type[NoisediagError]] = {2: UsageError, 5: CheckpointError}


@dataclass(frozen=True)
class Limits:
    """What one file may take."""

    timeout_s: float
    memory_mb: int | None  # None: no limit


@dataclass(frozen=True)
class Origin:
    """What makes the rows of a run, and must be the same in all of its processes, whenever they start."""

    checkpoint: CheckpointId
    device: str  # kind of device
    version: str = __version__

    def check(self, started: Origin) -> None:
        """Raise UsageError or CheckpointError where a process that has `started` would make other rows."""
        apart = "rows would not belong together"
        if started.version != self.version:
            raise UsageError(f"a worker has noisediag {started.version}, and the run {self.version}: {apart}")
        if started.checkpoint != self.checkpoint:
            names = (f"{one.name} ({one.sha256[:12]})" for one in (started.checkpoint, self.checkpoint))
            raise CheckpointError(
                f"a worker loaded the checkpoint {next(names)}, and the run began with {next(names)}: {apart}"
            )
        if started.device != self.device:
            raise UsageError(
                f"a worker is on {started.device}, and the run began on {self.device}: {apart}; see --device"
            )


class Worker:
    """One worker process at a time, started when it is needed and replaced when it is lost. One thread may use it."""

    def __init__(
        self, options: EstimateOptions, limits: Limits, folder: str | None = None, origin: Origin | None = None
    ):
        """`origin`: what each process must say that it is; None: what the first one says."""
        self.options, self.limits, self.folder, self.origin = options, limits, folder, origin
        self.process: subprocess.Popen[bytes] | None = None
        self.retired = False  # no process is to be started any more

    def start(self) -> None:
        """Start the process and wait until its model is loaded.

        Raises what the model's loading and Origin.check raise, and NoisediagError where the process ends before that or
        the worker is retired.
        """
        command = [sys.executable, "-c", _COMMAND, *sys.path]
        pipe = subprocess.PIPE
        environment = {**os.environ, **_ONE_THREAD}
        try:  # in a session of its own, for Ctrl-C is the parent's to handle, also while the process starts
            process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, cwd=self.folder, env=environment, start_new_session=os.name == "posix"
            )
        except OSError as error:
            raise NoisediagError(f"a worker process cannot be started: {error.strerror or error}") from error
        self.process = process
        if self.retired:
            self.close()
            raise NoisediagError("the run is over")
        answer = self._ask({"options": self.options.plain(), "memory_mb": self.limits.memory_mb})
        if answer is None:
            ending = _ending(process.wait())
            self.close()
            raise NoisediagError(f"a worker process ended before it began ({ending})")
        if "error" in answer:
            self.close()
            raise _ERRORS.get(answer["exit_code"], NoisediagError)(answer["error"])
        started = Origin(CheckpointId(**answer["checkpoint"]), answer["device"], answer["version"])
        try:
            (self.origin or Origin(started.checkpoint, started.device)).check(started)
        except NoisediagError:
            self.close()
            raise
        self.origin = started

    def expect(self, origin: Origin) -> None:
        """Raise what Origin.check raises where the process that runs, or one that will be started, is another."""
        if self.process is not None and self.origin is not None:
            origin.check(self.origin)
        self.origin = origin

    def measure(self, path: str, following: str | None = None, known: str | None = None) -> Reply:
        """The row of the file at `path`, whatever it does. `following`: the file that is wanted next.

        `known`: the digest of its content when it was last measured, "" for none; if it still is, the reply is SAME.

        What may be the fault of an old process, or of the system, is tried once more in a fresh one.
        """
        outcome = self._measure(path, following, known)
        if isinstance(outcome, Failure) and outcome.code in ("crashed", "memory"):
            outcome = self._measure(path, None, known)
        if not isinstance(outcome, Failure):
            return outcome
        assert self.origin is not None
        return rows.encoded(outcome, self.origin.checkpoint)

    def measure_together(
        self, paths: Sequence[str], following: str | None = None, known: Sequence[str | None] | None = None
    ) -> list[Reply]:
        """The rows of several small files, as `measure` gives them: what goes wrong is looked at file by file."""
        each = [None] * len(paths) if known is None else list(known)
        found = self._ask_for(paths, following, each) if len(paths) > 1 else None
        if not isinstance(found, list):
            return [self.measure(path, following, one) for path, one in zip(paths, each, strict=True)]
        return [
            self.measure(path, following, one) if _code(reply) in ("crashed", "memory") else reply
            for path, one, reply in zip(paths, each, found, strict=True)
        ]

    def retire(self) -> None:
        """End the process for good while another thread waits for it, which then sees its end."""
        self.retired = True
        process = self.process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):  # a request that it never took
                stream.close()
        process.wait()

    def _measure(self, path: str, following: str | None, known: str | None) -> Reply | Failure:
        answers = self._ask_for([path], following, [known])
        if isinstance(answers, Failure):
            return answers
        answer: Reply = answers[0]
        exhausted = "row" in answer and answer["row"].get("error") == {"code": "memory", "message": OUT_OF_MEMORY}
        if exhausted:  # what is left of its memory is in pieces
            self.close()
            return Failure(path, "memory", f"needs more memory than {self._limit()}")
        return answer

    def _ask_for(
        self, paths: Sequence[str], following: str | None, known: Sequence[str | None]
    ) -> list[Reply] | Failure:
        """The process's answer for each path, or the Failure of the first where it gave none that can be believed."""
        if self.process is None:
            self.start()
        process = self.process
        assert process is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(min(self.limits.timeout_s, threading.TIMEOUT_MAX), stop)
        timer.start()
        try:
            answer = self._ask({"paths": list(paths), "next": following, "known": list(known)})
        finally:
            timer.cancel()
        if answer is None:
            ending = _ending(process.wait())
            self.close()
            if late.is_set():
                return Failure(paths[0], "timeout", f"not done after {self.limits.timeout_s:g} s")
            return Failure(paths[0], "crashed", f"reading it ended the process ({ending})")
        replies = answer.get("replies")
        if not isinstance(replies, list) or len(replies) != len(paths):
            replies = [None] * len(paths)
        for reply, path, one in zip(replies, paths, known, strict=True):
            if not (reply == SAME and one) and not _is_of(reply, path):  # a decoder wrote over the process's memory
                self.close()
                return Failure(paths[0], "crashed", "reading it damaged the process")
        if late.is_set():  # done in the last moment
            self.close()
        return replies

    def _limit(self) -> str:
        return "there is" if self.limits.memory_mb is None else f"the {self.limits.memory_mb} MB that a file may take"

    def _ask(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """The process's answer; None where it has ended."""
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline(_ANSWER_BYTES)
        except OSError:
            return None
        if not line:
            return None
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        return answer if isinstance(answer, dict) else {}


@dataclass(frozen=True)
class Done:
    """A file's place in the list of those to be measured, and its row."""

    index: int
    reply: Reply


class Pool:
    """`count` workers that take paths from one list. To be used once."""

    def __init__(self, options: EstimateOptions, limits: Limits, count: int):
        self._workers = [Worker(options, limits) for _ in range(count)]
        self._lock = threading.Lock()
        self._results: queue.SimpleQueue[Done | BaseException | None] = queue.SimpleQueue()
        self._next = 0
        self._stopped = False

    def start(self) -> tuple[CheckpointId, str]:
        """Load the first worker's model: its checkpoint, and the device that it is on."""
        first = self._workers[0]
        first.start()
        assert first.origin is not None
        for worker in self._workers:
            worker.origin = first.origin
        return first.origin.checkpoint, first.origin.device

    def run(self, paths: Sequence[str], known: Sequence[str] | None = None) -> Iterator[list[Done]]:
        """The rows as they come, in lists of those that are there at once. Ends all processes when it is left.

        `known`: of each, see `Worker.measure`.
        """
        threads = [
            threading.Thread(target=self._serve, args=(worker, paths, known), daemon=True)
            for worker in self._workers[: len(paths)]
        ]
        begun: list[threading.Thread] = []
        try:
            for thread in threads:
                thread.start()
                begun.append(thread)
            running = len(threads)
            while running:
                found = [self._results.get()]
                while not self._results.empty() and len(found) < _AT_ONCE:
                    found.append(self._results.get())
                for item in found:
                    if isinstance(item, BaseException):
                        raise item
                running -= found.count(None)
                yield [item for item in found if isinstance(item, Done)]
        except RuntimeError as error:  # which is all that threading has for it
            if len(begun) == len(threads):
                raise
            raise NoisediagError(f"of {len(threads)} workers only {len(begun)} can be started: {error}") from error
        finally:
            self._stopped = True
            for thread, worker in zip(begun, self._workers, strict=False):
                worker.retire()
                thread.join()
            self.close()

    def close(self) -> None:
        """End the processes of workers that no thread uses."""
        for worker in self._workers:
            worker.close()

    def _serve(self, worker: Worker, paths: Sequence[str], known: Sequence[str] | None) -> None:
        try:
            while (taken := self._take(paths)) is not None:
                ahead = taken.stop + len(self._workers) - 1
                following = paths[ahead] if ahead < len(paths) else None
                part = slice(taken.start, taken.stop)
                answers = worker.measure_together(paths[part], following, None if known is None else known[part])
                for index, answer in zip(taken, answers, strict=True):
                    self._results.put(Done(index, answer))
            worker.close()
        except BaseException as error:
            worker.close()
            self._results.put(error)
        else:
            self._results.put(None)

    def _take(self, paths: Sequence[str]) -> range | None:
        """The next files: one, or some that are small, fewer towards the end so that all workers end together."""
        with self._lock:
            if self._stopped or self._next >= len(paths):
                return None
            first = self._next
            most = min(TOGETHER, (len(paths) - first) // (2 * len(self._workers)))
            if most > 1 and self._workers[0].limits.timeout_s < TOGETHER_S:
                most = 1
            count = 1
            if most > 1 and _is_small(paths[first]):
                while count < most and _is_small(paths[first + count]):
                    count += 1
            self._next += count
            return range(first, first + count)


def _is_small(path: str) -> bool:
    try:
        found = Path(path).stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size <= SMALL_BYTES


def _code(answer: Reply) -> str | None:
    error = answer.get("row", {}).get("error")
    return None if error is None else str(error.get("code"))


def _is_of(answer: Any, path: str) -> bool:
    """Whether `answer` is the row of the file at `path`."""
    try:
        return row_path(answer["row"]) == os.fsencode(path) and answer.keys() - _ABOUT_THE_FILE == _PARTS
    except (LookupError, TypeError, ValueError, AttributeError):
        return False


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # of the real-time signals only two have names
        return f"signal {-code}"
