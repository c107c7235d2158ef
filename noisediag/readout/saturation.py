"""A measured ceiling, as a footprint tells it: the level in DN, and whether it is one that was stated."""

from __future__ import annotations

from dataclasses import replace

from noisediag.cop.models import SensorAnswer
from noisediag.footprint.plane import PlaneFootprint, SaturationLevel
from noisediag.readout.tiles import Part

OUTSHINES = 4.0  # times the plateau's variance that the noise of the light must have there for a ceiling to be one
STATED_WITHIN = 1.5  # steps between the levels in use: a hard clip so near to the stated white is that white


def outshone(part: Part, answer: SensorAnswer) -> bool:
    """Whether the noise below, continued to a plateau that scatters, is much stronger than the plateau.

    Otherwise it is a surface of the picture. True where there is no such plateau. `answer`: of the part's own bag.
    """
    found = part.saturation
    if found is None or found.scatter == 0:
        return True
    level = answer.evidence.signal.new_full((1, 1), found.level)
    return float(answer.curve.variance(level)[0, 0]) > OUTSHINES * found.scatter**2


def told(plane: PlaneFootprint, part: Part) -> PlaneFootprint:
    """`plane` with the saturation of its `part`, and a flag where it is not the stated white or not one code."""
    found, first = part.saturation, part.groups[0][0]
    if found is None:
        return plane
    span = first.white_dn - first.black_dn
    bag = part.bags[0][1]
    step = max(bag.container or 0.0, bag.step or 0.0)  # of a coarse lattice, too: its last level need not be white
    level = SaturationLevel(
        level_dn=first.black_dn + found.level * span,
        scatter_dn=found.scatter * span,
        share=found.share,
        stated_white_dn=first.white_dn,
    )
    unstated = found.scatter > 0 or found.level < 1 - STATED_WITHIN * step
    flags = tuple(sorted({*plane.flags, "saturation_measured"})) if unstated else plane.flags
    return replace(plane, saturation=level, flags=flags)
