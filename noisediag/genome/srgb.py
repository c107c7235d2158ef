"""The sRGB transfer curve (IEC 61966-2-1), for arrays of numpy and tensors of torch alike; torch is not imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", NDArray[np.floating[Any]], "Tensor")

# Below the knee the curve is a line through black, above it a shifted power law.
LINEAR_KNEE = 0.0031308  # of linear light
ENCODED_KNEE = 0.04045  # of the encoded signal, as the standard rounds it
SLOPE = 12.92
OFFSET = 0.055
EXPONENT = 2.4


def encode(linear: Values) -> Values:
    """sRGB signal of `linear` light, finite, any shape; 0 is black and 1 white in both."""
    below = linear <= LINEAR_KNEE
    power = (1 + OFFSET) * linear.clip(min=LINEAR_KNEE) ** (1 / EXPONENT) - OFFSET
    # One of the two factors is 0: numpy and torch have no `where` in common.
    return below * (SLOPE * linear) + ~below * power


def decode(encoded: Values) -> Values:
    """Linear light of a finite sRGB signal, the inverse of `encode`."""
    below = encoded <= ENCODED_KNEE
    power = ((encoded.clip(min=ENCODED_KNEE) + OFFSET) / (1 + OFFSET)) ** EXPONENT
    return below * (encoded / SLOPE) + ~below * power
