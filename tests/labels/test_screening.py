"""What two frames of one scene say of their noise, where nothing but the noise differs."""

from __future__ import annotations

import numpy as np
import pytest

from noisediag.labels.screening import look


def test_the_variance_of_flat_fields_has_no_bias() -> None:
    """A change of contrast is taken off only where it is no chance: fitted to the noise of a flat field, it is noise.

    In pictures of nine coarse blocks it would add a seventh to the variance. 400 pairs of 48 x 48 px put the error of
    the mean at sqrt(2 / 921,600) = 0.15 %; a few pairs look changed by chance all the same.
    """
    rng = np.random.default_rng(0)
    pairs = [100 + 5 * rng.standard_normal((2, 48, 48)) for _ in range(400)]
    variances = [look(first, second, black_dn=0, top_dn=255).variance for first, second in pairs]
    assert np.mean(variances) == pytest.approx(25, rel=0.03)


def test_a_change_of_contrast_is_taken_off() -> None:
    """Light that fades by a tenth is no noise."""
    rng = np.random.default_rng(1)
    scene = np.kron(rng.uniform(50, 200, (8, 8)), np.ones((16, 16)))
    first, second = (light * scene + 2 * rng.standard_normal(scene.shape) for light in (1.0, 0.9))
    assert look(first, second, black_dn=0, top_dn=255).variance == pytest.approx(4, rel=0.1)
