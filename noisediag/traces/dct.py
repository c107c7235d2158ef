"""The discrete cosine transform as a matrix."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray


def dct_matrix(n: int) -> NDArray[np.float64]:
    """The orthonormal DCT-II of `n` samples, `(n, n)`: `coefficients = matrix @ samples`."""
    return np.asarray(scipy.fft.dct(np.eye(n), type=2, norm="ortho", axis=0), dtype=np.float64)
