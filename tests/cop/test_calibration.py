"""Conformal factors make intervals cover as often as they say."""

import torch

from noisediag.cop.calibration import ALARMS, EVERYTHING, calibrate, calibrate_alarm, calibrate_limit, group


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


def test_small_groups_have_no_factors_of_their_own() -> None:
    truth = torch.linspace(-1, 1, 100)
    factors = calibrate(torch.tensor([-1.0, 0.0, 1.0]).expand(100, 3), truth, ["few"] * 10 + ["many"] * 90)
    assert set(factors) == {EVERYTHING, "many"}


def test_groups_tell_size_range_and_smoothness() -> None:
    kinds = {group(n, s, t) for n in (100, 2_000, 50_000) for s in (0.01, 0.5) for t in (0.1, 0.9)}
    assert len(kinds) == 12


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
