"""The sigma map as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray


def sigma_map(sigmas: NDArray[np.floating], path: Path, scale: float | None = None) -> None:
    """Write the noise's standard deviation at every pixel, `(..., height, width)`, as a float32 TIFF.

    `scale`: what white - black counts in it; None: DN.
    """
    unit = "DN" if scale is None else f"white - black = {scale:g}"
    tifffile.imwrite(
        path,
        sigmas.astype(np.float32, copy=False),
        photometric="minisblack",
        description=f"standard deviation of the pixel noise, {unit}",
        metadata=None,
        software=False,
    )


def sigma_array(sigmas: NDArray[np.floating], path: Path) -> None:
    """The same as a NumPy file, float32."""
    with open(path, "wb") as file:  # given a name, numpy would add a suffix of its own
        np.save(file, sigmas.astype(np.float32, copy=False))
