"""The truth of rendered pictures: planted noise comes back, training's labels agree, and their errors stay theirs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from noisediag.benchmark.rendered import cases as rendered_cases
from noisediag.benchmark.rendered.cases import GROUPS, RenderedCase, rendered_case
from noisediag.benchmark.rendered.truth import LEAST_SIGMA, flags_of, measured_truth
from noisediag.genome import rendered
from noisediag.genome.cases import SCENES, Job
from noisediag.genome.rendered import AREAS, CODES, LEVELS
from noisediag.images.image import LUMA
from noisediag.training import photographs
from noisediag.training import rendered as training_rendered

SIZE = 64
DRAWS = 8
SINGLE = 2e-5  # single against double precision: means over a few thousand pixels
# Pixels of one clean signal that lie on the border of two levels belong to either by chance in training's labels, and
# count with the mean of their variances here: up to 40 of the 256 pixels of a level.
TIES, TIES_MEAN = 0.1, 0.01


def noisy(repeats: int, side: int, sigma: float) -> np.ndarray:
    """Repeats of three equal ramps under white noise, independent in each channel, in codes that are not rounded."""
    clean = np.linspace(40, 200, side * side).reshape(side, side)
    return clean + sigma * np.random.default_rng(0).standard_normal((repeats, 3, side, side))


def test_planted_white_noise_comes_back() -> None:
    repeats, side, sigma = 24, 64, 3.0
    truth = measured_truth(noisy(repeats, side, sigma))
    count = (repeats - 1) * side * side  # independent residuals of a plane
    white = sigma / CODES
    luma = math.sqrt(sum(weight**2 for weight in LUMA.values()))
    np.testing.assert_allclose(truth.sigma[:3], white, rtol=5 / math.sqrt(2 * count / LEVELS))
    np.testing.assert_allclose(truth.sigma[3], luma * white, rtol=5 / math.sqrt(2 * count / LEVELS))
    assert np.abs(truth.lag1).max() < 5 / math.sqrt(count)
    assert np.abs(truth.channels).max() < 5 / math.sqrt(count)
    for place, side_px in enumerate(AREAS):
        expected = white / side_px
        np.testing.assert_allclose(truth.areas[:3, place], expected, rtol=5 * side_px / math.sqrt(2 * count))
    ramp = np.linspace(40, 200, side * side).reshape(LEVELS, -1).mean(axis=1) / CODES
    np.testing.assert_allclose(truth.signal[0], ramp, atol=white)
    assert truth.scored.all()


def test_correlation_of_pixels_and_of_channels_comes_back() -> None:
    generator = np.random.default_rng(1)
    white = generator.standard_normal((24, 2, 65, 64))
    first = (white[:, 0, 1:] + white[:, 0, :-1]) / math.sqrt(2)  # neighbours in a column share half of their variance
    second = white[:, 1, 1:]
    photographs_ = 100 + 4 * np.stack([first, (first + second) / math.sqrt(2), -first], axis=1)
    truth = measured_truth(photographs_)
    np.testing.assert_allclose(truth.lag1[0], [0, 0.5 * 63 / 64], atol=0.02)
    np.testing.assert_allclose(truth.channels, [math.sqrt(0.5), -math.sqrt(0.5), -1], atol=0.02)


def test_where_pixels_of_one_signal_lie_does_not_matter() -> None:
    generator = np.random.default_rng(2)
    picture = 100 + np.rint(2 * generator.standard_normal((6, 3, 32, 32)))
    place = generator.permutation(32 * 32)
    shuffled = picture.reshape(6, 3, -1)[..., place].reshape(picture.shape)
    one, other = measured_truth(picture), measured_truth(shuffled)
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-12)
    np.testing.assert_allclose(one.signal, other.signal, rtol=1e-12)


def test_levels_without_half_a_code_or_at_the_clip_are_not_scored() -> None:
    strong = measured_truth(noisy(24, 64, 0.6))
    weak = measured_truth(noisy(24, 64, 0.4))
    assert strong.scored[:3].all()
    assert not weak.scored.any()
    assert (weak.sigma < LEAST_SIGMA).all()
    dark = noisy(24, 64, 3.0)
    dark[..., :32, :] += 0.5 - dark[:, :, :32].mean(axis=0)  # the darker half of the ramp, at half a code
    assert measured_truth(dark).scored[0].tolist() == [False] * 8 + [True] * 8


def test_a_picture_without_noise_has_no_correlation() -> None:
    truth = measured_truth(np.full((4, 3, 16, 16), 100.0))
    assert not truth.scored.any()
    assert np.isnan(truth.lag1).all()
    assert np.isnan(truth.channels).all()
    assert (truth.sigma == 0).all()


def test_scales_between_are_neither_upscaled_nor_not() -> None:
    settings = rendered.sample_camera(torch.Generator().manual_seed(0))
    upscaled = [flags_of(replace(settings, scale=scale), 1.0)[2] for scale in (0.7, 1.0, 1.1, 1.5)]
    np.testing.assert_array_equal(upscaled, [0, 0, np.nan, 1])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[tuple[rendered.Measured, rendered.Camera]]:
    """Small photographs; what the genome measured of each is kept."""
    monkeypatch.setattr(rendered_cases, "PICTURE_PX", SIZE)
    monkeypatch.setattr(rendered_cases, "TRUTH_DRAWS", DRAWS)
    kept: list[tuple[rendered.Measured, rendered.Camera]] = []
    measure = rendered.measure

    def keeping(scene, settings, *arguments):
        kept.append((measure(scene, settings, *arguments), settings))
        return kept[-1][0]

    monkeypatch.setattr(rendered, "measure", keeping)
    return kept


def some_cases(draws: int = 4) -> list[RenderedCase]:
    jobs = [Job(group, SCENES, "0", None, None, range(draws)) for group in GROUPS]
    return [rendered_case(job, draw, 0) for job in jobs for draw in job.draws]


def test_training_labels_the_same_photographs_alike(small: list[tuple[rendered.Measured, rendered.Camera]]) -> None:
    ratios = []
    for case, (measured, settings) in zip(some_cases(8), small, strict=True):
        labels = photographs.labelled(measured, settings)
        truth = case.truth
        np.testing.assert_allclose(labels.signal[0], truth.signal, atol=SINGLE)
        np.testing.assert_allclose(labels.channels[0], np.nan_to_num(truth.channels), atol=SINGLE)
        np.testing.assert_allclose(labels.lag1[0], np.nan_to_num(truth.lag1), atol=SINGLE)
        total = labels.sigma[0].square().mean(-1, keepdim=True).sqrt()
        np.testing.assert_allclose(labels.areas[0] * total, truth.areas, rtol=1e-3, atol=SINGLE / CODES)
        np.testing.assert_array_equal(labels.flags[0], case.flags)
        scored = training_rendered.scored(labels)[0].numpy()
        assert (scored != truth.scored).mean() < 0.02
        both = scored & truth.scored
        ratios.append(np.abs(np.log(labels.sigma[0].numpy()[both] / truth.sigma[both])))
    ratio = np.concatenate(ratios)
    assert len(ratio) > 500
    assert ratio.max() < TIES
    assert ratio.mean() < TIES_MEAN


@pytest.mark.usefixtures("small")
def test_an_error_in_the_labels_of_training_does_not_move_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    before = some_cases(1)

    def wrong(measured, settings):
        labels = labelled(measured, settings)
        return replace(labels, sigma=2 * labels.sigma, lag1=-labels.lag1, flags=1 - labels.flags)

    labelled = photographs.labelled
    monkeypatch.setattr(photographs, "labelled", wrong)
    monkeypatch.setattr(training_rendered, "scored", lambda truth: truth.sigma < 0)
    # also where training and the genome measure
    curve = rendered._curve
    monkeypatch.setattr(rendered, "_curve", lambda *stack: tuple(2 * values for values in curve(*stack)))
    for old, new in zip(before, some_cases(1), strict=True):
        for name in ("signal", "sigma", "scored", "lag1", "areas", "channels"):
            np.testing.assert_array_equal(getattr(old.truth, name), getattr(new.truth, name))
        np.testing.assert_array_equal(old.flags, new.flags)
