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
