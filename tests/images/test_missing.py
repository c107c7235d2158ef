"""Pixels that hold no value: who says so, and what the scale makes of them."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from noisediag.errors import UnsupportedError
from noisediag.images import complete, from_array, missing_pixels, read

SHAPE = (48, 64)


def codes(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(900, 1100, SHAPE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -3.4e38])
def test_floats_that_are_no_light_hold_no_value(value: float) -> None:
    values = codes().astype(np.float32)
    values[:12] = value
    image = from_array(values)
    missing = missing_pixels(image.planes[0], values)
    assert missing is not None
    assert np.array_equal(missing, np.broadcast_to(np.arange(48)[:, None] < 12, SHAPE))
    assert image.planes[0].white_dn == 2048
    assert "some pixels hold no value: they are left out" in image.warnings
    with pytest.raises(UnsupportedError, match=r"25 % of the pixels hold no value"):
        complete(image.planes[0])


def test_bright_points_in_the_dark_are_light() -> None:
    values = np.full(SHAPE, 1e-3, np.float32)
    values[5, 5] = 60.0
    image = from_array(values)
    assert missing_pixels(image.planes[0], values) is None
    assert image.planes[0].white_dn == 64


@pytest.mark.parametrize(("zero", "code"), [(None, -32768.0), (32768, 0.0)])
def test_the_blank_of_fits_is_no_code_of_light(tmp_path: Path, zero: int | None, code: float) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    stored = codes().astype(np.int16)
    stored[:, :8] = -32768
    hdu = fits.PrimaryHDU(stored)
    hdu.header["BLANK"] = -32768
    if zero is not None:
        hdu.header["BZERO"], hdu.header["BSCALE"] = zero, 1
    hdu.writeto(tmp_path / "a.fits")
    (plane,) = read(tmp_path / "a.fits").planes
    values = plane.load()
    assert values.dtype.kind in "iu"
    assert plane.missing_code == code
    assert plane.step_dn == 1
    missing = missing_pixels(plane, values)
    assert missing is not None
    assert missing.mean() == 1 / 8


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [("-1", -1.0, False), ("nan", None, False), ("none", None, True), ("-32768 ", -32768, False)],
)
def test_the_no_data_value_of_a_tiff(tmp_path: Path, text: str, code: float | None, said: bool) -> None:
    stored = codes().astype(np.int16)
    if code is not None:
        stored[:6] = code
    tifffile.imwrite(tmp_path / "a.tif", stored, extratags=[(42113, 2, 0, text, True)])
    image = read(tmp_path / "a.tif")
    missing = missing_pixels(image.planes[0], image.planes[0].load())
    assert image.planes[0].missing_code == code
    assert (None if missing is None else missing.mean()) == (None if code is None else 1 / 8)
    assert any("is no number: ignored" in warning for warning in image.warnings) == said


class TestDeadBorder:
    def picture(self, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(50, 900, (64, 80), dtype=np.uint16)

    def test_a_frame_of_one_value(self, rng: np.random.Generator) -> None:
        from noisediag.images import dead_border

        for value in (0, 50):
            values = self.picture(rng)
            values[:9], values[-2:], values[:, :50] = value, value, value
            mask = dead_border(values)
            assert mask is not None
            assert not mask[9:-2, 50:].any()
            assert mask.sum() == values.size - 53 * 30
            assert (dead_border(values[9:-2, 50:])) is None

    def test_what_is_none(self, rng: np.random.Generator) -> None:
        from noisediag.images import dead_border

        saturated, fading = self.picture(rng), self.picture(rng)
        saturated[:9] = 900
        fading[:20] = 0
        fading[9:20] = rng.random((11, 80)) < 0.1
        few = (rng.random((64, 80)) < 0.01).astype(np.uint8)  # a photon here and there
        for values in (saturated, fading, few, np.zeros((64, 80)), np.full((64, 80), np.nan)):
            assert dead_border(values) is None
