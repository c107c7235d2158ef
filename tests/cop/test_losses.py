"""Training objectives against hand-computed cases."""

import math

import torch

from noisediag.cop.losses import info_nce, log_ratio, pinball


def test_contrast_is_low_where_views_agree_and_chance_where_all_is_equal() -> None:
    views = torch.eye(8)
    assert float(info_nce(views, views)) < 1e-3
    same = torch.ones(8, 1)
    assert math.isclose(float(info_nce(same, same)), math.log(15), rel_tol=1e-5)


def test_the_same_scene_under_another_genome_is_a_negative() -> None:
    first, second = torch.eye(4), torch.eye(4).roll(1, 0)  # embeds the scene, not the genome
    assert float(info_nce(first, second)) > math.log(7)


def test_log_ratio_forgives_below_the_floor() -> None:
    assert float(log_ratio(torch.tensor(0.0), torch.tensor(0.0), 1e-3)) == 0
    assert float(log_ratio(torch.tensor(-1.0), torch.tensor(0.0), 1e-3)) == 0
    assert math.isclose(float(log_ratio(torch.tensor(2.0), torch.tensor(1.0), 0.0)), math.log(2), rel_tol=1e-6)


def test_pinball_is_smallest_at_the_quantile() -> None:
    sample = torch.randn(20_001, generator=torch.Generator().manual_seed(0))
    candidates = torch.linspace(-3, 3, 121)
    losses = torch.stack([pinball(sample - c, torch.tensor(0.95)).mean() for c in candidates])
    assert abs(float(candidates[losses.argmin()]) - float(sample.quantile(0.95))) < 0.06
