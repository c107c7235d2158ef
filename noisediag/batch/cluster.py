"""The same work on a Dask cluster (extra `cluster`): paths go out, rows come back, pixels never travel.

Each thread of a Dask worker keeps a process of its own, as the pool does here, so that a bad file costs its row and not
the Dask worker with all that it has to do.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from noisediag.batch.pool import Done, Limits, Reply, Worker
from noisediag.batch.worker import EstimateOptions
from noisediag.errors import NoisediagError, UsageError
from noisediag.footprint.file import CheckpointId

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

_workers: dict[int, Worker] = {}  # in a Dask worker: by thread


class Cluster:
    """Workers of an existing scheduler, or of a cluster that is started for this run."""

    def __init__(
        self, options: EstimateOptions, limits: Limits, *, scheduler: str | None, kind: str | None, count: int
    ):
        """`scheduler`: an address, as tcp://host:8786. Else `kind`, "local" or one of KINDS, of `count` workers.

        Raises UsageError where the extra is missing.
        """
        self._distributed = _extra("distributed")
        self._jobqueue = _extra("dask_jobqueue") if kind in KINDS else None
        self._task = (options, limits, os.getcwd())  # noqa: PTH109 - relative paths mean the same there
        self._scheduler, self._kind, self._count = scheduler, kind, count
        self._cluster: Any = None
        self._client: Any = None

    def start(self) -> tuple[CheckpointId, str]:
        """Connect, and have one worker load the model: its checkpoint, and the device that it is on."""
        if self._scheduler is None:
            self._cluster = self._begin()
        try:
            self._client = self._distributed.Client(self._scheduler or self._cluster)
        except (OSError, ValueError) as error:
            raise UsageError(f"--scheduler {self._scheduler}: cannot be reached ({error})") from error
        checkpoint, device = self._client.submit(_describe, *self._task, pure=False).result()
        return CheckpointId(*checkpoint), device

    def run(self, paths: Sequence[str]) -> Iterator[list[Done]]:
        """The rows as they come."""
        chunks = [range(first, min(first + _CHUNK, len(paths))) for first in range(0, len(paths), _CHUNK)]
        waiting = iter(chunks)
        running: dict[Any, range] = {}
        finished = self._distributed.as_completed()

        def submit() -> None:
            chunk = next(waiting, None)
            if chunk is not None:
                task = self._client.submit(_measure, *self._task, [paths[index] for index in chunk], pure=False)
                running[task] = chunk
                finished.add(task)

        threads = sum(self._client.nthreads().values()) or self._count
        for _ in range(_TASKS_A_THREAD * threads):
            submit()
        try:
            while running:
                task = next(finished)
                chunk = running.pop(task)
                try:
                    replies = task.result()
                except self._distributed.KilledWorker as error:
                    raise NoisediagError(f"the cluster lost its workers again and again: {error}") from error
                submit()
                yield [Done(index, answer) for index, answer in zip(chunk, replies, strict=True)]
        finally:
            self._client.cancel(list(running))

    def close(self) -> None:
        """End our processes on the workers, and what was started here."""
        if self._client is not None:
            with contextlib.suppress(OSError, TimeoutError):  # workers that are gone have taken theirs along
                self._client.run(_close, on_error="ignore")
            self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _begin(self) -> Any:
        if self._jobqueue is None:
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


def _worker_of_thread(options: EstimateOptions, limits: Limits, folder: str) -> Worker:
    """In a Dask worker: this thread's process, for these options."""
    thread = threading.get_ident()
    found = _workers.get(thread)
    if found is not None and (found.options, found.limits, found.folder) == (options, limits, folder):
        return found
    if found is not None:
        found.close()
    _workers[thread] = Worker(options, limits, folder)
    return _workers[thread]


def _describe(options: EstimateOptions, limits: Limits, folder: str) -> tuple[tuple[str, str], str]:
    worker = _worker_of_thread(options, limits, folder)
    if worker.process is None:
        worker.start()
    assert worker.checkpoint is not None
    return (worker.checkpoint.name, worker.checkpoint.sha256), worker.device


def _measure(options: EstimateOptions, limits: Limits, folder: str, paths: Sequence[str]) -> list[Reply]:
    worker = _worker_of_thread(options, limits, folder)
    following = [*paths[1:], None]
    return [worker.measure(path, ahead) for path, ahead in zip(paths, following, strict=True)]


def _close() -> None:
    """Also where a task that nobody wants any more is still under way."""
    while _workers:
        worker = _workers.popitem()[1]
        worker.retire()
        if worker.process is not None:
            worker.process.wait()
