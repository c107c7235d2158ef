"""HDF5, NWB and Zarr: files with many things in them, of which one is the picture."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noisediag.errors import (
    InputError,
    TooLargeError,
    TruncatedError,
    UnreadableError,
    UnsupportedError,
    UsageError,
)
from noisediag.images import hdf5, pictures, read, zarr_store

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")

SIZE = (40, 52)
FORMATS = [2] if zarr.__version__.startswith("2") else [2, 3]


@pytest.fixture
def movie(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(100, 4000, (5, *SIZE), dtype=np.uint16)


class TestHdf5:
    def test_the_only_data_set_of_pictures(self, tmp_path: Path, movie: np.ndarray) -> None:
        path = tmp_path / "a.bin"
        with h5py.File(path, "w") as file:
            data = file.create_dataset("scan/movie", data=movie, chunks=(1, 20, 26), compression="gzip", shuffle=True)
            for axis, label in enumerate("tyx"):
                data.dims[axis].label = label
            data.attrs["element_size_um"] = [1.0, 0.5, 0.25]
            file["scan/time"] = np.arange(5.0)
        image = read(path)
        assert (image.reader, image.domain, image.frame_axes) == ("h5py", "linear", (("T", 5),))
        assert image.acquisition == {"PixelSize": [0.5, 0.25], "PixelSizeUnit": "µm"}
        for plane, frame in zip(image.planes, movie, strict=True):
            np.testing.assert_array_equal(plane.load(), frame)
            assert (plane.load().dtype, plane.white_dn, plane.white_known) == (np.uint16, 65535, False)

    def test_of_several_one_is_asked_for(self, tmp_path: Path, movie: np.ndarray) -> None:
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file["raw"], file["g/mean"] = movie, movie.mean(0)
            file["colour"] = np.zeros((*SIZE, 3), np.uint8)
        with pytest.raises(UsageError, match=r"--dataset: colour \(.*g/mean \(40 x 52 float64\), raw \(5 x 40 x 52"):
            read(path)
        with pytest.raises(UsageError, match="no data set of pictures; there are: colour"):
            read(path, dataset="g/nothing")
        np.testing.assert_array_equal(read(path, dataset="/raw", frame=2).planes[0].load(), movie[2])
        assert [plane.name for plane in read(path, dataset="colour").planes] == ["channel0", "channel1", "channel2"]
        with pytest.raises(UsageError, match="--series"):
            read(path, dataset="raw", series="0")

    def test_pictures_before_a_short_axis(self, tmp_path: Path, movie: np.ndarray) -> None:
        path = tmp_path / "a.h5"
        for name, values in (("d", np.moveaxis(movie, 0, -1)), ("Data/Image/0f/Data", np.moveaxis(movie, 0, -1))):
            with h5py.File(path, "w") as file:
                file[name] = values
            image = read(path)
            assert image.frame_axes == (("T" if "Data" in name else "Q", 5),)
            np.testing.assert_array_equal(image.planes[3].load(), movie[3])

    def test_matlab_behind_its_own_block(self, tmp_path: Path, movie: np.ndarray) -> None:
        path = tmp_path / "a.mat"
        with h5py.File(path, "w", userblock_size=512) as file:
            file["stack"] = movie.transpose(0, 2, 1)  # rows fastest
            file["stack"].attrs["MATLAB_class"] = np.bytes_("uint16")
        np.testing.assert_array_equal(read(path).planes[3].load(), movie[3])

    def test_nwb(self, tmp_path: Path, movie: np.ndarray) -> None:
        path = tmp_path / "a.nwb"
        with h5py.File(path, "w") as file:
            file.attrs["nwb_version"] = "2.6.0"
            file["session_start_time"] = "2024-05-01T10:00:00+00:00"
            series = file.create_group("acquisition/TwoPhotonSeries")
            series.attrs.update({"neurodata_type": "TwoPhotonSeries", "pmt_gain": 0.75})
            series["data"], series["bits_per_pixel"] = movie, 12
            series["starting_time"] = 0.0
            series["starting_time"].attrs["rate"] = 20.0
            ephys = file.create_group("acquisition/ElectricalSeries")
            ephys.attrs["neurodata_type"] = "ElectricalSeries"
            ephys["data"] = np.zeros((1000, 32), np.int16)
            masks = file.create_group("processing/PlaneSegmentation")
            masks.attrs["neurodata_type"] = "PlaneSegmentation"
            masks["image_mask"] = np.zeros((7, *SIZE), np.float32)
        image = read(path)
        np.testing.assert_array_equal(image.planes[4].load(), movie[4])
        assert {(plane.white_dn, plane.white_known, plane.bit_depth) for plane in image.planes} == {(4095.0, True, 12)}
        assert image.acquisition == {
            "DetectorGain": 0.75,
            "FrameInterval": 0.05,
            "DateTimeOriginal": "2024-05-01T10:00:00+00:00",
        }

    def test_the_fill_value_of_netcdf_is_missing(self, tmp_path: Path, movie: np.ndarray) -> None:
        from noisediag.images import missing_pixels

        movie[0, :5] = 9
        with h5py.File(tmp_path / "a.nc", "w") as file:
            file["v"] = movie
            file["v"].attrs.update({"_FillValue": np.uint16(9), "scale_factor": 0.5, "units": "K"})
        image = read(tmp_path / "a.nc")
        assert missing_pixels(image.planes[0], image.planes[0].load()).sum() == 5 * SIZE[1]
        assert image.acquisition == {"Unit": "K", "RescaleSlope": 0.5}

    def test_nothing_leads_out_or_in_circles(self, tmp_path: Path, movie: np.ndarray) -> None:
        with h5py.File(tmp_path / "other.h5", "w") as file:
            file["x"] = movie
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file["out"] = h5py.ExternalLink("other.h5", "/x")
            file["through"] = h5py.SoftLink("/out")
            file.create_group("g")["again"] = file["/"]
            file["g/self"] = file["g"]
        with pytest.raises(UnsupportedError, match="no data set of pictures"):
            read(path)
        for name in ("out", "through", "g/again/out"):
            with pytest.raises(UsageError, match="there are: none"):
                read(path, dataset=name)
        with h5py.File(path, "a") as file:
            file["g/real"] = movie
            file["twice"] = file["g/real"]
        assert read(path).frames == 5  # one data set, by whichever name

    def test_values_in_other_files_are_refused(self, tmp_path: Path, movie: np.ndarray) -> None:
        movie.tofile(tmp_path / "raw.bin")
        with h5py.File(tmp_path / "o.h5", "w") as file:
            file["x"] = movie
        with h5py.File(tmp_path / "external.h5", "w") as file:
            file.create_dataset("d", movie.shape, "u2", external=[(str(tmp_path / "raw.bin"), 0, movie.nbytes)])
        with h5py.File(tmp_path / "virtual.h5", "w") as file:
            layout = h5py.VirtualLayout(movie.shape, "u2")
            layout[:] = h5py.VirtualSource(str(tmp_path / "o.h5"), "x", movie.shape)
            file.create_virtual_dataset("d", layout)
        with h5py.File(tmp_path / "video.nwb", "w") as file:
            file.attrs["nwb_version"] = "2.6.0"
            series = file.create_group("acquisition/video")
            series.attrs["neurodata_type"] = "ImageSeries"
            series["data"], series["external_file"] = np.zeros((0, 0, 0), np.uint8), ["../x.avi"]
        for name in ("external.h5", "virtual.h5", "video.nwb"):
            with pytest.raises(UnsupportedError, match="other files, which are never followed"):
                read(tmp_path / name)

    def test_damage_and_bombs(self, tmp_path: Path, movie: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file["x"] = movie
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(TruncatedError):
            read(path)
        path.write_bytes(hdf5.SIGNATURE)
        with pytest.raises(InputError):
            read(path)
        for name, shape, chunks, error in (
            ("frames", (1 << 40, 64, 64), (1, 64, 64), TooLargeError),
            ("side", (1 << 20, 1 << 20), (64, 64), TooLargeError),
            ("piece", (1 << 17, 64, 64), (1 << 17, 64, 64), TooLargeError),
        ):
            with h5py.File(path, "w") as file:
                data = file.create_dataset(name, shape, "u2", chunks=chunks, compression="gzip")
                if name != "piece":
                    data[0, :64] = 1
            with pytest.raises(error):
                read(path)
        with h5py.File(path, "w") as file:
            file.create_dataset("d", (2, 64, 64), "u2", chunks=(1, 64, 64))
        with pytest.raises(TruncatedError, match="never written"):
            read(path)
        monkeypatch.setattr(hdf5, "_MAX_OBJECTS", 10)
        with h5py.File(path, "w") as file:
            for number in range(20):
                file.create_group(f"g{number}")
        with pytest.raises(TooLargeError, match="more than 10 groups"):
            read(path)


def write_ome(path: Path, stack: np.ndarray, version: int = 2) -> None:
    """A pyramid of two levels, axes t c z y x."""
    group = zarr.open_group(str(path), mode="w", **_format(version))
    for level, values in enumerate((stack, stack[..., ::2, ::2])):
        zarr.open_array(
            str(path / str(level)),
            mode="w",
            shape=values.shape,
            chunks=(1, 1, 1, 20, 26),
            dtype="u2",
            **_format(version),
        )[:] = values
    axes = [{"name": "t", "type": "time", "unit": "millisecond"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [50.0, 1.0, 2.0, 0.65, 0.325]}]
    ome = {
        "multiscales": [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}, {"path": "1"}]}],
        "omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}]},
    }
    group.attrs.update(ome if version == 2 else {"ome": {"version": "0.5", **ome}})


def _format(version: int) -> dict[str, Any]:
    return {"zarr_format": version} if len(FORMATS) > 1 else {}


def edit(path: Path, change: dict[str, Any]) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


@pytest.fixture
def stack(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(100, 4000, (3, 2, 2, *SIZE), dtype=np.uint16)


class TestZarr:
    @pytest.mark.parametrize("version", FORMATS)
    def test_level_0_of_a_picture(self, tmp_path: Path, stack: np.ndarray, version: int) -> None:
        path = tmp_path / "no_suffix"
        write_ome(path, stack, version)
        image = read(path)
        assert (image.reader, image.frames, image.frame_axes) == ("zarr", 6, (("T", 3), ("Z", 2)))
        assert image.acquisition == {"PixelSize": [0.65, 0.325], "PixelSizeUnit": "µm", "FrameInterval": 0.05}
        for plane in image.planes:
            channel = ["DAPI", "GFP"].index(plane.channel)
            np.testing.assert_array_equal(plane.load(), stack[plane.frame // 2, channel, plane.frame % 2])
        one = read(path, channel="GFP", z=1, frame=2)
        assert (len(one.planes), one.frames) == (1, 1)
        np.testing.assert_array_equal(one.planes[0].load(), stack[2, 1, 1])
        assert read(path, dataset="1").planes[0].shape == (20, 26)
        digest = image.sha256
        piece = next(file for file in sorted((path / "0").rglob("*")) if file.is_file() and not file.suffix)
        piece.write_bytes(piece.read_bytes() + b"x")
        assert read(path, dataset="1").sha256 != digest

    def test_a_depth_is_chosen_and_frames_are_counted_anew(self, tmp_path: Path, stack: np.ndarray) -> None:
        write_ome(tmp_path / "a.zarr", stack)
        image = read(tmp_path / "a.zarr", z=1)
        assert (image.frames, image.frame_axes) == (3, (("T", 3),))
        assert [plane.frame for plane in image.planes] == [0, 1, 2, 0, 1, 2]
        np.testing.assert_array_equal(image.planes[4].load(), stack[1, 1, 1])
        for request in ({"z": 2}, {"z": 0, "frame": 3}):
            with pytest.raises(UsageError, match="there is no"):
                read(tmp_path / "a.zarr", **request)

    @pytest.mark.parametrize("version", FORMATS)
    def test_a_plate_is_its_fields(self, tmp_path: Path, stack: np.ndarray, version: int) -> None:
        plate = tmp_path / "plate.zarr"

        def group(path: Path, ome: dict[str, Any]) -> None:
            zarr.open_group(str(path), mode="w", **_format(version)).attrs.update(ome if version == 2 else {"ome": ome})

        group(plate, {"plate": {"wells": [{"path": "A/1"}, {"path": "B/12"}]}})
        for number, well in enumerate(("A/1", "B/12")):
            group(plate / well, {"well": {"images": [{"path": "0"}, {"path": "1"}]}})
            for field in (0, 1):
                write_ome(plate / well / str(field), stack + 10 * number + field, version)
        names = ("A/1/0", "A/1/1", "B/12/0", "B/12/1")
        assert pictures(plate) == tuple(plate / name for name in names)
        assert pictures(plate / "B/12") == (plate / "B/12/0", plate / "B/12/1")
        image = read(plate, series="B/12/1")
        assert (image.path, image.warnings) == (str(plate / "B/12/1"), ())
        np.testing.assert_array_equal(image.planes[0].load(), stack[0, 0, 0] + 11)
        assert read(plate, series=3).sha256 == image.sha256 != read(plate).sha256
        assert read(plate).warnings == ("only the first of 4 pictures is read",)
        with pytest.raises(UsageError, match=r"'C/1': the file has A/1/0, A/1/1"):
            read(plate, series="C/1")
        for lead in ("../plate.zarr/A/1", "/etc", "A/1/", "A\\1", "gone"):
            group(plate, {"plate": {"wells": [{"path": lead}]}})
            assert pictures(plate) == (plate,)
            with pytest.raises(InputError):
                read(plate)

    def test_collections_and_plain_stores(self, tmp_path: Path, stack: np.ndarray) -> None:
        collection = tmp_path / "c.zarr"
        zarr.open_group(str(collection), mode="w", **_format(2)).attrs["bioformats2raw.layout"] = 3
        for number in (0, 1, 10):
            write_ome(collection / str(number), stack)
        assert [path.name for path in pictures(collection)] == ["0", "1", "10"]
        plain = tmp_path / "p.zarr"
        group = zarr.open_group(str(plain), mode="w", **_format(2))
        for name, values in (("x/movie", stack[:, 0, 0]), ("time", np.arange(3.0))):
            zarr.open_array(
                str(plain / name), mode="w", shape=values.shape, chunks=values.shape, dtype=values.dtype, **_format(2)
            )[:] = values
        zarr.open_group(str(plain / "x"), mode="a", **_format(2))
        assert group is not None
        np.testing.assert_array_equal(read(plain).planes[1].load(), stack[1, 0, 0])
        write_ome(plain / "y", stack)
        with pytest.raises(UsageError, match="--dataset: x/movie, y/0, y/1"):
            read(plain)
        with pytest.raises(UsageError, match="no name within the store"):
            read(plain, dataset="../c.zarr/0/0")

    def test_pieces_that_are_not_there(self, tmp_path: Path, stack: np.ndarray) -> None:
        path = tmp_path / "a.zarr"
        write_ome(path, stack)
        pieces = [file for file in sorted((path / "0").rglob("*")) if file.is_file() and not file.name.startswith(".")]
        pieces[0].unlink()
        image = read(path)
        assert image.warnings[0] == f"1 of {len(pieces)} pieces are not stored: they count as the fill value"
        for piece in pieces[1:]:
            piece.unlink()
        with pytest.raises(TruncatedError, match="no piece"):
            read(path)

    def test_damaged_pieces(self, tmp_path: Path, stack: np.ndarray) -> None:
        path = tmp_path / "a.zarr"
        write_ome(path, stack)
        for piece in (path / "0").rglob("*"):
            if piece.is_file() and not piece.name.startswith("."):
                piece.write_bytes(piece.read_bytes()[:20])
        with pytest.raises(InputError, match=r"a\.zarr: ") as caught:
            read(path)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("kind", ["piece", "array", "metadata", "pipe"])
    def test_links_and_pipes_are_refused(self, tmp_path: Path, stack: np.ndarray, kind: str) -> None:
        path, secret = tmp_path / "a.zarr", tmp_path / "secret"
        write_ome(path, stack)
        secret.write_bytes(b"{}" * 500)
        if kind == "array":
            (path / "0").rename(tmp_path / "elsewhere")
            (path / "0").symlink_to(tmp_path / "elsewhere")
        else:
            place = path / "0" / ".zarray" if kind == "metadata" else path / "0" / "0.0.0.0.0"
            place.unlink(missing_ok=True)
            os.mkfifo(place) if kind == "pipe" else place.symlink_to(secret)
        with pytest.raises(InputError, match=r"not followed|not a regular file"):
            read(path)

    def test_codecs_that_run_code_are_refused(self, tmp_path: Path, stack: np.ndarray) -> None:
        path = tmp_path / "a.zarr"
        write_ome(path, stack)
        for change, word in (
            ({"filters": [{"id": "pickle"}]}, "codec pickle"),
            ({"compressor": {"id": "numcodecs.pickle"}}, "codec"),
            ({"dtype": "|O"}, "type"),
            ({"dtype": [["a", "<u2"]]}, "type"),
        ):
            described = (path / "0" / ".zarray").read_text()
            edit(path / "0" / ".zarray", change)
            with pytest.raises(UnsupportedError, match=word):
                read(path)
            (path / "0" / ".zarray").write_text(described)
        inner = {"name": "sharding_indexed", "configuration": {"codecs": [{"name": "numcodecs.pickle"}]}}
        with pytest.raises(UnsupportedError, match=r"numcodecs\.pickle"):
            zarr_store._check_codecs([inner])

    def test_damage_and_bombs(self, tmp_path: Path, stack: np.ndarray) -> None:
        path = tmp_path / "a.zarr"
        write_ome(path, stack)
        described = (path / "0" / ".zarray").read_text()
        for change, error in (
            ({"shape": [1 << 40, 2, 2, *SIZE]}, TooLargeError),
            ({"shape": [3, 2, 2, 1 << 20, 1 << 20]}, TooLargeError),
            ({"chunks": [1 << 12, 2, 2, 1 << 12, 1 << 12]}, TooLargeError),
            ({"shape": "many"}, UnreadableError),
            ({"shape": [3, 2, 2, -40, 52]}, UnreadableError),
            ({"chunks": [1, 1, 1, 0, 26]}, UnreadableError),
        ):
            edit(path / "0" / ".zarray", change)
            with pytest.raises(error):
                read(path)
            (path / "0" / ".zarray").write_text(described)
        with open(path / "0" / "2.1.1.1.1", "wb") as file:
            file.truncate(1 << 30)
        with pytest.raises(TooLargeError, match="bomb"):
            read(path)
        for content in ("", "{", "[]", "[" * 100_000):
            (path / ".zattrs").write_text(content)
            with pytest.raises(UnreadableError, match=r"\.zattrs is damaged"):
                read(path)
        (path / ".zattrs").unlink()
        (path / ".zgroup").unlink()
        with pytest.raises(UnreadableError, match="is a directory"):
            read(path)
