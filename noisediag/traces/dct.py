"""The discrete cosine transform of blocks of pixels: one matrix for traces, simulated cameras and networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dct_matrix(n: int) -> NDArray[np.float64]:
    """The orthonormal DCT-II of `n` samples, (n, n): `coefficients = matrix @ samples`, low frequencies first.

    Of a block, `matrix @ block @ matrix.T`; of blocks flattened row by row, `np.kron(matrix, matrix) @ flat`. Its
    inverse is its transpose. For n = 8 it is the DCT of JPEG (ITU-T T.81, A.3.3).
    """
    frequency, place = np.arange(n)[:, None], np.arange(n)[None]
    matrix = np.sqrt(2 / n) * np.cos(np.pi / (2 * n) * ((2 * place + 1) * frequency % (4 * n)))
    matrix[0] = np.sqrt(1 / n)
    return np.asarray(matrix)
