"""Pixels that hold no value: not-a-number and infinity, what is far beyond any scale, the code that a file names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UnsupportedError
from noisediag.images.image import Codes, Plane

FADED = 0.75  # of the line beside a border that may have its value, in pictures that do not fade into it
BEYOND = 1e6  # times white - black off black: no light, but the -1e30 or -3.4e38 that stand for "no value"


def missing_pixels(plane: Plane, values: Codes) -> NDArray[np.bool_] | None:
    """Where `values`, those of `plane`, hold no value, in their shape; None: all of them do."""
    named = None if plane.missing_code is None else values == plane.missing_code
    if values.dtype.kind != "f" or not values.size:
        return named if named is not None and named.any() else None
    limit = BEYOND * (plane.white_dn - plane.black_dn)
    # Both are not-a-number where any value is; no mask is made of the many pictures that miss none.
    lowest, highest = float(values.min()), float(values.max())  # of half precision, in which no limit would fit
    if named is None and highest <= plane.black_dn + limit and lowest >= plane.black_dn - limit:
        return None
    missing = ~(np.abs(values.astype(np.float64) - plane.black_dn) <= limit)
    missing = missing if named is None else missing | named
    return missing if missing.any() else None


def dead_border(values: Codes) -> NDArray[np.bool_] | None:
    """Where `values` (H, W) of a linear picture are a frame of one constant laid about it, as registration leaves it.

    Rows and columns from the edges on that are all of one value, other than the largest of the picture, which may be
    its saturation, where the next line is mostly of others: a dark picture fades into its black. None: there is none.
    """
    mask = np.zeros(values.shape, np.bool_)
    inside = [slice(0, length) for length in values.shape]
    for axis in (0, 1, 0):  # a second look at rows, of which columns may have hidden the ends
        lines = values[tuple(inside)] if axis == 0 else values[tuple(inside)].T
        first, last = _constant_lines(lines), _constant_lines(lines[::-1])
        if first + last >= len(lines):
            return None
        inside[axis] = slice(inside[axis].start + first, inside[axis].stop - last)
    kept = values[tuple(inside)]
    if kept.shape == values.shape:
        return None
    mask[:] = True
    mask[tuple(inside)] = False
    return None if values[mask].max() >= kept.max() else mask


def _constant_lines(lines: Codes) -> int:
    """How many of the first of `lines` (n, length) are of one value, all of them the same."""
    value = lines[0, 0]
    count = next((place for place, line in enumerate(lines) if not (line == value).all()), len(lines))
    faded = count < len(lines) and (lines[count] == value).mean() > FADED
    return 0 if faded else count


def complete(plane: Plane) -> Codes:
    """The codes of `plane`. Raises UnsupportedError where pixels hold no value: for what cannot leave them out."""
    values = plane.load()
    missing = missing_pixels(plane, values)
    if missing is not None:
        raise UnsupportedError(
            f"{100 * missing.mean():.2g} % of the pixels hold no value: they cannot be left out here"
        )
    return values
