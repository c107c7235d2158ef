"""Seeds of independent streams of random numbers."""

from __future__ import annotations

import numpy as np


def stream(*numbers: int) -> int:
    """A seed of its own for every tuple of numbers >= 0.

    torch keeps 32 bits of a seed on a CPU, so that all of them have to be mixed into these.

    >>> stream(1, 0) == stream(2, 0), stream(1, 0) < 2**32
    (False, True)
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint32)[0])
