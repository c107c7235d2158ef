"""Training objectives against hand-computed cases."""

import math

import torch

from noisediag.training.losses import info_nce, info_nce_near, log_ratio, pinball


def test_contrast_is_low_where_views_agree_and_chance_where_all_is_equal() -> None:
    views = torch.eye(8)
    assert float(info_nce(views, views)) < 1e-3
    same = torch.ones(8, 1)
    assert math.isclose(float(info_nce(same, same)), math.log(15), rel_tol=1e-5)


def test_the_same_scene_under_another_genome_is_a_negative() -> None:
    first, second = torch.eye(4), torch.eye(4).roll(1, 0)  # embeds the scene, not the genome
    assert float(info_nce(first, second)) > math.log(7)


def near(place: torch.Tensor, genome: torch.Tensor, variance: float | torch.Tensor = 0.0) -> float:
    """`info_nce_near` where all places are as open, and none is rare."""
    return float(info_nce_near(place, torch.zeros_like(place) + variance, torch.zeros(len(place)), genome))


def test_contrast_of_near_genomes_is_chance_where_all_lie_together_and_low_where_kin_do() -> None:
    genome = torch.arange(4).repeat(3)
    together = torch.zeros(12, 2)
    assert math.isclose(near(together, genome), math.log(10), rel_tol=1e-5)
    apart = 10 * torch.eye(4)[genome]
    assert near(apart, genome) < 1e-3
    assert near(10 * torch.eye(4).roll(1, 0).repeat_interleave(3, 0), genome) > 10


def test_the_likeliest_places_of_near_genomes_are_the_genomes() -> None:
    """Of all maps of a genome of one dimension the loss is lowest at the one whose distances are likelihoods."""
    generator = torch.Generator().manual_seed(0)
    middle = 3 * torch.rand(64, generator=generator)
    genome = torch.arange(64).repeat(8)
    value = middle[genome] + 0.3 * torch.randn(512, generator=generator)
    spread = 0.3 * math.sqrt(2)
    losses = {s: near(s * value[:, None] / spread, genome) for s in (0.5, 0.7, 1.0, 1.5, 2.0)}
    assert min(losses, key=losses.__getitem__) == 1.0
    bent = value.sign() * value.abs().sqrt()
    best_bent = min(near(s * bent[:, None], genome) for s in (1.0, 2.0, 3.0, 4.0, 5.0))
    assert best_bent > losses[1.0]


def test_the_likeliest_variance_of_a_place_is_that_of_its_error() -> None:
    generator = torch.Generator().manual_seed(1)
    middle = 20 * torch.rand(64, generator=generator)
    genome = torch.arange(64).repeat(8)
    sharp = torch.rand(512, generator=generator) < 0.5
    error = torch.where(sharp, 0.0, 3.0)  # SD; of the spread of kin it is 1 / sqrt(2) on either side
    value = middle[genome] + (0.5 + error.square()).sqrt() * torch.randn(512, generator=generator)
    losses = {
        s: near(value[:, None], genome, torch.where(sharp, 0.0, s**2)[:, None]) for s in (0.0, 1.5, 3.0, 6.0, 12.0)
    }
    assert min(losses, key=losses.__getitem__) == 3.0


def test_log_ratio_forgives_below_the_floor() -> None:
    assert float(log_ratio(torch.tensor(0.0), torch.tensor(0.0), 1e-3)) == 0
    assert float(log_ratio(torch.tensor(-1.0), torch.tensor(0.0), 1e-3)) == 0
    assert math.isclose(float(log_ratio(torch.tensor(2.0), torch.tensor(1.0), 0.0)), math.log(2), rel_tol=1e-6)


def test_pinball_is_smallest_at_the_quantile() -> None:
    sample = torch.randn(20_001, generator=torch.Generator().manual_seed(0))
    candidates = torch.linspace(-3, 3, 121)
    losses = torch.stack([pinball(sample - c, torch.tensor(0.95)).mean() for c in candidates])
    assert abs(float(candidates[losses.argmin()]) - float(sample.quantile(0.95))) < 0.06
