from __future__ import annotations

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image
import pytest
from PIL.TiffImagePlugin import IFDRational

from noisediag.errors import InputError, TooLargeError, TruncatedError, UnreadableError, UnsupportedError
from noisediag.images import read

SIZE = (48, 64)


@pytest.fixture
def colours(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
def test_lossless_colour(tmp_path: Path, colours: np.ndarray, kind: str, options: dict[str, object]) -> None:
    path = tmp_path / "no_suffix"
    PIL.Image.fromarray(colours).save(path, format=kind, **options)
    image = read(path)
    assert (image.domain, image.reader) == ("rendered", "pillow")
    for index, plane in enumerate(image.planes):
        assert plane.name == "RGB"[index]
        np.testing.assert_array_equal(plane.load(), colours[..., index])
        assert (plane.black_dn, plane.white_dn, plane.scale_source) == (0.0, 255.0, "file")
        assert (plane.offset_known, plane.white_known, plane.bit_depth) == (True, True, 8)


def test_gray_alpha_and_palette(tmp_path: Path, colours: np.ndarray) -> None:
    gray = colours[..., 0]
    PIL.Image.fromarray(gray).save(tmp_path / "g.png")
    np.testing.assert_array_equal(read(tmp_path / "g.png").planes[0].load(), gray)
    # A gray picture stored as three equal channels is one plane, not three.
    PIL.Image.fromarray(np.repeat(gray[..., None], 3, axis=2)).save(tmp_path / "ggg.png")
    assert [plane.name for plane in read(tmp_path / "ggg.png").planes] == ["gray"]
    PIL.Image.fromarray(np.dstack([colours, gray])).save(tmp_path / "rgba.png")
    rgba = read(tmp_path / "rgba.png")
    np.testing.assert_array_equal(rgba.planes[2].load(), colours[..., 2])
    assert rgba.warnings == ("transparency is ignored",)
    palette = PIL.Image.fromarray(colours).quantize(32)
    palette.save(tmp_path / "p.png")
    image = read(tmp_path / "p.png")
    np.testing.assert_array_equal(image.planes[0].load(), np.asarray(palette.convert("RGB"))[..., 0])
    assert "palette" in image.warnings[0]


def test_sixteen_bit_gray_png_is_linear(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.integers(0, 65536, SIZE, dtype=np.uint16)
    (tmp_path / "g.png").write_bytes(imagecodecs.png_encode(values))
    image = read(tmp_path / "g.png")
    plane = image.planes[0]
    assert (image.domain, plane.offset_known, plane.white_dn, plane.white_known) == ("linear", False, 65535.0, False)
    np.testing.assert_array_equal(plane.load(), values)


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colour_png_keeps_every_bit(tmp_path: Path, rng: np.random.Generator, channels: int) -> None:
    values = rng.integers(0, 65536, (*SIZE, channels), dtype=np.uint16)
    (tmp_path / "c.png").write_bytes(imagecodecs.png_encode(values))
    image = read(tmp_path / "c.png")
    assert (image.domain, image.planes[0].white_dn, image.planes[0].bit_depth) == ("rendered", 65535.0, 16)
    for index, plane in enumerate(image.planes):
        np.testing.assert_array_equal(plane.load(), values[..., index])


def test_jpeg_exif(tmp_path: Path, colours: np.ndarray) -> None:
    exif = PIL.Image.Exif()
    exif[271], exif[272], exif[305] = "Acme", "Cam 1", "firmware 2"
    camera = {33434: IFDRational(1, 125), 33437: IFDRational(28, 10), 34855: 800, 37386: IFDRational(50, 1)}
    exif.get_ifd(0x8769).update(camera | {36867: "2024:05:06 07:08:09"})
    PIL.Image.fromarray(colours).save(tmp_path / "a.jpg", exif=exif)
    assert read(tmp_path / "a.jpg").acquisition == {
        "Make": "Acme",
        "Model": "Cam 1",
        "Software": "firmware 2",
        "ISO": 800,
        "ExposureTime": 1 / 125,
        "FNumber": 2.8,
        "FocalLength": 50,
        "DateTimeOriginal": "2024:05:06 07:08:09",
    }


def test_refused_modes(tmp_path: Path, colours: np.ndarray) -> None:
    picture = PIL.Image.fromarray(colours)
    picture.convert("1").save(tmp_path / "1.png")
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg")
    picture.convert("P").save(tmp_path / "a.gif")
    for name, word in (("1.png", "1-bit"), ("cmyk.jpg", "CMYK"), ("a.gif", "GIF")):
        with pytest.raises(UnsupportedError, match=word):
            read(tmp_path / name)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_truncated(tmp_path: Path, colours: np.ndarray, kind: str) -> None:
    path = tmp_path / "t.bin"
    PIL.Image.fromarray(colours).save(path, format=kind)
    data = path.read_bytes()
    for keep in (0.1, 0.5, 0.8):
        path.write_bytes(data[: int(keep * len(data))])
        with pytest.raises(InputError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
        if kind in ("JPEG", "PNG") and keep > 0.1:
            assert isinstance(caught.value, TruncatedError)


def test_decompression_bomb(tmp_path: Path) -> None:
    """A PNG header of 60000 x 60000 pixels; nothing of that size may be allocated, and no warning be printed."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    for depth in (8, 16):
        header = struct.pack(">IIBBBBB", 60000, 60000, depth, 0, 0, 0, 0)
        path = tmp_path / f"bomb{depth}.png"
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(bytes(100)))
            + chunk(b"IEND", b"")
        )
        with pytest.raises(TooLargeError, match="bomb"):
            read(path)
    limit = PIL.Image.MAX_IMAGE_PIXELS
    assert limit is not None
    assert limit < 1 << 28, "the process-wide limit is put back"


def test_corrupt_header(tmp_path: Path, colours: np.ndarray) -> None:
    path = tmp_path / "c.png"
    PIL.Image.fromarray(colours).save(path)
    data = bytearray(path.read_bytes())
    data[12:16] = b"XXXX"
    path.write_bytes(bytes(data))
    with pytest.raises(UnreadableError, match=r"c\.png: "):
        read(path)


def test_heic(tmp_path: Path, colours: np.ndarray) -> None:
    path = tmp_path / "a.heic"
    try:
        import pillow_heif
    except ImportError:
        path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
        with pytest.raises(UnsupportedError, match=r"pip install 'noisediag\[heif\]'"):
            read(path)
        return
    heif = pillow_heif.from_pillow(PIL.Image.fromarray(colours))
    heif.save(path, quality=-1)
    image = read(path)
    assert image.domain == "rendered"
    assert [plane.name for plane in image.planes] == ["R", "G", "B"]
    assert image.planes[0].shape == SIZE
