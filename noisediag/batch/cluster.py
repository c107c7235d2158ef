"""The same work on a Dask cluster (extra `cluster`): paths go out, rows come back, pixels never travel.

Each thread of a Dask worker keeps a process of its own, as the pool does here, so that a bad file costs its row and not
the Dask worker with all that it has to do.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import socket
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from noisediag import __version__
from noisediag.batch.pool import Done, Limits, Origin, Worker
from noisediag.batch.worker import EstimateOptions
from noisediag.errors import NoisediagError, UsageError, one_line
from noisediag.footprint.file import CheckpointId
from noisediag.reports.rows import Reply

KINDS = {  # of --cluster, beside local: dask-jobqueue's class
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
}
_CHUNK = 8  # files of one task
_TASKS_A_THREAD = 3  # under way: enough that no thread waits, few enough for any scheduler

_workers: dict[int, tuple[Task, Worker]] = {}  # in a Dask worker: by thread


@dataclass(frozen=True)
class Task:
    """What each task is told beside its files. Every worker of the run, whenever it comes, must be like the first."""

    options: EstimateOptions
    limits: Limits
    folder: str  # where relative paths start
    run: str  # so that no process of an earlier run, with what it loaded then, serves this one
    version: str = __version__


class Cluster:
    """Workers of an existing scheduler, or of a cluster that is started for this run."""

    def __init__(
        self, options: EstimateOptions, limits: Limits, *, scheduler: str | None, kind: str | None, count: int
    ):
        """`scheduler`: an address, as tcp://host:8786. Else `kind`, "local" or one of KINDS, of `count` workers.

        Raises UsageError where the extra is missing.
        """
        self._distributed = _extra("distributed")
        _quieten()
        self._jobqueue = _extra("dask_jobqueue") if kind in KINDS else None
        self._task = Task(options, limits, os.getcwd(), uuid.uuid4().hex)  # noqa: PTH109 - relative paths, there too
        self._origin: Origin | None = None
        self._scheduler, self._kind, self._count = scheduler, kind, count
        self._cluster: Any = None
        self._client: Any = None

    def start(self) -> tuple[CheckpointId, str]:
        """Connect, and have one worker load the model: its checkpoint, and the device that it is on."""
        with self._in_words():
            if self._scheduler is None:
                self._cluster = self._begin()
            try:
                self._client = self._distributed.Client(self._scheduler or self._cluster)
            except (OSError, ValueError) as error:
                raise UsageError(f"--scheduler {self._scheduler}: cannot be reached ({error})") from error
            checkpoint, device = self._client.submit(_describe, self._task, pure=False).result()
            self._origin = Origin(CheckpointId(*checkpoint), device)
        return self._origin.checkpoint, device

    def run(self, paths: Sequence[str], known: Sequence[str] | None = None) -> Iterator[list[Done]]:
        """The rows as they come. `known`: of each, see `Worker.measure`."""
        chunks = [range(first, min(first + _CHUNK, len(paths))) for first in range(0, len(paths), _CHUNK)]
        waiting = iter(chunks)
        running: dict[Any, range] = {}
        with self._in_words():
            finished = self._distributed.as_completed()

        def submit() -> None:
            chunk = next(waiting, None)
            if chunk is not None:
                work = [paths[index] for index in chunk]
                digests = None if known is None else [known[index] for index in chunk]
                task = self._client.submit(_measure, self._task, self._origin, work, digests, pure=False)
                running[task] = chunk
                finished.add(task)

        with self._in_words():
            threads = sum(self._client.nthreads().values()) or self._count
            for _ in range(_TASKS_A_THREAD * threads):
                submit()
        try:
            while running:
                with self._in_words():
                    task = next(finished)
                    chunk = running.pop(task)
                    replies = task.result()
                    submit()
                yield [Done(index, answer) for index, answer in zip(chunk, replies, strict=True)]
        finally:
            with contextlib.suppress(Exception):  # of a scheduler that is gone
                self._client.cancel(list(running))

    def close(self) -> None:
        """End our processes on the workers, and what was started here."""
        for end in (self._end_processes, self._client and self._client.close, self._cluster and self._cluster.close):
            if end is not None:
                with contextlib.suppress(Exception):  # what is gone has taken its processes along
                    end()

    def _end_processes(self) -> None:
        if self._client is not None and self._client.status == "running":
            self._client.run(_close, on_error="ignore")

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """What Dask raises, and what its workers do, in one line; rows that came before are kept."""
        try:
            yield
        except NoisediagError:
            raise
        except self._distributed.KilledWorker as error:
            raise NoisediagError(f"the cluster lost its workers again and again: {one_line(str(error))}") from error
        except (CancelledError, StopIteration) as error:
            raise NoisediagError("the cluster's scheduler is gone; --resume goes on with another") from error
        except Exception as error:  # of any kind, for what is installed there is not known here
            raise NoisediagError(f"the cluster: {type(error).__name__}: {one_line(str(error))}") from error

    def _begin(self) -> Any:
        if self._jobqueue is None:
            with _without_interrupts():
                return self._distributed.LocalCluster(
                    n_workers=self._count, threads_per_worker=1, dashboard_address=None, silence_logs=50
                )
        assert self._kind is not None
        try:
            cluster = getattr(self._jobqueue, KINDS[self._kind])()
        except (ValueError, TypeError) as error:  # its settings are dask's own, in ~/.config/dask/jobqueue.yaml
            raise UsageError(f"--cluster {self._kind}: {error}") from error
        cluster.scale(jobs=self._count)
        return cluster


def _extra(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(f"clusters need {module}: pip install 'noisediag[cluster]'") from None


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that start now leave Ctrl-C to this one: Dask's would each print a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which they inherit
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _quieten() -> None:
    """What goes wrong is told in one line; Dask's own loggers, each with a level of its own, would add tracebacks."""
    for name in ("distributed", "tornado", "asyncio", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _worker_of_thread(task: Task) -> Worker:
    """In a Dask worker: this thread's process, for this run."""
    if task.version != __version__:
        place = socket.gethostname()
        raise UsageError(f"the Dask worker on {place} has noisediag {__version__}, and the run {task.version}")
    thread = threading.get_ident()
    found = _workers.get(thread)
    if found is None or found[0] != task:
        if found is not None:
            found[1].close()
        found = _workers[thread] = task, Worker(task.options, task.limits, task.folder)
    return found[1]


def _describe(task: Task) -> tuple[tuple[str, str], str]:
    worker = _worker_of_thread(task)
    if worker.process is None:
        worker.start()
    assert worker.origin is not None
    return (worker.origin.checkpoint.name, worker.origin.checkpoint.sha256), worker.origin.device


def _measure(task: Task, origin: Origin, paths: Sequence[str], known: Sequence[str] | None = None) -> list[Reply]:
    worker = _worker_of_thread(task)
    worker.expect(origin)
    digests: Sequence[str | None] = known if known is not None else [None] * len(paths)
    work = zip(paths, [*paths[1:], None], digests, strict=True)
    return [worker.measure(path, ahead, digest) for path, ahead, digest in work]


def _close() -> None:
    """Also where a task that nobody wants any more is still under way."""
    while _workers:
        worker = _workers.popitem()[1][1]
        worker.retire()
        if worker.process is not None:
            worker.process.wait()
