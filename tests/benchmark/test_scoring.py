import math

import numpy as np
import pytest

from noisediag.benchmark import scoring
from noisediag.genome.parameters import NAMES
from noisediag.genome.truth import histogram, truth

ABSENT = dict.fromkeys(NAMES, 0.0)


def _values(**given: float) -> tuple[float, ...]:
    return tuple((ABSENT | given).values())


def _scored(clean: np.ndarray, *, container_step: float = 1 / 65535, **given: float) -> dict[str, bool]:
    sheet = truth(_values(**given), histogram(clean), shape=clean.shape, container_step=container_step)
    return dict(zip(NAMES, sheet.scored, strict=True))


def test_histogram_keeps_levels_of_8_bits_and_tells_clipped_pixels_apart() -> None:
    levels = histogram(np.array([[0.0, 51 / 255, 51 / 255, 1.0]]))
    np.testing.assert_allclose(levels.signal, [0, 0.2, 1])
    np.testing.assert_allclose(levels.weight, [0.25, 0.5, 0.25])
    assert levels.inside.tolist() == [False, True, False]


def test_a_pedestal_puts_black_inside_the_clip() -> None:
    levels = histogram(np.array([[0.0, 0.5, 1.0]]), low=-0.1)
    assert levels.inside.tolist() == [True, True, False]


def test_curve_error_is_the_weighted_mean_of_log_ratios() -> None:
    clean = np.array([[0.25] * 3 + [0.75]])
    sheet = truth(_values(read_noise=0.01), histogram(clean), shape=(1, 4), container_step=1e-6)
    assert scoring.curve_error(np.array([0.01, 0.02]), sheet) == pytest.approx(math.log(2) / 4)
    assert scoring.curve_error(np.array([0.005, 0.01]), sheet) == pytest.approx(3 * math.log(2) / 4)
    assert scoring.curve_error(np.array([0.0, 0.01]), sheet) == math.inf


def test_bins_at_the_clip_and_below_half_a_step_are_left_out() -> None:
    clean = np.array([[0.0, 0.1, 0.5, 0.5]])
    # sigma(0.1) = 0.03 < q/2 = 0.05 <= sigma(0.5) = 0.0587
    sheet = truth(_values(shot_gain=0.0052, quantisation=0.1), histogram(clean), shape=(1, 4), container_step=1e-6)
    assert sheet.sigma == pytest.approx([math.sqrt(0.0026 + 0.01 / 12)])
    assert sheet.left_out == pytest.approx(0.5)
    assert sheet.weight.sum() == pytest.approx(1)
    assert sheet.effective_sigma == pytest.approx(math.sqrt((0.0052 * 1.1 / 4) + 0.01 / 12))


def test_floors_of_the_terms_need_a_tenth_of_the_variance_on_a_tenth_of_the_pixels() -> None:
    clean = np.full((10, 10), 0.1)
    clean[0, :9] = 0.9
    # at 0.1 the shot term is 5 % of the variance, at 0.9 it is 32 %: on 9 % of the pixels, then on 10 %
    noise = {"read_noise": math.sqrt(1.9e-3), "shot_gain": 1e-3}
    assert not _scored(clean, **noise)["shot_gain"]
    clean[0, 9] = 0.9
    assert _scored(clean, **noise)["shot_gain"]
    assert _scored(clean, **noise)["read_noise"]


def test_floors_of_lines_impulses_correlation_and_quantisation() -> None:
    clean = np.full((100, 400), 0.5)
    sigma = {"read_noise": 0.1}
    # a row of 400 pixels: 3 sigma/sqrt(400) = 0.015; a column of 100: 3 sigma/sqrt(100) = 0.03
    assert _scored(clean, row_noise=0.0151, column_noise=0.0299, **sigma)["row_noise"]
    assert not _scored(clean, row_noise=0.0149, column_noise=0.0299, **sigma)["row_noise"]
    assert not _scored(clean, column_noise=0.0299, **sigma)["column_noise"]
    assert _scored(clean, column_noise=0.0301, **sigma)["column_noise"]
    assert not _scored(clean, impulse=19 / 40000, **sigma)["impulse"]
    assert _scored(clean, impulse=20 / 40000, **sigma)["impulse"]
    assert not _scored(clean, correlation=0.49, **sigma)["correlation"]
    assert _scored(clean, correlation=0.5, **sigma)["correlation"]
    assert not _scored(clean, quantisation=0.019, container_step=0.01, **sigma)["quantisation"]
    assert _scored(clean, quantisation=0.02, container_step=0.01, **sigma)["quantisation"]


def test_absent_noise_is_never_scored() -> None:
    assert not any(_scored(np.full((64, 64), 0.5)).values())


def test_quantile_interpolates_and_takes_infinities() -> None:
    values = np.array([3.0, 1.0, 2.0, 4.0])
    assert scoring.quantile(values, 0.5) == 2.5
    assert scoring.quantile(values, 0.9) == pytest.approx(np.quantile(values, 0.9))
    assert scoring.quantile(np.array([1.0, math.inf, math.inf]), 0.5) == math.inf
    assert scoring.quantile(np.array([1.0, 2.0, math.inf]), 0.5) == 2.0
    assert math.isnan(scoring.quantile(np.array([]), 0.5))


def test_r2_by_hand() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    assert scoring.r2(truth, truth) == 1
    assert scoring.r2(np.full(3, 2.0), truth) == 0
    assert scoring.r2(np.array([1.0, 2.0, 4.0]), truth) == pytest.approx(0.5)


def test_roc_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    score = np.array([0.1, 0.4, 0.35, 0.8, 0.4])
    positive = np.array([False, False, True, True, True])
    pairs = [(p > n) + 0.5 * (p == n) for p in score[positive] for n in score[~positive]]
    assert scoring.roc_auc(score, positive) == pytest.approx(np.mean(pairs))
    assert scoring.roc_auc(np.zeros(5), positive) == 0.5
    assert math.isnan(scoring.roc_auc(score, np.ones(5, dtype=bool)))


def test_coverage_resamples_whole_pictures() -> None:
    # ten pictures of which each is covered wholly or not at all: the bootstrap must see ten, not a thousand
    covered = np.repeat(np.arange(10) < 9, 100)
    cover = scoring.coverage(covered, np.repeat(np.arange(10), 100), seed=0)
    assert cover.share == pytest.approx(0.9)
    assert cover.n == 1000
    assert cover.low <= 0.75
    assert cover.high == 1
