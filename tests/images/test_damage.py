"""Nothing damaged changes a level, a depth or what is known of the camera without a warning that says so."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from noisediag.errors import UnreadableError
from noisediag.images import Image, read

SIZE = (40, 56)
EMPTY_POINTER = (0x8769, 4, 0, 0)  # ExifOffset without a value
ZERO_POINTER = (0x8769, 5, 1, 60)  # ExifOffset 0/0
ASTRAY_POINTER = (0x8769, 9, 1, 0xFFFFFFFF)  # ExifOffset -1


def exif_block(*entries: tuple[int, int, int, int]) -> bytes:
    """A TIFF directory of (tag, type, count, value), and zeros after it."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(200)


def ome_tiff(path: Path, bits: str = "12", spoil: Callable[[str], str] = str) -> Image:
    """A 12-bit OME-TIFF of codes up to 4095, its XML spoilt."""
    tifffile.imwrite(path, ome_codes(), ome=True, metadata={"axes": "YX", "SignificantBits": 12})
    with tifffile.TiffFile(path) as tiff:
        xml = tiff.pages.first.description.replace('SignificantBits="12"', f'SignificantBits="{bits}"')
    tifffile.imwrite(path, ome_codes(), description=spoil(xml), metadata=None)
    return read(path)


def ome_codes() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 4096, SIZE, dtype=np.uint16)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda xml: xml.replace("</Image>", "", 1),
        lambda xml: xml[: xml.index("SignificantBits") + 20],  # ends in the middle: tifffile sees no OME at all
        lambda xml: xml.replace("<Pixels", "<Pixls").replace("</Pixels", "</Pixls"),
    ],
)
def test_damaged_ome_xml_is_told(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    whole = ome_tiff(tmp_path / "whole.tif")
    assert (whole.planes[0].white_dn, whole.planes[0].bit_depth, whole.warnings) == (4095.0, 12, ())
    image = ome_tiff(tmp_path / "a.tif", spoil=spoil)
    assert (image.planes[0].white_dn, image.planes[0].white_known) == (65535.0, False)
    (warning,) = image.warnings
    assert warning.startswith("OME metadata unreadable (")
    assert warning.endswith("): bit depth and channel names unknown")


@pytest.mark.parametrize(
    ("bits", "warning"),
    [
        ("twelve", "OME SignificantBits 'twelve' is no number: bit depth unknown"),
        ("31", "SignificantBits 31 of 16-bit"),
    ],
)
def test_impossible_significant_bits_are_told(tmp_path: Path, bits: str, warning: str) -> None:
    image = ome_tiff(tmp_path / "a.tif", bits)
    assert image.planes[0].white_dn == 65535
    assert len(image.warnings) == 1
    assert warning in image.warnings[0]


def test_an_exposure_of_ome_that_is_no_number_is_told(tmp_path: Path) -> None:
    plane = '<Plane TheC="0" TheT="0" TheZ="0" ExposureTime="{}"/></Pixels>'
    for value, exposure in (("0.5", 0.5), ("long", None)):
        image = ome_tiff(tmp_path / "a.tif", spoil=lambda xml, v=value: xml.replace("</Pixels>", plane.format(v)))
        assert image.acquisition.get("ExposureTime") == exposure
        assert image.warnings == (() if exposure else ("OME ExposureTime 'long' is no number: ignored",))


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (exif_block(EMPTY_POINTER), "IndexError"),
        (exif_block(ZERO_POINTER), "ZeroDivisionError"),
        (exif_block(ASTRAY_POINTER), "ValueError"),
        (b"Exif\0\0" + b"garbage" * 9, "TIFF"),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_is_told(tmp_path: Path, block: bytes, reason: str, kind: str) -> None:
    path = tmp_path / "a.bin"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(
        path, format=kind, exif=block
    )
    image = read(path)
    assert image.acquisition == {}
    (warning,) = image.warnings
    assert warning.startswith("EXIF unreadable (")
    assert reason in warning
    assert warning.endswith("): camera, ISO and exposure unknown")


def test_damaged_exif_of_a_tiff_is_told_and_its_levels_stand(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    placeholder = 34664  # tifffile itself writes no pointer to EXIF
    extra = [(placeholder, "i", 1, -1, True), (50714, "H", 1, 480, True), (50717, "I", 1, 4095, True)]
    tifffile.imwrite(path, np.full(SIZE, 1000, np.uint16), metadata=None, extratags=extra)
    assert read(path).warnings == ()
    data = bytearray(path.read_bytes())
    entry = data.index(struct.pack("<HHIi", placeholder, 9, 1, -1))
    data[entry : entry + 2] = struct.pack("<H", 0x8769)
    path.write_bytes(bytes(data))
    image = read(path)
    assert (image.planes[0].black_dn, image.planes[0].white_dn) == (480.0, 4095.0)
    assert [warning[:15] for warning in image.warnings] == ["EXIF unreadable"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"black": (100, 200, 300), "repeat": (2, 2)}, "BlackLevelRepeatDim 2x2 do not belong together"),
        ({"black": (100,) * 5 + (101,) * 4, "repeat": (3, 3)}, "more positions than the colour-filter pattern has"),
    ],
)
def test_dng_levels_that_cannot_be_are_told(
    write_dng: Callable[..., Path], options: dict[str, object], message: str
) -> None:
    image = read(write_dng(np.full((64, 64), 1000, np.uint16), **options))
    assert any(message in warning and "LibRaw" in warning for warning in image.warnings)
    assert all(plane.black_dn < plane.white_dn and plane.offset_known for plane in image.planes)


@pytest.mark.parametrize(
    ("options", "black", "message"),
    [
        ({"white": 0}, 100.0, "DNG WhiteLevel 0 cannot be one: white 1023 assumed"),
        ({"white": 300}, 100.0, "DNG WhiteLevel 300 lies below 100 % of the pixels: white 1023 assumed"),
        (
            {"black": (20000,)},
            0.0,
            "DNG BlackLevel 20000 is not below WhiteLevel 16383: black 0 and white 1023 assumed",
        ),
        (
            {"black": (20000,), "white": 0},
            0.0,
            "DNG WhiteLevel 0 cannot be one, BlackLevel 20000 lies above the pixels",
        ),
    ],
)
def test_a_white_that_cannot_be_is_told_once_and_not_believed(
    write_dng: Callable[..., Path], options: dict[str, object], black: float, message: str
) -> None:
    image = read(write_dng(np.full((64, 64), 1000, np.uint16), **options))
    assert image.warnings[0].startswith(message)
    assert len(image.warnings) == 1
    for plane in image.planes:
        assert (plane.black_dn, plane.white_dn, plane.scale_source) == (black, 1023.0, "assumed")
        assert (plane.offset_known, plane.white_known) == (black > 0, False)


def test_damaged_level_tags_of_tiff_and_dng_are_told(tmp_path: Path, write_dng: Callable[..., Path]) -> None:
    values = np.full(SIZE, 1000, np.uint16)
    path = tmp_path / "a.tif"
    extra = [(50714, "H", 4, (480,) * 4, True), (50717, "I", 1, 4095, True)]
    tifffile.imwrite(path, values, metadata=None, extratags=extra)
    assert (read(path).planes[0].black_dn, read(path).warnings) == (480.0, ())
    lead_astray(path, 50714)
    image = read(path)
    assert (image.planes[0].black_dn, image.planes[0].offset_known, image.planes[0].white_dn) == (0.0, False, 4095.0)
    assert image.warnings == ("TIFF tag BlackLevel unreadable: levels it may state are unknown",)
    dng = write_dng(np.full((64, 64), 1000, np.uint16), black=(100, 101, 102, 103), repeat=(2, 2))
    assert not any("unreadable" in warning for warning in read(dng).warnings)
    lead_astray(dng, 50714)
    assert "DNG tag BlackLevel unreadable: LibRaw's levels used" in read(dng).warnings


def lead_astray(path: Path, code: int) -> None:
    """Let a tag's value lie far beyond the end of the file."""
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.tags[code].offset
    data = bytearray(path.read_bytes())
    data[offset + 8 : offset + 12] = struct.pack("<I", 1 << 31)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("black", "white", "message"),
    [
        ((0, 0), (4095, 1), "black level nan cannot be one"),
        ((100, 1), (0, 0), "white level nan cannot be one"),
    ],
)
def test_impossible_levels_of_a_tiff_are_told(
    tmp_path: Path, black: tuple[int, int], white: tuple[int, int], message: str
) -> None:
    path = tmp_path / "a.tif"
    extra = [(50714, "2I", 1, black, True), (50717, "2I", 1, white, True)]
    tifffile.imwrite(path, np.full(SIZE, 1000, np.uint16), metadata=None, extratags=extra)
    image = read(path)
    assert any(message in warning for warning in image.warnings)
    assert 0 <= image.planes[0].black_dn < image.planes[0].white_dn


def test_black_above_white_is_refused_as_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for black, white in (((5000, 1), (4095, 1)), ((70_000, 1), (65_535, 1)), ((4095, 1), (4095, 1))):
        extra = [(50714, "2I", 1, black, True), (50717, "2I", 1, white, True)]
        tifffile.imwrite(path, np.full(SIZE, 1000, np.uint16), metadata=None, extratags=extra)
        with pytest.raises(UnreadableError, match=f"black {black[0]} is not below white {white[0]}"):
            read(path)
        image = read(path, black=100)
        assert (image.planes[0].black_dn, image.planes[0].white_dn) == (100, white[0])


def test_a_saturation_of_fits_that_is_no_level_is_told(tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    for value, warnings in (
        (4000.0, ()),
        ("much", ("SATURATE 'much' cannot be a level: ignored",)),
    ):
        hdu = fits.PrimaryHDU(np.full(SIZE, 1000, np.uint16))
        hdu.header["SATURATE"] = value
        hdu.writeto(tmp_path / "a.fits", overwrite=True)
        assert read(tmp_path / "a.fits").warnings == warnings
    content = (tmp_path / "a.fits").read_bytes().replace(b"'much    '", b"1E999".rjust(20)[-10:])
    (tmp_path / "a.fits").write_bytes(content)
    assert read(tmp_path / "a.fits").warnings[0].endswith("cannot be a level: ignored")
