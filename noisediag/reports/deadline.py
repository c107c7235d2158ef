"""How long one file may take where no other process watches over it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from noisediag.errors import LateError

GRACE_S = 10.0  # after which a decoder that does not let itself be interrupted ends the process
AGAIN_S = 1.0  # libraries swallow what they do not expect, so it is said again
MOST_S = 1e7  # four months: timers of the system take no more


class _Late(BaseException):
    """No Exception: what reads damaged files catches those of every kind."""


@contextlib.contextmanager
def deadline(seconds: float | None, *, stuck: Callable[[], int] | None = None) -> Iterator[None]:
    """Raise LateError, of code `timeout`, where what is done within takes longer. None: no limit.

    Python code and waiting are interrupted by a signal, in the main thread of systems that have it. What does not end
    for GRACE_S more is native code: `stuck` tells so, saves what there is, and returns the exit code for the process to
    end with.
    """
    if seconds is None:
        yield
        return
    seconds = min(seconds, MOST_S)
    timer = None
    if stuck is not None:
        timer = threading.Timer(seconds + GRACE_S, lambda: os._exit(stuck()))
        timer.daemon = True
        timer.start()
    signals = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, _raise) if signals else None
    try:
        if signals:
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), AGAIN_S)
        yield
    except _Late:
        raise LateError(f"not done after {seconds:g} s") from None
    finally:
        if timer is not None:
            timer.cancel()
        if signals:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before or signal.SIG_DFL)


def _raise(number: int, frame: FrameType | None) -> None:
    raise _Late
