from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from noisediag.errors import TooLargeError, TruncatedError, UnreadableError, UnsupportedError
from noisediag.images import read
from noisediag.images import tiff as tiff_reader

SIZE = (40, 56)


def load_all(path: Path) -> None:
    for plane in read(path).planes:
        plane.load()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"bigtiff": True}, {"byteorder": ">"}]
)
def test_gray_round_trip(tmp_path: Path, rng: np.random.Generator, dtype: str, options: dict[str, object]) -> None:
    values = (rng.random(SIZE) * 100).astype(dtype)
    tifffile.imwrite(tmp_path / "a.bin", values, **options)
    image = read(tmp_path / "a.bin")
    (plane,) = image.planes
    loaded = plane.load()
    np.testing.assert_array_equal(loaded, values)
    assert loaded.dtype == values.dtype
    assert (image.domain, plane.name, plane.channel, plane.frame) == ("linear", "gray", None, None)
    assert (plane.offset_known, plane.white_known, plane.scale_source) == (False, False, "assumed")
    white = {"uint8": 255, "uint16": 65535, "int16": 32767}.get(dtype, 128)
    assert plane.white_dn == white


def test_float_white_is_said_to_be_assumed(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "f.tif", np.full(SIZE, 900.0, np.float32))
    image = read(tmp_path / "f.tif")
    assert image.planes[0].white_dn == 1024.0
    assert "sampled frame" in image.warnings[0]


@pytest.mark.parametrize("kind", ["ome", "imagej", "plain"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_stack_axes(tmp_path: Path, rng: np.random.Generator, kind: str, compression: str | None) -> None:
    if kind == "imagej" and compression:
        pytest.skip("ImageJ stacks are uncompressed")
    stack = rng.integers(0, 60000, (5, 3, 2, *SIZE), dtype=np.uint16)  # T Z C Y X
    path = tmp_path / "s.tif"
    if kind == "ome":
        tifffile.imwrite(
            path,
            stack,
            ome=True,
            compression=compression,
            metadata={"axes": "TZCYX", "SignificantBits": 12 + 4, "Channel": {"Name": ["DAPI", "GFP"]}},
        )
    elif kind == "imagej":
        tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TZCYX"})
    else:
        tifffile.imwrite(path, stack[:, :, 0].reshape(15, *SIZE), compression=compression)
    image = read(path)
    assert image.frames == 15
    channels = 1 if kind == "plain" else 2
    assert len(image.planes) == 15 * channels
    for index, plane in enumerate(image.planes):
        channel, frame = divmod(index, 15)
        assert plane.frame == frame
        np.testing.assert_array_equal(plane.load(), stack[frame // 3, frame % 3, channel])
    if kind == "ome":
        assert [image.planes[0].name, image.planes[15].channel] == ["DAPI", "GFP"]
    one = read(path, frame=7, channel=channels - 1)
    np.testing.assert_array_equal(one.planes[0].load(), stack[2, 1, channels - 1])
    assert len(one.planes) == 1


def test_a_huge_stack_is_not_read_whole(tmp_path: Path) -> None:
    """16 GB of pixels behind one directory, as ImageJ writes them, in a sparse file: only some pages are touched."""
    path = tmp_path / "huge.tif"
    frame = np.arange(256 * 256, dtype=np.uint16).reshape(256, 256)
    lines = "ImageJ=1.53c\nimages=120000\nslices=120000\nloop=false\n"
    tifffile.imwrite(path, frame, byteorder=">", metadata=None, description=lines)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.dataoffsets[0]
    with open(path, "r+b") as file:
        file.truncate(offset + 120000 * frame.nbytes)
    image = tiff_reader.read(path)  # without the digest, which reads every byte
    assert image.frames == 120000
    np.testing.assert_array_equal(image.planes[0].load(), frame)
    assert image.planes[-1].load().max() == 0


def test_declared_significant_bits(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.integers(0, 4096, SIZE, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "o.tif", values, ome=True, metadata={"axes": "YX", "SignificantBits": 12})
    plane = read(tmp_path / "o.tif").planes[0]
    assert (plane.white_dn, plane.white_known, plane.bit_depth, plane.offset_known) == (4095.0, True, 12, False)
    tifffile.imwrite(tmp_path / "p.tif", values * 4, ome=True, metadata={"axes": "YX", "SignificantBits": 12})
    image = read(tmp_path / "p.tif")
    assert (image.planes[0].white_dn, image.planes[0].white_known) == (65535.0, False)
    assert "exceed" in image.warnings[0]


def test_left_shifted_codes_and_black_tag(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.integers(300, 3000, SIZE, dtype=np.uint16) << 4
    tifffile.imwrite(tmp_path / "m.tif", values, metadata=None, extratags=[(50714, "H", 4, (4800,) * 4, True)])
    plane = read(tmp_path / "m.tif").planes[0]
    assert (plane.step_dn, plane.bit_depth, plane.black_dn, plane.offset_known) == (16.0, 12, 4800.0, True)
    assert plane.white_known is False


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colour(tmp_path: Path, rng: np.random.Generator, planar: str, dtype: str) -> None:
    values = rng.integers(0, 256, (*SIZE, 3)).astype(dtype)
    stored = values if planar == "contig" else np.moveaxis(values, -1, 0)
    tifffile.imwrite(tmp_path / "c.tif", stored, photometric="rgb", planarconfig=planar, compression="zlib")
    image = read(tmp_path / "c.tif")
    assert image.domain == ("rendered" if dtype == "uint8" else "linear")
    assert [plane.name for plane in image.planes] == ["R", "G", "B"]
    for index, plane in enumerate(image.planes):
        np.testing.assert_array_equal(plane.load(), values[..., index])


def test_display_profile_makes_16_bits_rendered(tmp_path: Path, rng: np.random.Generator) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    values = rng.integers(0, 65536, (*SIZE, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "c.tif", values, photometric="rgb", iccprofile=profile)
    image = read(tmp_path / "c.tif")
    assert (image.domain, image.planes[2].white_dn, image.planes[2].offset_known) == ("rendered", 65535.0, True)


def test_refused_kinds(tmp_path: Path) -> None:
    values = np.zeros(SIZE, np.uint16)
    cases = {
        "1-bit": {"data": values > 0},
        "WhiteIsZero": {"data": values, "photometric": "miniswhite"},
        "complex64": {"data": values.astype(np.complex64)},
        "SEPARATED": {"data": np.zeros((*SIZE, 4), np.uint8), "photometric": "separated"},
    }
    for word, options in cases.items():
        path = tmp_path / f"{word}.tif"
        tifffile.imwrite(path, **options)
        with pytest.raises(UnsupportedError, match=word):
            read(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_truncated_pixels_are_an_error(
    tmp_path: Path, rng: np.random.Generator, compression: str | None, keep: float
) -> None:
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, rng.integers(0, 65536, (6, *SIZE), dtype=np.uint16), compression=compression)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises((TruncatedError, UnreadableError), match=r"t\.tif: "):
        load_all(path)


def test_giant_declared_size(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags[256].overwrite(60000)
        tiff.pages.first.tags[257].overwrite(60000)
    with pytest.raises(TooLargeError, match="60000"):
        read(path)


def test_a_stack_of_rendered_pictures_has_the_scale_of_its_codes(rng: np.random.Generator, tmp_path: Path) -> None:
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, rng.integers(0, 200, (3, 32, 32, 3), dtype=np.uint8), photometric="rgb")
    image = read(path)
    assert (image.domain, image.frames) == ("rendered", 3)
    assert {(p.black_dn, p.white_dn, p.scale_source, p.offset_known) for p in image.planes} == {(0, 255, "file", True)}


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_the_picture_behind_a_thumbnail_is_read(tmp_path: Path, compression: str | None) -> None:
    """Scanners put a thumbnail first, with the picture in its sub-directory."""
    path = tmp_path / "scan.tif"
    picture = np.random.default_rng(2).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    with tifffile.TiffWriter(path) as writer:
        writer.write(picture[::4, ::4], subifds=1, subfiletype=1, photometric="rgb", metadata=None)
        writer.write(picture, subfiletype=0, photometric="rgb", compression=compression, metadata=None)
    image = read(path)
    np.testing.assert_array_equal(image.planes[1].load(), picture[..., 1])
    assert image.warnings == ("the first directory is a thumbnail: the picture behind it is read",)
