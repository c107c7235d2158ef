"""Masked pixels of a RAW file: borders that no light reaches, which show black and read noise.

A DNG names them (MaskedAreas). Other files have margins about the visible pixels, of which some are masked, some are
ordinary pixels, and some padding: a margin counts only where it is of one level from end to end, noisy, and darker than
the picture beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noisediag.engine.orders import median
from noisediag.images.image import Codes

Rectangle = tuple[int, int, int, int]  # top, left, bottom, right, in pixels of the whole mosaic

OUTER_PX, INNER_PX = 2, 4  # of a margin, at its end and beside the picture: half-lit and filled pixels stand there
MIN_THICK_PX = 4
BESIDE_PX = 16  # of the picture that a margin is compared with
MIN_PIXELS = 256  # of a position: their mean is known to 1/16 of the noise
SEGMENTS = 8  # of a strip, from end to end
EVEN = 0.5  # standard deviations, or DN, by which the means of the segments may scatter
OUTLIER_SIGMAS = 5.0
OUTLIERS = 0.01  # share of the pixels beyond: a few are hot, more are no noise
DARKER = 1.0  # standard deviation by which a margin is darker than the picture beside it
AGREE = 1.0  # standard deviation, or DN, by which several strips may differ


@dataclass(frozen=True)
class Border:
    """Mean and standard deviation of the masked pixels of each position of the filter pattern, (rows, columns), DN."""

    mean_dn: NDArray[np.float64]
    noise_dn: NDArray[np.float64]


def border(mosaic: Codes, visible: Rectangle, named: tuple[Rectangle, ...], period: tuple[int, int]) -> Border | None:
    """What the masked pixels of `mosaic` (H, W) show, by position from the corner of `visible` on; None: nothing.

    `named`: the areas that the file itself calls masked; without any the margins about `visible` are looked at.
    """
    if named:
        parts = [_whole_periods(mosaic, area, visible, period) for area in named]
        strips = [_read(part, period) for part in parts]
    else:
        strips = [
            _darker(_read(_whole_periods(mosaic, margin, visible, period), period), beside)
            for margin, beside in _margins(mosaic, visible)
        ]
    found = [strip for strip in strips if strip is not None]
    if not found:
        return None
    means, noises = np.stack([one.mean_dn for one in found]), np.stack([one.noise_dn for one in found])
    if bool(np.any(np.ptp(means, axis=0) > AGREE * np.maximum(noises.min(0), 1.0))):
        return None  # not all of them are what they seem
    return Border(means.mean(0), np.sqrt(np.square(noises).mean(0)))


def _margins(mosaic: Codes, visible: Rectangle) -> Iterator[tuple[Rectangle, Codes]]:
    """The margin on each side that is thick enough, and the picture beside it."""
    top, left, bottom, right = visible
    height, width = mosaic.shape
    for near, far, rectangle, beside in (
        (top, 0, (OUTER_PX, left, top - INNER_PX, right), mosaic[top : top + BESIDE_PX, left:right]),
        (
            height,
            bottom,
            (bottom + INNER_PX, left, height - OUTER_PX, right),
            mosaic[bottom - BESIDE_PX : bottom, left:right],
        ),
        (left, 0, (top, OUTER_PX, bottom, left - INNER_PX), mosaic[top:bottom, left : left + BESIDE_PX]),
        (
            width,
            right,
            (top, right + INNER_PX, bottom, width - OUTER_PX),
            mosaic[top:bottom, right - BESIDE_PX : right],
        ),
    ):
        if near - far >= OUTER_PX + INNER_PX + MIN_THICK_PX:
            yield rectangle, beside


def _whole_periods(mosaic: Codes, area: Rectangle, visible: Rectangle, period: tuple[int, int]) -> Codes:
    """The pixels of `area`, from the first of its pixels on at which the filter pattern begins."""
    (rows, columns), (top, left, bottom, right) = period, area
    top, left = max(top, 0), max(left, 0)
    return mosaic[
        top + (visible[0] - top) % rows : max(bottom, 0), left + (visible[1] - left) % columns : max(right, 0)
    ]


def _read(part: Codes, period: tuple[int, int]) -> Border | None:
    """Mean and noise of each position; None where any has too few pixels, no noise, or not one level."""
    rows, columns = period
    means, noises = np.empty(period), np.empty(period)
    for row, column in np.ndindex(*period):
        values = part[row::rows, column::columns].astype(np.float64)
        if values.size < MIN_PIXELS:
            return None
        values = values if values.shape[0] >= values.shape[1] else values.T
        middle = float(median(values))
        spread = max(1.4826 * float(median(np.abs(values - middle))), 0.5)
        kept = np.abs(values - middle) <= OUTLIER_SIGMAS * spread
        if kept.mean() < 1 - OUTLIERS:
            return None
        noise = float(values[kept].std())
        pieces = zip(np.array_split(values, SEGMENTS), np.array_split(kept, SEGMENTS), strict=True)
        levels = [float(piece[inside].mean()) for piece, inside in pieces if inside.any()]
        if noise == 0 or np.std(levels) > EVEN * max(noise, 1.0):
            return None
        means[row, column], noises[row, column] = values[kept].mean(), noise
    return Border(means, noises)


def _darker(strip: Border | None, beside: Codes) -> Border | None:
    """`strip` if it is darker than the picture beside it: in a dark frame nothing tells masked pixels from others."""
    if strip is None or float(median(beside)) < float((strip.mean_dn + DARKER * strip.noise_dn).max()):
        return None
    return strip
