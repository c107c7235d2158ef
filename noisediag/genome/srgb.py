"""The tone curve of sRGB, IEC 61966-2-1, for arrays and tensors alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", NDArray[np.float64], "Tensor")


def encoded(linear: Values) -> Values:
    """Codes in [0, 1] of `linear` light in [0, 1], any shape."""
    low = linear <= 0.0031308
    return low * (12.92 * linear) + ~low * (1.055 * linear.clip(0.0031308, None) ** (1 / 2.4) - 0.055)


def decoded(display: Values) -> Values:
    """Linear light in [0, 1] of codes in [0, 1], any shape."""
    low = display <= 0.04045
    return low * (display / 12.92) + ~low * ((display.clip(0.04045, None) + 0.055) / 1.055) ** 2.4
