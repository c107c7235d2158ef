"""Steps across the borders of 8 x 8 blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.traces.jpeg.blocks import LumaTiles
from noisediag.traces.jpeg.tables import SIDE

BORDER_STANDS_OUT = 4.0  # standard deviations of the other phases by which steps across block borders exceed them


def block_strength(tiles: LumaTiles, offset: tuple[int, int] | None = None) -> float | None:
    """Mean absolute step between neighbours across the borders of 8 x 8 blocks over that inside blocks, less 1.

    The mean of both directions, each at least 0. `offset`: (row, column) at which blocks begin; None: where the steps
    are largest, and 0 where they are not beyond chance. None for a picture without any step, or smaller than 16 px.
    """
    if min(tiles.values.shape[1:]) < 2 * SIDE:
        return None
    excess = [
        _border_excess(np.abs(np.diff(tiles.values, axis=axis + 1)).mean(axis=(0, 2 - axis)), offset and offset[axis])
        for axis in (0, 1)
    ]
    known = [value for value in excess if value is not None]
    return sum(known) / len(known) if known else None


def _border_excess(steps: NDArray[np.floating[Any]], start: int | None) -> float | None:
    """Steps across borders over the others, less 1, along one axis; `steps`: mean of those before pixel 1, 2, ..."""
    phase = np.arange(1, len(steps) + 1) % SIDE
    means = np.bincount(phase, steps, SIDE) / np.bincount(phase, minlength=SIDE)
    border = int(means.argmax()) if start is None else start
    inside = np.delete(means, border)
    if inside.mean() == 0:
        return None
    if start is None and means[border] < inside.mean() + BORDER_STANDS_OUT * inside.std():
        return 0.0
    return max(float(means[border] / inside.mean()) - 1, 0.0)
