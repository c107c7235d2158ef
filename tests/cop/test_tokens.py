"""Tokens: energies of white and correlated noise, impulses, layout."""

import pytest
import torch

from noisediag.cop.tokens import BANDS, band_gains, dct_matrix, tokenize
from noisediag.genome import sensor


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_transform_is_orthonormal() -> None:
    matrix = dct_matrix()
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


def test_split_and_join_are_inverse() -> None:
    tokens = tokenize(torch.rand(2, 3, 32, 48, generator=seeded(4)))
    assert torch.equal(tokens.join(tokens.split(tokens.energy)), tokens.energy)
    assert tokens.grids == ((3, 4, 6), (3, 3, 5))


@pytest.mark.parametrize("shape", [(1, 1, 20, 32), (1, 1, 8, 32), (32, 32)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        tokenize(torch.zeros(shape))
