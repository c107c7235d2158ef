"""Footprints made by hand, so that reports and the command line are tested without a model; the size of tests."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from noisediag import engine
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.footprint.plane import CurvePoint, Estimate, PlaneFootprint, VarianceLaw
from noisediag.genome.parameters import PARAMETERS, parameter

_spec = importlib.util.spec_from_file_location("validated", Path(__file__).with_name("validated.py"))
assert _spec is not None
assert _spec.loader is not None
validated = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(validated)
validated.watch()  # before any test imports what writes JSON

if "PYTEST_XDIST_WORKER" in os.environ:  # side by side, each test has a core of its own
    os.environ.setdefault("OMP_NUM_THREADS", "1")
engine.name("torch")  # the reference, whose tensors the tests of networks hand in; NOISEDIAG_ENGINE may say another
FULL = bool(os.environ.get("NOISEDIAG_FULL"))
SHARED = Path(os.environ.get("NOISEDIAG_SHARED", Path(__file__).parents[2] / "shared")) / "data"
T = TypeVar("T")

BLACK_DN, WHITE_DN = 512.0, 16383.0
VALUES = {"shot_gain": 2.1e-5, "read_noise": 5e-5, "row_noise": 1e-4}  # the others are below their floor


def _estimate(name: str, value: float | None, scale_dn: float | None, **changes: Any) -> Estimate:
    declared = parameter(name)
    scale = scale_dn if declared.scales_with_dn else None
    low, high = (0.0, declared.low * 3) if value is None else (value * 0.9, value * 1.1)
    fields: dict[str, Any] = {
        "name": name,
        "value": value,
        "low": low,
        "high": high,
        "present": 0.02 if value is None else 0.99,
        "flag": "below_floor" if value is None else None,
        "symbol": declared.symbol,
        "unit": declared.unit,
        "value_dn": None if value is None or scale is None else value * scale,
        "low_dn": None if scale is None else low * scale,
        "high_dn": None if scale is None else high * scale,
    }
    return Estimate(**{**fields, **changes})


def _plane(name: str = "all", values: dict[str, float | None] | None = None, **changes: Any) -> PlaneFootprint:
    values = {**VALUES, **(values or {})}
    shot, read, square = (values.get(key) or 0.0 for key in ("shot_gain", "read_noise", "multiplicative"))
    law = VarianceLaw(shot=shot, intercept=read**2, square=square**2, floor=0.0)
    signals = [0.01 * 1.27**i for i in range(16)]
    fields: dict[str, Any] = {
        "name": name,
        "shape": (2012, 3020),
        "bit_depth": 14,
        "black_dn": BLACK_DN,
        "white_dn": WHITE_DN,
        "scale_source": "file",
        "curve": tuple(CurvePoint(x, law.sigma(x), law.sigma(x) * 0.98, law.sigma(x) * 1.02) for x in signals),
        "law": law,
        "parameters": tuple(_estimate(p.name, values.get(p.name), WHITE_DN - BLACK_DN) for p in PARAMETERS),
        "signal_median": 0.1,
        "effective_sigma": law.sigma(0.12),
    }
    return PlaneFootprint(**{**fields, **changes})


def _footprint(**changes: Any) -> Footprint:
    fields: dict[str, Any] = {
        "planes": tuple(_plane(name) for name in ("R", "G1", "G2", "B", "all")),
        "domain": "raw-linear",
        "reader": "rawpy",
        "checkpoint": CheckpointId("sensor", "0" * 64),
        "path": "photo.dng",
        "sha256": "1" * 64,
        "acquisition": {"Make": "Maker", "Model": "One", "ISO": 400, "ExposureTime": 0.01, "FNumber": 1.8},
        "cfa_plane_colors": ("R", "G", "B"),
    }
    return Footprint(**{**fields, **changes})


@pytest.fixture
def make_plane() -> Callable[..., PlaneFootprint]:
    """`make_plane(name, values, **fields)`: a 14-bit plane with shot, read and row noise, or `values`."""
    return _plane


@pytest.fixture
def make_footprint() -> Callable[..., Footprint]:
    """`make_footprint(**fields)`: a Bayer RAW file with planes R, G1, G2, B and `all`."""
    return _footprint


@pytest.fixture
def footprint() -> Footprint:
    """The footprint of a 14-bit Bayer file."""
    return _footprint()


@pytest.fixture(scope="session")
def sized() -> Callable[[T, T], T]:
    """`sized(small, full)`: the size of an acceptance test, small unless NOISEDIAG_FULL is set."""
    return lambda small, full: full if FULL else small


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """`say(text)`: print what was measured, at full size only."""

    def show(text: str) -> None:
        if FULL:
            with capsys.disabled():
                sys.stdout.write(f"\n{text}")

    return show


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the data at hand, with `real` and `domains`; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("shared data are not here")
    return SHARED


@pytest.fixture(scope="session")
def check_document() -> Callable[..., str]:
    """`check_document(document, name=None)`: raise where a document does not fit its schema; the schema's name."""
    return validated.check
