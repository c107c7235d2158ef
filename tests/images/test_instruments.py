"""MRC, DAX, GeoTIFF, packed files, and what all readers declare."""

from __future__ import annotations

import gzip
import importlib
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from noisediag.errors import InputError, TooLargeError, TruncatedError, UnreadableError, UnsupportedError, UsageError
from noisediag.images import formats, missing_pixels, packed, read

SIZE = (32, 48)


@pytest.fixture
def frames(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(100, 4000, (5, *SIZE), dtype=np.uint16)


class TestMrc:
    @pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32", "float16"])
    @pytest.mark.parametrize("stack", [True, False])
    def test_sections_are_frames(self, tmp_path: Path, frames: np.ndarray, dtype: str, stack: bool) -> None:
        mrcfile = pytest.importorskip("mrcfile")
        values = (frames % 100).astype(dtype)
        with mrcfile.new(tmp_path / "a.bin", values) as mrc:
            mrc.set_image_stack() if stack else mrc.set_volume()
            mrc.voxel_size = (2.0, 4.0, 1.0)
        image = read(tmp_path / "a.bin")
        assert (image.reader, image.frame_axes) == ("mrcfile", (("T" if stack else "Z", 5),))
        assert image.acquisition == {"PixelSize": [pytest.approx(0.4), pytest.approx(0.2)], "PixelSizeUnit": "nm"}
        for plane, frame in zip(image.planes, values, strict=True):
            np.testing.assert_array_equal(plane.load(), frame)
            assert plane.load().dtype == values.dtype

    def test_big_endian_behind_an_extended_header(self, tmp_path: Path, frames: np.ndarray) -> None:
        mrcfile = pytest.importorskip("mrcfile")
        path = tmp_path / "a.mrc"
        with mrcfile.new(path, frames[0].astype(">i2")) as mrc:
            mrc.set_extended_header(np.zeros(300, "V1"))
        np.testing.assert_array_equal(read(path).planes[0].load(), frames[0])

    def test_refused(self, tmp_path: Path, frames: np.ndarray) -> None:
        mrcfile = pytest.importorskip("mrcfile")
        path = tmp_path / "a.mrc"
        with mrcfile.new(path, frames) as mrc:
            assert mrc.data is not None
        data = path.read_bytes()
        for content, error, word in (
            (data[:-1], TruncatedError, "announced"),
            (data[:1000], TruncatedError, "cut off"),
            (data[:12] + struct.pack("<i", 4) + data[16:], UnsupportedError, "complex"),
            (data[:12] + struct.pack("<i", 77) + data[16:], InputError, ""),
            (struct.pack("<3i", 1 << 20, 1 << 20, 1) + data[12:], TooLargeError, "bomb"),
            (struct.pack("<3i", 16, 16, 1 << 30) + data[12:], TooLargeError, "planes"),
            (struct.pack("<3i", -16, 16, 1) + data[12:], UnsupportedError, "no picture"),
            (data[:92] + struct.pack("<i", 1 << 30) + data[96:], TooLargeError, "extended header"),
            (data[:92] + struct.pack("<i", -5) + data[96:], TooLargeError, "extended header"),
        ):
            path.write_bytes(content)
            with pytest.raises(error, match=word or None) as caught:
                read(path)
            assert "\n" not in str(caught.value)


class TestDax:
    def write(self, tmp_path: Path, frames: np.ndarray, kind: str = "big", count: int | None = None) -> Path:
        path = tmp_path / "movie_0001.dax"
        frames.astype(">u2" if kind == "big" else "<u2").tofile(path)
        count = len(frames) if count is None else count
        path.with_suffix(".inf").write_text(
            f"binning = 1 x 1\ndata type = 16 bit integers (binary, {kind} endian)\n"
            f"frame dimensions = {frames.shape[2]} x {frames.shape[1]}\nnumber of frames = {count}\n"
            "Exposure Time = 0.02\nFrames Per Second = 40.0\ncamera temperature (deg. C) = -70\nEMCCD Gain = 30\n"
        )
        return path

    @pytest.mark.parametrize("kind", ["big", "little"])
    def test_frames(self, tmp_path: Path, frames: np.ndarray, kind: str) -> None:
        image = read(self.write(tmp_path, frames, kind))
        assert (image.reader, image.frame_axes) == ("dax", (("T", 5),))
        assert image.acquisition == {
            "ExposureTime": 0.02,
            "Temperature": -70.0,
            "DetectorGain": 30.0,
            "FrameInterval": 0.025,
        }
        for plane, frame in zip(image.planes, frames, strict=True):
            np.testing.assert_array_equal(plane.load(), frame)

    def test_refused(self, tmp_path: Path, frames: np.ndarray) -> None:
        with pytest.raises(TruncatedError, match="announced"):
            read(self.write(tmp_path, frames, count=6))
        with pytest.raises(UnreadableError, match="describes"):
            read(self.write(tmp_path, frames, count=4))
        with pytest.raises(TooLargeError, match="planes"):
            read(self.write(tmp_path, frames, count=999_999_999))
        path = self.write(tmp_path, frames)
        inf = path.with_suffix(".inf")
        for text in ("", "frame dimensions = 0 x 48\nnumber of frames = 5", "frame dimensions = 48 x 32"):
            inf.write_text(text)
            with pytest.raises(UnsupportedError, match="no known format"):
                read(path)
        inf.unlink()
        inf.symlink_to("/dev/zero")
        with pytest.raises(UnsupportedError, match="no known format"):
            read(path)


class TestGeoTiff:
    KEYS = (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3076, 0, 1, 9001), True)
    SCALE = (33550, "d", 3, (10.0, 20.0, 0.0), True)

    @pytest.mark.parametrize("planar", ["contig", "separate"])
    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_bands_are_channels(self, tmp_path: Path, frames: np.ndarray, planar: str, compression: str | None) -> None:
        path = tmp_path / "a.tif"
        frames[2, :4] = 7
        gdal = '<GDALMetadata><Item name="DESCRIPTION" sample="1" role="description">NIR</Item></GDALMetadata>'
        tifffile.imwrite(
            path,
            frames if planar == "separate" else np.moveaxis(frames, 0, -1),
            photometric="minisblack",
            planarconfig=planar,
            compression=compression,
            metadata=None,
            software="",
            extratags=[self.KEYS, self.SCALE, (42113, "s", 0, "7", True), (42112, "s", 0, gdal, True)],
        )
        image = read(path)
        assert [plane.channel for plane in image.planes] == ["band1", "NIR", "band3", "band4", "band5"]
        assert (image.domain, image.frames) == ("linear", 1)
        assert image.acquisition == {"PixelSize": [20.0, 10.0], "PixelSizeUnit": "m"}
        for plane, band in zip(image.planes, frames, strict=True):
            np.testing.assert_array_equal(plane.load(), band)
        assert missing_pixels(image.planes[2], frames[2]).sum() == 4 * SIZE[1]
        np.testing.assert_array_equal(read(path, channel="NIR").planes[0].load(), frames[1])

    def test_a_photograph_with_a_band_beside_it(self, tmp_path: Path, frames: np.ndarray) -> None:
        values = np.moveaxis(frames[:4], 0, -1)
        for kind, names in (("unspecified", ["R", "G", "B", "band4"]), ("unassalpha", ["R", "G", "B"])):
            tifffile.imwrite(
                tmp_path / "a.tif",
                values,
                photometric="rgb",
                extrasamples=[kind],
                metadata=None,
                extratags=[self.KEYS],
            )
            assert [plane.name for plane in read(tmp_path / "a.tif").planes] == names

    def test_damaged_metadata_is_told(self, tmp_path: Path, frames: np.ndarray) -> None:
        tifffile.imwrite(tmp_path / "a.tif", frames[0], metadata=None, extratags=[(42112, "s", 0, "<GDAL", True)])
        assert "GDAL metadata unreadable" in read(tmp_path / "a.tif").warnings[0]


def test_one_series_of_a_tiff(tmp_path: Path, frames: np.ndarray) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number, bits in enumerate((12, 14)):
            writer.write(frames[number], metadata={"axes": "YX", "SignificantBits": bits, "Name": f"field {number}"})
    assert "only the first of 2 series is read" in read(path).warnings
    for series in (1, "1", "field 1"):
        image = read(path, series=series)
        np.testing.assert_array_equal(image.planes[0].load(), frames[1])
        assert (image.planes[0].white_dn, image.warnings) == (16383.0, ())
    with pytest.raises(UsageError, match="'2': the file has field 0, field 1"):
        read(path, series="2")


class TestPacked:
    def test_fits_and_tiff(self, tmp_path: Path, frames: np.ndarray) -> None:
        fits = pytest.importorskip("astropy.io.fits")
        fits.PrimaryHDU(frames).writeto(tmp_path / "a.fits")
        tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack", compression="zlib")
        for name in ("a.fits", "a.tif"):
            path = tmp_path / f"{name}.packed"
            path.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
            image = read(path)
            assert (image.path, image.frames) == (str(path), 5)
            assert image.sha256 != read(tmp_path / name).sha256
            for plane, frame in zip(image.planes, frames, strict=True):
                np.testing.assert_array_equal(plane.load(), frame)
            kept = image.planes[3]  # the content lives as long as a plane that needs it
            del image, plane
            np.testing.assert_array_equal(kept.load(), frames[3])

    def test_refused(self, tmp_path: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
        content = tmp_path / "a.tif"
        tifffile.imwrite(content, frames)
        path = tmp_path / "a.tif.gz"
        good = gzip.compress(content.read_bytes())
        archive = bytes(257) + b"ustar" + bytes(1000)
        for data, error, word in (
            (gzip.compress(b""), UnreadableError, "empty"),
            (good[:-2000], TruncatedError, "ends early"),
            (good[:1000] + b"\xff" * 1000 + good[2000:], InputError, ""),
            (good[:-8] + b"\0" * 8, UnreadableError, "damaged"),
            (b"\x1f\x8b", InputError, ""),
            (gzip.compress(good), UnsupportedError, "within a gzip file"),
            (gzip.compress(archive), UnsupportedError, "archive"),
            (gzip.compress(b"hello" * 200), UnsupportedError, "no known format"),
        ):
            path.write_bytes(data)
            with pytest.raises(error, match=word or None) as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}: ")
        monkeypatch.setattr(packed, "_ALWAYS_BYTES", 1 << 20)
        path.write_bytes(gzip.compress(bytes(3 << 20)))
        with pytest.raises(TooLargeError, match="bomb"):
            read(path)


class TestDeclarations:
    def test_every_reader_declares_its_formats(self) -> None:
        declared = formats.declarations()
        assert {module for module, _ in declared} == set(formats.Format.__args__)
        assert {f".{word}" for _, one in declared for word in one.suffixes.split()} == formats.SUFFIXES
        assert all(one.name and one.reads and one.library for _, one in declared)

    def test_extras_are_those_of_the_package(self) -> None:
        declared = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text("utf-8")
        for extra in {one.extra for _, one in formats.declarations() if one.extra}:
            assert f"\n{extra} = [" in declared
            assert re.search(rf"^all = .*[\[,]{extra}[,\]]", declared, re.MULTILINE)

    def test_the_table_has_a_line_a_format(self) -> None:
        from noisediag.reports import formats as table

        lines = table.markdown().splitlines()
        assert len(lines) == len(formats.declarations()) + 2
        assert {line.count(" | ") for line in lines} == {len(table.COLUMNS) - 1}
        assert any(line.startswith("| HDF5") and "| hdf5 |" in line for line in lines)

    @pytest.mark.parametrize(
        ("library", "extra", "content"),
        [
            ("h5py", "hdf5", b"\x89HDF\r\n\x1a\n" + bytes(600)),
            ("pydicom", "medical", bytes(128) + b"DICM" + bytes(600)),
            ("nibabel", "medical", bytes(344) + b"n+1\0" + bytes(600)),
            ("mrcfile", "mrc", bytes(208) + b"MAP \x44\x44" + bytes(1000)),
            ("zarr", "zarr", b""),
        ],
    )
    def test_without_the_extra_it_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, extra: str, content: bytes
    ) -> None:
        path = tmp_path / "a"
        if content:
            path.write_bytes(content)
        else:
            path.mkdir()
            (path / ".zgroup").write_text('{"zarr_format": 2}')
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(UnsupportedError, match=rf"pip install 'noisediag\[{extra}\]'"):
            read(path)
        assert importlib.util.find_spec("noisediag.images") is not None
