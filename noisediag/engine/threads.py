"""One thread for the linear algebra: the matrices are small, and threads would mostly wait for each other.

It also makes an answer independent of the number of cores, whose shares of a sum would round differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # looks through all that is loaded, which takes milliseconds


@contextmanager
def one_thread() -> Iterator[None]:
    """Numpy's linear algebra on one thread; what was set before comes back."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield
