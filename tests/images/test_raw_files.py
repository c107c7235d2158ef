"""Which TIFF files are camera RAW, files that are cut off, and camera names outside of EXIF."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from noisediag.errors import TruncatedError
from noisediag.images import iso_media, makers, metadata, raw_files, read

Writer = Callable[..., Path]
MAKE = (271, "s", 0, "NIKON CORPORATION", True)
MODEL = (272, "s", 0, "NIKON D100", True)
CFA_TAGS = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, bytes((0, 1, 1, 2)), True)]
SIZE = (240, 320)


def thumbnail_first(path: Path, picture: np.ndarray, *, cfa: bool) -> Path:
    """A camera's TIFF: a thumbnail, and the picture in its sub-directory."""
    small = np.full((24, 32, 3), 90, np.uint8)
    options = {"metadata": None, "software": "sim"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(small, photometric="rgb", subfiletype=1, subifds=1, extratags=[MAKE, MODEL], **options)
        if cfa:
            tiff.write(picture, photometric="cfa", subfiletype=0, extratags=CFA_TAGS, **options)
        else:
            tiff.write(picture, photometric="rgb", subfiletype=0, **options)
    return path


def test_a_mosaic_in_a_sub_directory_is_raw(tmp_path: Path, rng: np.random.Generator) -> None:
    mosaic = rng.integers(0, 4096, SIZE, dtype=np.uint16)
    path = thumbnail_first(tmp_path / "a.tif", mosaic, cfa=True)
    assert raw_files.tiff_holds_raw(path)
    image = read(path)
    assert (image.reader, image.domain, image.acquisition["Model"]) == ("rawpy", "raw-linear", "NIKON D100")
    for plane in image.planes:
        at = plane.lattice
        assert at is not None
        np.testing.assert_array_equal(plane.load(), mosaic[at.row :: 2, at.column :: 2])


def test_the_picture_behind_a_thumbnail_is_read(tmp_path: Path, rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    path = thumbnail_first(tmp_path / "a.nef", picture, cfa=False)
    assert not raw_files.tiff_holds_raw(path)
    image = read(path)
    np.testing.assert_array_equal(np.stack([plane.load() for plane in image.planes], -1), picture)
    assert any("thumbnail: the picture behind it" in line for line in image.warnings)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_largest_picture_of_a_camera_is_read_wherever_it_stands(
    tmp_path: Path, rng: np.random.Generator, place: int
) -> None:
    pictures = [rng.integers(0, 256, (30 + 10 * i, 40, 3), dtype=np.uint8) for i in (1, 2)]
    pictures.insert(place, rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8))
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        for number, picture in enumerate(pictures):
            tiff.write(picture, photometric="rgb", metadata=None, extratags=[MAKE] if number == 0 else [])
    assert read(path).planes[0].shape == SIZE


def test_a_thumbnail_alone_is_called_one(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.tif"
    small = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    tifffile.imwrite(path, small, photometric="rgb", subfiletype=1, metadata=None, extratags=[MAKE])
    assert any("nothing but a reduced picture" in line for line in read(path).warnings)


@pytest.mark.parametrize(("found", "raw"), [(SIZE[0] * SIZE[1] + 1, True), (SIZE[0] * SIZE[1], False), (0, False)])
def test_what_no_directory_describes_is_raw_where_libraw_finds_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: int, raw: bool
) -> None:
    path = tmp_path / "a.tif"
    pixels = np.zeros(SIZE, np.uint16)
    monkeypatch.setattr(raw_files, "_area_by_libraw", lambda _: found)
    tifffile.imwrite(path, pixels, metadata=None, extratags=[MAKE])
    assert raw_files.tiff_holds_raw(path) == raw
    tifffile.imwrite(path, pixels, metadata=None)  # who names no maker is not asked
    assert not raw_files.tiff_holds_raw(path)


def test_a_gray_tiff_of_a_maker_is_no_raw(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, rng.integers(0, 4096, SIZE, dtype=np.uint16), metadata=None, extratags=[MAKE, MODEL])
    assert read(path).reader == "tifffile"


def test_pixels_that_look_like_a_mark_are_no_raw(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for value in (0x49, 0x4D):  # I and M, where Phase One writes four of them
        pixels = np.full(SIZE, value, np.uint8)
        header = struct.pack("<2sHI", b"II", 42, 8 + pixels.size)
        entries = [(256, 4, SIZE[1]), (257, 4, SIZE[0]), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
        entries += [(277, 3, 1), (278, 4, SIZE[0]), (279, 4, pixels.size)]
        table = b"".join(struct.pack("<HHII", code, kind, 1, number) for code, kind, number in entries)
        path.write_bytes(header + pixels.tobytes() + struct.pack("<H", len(entries)) + table + bytes(4))
        assert not raw_files.tiff_holds_raw(path)
        np.testing.assert_array_equal(read(path).planes[0].load(), pixels)


@pytest.mark.parametrize(("size", "fine"), [(1000 * 800 * 8 // 7, True), (1000 * 800, False)])
def test_rw2_is_as_long_as_its_packed_pixels(tmp_path: Path, size: int, fine: bool) -> None:
    """Its strip tags tell the size of unpacked ones, which no file has."""
    entries = [(2, 3, 1000), (3, 3, 800), (273, 4, 2**32 - 1), (279, 4, 1000 * 800 * 2), (280, 4, 4096)]
    table = b"".join(struct.pack("<HHII", code, kind, 1, number) for code, kind, number in entries)
    head = struct.pack("<4sI", b"IIU\0", 8) + struct.pack("<H", len(entries)) + table + bytes(4)
    path = tmp_path / "a.rw2"
    path.write_bytes(head + bytes(4096 - len(head)) + bytes(size))
    if fine:
        raw_files.check_complete(path)
    else:
        with pytest.raises(TruncatedError, match="cut off"):
            raw_files.check_complete(path)


@pytest.mark.parametrize("lost", [1, 5000, 100_000])
def test_pixels_beyond_the_end_are_refused_by_one_line(
    tmp_path: Path, rng: np.random.Generator, capfd: pytest.CaptureFixture[str], lost: int
) -> None:
    path = thumbnail_first(tmp_path / "a.nef", rng.integers(0, 4096, SIZE, dtype=np.uint16), cfa=True)
    data = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        mosaic = tiff.pages.first.pages[0]
        end = mosaic.dataoffsets[-1] + mosaic.databytecounts[-1]
    path.write_bytes(data[: end - lost])
    with pytest.raises(TruncatedError):
        read(path)
    assert capfd.readouterr().err == ""


def test_boxes_beyond_the_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.cr3"
    path.write_bytes(struct.pack(">I4s8s", 16, b"ftyp", b"crx isom") + struct.pack(">I4sI", 100, b"mdat", 0))
    with pytest.raises(TruncatedError, match="mdat"):
        read(path)
    assert [name for name, _, _ in iso_media.boxes(path)] == [b"ftyp", b"mdat"]


def crw() -> bytes:
    """A heap with a heap that holds the record of make and model."""
    text = b"Canon\0Canon EOS D30\0"

    def heap(kind: int, content: bytes) -> bytes:
        table = struct.pack("<HHII", 1, kind, len(content), 0)
        return content + table + struct.pack("<I", len(content))

    return b"II\x1a\0\0\0HEAPCCDR" + bytes(12) + heap(0x2807, heap(0x080A, text))


def x3f() -> bytes:
    properties = {"CAMMANUF": "SIGMA", "CAMMODEL": "SIGMA SD9", "ISO": "100", "EXPTIME": "20000", "APERTURE": "5.6"}
    text, places = "", []
    for word in (word for pair in properties.items() for word in pair):
        places.append(len(text))
        text += word + "\0"
    head = struct.pack("<4s5I", b"SECp", 0x20000, len(properties), 0, 0, len(text))
    body = head + struct.pack(f"<{len(places)}I", *places) + text.encode("utf-16-le")
    data = b"FOVb" + bytes(36) + body
    return data + struct.pack("<4sIIII4sI", b"SECd", 0x20000, 1, 40, len(body), b"PROP", len(data))


def mrw() -> bytes:
    block = io.BytesIO()
    extra = [(271, "s", 0, "MINOLTA", True), (272, "s", 0, "DiMAGE A2", True)]
    tifffile.imwrite(block, np.zeros((8, 8), np.uint8), metadata=None, extratags=extra, byteorder=">")
    parts = b"".join(
        struct.pack(">4sI", name, len(value)) + value
        for name, value in ((b"\0PRD", bytes(24)), (b"\0TTW", block.getvalue()))
    )
    return b"\0MRM" + struct.pack(">I", len(parts)) + parts


NAMES = {crw: ("Canon", "Canon EOS D30"), x3f: ("SIGMA", "SIGMA SD9"), mrw: ("MINOLTA", "DiMAGE A2")}


@pytest.mark.parametrize("made", NAMES, ids=lambda made: made.__name__)
def test_camera_names(tmp_path: Path, made: Callable[[], bytes]) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(made())
    warnings: list[str] = []
    found = metadata.exif(path, warnings)
    assert (found["Make"], found["Model"], warnings) == (*NAMES[made], [])
    if made is x3f:
        assert (found["ISO"], found["ExposureTime"], found["FNumber"]) == (100, 0.02, 5.6)


@pytest.mark.parametrize("made", NAMES, ids=lambda made: made.__name__)
def test_damaged_names_are_none_and_never_an_error(
    tmp_path: Path, made: Callable[[], bytes], rng: np.random.Generator
) -> None:
    path = tmp_path / "a.raw"
    whole = made()
    for number in range(120):
        data = bytearray(whole[: rng.integers(16, len(whole) + 1)] if number % 2 else whole)
        for place in rng.integers(16, len(data), 4) if len(data) > 16 else ():
            data[place] = rng.integers(0, 256)
        path.write_bytes(bytes(data))
        found = metadata.exif(path, [])
        assert all(isinstance(value, str | int | float) for value in found.values())


def test_a_heap_that_holds_itself_ends(tmp_path: Path) -> None:
    data = bytearray(crw())
    inner = data.index(struct.pack("<H", 0x080A))
    data[inner : inner + 10] = struct.pack("<HII", 0x2807, len(data) - 26, 0)
    assert makers.canon_crw(io.BytesIO(bytes(data))) == {}
