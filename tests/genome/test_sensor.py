"""The simulator's physics by moments: every tolerance follows from the number of samples."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest
import torch
from torch import Tensor

from noisediag.genome import correlation, sensor
from noisediag.genome.parameters import parameter
from noisediag.genome.sensor import SensorNoise

SIDE = 256
WIDE_CLIP = {"black_clip": -100.0, "white_clip": 100.0}
LEVELS = (0.02, 0.2, 0.5, 0.9)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, **terms: float) -> SensorNoise:
    return SensorNoise(*(torch.full((count,), float(terms.get(entry.name, 0))) for entry in fields(SensorNoise)))


def flats(*levels: float, side: int = SIDE) -> Tensor:
    return torch.tensor(levels)[:, None, None].expand(-1, side, side).contiguous()


def check_variance(residual: Tensor, expected: Tensor) -> None:
    """Each picture's variance within 5 standard errors of `expected`; the fourth moment gives the standard error."""
    for values, target in zip(residual.double().flatten(1), expected.double(), strict=True):
        centred = values - values.mean()
        variance = centred.square().mean()
        error = (centred.square().var() / len(values)).sqrt()
        assert abs(float(variance - target)) < 5 * float(error), (float(variance), float(target), float(error))


@pytest.mark.parametrize(
    "terms",
    [
        {"read_noise": 0.03},
        {"shot_gain": 0.05},
        {"shot_gain": 1e-6},
        {"multiplicative": 0.3},
        {"shot_gain": 0.01, "multiplicative": 0.2},
        {"shot_gain": 0.02, "read_noise": 0.02, "multiplicative": 0.1},
        {"read_noise": 0.03, "quantisation": 0.03},
        {"shot_gain": 0.01, "read_noise": 0.03, "multiplicative": 0.1, "quantisation": 0.05},
    ],
)
def test_the_variance_of_the_pixel_noise_follows_the_formula(terms: dict[str, float]) -> None:
    clean, law = flats(*LEVELS), noise(len(LEVELS), **terms)
    image = sensor.corrupt(clean, law, generator(), **WIDE_CLIP).image
    residual = image - clean
    expected = law.variance(torch.tensor(LEVELS))
    check_variance(residual, expected)
    assert torch.all(residual.mean((1, 2)).abs() < 5 * (expected / SIDE**2).sqrt() + 1e-6)


def test_sigma_is_the_root_of_the_formula_and_broadcasts() -> None:
    law = noise(1, shot_gain=0.01, read_noise=0.02, multiplicative=0.1, quantisation=0.03)
    x = torch.tensor([[[-0.1, 0.0], [0.5, 1.0]]])
    expected = 0.01 * x.clamp(min=0) + 0.02**2 + 0.1**2 * x**2 + 0.03**2 / 12
    torch.testing.assert_close(law.variance(x), expected)
    torch.testing.assert_close(law.sigma(x) ** 2, expected)
    torch.testing.assert_close(law.variance(x, quantised=False), expected - 0.03**2 / 12)


def test_electrons_are_whole_and_the_gain_is_gamma() -> None:
    electrons = sensor.corrupt(flats(0.3), noise(1, shot_gain=0.05), generator(), **WIDE_CLIP).image / 0.05
    torch.testing.assert_close(electrons, electrons.round(), rtol=0, atol=1e-4)
    deviation, size = 0.4, SIDE**2
    gain = sensor.corrupt(flats(1.0), noise(1, multiplicative=deviation), generator(1), **WIDE_CLIP).image.double()
    assert gain.min() > 0
    skew = float((((gain - 1) / deviation) ** 3).mean())
    assert skew == pytest.approx(2 * deviation, abs=5 * math.sqrt(40 / size))  # a gamma's skewness is twice its SD


def test_a_signal_below_black_carries_no_shot_noise() -> None:
    clean = flats(-0.05)
    image = sensor.corrupt(clean, noise(1, shot_gain=0.01), generator(), **WIDE_CLIP).image
    torch.testing.assert_close(image, clean)


@pytest.mark.parametrize("rho", [0.5, 1.0, 1.7])
def test_correlation_keeps_sigma_and_leaves_the_kernels_autocorrelation(rho: float) -> None:
    side = 512
    law = noise(1, shot_gain=0.01, read_noise=0.03, correlation=rho)
    x = torch.linspace(0.05, 0.9, side).expand(1, side, side).contiguous()
    unit = ((sensor.corrupt(x, law, generator(), **WIDE_CLIP).image - x) / law.sigma(x))[0].double()
    expected = correlation.autocorrelation(rho, 4)
    # the standard error of a lag, from Bartlett's sum over all lags of the squared autocorrelation
    spread = math.sqrt(2 * (2 * torch.from_numpy(expected).square().sum()) * 2 / side**2)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (3, 0)):
        measured = float((unit[down:, right:] * unit[: side - down, : side - right]).mean())
        assert measured == pytest.approx(expected[down, right], abs=5 * spread)
    if rho >= 1:  # sampled finely enough for the continuous formula
        assert expected[0, 1] == pytest.approx(math.exp(-1 / (4 * rho**2)), abs=0.01)


def test_correlated_noise_is_as_strong_at_the_border() -> None:
    count = 400
    law = noise(count, read_noise=0.05, correlation=1.5)
    image = sensor.corrupt(torch.full((count, 24, 24), 0.5), law, generator(), **WIDE_CLIP).image - 0.5
    border = torch.cat([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], dim=1) / 0.05
    per_picture = border.square().mean(1)
    assert float(per_picture.mean()) == pytest.approx(1, abs=5 * float(per_picture.std()) / math.sqrt(count))


def test_row_and_column_offsets_are_shared_along_their_line() -> None:
    count = 40
    law = noise(count, row_noise=0.02, column_noise=0.01)
    residual = sensor.corrupt(torch.full((count, SIDE, SIDE), 0.5), law, generator(), **WIDE_CLIP).image - 0.5
    rows, columns = residual.mean(2), residual.mean(1)
    torch.testing.assert_close(
        residual, rows[:, :, None] + columns[:, None, :] - residual.mean((1, 2))[:, None, None], rtol=0, atol=1e-6
    )
    for lines, expected in ((rows, 0.02), (columns, 0.01)):
        assert float(lines.var(1).mean().sqrt()) == pytest.approx(expected, rel=5 / math.sqrt(2 * count * SIDE))


def test_impulses_are_black_or_white_and_the_realised_share_counts_the_visible_ones() -> None:
    share, salt, size = 0.05, 0.3, SIDE**2
    clean = flats(0.5, 1.0)
    noisy = sensor.corrupt(clean, noise(2, impulse=share, salt_share=salt), generator())
    white, black = (noisy.image[0] == 1).double().mean(), (noisy.image[0] == 0).double().mean()
    assert float(white) == pytest.approx(share * salt, abs=5 * math.sqrt(share * salt / size))
    assert float(black) == pytest.approx(share * (1 - salt), abs=5 * math.sqrt(share / size))
    assert float(noisy.impulse_share[0]) == pytest.approx(float(white + black), abs=1e-6)
    # on white, only the black ones are seen
    assert float(noisy.impulse_share[1]) == pytest.approx(float((noisy.image[1] == 0).double().mean()), abs=1e-6)


def test_impulses_hidden_in_the_noise_are_not_counted() -> None:
    noisy = sensor.corrupt(flats(0.5), noise(1, read_noise=0.3, impulse=0.1, salt_share=0.5), generator())
    assert float(noisy.impulse_share) == 0  # 0.5 is less than two sigma away


def test_quantisation_comes_last_and_fits_the_container() -> None:
    step, container = 0.0123, 1 / 4095
    clean = torch.rand(1, SIDE, SIDE, generator=generator(5))
    law = noise(1, read_noise=0.05, row_noise=0.02, quantisation=step, correlation=1.0)
    image = sensor.corrupt(clean, law, generator()).image
    codes = image / step
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)
    assert 0 <= image.min() < image.max() <= 1
    stored = sensor.corrupt(clean, law, generator(), container_step=container).image
    torch.testing.assert_close(stored, (image / container).round() * container, rtol=0, atol=1e-6)
    assert len(stored.unique()) == len(image.unique())
    bare = sensor.corrupt(clean, noise(1), generator(), container_step=container).image
    assert float((bare - clean).abs().max()) <= container / 2 + 1e-6


def test_every_level_of_a_step_that_divides_the_scale_is_there() -> None:
    ramp = torch.linspace(0, 1, 256 * 256).reshape(1, 256, 256)
    image = sensor.corrupt(ramp, noise(1, quantisation=1 / 255), generator()).image
    assert len(image.unique()) == 256
    assert image.max() == pytest.approx(1, abs=1e-6)


def test_clipping_follows_the_pedestal_of_each_picture() -> None:
    clean, law = flats(0.0, 0.0, 1.0), noise(3, read_noise=0.1)
    image = sensor.corrupt(clean, law, generator(), black_clip=torch.tensor([-0.05, 0.0, 0.0])).image
    assert image[0].min() == pytest.approx(-0.05)
    assert image[1].min() == 0
    assert image[2].max() == 1


def test_the_input_is_not_changed_and_a_seed_gives_the_same_bytes() -> None:
    clean = torch.rand(8, 64, 64, generator=generator(3))
    before = clean.clone()
    law = sensor.sample("wide", 8, generator(4))
    first, second = (sensor.corrupt(clean, law, generator(9), container_step=1 / 65535) for _ in range(2))
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.impulse_share, second.impulse_share)
    assert torch.equal(clean, before)
    assert not torch.equal(first.image, sensor.corrupt(clean, law, generator(10), container_step=1 / 65535).image)


BENCHMARK = {
    "gaussian": {"read_noise": (1 / 255, 40 / 255)},
    "poisson-gauss": {"shot_gain": (1e-3, 0.05), "read_noise": (2e-3, 0.03)},
    "mixture": {
        "shot_gain": (5e-4, 0.05),
        "read_noise": (1e-3, 0.05),
        "multiplicative": (0.02, 0.3),
        "impulse": (1e-3, 0.1),
        "quantisation": (1 / 255, 0.06),
        "row_noise": (2e-3, 0.03),
        "column_noise": (2e-3, 0.03),
        "correlation": (0.5, 1.5),
    },
    "clean": {},
}


@pytest.mark.parametrize("law", BENCHMARK)
def test_a_set_keeps_to_its_ranges(law: str) -> None:
    drawn = sensor.sample(law, 2000, generator())
    for entry in fields(SensorNoise):
        values = getattr(drawn, entry.name)
        assert values.shape == (2000,)
        assert values.dtype == torch.float32
        if entry.name == "salt_share":
            continue
        there = values[values > 0]
        if entry.name not in BENCHMARK[law]:
            assert len(there) == 0
            continue
        low, high = BENCHMARK[law][entry.name]
        assert there.min() >= low * (1 - 1e-5)
        assert there.max() <= high * (1 + 1e-5)
        assert there.min() < low + 0.05 * (high - low)  # the range is used to its ends
        assert there.max() > low + 0.5 * (high - low)


def test_the_mixture_is_redrawn_until_sigma_is_in_range() -> None:
    n = 4000
    drawn = sensor.sample("mixture", n, generator())
    sigma = drawn.sigma(torch.full((n,), 0.5))
    assert sigma.min() >= 0.004
    assert sigma.max() <= 0.2
    for name in (
        "impulse",
        "row_noise",
        "column_noise",
        "correlation",
    ):  # not in sigma, so the redraw leaves them alone
        share = float((getattr(drawn, name) > 0).float().mean())
        assert share == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(n))
    assert torch.all((drawn.salt_share > 0) <= (drawn.impulse > 0))


def test_a_log_uniform_draw_is_uniform_in_the_logarithm() -> None:
    drawn = sensor.sample("poisson-gauss", 20_000, generator()).shot_gain.log()
    u = ((drawn - math.log(1e-3)) / math.log(50)).sort().values
    gap = float((u - torch.linspace(0, 1, len(u))).abs().max())
    assert gap < 1.95 / math.sqrt(len(u))  # Kolmogorov-Smirnov, one in a thousand


def test_the_training_law_covers_the_benchmark_and_stays_in_range() -> None:
    n = 20_000
    drawn = sensor.sample("wide", n, generator())
    sigma = drawn.sigma(torch.full((n,), 0.5))
    assert sigma.min() >= 2e-4
    assert sigma.max() <= 0.5 * (1 + 1e-5)  # speckle of one look
    for name, (low, high) in BENCHMARK["mixture"].items():
        values = getattr(drawn, name)
        there = values[values > 0]
        assert there.min() < low
        assert there.max() > high
        assert there.min() >= parameter(name).low * (1 - 1e-5)
        assert there.max() <= parameter(name).high * (1 + 1e-5)


def test_an_unknown_law_is_named() -> None:
    with pytest.raises(KeyError, match="poisson-gauss"):
        sensor.sample("snow", 1, generator())


def test_select_takes_pictures_of_the_batch() -> None:
    drawn = sensor.sample("mixture", 6, generator())
    some = drawn.select(torch.tensor([4, 1]))
    assert len(some) == 2
    assert torch.equal(some.read_noise, drawn.read_noise[[4, 1]])
