"""What a JPEG XL file says of itself before any pixel: size, depth, extra channels. ISO/IEC 18181-1:2024, annex D.

libjxl through imagecodecs hands out pixels alone, and only once it has made room for all that the header declares.
"""

from __future__ import annotations

from dataclasses import dataclass

SIGNATURE, CONTAINER = b"\xff\x0a", b"\x00\x00\x00\x0cJXL "
ALPHA, BLACK = 0, 4  # types of extra channels

_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}  # width to height
_SIDE = ((9, 1), (13, 1), (18, 1), (30, 1))
_ENUM = ((0, 0), (0, 1), (4, 2), (6, 18))


@dataclass(frozen=True)
class JxlHeader:
    """Size in pixels, bits of a sample, whether they are floats, whether the colours are XYB (lossy), the types of
    extra channels, whether there are several frames.
    """

    height: int
    width: int
    bits: int = 8
    floats: bool = False
    xyb: bool = True
    extra: tuple[int, ...] = ()
    animated: bool = False


class _Bits:
    """Bits from the least significant one of each byte on."""

    def __init__(self, data: bytes) -> None:
        self.value = int.from_bytes(data, "little")
        self.left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self.left:
            raise ValueError("the JPEG XL header is cut off")
        found = self.value & ((1 << count) - 1)
        self.value >>= count
        self.left -= count
        return found

    def choice(self, options: tuple[tuple[int, int], ...]) -> int:
        """One of four (bits, offset): U32 of the standard."""
        bits, offset = options[self.take(2)]
        return offset + self.take(bits)


def parse(codestream: bytes) -> JxlHeader:
    """The header of a codestream, of which some hundred bytes are enough. Raises ValueError where it is none."""
    if not codestream.startswith(SIGNATURE):
        raise ValueError("no JPEG XL codestream")
    bits = _Bits(codestream[len(SIGNATURE) :])
    height, width = _size(bits)
    if bits.take(1):  # all is as usual
        return JxlHeader(height, width)
    animated = _extra_fields(bits) if bits.take(1) else False
    depth, floats = _depth(bits)
    bits.take(1)  # 16-bit buffers suffice
    extra = tuple(_extra_channel(bits) for _ in range(bits.choice(((0, 0), (0, 1), (4, 2), (12, 1)))))
    return JxlHeader(height, width, depth, floats, bool(bits.take(1)), extra, animated)


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.choice(_SIDE)
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio]
        return height, height * across // down
    return height, 8 * (bits.take(5) + 1) if small else bits.choice(_SIDE)


def _extra_fields(bits: _Bits) -> bool:
    """Whether the picture is an animation; orientation, intrinsic size and preview are passed over."""
    bits.take(3)
    if bits.take(1):
        _size(bits)
    if bits.take(1):
        eighths = bits.take(1)
        side = ((0, 16), (0, 32), (5, 1), (9, 33)) if eighths else ((6, 1), (8, 65), (10, 321), (12, 1345))
        bits.choice(side)
        if bits.take(3) == 0:
            bits.choice(side)
    if not bits.take(1):
        return False
    bits.choice(((0, 100), (0, 1000), (10, 1), (30, 1)))
    bits.choice(((0, 1), (0, 1001), (8, 1), (10, 1)))
    bits.choice(((0, 0), (3, 0), (16, 0), (32, 0)))
    bits.take(1)
    return True


def _depth(bits: _Bits) -> tuple[int, bool]:
    if bits.take(1):
        found = bits.choice(((0, 32), (0, 16), (0, 24), (6, 1)))
        bits.take(4)
        return found, True
    return bits.choice(((0, 8), (0, 10), (0, 12), (6, 1))), False


def _extra_channel(bits: _Bits) -> int:
    """The type of one extra channel."""
    if bits.take(1):
        return ALPHA
    kind = bits.choice(_ENUM)
    _depth(bits)
    bits.choice(((0, 0), (0, 3), (0, 4), (3, 1)))
    for _ in range(bits.choice(((0, 0), (4, 0), (5, 16), (10, 48)))):
        bits.take(8)
    if kind == ALPHA:
        bits.take(1)
    elif kind == 2:  # a spot colour: four half floats
        bits.take(64)
    elif kind == 5:  # a colour filter's
        bits.choice(((0, 1), (2, 0), (4, 3), (8, 19)))
    return kind
