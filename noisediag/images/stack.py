"""Pictures along any axes as an `Image`: one axis becomes channels, all others but the picture's two become frames."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.errors import TruncatedError, UnreadableError
from noisediag.images.image import Codes, Domain, Image, Plane
from noisediag.images.limits import check_planes
from noisediag.images.source import LinearScale, check_dtype, check_size, sampled

PICTURE = ("Y", "X")
MIN_SIDE_PX = 16  # of a picture: less tells nothing of noise
UNKNOWN = "QPONM"  # letters of axes that a file does not name; more of them are no picture
_COLOURS = (3, 4)


@dataclass(frozen=True)
class Stack:
    """What a reader knows of a file before it reads a pixel.

    `sizes`: the length of each axis by its letter, in the order in which frames are counted, the last one fastest:
    T time, Z depth, C channel, S colours of a pixel, Q what the file does not say; `picture`: the letters of rows and
    columns. `fetch` returns one picture, (rows, columns), at a place that names the index on every other axis. `names`:
    of the channels. Levels in DN; `missing_code` as in `Plane`.
    """

    sizes: Mapping[str, int]
    dtype: np.dtype[Any]
    fetch: Callable[[dict[str, int]], Codes]
    reader: str
    picture: tuple[str, str] = PICTURE
    names: Sequence[str] = ()
    domain: Domain = "linear"
    black: float | None = None
    white: float | None = None
    missing_code: float | None = None
    acquisition: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    @property
    def channel_axis(self) -> str:
        """Colours stored with each pixel are channels where there are any."""
        return "S" if self.sizes.get("S", 1) > 1 else "C"

    @property
    def loop(self) -> dict[str, int]:
        """The axes over which frames are counted."""
        return {axis: size for axis, size in self.sizes.items() if axis not in (*self.picture, self.channel_axis)}

    def load(self, channel: int, frame: int) -> Codes:
        """The picture of one channel and frame, in native byte order."""
        loop = self.loop
        index = np.unravel_index(frame, tuple(loop.values())) if loop else ()
        place = {axis: int(position) for axis, position in zip(loop, index, strict=True)}
        if self.channel_axis in self.sizes:
            place[self.channel_axis] = channel
        values = np.ascontiguousarray(self.fetch(place))
        return values.astype(values.dtype.newbyteorder("="), copy=False)


def image(stack: Stack) -> Image:
    """Every channel and frame of `stack` as a plane; one scale a channel, measured on a sample of its frames.

    Raises UnsupportedError for pixels that are no grey levels, TooLargeError for pictures beyond all bounds.
    """
    check_dtype(stack.dtype)
    shape = (stack.sizes[stack.picture[0]], stack.sizes[stack.picture[1]])
    check_size(*shape)
    channels = stack.sizes.get(stack.channel_axis, 1)
    frames = 1
    for length in stack.loop.values():
        frames *= int(length)
    check_planes(frames, channels)
    if frames * channels < 1:
        raise UnreadableError(f"announces {frames} frames of {channels} channels: none at all")
    names, warnings = list(stack.names), list(stack.warnings)
    if len(names) != channels or len(set(names)) != channels or not all(names):
        names = [f"channel{index}" for index in range(channels)] if channels > 1 else ["gray"]
    planes: list[Plane] = []
    for channel, name in enumerate(names):
        scale = LinearScale(
            [stack.load(channel, frame) for frame in sampled(frames)],
            declared_black=stack.black,
            declared_white=stack.white,
            missing_code=stack.missing_code,
        )
        warnings += scale.warnings
        planes += [
            scale.plane(
                name,
                shape,
                functools.partial(stack.load, channel, frame),
                channel=name if channels > 1 else None,
                frame=frame if frames > 1 else None,
            )
            for frame in range(frames)
        ]
    return Image(
        tuple(planes),
        stack.domain,
        stack.reader,
        acquisition=stack.acquisition,
        frames=frames,
        frame_axes=tuple((axis, length) for axis, length in stack.loop.items() if length > 1),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def by_order(shape: tuple[int, ...]) -> str:
    """The letters of axes that nothing names: pictures last, or before an axis too short to be a side of one."""
    axes = len(shape)
    if axes > 2 and shape[-1] < MIN_SIDE_PX <= min(shape[-3:-1]):
        return UNKNOWN[: axes - 3] + ("YXS" if shape[-1] in _COLOURS else f"YX{UNKNOWN[axes - 3]}")
    return UNKNOWN[: axes - 2] + "YX"


def pages(path: Path, offset: int, dtype: np.dtype[Any], shape: tuple[int, int], count: int) -> Callable[[int], Codes]:
    """A function from page number to pixels, of `count` pages that stand one behind the other, not compressed.

    Raises TruncatedError where the file ends before they do.
    """
    page_bytes = shape[0] * shape[1] * dtype.itemsize
    announced, there = count * page_bytes, path.stat().st_size - offset
    if there < announced:
        raise TruncatedError(f"{announced} bytes of pixels announced, {max(there, 0)} there")

    def page(index: int) -> Codes:
        return np.fromfile(path, dtype, shape[0] * shape[1], offset=offset + index * page_bytes).reshape(shape)

    return page
