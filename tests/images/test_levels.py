from __future__ import annotations

import numpy as np
import pytest

from noisediag.images import code_step
from noisediag.images.levels import effective_bits, power_of_two_above


def picture(rng: np.random.Generator, sigma: float, size: int = 128, flat: bool = False) -> np.ndarray:
    """Clean ramp or flat field in [0, 1] plus white noise, clipped, with a few per cent of salt and pepper."""
    clean = np.full((size, size), 0.4) if flat else np.linspace(0.1, 0.9, size)[None, :].repeat(size, axis=0)
    noisy = clean + sigma * rng.standard_normal((size, size))
    chance = rng.random((size, size))
    return np.clip(np.where(chance < 0.01, 0.0, np.where(chance > 0.99, 1.0, noisy)), 0, 1)


@pytest.mark.parametrize("q", [1 / 255, 0.0131, 0.031, 0.1])
@pytest.mark.parametrize("sigma_over_q", [0.5, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("store", ["uint16", "float32", "float64", "float32 of uint16"])
def test_step_of_a_quantised_picture_is_found_within_a_thousandth(
    rng: np.random.Generator, q: float, sigma_over_q: float, store: str
) -> None:
    levels = np.rint(picture(rng, sigma_over_q * q) / q) * q
    scale = 65535.0 if store == "uint16" else 1.0
    codes = np.rint(np.clip(levels, 0, 1) * 65535)
    values = {
        "uint16": codes.astype(np.uint16),
        "float32": levels.astype(np.float32),
        "float64": levels,
        "float32 of uint16": (codes / 65535).astype(np.float32),
    }[store]
    assert code_step(values) == pytest.approx(q * scale, rel=1e-3)


@pytest.mark.parametrize("shift", [0, 1, 4, 6, 8])
def test_left_shifted_codes(rng: np.random.Generator, shift: int) -> None:
    depth = 16 - shift
    codes = np.rint(picture(rng, 0.02) * (2**depth - 1)).astype(np.uint16) << shift
    assert code_step(codes) == 2**shift


def test_a_plain_container_is_never_called_coarse(rng: np.random.Generator) -> None:
    """The evidence rule allows 1 % at most; with a fixed seed none of 200 may be."""
    for _ in range(50):
        sigma = float(np.exp(rng.uniform(np.log(0.003), np.log(0.15))))
        noisy = picture(rng, sigma, size=int(rng.choice([32, 64, 128])), flat=bool(rng.random() < 0.5))
        assert code_step(np.rint(noisy * 65535).astype(np.uint16)) == 1
        assert code_step(np.rint(noisy * 255).astype(np.uint8)) == 1
        assert code_step(noisy) is None
        assert code_step(noisy.astype(np.float32)) is None


def test_gamma_mapped_codes_have_no_coarse_lattice(rng: np.random.Generator) -> None:
    eight_bit = np.rint(picture(rng, 0.03) * 255) / 255
    assert code_step(np.rint(eight_bit**2.2 * 65535).astype(np.uint16)) == 1


def test_three_levels_prove_nothing() -> None:
    poster = np.repeat(np.array([0, 16000, 32000], np.uint16), 1000)
    assert code_step(poster) == 1


def test_extreme_levels_and_a_few_defects_may_lie_off_the_lattice(rng: np.random.Generator) -> None:
    codes = np.rint(picture(rng, 0.02) * 4095).astype(np.uint16) * 16
    codes[codes == codes.max()] = 65535
    codes[:3, :3] += 5  # 9 of 16384 interpolated pixels
    assert code_step(codes) == 16


def test_integer_valued_floats_and_signed_integers(rng: np.random.Generator) -> None:
    noise = np.rint(rng.standard_normal((64, 64)) * 40)
    assert code_step(noise) == 1
    assert code_step(noise.astype(np.int16) * np.int16(4)) == 4
    assert code_step(noise.astype(np.int32) * 256) == 256


def test_step_is_independent_of_an_offset(rng: np.random.Generator) -> None:
    codes = np.rint(np.rint(picture(rng, 0.05) / 0.02) * 0.02 * 60000) + 777
    assert code_step(codes.astype(np.uint16)) == pytest.approx(1200, rel=1e-3)


def test_nothing_to_measure() -> None:
    assert code_step(np.zeros(0)) is None
    assert code_step(np.full(9, np.nan)) is None
    assert code_step(np.full((8, 8), 0.3)) is None


@pytest.mark.parametrize(
    ("white", "step", "bits"), [(65535, 1, 16), (65535, 16, 12), (65535, 64, 10), (16383, None, 14)]
)
def test_effective_bits(white: float, step: float | None, bits: int) -> None:
    assert effective_bits(white, step) == bits


@pytest.mark.parametrize(("maximum", "white"), [(0.7, 1), (1.0, 1), (1.01, 2), (4000, 4096), (0.0, 1)])
def test_power_of_two_above(maximum: float, white: float) -> None:
    assert power_of_two_above(maximum) == white


def test_a_handful_of_levels_is_no_lattice_by_chance(rng: np.random.Generator) -> None:
    """Any few codes lie on some coarse lattice; called coarse, an almost empty channel would have no noise to find."""
    coarse = 0
    for _ in range(200):
        codes = rng.choice(np.arange(240), size=int(rng.integers(5, 10)), replace=False).astype(np.uint16)
        coarse += code_step(rng.choice(codes, 4000)) != 1
    assert coarse <= 2


@pytest.mark.parametrize("step", [2.3, 2.5, 3.3, 4.7])
def test_twenty_rounded_levels_show_their_step(rng: np.random.Generator, step: float) -> None:
    levels = np.rint(step * np.arange(20)).astype(np.uint16)
    assert code_step(rng.choice(levels, 4000)) == pytest.approx(step, rel=0.01)


@pytest.mark.parametrize(("count", "step", "proven"), [(5, 16, False), (8, 16, True), (4, 100, False), (5, 100, True)])
def test_a_coarse_step_needs_more_levels_than_chance_would_place(count: int, step: int, proven: bool) -> None:
    """One chance in 10,000: ln(q) * (n - 2) against ln(span / q) + ln(1e4)."""
    assert code_step(np.repeat(1000 + step * np.arange(count), 100)) == (step if proven else 1)


@pytest.mark.parametrize(("scatter", "step"), [(0, 4.5), (1, 1)])
def test_codes_that_scatter_more_than_rounding_does_are_no_lattice(scatter: int, step: float) -> None:
    """Rounding moves a level by half a code; one more code at every other level, by chance, is something else."""
    number = np.arange(60)
    levels = np.floor(4.5 * number + 0.5) + scatter * np.random.default_rng(0).integers(0, 2, number.size)
    assert code_step(np.repeat(levels, 100).astype(np.uint16)) == pytest.approx(step, rel=1e-3)
