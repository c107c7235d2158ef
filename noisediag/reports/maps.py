"""The sigma map as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray


def sigma_map(sigma_dn: NDArray[np.floating], path: Path) -> None:
    """Write the noise's standard deviation at every pixel, `(..., height, width)` in DN, as a float32 TIFF."""
    tifffile.imwrite(
        path,
        sigma_dn.astype(np.float32, copy=False),
        photometric="minisblack",
        description="standard deviation of the pixel noise, DN",
        metadata=None,
        software=False,
    )


def sigma_array(sigma_dn: NDArray[np.floating], path: Path) -> None:
    """The same as a NumPy file, float32."""
    with open(path, "wb") as file:  # given a name, numpy would add a suffix of its own
        np.save(file, sigma_dn.astype(np.float32, copy=False))
