"""A dark picture on a long scale, read on a shorter one: its noise does not depend on where white would be.

Counts of a microscope fill a hundredth of 16 bits; the model has learned from pictures that fill their scale.
"""

from __future__ import annotations

import math
from dataclasses import replace

from noisediag.footprint.plane import Estimate, PlaneFootprint, SampledCurve, VarianceLaw
from noisediag.genome.parameters import parameter
from noisediag.images.image import Plane
from noisediag.readout.tiles import Bag, Part

DARK = 1 / 8  # normalised: the brightest pixel of pictures whose scale is shortened
BRIGHTEST = 0.5  # normalised: no pixel is brighter then, so that nothing is near a clip


def gauge(part: Part) -> float:
    """By how much the scale of `part` is to be shortened: a power of 2, which changes no digit of a float; 1: not."""
    brightest = max(float(bag.tiles.max()) for _, bag in part.bags)
    if not 0 < brightest < DARK:
        return 1.0
    return 2.0 ** math.floor(math.log2(BRIGHTEST / brightest))


def shortened(part: Part, factor: float) -> Part:
    """`part` with every white nearer to its black by `factor`, and what is normalised the larger for it."""
    if factor == 1:
        return part

    def nearer(planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
        return tuple(
            replace(plane, white_dn=plane.black_dn + (plane.white_dn - plane.black_dn) / factor) for plane in planes
        )

    def larger(bag: Bag) -> Bag:
        return replace(
            bag,
            tiles=bag.tiles * bag.tiles.dtype.type(factor),
            step=_times(bag.step, factor),
            container=_times(bag.container, factor),
            ceiling=_times(bag.ceiling, factor),
        )

    found = part.saturation
    if found is not None:
        level, scatter, edge = (factor * value for value in (found.level, found.scatter, found.edge))
        found = replace(found, level=level, scatter=scatter, edge=edge)
    return replace(
        part,
        groups=tuple(nearer(group) for group in part.groups),
        bags=tuple((nearer(members), larger(bag)) for members, bag in part.bags),
        saturation=found,
    )


def on_stated_scale(plane: PlaneFootprint, factor: float) -> PlaneFootprint:
    """`plane`, read of a part that was `shortened` by `factor`, with its stated white; values in DN stay."""
    if factor == 1:
        return plane

    def stated(white_dn: float | None, black_dn: float | None) -> float | None:
        return None if white_dn is None or black_dn is None else black_dn + (white_dn - black_dn) * factor

    def smaller(estimate: Estimate) -> Estimate:
        if not parameter(estimate.name).scales_with_dn:
            return estimate
        low, value, high = (_times(v, 1 / factor) for v in (estimate.low, estimate.value, estimate.high))
        return replace(estimate, low=low, value=value, high=high)

    curve = tuple(
        replace(p, signal=p.signal / factor, sigma=p.sigma / factor, low=p.low / factor, high=p.high / factor)
        for p in plane.curve
    )
    seen, level = plane.arrangement, plane.saturation
    if seen is not None:
        seen = replace(seen, row=_times(seen.row, 1 / factor), column=_times(seen.column, 1 / factor))
    if level is not None:
        white = stated(level.stated_white_dn, plane.black_dn)
        level = replace(level, stated_white_dn=level.stated_white_dn if white is None else white)
    return replace(
        plane,
        white_dn=stated(plane.white_dn, plane.black_dn),
        curve=curve,
        law=_law_on(plane.law, factor),
        parameters=tuple(smaller(estimate) for estimate in plane.parameters),
        signal_median=plane.signal_median / factor,
        effective_sigma=plane.effective_sigma / factor,
        arrangement=seen,
        saturation=level,
    )


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _law_on(law: VarianceLaw | SampledCurve, factor: float) -> VarianceLaw | SampledCurve:
    if isinstance(law, VarianceLaw):
        square = factor * factor
        return VarianceLaw(law.shot / factor, law.intercept / square, law.square, law.floor / square)
    signals = tuple(signal / factor for signal in law.signals)
    sigmas = tuple(sigma / factor for sigma in law.sigmas)
    if signals[-1] < 1:  # constant beyond
        signals, sigmas = (*signals, 1.0), (*sigmas, sigmas[-1])
    return SampledCurve(signals, sigmas)
