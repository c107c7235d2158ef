"""DICOM and NIfTI."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noisediag.errors import InputError, TooLargeError, TruncatedError, UnreadableError, UnsupportedError, UsageError
from noisediag.images import missing_pixels, read

pydicom = pytest.importorskip("pydicom")
nibabel = pytest.importorskip("nibabel")

SIZE = (32, 48)


def write_dicom(path: Path, frames: np.ndarray, syntax: str | None = None, **tags: Any) -> Path:
    """Frames (n, H, W) of 8 or 16 bits, uncompressed unless `syntax` says otherwise."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.NumberOfFrames, data.Rows, data.Columns = frames.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8 * frames.itemsize
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(frames.dtype.kind == "i")
    data.PixelData = frames.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    if syntax is not None:
        data.compress(syntax)
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def frames(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(100, 4000, (4, *SIZE), dtype=np.uint16)


class TestDicom:
    def test_codes_levels_and_tags(self, tmp_path: Path, frames: np.ndarray) -> None:
        tags = {
            "Manufacturer": "Acme",
            "Modality": "XA",
            "RescaleSlope": 2,
            "RescaleIntercept": -1024,
            "RescaleType": "HU",
            "ExposureTime": 20,
            "FrameTime": 66.5,
            "PixelSpacing": [0.5, 0.25],
            "AcquisitionDate": "20240501",
            "AcquisitionTime": "101112.5",
        }
        path = write_dicom(tmp_path / "IM0001", frames, BitsStored=12, HighBit=11, **tags)
        image = read(path)
        assert (image.reader, image.domain, image.frame_axes) == ("pydicom", "linear", (("T", 4),))
        for plane, frame in zip(image.planes, frames, strict=True):
            np.testing.assert_array_equal(plane.load(), frame)  # no slope in the codes
            assert (plane.white_dn, plane.white_known, plane.bit_depth, plane.offset_known) == (4095, True, 12, False)
        assert image.acquisition == {
            "Make": "Acme",
            "Modality": "XA",
            "RescaleType": "HU",
            "RescaleSlope": 2.0,
            "RescaleIntercept": -1024.0,
            "ExposureTime": 0.02,
            "FrameInterval": 0.0665,
            "PixelSize": [0.5, 0.25],
            "PixelSizeUnit": "mm",
            "DateTimeOriginal": "2024:05:01 10:11:12",
        }

    def test_a_tiff_in_the_preamble(self, tmp_path: Path, frames: np.ndarray) -> None:
        path = write_dicom(tmp_path / "a.tif", frames[:1])
        path.write_bytes(b"II*\0\x08\0\0\0" + path.read_bytes()[8:])
        assert read(path).reader == "pydicom"

    def test_signed_codes_padding_and_inverted_gray(self, tmp_path: Path, frames: np.ndarray) -> None:
        signed = frames.astype(np.int16) - 1024
        signed[0, :4] = -2000
        path = write_dicom(tmp_path / "a.dcm", signed[:1], PhotometricInterpretation="MONOCHROME1")
        with pydicom.dcmread(path) as data:
            data.add_new(0x00280120, "SS", -2000)
            data.save_as(path)
        image = read(path)
        (plane,) = image.planes
        np.testing.assert_array_equal(plane.load(), signed[0])
        assert missing_pixels(plane, plane.load()).sum() == 4 * SIZE[1]
        assert "MONOCHROME1" in image.warnings[0]

    @pytest.mark.parametrize(
        ("syntax", "module"), [("1.2.840.10008.1.2.5", None), ("1.2.840.10008.1.2.4.90", "openjpeg")]
    )
    def test_compressed_frames(self, tmp_path: Path, frames: np.ndarray, syntax: str, module: str | None) -> None:
        if module is not None:
            pytest.importorskip(module)
        image = read(write_dicom(tmp_path / "a.dcm", frames, syntax=syntax))
        for plane, frame in zip(image.planes, frames, strict=True):
            np.testing.assert_array_equal(plane.load(), frame)

    def test_a_codec_that_is_not_there_is_named(
        self, tmp_path: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_dicom(tmp_path / "a.dcm", frames, syntax="1.2.840.10008.1.2.5")
        monkeypatch.setattr(pydicom.pixels.decoders.RLELosslessDecoder, "_available", {})
        with pytest.raises(UnsupportedError, match=r"RLE Lossless need a decoder: pip install 'noisediag\[medical\]'"):
            read(path)

    def test_what_is_no_monochrome_picture(self, tmp_path: Path, frames: np.ndarray) -> None:
        for tags, word in (
            ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "RGB"),
            ({"BitsAllocated": 1, "BitsStored": 1}, "1-bit"),
            ({"PixelDataProviderURL": "http://localhost/x"}, "address elsewhere"),
            ({"Rows": None}, "without a picture"),
        ):
            path = write_dicom(tmp_path / "a.dcm", frames, **tags)
            with pytest.raises(InputError, match=word):
                read(path)
        path = write_dicom(tmp_path / "a.dcm", frames)
        with pydicom.dcmread(path) as data:
            del data.PixelData, data.Rows
            data.save_as(path)
        with pytest.raises(UnsupportedError, match="without a picture"):
            read(path)

    def test_damage_and_bombs(self, tmp_path: Path, frames: np.ndarray) -> None:
        path = write_dicom(tmp_path / "a.dcm", frames)
        data = path.read_bytes()
        for keep in (140, 400, len(data) - 100):
            path.write_bytes(data[:keep])
            with pytest.raises(InputError, match=r"a\.dcm: ") as caught:
                read(path)
            assert "\n" not in str(caught.value)
        with pytest.raises(TruncatedError):
            read(path)
        for tags, error in (
            ({"NumberOfFrames": 2**31 - 1}, TooLargeError),
            ({"Rows": 65535, "Columns": 65535}, TooLargeError),
            ({"NumberOfFrames": 0}, UnreadableError),
            ({"NumberOfFrames": 400}, TruncatedError),
        ):
            with pytest.raises(error):
                read(write_dicom(tmp_path / "b.dcm", frames, **tags))


def write_nifti(path: Path, values: np.ndarray, kind: str = "Nifti1Image", **fields: Any) -> Path:
    picture = getattr(nibabel, kind)(values, None)
    picture.header.set_xyzt_units("mm", "msec")
    picture.header["pixdim"][1:5] = (0.5, 0.25, 2, 40)
    for name, value in fields.items():
        picture.header[name] = value
    with open(path, "wb") as file:
        # The header by hand: nibabel would scale the values.
        header = picture.header.copy()
        header["vox_offset"] = offset = 544 if kind == "Nifti2Image" else 352
        header["magic"] = b"n+2\0\r\n\x1a\n" if kind == "Nifti2Image" else b"n+1\0"
        head = header.binaryblock
        file.write(head + bytes(offset - len(head)) + values.tobytes("F"))
    return path


class TestNifti:
    @pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image"])
    @pytest.mark.parametrize("dtype", ["int16", ">u2", "float32"])
    def test_volumes_and_slices_are_frames(
        self, tmp_path: Path, rng: np.random.Generator, kind: str, dtype: str
    ) -> None:
        values = rng.integers(0, 4000, (48, 32, 3, 2)).astype(dtype)  # x y z t
        path = tmp_path / "a.bin"
        picture = getattr(nibabel, kind)(values, np.eye(4), dtype=values.dtype)
        picture.header.set_xyzt_units("mm", "msec")
        path.write_bytes(picture.to_bytes())
        image = read(path)
        assert (image.reader, image.frames, image.frame_axes) == ("nibabel", 6, (("T", 2), ("Z", 3)))
        for plane in image.planes:
            time, depth = divmod(plane.frame, 3)
            loaded = plane.load()
            np.testing.assert_array_equal(loaded, values[:, :, depth, time].T)
            assert loaded.dtype == values.dtype.newbyteorder("=")
        np.testing.assert_array_equal(read(path, z=2).planes[1].load(), values[:, :, 2, 1].T)

    def test_the_slope_is_kept_apart(self, tmp_path: Path, rng: np.random.Generator) -> None:
        values = rng.integers(0, 4000, (48, 32, 3, 2)).astype(np.int16)
        path = write_nifti(tmp_path / "a.nii", values, scl_slope=0.5, scl_inter=-10, descrip=b"scan 7")
        image = read(path)
        np.testing.assert_array_equal(image.planes[0].load(), values[:, :, 0, 0].T)
        assert image.acquisition == {
            "PixelSize": [0.25, 0.5],
            "PixelSizeUnit": "mm",
            "FrameInterval": 0.04,
            "RescaleSlope": 0.5,
            "RescaleIntercept": -10.0,
            "ImageDescription": "scan 7",
        }
        packed = tmp_path / "b.nii.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        np.testing.assert_array_equal(read(packed, frame=5).planes[0].load(), values[:, :, 2, 1].T)

    def test_channels_on_the_fifth_axis(self, tmp_path: Path, rng: np.random.Generator) -> None:
        values = rng.integers(0, 4000, (48, 32, 2, 1, 3)).astype(np.int16)
        image = read(write_nifti(tmp_path / "a.nii", values))
        assert [plane.name for plane in image.planes[::2]] == ["channel0", "channel1", "channel2"]
        np.testing.assert_array_equal(image.planes[5].load(), values[:, :, 1, 0, 2].T)

    def test_refused(self, tmp_path: Path, rng: np.random.Generator, capfd: pytest.CaptureFixture[str]) -> None:
        values = rng.integers(0, 4000, (48, 32, 4)).astype(np.int16)
        path = write_nifti(tmp_path / "a.nii", values)
        data = path.read_bytes()
        cases: list[tuple[bytes, type[Exception], str]] = [
            (data[:-1], TruncatedError, "announced"),
            (data[:350], TruncatedError, "cut off"),
            (data[:344] + b"ni1\0" + data[348:], UnsupportedError, "another file"),
            (data[:40] + struct.pack("<8h", 3, 32000, 32000, 2, 1, 1, 1, 1) + data[56:], TooLargeError, "bomb"),
            (data[:40] + struct.pack("<8h", 4, 16, 16, 32000, 32000, 1, 1, 1) + data[56:], TooLargeError, "planes"),
            (data[:40] + struct.pack("<8h", 3, -5, 16, 2, 1, 1, 1, 1) + data[56:], InputError, ""),
            (data[:40] + struct.pack("<8h", 99, 5, 16, 2, 1, 1, 1, 1) + data[56:], InputError, ""),
            (data[:70] + struct.pack("<2h", 32, 64) + data[74:], InputError, "complex"),
            (data[:70] + struct.pack("<2h", 9999, 16) + data[74:], InputError, ""),
            (data[:108] + struct.pack("<f", float("nan")) + data[112:], InputError, ""),
            (data[:108] + struct.pack("<f", -1e9) + data[112:], InputError, ""),
        ]
        for content, error, word in cases:
            path.write_bytes(content)
            with pytest.raises(error, match=word or None) as caught:
                read(path)
            assert "\n" not in str(caught.value)
        path.write_bytes(data)
        with pytest.raises(UsageError, match="--dataset"):
            read(path, dataset="x")
        assert capfd.readouterr() == ("", "")
