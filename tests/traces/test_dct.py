"""The one DCT is orthonormal, and the one that JPEG means."""

from __future__ import annotations

import numpy as np
import pytest

from noisediag.traces.dct import dct_matrix


@pytest.mark.parametrize("n", [4, 8])
def test_it_is_orthonormal_and_is_its_definition(n: int) -> None:
    matrix = dct_matrix(n)
    assert matrix.dtype == np.float64
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(n), atol=1e-14)
    for frequency in range(n):
        wave = np.cos(np.pi * frequency * (2 * np.arange(n) + 1) / (2 * n))
        np.testing.assert_allclose(matrix[frequency], wave / np.linalg.norm(wave), atol=1e-14)


def test_a_flat_block_has_a_mean_and_nothing_else() -> None:
    matrix = dct_matrix(8)
    coefficients = matrix @ np.full((8, 8), 3.0) @ matrix.T
    assert coefficients[0, 0] == pytest.approx(24)  # 8 times the mean, as in ITU-T T.81
    assert np.abs(coefficients.ravel()[1:]).max() < 1e-12
