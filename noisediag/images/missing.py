"""Pixels that hold no value: not-a-number and infinity, what is far beyond any scale, the code that a file names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UnsupportedError
from noisediag.images.image import Codes, Plane

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


def complete(plane: Plane) -> Codes:
    """The codes of `plane`. Raises UnsupportedError where pixels hold no value: for what cannot leave them out."""
    values = plane.load()
    missing = missing_pixels(plane, values)
    if missing is not None:
        raise UnsupportedError(
            f"{100 * missing.mean():.2g} % of the pixels hold no value: they cannot be left out here"
        )
    return values
