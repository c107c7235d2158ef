"""White of a DNG is what its tag says, not what its container or LibRaw would make of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from noisediag.images import read

Writer = Callable[..., Path]


@pytest.mark.parametrize("white", [1023, 4000, 15000, 65000])
def test_white_is_that_of_the_tag(write_dng: Writer, rng: np.random.Generator, white: int) -> None:
    mosaic = rng.integers(100, white, (64, 96), dtype=np.uint16)
    assert {plane.white_dn for plane in read(write_dng(mosaic, white=white)).planes} == {white}


def test_a_white_level_that_is_no_whole_number_is_kept(write_dng: Writer, rng: np.random.Generator) -> None:
    """LibRaw takes the numerator of a fraction for the level."""
    path = write_dng(rng.integers(100, 4000, (64, 96), dtype=np.uint16), white=4000)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags[50717].overwrite((40006, 10), dtype="2I")
    assert {plane.white_dn for plane in read(path).planes} == {4000.6}


def test_deltas_of_rows_and_columns_are_added_to_black(write_dng: Writer, rng: np.random.Generator) -> None:
    """Blacks of rows and columns that alternate belong to the positions of the filter pattern."""
    mosaic = rng.integers(500, 4000, (64, 96), dtype=np.uint16)
    rows = [part for place in range(64) for part in (256 + 2 * (place % 2), 1)]
    columns = [part for place in range(96) for part in (-3 * (place % 2), 1)]
    extra = ((50716, "2i", 64, rows, True), (50715, "2i", 96, columns, True))
    image = read(write_dng(mosaic, black=(10,), white=4095, extra=extra))
    assert {p.name: p.black_dn for p in image.planes} == {"R": 266, "G1": 263, "G2": 268, "B": 265}
    ramp = [part for place in range(64) for part in (4 * place, 1)]
    image = read(write_dng(mosaic, black=(0,), white=4095, extra=((50716, "2i", 64, ramp, True),)))
    assert any("BlackLevelDeltaV varies" in warning for warning in image.warnings)
    assert image.planes[0].black_dn == pytest.approx(np.mean(ramp[::4]))


def test_data_without_levels_have_those_of_the_bits_they_use(write_dng: Writer, rng: np.random.Generator) -> None:
    path = write_dng(rng.integers(40, 1000, (64, 96), dtype=np.uint16))
    with tifffile.TiffFile(path, mode="r+b") as tiff:  # tags that nobody knows
        for code, unknown in ((50714, 60002), (50717, 60003)):
            tag = tiff.pages.first.tags[code]
            tiff.filehandle.seek(tag.offset)
            tiff.filehandle.write(unknown.to_bytes(2, "little"))
    image = read(path)
    assert {(p.black_dn, p.white_dn, p.scale_source, p.offset_known) for p in image.planes} == {
        (0.0, 1023.0, "assumed", False)
    }
    assert {(p.bit_depth, p.white_known) for p in image.planes} == {(10, False)}
    assert any("no BlackLevel and no WhiteLevel: black 0 and white 1023 assumed" in line for line in image.warnings)


def test_blacks_that_differ_by_a_code_are_noted(write_dng: Writer, rng: np.random.Generator) -> None:
    mosaic = rng.integers(200, 4000, (64, 96), dtype=np.uint16)
    image = read(write_dng(mosaic, black=(127, 128, 128, 128), repeat=(2, 2), white=4095))
    assert [p.black_dn for p in image.planes] == [127, 128, 128, 128]
    assert any("127 .. 128" in warning and "127.75" in warning for warning in image.warnings)
