"""The one sRGB curve: values of the standard, its inverse, and the same from numpy and torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from noisediag.genome import srgb


def test_values_of_the_standard() -> None:
    linear = np.array([0.0, 0.002, 0.0031308, 0.18, 0.5, 1.0])
    encoded = np.array([0.0, 0.02584, 0.0404499, 0.4613561, 0.7353569, 1.0])
    np.testing.assert_allclose(srgb.encode(linear), encoded, atol=1e-6)
    np.testing.assert_allclose(srgb.decode(encoded), linear, atol=1e-6)


def test_both_ways_and_both_libraries() -> None:
    signal = np.linspace(0, 1, 4001)
    np.testing.assert_allclose(srgb.encode(srgb.decode(signal)), signal, atol=1e-6)
    tensor = torch.from_numpy(signal)
    np.testing.assert_allclose(srgb.encode(tensor).numpy(), srgb.encode(signal), rtol=1e-14)
    np.testing.assert_allclose(srgb.decode(tensor).numpy(), srgb.decode(signal), rtol=1e-14)
    assert srgb.encode(tensor.float()).dtype == torch.float32
    assert np.diff(srgb.encode(signal)).min() > 0


def test_below_black_it_goes_on_as_a_line() -> None:
    assert float(srgb.encode(torch.tensor(-0.1))) == pytest.approx(-1.292)


def test_reports_can_use_it_without_torch() -> None:
    code = "import sys, noisediag.genome.srgb; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
