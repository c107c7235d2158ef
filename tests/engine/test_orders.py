"""Medians and distinct values, held against numpy's own."""

import subprocess
import sys

import numpy as np
import pytest

from noisediag.engine.orders import distinct, median, quantile

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", "int64"])
@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (8,), (3, 5), (4, 6)])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_medians_are_numpys(dtype, shape, axis):
    values = (1000 * RNG.random(shape)).astype(dtype)
    found, wanted = median(values, axis), np.median(values, axis)
    np.testing.assert_array_equal(found, wanted)
    assert np.asarray(found).dtype == np.asarray(wanted).dtype


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16"])
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize("at", [0.0, 0.1, 0.5, 0.995, 1.0, (0.005, 0.7)])
def test_quantiles_are_numpys(dtype, size, at):
    values = (1000 * RNG.random(size)).astype(dtype)
    found, wanted = quantile(values, at), np.quantile(values, at)
    np.testing.assert_allclose(found, wanted, rtol=2e-7)
    assert np.asarray(found).dtype == np.asarray(wanted).dtype


def test_of_nothing_and_of_no_number():
    assert np.isnan(median(np.zeros(0)))
    values = np.array([[1.0, np.nan, 2.0], [3.0, 4.0, 5.0]])
    np.testing.assert_array_equal(median(values, 1), [np.nan, 4.0])
    assert np.isnan(median(values))


@pytest.mark.parametrize("size", [0, 1, 2, 100])
def test_distinct_values_are_numpys(size):
    values = RNG.integers(0, 20, size)
    np.testing.assert_array_equal(distinct(values), np.unique(values))
    np.testing.assert_array_equal(distinct(values.astype(np.float32)), np.unique(values.astype(np.float32)))


def test_no_masked_arrays_are_imported():
    calls = "median(x), distinct(x), quantile(x, 0.3)"
    code = f"import sys; from noisediag.engine.orders import *; x = np.arange(5.0); {calls}"
    code += "; print('numpy.ma' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
