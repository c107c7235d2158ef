"""What a file may announce: more is refused before anything of that size is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from noisediag.errors import TooLargeError, TruncatedError, UnreadableError

if TYPE_CHECKING:
    import tifffile

MAX_PLANES = 1 << 18  # frames times channels, or pages; two hours of a camera at 30 Hz
MAX_CHANNELS = 1 << 12  # twice those of an imaging spectrometer
MAX_TAG_NUMBERS = 1 << 17  # of one tag; levels go by rows or columns of the picture
MAX_TEXT_BYTES = 1 << 26  # of a description: OME-XML has some 200 a plane
MAX_HEADER_BYTES = 1 << 22  # of the first header of a FITS file
MAX_HDUS = 1 << 12
_FITS_BLOCK, _FITS_CARD = 2880, 80


def check_planes(frames: int, channels: int = 1) -> None:
    """Raise TooLargeError for more channels, or more planes in all, than a file may have."""
    if channels > MAX_CHANNELS:
        raise TooLargeError(f"{channels} channels, more than {MAX_CHANNELS}")
    if frames * channels > MAX_PLANES:
        raise TooLargeError(f"{frames * channels} planes, more than {MAX_PLANES}")


def check_chain(path: Path) -> None:
    """Raise TooLargeError for a TIFF file of too many directories, UnreadableError where they lead in a circle.

    tifffile follows a circle until memory ends.
    """
    with open(path, "rb") as file:
        head = file.read(16)
        order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
        big = head[2:4] in (b"+\0", b"\0+")
        count_bytes, entry_bytes, place_bytes = (8, 20, 8) if big else (2, 12, 4)
        place = int.from_bytes(head[8:16] if big else head[4:8], order)
        seen: set[int] = set()
        while place:
            if place in seen:
                raise UnreadableError("its directories lead in a circle")
            seen.add(place)
            if len(seen) > MAX_PLANES:
                raise TooLargeError(f"more than {MAX_PLANES} pages")
            file.seek(place)
            entries = file.read(count_bytes)
            file.seek(place + count_bytes + entry_bytes * int.from_bytes(entries, order))
            following = file.read(place_bytes)
            if len(entries) < count_bytes or len(following) < place_bytes:
                return  # cut off: tifffile tells
            place = int.from_bytes(following, order)


def check_pages(tiff: tifffile.TiffFile) -> None:
    """Raise TooLargeError for a TIFF file whose first page has a text that no picture needs."""
    text = tiff.pages.first.tags.get(270)
    if text is not None and text.count > MAX_TEXT_BYTES:
        raise TooLargeError(f"a description of {text.count} bytes, more than {MAX_TEXT_BYTES}")


def tag_value(tag: Any) -> Any:
    """The value of a TIFF tag; None where the file has none. Raises TooLargeError for a table of too many numbers."""
    if tag is None:
        return None
    if tag.count > MAX_TAG_NUMBERS:
        raise TooLargeError(f"TIFF tag {tag.name} has {tag.count} numbers, more than {MAX_TAG_NUMBERS}")
    return tag.value


def check_fits_header(path: Path) -> None:
    """Raise TooLargeError for a first header that does not end in time, TruncatedError where it does not end at all."""
    with open(path, "rb") as file:
        for _ in range(MAX_HEADER_BYTES // _FITS_BLOCK):
            block = file.read(_FITS_BLOCK)
            cards = (block[start : start + _FITS_CARD] for start in range(0, len(block), _FITS_CARD))
            if any(card.rstrip() == b"END" for card in cards):
                return
            if len(block) < _FITS_BLOCK:
                raise TruncatedError("the header has no end")
    raise TooLargeError(f"a header of more than {MAX_HEADER_BYTES} bytes")
