"""One thread for the linear algebra: the matrices are small, and threads would mostly wait for each other.

It also makes an answer independent of the number of cores, whose shares of a sum would round differently.
"""

from __future__ import annotations

import sys
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
    """Numpy's linear algebra, and torch where it is imported, on one thread; what was set before comes back."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 0
    if torch is not None:
        torch.set_num_threads(1)
    try:
        with _libraries().limit(limits=1, user_api="blas"):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)
