"""The process that reads and measures, one file at a time, for a parent that replaces it when a file ends it.

stdin and stdout carry one JSON object a line: first the options and, in answer, version and checkpoint or the reason
why there is none; then a path, and in answer its row, or that the file is the one that is known. What decoders print
goes nowhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from noisediag import __version__
from noisediag.batch import keys
from noisediag.errors import NoisediagError
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.reports import rows
from noisediag.reports.attempt import attempt

if sys.platform != "win32":
    import resource

_PR_SET_PDEATHSIG = 1  # of Linux's prctl, <sys/prctl.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt, <malloc.h>
_KEPT_BYTES = 100_000_000  # Free memory at the top of the heap that is kept; glibc's own value is 128 KiB.
_LARGE_BYTES = 30_000_000  # Larger pieces are mapped, and given back, on their own; glibc allows 32 MiB at most.


@dataclass(frozen=True)
class EstimateOptions:
    """How files are read and measured: what, beside the files, decides their rows."""

    black: float | None = None
    white: float | None = None
    gain: float | None = None
    channel: str | None = None
    frame: int | None = None
    roi: tuple[int, int, int, int] | None = None
    linear: bool = False
    series: str | None = None
    z: int | None = None
    dataset: str | None = None
    checkpoint: str | None = None
    device: str = "auto"

    def plain(self) -> dict[str, Any]:
        """The fields as JSON holds them."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def of(cls, plain: dict[str, Any]) -> EstimateOptions:
        """The inverse of `plain`."""
        roi = plain["roi"]
        return cls(**{**plain, "roi": None if roi is None else tuple(roi)})


def main() -> None:
    """Serve until stdin ends."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the parent's to handle, and no fault of the file that is read
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _end_with_parent()
    with os.fdopen(os.dup(1), "wb") as replies:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)

        def answer(message: dict[str, Any]) -> None:
            replies.write(json.dumps(message).encode() + b"\n")
            replies.flush()

        start = json.loads(sys.stdin.buffer.readline())
        try:
            measure, checkpoint, device = _prepare(EstimateOptions.of(start["options"]))
        except NoisediagError as error:
            answer({"error": str(error), "exit_code": error.exit_code})
            return
        answer({"version": __version__, "checkpoint": asdict(checkpoint), "device": device})
        if start["memory_mb"] is not None and device == "cpu":  # CUDA reserves more than it ever uses
            _limit_memory(start["memory_mb"])
        for line in sys.stdin.buffer:
            request = json.loads(line)
            _read_ahead(request["next"])
            path, known = Path(request["path"]), request["known"]
            key = None if known is None else keys.by_content(path)
            if key is not None and key == known:
                answer({"same": True})
                continue
            beside = keys.beside(path) if known is None else ""  # of before it is read: a change meanwhile counts
            reply = rows.encoded(attempt(path, measure), checkpoint)
            about = {"key": key, "beside": beside}
            answer(reply | {name: value for name, value in about.items() if value})


def _prepare(options: EstimateOptions) -> tuple[Callable[[Path], Footprint], CheckpointId, str]:
    from noisediag.estimator import Estimator
    from noisediag.images import read

    _keep_memory()
    estimator = Estimator(None if options.checkpoint is None else Path(options.checkpoint), options.device)

    def measure(path: Path) -> Footprint:
        image = read(
            path,
            black=options.black,
            white=options.white,
            channel=options.channel,
            frame=options.frame,
            roi=options.roi,
            linear=options.linear,
            series=options.series,
            z=options.z,
            dataset=options.dataset,
        )
        try:
            return estimator.estimate(image, gain=options.gain)
        except RuntimeError as error:  # torch has no error of its own for this
            if "allocate memory" in str(error) or "out of memory" in str(error):
                raise MemoryError from None
            raise

    return measure, estimator.checkpoint, estimator.device.type


def _limit_memory(megabytes: int) -> None:
    """What the process may have in private memory. Beyond it allocations fail, in Python as a MemoryError."""
    if sys.platform != "win32":
        most = resource.getrlimit(resource.RLIMIT_DATA)[1]  # which the user, or a queueing system, may have set
        limit = megabytes * 10**6 if most == resource.RLIM_INFINITY else min(megabytes * 10**6, most)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _keep_memory() -> None:
    """Let glibc keep some of what was freed for the next picture: fresh pages cost up to a tenth of a small one."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _end_with_parent() -> None:
    """Linux: no parent, no worker, even while a decoder hangs. Elsewhere it ends when it next reads from stdin."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _read_ahead(path: str | None) -> None:
    """Let the system fetch the next file while this one is computed; whether that works out makes no difference."""
    if path is None or not hasattr(os, "posix_fadvise"):
        return
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # of a pipe, the open would wait for a writer
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(file)
