"""Quantiser tables: those of libjpeg, and how near a file's own come to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from noisediag.images.image import JpegTables

SIDE = 8  # px of a block
Steps = NDArray[np.int_]  # of a quantiser, in luma codes: (64,), rows from low to high vertical frequency

# Tables K.1 and K.2 of ITU-T T.81, rows from low to high vertical frequency: libjpeg's quality 50.
STANDARD_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
).ravel()
STANDARD_CHROMA = np.full(SIDE * SIDE, 99)
STANDARD_CHROMA.reshape(SIDE, SIDE)[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]


def luma_table(quality: int) -> Steps:
    """libjpeg's luma steps (64,) at `quality` 1..100, rows from low to high vertical frequency."""
    return _scaled(STANDARD_LUMA, quality)


def chroma_table(quality: int) -> Steps:
    """libjpeg's chroma steps, as `luma_table`."""
    return _scaled(STANDARD_CHROMA, quality)


def _scaled(base: Steps, quality: int) -> Steps:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.asarray(np.clip((base * scale + 50) // 100, 1, 255))


@dataclass(frozen=True)
class TableQuality:
    """libjpeg's quality, 1..100, of a file's tables; `standard` False: the nearest one, the tables are a camera's."""

    quality: int
    standard: bool


def quality_of_tables(tables: JpegTables) -> TableQuality:
    """libjpeg's quality of a file's tables.

    Exact where all of them are libjpeg's at one quality. Else the quality whose luma table is nearest: the smallest
    mean over the 64 steps of |ln(step / standard step)|, the finest of equals.
    """
    luma = np.array(tables.luma)
    nearest = nearest_quality(luma)
    chroma = tables.chroma is None or np.array_equal(tables.chroma, chroma_table(nearest))
    return TableQuality(nearest, bool(chroma and np.array_equal(luma, luma_table(nearest))))


def nearest_quality(luma: Steps) -> int:
    """The quality of the nearest standard luma table; steps of 0 are unknown and left out."""
    known = luma > 0
    qualities = np.arange(1, 101)
    ratios = np.log(luma[known] / np.array([luma_table(int(quality))[known] for quality in qualities]))
    return 100 - int(np.argmin(np.abs(ratios).mean(axis=1)[::-1]))


@cache
def standard_tables(qualities: tuple[int, ...]) -> Steps:
    """Standard luma steps (qualities, 64)."""
    return np.array([luma_table(quality) for quality in qualities])
