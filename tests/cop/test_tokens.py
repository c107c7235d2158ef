"""Tokens: energies of white and correlated noise, impulses, layout."""

from dataclasses import fields

import pytest
import torch

from noisediag.cop.tokens import BANDS, SPARSE_SHARE, Tokens, band_energies, band_gains, block_transform, tokenize
from noisediag.genome import sensor


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_transform_is_orthonormal() -> None:
    matrix = block_transform()
    assert torch.allclose(matrix @ matrix.T, torch.eye(64, dtype=torch.float64), atol=1e-12)


def test_white_noise_gives_its_variance_in_every_band() -> None:
    sigma, side, count = 0.02, 256, 4
    tokens = tokenize(0.5 + sigma * torch.randn(count, 1, side, side, generator=seeded(1)))
    energy = tokens.energy.mean((0, 1)) / sigma**2
    # the smallest band has 3 coefficients; half of the overlapping grids' blocks are counted as independent
    blocks = count * (side // 8) ** 2
    assert (energy - 1).abs().max() < 5 * (2 / (3 * blocks)) ** 0.5


@pytest.mark.parametrize("rho", [0.5, 1.0, 1.5])
def test_correlated_noise_fills_the_bands_as_predicted(rho: float) -> None:
    count, side, sigma = 8, 128, 0.01
    generator = seeded(2)
    flat = torch.full((count, side, side), 0.5)
    noise = sensor.sample("clean", count, generator)
    noise.read_noise.fill_(sigma)
    noise.correlation.fill_(rho)
    tokens = tokenize(sensor.corrupt(flat, noise, generator).image[:, None])
    measured = tokens.energy.mean((0, 1)) / sigma**2
    expected = band_gains((rho,))[0]
    seen = expected > 1e-4  # below, the rounding of float32 shows
    assert seen.sum() >= BANDS - 3
    assert (measured / expected - 1).abs()[seen].max() < 0.1


def test_impulses_are_found_and_kept_out_of_the_energies() -> None:
    generator = seeded(3)
    sigma, share = 0.02, 0.05
    picture = 0.5 + sigma * torch.randn(2, 1, 128, 128, generator=generator)
    struck = torch.rand(picture.shape, generator=generator) < share
    salt = torch.rand(picture.shape, generator=generator) < 0.5
    tokens = tokenize(torch.where(struck, salt.float(), picture))
    found = (tokens.low_impulses + tokens.high_impulses).mean()
    assert abs(found - struck.float().mean()) < 0.05 * share
    assert tokens.energy.mean() < 1.1 * sigma**2


def test_moments_and_logarithms_are_those_of_white_noise() -> None:
    sigma, side, count = 0.02, 256, 4
    tokens = tokenize(0.5 + sigma * torch.randn(count, 1, side, side, generator=seeded(5)))
    second, third, fourth = (tokens.moments.mean((0, 1)) / torch.tensor([sigma**2, sigma**3, sigma**4])).tolist()
    ring = 1 + 1 / 8  # a pixel minus the mean of its 8 neighbours
    pixels = count * side**2 / 4  # neighbours share pixels, so fewer are independent
    assert second == pytest.approx(ring, rel=5 * (2 / pixels) ** 0.5)
    assert abs(third) < 5 * (15 * ring**3 / pixels) ** 0.5
    assert fourth == pytest.approx(3 * ring**2, rel=5 * (96 / 9 / pixels) ** 0.5)
    # E ln z^2 = -1.2704, its variance pi^2 / 2
    logs = tokens.log_energy.mean((0, 1)) - 2 * torch.tensor(sigma).log()
    assert (logs + 1.2704).abs().max() < 5 * (4.93 / (count * side**2 / 64 * 10)) ** 0.5


def test_few_and_many_extreme_pixels_are_judged_alike() -> None:
    generator = seeded(6)
    calm = (0.5 + 0.02 * torch.randn(1, 1, 64, 64, generator=generator)).clamp(0.4, 0.6)
    struck = torch.where(torch.rand(calm.shape, generator=generator) < 0.02, 0.0, calm)
    busy = torch.where(torch.rand(calm.shape, generator=generator) < 0.5, 1.0, 0.5)  # many pixels at its highest value
    alone = tokenize(struck)
    together = tokenize(torch.cat([struck, *[busy] * 3]))
    assert (struck == 0).float().mean() < SPARSE_SHARE < (busy == 1).float().mean()
    assert torch.equal(alone.low_impulses[0], together.low_impulses[0])
    assert torch.allclose(alone.energy[0], together.energy[0], rtol=1e-4, atol=1e-9)


def test_a_limit_that_many_pixels_share_is_a_clip() -> None:
    picture = 0.5 + 0.2 * torch.randn(1, 1, 64, 64, generator=seeded(7))
    free, cut = tokenize(picture), tokenize(picture.clamp(max=0.7))
    assert not free.high_clip.any()
    assert cut.high_clip.all()
    assert not cut.low_clip.any()


def test_split_and_join_are_inverse() -> None:
    tokens = tokenize(torch.rand(2, 3, 32, 48, generator=seeded(4)))
    assert torch.equal(tokens.join(tokens.split(tokens.energy)), tokens.energy)
    assert tokens.grids == ((3, 4, 6), (3, 3, 5))


@pytest.mark.parametrize("shape", [(1, 1, 20, 32), (1, 1, 8, 32), (32, 32)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        tokenize(torch.zeros(shape))


def test_one_grid_is_the_first_of_two() -> None:
    bags = torch.rand(2, 1, 32, 40, generator=torch.Generator().manual_seed(3))
    one, two = tokenize(bags, grids=1), tokenize(bags).first_grid()
    assert one.grids == two.grids
    for entry in fields(Tokens):
        if entry.name not in ("grids", "left_out"):
            assert torch.equal(getattr(one, entry.name), getattr(two, entry.name)), entry.name


def test_energies_alone_are_those_of_the_tokens() -> None:
    bags = torch.rand(2, 2, 32, 40, generator=seeded(9))
    bags[0, 0, 20, 20] = 3.0  # an impulse, replaced in both
    assert torch.allclose(band_energies(bags), tokenize(bags, grids=1).energy, rtol=1e-4, atol=1e-6)
