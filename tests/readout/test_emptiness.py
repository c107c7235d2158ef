"""Pictures that show nothing, or next to nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from noisediag import images
from noisediag.estimator import Estimator
from noisediag.footprint.file import Footprint
from noisediag.images.dng_writing import DngTags, write_dng


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    torch.set_num_threads(1)
    return Estimator(device="cpu")


def assert_nothing_is_told(footprint: Footprint) -> None:
    plane = footprint.planes[-1]
    assert plane.says_nothing
    assert all(e.value is None and e.low is None and e.high is None for e in plane.parameters)
    assert plane.light is None
    assert {point.low for point in plane.curve} == {0.0}
    assert footprint.structure.pixel_independent is None
    assert not footprint.structure.noise_found
    assert footprint.derived.dng_noise_profile is None
    assert footprint.derived.K.value is None
    assert footprint.rendered is None
    assert footprint.uneven is None


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "f8", ">f4"])
@pytest.mark.parametrize("value", [0, 5])
def test_all_pixels_equal(estimator: Estimator, dtype: str, value: int) -> None:
    footprint = estimator.estimate(images.from_array(np.full((64, 64), value, dtype)))
    assert_nothing_is_told(footprint)
    plane = footprint.planes[-1]
    assert "empty" in footprint.flags
    assert plane.law.sigma(plane.signal_median) == 0
    assert footprint.warnings[-1] == "all pixels are equal: there is no noise to see"


def test_equal_pixels_and_missing_ones(estimator: Estimator) -> None:
    values = np.full((64, 64), 5, np.float32)
    values[:20, 3:30] = np.nan
    footprint = estimator.estimate(images.from_array(values, black=0, white=10))
    assert_nothing_is_told(footprint)
    assert "empty" in footprint.flags


@pytest.mark.parametrize("gain", [None, 2.0])
def test_a_dozen_photons(estimator: Estimator, gain: float | None) -> None:
    values = np.zeros((256, 256), np.uint8)
    y, x = np.random.default_rng(4).integers(0, 256, (2, 12))
    values[y, x] = 1
    footprint = estimator.estimate(images.from_array(values), gain=gain)
    assert_nothing_is_told(footprint)
    assert "empty" not in footprint.flags
    assert f"nearly empty: only {np.count_nonzero(values)} of 65536 pixels" in footprint.warnings[-1]
    plane = footprint.planes[-1]
    assert plane.law.sigma(0.0) * 255 == pytest.approx(np.sqrt(np.count_nonzero(values) / values.size), rel=0.01)


@pytest.mark.parametrize("photons_a_pixel", [0.05, 0.5])
def test_a_few_hundred_photons_are_noise(estimator: Estimator, photons_a_pixel: float) -> None:
    values = np.random.default_rng(0).poisson(photons_a_pixel, (256, 256)).astype(np.uint8)
    assert not estimator.estimate(images.from_array(values)).planes[-1].says_nothing


def test_a_small_picture_with_few_levels_is_not_empty(estimator: Estimator) -> None:
    values = np.rint(100 + np.random.default_rng(0).normal(0, 0.6, (16, 16))).astype(np.uint8)
    assert not estimator.estimate(images.from_array(values)).planes[-1].says_nothing


@pytest.mark.parametrize("photons", [0, 7])
def test_a_raw_file(estimator: Estimator, tmp_path: Path, photons: int) -> None:
    mosaic = np.full((128, 128), 512, np.uint16)
    y, x = np.random.default_rng(0).integers(0, 128, (2, photons))
    mosaic[y, x] += 1
    write_dng(tmp_path / "a.dng", mosaic, DngTags(512, 4095, (1.0, 1.0, 1.0), (), 100, 0.01, 2.8))
    assert_nothing_is_told(estimator.estimate(images.read(tmp_path / "a.dng")))


def test_a_rendered_picture_of_one_colour(estimator: Estimator) -> None:
    footprint = estimator.estimate(images.from_array(np.full((96, 96, 3), (120, 60, 20), np.uint8)))
    assert_nothing_is_told(footprint)


def test_one_empty_colour_does_not_silence_the_others(estimator: Estimator) -> None:
    values = np.full((96, 96, 3), 120, np.uint8)
    values[..., :2] = np.rint(120 + np.random.default_rng(0).normal(0, 4, (96, 96, 2)))
    planes = {plane.name: plane for plane in estimator.estimate(images.from_array(values)).planes}
    assert {name: plane.says_nothing for name, plane in planes.items()} == {
        "R": False,
        "G": False,
        "B": True,
        "luma": False,
    }
    assert planes["B"].law.sigma(0.5) == 0
