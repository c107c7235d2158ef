"""Conformal factors make intervals cover as often as they say."""

import pytest
import torch

from noisediag.cop.calibration import EVERYTHING
from noisediag.training.calibration import (
    ALARMS,
    MIN_CASES,
    calibrate,
    calibrate_alarm,
    calibrate_limit,
    conformal_quantile,
)


def test_intervals_that_are_too_narrow_are_stretched_to_cover() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(6_000, generator=generator)
    quantiles = torch.tensor([-0.5, 0.0, 1.0]).expand(6_000, 3)
    factors = calibrate(quantiles[:3_000], truth[:3_000], ["one"] * 3_000)
    low, high = factors["one"]
    assert factors[EVERYTHING] == factors["one"]
    inside = (truth[3_000:] >= -0.5 * low) & (truth[3_000:] <= high)
    assert abs(float(inside.float().mean()) - 0.9) < 4 * (0.09 / 3_000) ** 0.5 * 2**0.5
    assert abs(low - 2 * 1.645) < 0.3
    assert abs(high - 1.645) < 0.15


def test_each_group_is_stretched_by_its_own_errors() -> None:
    """A group with three times the errors gets three times the factors, and covers alike; one factor would not."""
    generator = torch.Generator().manual_seed(3)
    groups = ["calm", "wild"] * 4_000
    truth = torch.randn(8_000, generator=generator) * torch.tensor([1.0, 3.0]).repeat(4_000)
    factors = calibrate(torch.tensor([-1.0, 0.0, 1.0]).expand(8_000, 3), truth, groups)
    assert set(factors) == {EVERYTHING, "calm", "wild"}
    for side in (0, 1):
        assert factors["calm"][side] == pytest.approx(1.645, rel=0.1)
        assert factors["wild"][side] == pytest.approx(3 * 1.645, rel=0.1)
        assert factors["calm"][side] < factors[EVERYTHING][side] < factors["wild"][side]
    limits = calibrate_limit(torch.zeros(8_000), truth, groups)
    assert limits["wild"] > 2 * limits["calm"]


@pytest.mark.parametrize(("count", "rank"), [(99, 95), (60, 58), (20, 20), (19, 19), (5, 5), (1_000, 951)])
def test_the_conformal_quantile_has_the_rank_that_counts_the_next_case(count: int, rank: int) -> None:
    """ceil((count + 1) * 0.95): the plain 95 % quantile of 60 cases, the 57th, is exceeded in 6.6 % of further ones."""
    scores = torch.arange(1.0, count + 1)[torch.randperm(count, generator=torch.Generator().manual_seed(count))]
    assert float(conformal_quantile(scores, 0.05)) == rank


def test_few_cases_still_give_the_coverage_that_is_promised() -> None:
    """Over many calibrations with MIN_CASES each, a further case is above the limit in at most 5 %."""
    sets, generator = 4_000, torch.Generator().manual_seed(4)
    scores, further = torch.rand(sets, MIN_CASES, generator=generator), torch.rand(sets, 25, generator=generator)
    limits = torch.stack([conformal_quantile(one, 0.05) for one in scores])
    above = float((further > limits[:, None]).float().mean())
    expected = 1 - 58 / (MIN_CASES + 1)  # 4.9 %; 57 / 61 would leave 6.6 %
    # the variance over the sets is that of a Beta(58, 3), and that of 25 cases
    spread = (58 * 3 / (61**2 * 62) + expected * (1 - expected) / 25) ** 0.5
    assert abs(above - expected) < 4 * spread / sets**0.5


def test_small_groups_have_no_factors_of_their_own() -> None:
    truth = torch.linspace(-1, 1, 100)
    factors = calibrate(torch.tensor([-1.0, 0.0, 1.0]).expand(100, 3), truth, ["few"] * 10 + ["many"] * 90)
    assert set(factors) == {EVERYTHING, "many"}


def test_a_limit_is_moved_until_it_holds() -> None:
    truth = torch.randn(4_000, generator=torch.Generator().manual_seed(1))
    shift = calibrate_limit(torch.zeros(4_000), truth, ["one"] * 4_000)["one"]
    assert abs(shift - 1.645) < 0.1


def test_without_a_case_the_predicted_quantiles_stand() -> None:
    assert calibrate(torch.zeros(0, 3), torch.zeros(0), []) == {EVERYTHING: (1.0, 1.0)}
    assert calibrate_limit(torch.zeros(0), torch.zeros(0), []) == {EVERYTHING: 0.0}


def test_few_clean_pictures_raise_an_alarm() -> None:
    logits = torch.randn(8_000, generator=torch.Generator().manual_seed(2))
    shift = calibrate_alarm(logits[:4_000])
    assert float((logits[4_000:] > shift).float().mean()) < ALARMS + 4 * (ALARMS / 4_000) ** 0.5
    assert calibrate_alarm(logits - 100) == 0.0  # where nothing is mistaken, an even chance is enough
    assert calibrate_alarm(torch.zeros(0)) == 0.0
