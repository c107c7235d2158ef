"""The noise curve laid over the picture: a standard deviation for every pixel."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag import images
from noisediag.errors import UsageError
from noisediag.footprint.file import Footprint
from noisediag.images.image import Image, Plane
from noisediag.readout.tiles import by_frame, fills_mosaic, luma, whole_shape

AROUND = 5  # px


def sigma_map(image: Image, footprint: Footprint, scale: float | None = None) -> NDArray[np.float32]:
    """Standard deviation of the pixel noise at each pixel, float32, where each plane's white - black counts `scale`.

    `scale` None: DN. `(H, W)`, or `(planes, H, W)` for several colours, channels or frames, in the file's order.

    The clean signal is taken as the mean of 5 x 5 pixels of the same plane; pixels without a value stay without one.
    Frames of a stack that were not sampled have the law of `all`; a part of the planes of a RAW file has maps of its
    own.
    """
    by_name = {(p.name, p.channel, p.frame): p for p in footprint.planes}
    own = {p.channel: p for p in footprint.planes if p.name in ("all", "luma")}
    maps: list[NDArray[np.float32]] = []
    mosaic: NDArray[np.float32] | None = None
    mosaicked = fills_mosaic(image.planes)
    for plane in _lumas(image) if image.luma_only else image.planes:
        law = by_name.get((plane.name, plane.channel, plane.frame), own.get(plane.channel, footprint.planes[-1])).law
        span = plane.white_dn - plane.black_dn
        smooth = _smooth(plane)
        sigma = (law.sigma(smooth) * (span if scale is None else scale)).astype(np.float32)
        if not mosaicked:
            maps.append(sigma)
            continue
        at = plane.lattice
        assert at is not None
        if mosaic is None:
            mosaic = np.full(whole_shape(image.planes), np.nan, np.float32)
        mosaic[at.row :: at.row_step, at.column :: at.column_step][: sigma.shape[0], : sigma.shape[1]] = sigma
    if mosaic is not None:
        return mosaic
    if len({one.shape for one in maps}) > 1:
        raise UsageError("the planes differ in size, so that one map cannot hold them: give a --channel")
    return maps[0] if len(maps) == 1 else np.stack(maps)


def _smooth(plane: Plane) -> NDArray[Any]:
    """Mean of 5 x 5 pixels of `plane`, of those with a value; not-a-number where the middle one has none."""
    codes = plane.load()
    missing = images.missing_pixels(plane, codes)
    span = plane.white_dn - plane.black_dn
    values = ((codes.astype(np.float32) - plane.black_dn) / span).astype(np.float32)
    if missing is None:
        return _means(values)
    share = np.maximum(_means((~missing).astype(np.float32)), np.float32(1e-3))
    return np.where(missing, np.float32(np.nan), _means(np.where(missing, np.float32(0), values)) / share)


def _means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the AROUND x AROUND pixels around each, of those that are in the picture."""
    from scipy.ndimage import uniform_filter1d  # slow to import, for maps alone

    for axis in (0, 1):
        inside = uniform_filter1d(np.ones(values.shape[axis], np.float32), AROUND, mode="constant")
        sums = uniform_filter1d(values, AROUND, axis=axis, mode="constant")
        values = sums / inside.reshape((-1, 1) if axis == 0 else (1, -1))
    return values


def _lumas(image: Image) -> list[Plane]:
    """The luma of each frame."""
    frames = by_frame([[plane] for plane in image.planes])
    return [
        replace(members[0], name="luma", load=partial(luma, members), step_dn=None, missing_code=None)
        for members in frames
    ]
