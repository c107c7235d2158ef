"""One thread for the linear algebra: the matrices are small, and threads would mostly wait for each other.

It also makes an answer independent of the number of cores, whose shares of a sum would round differently.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from noisediag.sharing import Shared


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # looks through all that is loaded, which takes milliseconds


# Numpy's linear algebra on one thread; what was set before comes back.
one_thread = Shared(lambda: _libraries().limit(limits=1, user_api="blas"))
