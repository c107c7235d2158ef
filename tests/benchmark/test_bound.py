"""The van Trees bound of the genome `paper`: its law against the simulator, its slopes, and what it comes to."""

from __future__ import annotations

import numpy as np
import torch

from noisediag.benchmark import bound
from noisediag.genome import paper

COARSE = 16  # bins that are counted
BORDER = 4  # px that the zero padding of the last noise reaches


def test_the_law_of_values_is_that_of_the_simulator() -> None:
    generator = torch.Generator().manual_seed(1)
    for strengths in paper.sample(3, generator):
        probability, _ = bound.value_law(strengths.double().numpy())
        np.testing.assert_allclose(probability.sum(1), 1, atol=1e-9)
        for place in (0, 13, 40, 64):
            clean = torch.full((1, 300, 300), place / 64)
            noisy = paper.corrupt(clean, strengths[None], generator)[0, BORDER:-BORDER, BORDER:-BORDER]
            inside = noisy.double().numpy().ravel().clip(1e-9, 1 - 1e-9)
            counted = np.histogram(inside, bins=COARSE, range=(0, 1))[0]
            expected = probability[place].reshape(COARSE, -1).sum(1) * inside.size
            # The last noise is shared by neighbours: counts vary up to three times as much as of independent pixels.
            assert (np.abs(counted - expected) < 4 * 3 * np.sqrt(expected + 1)).all()


def test_slopes_are_those_of_the_law() -> None:
    strengths = np.array([0.25, 0.15, 0.15, 0.22, 0.13, 0.1])
    _, slopes = bound.value_law(strengths)
    for number in range(5):
        step = np.zeros(6)
        step[number] = 1e-6
        difference = (bound.value_law(strengths + step)[0] - bound.value_law(strengths - step)[0]) / 2e-6
        assert np.abs(slopes[number] - difference).max() < 1e-3 * np.abs(difference).max()


def test_what_the_bound_comes_to() -> None:
    """R2 0.997 of a picture of 256 x 256 px, poisson 0.99 (NOISE.md, section 4); less with fewer pixels."""
    levels = np.zeros((2, bound.LEVELS))
    levels[0, 3:60] = 256**2 / 57
    levels[1] = levels[0] / 100
    error = bound.least_errors(levels, seed=0, genomes=50)
    spread = paper.sample(20_000, torch.Generator().manual_seed(0)).double().numpy()
    r2 = 1 - error.mean(1) / spread.var()
    assert abs(r2[0] - 0.997) < 0.002
    assert 0.85 < r2[1] < 0.95
    of_outputs = 1 - error[0] / spread.var(0)
    assert abs(of_outputs[paper.NAMES.index("poisson")] - 0.99) < 0.005
    assert of_outputs.argmin() in (paper.NAMES.index("poisson"), paper.NAMES.index("normal"))


def test_a_picture_that_is_black_tells_nothing_of_light() -> None:
    """Whole counts are no noise where nothing is lit, so that the prior alone is left of them, shared with `normal`."""
    dark = bound.levels_of(np.zeros((64, 64)))[None]
    grey = bound.levels_of(np.full((64, 64), 0.5))[None]
    poisson = paper.NAMES.index("poisson")
    errors = [bound.least_errors(one, seed=0, genomes=20)[0, poisson] for one in (dark, grey)]
    assert errors[0] > 5 * errors[1]
    assert dark.sum() == 64 * 64
