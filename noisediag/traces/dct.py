"""The discrete cosine transform of blocks of pixels: one matrix for traces, simulated cameras and networks."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray


def dct_matrix(n: int) -> NDArray[np.float64]:
    """The orthonormal DCT-II of `n` samples, (n, n): `coefficients = matrix @ samples`, low frequencies first.

    Of a block, `matrix @ block @ matrix.T`; of blocks flattened row by row, `np.kron(matrix, matrix) @ flat`. Its
    inverse is its transpose. For n = 8 it is the DCT of JPEG (ITU-T T.81, A.3.3).
    """
    return np.asarray(scipy.fft.dct(np.eye(n), axis=0, norm="ortho"), dtype=np.float64)
