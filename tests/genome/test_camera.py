"""The stages of the simulated camera: JPEG against libjpeg, and the properties that each stage must have."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from noisediag.genome import camera
from noisediag.genome.camera import denoising

ANY_SHAPE = torch.tensor([0.3, 0.8, 0.6, 0.2, 0.5])
QUALITIES = (50, 75, 92, 100)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def colour_picture(height: int, width: int) -> Tensor:
    """Waves in three colours with a little noise, whole codes, `(1, 3, height, width)`."""
    y, x = torch.meshgrid(torch.arange(height) / 32.0, torch.arange(width) / 32.0, indexing="ij")
    waves = torch.stack([torch.sin(2 * x + y), torch.cos(3 * y), torch.sin(x - 2 * y)])
    return (128 + 70 * waves + 6 * torch.randn(waves.shape, generator=seeded())).round().clamp(0, 255)[None]


def through_libjpeg(codes: Tensor, quality: int, *, subsampled: bool) -> Image.Image:
    stream = io.BytesIO()
    picture = Image.fromarray(codes[0].permute(1, 2, 0).numpy().astype(np.uint8))
    picture.save(stream, "JPEG", quality=quality, subsampling=2 if subsampled else 0)
    stream.seek(0)
    return Image.open(stream)


# JPEG ---------------------------------------------------------------------------------------------------------------


def test_the_tables_are_libjpegs_at_every_quality() -> None:
    picture = torch.zeros(1, 3, 8, 8)
    for quality in range(1, 101):
        tables = through_libjpeg(picture, quality, subsampled=False).quantization  # type: ignore[attr-defined]
        ours = camera.jpeg_tables(quality).flatten(1)
        for number in (0, 1):
            assert ours[number].tolist() == list(tables[number]), quality


@pytest.mark.parametrize("subsampled", [False, True])
@pytest.mark.parametrize("quality", QUALITIES)
def test_a_decoded_picture_is_libjpegs_up_to_rounding(quality: int, subsampled: bool) -> None:
    for shape in ((48, 64), (45, 51)):  # whole blocks, and neither whole blocks nor even sides
        codes = colour_picture(*shape)
        theirs = torch.from_numpy(np.array(through_libjpeg(codes, quality, subsampled=subsampled))).permute(2, 0, 1)
        ours = camera.jpeg(codes, quality, subsampled)[0]
        # libjpeg rounds colours, averages and transforms by integers, so that coefficients near the middle between two
        # steps fall to the other side: far less than what the compression itself changes, and as often up as down
        off, lost, lost_by_ours = ours - theirs, theirs - codes[0], ours - codes[0]
        assert off.square().mean().sqrt() < 0.3 * lost.square().mean().sqrt() + 0.5
        assert lost_by_ours.square().mean().sqrt() == pytest.approx(float(lost.square().mean().sqrt()), rel=0.04)
        assert off.mean((1, 2)).abs().max() < 0.6


def test_compression_costs_less_the_higher_the_quality() -> None:
    codes = colour_picture(64, 64)
    cost = [float((camera.jpeg(codes, quality, False) - codes).square().mean()) for quality in QUALITIES]
    assert cost == sorted(cost, reverse=True)
    assert cost[-1] < 1


def test_gray_stays_gray_and_flat_stays_flat() -> None:
    gray = colour_picture(32, 32)[:, :1].expand(-1, 3, -1, -1)
    decoded = camera.jpeg(gray, 80, True)
    assert torch.equal(decoded[:, 0], decoded[:, 1])
    assert torch.equal(decoded[:, 0], decoded[:, 2])
    flat = torch.full((1, 3, 16, 16), 128.0)
    assert torch.equal(camera.jpeg(flat, 50, True), flat)


# Demosaicing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", range(4))
def test_every_pixel_of_a_mosaic_has_one_colour_and_half_are_green(phase: int) -> None:
    masks = camera.bayer_masks(6, 8, phase)
    assert torch.equal(masks.sum(0), torch.ones(6, 8))
    assert masks.sum((1, 2)).tolist() == [12, 24, 12]
    shifted = camera.bayer_masks(8, 10, 0)[:, phase // 2 :, phase % 2 :]
    assert torch.equal(masks, shifted[:, :6, :8])


@pytest.mark.parametrize("phase", range(4))
@pytest.mark.parametrize("name", camera.DEMOSAICERS)
def test_demosaicing_is_exact_where_nothing_has_to_be_guessed(name: str, phase: int) -> None:
    demosaic = camera.DEMOSAICERS[name]
    masks = camera.bayer_masks(24, 26, phase)

    def error(scene: Tensor) -> Tensor:
        return (demosaic((scene * masks).sum(1), masks) - scene).abs()

    colours = torch.tensor([0.3, 0.5, 0.2])[None, :, None, None].expand(1, 3, 24, 26)
    assert error(colours).max() < 1e-5
    ramp = 0.1 + 0.02 * torch.arange(26.0) + 0.01 * torch.arange(24.0)[:, None]
    inner = (..., slice(4, -4), slice(4, -4))  # a mirror image of a ramp is none
    assert error(ramp.expand(1, 3, 24, 26))[inner].max() < 1e-5
    if name != "constant_hue":  # which holds ratios of colours, not colours, for linear
        assert error(colours + ramp * torch.tensor([0.5, 1.0, 1.5])[:, None, None])[inner].max() < 1e-5


@pytest.mark.parametrize("name", camera.DEMOSAICERS)
def test_demosaicing_leaves_what_was_measured(name: str) -> None:
    masks = camera.bayer_masks(32, 32, 1)
    mosaic = 0.4 + 0.1 * torch.randn(2, 32, 32, generator=seeded())
    mosaic = mosaic.clamp(0.2, 0.6)  # ratios of colours are bounded
    full = camera.DEMOSAICERS[name](mosaic, masks)
    assert torch.allclose((full * masks).sum(1), mosaic, atol=1e-6)
    assert not torch.allclose(full[:, 0], mosaic)


# Denoising ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", camera.DENOISERS)
def test_denoising_keeps_constants_and_the_more_it_does_the_less_noise_is_left(name: str) -> None:
    remove = camera.DENOISERS[name]
    flat = torch.full((1, 24, 24), 7.5)
    assert torch.allclose(remove(flat, 2.0), flat, atol=1e-5)
    noise = 20 + torch.randn(1, 64, 64, generator=seeded(1))
    weak, strong = (float(remove(noise, strength).std()) for strength in (0.4, 2.0))
    assert strong < weak < 1.02 * float(noise.std())
    assert strong < 0.6
    assert abs(float(remove(noise, 2.0).mean() - noise.mean())) < 0.02


@pytest.mark.parametrize("name", ["bilateral", "non_local", "wavelet", "diffusion", "dct", "guided"])
def test_denoisers_that_look_at_the_picture_keep_an_edge(name: str) -> None:
    edge = torch.zeros(1, 24, 24)
    edge[..., 12:] = 60.0  # times the noise
    assert (camera.DENOISERS[name](edge, 1.0) - edge).abs().max() < 5
    assert (camera.denoise_gaussian(edge, 1.0) - edge).abs().max() > 10


# Tone, sharpening, size ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", camera.TONES)
def test_tones_rise_from_black_to_white(name: str) -> None:
    x = torch.linspace(0, 1, 4097)
    for draw in range(20):
        y = camera.TONES[name](x, torch.rand(6, generator=seeded(draw)))
        assert abs(float(y[0])) < 1e-6
        assert float(y[-1]) == pytest.approx(1, abs=1e-5)
        assert (y.diff() > -1e-6).all()


def test_srgb_is_the_standards() -> None:
    values = camera.tone_srgb(torch.tensor([0.0, 0.002, 0.18, 0.5]), ANY_SHAPE)
    assert torch.allclose(values, torch.tensor([0.0, 0.02584, 0.46136, 0.73536]), atol=1e-5)


def test_sharpening_adds_the_same_to_every_channel_and_nothing_to_flat_parts() -> None:
    picture = torch.rand(1, 3, 24, 24, generator=seeded(2))
    added = camera.sharpen(picture, 1.0, 0.8) - picture
    assert torch.allclose(added[:, 0], added[:, 1], atol=1e-6)
    assert float(camera.sharpen(picture, 1.0, 0.8).var()) > float(picture.var())
    flat = torch.full((1, 3, 16, 16), 0.4)
    assert torch.allclose(camera.sharpen(flat, 1.0, 1.5), flat, atol=1e-6)


@pytest.mark.parametrize("kernel", ["area", "bilinear", "bicubic"])
def test_resizing_keeps_constants(kernel: str) -> None:
    flat = torch.full((1, 3, 40, 40), 0.37)
    for side in (20, 33) if kernel == "area" else (20, 33, 40, 77):
        resized = camera.resize(flat, side, side, kernel)
        assert resized.shape == (1, 3, side, side)
        assert torch.allclose(resized, torch.full_like(resized, 0.37), atol=1e-5)


def test_luma_is_that_of_bt_601() -> None:
    assert camera.luma(torch.eye(3)[:, :, None, None])[:, 0, 0].tolist() == pytest.approx([0.299, 0.587, 0.114])
    assert sum(camera.LUMA) == pytest.approx(1)


def test_patches_at_the_border_are_means_of_what_is_there() -> None:
    values = torch.rand(2, 3, 20, 17, generator=seeded(5))
    expected = functional.avg_pool2d(values, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(denoising.patch_mean(values), expected, atol=1e-6)
