"""The ISO setting: where the 16-bit tag cannot hold it, and where TIFF/EP writes it."""

from __future__ import annotations

import struct

import pytest

from noisediag.images.metadata import exif_from_block

SHORT, LONG = 3, 4
ISO, KIND, STANDARD, RECOMMENDED, SPEED, EXIF = 0x8827, 0x8830, 0x8831, 0x8832, 0x8833, 0x8769


def block(first: dict[int, int], inner: dict[int, int]) -> bytes:
    """A TIFF block of a first directory and an EXIF one, tags of one number each."""

    def directory(tags: dict[int, int], link: bytes = b"\0\0\0\0") -> bytes:
        entries = b"".join(
            struct.pack("<HHII", tag, SHORT if tag in (ISO, KIND) else LONG, 1, value)
            for tag, value in sorted(tags.items())
        )
        return struct.pack("<H", len(tags)) + entries + link

    begin = 8 + 2 + 12 * (len(first) + 1) + 4
    return b"II*\0\x08\0\0\0" + directory({**first, EXIF: begin}) + directory(inner)


@pytest.mark.parametrize(
    ("first", "inner", "iso"),
    [
        ({}, {ISO: 400}, 400),
        ({ISO: 400}, {KIND: 0}, 400),
        ({}, {ISO: 400, KIND: 2, RECOMMENDED: 500}, 400),
        ({}, {ISO: 65535, KIND: 2, RECOMMENDED: 102400}, 102400),
        ({}, {ISO: 65535, KIND: 1, STANDARD: 80000, RECOMMENDED: 102400}, 80000),
        ({}, {ISO: 65535, KIND: 3, SPEED: 204800}, 204800),
        ({}, {ISO: 65535, RECOMMENDED: 102400}, 102400),
        ({}, {KIND: 2, RECOMMENDED: 200}, 200),
        ({}, {ISO: 65535}, None),
        ({}, {ISO: 0}, None),
    ],
)
def test_the_tag_that_says_it(first: dict[int, int], inner: dict[int, int], iso: int | None) -> None:
    warnings: list[str] = []
    assert exif_from_block(block(first, inner), warnings).get("ISO") == iso
    assert not warnings
