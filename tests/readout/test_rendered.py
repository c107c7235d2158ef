"""Rendered pictures end to end: the shipped model on simulated cameras, and what is said where it cannot tell."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image

from noisediag import images
from noisediag.cop.rendered_tokens import KNOTS
from noisediag.errors import CheckpointError
from noisediag.estimator import Estimator
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.footprint.plane import CurvePoint, Estimate, PlaneFootprint, SampledCurve
from noisediag.genome import rendered, scenes
from noisediag.genome.correlation import autocorrelation
from noisediag.readout import rendered as processed
from noisediag.reports import csv
from noisediag.reports.json import dumps

CAMERA = rendered.Camera(
    shot_gain=0.004,
    read_noise=0.004,
    white_balance=(1.9, 1.6),
    demosaicer="malvar",
    second=None,
    mix=0.0,
    phase=0,
    denoiser="bilateral",
    luma_strength=1.0,
    chroma_strength=2.0,
    blend=0.7,
    matrix=0.5,
    tone="srgb",
    shape=(0.5,) * 6,
    look=None,
    encoding=1.0,
    second_denoiser=None,
    denoiser_mix=0.0,
    sharpening=(0.8, 0.5),
    scale=1.0,
    kernel=None,
    gray=False,
    first_jpeg=None,
    jpeg=92,
    subsampled=False,
    offset=0,
)
PLAIN = replace(
    CAMERA, tone=None, demosaicer=None, denoiser=None, sharpening=None, jpeg=None, shot_gain=0.002, read_noise=0.01
)


def photographed(camera: rendered.Camera, size: int = 224, seed: int = 5) -> tuple[np.ndarray, rendered.Measured]:
    """A procedural scene taken by `camera`: codes (size, size, 3) uint8, and the truth of 12 repetitions."""
    generator = torch.Generator().manual_seed(seed)
    gray = scenes.make(3, rendered.scene_px(camera, size), generator, kinds=("photo",))[:, None]
    scene = rendered.colourise(gray, generator)
    truth = rendered.measure(0.02 + 0.9 * scene, camera, size, 12, 1, generator)
    return truth.pictures[0, 0].permute(1, 2, 0).numpy().astype(np.uint8), truth


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    torch.set_num_threads(2)
    return Estimator(device="cpu")


@pytest.fixture(scope="module")
def taken() -> tuple[np.ndarray, rendered.Measured]:
    return photographed(CAMERA)


@pytest.fixture(scope="module")
def footprint(estimator: Estimator, taken: tuple[np.ndarray, rendered.Measured]) -> Footprint:
    return estimator.estimate(images.from_array(taken[0]))


class TestAProcessedPicture:
    def test_has_the_planes_and_curves_that_were_measured(self, footprint, taken):
        truth = taken[1]
        assert [plane.name for plane in footprint.planes] == list(rendered.PLANES)
        for i, plane in enumerate(footprint.planes):
            signal, sigma = truth.signal[0, i].double().numpy(), truth.sigma[0, i].double().numpy()
            counted = (sigma > 0.5 / 255) & (signal < 254 / 255)
            error = np.abs(np.log(plane.law.sigma(signal[counted]) / sigma[counted]))
            assert counted.sum() >= 8
            assert np.median(error) < 0.25

    def test_is_correlated_as_measured(self, footprint, taken):
        truth = taken[1]
        for i, seen in enumerate(footprint.rendered.planes):
            assert seen.lag1_h == pytest.approx(float(truth.lag1[0, i, 0]), abs=0.12)
            assert seen.lag1_v == pytest.approx(float(truth.lag1[0, i, 1]), abs=0.12)
            ratio = np.array(seen.sigma_after_area) / footprint.planes[i].effective_sigma
            assert ratio == pytest.approx(truth.areas[0, i].numpy(), abs=0.15)

    def test_has_no_shot_and_read_noise(self, footprint):
        for name in processed.UNDEFINED:
            assert footprint[name].value is None
            assert footprint[name].flag == "rendered"
        assert footprint.derived.electrons_at_white is None
        assert footprint["correlation"].value > 0.4

    def test_makes_a_report_that_its_schema_allows(self, footprint):
        schema = json.loads(resources.files("noisediag.reports").joinpath("report.schema.json").read_text("utf-8"))
        report = json.loads(dumps([footprint], CheckpointId("sensor", "0" * 64)))
        jsonschema.Draft202012Validator(schema).validate(report)
        assert report["images"][0]["rendered"]["processed"] > 0.5
        assert len(report["images"][0]["rendered"]["planes"]) == 4
        header, *rows = csv.dumps([footprint], CheckpointId("sensor", "0" * 64)).splitlines()
        cells = dict(zip(header.split(","), rows[1].split(","), strict=True))
        assert float(cells["lag1_h"]) == pytest.approx(footprint.rendered.planes[1].lag1_h, rel=1e-5)
        assert cells["jpeg_quality"] == str(footprint.rendered.jpeg_quality)

    def test_saved_as_jpeg_has_its_tables_quality(self, estimator, taken, tmp_path):
        Image.fromarray(taken[0]).save(tmp_path / "x.jpg", quality=83)
        seen = estimator.estimate(images.read(tmp_path / "x.jpg")).rendered
        assert seen.jpeg_quality == 83
        assert seen.jpeg_standard is True

    def test_its_gray_picture_is_one_plane(self, estimator, taken):
        footprint = estimator.estimate(images.from_array(taken[0][..., 1], domain="rendered"))
        assert [plane.name for plane in footprint.planes] == ["gray", "all"]
        assert [seen.name for seen in footprint.rendered.planes] == ["all"]
        assert footprint.rendered.channel_correlation is None


class TestNoiseAsItIs:
    def test_keeps_the_sensor_models_answer(self, estimator):
        codes, truth = photographed(PLAIN)
        footprint = estimator.estimate(images.from_array(codes))
        assert footprint.rendered.processed < 0.5
        assert "denoised" not in footprint.flags
        green = footprint.planes[1]
        assert green["read_noise"].flag != "rendered"
        signal, sigma = truth.signal[0, 1].double().numpy(), truth.sigma[0, 1].double().numpy()
        inside = (signal > 0.05) & (signal < 0.95)
        assert np.median(np.abs(np.log(green.law.sigma(signal[inside]) / sigma[inside]))) < 0.1


class TestWhatCannotBeLookedAt:
    def test_a_tiny_picture(self, estimator, taken):
        footprint = estimator.estimate(images.from_array(np.ascontiguousarray(taken[0][:24, :24])))
        assert footprint.rendered is None
        assert any("too small" in warning for warning in footprint.warnings)

    def test_a_scale_that_is_not_the_files(self, estimator, taken, tmp_path: Path):
        Image.fromarray(taken[0]).save(tmp_path / "x.png")
        footprint = estimator.estimate(images.read(tmp_path / "x.png", white=200))
        assert footprint.rendered is None
        assert any("black and white" in warning for warning in footprint.warnings)

    def test_a_model_without_the_part(self, estimator, taken):
        with pytest.raises(CheckpointError, match="no part"):
            next(processed.read(_without(estimator).model, [taken[0][..., 0][None] / 255.0], []))
        footprint = _without(estimator).estimate(images.from_array(taken[0]))
        assert footprint.rendered is None
        assert any("no part" in warning for warning in footprint.warnings)


def _without(estimator: Estimator) -> Estimator:
    import copy

    other = copy.copy(estimator)
    other.model = copy.deepcopy(estimator.model)
    other.model.rendered = None
    return other


@pytest.mark.parametrize("rho", [0.45, 0.8, 1.5])
def test_the_equivalent_blur_is_the_kernels_width(rho):
    assert processed.equivalent_blur_px(float(autocorrelation(rho, 1)[0, 1])) == pytest.approx(rho, rel=0.01)


def test_white_noise_has_no_blur():
    assert processed.equivalent_blur_px(0.0) == 0.0


def test_a_picture_whose_colour_lies_outside_of_what_is_looked_at(estimator, tmp_path):
    """Tiles end at multiples of 8 px; the strip of colour beyond them makes it a colour picture all the same."""
    rng = np.random.default_rng(4)
    gray = (128 + 10 * rng.standard_normal((133, 133))).round().clip(0, 255).astype(np.uint8)
    coloured = np.stack([gray] * 3, -1)
    coloured[-2:, :, 0] = 250
    Image.fromarray(coloured).save(tmp_path / "a.png")
    Image.fromarray(gray[:128, :128]).save(tmp_path / "b.png")
    colour, plain = (estimator.estimate(images.read(tmp_path / name)) for name in ("a.png", "b.png"))
    assert [plane.name for plane in colour.planes] == ["R", "G", "B", "luma"]
    assert colour.planes[-1].effective_sigma == pytest.approx(plain.planes[-1].effective_sigma, rel=1e-3)


@pytest.mark.parametrize(
    ("lag1", "value", "low", "flag"),
    [
        (0.45, pytest.approx(0.6, abs=0.03), None, None),
        (0.0, None, 0.0, "below_floor"),
        (0.999, None, 6.0, "out_of_range"),
    ],
)
def test_correlation_of_processed_noise_is_read_off_lag_1_and_nothing_is_invented(lag1, value, low, flag):
    """A probability that nobody estimated is null; a kernel wider than lag 1 can tell is a lower bound, not 6 px."""
    plane = processed.ProcessedPlane(
        SampledCurve((0.0, 1.0), (0.01, 0.02)), np.full((KNOTS, 2), 0.1), None, (lag1, lag1), (0.9, 0.8, 0.7)
    )
    estimate = Estimate("correlation", 1.0, 0.9, 1.1, 0.3, symbol="rho", unit="px")
    curve = (CurvePoint(0.0, 0.01, 0.009, 0.011), CurvePoint(1.0, 0.02, 0.018, 0.022))
    sensor = PlaneFootprint("luma", (64, 64), 8, 0.0, 255.0, "file", curve, plane.curve, (estimate,), 0.5, 0.01)
    found = processed.with_processed_noise(sensor, plane, np.array([0.5]))["correlation"]
    assert (found.value, found.low, found.high, found.present, found.flag) == (value, low, None, None, flag)
