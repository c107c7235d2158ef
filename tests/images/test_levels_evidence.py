"""How much it takes to claim that a picture uses coarser levels than its container has: chance must not do it."""

from __future__ import annotations

import numpy as np
import pytest

from noisediag.images import code_step


def shown(levels: np.ndarray) -> np.ndarray:
    """A picture of `levels`, each in a hundred pixels."""
    return np.repeat(levels, 100).astype(np.uint16)


@pytest.mark.parametrize(("count", "step", "proven"), [(5, 16, False), (8, 16, True), (4, 100, False), (5, 100, True)])
def test_a_coarse_step_needs_as_many_levels_as_chance_would_not_place(count: int, step: int, proven: bool) -> None:
    """One chance in 10,000: ln(q) * (n - 2) against ln(span / q) + ln(1e4)."""
    assert code_step(shown(1000 + step * np.arange(count))) == (step if proven else 1)


def test_chance_does_not_make_a_lattice() -> None:
    """Few random codes, 500 times: at odds of 1 in 10,000 not one may look coarse."""
    rng = np.random.default_rng(0)
    pictures = [rng.choice(64, rng.integers(4, 7), replace=False) for _ in range(500)]
    assert sum(code_step(shown(np.sort(levels))) != 1 for levels in pictures) == 0


@pytest.mark.parametrize(("scatter", "step"), [(0, 4.5), (1, 1)])
def test_codes_that_scatter_more_than_rounding_does_are_no_lattice(scatter: int, step: float) -> None:
    """Rounding moves a level by half a code; one more code at every other level, by chance, is something else."""
    number = np.arange(60)
    levels = np.floor(4.5 * number + 0.5) + scatter * np.random.default_rng(0).integers(0, 2, number.size)
    assert code_step(shown(levels)) == pytest.approx(step, rel=1e-3)
