"""The closed forms of the curve network; what needs training is tested with the shipped checkpoint."""

import pytest
import torch
from torch.nn import functional

from noisediag.cop import checkpoint
from noisediag.cop.closed_forms import (
    law_variance,
    nothing_but_white_noise,
    quantisation_ripple,
    replaced_tails,
    shared_offset_variance,
    solve_law,
    visible_share,
)
from noisediag.cop.curve import CurveConfig, CurveNet
from noisediag.cop.layers import neighbourhood
from noisediag.cop.models import SensorModel
from noisediag.cop.tokens import tokenize


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def network() -> CurveNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CurveNet(CurveConfig(width=16, heads=2)).eval()


def ramp_with_noise(generator: torch.Generator) -> torch.Tensor:
    ramp = torch.linspace(0.1, 0.9, 128).expand(2, 1, 128, 128)
    return ramp + (0.01 * ramp + 4e-4).sqrt() * torch.randn(ramp.shape, generator=generator)


def test_an_exact_law_is_recovered() -> None:
    x = torch.linspace(0.05, 0.95, 200).expand(3, -1)
    law = torch.tensor([[0.01, 4e-4, 0.0], [0.002, 1e-5, 0.01], [0.0, 1e-3, 0.0]], dtype=torch.float64)
    basis = torch.stack([x, torch.ones_like(x), x.square()], -1)
    target = law_variance(law, torch.zeros(3, dtype=torch.float64), x)
    found, _ = solve_law(basis, target, torch.ones_like(x), torch.zeros(3, 3), torch.zeros(3, dtype=torch.bool))
    curve = law_variance(found, torch.zeros(3, dtype=torch.float64), x)
    assert (curve / target - 1).abs().max() < 0.02  # the ridge that keeps flat fields solvable


def test_coefficients_are_not_negative_unless_the_offset_is_unknown() -> None:
    x = torch.linspace(0.2, 0.9, 200)[None].repeat(2, 1)
    target = 0.01 * x.double() - 1e-3
    basis = torch.stack([x, torch.ones_like(x), x.square()], -1)
    free = torch.tensor([False, True])
    found, _ = solve_law(basis, target, torch.ones_like(x), torch.zeros(2, 3), free)
    assert (found[0] >= 0).all()
    assert found[1, 1] < 0
    assert abs(float(found[1, 0]) / 0.01 - 1) < 0.1


def test_rescaling_the_picture_rescales_the_curve(network: CurveNet) -> None:
    picture = ramp_with_noise(seeded(1))
    none, known = torch.zeros(2), torch.zeros(2, dtype=torch.bool)
    whole = network(tokenize(picture), none, known)[-1]
    quarter = network(tokenize(picture / 4), none, known)[-1]
    x = torch.linspace(0.1, 0.9, 5).expand(2, -1)
    assert (quarter.variance(x / 4) * 16 / whole.variance(x) - 1).abs().max() < 1e-3


def test_a_shared_offset_is_estimated_without_bias() -> None:
    generator = seeded(2)
    count, sigma, row = 64, 0.02, 0.01
    picture = 0.5 + sigma * torch.randn(count, 1, 64, 64, generator=generator)
    picture = picture + row * torch.randn(count, 1, 64, 1, generator=generator)
    tokens = tokenize(picture)
    weight = torch.ones_like(tokens.mean)
    share = torch.full((count, 7), 1 / 7)
    rows = shared_offset_variance(tokens, tokens.rows, weight, share, across=3)
    columns = shared_offset_variance(tokens, tokens.columns, weight, share, across=2)
    # 64 rows a picture, 56 independent frequencies: the relative error of a variance of n samples is sqrt(2 / n)
    assert abs(float(rows.mean()) / row**2 - 1) < 5 * (2 / (count * 56)) ** 0.5
    assert abs(float(columns.mean())) < 0.01 * row**2 * 5


def test_flat_blocks_without_energy_give_finite_numbers(network: CurveNet) -> None:
    flat = torch.full((1, 1, 64, 64), 0.25)
    result = network(tokenize(flat), torch.zeros(1), torch.zeros(1, dtype=torch.bool))[-1]
    assert torch.isfinite(result.law).all()
    assert torch.isfinite(result.context).all()


def test_where_no_law_fits_the_answer_is_zero_and_not_negative() -> None:
    x = torch.full((1, 50), 0.5)
    basis = torch.stack([x, torch.ones_like(x), x.square()], -1)
    nothing = torch.zeros(1, 3), torch.zeros(1, dtype=torch.bool)
    found, _ = solve_law(basis, torch.full((1, 50), -1e-3), torch.ones_like(x), *nothing)
    assert torch.equal(found, torch.zeros(1, 3, dtype=torch.float64))


def test_the_neighbourhood_is_the_mean_of_the_blocks_around() -> None:
    grid = torch.rand(2, 3, 5, 4, 6, generator=seeded(3))
    planes = grid.permute(0, 1, 4, 2, 3).flatten(0, 1)
    expected = torch.nn.functional.avg_pool2d(planes, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(neighbourhood(grid), expected.unflatten(0, (2, 3)).permute(0, 1, 3, 4, 2), atol=1e-6)


def test_impulses_count_where_they_can_be_seen() -> None:
    isolated = torch.tensor([[0.1, 0.1, 0.0, 0.0]])
    visible = torch.tensor([[True, True, True, False]])
    gate = torch.tensor([[1.0, 1.0, 0.0, 1.0]])  # the third block is not trusted
    assert float(visible_share(isolated, gate, visible)) == pytest.approx(0.1 * 0.75, rel=1e-4)


def test_the_spectrum_of_white_noise_is_flat_and_correlation_tilts_it(network: CurveNet) -> None:
    white = 0.5 + 0.02 * torch.randn(2, 1, 128, 128, generator=seeded(4))
    soft = torch.nn.functional.avg_pool2d(white, 3, 1, 1)
    spectra = []
    for picture in (white, soft):
        tokens = tokenize(picture)
        expected = network.expect(tokens, torch.zeros(2, 1), None, torch.zeros(2, dtype=torch.bool))
        spectra.append(network.spectrum(tokens, expected, torch.ones_like(tokens.energy[..., :12])))
    blocks = 2 * (128 // 8) ** 2
    assert spectra[0].abs().max() < 5 * (2 / (3 * blocks / 2)) ** 0.5
    assert (spectra[1][:, 4] - spectra[1][:, 11] > 1.0).all()


def test_the_quietest_blocks_are_those_of_the_noise_and_clipped_ones_do_not_count(network: CurveNet) -> None:
    generator = seeded(8)
    picture = 0.5 + 0.01 * torch.randn(1, 1, 256, 256, generator=generator)
    alone = network.quiet(tokenize(picture))
    picture[..., 128:] += torch.rand(256, 128, generator=generator) - 0.5  # content in one half
    picture[..., 96:128] = 2.0  # and white beside it
    assert torch.allclose(network.quiet(tokenize(picture.clamp(0, 1))), alone, atol=1.2)  # content is 6 above
    assert (alone.exp() < 1.1e-4).all()  # quantiles below the middle, of means over few coefficients
    nothing = network.quiet(tokenize(torch.full((1, 1, 64, 64), 0.5)))
    assert torch.isfinite(nothing).all()


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.5])
def test_rounded_noise_has_the_variance_that_its_phase_gives(phase: float) -> None:
    step, sigma, count = 0.1, 0.05, 2_000_000
    noise = sigma * torch.randn(count, generator=seeded(5), dtype=torch.float64)
    rounded = step * ((phase * step + noise) / step).round()
    variance, known = torch.tensor([[sigma**2]]), torch.zeros(1, 1)
    ripple = quantisation_ripple(variance, torch.tensor([[step]]), torch.tensor([[phase * step]]), known)
    expected = sigma**2 + step**2 / 12 + float(ripple)
    assert float(rounded.var()) == pytest.approx(expected, rel=5 * (2 / count) ** 0.5)
    assert phase == 0.3 or abs(float(ripple)) > 0.02 * expected


def test_the_ripple_is_seen_through_uncertain_means() -> None:
    step, sigma, error = torch.tensor([[0.1]]), 0.05, 0.008
    distance = 0.2 + error * torch.randn(1, 400_000, generator=seeded(7))
    variance = torch.full_like(distance, sigma**2)
    seen = quantisation_ripple(variance, step, distance, torch.full_like(distance, error**2)).mean()
    exact = quantisation_ripple(variance[:, :1], step, torch.tensor([[0.2]]), torch.zeros(1, 1))
    assert float(seen) == pytest.approx(float(exact), rel=2e-3)
    assert float(quantisation_ripple(variance, step, distance, 0 * distance).mean()) > 0.95 * float(exact)  # both < 0


def test_extremes_of_coarsely_rounded_noise_are_given_back() -> None:
    step, sigma = 0.02, 0.01
    picture = 0.5 + step * (sigma / step * torch.randn(4, 1, 256, 256, generator=seeded(6))).round()
    tokens = tokenize(picture)
    assert (tokens.low_impulses + tokens.high_impulses).mean() > 1e-5  # taken for impulses
    variance = picture.var()
    counts = torch.tensor([3, 4, 3, 4, 3, 5, 5, 6, 7, 11, 6, 6]) / 63
    energy = (tokens.energy[..., :12] @ counts).mean()
    back = replaced_tails(tokens, variance.expand_as(tokens.mean)).mean()
    few = 5 * (2 / picture.numel()) ** 0.5
    assert float(energy) < (1 - few) * float(variance)
    assert float(energy + back) == pytest.approx(float(variance), rel=few)
    struck = picture.clone()
    struck[:, :, ::50, ::50] = 0.0
    assert replaced_tails(tokenize(struck), variance.expand_as(tokens.mean)).mean() <= back


def _flat_field(side: int, sigma: float, step: float, level: float, seed: int) -> torch.Tensor:
    field = level + sigma * torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(seed))
    return (field / step).round() * step if step else field


@pytest.mark.parametrize(
    ("sigma", "step"), [(0.02, 0.0), (0.5 / 255, 1 / 255), (0.7 / 255, 1 / 255), (4 / 255, 1 / 255)]
)
def test_a_flat_field_under_white_noise_is_known_as_such(sigma: float, step: float) -> None:
    fields = torch.cat([_flat_field(256, sigma, step, (100 + number / 6) / 255, number) for number in range(6)])
    assert nothing_but_white_noise(tokenize(fields).first_grid()).all()


def test_what_is_not_flat_or_not_white_or_not_even_is_no_flat_field() -> None:
    field = _flat_field(256, 0.02, 0.0, 0.4, 1)
    ramp = torch.linspace(0, 0.01, 256)
    smooth = functional.avg_pool2d(functional.pad(field, (1, 1, 1, 1), mode="reflect"), 3, 1)
    rows = field + 0.005 * torch.randn(1, 1, 256, 1, generator=torch.Generator().manual_seed(2))
    uneven = 0.4 + (field - 0.4) * torch.linspace(0.7, 1.3, 256)
    cut = field.clamp(min=0.38)
    small = field[..., :48, :48]
    texture = field + 0.02 * torch.sign(torch.sin(torch.arange(256) * 2.2))
    constant = torch.full_like(field, 0.4)
    for other in (field + ramp, smooth, rows, uneven, cut, small, texture, constant):
        assert not nothing_but_white_noise(tokenize(other).first_grid()).any()


def test_a_flat_field_at_half_a_step_is_read_near_the_limit() -> None:
    """The variance of its codes depends on where the level lies between two of them, by up to 2.4 %."""
    model = SensorModel.load(checkpoint.read(checkpoint.shipped("sensor")))
    step, side = 1 / 255, 512
    sigma = step / 2
    total = (sigma**2 + step**2 / 12) ** 0.5
    errors = []
    for number in range(8):
        level = (100 + number / 8) * step
        tokens = tokenize(_flat_field(side, sigma, step, level, number))
        with torch.inference_mode():
            last = model.curve(tokens, torch.tensor([step]), torch.tensor([False]))[-1]
        errors.append(0.5 * float((last.variance(torch.tensor([[level]])) / total**2).log()))
    limit = 1 / (2 * side**2) ** 0.5
    assert float(torch.tensor(errors).square().mean().sqrt()) < 2.0 * limit
