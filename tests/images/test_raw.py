from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from noisediag.errors import TruncatedError, UnsupportedError
from noisediag.images import Lattice, read

Writer = Callable[..., Path]
XTRANS = np.array(
    [
        [1, 1, 0, 1, 1, 2],
        [1, 1, 2, 1, 1, 0],
        [2, 0, 1, 0, 2, 1],
        [1, 1, 2, 1, 1, 0],
        [1, 1, 0, 1, 1, 2],
        [0, 2, 1, 2, 0, 1],
    ]
)
PATTERNS = {"RGGB": [[0, 1], [1, 2]], "GRBG": [[1, 0], [2, 1]], "GBRG": [[1, 2], [0, 1]], "BGGR": [[2, 1], [1, 0]]}
# (top, left, bottom, right): LibRaw moves odd corners inwards to the next even one.
AREAS = [None, (2, 4, 60, 90), (1, 1, 63, 95), (1, 0, 63, 96), (0, 1, 64, 95)]


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("active", AREAS)
def test_bayer_planes_keep_colour_and_black_whatever_the_crop(
    write_dng: Writer, name: str, active: tuple[int, int, int, int] | None
) -> None:
    pattern = np.array(PATTERNS[name])
    top, left = active[:2] if active else (0, 0)
    position = np.add.outer(2 * ((np.arange(64) - top) % 2), (np.arange(96) - left) % 2)
    blacks = (64.0, 128.5, 256.0, 512.25)
    path = write_dng(
        (1000 * (1 + position)).astype(np.uint16), pattern=pattern, black=blacks, repeat=(2, 2), active=active
    )
    image = read(path)
    assert [plane.name for plane in image.planes] == ["R", "G1", "G2", "B"]
    for plane in image.planes:
        values = plane.load()
        assert values.shape == plane.shape
        assert np.ptp(values) == 0, "one plane holds one filter position"
        place = int(values[0, 0]) // 1000 - 1
        row, column = divmod(place, 2)
        assert "RGB"[pattern[row, column]] == plane.name[0]
        if plane.name[0] == "G":
            assert ("R" if plane.name == "G1" else "B") == "RGB"[pattern[row, 1 - column]]
        assert plane.black_dn == blacks[place]
        assert (plane.white_dn, plane.scale_source, plane.offset_known) == (16383.0, "file", True)


def test_planes_are_views_of_the_mosaic(write_dng: Writer, rng: np.random.Generator) -> None:
    mosaic = rng.integers(0, 16384, (64, 96), dtype=np.uint16)
    image = read(write_dng(mosaic, pattern=np.array(PATTERNS["GBRG"])))
    assert (image.domain, image.reader, image.cfa_plane_colors) == ("raw-linear", "rawpy", ("R", "G", "B"))
    for plane in image.planes:
        at = plane.lattice
        assert isinstance(at, Lattice)
        np.testing.assert_array_equal(plane.load(), mosaic[at.row :: at.row_step, at.column :: at.column_step])
        assert (plane.bit_depth, plane.step_dn) == (14, 1.0)


def test_odd_sizes(write_dng: Writer, rng: np.random.Generator) -> None:
    mosaic = rng.integers(0, 4096, (65, 97), dtype=np.uint16)
    shapes = {plane.name: plane.shape for plane in read(write_dng(mosaic)).planes}
    visible = (shapes["R"][0] + shapes["B"][0], shapes["R"][1] + shapes["B"][1])
    for plane in read(write_dng(mosaic)).planes:
        assert plane.load().shape == plane.shape
    assert visible[0] in (64, 65)
    assert visible[1] in (96, 97)


@pytest.mark.parametrize("active", [None, (2, 4, 60, 90), (1, 1, 63, 95)])
def test_xtrans_has_a_plane_for_each_of_36_positions(
    write_dng: Writer, active: tuple[int, int, int, int] | None
) -> None:
    top, left = active[:2] if active else (0, 0)
    rows, columns = (np.arange(64) - top) % 6, (np.arange(96) - left) % 6
    mosaic = 1000 * (1 + XTRANS[np.ix_(rows, columns)])
    image = read(write_dng(mosaic.astype(np.uint16), pattern=XTRANS, active=active))
    names = [plane.name for plane in image.planes]
    assert {name: names.count(name) for name in "RGB"} == {"R": 8, "G": 20, "B": 8}
    for plane in image.planes:
        assert set(np.unique(plane.load())) == {1000 * (1 + "RGB".index(plane.name))}
        assert plane.lattice is not None
        assert plane.lattice.row_step == 6
    assert len({plane.lattice for plane in image.planes}) == 36


def test_monochrome(write_dng: Writer, rng: np.random.Generator) -> None:
    mosaic = rng.integers(0, 4096, (64, 96), dtype=np.uint16)
    image = read(write_dng(mosaic, pattern=np.zeros((1, 1), int), black=(64,), white=4095))
    (plane,) = image.planes
    assert (plane.name, image.domain, plane.black_dn, plane.white_dn) == ("gray", "raw-linear", 64.0, 4095.0)
    np.testing.assert_array_equal(plane.load(), mosaic)


def test_linear_dng_is_linear_with_its_levels_and_a_warning(write_dng: Writer, rng: np.random.Generator) -> None:
    colours = rng.integers(0, 65536, (64, 96, 3), dtype=np.uint16)
    image = read(write_dng(colours, black=(2048, 2049, 2050.5), white=65000))
    assert image.domain == "linear"
    assert [plane.name for plane in image.planes] == ["R", "G", "B"]
    assert [(plane.black_dn, plane.white_dn) for plane in image.planes] == [(b, 65000) for b in (2048, 2049, 2050.5)]
    assert {plane.scale_source for plane in image.planes} == {"file"}
    assert image.acquisition["NoiseProfile"] == [2e-4, 1e-7]
    assert "demosaiced" in image.warnings[0]
    np.testing.assert_array_equal(image.planes[1].load(), colours[..., 1])


def test_linear_dng_in_jpeg_xl_as_phones_write_it(write_dng: Writer, rng: np.random.Generator, tmp_path: Path) -> None:
    """LibRaw does not decompress it."""
    import tifffile

    colours = rng.integers(0, 4096, (64, 96, 3), dtype=np.uint16)
    with tifffile.TiffFile(write_dng(colours, black=(256, 256, 256), white=4095)) as plain:
        kept = (271, 272, 50706, 50707, 50708, 50713, 50714, 50717, 51041)
        tags = [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in plain.pages.first.tags if tag.code in kept]
    path = tmp_path / "phone.dng"
    options = {"compression": 52546, "compressionargs": {"lossless": True}, "tile": (32, 32), "metadata": None}
    tifffile.imwrite(path, colours, photometric=34892, extratags=tags, **options)
    image = read(path)
    assert (image.domain, image.acquisition["NoiseProfile"]) == ("linear", [2e-4, 1e-7])
    assert {(plane.black_dn, plane.white_dn) for plane in image.planes} == {(256, 4095)}
    np.testing.assert_array_equal(np.stack([plane.load() for plane in image.planes], -1), colours)


def test_tags_have_exiftool_names(write_dng: Writer, rng: np.random.Generator) -> None:
    mosaic = rng.integers(0, 16384, (64, 96), dtype=np.uint16)
    extra = ((50731, "2I", 1, (3, 2), True), (50935, "2I", 1, (0, 1), True))
    tags = read(write_dng(mosaic, extra=extra)).acquisition
    assert tags["Make"] == "Acme"
    assert tags["Model"] == "Cam 1"
    assert tags["Software"] == "sim"
    assert tags["NoiseProfile"] == [2e-4, 1e-7]
    assert (tags["BaselineNoise"], tags["NoiseReductionApplied"]) == (1.5, 0.0)


def test_left_shifted_raw(write_dng: Writer, rng: np.random.Generator) -> None:
    mosaic = rng.integers(100, 4000, (64, 96), dtype=np.uint16) << 2
    plane = read(write_dng(mosaic, white=16380)).planes[0]
    assert (plane.step_dn, plane.bit_depth) == (4.0, 12)


def test_truncated_and_unknown_raw(write_dng: Writer, rng: np.random.Generator, tmp_path: Path) -> None:
    path = write_dng(rng.integers(0, 16384, (64, 96), dtype=np.uint16))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(TruncatedError, match=r"picture\.dng: "):
        read(path)
    gpr = write_dng(np.zeros((64, 96), np.uint16), name="gopro.gpr")
    import tifffile

    with tifffile.TiffFile(gpr, mode="r+") as tiff:
        tiff.pages.first.tags[259].overwrite(9)
    with pytest.raises(UnsupportedError, match="GoPro"):
        read(gpr)
    dump = tmp_path / "dump.raw"
    dump.write_bytes(rng.integers(1, 255, 768 * 512 * 2, dtype=np.uint8).tobytes())
    with pytest.raises(UnsupportedError, match="headerless"):
        read(dump)


def test_roi_keeps_the_pattern(write_dng: Writer, rng: np.random.Generator) -> None:
    mosaic = rng.integers(0, 16384, (64, 96), dtype=np.uint16)
    path = write_dng(mosaic)
    image = read(path, roi=(5, 2, 21, 30))
    for plane in image.planes:
        at = plane.lattice
        assert at is not None
        np.testing.assert_array_equal(plane.load(), mosaic[2:32, 6:26][at.row :: 2, at.column :: 2])
    assert any("roi shrunk to 6,2,20,30" in line for line in image.warnings)
    assert [plane.name for plane in read(path, channel="G2").planes] == ["G2"]
