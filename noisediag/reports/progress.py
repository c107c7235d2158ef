"""A progress bar on stderr, for commands that take long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Progress = Callable[[Iterable[Any], int], Iterable[Any]]  # (results as they come, how many) -> the same


def console_progress(results: Iterable[Any], total: int) -> Iterator[Any]:
    """A progress bar on stderr; silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(results, "pictures", total, console=console, transient=True, disable=not console.is_terminal)
