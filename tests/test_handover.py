"""What is handed on to a denoiser, and what is said of pictures without noise or with hot pixels: by the real model."""

import numpy as np
import PIL.Image
import pytest
import tifffile
import torch

import noisediag
from noisediag import images
from noisediag.estimator import Estimator
from noisediag.reports.denoisers import quiet_value

SIGMA, SIDE = 6.0, 192


@pytest.fixture(scope="module")
def estimator():
    torch.set_num_threads(1)
    return Estimator(device="cpu")


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """An unprocessed colour picture with the same independent noise in R, G and B."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    clean = np.stack([60 + 100 * x, 40 + 120 * y, 80 + 60 * x * y], -1)
    path = tmp_path_factory.mktemp("handover") / "a.png"
    PIL.Image.fromarray((clean + rng.normal(0, SIGMA, clean.shape)).round().astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def whole(estimator, colours):
    return estimator.estimate(images.read(colours))


def test_the_sigma_of_a_colour_picture_is_that_of_a_channel(estimator, colours, whole):
    assert float(quiet_value(whole, 255)) == pytest.approx(SIGMA, rel=0.05)
    linear = estimator.estimate(images.read(colours, linear=True))
    assert (linear.domain, linear.rendered) == ("linear", None)
    assert float(quiet_value(linear, 255)) == pytest.approx(SIGMA, rel=0.05)


def test_luma_alone_is_the_luma_of_the_whole(estimator, colours, whole):
    image = images.read(colours, channel="luma")
    alone = estimator.estimate(image)
    assert [plane.name for plane in alone.planes] == ["luma"]
    assert [plane.name for plane in alone.rendered.planes] == ["luma"]
    assert alone.planes[-1] == whole.planes[-1]
    assert quiet_value(alone) == f"{whole.derived.sigma_effective:.4g}"
    sigmas = estimator.sigma_map(image, alone, 255)
    assert sigmas.shape == (SIDE, SIDE)
    assert np.median(sigmas) == pytest.approx(255 * whole.derived.sigma_effective, rel=0.05)


def test_a_map_of_colours_has_planes_first_on_the_scale_asked_for(estimator, colours, whole):
    image = images.read(colours)
    in_dn, of_one = estimator.sigma_map(image, whole), estimator.sigma_map(image, whole, 1)
    assert of_one.shape == (3, SIDE, SIDE)
    np.testing.assert_allclose(255 * of_one, in_dn, rtol=1e-5)
    assert np.sqrt(np.square(of_one, dtype=float).mean()) == pytest.approx(float(quiet_value(whole)), rel=0.02)


def test_one_level_has_no_step(estimator):
    footprint = estimator.estimate(images.from_array(np.full((64, 64), 7, np.uint16)))
    assert footprint["quantisation"].value is None
    assert footprint["quantisation"].flag == "weakly_identified"


def test_hot_pixels_are_told_and_no_share_is_above_one(estimator, tmp_path):
    rng = np.random.default_rng(1)
    dark = rng.normal(512, 6, (256, 256)) + (rng.random((256, 256)) < 0.004) * rng.exponential(600, (256, 256))
    tifffile.imwrite(tmp_path / "dark.tif", dark.round().astype(np.uint16))
    footprint = estimator.estimate(images.read(tmp_path / "dark.tif", black=512, white=16383))
    plane = footprint.planes[-1]
    assert plane.hot_pixels.share == pytest.approx(0.0036, rel=0.2)
    assert [w for w in footprint.warnings if w.startswith("hot pixels: 0.3")]
    assert footprint.to_dict()["planes"][-1]["hot_pixels"]["mean_excess_dn"] == pytest.approx(660, rel=0.25)
    for name in ("impulse", "multiplicative"):
        assert all(bound is None or bound <= 1 for bound in (plane[name].value, plane[name].low, plane[name].high))


def test_the_python_interface_takes_linear(colours):
    assert noisediag.estimate(colours, linear=True, device="cpu").domain == "linear"
    with pytest.raises(noisediag.NoisediagError, match="either linear or rendered"):
        noisediag.estimate(np.zeros((64, 64, 3), np.uint8), linear=True, domain="rendered")
