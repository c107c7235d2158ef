"""Arrays, FITS, overrides, selection, and files that are no pictures."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from noisediag.errors import (
    InputError,
    PermissionDeniedError,
    TruncatedError,
    UnreadableError,
    UnsupportedError,
    UsageError,
)
from noisediag.images import from_array, read

SIZE = (32, 48)


def save(path: Path, values: np.ndarray) -> Path:
    with open(path, "wb") as file:
        np.save(file, values, allow_pickle=False)
    return path


def test_npy(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.integers(0, 4096, (4, *SIZE), dtype=np.uint16)
    path = save(tmp_path / "stack.bin", values)
    image = read(path)
    assert (image.frames, image.domain, image.reader) == (4, "linear", "npy")
    assert image.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for index, plane in enumerate(image.planes):
        assert plane.frame == index
        np.testing.assert_array_equal(plane.load(), values[index])


def test_npy_colour(tmp_path: Path, rng: np.random.Generator) -> None:
    colour = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    assert [plane.name for plane in read(save(tmp_path / "c.npy", colour)).planes] == ["R", "G", "B"]
    linear = read(save(tmp_path / "f.npy", colour.astype(np.uint16)))  # of more than 8 bits: light, as in a TIFF
    assert (linear.frames, linear.domain, linear.planes[0].shape) == (1, "linear", SIZE)
    assert [plane.channel for plane in linear.planes] == ["R", "G", "B"]


def test_npy_refusals(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    with pytest.raises(UnsupportedError, match="pickled"):
        read(tmp_path / "o.npy")
    for values in (
        np.zeros(5),
        np.zeros((2, 2, 2, 2)),
        np.zeros(SIZE, complex),
        np.zeros(SIZE, bool),
        np.zeros((0, 5)),
    ):
        with pytest.raises(UnsupportedError):
            read(save(tmp_path / "x.npy", values))
    path = save(tmp_path / "t.npy", np.zeros(SIZE))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(TruncatedError):
        read(path)


def test_from_array(rng: np.random.Generator) -> None:
    values = rng.random(SIZE) * 3
    image = from_array(values, black=0.25)
    plane = image.planes[0]
    assert (plane.black_dn, plane.white_dn, plane.scale_source) == (0.25, 4.0, "override")
    assert (plane.offset_known, plane.white_known) == (True, False)
    np.testing.assert_array_equal(plane.load(), values)
    colour = from_array((values[..., None] * np.ones(3)).astype(np.float32), domain="rendered")
    assert [plane.name for plane in colour.planes] == ["R", "G", "B"]


def test_fits(tmp_path: Path, rng: np.random.Generator) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    unsigned = rng.integers(0, 65536, SIZE, dtype=np.uint16)
    cube = rng.random((3, *SIZE)).astype(np.float32)
    primary = fits.PrimaryHDU(unsigned)
    primary.header["EXPTIME"], primary.header["EGAIN"] = 30.0, 0.8
    path = tmp_path / "a.dat"
    primary.writeto(path)
    image = read(path)
    plane = image.planes[0]
    assert (image.reader, plane.name, plane.white_dn, plane.offset_known) == ("astropy", "gray", 65535.0, False)
    assert image.acquisition == {"ExposureTime": 30.0, "EGAIN": 0.8}
    loaded = plane.load()
    assert loaded.dtype == np.uint16
    np.testing.assert_array_equal(loaded, unsigned)

    fits.HDUList([primary, fits.ImageHDU(cube, name="SCI")]).writeto(tmp_path / "b.fits")
    image = read(tmp_path / "b.fits")
    assert [(plane.name, plane.frame) for plane in image.planes] == [
        ("PRIMARY", None),
        ("SCI", 0),
        ("SCI", 1),
        ("SCI", 2),
    ]
    np.testing.assert_array_equal(image.planes[2].load(), cube[1])
    assert [plane.frame for plane in read(tmp_path / "b.fits", channel="SCI", frame=2).planes] == [2]

    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(TruncatedError):
        read(path)


def test_overrides(tmp_path: Path, rng: np.random.Generator) -> None:
    path = save(tmp_path / "a.npy", rng.integers(0, 1000, SIZE, dtype=np.uint16))
    plane = read(path, white=1023).planes[0]
    assert (plane.white_dn, plane.white_known, plane.offset_known, plane.bit_depth) == (1023.0, True, False, 10)
    plane = read(path, black=64).planes[0]
    assert (plane.black_dn, plane.white_known, plane.offset_known, plane.scale_source) == (
        64.0,
        False,
        True,
        "override",
    )
    with pytest.raises(UsageError, match="not below"):
        read(path, black=5000, white=4095)


def test_selection(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.integers(0, 1000, (3, *SIZE), dtype=np.uint16)
    path = save(tmp_path / "a.npy", values)
    image = read(path, frame=1, roi=(4, 8, 20, 10))
    assert (len(image.planes), image.frames, image.planes[0].shape) == (1, 1, (10, 20))
    np.testing.assert_array_equal(image.planes[0].load(), values[1, 8:18, 4:24])
    for request in (
        {"frame": 3},
        {"frame": -1},
        {"channel": "R"},
        {"channel": 1},
        {"roi": (40, 0, 20, 10)},
        {"roi": (0, 0, 0, 10)},
        {"roi": (-1, 0, 5, 5)},
    ):
        with pytest.raises(UsageError):
            read(path, **request)


def test_files_that_are_no_pictures(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dicom = bytes(128) + b"DICM" + bytes(400)
    dicom_like_tiff = b"II*\0\x08" + bytes(123) + b"DICM" + bytes(400)
    nifti = b"\x5c\x01\0\0" + bytes(340) + b"n+1\0" + bytes(200)
    contents: dict[str, tuple[bytes, type[InputError], str]] = {
        "empty.tif": (b"", UnreadableError, "empty"),
        "short.tif": (b"II*\0", TruncatedError, "cut off"),
        "header.tif": (b"II*\0\x08\0\0\0" + bytes(8), InputError, ""),
        "wild.tif": (b"II*\0\xff\xff\xff\x7f" + bytes(40), InputError, ""),
        "text.txt": (b"hello " * 200, UnsupportedError, "no known format"),
        "zeros.raw": (bytes(5000), UnreadableError, "zero"),
        "scan.dcm": (dicom, InputError, ""),
        "dual.dcm": (dicom_like_tiff, InputError, ""),
        "brain.nii": (nifti, UnsupportedError, "no picture"),
        "brain.nii.gz": (gzip.compress(nifti), UnsupportedError, "no picture"),
        "sky.fits.gz": (gzip.compress(b"SIMPLE  =" + bytes(600)), InputError, ""),
        "arrays.npz": (b"PK\x03\x04" + bytes(600), UnsupportedError, "zip"),
        "clip.mp4": (b"\0\0\0\x18ftypisom" + bytes(600), TruncatedError, "movie"),
        "fuji.raf": (b"FUJIFILMCCD-RAW 0201" + bytes(600), InputError, ""),
        "leica.lif": (b"\x70\0\0\0" + bytes(600), InputError, ""),
        "jpeg.jpg": (b"\xff\xd8\xff\xe0" + bytes(600), InputError, ""),
        "npy.npy": (b"\x93NUMPY\x01\0\x76\0{garbage" + bytes(200), InputError, ""),
        "fits.fit": (b"SIMPLE  =" + b" " * 600, InputError, ""),
    }
    for name, (content, kind, word) in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(kind, match=word or None) as caught:
            read(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert message.count(str(path)) == 1
        assert "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_paths_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no such file"):
        read(tmp_path / "nothing.tif")
    with pytest.raises(UnreadableError, match="directory"):
        read(tmp_path)
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    with pytest.raises(UnreadableError, match="regular"):
        read(fifo)
    locked = save(tmp_path / "locked.npy", np.zeros(SIZE))
    locked.chmod(0)
    if os.access(locked, os.R_OK):
        pytest.skip("running as a user whom permissions do not stop")
    with pytest.raises(PermissionDeniedError):
        read(locked)


def test_a_file_that_vanishes_before_load_is_named(tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.ones(SIZE, np.float32)).writeto(path)
    image = read(path)
    path.unlink()
    with pytest.raises(UnreadableError, match=r"a\.fits: no such file"):
        image.planes[0].load()


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.tif"
    with open(path, "wb"):
        pass
    with pytest.raises(UnreadableError, match=r"\\xff\.tif: the file is empty"):
        read(os.fsdecode(path))


def test_floats_below_zero_get_a_scale_of_their_own_size(rng: np.random.Generator) -> None:
    image = from_array(rng.normal(-3000, 10, (32, 32)))
    assert image.planes[0].white_dn == 4096
