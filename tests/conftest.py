"""Footprints made by hand, so that reports are tested without a model."""

from __future__ import annotations

import pytest

from noisediag.footprint import CheckpointId, CurvePoint, Estimate, Footprint, PlaneFootprint, VarianceLaw
from noisediag.genome.parameters import PARAMETERS

BLACK_DN, WHITE_DN = 512.0, 16383.0
SHOT, READ = 2.1e-5, 5e-5
ABSENT = {"multiplicative", "impulse", "quantisation", "column_noise", "correlation"}


def make_estimate(name: str, value: float | None, scale_dn: float | None, **changes: object) -> Estimate:
    """An estimate with a 90 % interval of 10 % either side, or below the floor where `value` is None."""
    parameter = next(p for p in PARAMETERS if p.name == name)
    scale = scale_dn if parameter.scales_with_dn else None
    low, high = (0.0, parameter.low * 3) if value is None else (value * 0.9, value * 1.1)
    fields: dict[str, object] = {
        "name": name,
        "value": value,
        "low": low,
        "high": high,
        "present": 0.02 if value is None else 0.99,
        "flag": "below_floor" if value is None else None,
        "symbol": parameter.symbol,
        "unit": parameter.unit,
        "value_dn": None if value is None or scale is None else value * scale,
        "low_dn": None if scale is None else low * scale,
        "high_dn": None if scale is None else high * scale,
    }
    return Estimate(**{**fields, **changes})  # type: ignore[arg-type]


def make_plane(name: str = "all", **changes: object) -> PlaneFootprint:
    """A plane of a 14-bit RAW file: shot, read and row noise, nothing else."""
    values = {"shot_gain": SHOT, "read_noise": READ, "row_noise": 1e-4}
    estimates = tuple(make_estimate(p.name, values.get(p.name), WHITE_DN - BLACK_DN) for p in PARAMETERS)
    law = VarianceLaw(shot=SHOT, intercept=READ**2, square=0.0, floor=0.0)
    signals = [0.01 * 1.27**i for i in range(16)]
    curve = tuple(CurvePoint(x, law.sigma(x), law.sigma(x) * 0.98, law.sigma(x) * 1.02) for x in signals)
    fields: dict[str, object] = {
        "name": name,
        "shape": (2012, 3020),
        "bit_depth": 14,
        "black_dn": BLACK_DN,
        "white_dn": WHITE_DN,
        "scale_source": "file",
        "curve": curve,
        "law": law,
        "parameters": estimates,
        "signal_median": 0.1,
        "effective_sigma": law.sigma(0.12),
    }
    return PlaneFootprint(**{**fields, **changes})  # type: ignore[arg-type]


def make_footprint(**changes: object) -> Footprint:
    """A Bayer RAW file: R, G1, G2, B and `all`."""
    fields: dict[str, object] = {
        "planes": tuple(make_plane(name) for name in ("R", "G1", "G2", "B", "all")),
        "domain": "raw-linear",
        "reader": "rawpy",
        "checkpoint": CheckpointId("sensor", "0" * 64),
        "path": "photo.dng",
        "sha256": "1" * 64,
        "acquisition": {
            "Make": "Maker",
            "Model": "One",
            "ISO": 400,
            "ExposureTime": 0.01,
            "NoiseProfile": [SHOT, READ**2],
        },
        "cfa_plane_colors": ("R", "G", "B"),
    }
    return Footprint(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def footprint() -> Footprint:
    """The footprint of a 14-bit Bayer file."""
    return make_footprint()
