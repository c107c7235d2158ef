"""The boxes of ISO base media files (HEIF, AVIF, CR3, MP4), as far as their sizes and brands. ISO/IEC 14496-12."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from noisediag.errors import TruncatedError

_HEADER, _LARGE = 8, 16  # bytes of a box's size and name
_MOST = 1 << 16  # boxes of the top level; movies in fragments have thousands


def boxes(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and end of the boxes of the top level, in their order; the last one may end beyond the file."""
    size = path.stat().st_size
    place = 0
    with open(path, "rb") as file:
        for _ in range(_MOST):
            file.seek(place)
            head = file.read(_LARGE)
            if len(head) < _HEADER:
                return
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            elif length == 0:  # up to the end of the file
                length = size - place
            if length < _HEADER:
                return
            yield head[4:8], place, place + length
            place += length


def check_complete(path: Path) -> None:
    """Raise TruncatedError where a box is to end beyond the file."""
    size = path.stat().st_size
    for name, _, end in boxes(path):
        if end > size:
            raise TruncatedError(
                f"the file is cut off: its part {name.decode('latin-1')!r} ends at {end} of {size} bytes"
            )


def brands(head: bytes) -> tuple[bytes, ...]:
    """The major and the compatible brands that a file beginning with `head` states; () where it states none."""
    if head[4:8] != b"ftyp":
        return ()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return (head[8:12], *(head[place : place + 4] for place in range(16, end - 3, 4)))
