"""How a decoded frame's channels lie in its memory: read as they are, never converted to another colour space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from noisediag.errors import UnsupportedError
from noisediag.images.image import Codes

FULL_RANGE, LIMITED_RANGE = 2, 1  # AVColorRange
MAX_BITS = 16
# Where each channel begins and how far its next sample is, in samples, of formats that mix channels in one plane.
_RGB3 = {"rgb": "RGB", "bgr": "BGR"}
_RGB4 = {"rgba": "RGBA", "rgb0": "RGBA", "bgra": "BGRA", "bgr0": "BGRA"}
_RGB4 |= {"argb": "ARGB", "0rgb": "ARGB", "abgr": "ABGR", "0bgr": "ABGR"}
_PACKED = {
    **{f"{name}24": [(c, 0, order.index(c), 3) for c in "RGB"] for name, order in _RGB3.items()},
    **{f"{name}48le": [(c, 0, order.index(c), 3) for c in "RGB"] for name, order in _RGB3.items()},
    **{f"{name}48be": [(c, 0, order.index(c), 3) for c in "RGB"] for name, order in _RGB3.items()},
    **{name: [(c, 0, order.index(c), 4) for c in "RGB"] for name, order in _RGB4.items()},
    "yuyv422": [("Y", 0, 0, 2), ("Cb", 0, 1, 4), ("Cr", 0, 3, 4)],
    "uyvy422": [("Y", 0, 1, 2), ("Cb", 0, 0, 4), ("Cr", 0, 2, 4)],
    "nv12": [("Y", 0, 0, 1), ("Cb", 1, 0, 2), ("Cr", 1, 1, 2)],
    "nv21": [("Y", 0, 0, 1), ("Cb", 1, 1, 2), ("Cr", 1, 0, 2)],
}


@dataclass(frozen=True)
class Channel:
    """One channel of a frame: its name, its plane, its first sample there and the distance of the next, its size."""

    name: str
    plane: int
    first: int
    step: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True)
class Layout:
    """The channels of the frames of one movie."""

    channels: tuple[Channel, ...]
    bits: int
    dtype: np.dtype[Any]
    full_range: bool

    @property
    def gray(self) -> bool:
        """Whether there is one channel alone."""
        return len(self.channels) == 1

    def levels(self, channel: Channel) -> tuple[float, float]:
        """Lowest and highest code, DN, that stand for black and white, or for the ends of a colour difference."""
        if self.full_range:
            return 0.0, float(2**self.bits - 1)
        unit = 2 ** (self.bits - 8)
        return 16.0 * unit, (240.0 if channel.name in ("Cb", "Cr") else 235.0) * unit

    def codes(self, frame: Any, channel: Channel) -> Codes:
        """The codes of one channel of a frame of this layout."""
        plane = frame.planes[channel.plane]
        row = plane.line_size // self.dtype.itemsize
        values = np.frombuffer(memoryview(plane), self.dtype)
        values = values[: values.size // row * row].reshape(-1, row)
        end = channel.first + (channel.width - 1) * channel.step + 1
        return values[: channel.height, channel.first : end : channel.step].astype(self.dtype.newbyteorder("="))


def layout(frame: Any, *, lossless: bool) -> Layout:
    """The layout of `frame`, of a codec that is `lossless` or not. Raises UnsupportedError for what is not read."""
    form = frame.format
    name, components = str(form.name), form.components
    bits = int(components[0].bits)
    if bits > MAX_BITS or bits < 8 or form.is_bit_stream or "bayer" in name or name.startswith("xyz"):
        raise UnsupportedError(f"a movie with pixels of the format {name} is not read")
    if name == "pal8":
        channels = [Channel("gray", 0, 0, 1, int(frame.height), int(frame.width))]
    elif name in _PACKED:
        sizes = dict(zip(("R", "G", "B") if form.is_rgb else ("Y", "Cb", "Cr"), components, strict=False))
        channels = [
            Channel(c, plane, first, step, int(sizes[c].height), int(sizes[c].width))
            for c, plane, first, step in _PACKED[name]
        ]
    else:
        colours = [component for component in components if not component.is_alpha]
        if len({component.plane for component in colours}) < len(colours):
            raise UnsupportedError(f"a movie with pixels of the format {name} is not read")
        names = ("gray",) if len(colours) == 1 else tuple("RGB") if form.is_rgb else ("Y", "Cb", "Cr")
        channels = [
            Channel(c, int(one.plane), 0, 1, int(one.height), int(one.width))
            for c, one in zip(names, colours, strict=True)
        ]
    dtype = np.dtype("u1") if bits == 8 else np.dtype(">u2" if form.is_big_endian else "<u2")
    stated = int(frame.color_range)
    plain = form.is_rgb or name == "pal8" or (len(channels) == 1 and lossless)  # limited only where it says so
    full = name.startswith("yuvj") or stated == FULL_RANGE or (plain and stated != LIMITED_RANGE)
    return Layout(tuple(channels), bits, dtype, full)


def check_palette(frame: Any) -> None:
    """Raise UnsupportedError unless the palette of a movie's first frame, where it has one, is that of gray levels."""
    if frame.format.name != "pal8":
        return
    palette = np.frombuffer(memoryview(frame.planes[1]), np.uint32)[:256].astype(np.int64)
    if not np.array_equal(palette & 0xFFFFFF, np.arange(256) * 0x010101):
        raise UnsupportedError("a movie with a palette: its noise is that of the palette's dither")
