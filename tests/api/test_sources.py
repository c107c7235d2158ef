"""What `estimate` and `read` take, whatever library it comes from, and what they refuse."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile
import torch

import noisediag
from noisediag.errors import UnsupportedError, WrongTypeError
from noisediag.images.image import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def gray(rng: np.random.Generator) -> np.ndarray:
    light = np.linspace(200, 3000, 64 * 80).reshape(64, 80)
    return (rng.poisson(light) + 100).astype(np.uint16)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def colour(rng: np.random.Generator) -> np.ndarray:
    return rng.normal((90, 120, 150), 6, (64, 80, 3)).round().clip(0, 255).astype(np.uint8)


def codes(image: Image) -> list[np.ndarray]:
    return [plane.load() for plane in image.planes]


class TestArrays:
    @pytest.mark.parametrize("dtype", ["i8", "u8", ">u2", "<i4", ">f4", "g"])
    def test_types_that_hold_the_same_numbers_give_the_same_pixels(self, gray: np.ndarray, dtype: str) -> None:
        (plane,) = noisediag.read(gray.astype(dtype), black=100, white=4095).planes
        np.testing.assert_array_equal(plane.load(), gray)
        assert plane.load().dtype.isnative
        assert (plane.black_dn, plane.white_dn, plane.step_dn) == (100, 4095, 1)

    def test_what_no_32_bits_hold_is_refused(self) -> None:
        with pytest.raises(UnsupportedError, match="more than 32 bits hold"):
            noisediag.read(np.full((32, 32), 2**40))

    @pytest.mark.parametrize(
        ("axes", "order"), [("HWC", (0, 1, 2)), ("CYX", (2, 0, 1)), ("xyc", (1, 0, 2)), ("SYX", (2, 0, 1))]
    )
    def test_axes_say_where_the_colours_are(self, colour: np.ndarray, axes: str, order: tuple[int, ...]) -> None:
        image = noisediag.read(colour.transpose(order), axes=axes)
        assert image.domain == "rendered"
        assert [plane.name for plane in image.planes] == ["R", "G", "B"]
        for place, values in enumerate(codes(image)):
            np.testing.assert_array_equal(values, colour[..., place])

    def test_colours_of_more_than_8_bits_are_channels_of_light(self, colour: np.ndarray) -> None:
        image = noisediag.read(colour.astype(np.uint16))
        assert (image.domain, [plane.channel for plane in image.planes]) == ("linear", ["R", "G", "B"])
        assert noisediag.read(colour, domain="linear").domain == "linear"
        assert noisediag.read(colour.astype(np.float32) / 255, domain="rendered").domain == "rendered"

    def test_colours_of_floats_share_a_scale(self, colour: np.ndarray) -> None:
        dark = colour / 255 * (1.0, 0.1, 0.4)
        assert {plane.white_dn for plane in noisediag.read(dark).planes} == {0.5}  # of the brightest colour

    def test_opacity_is_no_light(self, colour: np.ndarray) -> None:
        four = np.dstack([colour, np.full(colour.shape[:2], 255, np.uint8)])
        for source in (four, four.astype(np.uint16)):
            assert [plane.name for plane in noisediag.read(source).planes] == ["R", "G", "B"]

    def test_frames_come_first_unless_axes_say_otherwise(self, gray: np.ndarray) -> None:
        stack = np.stack([gray, gray + 1, gray + 2])
        assert [plane.frame for plane in noisediag.read(stack).planes] == [0, 1, 2]
        last = noisediag.read(stack.transpose(1, 2, 0), axes="YXT")
        np.testing.assert_array_equal(codes(last)[2], gray + 2)
        focus = noisediag.read(np.stack([stack, stack]), axes="TZYX")
        assert (focus.frames, focus.frame_axes) == (6, (("T", 2), ("Z", 3)))
        channels = noisediag.read(stack, axes="CYX")
        assert [plane.channel for plane in channels.planes] == ["channel0", "channel1", "channel2"]

    def test_frames_of_colours_need_axes(self, colour: np.ndarray) -> None:
        movie = np.stack([colour, colour])
        with pytest.raises(UnsupportedError, match="axes= says"):
            noisediag.read(movie)
        image = noisediag.read(movie, axes="THWC")
        assert [(plane.name, plane.frame) for plane in image.planes[:2]] == [("R", 0), ("R", 1)]
        np.testing.assert_array_equal(codes(image)[1], colour[..., 0])

    @pytest.mark.parametrize("axes", ["YX", "YXQQ", "TCX", "CSYX", "Y?X", ""])
    def test_axes_that_do_not_fit_are_refused(self, axes: str) -> None:
        with pytest.raises(noisediag.UsageError, match="one letter an axis"):
            noisediag.read(np.zeros((3, 32, 32), np.uint16), axes=axes)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
    def test_masked_pixels_are_left_out(self, rng: np.random.Generator, dtype: Any) -> None:
        values = rng.normal(100, 3, (64, 64)).round().astype(dtype)
        values[:8, :8] = 0
        masked = np.ma.masked_equal(values, 0)
        whole = noisediag.estimate(masked, black=0, white=255, device="cpu").planes[-1]
        assert whole.missing_share == pytest.approx(1 / 64)
        assert whole.effective_sigma * 255 == pytest.approx(3, rel=0.1)

    def test_a_mask_where_every_code_is_used_is_refused(self) -> None:
        values = np.arange(256, dtype=np.uint8).repeat(16).reshape(64, 64)
        mask = np.zeros(values.shape, bool)
        mask[0, 0] = True
        with pytest.raises(UnsupportedError, match="as floats"):
            noisediag.read(np.ma.array(values, mask=mask))

    def test_arrays_are_not_changed(self, gray: np.ndarray) -> None:
        before = gray.copy()
        gray.setflags(write=False)
        noisediag.estimate(gray, black=100, device="cpu")
        np.testing.assert_array_equal(gray, before)


class TestOtherLibraries:
    def test_tensors(self, gray: np.ndarray, colour: np.ndarray) -> None:
        tensor = torch.from_numpy(gray.astype(np.int32))
        np.testing.assert_array_equal(codes(noisediag.read(tensor))[0], gray)
        graded = torch.from_numpy(gray.astype(np.float32)).requires_grad_()
        np.testing.assert_array_equal(codes(noisediag.read(graded[None]))[0], gray)
        half = torch.from_numpy(gray.astype(np.float32)).to(torch.bfloat16)
        assert codes(noisediag.read(half))[0].dtype == np.float32
        planes = torch.from_numpy(colour).permute(2, 0, 1)
        with pytest.raises(noisediag.UsageError, match="axes='CHW' or axes='THW'"):
            noisediag.read(planes)
        np.testing.assert_array_equal(codes(noisediag.read(planes, axes="CHW"))[1], colour[..., 1])
        assert noisediag.read(planes, axes="THW").frames == 3
        with pytest.raises(TypeError, match="the tensor does not become"):
            noisediag.read(tensor.to_sparse())

    def test_names_of_dimensions_are_axes(self, gray: np.ndarray) -> None:
        xarray = pytest.importorskip("xarray")
        array = xarray.DataArray(np.stack([gray.T, gray.T + 1], axis=-1), dims=("x", "y", "time"))
        image = noisediag.read(array)
        assert (image.frames, image.planes[0].shape) == (2, gray.shape)
        np.testing.assert_array_equal(codes(image)[0], gray)
        band = xarray.DataArray(np.stack([gray] * 5), dims=("band", "latitude", "longitude"))
        assert [plane.channel for plane in noisediag.read(band).planes][:2] == ["channel0", "channel1"]
        with pytest.raises(WrongTypeError, match="Dataset"):
            noisediag.read(xarray.Dataset({"a": array}))

    @pytest.mark.parametrize("library", ["dask.array", "pandas"])
    def test_what_converts_is_converted(self, gray: np.ndarray, library: str) -> None:
        module = pytest.importorskip(library)
        source = module.from_array(gray) if library == "dask.array" else module.DataFrame(gray)
        np.testing.assert_array_equal(codes(noisediag.read(source))[0], gray)

    def test_a_table_of_words_is_no_picture(self) -> None:
        pandas = pytest.importorskip("pandas")
        with pytest.raises(TypeError, match="estimate_many"):
            noisediag.read(pandas.Series(["a.png", "b.png"]))

    def test_an_array_that_refuses_to_convert_says_why(self) -> None:
        class OnDevice:
            def __array__(self, *_: object, **__: object) -> np.ndarray:
                raise TypeError("use .get()")

        with pytest.raises(TypeError, match=r"OnDevice does not become an array of numpy's: use \.get\(\)"):
            noisediag.read(OnDevice())

    def test_pictures_of_pil_are_read_as_their_files(self, colour: np.ndarray, gray: np.ndarray) -> None:
        content = io.BytesIO()
        PIL.Image.fromarray(colour).save(content, "JPEG", quality=80, exif=_exif(ISOSpeedRatings=400))
        with PIL.Image.open(content) as picture:
            given, read = noisediag.read(picture), noisediag.read(content.getvalue())
            assert noisediag.read(picture.crop((0, 0, 40, 40))).jpeg is None
        assert given.jpeg == read.jpeg is not None
        assert given.acquisition == read.acquisition == {"ISO": 400}
        for one, other in zip(codes(given), codes(read), strict=True):
            np.testing.assert_array_equal(one, other)
        assert noisediag.read(PIL.Image.fromarray(gray)).domain == "linear"
        assert noisediag.read(PIL.Image.fromarray(colour), linear=True).domain == "linear"

    @pytest.mark.parametrize(("mode", "why"), [("CMYK", "CMYK"), ("1", "1-bit")])
    def test_modes_of_pil_that_are_not_read(self, colour: np.ndarray, mode: str, why: str) -> None:
        with pytest.raises(UnsupportedError, match=why):
            noisediag.read(PIL.Image.fromarray(colour).convert(mode))

    def test_no_library_is_imported_to_tell_what_a_source_is(self) -> None:
        code = (
            "import sys, numpy, noisediag\n"
            "noisediag.read(numpy.zeros((32, 32), 'u2'))\n"
            "print({'torch', 'pandas', 'xarray', 'dask', 'matplotlib'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("set()\n", "")


class TestFiles:
    def test_content_gives_what_the_file_gives(self, gray: np.ndarray, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, gray)
        content, wound = path.read_bytes(), io.BytesIO(path.read_bytes())
        wound.seek(0, os.SEEK_END)  # as it stands once it has been written
        expected = noisediag.read(path)
        for source in (str(path), content, bytearray(content), memoryview(content), wound):
            image = noisediag.read(source)
            np.testing.assert_array_equal(codes(image)[0], gray)
            assert image.sha256 == expected.sha256
        with path.open("rb") as file:
            assert noisediag.read(file).path == str(path)
        assert noisediag.read(content).path is None

    def test_temporary_files_go_with_the_picture(
        self, gray: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        held = io.BytesIO()
        tifffile.imwrite(held, np.stack([gray, gray]))
        image = noisediag.read(held)
        assert len(list(tmp_path.iterdir())) == 1
        np.testing.assert_array_equal(codes(image)[1], gray)
        del image
        assert not list(tmp_path.iterdir())

    def test_what_was_read_can_be_estimated_with_what_is_left_to_say(self, gray: np.ndarray, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, gray)
        image = noisediag.read(path)
        one = noisediag.estimate(image, black=100, roi=(0, 0, 48, 32), device="cpu")
        other = noisediag.estimate(path, black=100, roi=(0, 0, 48, 32), device="cpu")
        assert one == other
        with pytest.raises(noisediag.UsageError, match=r"noisediag\.read"):
            noisediag.estimate(image, series=1)


class TestRefusals:
    @pytest.mark.parametrize(
        ("source", "words"),
        [
            (3, "not int"),
            (None, "not NoneType"),
            (["a.png", "b.png"], "not list; for several pictures there is noisediag.estimate_many"),
            ({"a": 1}, "not dict"),
            (iter([1]), "estimate_many"),
            (io.StringIO("x"), "mode 'rb'"),
            (np.float32(3), "taken is a path, an array"),
        ],
    )
    def test_other_kinds_are_a_type_error_that_says_what_is_taken(self, source: object, words: str) -> None:
        with pytest.raises(TypeError, match=words) as caught:
            noisediag.estimate(source)
        assert isinstance(caught.value, noisediag.NoisediagError)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"domain": "liner"}, "unknown domain 'liner': raw-linear, linear, rendered"),
            ({"device": "tpu"}, "unknown device 'tpu': auto, cpu, cuda"),
            ({"gain": 0}, "gain is a positive number"),
            ({"black": float("nan")}, "black is a finite number"),
            ({"black": 9, "white": 8}, "black 9 is not below white 8"),
            ({"linear": True, "domain": "rendered"}, "either linear or rendered"),
            ({"frame": 0}, "slice it instead"),
        ],
    )
    def test_options_are_refused_with_what_there_is(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(noisediag.UsageError, match=words):
            noisediag.estimate(np.zeros((32, 32), np.uint16), **options)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"blck": 3}, r"no keyword 'blck' \(did you mean 'black'\?\); there are: black, white, domain"),
            ({"white": "255"}, "white is a number"),
            ({"roi": 3}, "roi is four whole numbers"),
            ({"frame": 0.5}, "frame is a whole number"),
            ({"checkpoint": 3}, "checkpoint is a path"),
        ],
    )
    def test_values_of_another_kind_are_type_errors(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(TypeError, match=words):
            noisediag.estimate(np.zeros((32, 32), np.uint16), **options)

    def test_files_say_themselves_what_they_are(self, tmp_path: Path, gray: np.ndarray) -> None:
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, gray)
        with pytest.raises(noisediag.UsageError, match="read as 'linear'"):
            noisediag.estimate(path, domain="rendered")
        with pytest.raises(noisediag.UsageError, match="axes= is for arrays"):
            noisediag.estimate(path, axes="YX")

    def test_messages_speak_of_keywords(self, tmp_path: Path, gray: np.ndarray) -> None:
        path = tmp_path / "a --z.png"
        PIL.Image.fromarray(gray).save(path)
        with pytest.raises(noisediag.UsageError, match=r"^series: there is nothing to choose"):
            noisediag.read(path, series=1)
        with pytest.raises(noisediag.InputError, match=r"b--white\.png: no such file"):
            noisediag.read(tmp_path / "b--white.png")


def _exif(**tags: int) -> PIL.Image.Exif:
    found = PIL.Image.Exif()
    found.get_ifd(0x8769)[0x8827] = tags["ISOSpeedRatings"]
    return found
