"""Overrides of the scale, and the choice of channel, frame and region."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from noisediag.errors import UsageError
from noisediag.images.image import DEPTH, LUMA, Codes, Image, Plane
from noisediag.images.levels import effective_bits
from noisediag.images.source import chosen

Roi = tuple[int, int, int, int]  # x, y, width, height


def override(image: Image, *, black: float | None, white: float | None) -> Image:
    """`image` with the given levels (DN) in every plane. Raises UsageError unless black < white."""
    if black is None and white is None:
        return image
    return replace(image, planes=tuple(_rescaled(plane, black, white) for plane in image.planes))


def _rescaled(plane: Plane, black: float | None, white: float | None) -> Plane:
    changed = replace(
        plane,
        black_dn=plane.black_dn if black is None else float(black),
        white_dn=plane.white_dn if white is None else float(white),
        offset_known=plane.offset_known or black is not None,
        white_known=plane.white_known or white is not None,
        scale_source="override",
        masked=plane.masked if plane.masked is None or black is None else replace(plane.masked, stated_dn=float(black)),
    )
    if not changed.black_dn < changed.white_dn < float("inf"):
        raise UsageError(f"black {changed.black_dn:g} is not below white {changed.white_dn:g} (plane {plane.name})")
    if white is not None and plane.bit_depth is not None:
        changed = replace(changed, bit_depth=effective_bits(changed.white_dn, plane.step_dn))
    return changed


def at_frame(image: Image, frame: int | None) -> Image:
    """`image` with the planes of `frame`, where it can read any but lists some. Raises UsageError if there is none."""
    if frame is None or image.frame_at is None:
        return image
    _check_frame(image, frame)
    return replace(image, planes=image.frame_at(frame), warnings=())


def _check_frame(image: Image, frame: int) -> None:
    if not 0 <= frame < image.frames:
        raise UsageError(f"there is no frame {frame}: the file has {image.frames} (counted from 0)")


def as_linear(image: Image) -> Image:
    """`image` with codes that are proportional to light, whatever its format makes of them.

    The planes of a rendered picture become those of a linear file that says nothing of its levels: colours are channels
    of their own, black is assumed, white is the container's.
    """
    if image.domain != "rendered":
        return image
    several = len({plane.channel or plane.name for plane in image.planes}) > 1
    planes = tuple(
        replace(
            plane,
            channel=plane.channel or (plane.name if several else None),
            offset_known=False,
            white_known=False,
            scale_source="assumed",
        )
        for plane in image.planes
    )
    return replace(image, planes=planes, domain="linear", jpeg=None)


def select(
    image: Image,
    *,
    channel: str | int | None = None,
    frame: int | None = None,
    z: int | None = None,
    roi: Roi | None = None,
) -> Image:
    """The planes asked for, cropped. Raises UsageError, naming what there is, if none is left.

    The channel `luma` of a rendered colour picture is made of its planes: they stay, and the image says so.
    """
    image = image if z is None else _at_depth(image, z)
    planes = image.planes
    colours = {plane.name for plane in planes}
    luma_only = channel == "luma" and image.domain == "rendered" and colours == set(LUMA)
    gray = channel == "luma" and image.domain == "rendered" and colours == {"gray"}  # its own luma
    if channel is not None and not (luma_only or gray):
        names = list(dict.fromkeys(plane.channel or plane.name for plane in planes))
        wanted = names[chosen("channel", "Y" if channel == "luma" and "Y" in names else channel, names)]
        planes = tuple(plane for plane in planes if (plane.channel or plane.name) == wanted)
    if frame is not None:
        _check_frame(image, frame)
        planes = tuple(plane for plane in planes if (plane.frame or 0) == frame)
    warnings = image.warnings
    if roi is not None:
        region = _aligned(planes[0], roi)
        if region != tuple(roi):
            warnings += (f"roi shrunk to {','.join(map(str, region))}, whole periods of the colour-filter pattern",)
        planes = tuple(_cropped(plane, region) for plane in planes)
    return replace(
        image,
        planes=planes,
        frames=1 if frame is not None else image.frames,
        frame_axes=() if frame is not None else image.frame_axes,
        jpeg=None if roi is not None else image.jpeg,  # whose blocks begin elsewhere now
        luma_only=luma_only,
        warnings=warnings,
    )


def _at_depth(image: Image, z: int) -> Image:
    """The frames at depth `z`, counted anew over the other axes. Raises UsageError where there is no such depth."""
    letters, lengths = [letter for letter, _ in image.frame_axes], [length for _, length in image.frame_axes]
    if DEPTH not in letters or math.prod(lengths) != image.frames:
        raise UsageError("--z: the file does not say that its frames lie at several depths")
    place = letters.index(DEPTH)
    if not 0 <= z < lengths[place]:
        raise UsageError(f"there is no depth {z}: the file has {lengths[place]} (counted from 0)")
    others = lengths[:place] + lengths[place + 1 :]
    frames = math.prod(others)
    kept = []
    for plane in image.planes:
        index = [int(position) for position in np.unravel_index(plane.frame or 0, lengths)]
        if index.pop(place) == z:
            frame = int(np.ravel_multi_index(index, others)) if others else 0
            kept.append(replace(plane, frame=frame if frames > 1 else None))
    axes = tuple(axis for axis in image.frame_axes if axis[0] != DEPTH)
    return replace(image, planes=tuple(kept), frames=frames, frame_axes=axes)


def _aligned(plane: Plane, roi: Roi) -> Roi:
    """`roi` shrunk to whole periods of the plane's lattice."""
    x, y, width, height = roi
    if x < 0 or y < 0 or width < 1 or height < 1:
        raise UsageError(f"roi {x},{y},{width},{height}: x and y must not be negative, width and height at least 1")
    rows, columns = (plane.lattice.row_step, plane.lattice.column_step) if plane.lattice else (1, 1)
    left, top = -(-x // columns) * columns, -(-y // rows) * rows
    right, bottom = (x + width) // columns * columns, (y + height) // rows * rows
    if right <= left or bottom <= top:
        raise UsageError(f"roi {x},{y},{width},{height} holds no whole {columns}x{rows} period of the filter pattern")
    if right // columns > plane.shape[1] or bottom // rows > plane.shape[0]:
        picture = f"{plane.shape[1] * columns} x {plane.shape[0] * rows}"
        raise UsageError(f"roi {x},{y},{width},{height} leaves the picture ({picture})")
    return left, top, right - left, bottom - top


def _cropped(plane: Plane, roi: Roi) -> Plane:
    rows, columns = (plane.lattice.row_step, plane.lattice.column_step) if plane.lattice else (1, 1)
    x, y, width, height = roi
    window = (slice(y // rows, (y + height) // rows), slice(x // columns, (x + width) // columns))
    return replace(plane, shape=(height // rows, width // columns), load=_window(plane.load, window))


def _window(load: Callable[[], Codes], window: tuple[slice, slice]) -> Callable[[], Codes]:
    return lambda: load()[window]
