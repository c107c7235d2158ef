"""Camera names and settings of RAW files that hold no EXIF directory in the usual place.

Canon CRW is a heap of CIFF records, Sigma X3F a list of properties in UTF-16, Minolta MRW a TIFF block among others.
References: CIFF specification 1.0 revision 4 (Canon, 1997); Foveon X3F file format 3.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

CRW, X3F, MRW = b"HEAPCCDR", b"FOVb", b"\0MRM"

_MAKE_MODEL = 0x080A  # CIFF record: two texts
_HEAPS = (0x2800, 0x3000)  # data types of records that hold records
_INSIDE = 0xC000  # bits of a type that say where the value is; 0: in the heap
_MOST_RECORDS, _DEEPEST = 4096, 8
_MOST_TEXT = 1 << 16  # characters of an X3F property list
_X3F_NAMES = {"CAMMANUF": "Make", "CAMMODEL": "Model"}
_X3F_NUMBERS = {"ISO": ("ISO", 1.0), "EXPTIME": ("ExposureTime", 1e-6), "APERTURE": ("FNumber", 1.0)}


def canon_crw(file: BinaryIO) -> dict[str, Any]:
    """Make and model of a CRW file, by ExifTool names. Raises ValueError or struct.error where it is damaged."""
    head = file.read(14)
    order = "<" if head[:2] == b"II" else ">"
    begin = struct.unpack(f"{order}I", head[2:6])[0]
    records = _records(file, order, begin, file.seek(0, 2) - begin, 0)
    for kind, place, length in islice(records, _MOST_RECORDS):  # heaps may lie upon each other without end
        if kind & ~_INSIDE == _MAKE_MODEL and length < _MOST_TEXT:
            file.seek(place)
            texts = [text.decode("ascii", "replace").strip() for text in file.read(length).split(b"\0")[:2]]
            return {name: text for name, text in zip(("Make", "Model"), texts, strict=False) if text}
    return {}


def _records(file: BinaryIO, order: str, begin: int, length: int, depth: int) -> Iterator[tuple[int, int, int]]:
    """Type, place and length of the records of the heap at `begin`, and of those in it."""
    file.seek(begin + length - 4)
    directory = begin + struct.unpack(f"{order}I", file.read(4))[0]
    file.seek(directory)
    count = struct.unpack(f"{order}H", file.read(2))[0]
    if count > _MOST_RECORDS:
        raise ValueError(f"{count} records in one heap")
    table = file.read(10 * count)
    for number in range(count):
        kind, size, offset = struct.unpack_from(f"{order}HII", table, 10 * number)
        if kind & _INSIDE:
            continue
        yield kind, begin + offset, size
        if kind & 0x3800 in _HEAPS and depth < _DEEPEST and size < length:
            yield from _records(file, order, begin + offset, size, depth + 1)


def sigma_x3f(file: BinaryIO) -> dict[str, Any]:
    """Camera and exposure of an X3F file, by ExifTool names. Raises ValueError or struct.error where it is damaged."""
    file.seek(-4, 2)
    file.seek(struct.unpack("<I", file.read(4))[0])
    signature, _, count = struct.unpack("<4sII", file.read(12))
    if signature != b"SECd" or count > _MOST_RECORDS:
        raise ValueError("no directory at its end")
    entries = [struct.unpack("<II4s", file.read(12)) for _ in range(count)]
    found: dict[str, Any] = {}
    for offset, _, kind in entries:
        if kind != b"PROP":
            continue
        file.seek(offset)
        _, _, properties, _, _, characters = struct.unpack("<4s5I", file.read(24))
        if properties > _MOST_RECORDS or characters > _MOST_TEXT:
            raise ValueError(f"{properties} properties")
        places = struct.unpack(f"<{2 * properties}I", file.read(8 * properties))
        text = file.read(2 * characters).decode("utf-16-le", "replace")
        words = [text[place:].split("\0", 1)[0].strip() for place in places]
        found |= _sigma_tags(dict(zip(words[::2], words[1::2], strict=True)))
    return found


def _sigma_tags(properties: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: properties[key] for key, name in _X3F_NAMES.items() if properties.get(key)}
    for key, (name, unit) in _X3F_NUMBERS.items():
        try:
            value = float(properties[key]) * unit
        except (KeyError, ValueError):
            continue
        if 0 < value < 1e9:  # false for not-a-number, too
            found[name] = int(value) if value == int(value) else value
    return found


def minolta_block(head: bytes) -> bytes:
    """The TIFF block with the EXIF of an MRW file, of which `head` is the beginning; empty where there is none."""
    place = 8
    while place + 8 <= len(head) and head[place : place + 1] == b"\0":
        name, length = struct.unpack_from(">4sI", head, place)
        if name == b"\0TTW":
            return head[place + 8 : place + 8 + length]
        place += 8 + length
    return b""
