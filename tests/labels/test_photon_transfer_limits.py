"""Flats and darks of a sensor that bends near saturation, and whose dark pattern is stronger than its light's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from noisediag.labels import photon_transfer
from noisediag.labels.bursts import Reading

K, DARK, READ, WHITE = 0.3, 100.0, 3.0, 4095  # DN/e-, DN, DN, DN
READING = Reading(white=WHITE)


def take(folder: Path, levels: tuple[int, ...], *, prnu: float, dsnu_dn: float, bends: bool) -> tuple[list[Path], ...]:
    """Two shots of 160 x 200 px of each level of electrons, and two darks; the paths of flats and darks."""
    rng = np.random.default_rng(0)
    shape = (160, 200)
    gain, offset = 1 + prnu * rng.standard_normal(shape), DARK + dsnu_dn * rng.standard_normal(shape)
    for light in (0, *levels):
        for shot in "ab":
            signal = K * rng.poisson(light * gain)
            if bends:  # above 75 % of white the response falls to a quarter of its slope
                knee = 0.75 * (WHITE - DARK)
                signal = np.where(signal > knee, knee + 0.25 * (signal - knee), signal)
            codes = np.clip(np.rint(offset + signal + rng.normal(0, READ, shape)), 0, WHITE)
            tifffile.imwrite(folder / f"{'dark' if light == 0 else 'flat'}{light}{shot}.tif", codes.astype(np.uint16))
    return sorted(folder.glob("flat*.tif")), sorted(folder.glob("dark*.tif"))


def test_the_gain_is_fitted_below_70_percent_of_saturation(tmp_path: Path) -> None:
    """EMVA 1288's range of K: beyond it sensors saturate, and the variance falls where the law says that it rises."""
    flats, darks = take(tmp_path, (2000, 4500, 8500, 11000, 14500), prnu=0.0, dsnu_dn=0.0, bends=True)
    footprint = photon_transfer.from_files(flats, darks, READING)
    assert footprint.derived.K.value == pytest.approx(K, rel=0.03)
    left_out = [rejected.reason for rejected in footprint.rejected]
    assert left_out == ["above 70 % of the saturation"] * 2


def test_the_dark_pattern_is_no_pattern_of_the_light(tmp_path: Path) -> None:
    """PRNU1288 is sqrt(s_50^2 - s_dark^2) over the light (EMVA 1288, release 3.1, section 8.2)."""
    flats, darks = take(tmp_path, (2000, 6500), prnu=0.005, dsnu_dn=12.0, bends=False)
    derived = photon_transfer.from_files(flats, darks, READING).derived
    assert derived.PRNU1288.value == pytest.approx(0.5, rel=0.15)  # with the dark pattern in it: 0.79 %
    assert derived.DSNU1288.value == pytest.approx(12.0 / K, rel=0.05)
