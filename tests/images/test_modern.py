"""AVIF, JPEG XL, and JPEG with a gain map: pixels, depth, EXIF, and files that are no good."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image
import pytest

from noisediag.errors import InputError, TooLargeError, TruncatedError, UnsupportedError
from noisediag.images import avif, read
from noisediag.images.image import Image
from noisediag.images.jxl_header import parse

SIZE = (40, 56)


def exif() -> bytes:
    tags = PIL.Image.Exif()
    tags[271], tags[272] = "Acme", "Phone 1"
    return tags.tobytes()


def stacked(image: Image) -> np.ndarray:
    return np.squeeze(np.stack([plane.load() for plane in image.planes], -1))


def codes(rng: np.random.Generator, bits: int, *, gray: bool = False) -> np.ndarray:
    dtype = np.uint8 if bits == 8 else np.uint16
    return rng.integers(0, 2**bits, SIZE if gray else (*SIZE, 3), dtype=dtype)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_jxl_pixels_and_depth(tmp_path: Path, rng: np.random.Generator, bits: int, gray: bool) -> None:
    pixels = codes(rng, bits, gray=gray)
    path = tmp_path / "a.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, bitspersample=bits, usecontainer=bits == 10))
    image = read(path)
    np.testing.assert_array_equal(stacked(image), pixels)
    assert {plane.white_dn for plane in image.planes} == {2**bits - 1}
    linear = gray and bits > 8  # what instruments write, as in PNG
    assert (image.domain, image.reader) == ("linear" if linear else "rendered", "libjxl")


def test_jxl_made_of_a_jpeg_is_that_jpeg(tmp_path: Path, rng: np.random.Generator) -> None:
    block = io.BytesIO()
    PIL.Image.fromarray(codes(rng, 8)).save(block, "JPEG", quality=83, exif=exif())
    (tmp_path / "a.jpg").write_bytes(block.getvalue())
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode_jpeg(block.getvalue(), usecontainer=True))
    one, other = read(tmp_path / "a.jpg"), read(tmp_path / "a.jxl")
    assert one.jpeg is not None
    assert (other.jpeg, other.acquisition) == (one.jpeg, one.acquisition)
    assert one.acquisition["Make"] == "Acme"
    np.testing.assert_array_equal(stacked(one), stacked(other))


def test_jxl_with_exif_and_alpha(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = np.dstack([codes(rng, 8), np.full(SIZE, 9, np.uint8)])
    data = imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=True)
    block = exif().removeprefix(b"Exif\0\0")
    path = tmp_path / "a.jxl"
    path.write_bytes(data + struct.pack(">I4sI", 12 + len(block), b"Exif", 0) + block)
    image = read(path)
    np.testing.assert_array_equal(stacked(image), pixels[..., :3])
    assert image.acquisition["Model"] == "Phone 1"
    assert "transparency is ignored" in image.warnings


def test_floats_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(rng.random((*SIZE, 3), np.float32), lossless=True))
    with pytest.raises(UnsupportedError, match="floating-point"):
        read(path)


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("gray", [False, True])
def test_avif_pixels_and_depth(tmp_path: Path, rng: np.random.Generator, bits: int, gray: bool) -> None:
    pixels = codes(rng, bits, gray=gray)
    path = tmp_path / "a.avif"
    path.write_bytes(imagecodecs.avif_encode(pixels, level=100, bitspersample=bits, speed=10))
    image = read(path)
    np.testing.assert_array_equal(stacked(image), pixels)
    assert {plane.white_dn for plane in image.planes} == {2**bits - 1}
    assert (image.domain, image.reader) == ("rendered", "libavif")


def test_avif_with_exif_and_a_second_frame(tmp_path: Path, rng: np.random.Generator) -> None:
    frames = [PIL.Image.fromarray(codes(rng, 8)) for _ in range(3)]
    path = tmp_path / "a.heic"  # by content, never by name
    frames[0].save(path, "AVIF", exif=exif(), save_all=True, append_images=frames[1:])
    image = read(path)
    assert image.acquisition["Make"] == "Acme"
    assert "only the first of several frames is read" in image.warnings
    with PIL.Image.open(path) as first:
        assert np.abs(stacked(image).astype(int) - np.asarray(first.convert("RGB"))).max() <= 3


@pytest.mark.parametrize("marker", [b'hdrgm:Version="1.0"', b"HDRGainMap"])
def test_the_gain_map_of_a_jpeg_is_left_out_and_said_so(
    tmp_path: Path, rng: np.random.Generator, marker: bytes
) -> None:
    base, beside = codes(rng, 8), io.BytesIO()
    path = tmp_path / "a.jpg"
    PIL.Image.fromarray(base).save(path, "JPEG", xmp=b"<x:xmpmeta " + marker + b"/>")
    PIL.Image.fromarray(base[::4, ::4, 0]).save(beside, "JPEG")
    with PIL.Image.open(path) as picture:
        expected = np.asarray(picture)
    path.write_bytes(path.read_bytes() + beside.getvalue())
    image = read(path)
    np.testing.assert_array_equal(stacked(image), expected)
    assert [line for line in image.warnings if "gain map" in line]


MADE: dict[str, Callable[[np.ndarray], bytes]] = {
    "jxl": lambda pixels: imagecodecs.jpegxl_encode(pixels, lossless=True),
    "avif": lambda pixels: imagecodecs.avif_encode(pixels, speed=10),
}


@pytest.mark.parametrize("kind", MADE)
def test_cut_off_damaged_and_empty_files_are_refused(
    tmp_path: Path, rng: np.random.Generator, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    whole = MADE[kind](codes(rng, 8))
    path = tmp_path / f"a.{kind}"
    for length in (len(whole) - 1, len(whole) // 2, 40, 13, 0):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as caught:
            read(path)
        assert "\n" not in str(caught.value)
    for _ in range(40):
        data = bytearray(whole)
        for place in rng.integers(12, len(data), 3):
            data[place] = rng.integers(0, 256)
        path.write_bytes(bytes(data))
        with contextlib.suppress(InputError):  # any other error would be a traceback
            read(path)
    assert capfd.readouterr().err == ""


def test_a_jxl_that_declares_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """Bits from the lowest on: not small, selector 3, 30 bits of height less one, ratio 1:1, all default."""
    value = 0 | 3 << 1 | (2**30 - 1) << 3 | 1 << 33 | 1 << 36
    data = b"\xff\x0a" + value.to_bytes(5, "little") + bytes(20)
    assert (parse(data).height, parse(data).width) == (2**30, 2**30)
    path = tmp_path / "a.jxl"
    path.write_bytes(data)
    with pytest.raises(TooLargeError):
        read(path)


def test_an_avif_of_too_many_frames_is_refused(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = PIL.Image.fromarray(codes(rng, 8))
    frame.save(tmp_path / "a.avif", save_all=True, append_images=[frame] * 3)
    monkeypatch.setattr("noisediag.images.source.MAX_PIXELS", 4 * SIZE[0] * SIZE[1] * 3)
    with pytest.raises(TooLargeError):
        read(tmp_path / "a.avif")


def test_a_pillow_without_avif_is_said(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.avif").write_bytes(MADE["avif"](codes(rng, 8)))
    monkeypatch.setattr(avif.PIL.features, "check", lambda _: False)
    with pytest.raises(UnsupportedError, match="Pillow"):
        read(tmp_path / "a.avif")


def test_a_header_cut_off_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "a.jxl"
    path.write_bytes(b"\xff\x0a\x06")
    with pytest.raises(TruncatedError, match="cut off"):
        read(path)
