"""Masked pixels tell black and read noise; margins that are no such pixels tell nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from noisediag.images import read
from noisediag.images.masked import border

Writer = Callable[..., Path]
VISIBLE = (16, 24, 144, 216)  # top, left, bottom, right of a mosaic (144, 216)
NAMED = (50830, "I", 4, (0, 0, 144, 24), True)  # MaskedAreas: the left border


def mosaic(rng: np.random.Generator, black: float = 512, noise: float = 6) -> np.ndarray:
    """Masked at the top and at the left, light elsewhere."""
    values = black + noise * rng.standard_normal((144, 216))
    values[16:, 24:] += 900 + 30 * rng.standard_normal((128, 192))
    return np.rint(values).astype(np.uint16)


def test_margins_show_black_and_read_noise(rng: np.random.Generator) -> None:
    found = border(mosaic(rng), VISIBLE, (), (2, 2))
    assert found is not None
    np.testing.assert_allclose(found.mean_dn, 512, atol=1)
    np.testing.assert_allclose(found.noise_dn, 6, rtol=0.1)


def test_every_position_has_a_black_of_its_own_whatever_the_corner(rng: np.random.Generator) -> None:
    values = mosaic(rng)
    values[1::2] += 4
    values[:, 1::2] += 10
    expected = np.array([[512, 522], [516, 526]])
    for visible in (VISIBLE, (17, 24, 144, 216), (16, 25, 144, 216)):
        found = border(values, visible, (), (2, 2))
        assert found is not None
        turned = np.roll(expected, (-(visible[0] % 2), -(visible[1] % 2)), (0, 1))
        np.testing.assert_allclose(found.mean_dn, turned, atol=1)


@pytest.mark.parametrize("kind", ["padding", "picture", "gradient", "dark frame", "two levels"])
def test_a_margin_that_is_not_masked_tells_nothing(rng: np.random.Generator, kind: str) -> None:
    values = mosaic(rng)
    top, left = values[:16], values[16:, :24]
    if kind == "padding":
        top[:], left[:] = 0, 0
    elif kind == "picture":  # ordinary pixels beyond the crop
        top[:] = values[16:32]
        left[:] = values[16:, 24:48]
    elif kind == "gradient":
        top[:], left[:] = top + np.arange(216), left + np.arange(128)[:, None]
    elif kind == "dark frame":
        values[16:, 24:] = 512 + rng.integers(-9, 10, (128, 192))
    else:
        top += 40
    assert border(values, VISIBLE, (), (2, 2)) is None


@pytest.mark.parametrize(("stated", "used"), [(0, 512), (511, 511), (600, 512)])
def test_masked_pixels_overrule_a_black_that_they_contradict(
    write_dng: Writer, rng: np.random.Generator, stated: int, used: float
) -> None:
    path = write_dng(mosaic(rng), black=(stated,), active=VISIBLE, extra=(NAMED,))
    for plane in read(path).planes:
        assert plane.masked is not None
        assert plane.masked.contradicts == (stated != used)
        assert (plane.black_dn, plane.masked.stated_dn) == (pytest.approx(used, abs=1), stated)
        assert plane.masked.noise_dn == pytest.approx(6, rel=0.1)
        assert plane.offset_known


def test_a_black_of_the_user_s_stands_and_is_contradicted(write_dng: Writer, rng: np.random.Generator) -> None:
    plane = read(write_dng(mosaic(rng), black=(512,), active=VISIBLE, extra=(NAMED,)), black=100).planes[0]
    assert plane.masked is not None
    assert (plane.black_dn, plane.masked.stated_dn, plane.masked.contradicts) == (100, 100, True)
