"""What a file names and what it announces: only regular files beside it are read, and nothing is made too large."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from noisediag.errors import TooLargeError, TruncatedError, UnreadableError
from noisediag.images import limits, read

SIZE = (32, 40)
OWN, OTHER = "urn:uuid:11111111-1111-1111-1111-111111111111", "urn:uuid:22222222-2222-2222-2222-222222222222"


def codes(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(900, 1100, SIZE, dtype=np.uint16)


def ome(path: Path, name: str, *, frames: str = "2", more: str = "", uuid: str = OTHER, planes: str = "1") -> None:
    """An OME-TIFF that says that its second frame stands in `name`."""
    data = "".join(
        f'<TiffData FirstC="0" FirstT="{t}" FirstZ="0" IFD="0" PlaneCount="{count}">'
        f'<UUID FileName="{file}">{key}</UUID></TiffData>'
        for t, file, key, count in ((0, "me.tif", OWN, "1"), (1, name, uuid, planes))
    )
    xml = (
        f'<?xml version="1.0"?><OME UUID="{OWN}" xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{SIZE[1]}" '
        f'SizeY="{SIZE[0]}" SizeC="1" SizeZ="1" SizeT="{frames}">{data}</Pixels></Image>{more}</OME>'
    )
    tifffile.imwrite(path, codes(1), description=xml, metadata=None)


def test_a_regular_sibling_is_read_and_counts_into_the_digest(tmp_path: Path) -> None:
    path, other = tmp_path / "a.ome.tif", tmp_path / "b.tif"
    ome(path, "b.tif")
    tifffile.imwrite(other, codes(2))
    image = read(path)
    assert image.siblings == (other,)
    assert np.array_equal(image.planes[1].load(), codes(2))
    tifffile.imwrite(other, codes(3))
    assert read(path).sha256 not in (image.sha256, None)
    tifffile.imwrite(other, codes(2))
    assert read(path).sha256 == image.sha256


def test_a_link_within_the_folder_is_a_sibling(tmp_path: Path) -> None:
    ome(tmp_path / "a.ome.tif", "b.tif")
    tifffile.imwrite(tmp_path / "c.tif", codes(2))
    (tmp_path / "b.tif").symlink_to("c.tif")
    assert np.array_equal(read(tmp_path / "a.ome.tif").planes[1].load(), codes(2))


def test_no_path_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    secret = tmp_path / "secret.tif"
    for place in (secret, folder / "below" / "b.tif"):
        tifffile.imwrite(place, codes(2))
    (folder / "link.tif").symlink_to(secret)
    (folder / "nowhere.tif").symlink_to(tmp_path / "absent.tif")
    names = (
        "../secret.tif",
        str(secret),
        "below/b.tif",
        "link.tif",
        "nowhere.tif",
        "..",
        "below",
        "C:\\b.tif",
        "a&#10;/b",
    )
    for name in names:
        ome(folder / "a.ome.tif", name)
        with pytest.raises(UnreadableError, match="names the file"):
            read(folder / "a.ome.tif")


def test_a_name_of_the_file_itself_may_be_an_old_one(tmp_path: Path) -> None:
    ome(tmp_path / "a.ome.tif", "C:\\old\\name.tif", uuid=OWN)
    assert read(tmp_path / "a.ome.tif").siblings == ()


def test_a_sibling_that_is_not_there_is_missing(tmp_path: Path) -> None:
    ome(tmp_path / "a.ome.tif", "b.tif")
    with pytest.raises(TruncatedError, match="page 1 of the stack is missing"):
        read(tmp_path / "a.ome.tif").planes[1].load()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    ome(tmp_path / "a.ome.tif", "pipe")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableError, match="no regular file beside it"):
        read(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    "options",
    [
        {"frames": "1000000000"},
        {"planes": "4000000000"},
        {"planes": "9" * 400},
        {
            "more": '<StructuredAnnotations><XMLAnnotation ID="A" Namespace="x/modulo"><Value><Modulo>'
            '<ModuloAlongT Type="lifetime" Start="0" End="1e12" Step="1"/></Modulo></Value></XMLAnnotation>'
            "</StructuredAnnotations>"
        },
    ],
)
def test_counts_of_ome_are_bounded(tmp_path: Path, options: dict[str, Any]) -> None:
    ome(tmp_path / "a.ome.tif", "b.tif", **options)
    begun = time.monotonic()
    with pytest.raises(TooLargeError):
        read(tmp_path / "a.ome.tif")
    assert time.monotonic() - begun < 5


def frames_of_one_pixel(path: Path) -> None:
    np.save(path, np.zeros((limits.MAX_PLANES + 1, 1, 1), np.uint8))


def pages(path: Path) -> None:
    """A chain of directories of one entry each."""
    entry = struct.pack("<HHII", 256, 3, 1, 16)
    count = limits.MAX_PLANES + 1
    at = (8 + 18 * number for number in range(1, count + 1))
    body = b"".join(
        b"\1\0" + entry + struct.pack("<I", place if number < count - 1 else 0) for number, place in enumerate(at)
    )
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + body)


def levels(path: Path) -> None:
    many = [1.0] * (limits.MAX_TAG_NUMBERS + 1)
    tifffile.imwrite(path, codes(1), metadata=None, extratags=[(50714, "d", len(many), many, True)])


def fits_header(path: Path) -> None:
    path.write_bytes(b"SIMPLE  =                    T".ljust(80) + b" " * (limits.MAX_HEADER_BYTES + 2880))


@pytest.mark.parametrize(
    ("name", "make"),
    [("a.npy", frames_of_one_pixel), ("a.tif", pages), ("a.tif", levels), ("a.fits", fits_header)],
)
def test_more_than_a_picture_has_is_refused_early(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    pytest.importorskip("astropy.io.fits")
    make(tmp_path / name)
    begun = time.monotonic()
    with pytest.raises(TooLargeError):
        read(tmp_path / name)
    assert time.monotonic() - begun < 5


def test_a_fits_header_without_an_end_is_truncated(tmp_path: Path) -> None:
    pytest.importorskip("astropy.io.fits")
    (tmp_path / "a.fits").write_bytes(b"SIMPLE  =                    T".ljust(5760))
    with pytest.raises(TruncatedError, match="the header has no end"):
        read(tmp_path / "a.fits")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("back", [0, 1, 2])
def test_directories_in_a_circle_are_refused(tmp_path: Path, order: str, bigtiff: bool, back: int) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.stack([codes(n) for n in range(3)]),
        metadata=None,
        bigtiff=bigtiff,
        byteorder=order,
        photometric="minisblack",
    )
    assert len(read(path).planes) == 3
    with tifffile.TiffFile(path) as tiff:
        places = [page.offset for page in tiff.pages]
        last, entries = places[-1], len(tiff.pages[-1].tags)
    at, code = (last + 8 + 20 * entries, "Q") if bigtiff else (last + 2 + 12 * entries, "I")
    with path.open("r+b") as file:
        file.seek(at)
        file.write(struct.pack(order + code, places[back]))
    with pytest.raises(UnreadableError, match="in a circle"):
        read(path)
