"""Black, white and the code of pixels without a value, as the first page of a TIFF file states them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from noisediag.images import metadata

_MAX_SAMPLE = 281
_BLACK_LEVEL, _WHITE_LEVEL = 50714, 50717
_NO_DATA = 42113  # of GDAL: the number, as text, of pixels without a value


def declared_black(page: Any, warnings: list[str]) -> float | None:
    """The mean of the DNG BlackLevel tag, DN."""
    blacks = metadata.tag_numbers(page, _BLACK_LEVEL)
    if not blacks:
        return None
    listed = ", ".join(f"{b:g}" for b in blacks)
    black = float(np.mean(blacks))
    if not math.isfinite(black):
        warnings.append(f"black level {listed} cannot be one: ignored")
        return None
    if len(set(blacks)) > 1:
        warnings.append(f"black levels {listed} differ by position: mean {black:g} used")
    return black


def no_data(page: Any, warnings: list[str]) -> float | None:
    """The code of pixels without a value, as GDAL writes it into plain TIFFs, too; not-a-number needs no telling."""
    text = page.tags.valueof(_NO_DATA)
    if text is None:
        return None
    try:
        code = float(str(text).strip("\0 "))
    except ValueError:
        warnings.append(f"no-data value {text!r} is no number: ignored")
        return None
    return None if math.isnan(code) else code


def declared_white(page: Any, significant_bits: int | None, warnings: list[str]) -> float | None:
    """White from the DNG WhiteLevel tag, OME SignificantBits, packed samples, or a MaxSampleValue of 2^n - 1."""
    if page.dtype.kind == "f":
        return None
    container = 8 * page.dtype.itemsize
    levels = metadata.tag_numbers(page, _WHITE_LEVEL)
    if levels and math.isfinite(levels[0]) and levels[0] > 0:
        return levels[0]
    if levels:
        warnings.append(f"white level {levels[0]:g} cannot be one: ignored")
    if significant_bits is not None and not 1 < significant_bits <= container:
        warnings.append(f"OME SignificantBits {significant_bits} of {container}-bit pixels cannot be: ignored")
    for bits in (significant_bits, page.bitspersample):
        if bits is not None and 1 < bits < container:
            return float(2**bits - 1)
    # Most writers store the picture's own maximum here, which says nothing of the sensor's.
    maximum = metadata.tag_numbers(page, _MAX_SAMPLE)
    if maximum and (int(maximum[0]) + 1).bit_count() == 1 and 1 < int(maximum[0]).bit_length() < container:
        return float(maximum[0])
    return None
