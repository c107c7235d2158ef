"""Pictures at the ends of what numbers can be: told in words, or read as they are; nothing overflows on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noisediag.errors import UnreadableError, UnsupportedError
from noisediag.estimator import Estimator
from noisediag.images import from_array, missing_pixels, read

NOISE = np.random.default_rng(1).normal(100, 5, (64, 64))


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator(device="cpu")


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-42, 1e-310, 1e30, 2e36, 1e100, 1e300, 1.4e306, -1e36])
def test_sizes_beyond_single_precision_are_refused_in_words(
    tmp_path: Path, estimator: Estimator, kind: type, size: float
) -> None:
    with np.errstate(all="ignore"):
        values = (NOISE * size).astype(kind)
    if np.isinf(values).any():
        with pytest.raises(UnreadableError, match="holds a value"):
            estimator.estimate(from_array(values))
        return
    if not values.any():
        assert from_array(values).planes[0].white_dn == 1
        return
    with pytest.raises(UnsupportedError, match="bring them between"):
        from_array(values)
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(UnsupportedError, match="bring them between"):
        read(tmp_path / "a.npy")


@pytest.mark.parametrize("size", [1e-29, 1e-12, 1e12, 1e27])
def test_the_noise_is_the_same_at_every_size_that_is_read(estimator: Estimator, size: float) -> None:
    power = 2.0 ** np.rint(np.log2(size))
    plain, scaled = (estimator.estimate(from_array(NOISE * factor)).planes[-1] for factor in (1.0, power))
    assert scaled.effective_sigma == pytest.approx(plain.effective_sigma, rel=1e-3)


def test_a_white_that_is_given_has_the_same_limits(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NOISE)
    for white in (1e31, 1e300):
        with pytest.raises(UnsupportedError, match="bring them between"):
            read(tmp_path / "a.npy", white=white)


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "u4", "f2", "f4", "f8"])
@pytest.mark.parametrize("level", [0, 5, 100])
def test_equal_pixels_are_said_to_be_equal(estimator: Estimator, kind: str, level: int) -> None:
    footprint = estimator.estimate(from_array(np.full((48, 48), level, kind)))
    whole = footprint.planes[-1]
    assert whole.effective_sigma == 0
    assert "empty" in footprint.flags
    assert all(estimate.value is None for estimate in whole.parameters)
    assert any("all pixels are equal" in warning for warning in footprint.warnings)


def test_infinity_in_half_precision_is_missing() -> None:
    values = NOISE.astype(np.float16)
    values[3, 4] = np.inf
    missing = missing_pixels(from_array(values).planes[0], values)
    assert missing is not None
    assert np.argwhere(missing).tolist() == [[3, 4]]
