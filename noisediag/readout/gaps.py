"""Noise that neighbours share, where many pixels here and there hold no value: what fills them in breaks the sharing.

The pixels that have a value show it by themselves: independent noise differs as much from the mean of the next pixels
to both sides as from that of the second next, shared noise (and picture) less.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from noisediag.engine.orders import quantile
from noisediag.footprint.plane import PlaneFootprint, counts_as_found, in_units
from noisediag.readout.missing import block_limit, block_shares
from noisediag.readout.tiles import Bag

SCATTERED = 0.04  # of the pixels of the blocks that are looked at, from which copies hide a correlation
AREA_PX = 16
QUIET = 0.25  # of the areas, those that differ least: there is least picture in them
ENOUGH_PAIRS = 32  # of an area
FAR_PX = 2
ALIKE = 0.85  # ratio of squared differences from which noise is independent; its error is 0.03 at 192 x 192 px
YET_SHARED = 1.25  # times sigma as the second next pixels show it, which may share noise, too
LEAST_RATIO = 0.05  # below, it is picture


def nearness(bag: Bag) -> float | None:
    """Mean square difference of pixels to the next ones over that to the second next, all with a value, in quiet areas.

    None: too few pixels are missing here and there to matter, or too few pairs are left to tell.
    """
    if bag.missing is None:
        return None
    shares = block_shares(bag.missing, 0)
    if shares[shares <= block_limit(bag.missing)].mean() < SCATTERED:
        return None
    values = np.where(bag.missing, np.nan, bag.tiles).astype(np.float64)
    near, far = (_areas(values, lag) for lag in (1, FAR_PX))
    known = np.isfinite(near) & np.isfinite(far) & (far > 0)
    if not known.any():
        return None
    near, far = near[known], far[known]
    both = near + far  # of noise that is independent neither is favoured
    quiet = both <= quantile(both, QUIET)
    return float(near[quiet].sum() / far[quiet].sum())


def cautious(plane: PlaneFootprint, bag: Bag) -> PlaneFootprint:
    """`plane`, the reading of `bag`, with room for a correlation that its missing pixels may hide."""
    ratio = nearness(bag)
    correlation = plane["correlation"]
    if ratio is None or ratio >= ALIKE:
        return plane
    widest = YET_SHARED / max(ratio, LEAST_RATIO) ** 0.5
    curve = tuple(replace(point, high=max(point.high, point.sigma * widest)) for point in plane.curve)
    if not counts_as_found(correlation.value, correlation.present):
        unknown = replace(
            correlation, value=None, low=None, high=None, present=None, flag="weakly_identified", value_dn=None
        )
        unknown = in_units(unknown, None)
        parameters = tuple(unknown if e.name == "correlation" else e for e in plane.parameters)
        plane = replace(plane, parameters=parameters)
    return replace(plane, curve=curve)


def _areas(values: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    """Mean square of x(-lag) - 2 x(0) + x(lag), which slopes leave alone, down and across, in each area.

    Not-a-number where few pixels have all three.
    """
    down, across = (side // AREA_PX for side in values.shape[1:])
    total = np.zeros((len(values), down, across))
    count = np.zeros_like(total)
    for axis in (1, 2):
        lines = np.moveaxis(values, axis, 1)
        bent = np.full_like(lines, np.nan)
        bent[:, lag:-lag] = np.square(lines[:, : -2 * lag] - 2 * lines[:, lag:-lag] + lines[:, 2 * lag :])
        square = np.moveaxis(bent, 1, axis)[:, : down * AREA_PX, : across * AREA_PX]
        square = square.reshape(len(values), down, AREA_PX, across, AREA_PX)
        total += np.nansum(square, axis=(2, 4))
        count += np.isfinite(square).sum(axis=(2, 4))
    return np.where(count >= ENOUGH_PAIRS, total / np.maximum(count, 1), np.nan)
