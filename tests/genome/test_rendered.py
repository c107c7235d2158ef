"""The simulated camera as a whole: what it draws, what it makes of a scene, and the truth it measures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from noisediag.genome import camera, rendered

CODE = 1 / rendered.CODES
RAW = rendered.Camera(  # noise straight on what the file holds
    shot_gain=0.004,
    read_noise=0.02,
    white_balance=(2.0, 1.5),
    demosaicer=None,
    second=None,
    mix=0.0,
    phase=0,
    denoiser=None,
    luma_strength=1.0,
    chroma_strength=1.0,
    blend=1.0,
    matrix=0.0,
    tone=None,
    shape=(0.5,) * 6,
    look=None,
    encoding=1.0,
    second_denoiser=None,
    denoiser_mix=0.0,
    sharpening=None,
    scale=1.0,
    kernel=None,
    gray=False,
    first_jpeg=None,
    jpeg=None,
    subsampled=False,
    offset=0,
)
PHOTO = replace(RAW, demosaicer="bilinear", tone="srgb")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scene_of(settings: rendered.Camera, size: int, *, low: float = 0.2, high: float = 0.7) -> Tensor:
    """One scene of vertical steps between `low` and `high`, the same in every colour."""
    side = rendered.scene_px(settings, size)
    levels = torch.linspace(low, high, 8)[(torch.arange(side) * 8 // side)]
    return levels.expand(1, 3, side, side)


# Cameras ------------------------------------------------------------------------------------------------------------


def test_held_out_stages_are_never_drawn_unless_asked_for_and_then_always() -> None:
    generator = seeded(1)
    known = [rendered.sample_camera(generator) for _ in range(400)]
    for settings in known:
        assert rendered.HELD_OUT["demosaicer"] not in (settings.demosaicer, settings.second)
        assert rendered.HELD_OUT["denoiser"] not in (settings.denoiser, settings.second_denoiser)
        assert settings.tone != rendered.HELD_OUT["tone"]
    for kind, names in (("demosaicer", camera.DEMOSAICERS), ("denoiser", camera.DENOISERS), ("tone", camera.TONES)):
        assert {getattr(settings, kind) for settings in known} == {*names, None} - {rendered.HELD_OUT[kind]}
    for _ in range(200):
        settings = rendered.sample_camera(generator, held_out=True)
        assert {kind: getattr(settings, kind) for kind in rendered.HELD_OUT} == rendered.HELD_OUT
        assert settings.second is settings.second_denoiser is settings.look is None
        assert settings.encoding == 1


def test_what_is_drawn_lies_in_its_range() -> None:
    generator = seeded(2)
    for number in range(400):
        settings = rendered.sample_camera(generator, held_out=number % 2 == 0)
        assert 0.5 <= settings.scale <= 2
        assert (settings.kernel is None) == (settings.scale == 1.0)
        assert not (settings.kernel == "area" and settings.scale > 1)
        assert settings.jpeg is None or 50 <= settings.jpeg <= 100
        assert settings.first_jpeg is None or settings.jpeg is not None
        assert 0 <= settings.offset < camera.BLOCK
        assert settings.processed == (settings.tone is not None or settings.jpeg is not None)


def test_the_same_generator_gives_the_same_camera_and_the_same_bytes() -> None:
    pairs = []
    for _ in range(2):
        generator = seeded(3)
        settings = rendered.sample_camera(generator, held_out=True)
        pairs.append((settings, rendered.measure(scene_of(settings, 40), settings, 40, 3, 2, generator)))
    assert pairs[0][0] == pairs[1][0]
    for name in ("pictures", "signal", "sigma", "lag1", "areas", "channels"):
        assert torch.equal(getattr(pairs[0][1], name), getattr(pairs[1][1], name))
    assert not torch.equal(pairs[0][1].pictures[:, 0], pairs[0][1].pictures[:, 1])


def test_demosaicing_in_another_encoding_keeps_the_signal_and_a_look_bends_it() -> None:
    settings = replace(PHOTO, shot_gain=1e-6, read_noise=1e-6)
    scene = scene_of(settings, 48)

    def taken(**changes: object) -> Tensor:
        return rendered.render(scene, replace(settings, **changes), 48, seeded(4))[0][..., 8:-8, 20:28]

    assert (taken() - taken(encoding=0.5)).abs().max() <= 6  # at edges alone
    assert (taken() - taken(encoding=0.5)).abs().median() <= 1
    assert (taken() - taken(look=(0.9, 0.5, 0.5, 0.5))).abs().median() > 3


# Pictures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", rendered.KERNELS)
@pytest.mark.parametrize("scale", [0.5, 0.77, 1.0, 1.3, 2.0])
def test_a_picture_has_the_size_that_was_asked_for_in_whole_codes(scale: float, kernel: str) -> None:
    if kernel == "area" and scale > 1:
        return  # an area reduces only
    settings = replace(PHOTO, scale=scale, kernel=None if scale == 1 else kernel, jpeg=80, offset=3)
    codes, stages = rendered.render(scene_of(settings, 42), settings, 42, seeded())
    assert codes.shape == (1, 3, 42, 42)
    assert torch.equal(codes, codes.round())
    assert codes.min() >= 0
    assert codes.max() <= rendered.CODES
    assert stages.shape[:2] == (2, 1)


def test_a_gray_picture_has_three_equal_channels() -> None:
    for quality in (None, 75):
        settings = replace(PHOTO, gray=True, jpeg=quality, subsampled=True)
        codes, _ = rendered.render(scene_of(settings, 32), settings, 32, seeded())
        assert torch.equal(codes[:, 0], codes[:, 1])
        assert torch.equal(codes[:, 0], codes[:, 2])


def test_the_blocks_of_a_cropped_jpeg_begin_elsewhere() -> None:
    scene = torch.full((20, 3, 64, 64), 0.4)
    whole, _ = rendered.render(scene, replace(PHOTO, jpeg=50, gray=True), 40, seeded())
    cropped, _ = rendered.render(scene, replace(PHOTO, jpeg=50, gray=True, offset=5), 40, seeded())
    steps = [codes[:, 0].diff(dim=2).abs().mean((0, 1)) for codes in (whole, cropped)]  # (39,) between columns
    places = [[float(step[start::8].mean()) for start in range(8)] for step in steps]
    assert places[0].index(max(places[0])) == 7
    assert places[1].index(max(places[1])) == 2  # five columns earlier


def test_scenes_in_colour_lie_between_black_and_white() -> None:
    gray = torch.rand(3, 20, 24, 24, generator=seeded(4))
    scenes = rendered.colourise(gray, seeded(5))
    assert scenes.shape == (20, 3, 24, 24)
    assert scenes.min() >= 0
    assert scenes.max() <= 1
    spread = (scenes.amax(1) - scenes.amin(1)).amax((1, 2))
    assert (spread > 0.05).sum() > 10  # most have colour


# The truth ----------------------------------------------------------------------------------------------------------

DRAWS = 24
SIZE = 96
PIXELS = DRAWS * SIZE**2


@pytest.fixture(scope="module")
def unprocessed() -> rendered.Measured:
    return rendered.measure(scene_of(RAW, SIZE), RAW, SIZE, DRAWS, 2, seeded(6))


def test_a_camera_without_processing_has_the_sensors_noise(unprocessed: rendered.Measured) -> None:
    expected = (RAW.shot_gain * unprocessed.signal + RAW.read_noise**2 + CODE**2 / 12).sqrt()
    tolerance = 5 / math.sqrt(2 * PIXELS / rendered.LEVELS)
    assert (unprocessed.sigma[:, :3] / expected[:, :3] - 1).abs().max() < tolerance
    # luma: the colours' noise is independent, each with its weight
    weight = math.sqrt(sum(w**2 for w in camera.LUMA))
    assert (unprocessed.sigma[:, 3] / (weight * expected[:, 3]) - 1).abs().max() < tolerance
    assert (unprocessed.signal.diff() >= 0).all()
    clean = scene_of(RAW, SIZE)[..., rendered.MARGIN : -rendered.MARGIN, rendered.MARGIN : -rendered.MARGIN]
    assert torch.allclose(unprocessed.signal.mean(-1), clean.mean(), atol=5 * 0.06 / math.sqrt(PIXELS))


def test_unprocessed_noise_is_white_independent_and_not_denoised(unprocessed: rendered.Measured) -> None:
    # Poisson noise at 8 levels: the mean square of the product is a little above that of one sigma
    tolerance = 6 / math.sqrt(PIXELS)
    assert unprocessed.lag1.abs().max() < tolerance
    assert unprocessed.channels.abs().max() < tolerance
    for number, area in enumerate(rendered.AREAS):
        error = (unprocessed.areas[..., number] * area - 1).abs().max()
        assert error < 5 * area / math.sqrt(2 * PIXELS)
    assert unprocessed.denoised.tolist() == [0]
    assert unprocessed.pictures.shape == (1, 2, 3, SIZE, SIZE)


def test_bilinear_demosaicing_correlates_as_its_kernel_says() -> None:
    """White noise on the mosaic of a flat scene, weak, so that the tone curve is straight where it lies.

    Red and blue: each place of the 2 x 2 cell is a mean of 1, 2, 2 or 4 measured pixels, so variances of 1, 1/2, 1/2
    and 1/4: mean 9/16. Neighbours in a row share: 1/2 from a measured pixel to the mean of two, 1/4 from the mean of
    two (vertically) to that of four: (1/2 + 1/4) / 2 over 9/16 = 2/3. Green: variances 1 and 1/4: mean 5/8;
    a measured pixel lends 1/4: lag 1/4 / (5/8) = 2/5.
    """
    settings = replace(PHOTO, shot_gain=1e-6, read_noise=0.02, white_balance=(1.0, 1.0))
    flat = torch.full((1, 3, rendered.scene_px(settings, SIZE), rendered.scene_px(settings, SIZE)), 0.4)
    measured = rendered.measure(flat, settings, SIZE, DRAWS, 1, seeded(7))
    slope = float(camera.tone_srgb(torch.tensor([0.41, 0.39]), torch.zeros(5)).diff().abs()) / 0.02
    independent = PIXELS / 4  # measured pixels of red or blue
    for plane, share, lag in ((0, 9 / 16, 2 / 3), (1, 5 / 8, 2 / 5), (2, 9 / 16, 2 / 3)):
        variance = share * (slope * settings.read_noise) ** 2
        rounded = variance + CODE**2 / 12  # which is white
        expected = [lag * variance / rounded] * 2
        assert measured.lag1[0, plane].tolist() == pytest.approx(expected, abs=5 / math.sqrt(2 * independent))
        sigma = float(measured.sigma[0, plane].square().mean().sqrt())
        assert sigma == pytest.approx(math.sqrt(rounded), rel=5 / math.sqrt(2 * independent))
    assert measured.channels.abs().max() < 5 / math.sqrt(independent)


def test_what_a_denoiser_takes_decides_what_it_is_called() -> None:
    scene = scene_of(PHOTO, 48)

    def label(**changes: object) -> float:
        settings = replace(PHOTO, **changes)  # type: ignore[arg-type]
        return float(rendered.measure(scene, settings, 48, 6, 1, seeded(8)).denoised[0])

    strong = {"denoiser": "gaussian", "luma_strength": 2.0, "chroma_strength": 3.0}
    assert label(**strong) == 1
    assert label() == 0
    assert math.isnan(label(**{**strong, "blend": 0.05}))


def test_each_further_stage_shows_in_what_is_measured() -> None:

    def measured(**changes: object) -> rendered.Measured:
        settings = replace(PHOTO, **changes)  # type: ignore[arg-type]
        return rendered.measure(scene_of(settings, 64), settings, 64, 8, 1, seeded(9))

    plain = measured()
    smooth = measured(denoiser="gaussian", luma_strength=1.5, chroma_strength=1.5)
    assert (smooth.sigma[:, 3] < 0.7 * plain.sigma[:, 3]).all()
    assert (smooth.lag1[:, 3] > plain.lag1[:, 3]).all()
    assert (measured(sharpening=(1.0, 1.0)).sigma[:, 3] > 1.1 * plain.sigma[:, 3]).all()
    assert (measured(scale=2.0, kernel="bilinear").lag1[:, 3] > plain.lag1[:, 3] + 0.1).all()
    assert (measured(matrix=1.0).channels < plain.channels - 0.05).all()  # its negative entries
    assert (measured(jpeg=50).sigma[:, 3] < plain.sigma[:, 3]).all()
