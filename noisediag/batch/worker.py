"""The process that reads and measures, one file at a time, for a parent that replaces it when a file ends it.

stdin and stdout carry one JSON object a line: first the options and, in answer, version and checkpoint or the reason
why there is none; then paths, mostly one, and in answer their rows, or that a file is the one that is known. Small
pictures that come together share the passes of the networks. What decoders print goes nowhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from noisediag import __version__
from noisediag.batch import keys
from noisediag.errors import NoisediagError
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.reports import Outcome, rows
from noisediag.reports.attempt import attempt

if TYPE_CHECKING:
    from noisediag.images.image import Image

if sys.platform != "win32":
    import resource

_PR_SET_PDEATHSIG = 1  # of Linux's prctl, <sys/prctl.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt, <malloc.h>
_KEPT_BYTES = 100_000_000  # Free memory at the top of the heap that is kept; glibc's own value is 128 KiB.
_LARGE_BYTES = 30_000_000  # Larger pieces are mapped, and given back, on their own; glibc allows 32 MiB at most.


SMALL_PX = 1 << 19  # of all planes of a picture that is measured together with others
Measure: TypeAlias = "Callable[[Sequence[Path]], list[Outcome]]"


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
            answer(
                {"replies": _replies([Path(path) for path in request["paths"]], request["known"], measure, checkpoint)}
            )


def _replies(
    paths: Sequence[Path], known: Sequence[str | None], measure: Measure, checkpoint: CheckpointId
) -> list[dict[str, Any]]:
    """Of each path its row and what it is known by, or that it is the file that is `known`."""
    found = [None if one is None else keys.by_content(path) for path, one in zip(paths, known, strict=True)]
    same = [key is not None and key == one for key, one in zip(found, known, strict=True)]
    fresh = [path for path, is_same in zip(paths, same, strict=True) if not is_same]
    # of before they are read: a change meanwhile counts
    beside = [keys.beside(path) if one is None else "" for path, one in zip(paths, known, strict=True)]
    outcomes = iter(measure(fresh))
    replies: list[dict[str, Any]] = []
    for key, next_to, is_same in zip(found, beside, same, strict=True):
        about = {name: value for name, value in (("key", key), ("beside", next_to)) if value}
        replies.append({"same": True} if is_same else rows.encoded(next(outcomes), checkpoint) | about)
    return replies


def _prepare(options: EstimateOptions) -> tuple[Measure, CheckpointId, str]:
    from noisediag.estimator import Estimator
    from noisediag.images import read

    _keep_memory()
    estimator = Estimator(None if options.checkpoint is None else Path(options.checkpoint), options.device)

    def load(path: Path) -> Image:
        return read(
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

    def alone(path: Path) -> Footprint:
        image = load(path)
        try:
            return estimator.estimate(image, gain=options.gain)
        except RuntimeError as error:  # torch has no error of its own for this
            if "allocate memory" in str(error) or "out of memory" in str(error):
                raise MemoryError from None
            raise

    def measure(paths: Sequence[Path]) -> list[Outcome]:
        done: dict[int, Outcome] = {}
        if len(paths) > 1:
            small: dict[int, Image] = {}
            for number, path in enumerate(paths):
                with contextlib.suppress(Exception):  # it is told of when the file is looked at alone
                    image = load(path)
                    if sum(plane.shape[0] * plane.shape[1] for plane in image.planes) <= SMALL_PX:
                        small[number] = image
            if len(small) > 1:
                found = estimator.estimate_together(list(small.values()), gain=options.gain)
                done = {n: one for n, one in zip(small, found, strict=True) if not isinstance(one, Exception)}
        return [done[n] if n in done else attempt(path, alone) for n, path in enumerate(paths)]

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
