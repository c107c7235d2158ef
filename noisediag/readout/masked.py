"""What a file's masked pixels say against its stated black, and against the read noise that was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from noisediag.footprint.plane import BlackCheck, PlaneFootprint
from noisediag.images.image import Plane

READ_RATIO = 1.5  # of read noise and the masked pixels', or its inverse, beyond the interval, that is told


def told(plane: PlaneFootprint, members: Sequence[Plane]) -> PlaneFootprint:
    """`plane`, of `members`, with the black of their masked pixels where it contradicts the stated one.

    A black that the noise shows stands before it: it is what the picture itself says.
    """
    shown = [p.masked for p in members if p.masked is not None]
    if plane.black is not None or not any(one.contradicts for one in shown):
        return plane
    stated, fitted = (float(np.mean([getattr(one, name) for one in shown])) for name in ("stated_dn", "black_dn"))
    return replace(
        plane, black=BlackCheck(stated, fitted, "masked"), flags=tuple(sorted({*plane.flags, "black_doubtful"}))
    )


def doubts(plane: PlaneFootprint, members: Sequence[Plane]) -> list[str]:
    """Warnings of the file's own `plane`: another black than the stated one, another read noise than the masked one."""
    shown = [p.masked for p in members if p.masked is not None]
    said = []
    if plane.black is not None and plane.black.source == "masked":
        used = float(np.mean([p.black_dn for p in members]))
        said.append(
            f"masked pixels show black {plane.black.fitted_dn:.5g} DN, not the stated {plane.black.stated_dn:g}: "
            f"{used:.5g} is used"
        )
    read = plane["read_noise"]
    if shown and read.low_dn is not None and read.high_dn is not None:
        noise = float(np.sqrt(np.mean([one.noise_dn**2 for one in shown])))
        if not read.low_dn / READ_RATIO <= noise <= read.high_dn * READ_RATIO:
            said.append(
                f"masked pixels show read noise of {noise:.2g} DN, the picture {read.low_dn:.2g} .. {read.high_dn:.2g}"
            )
    return said
