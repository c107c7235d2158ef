"""Planes that show nothing: all pixels equal, or all but a handful. There is no noise to speak of in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from noisediag import images
from noisediag.engine.orders import median
from noisediag.footprint.plane import CurvePoint, Estimate, PlaneFootprint, VarianceLaw, in_units
from noisediag.images.image import Plane
from noisediag.readout.tiles import Bag, Part

HANDFUL = 200  # pixels that differ from the others: a variance by so few is wrong by 10 % and more, a law by anything
HANDFUL_SHARE = 0.05  # and of the pixels of small pictures
PROBED = 4096  # pixels of a tile, about, by which its commonest value is looked for


@dataclass(frozen=True)
class Bare:
    """A bag that shows nothing: how many of its pixels differ from their tile's commonest value, of how many."""

    differing: int
    pixels: int
    sigma: float  # normalised standard deviation of the pixels about it
    all_equal: bool  # in the planes as a whole


def words(found: Bare, channel: str | None) -> str:
    """The warning that goes with it."""
    where = "" if channel is None else f"channel {channel}: "
    if found.all_equal:
        return f"{where}all pixels are equal: there is no noise to see"
    few = f"only {found.differing} of {found.pixels} pixels differ from the others"
    return f"{where}nearly empty: {few}, nothing is told of its noise"


def of_part(part: Part) -> list[Bare | None]:
    """What is to be said of each of the part's bags that shows nothing; None: it shows something.

    The file's own shows nothing where none of those that it was joined of does.
    """
    found = [bare(members, bag) for members, bag in part.bags]
    if len(found) > 1 and None not in found[:-1]:
        found[-1] = bare(*part.bags[-1], handful=len(found) * HANDFUL)
    return found


def bare(members: Sequence[Plane], bag: Bag, *, handful: int = HANDFUL) -> Bare | None:
    """What is to be said of a bag, cut from `members`, that shows nothing; None: it shows something."""
    tiles = bag.tiles.reshape(len(bag.tiles), -1)
    probe = np.sort(tiles[:, :: max(1, tiles.shape[1] // PROBED)], axis=1)
    commonest = probe[:, probe.shape[1] // 2, None]  # what more than half of the pixels are is the middle one, too
    differing = int(np.count_nonzero(tiles != commonest))
    if differing >= min(handful, HANDFUL_SHARE * tiles.size):
        return None
    sigma = float(np.sqrt(np.mean(np.square(tiles - commonest, dtype=np.float64))))
    return Bare(differing, tiles.size, sigma, differing == 0 and all(map(_all_equal, members)))


def emptied(plane: PlaneFootprint, bag: Bag, found: Bare) -> PlaneFootprint:
    """`plane` without a word on its noise; the flag `empty` where all pixels are equal.

    The curve is what the few pixels amount to, from nothing to as much as the container's rounding can hide.
    """
    hidden = 0.0 if bag.container is None else bag.container / 2
    signal = float(median(bag.tiles))
    variance = found.sigma**2
    point = CurvePoint(signal, found.sigma, 0.0, max(2 * found.sigma, hidden))
    span = plane.span_dn
    unknown = [Estimate(e.name, None, None, None, None, "weakly_identified") for e in plane.parameters]
    kept = {"assumed_scale", "clipped", "few_pixels"} & set(plane.flags)
    return replace(
        plane,
        curve=(point,),
        law=VarianceLaw(0.0, variance, 0.0, variance),
        parameters=tuple(in_units(estimate, span) for estimate in unknown),
        signal_median=signal,
        effective_sigma=found.sigma,
        flags=tuple(sorted(kept | ({"empty"} if found.all_equal else set()))),
        arrangement=None,
    )


def _all_equal(plane: Plane) -> bool:
    values = plane.load()
    missing = images.missing_pixels(plane, values)
    values = values if missing is None else values[~missing]
    return bool(values.size and values.min() == values.max())
