"""Progress on stderr, for what takes longer than two seconds, where somebody looks."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from noisediag.errors import VOICE

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

Progress = Callable[[Iterable[Any], int], Iterable[Any]]  # (results as they come, how many) -> the same
DELAY_S = 2.0


class Waiting:
    """A bar that appears on the terminal after DELAY_S and leaves nothing behind. Within one `with` of its own.

    `total`: how many steps there are; None: nobody knows, and the time that has passed is shown.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what, self._total, self._done = what, total, 0
        self._bar: Bar | None = None
        self._lock = threading.RLock()
        self._begun = time.monotonic()
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Waiting:
        if VOICE.shows_progress:
            self._timer = threading.Timer(DELAY_S, self._show)
            self._timer.daemon = True
            self._timer.start()
            VOICE.aside = self.aside
        return self

    def __exit__(self, *_: object) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            VOICE.aside = contextlib.nullcontext
        with self._lock:
            self._hide()

    def advance(self, done: int = 1) -> None:
        """So many more are done."""
        self._done += done
        with self._lock:
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=self._done)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """No bar on the terminal for as long as something else is written there."""
        with self._lock:
            shown = self._bar is not None
            self._hide()
            try:
                yield
            finally:
                if shown and self._timer is not None:
                    self._show()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
        if self._total is not None and self._total > 1:
            columns = [*columns[:2], MofNCompleteColumn(), TimeRemainingColumn(compact=True)]
        with self._lock:
            if self._timer is None or self._bar is not None:
                return
            console = Console(stderr=True)
            # What goes to stdout must not be led to stderr, where rich would have it.
            bar = Bar(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
            total = self._total if self._total is not None and self._total > 1 else None
            bar.add_task(self._what, total=total, completed=self._done)
            bar.start()
            self._bar = bar

    def _hide(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()


def console_progress(results: Iterable[Any], total: int) -> Iterator[Any]:
    """`results` as they come, behind a bar; silent where stderr is no terminal, or quiet was asked for."""
    with Waiting("pictures", total) as waiting:
        for result in results:
            yield result
            waiting.advance()
