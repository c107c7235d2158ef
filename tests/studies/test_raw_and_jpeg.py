"""One exposure, two files: the RAW with the sensor's noise, and the JPEG with what its own development left of it.

Each is compared with its own truth: the RAW with the law that was planted, the JPEG with the differences of many
exposures developed alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import noisediag
from noisediag.footprint.file import Footprint
from noisediag.genome import camera, scenes, sensor
from noisediag.genome.clean import NEUTRAL
from noisediag.genome.rendered import CODES, COLOUR_MATRIX, PLANES
from noisediag.images.dng_writing import DngTags, write_dng

SIDE = 384  # of the mosaic
BLACK, WHITE = 256, 4095
SHOT, READ = 0.002, 0.004
QUALITY = 92
DRAWS = 16
LEVELS = 12


@dataclass(frozen=True)
class Exposure:
    """Both files, and the truth of the JPEG: signal and sigma (planes, LEVELS), lag1 (planes, 2), codes / 255."""

    raw: Path
    jpeg: Path
    signal: np.ndarray
    sigma: np.ndarray
    lag1: np.ndarray


def expose(light: Tensor, masks: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` mosaics (count, H, W) in DN of `light` (3, H, W), as a sensor sees it."""
    absent = torch.zeros(count)
    noise = sensor.SensorNoise(
        shot_gain=absent + SHOT,
        read_noise=absent + READ,
        multiplicative=absent,
        impulse=absent,
        salt_share=absent,
        quantisation=absent,
        row_noise=absent,
        column_noise=absent,
        correlation=absent,
        white_read=absent,
    )
    step = 1 / (WHITE - BLACK)
    mosaic = (light * torch.tensor(NEUTRAL)[:, None, None] * masks).sum(0).expand(count, -1, -1)
    noisy = sensor.corrupt(mosaic, noise, generator, black_clip=-BLACK * step, container_step=step)
    return (noisy.image / step + BLACK).round()


def develop(mosaics: Tensor, masks: Tensor) -> Tensor:
    """Mosaics in DN to codes (N, 3, H, W): white balance, demosaicing, colour matrix, tone, sharpening."""
    gains = 1 / torch.tensor(NEUTRAL)[:, None, None]
    balanced = (mosaics - BLACK) / (WHITE - BLACK) * (masks * gains).sum(0)
    colours = camera.demosaic_malvar(balanced, masks)
    matrix = torch.lerp(torch.eye(3), torch.tensor(COLOUR_MATRIX), 0.5)
    linear = torch.einsum("ij,njhw->nihw", matrix, colours).clamp(0, 1)
    return (CODES * camera.sharpen(camera.tone_srgb(linear, torch.zeros(5)), 0.8, 0.4)).round().clamp(0, CODES)


def save_jpeg(codes: Tensor, path: Path) -> np.ndarray:
    """Write codes (3, H, W) by libjpeg; what the file decodes to, the same shape."""
    Image.fromarray(codes.permute(1, 2, 0).numpy().astype(np.uint8)).save(path, quality=QUALITY, subsampling=0)
    with Image.open(path) as file:
        return np.moveaxis(np.asarray(file, np.float64), -1, 0)


@pytest.fixture(scope="module")
def exposure(tmp_path_factory: pytest.TempPathFactory) -> Exposure:
    folder, generator = tmp_path_factory.mktemp("exposure"), torch.Generator().manual_seed(11)
    gray = scenes.make(1, SIDE, generator, kinds=("photo",))[0]
    light = (0.05 + 0.7 * gray) * torch.tensor([1.0, 0.85, 0.7])[:, None, None]
    masks = camera.bayer_masks(SIDE, SIDE, 0)
    mosaics = expose(light, masks, DRAWS, generator)
    raw = folder / "photo.dng"
    profile = ((SHOT, READ**2),) * 3
    write_dng(raw, mosaics[0].numpy().astype(np.uint16), DngTags(BLACK, WHITE, NEUTRAL, profile, 800, 0.01, 2.8))
    developed = develop(mosaics, masks)
    decoded = [save_jpeg(codes, folder / f"{number}.jpg") for number, codes in enumerate(developed)]
    stack = np.stack(decoded)
    luma = np.tensordot(camera.LUMA, stack, (0, 1))
    planes = np.concatenate([stack, luma[:, None]], 1) / CODES  # (DRAWS, planes, H, W)
    mean, residual = planes.mean(0), (planes - planes.mean(0)) * math.sqrt(DRAWS / (DRAWS - 1))
    variance = np.square(residual).mean(0)
    signal, sigma = np.empty((2, len(PLANES), LEVELS))
    for plane in range(len(PLANES)):
        order = np.array_split(np.argsort(mean[plane], axis=None), LEVELS)
        signal[plane] = [mean[plane].reshape(-1)[some].mean() for some in order]
        sigma[plane] = [math.sqrt(variance[plane].reshape(-1)[some].mean()) for some in order]
    total = variance.mean((1, 2))
    across = (residual[..., 1:] * residual[..., :-1]).mean((0, 2, 3)) / total
    down = (residual[..., 1:, :] * residual[..., :-1, :]).mean((0, 2, 3)) / total
    return Exposure(raw, folder / "0.jpg", signal, sigma, np.stack([across, down], -1))


@pytest.fixture(scope="module")
def of_raw(exposure: Exposure) -> Footprint:
    return noisediag.estimate(exposure.raw)


@pytest.fixture(scope="module")
def of_jpeg(exposure: Exposure) -> Footprint:
    footprint = noisediag.estimate(exposure.jpeg)
    if footprint.rendered is None:
        pytest.skip("the shipped model does not read processed pictures")
    return footprint


def test_the_two_truths_differ(exposure: Exposure) -> None:
    """Else one footprint would do for both."""
    law = np.sqrt(SHOT * exposure.signal[1] + READ**2)
    assert (np.abs(np.log(exposure.sigma[1] / law)) > 0.2).any()
    assert (exposure.lag1[:3] > 0.1).all()


def test_the_raw_has_the_footprint_of_the_sensor(of_raw: Footprint) -> None:
    assert (of_raw.domain, of_raw.rendered) == ("raw-linear", None)
    assert "rendered" not in of_raw.flags
    for plane in of_raw.planes:
        for point in plane.curve:
            true = math.sqrt(SHOT * point.signal + READ**2 + (1 / (WHITE - BLACK)) ** 2 / 12)
            assert plane.law.sigma(point.signal) == pytest.approx(true, rel=0.1)
    assert of_raw["shot_gain"].value == pytest.approx(SHOT, rel=0.15)
    assert of_raw.derived.electrons_at_white == pytest.approx(1 / SHOT, rel=0.15)
    assert not of_raw.structure.correlated_share


def test_the_jpeg_says_that_it_was_processed_and_gives_no_electrons(of_jpeg: Footprint) -> None:
    assert of_jpeg.domain == "rendered"
    assert "rendered" in {*of_jpeg.flags, *of_jpeg.planes[-1].flags}
    assert of_jpeg.rendered is not None
    assert of_jpeg.rendered.processed > 0.5
    assert of_jpeg.rendered.jpeg_quality == QUALITY
    assert of_jpeg.derived.electrons_at_white is None
    assert of_jpeg.derived.dng_noise_profile is None


def test_the_jpeg_has_the_noise_that_its_development_left(of_jpeg: Footprint, exposure: Exposure) -> None:
    assert of_jpeg.rendered is not None
    planes = {plane.name: plane for plane in of_jpeg.planes}
    spatial = {seen.name: seen for seen in of_jpeg.rendered.planes}
    for number, name in enumerate(PLANES):
        sigma = planes[name].law.sigma(exposure.signal[number])
        assert np.median(np.abs(np.log(sigma / exposure.sigma[number]))) < 0.2
        seen = spatial[name]
        assert (seen.lag1_h, seen.lag1_v) == pytest.approx(exposure.lag1[number], abs=0.1)
