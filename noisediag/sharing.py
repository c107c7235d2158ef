"""Settings of the whole process that work changes for a while, also where several threads work at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


class Shared:
    """A context that many threads may be in: the first one in changes the setting, the last one out puts it back.

    Were each thread to put back what it had found, the last one out would leave what another had set, for good.
    """

    def __init__(self, change: Callable[[], AbstractContextManager[Any]]):
        """`change` makes the context that changes the setting when it is entered."""
        self._change = change
        self._lock = threading.Lock()
        self._inside = 0
        self._context: AbstractContextManager[Any] | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if not self._inside:
                context = self._change()
                context.__enter__()
                self._context = context
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside and self._context is not None:
                    context, self._context = self._context, None
                    context.__exit__(None, None, None)
