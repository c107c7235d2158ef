"""How the pixels of a trap are stored: as DNG, TIFF or PNG. The same pixels give the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from noisediag.images.dng_writing import DngTags, write_dng


@dataclass(frozen=True)
class Dng:
    """An RGGB mosaic (H, W), both even, with the levels that the file states, right or wrong."""

    suffix: ClassVar[str] = ".dng"
    pixels: NDArray[np.uint16] = field(repr=False)
    black_dn: int
    white_dn: int
    iso: int = 400

    def write(self, path: Path) -> None:
        """Raises OSError where the system refuses."""
        # No noise profile: a file that tells its own noise is no trap.
        write_dng(path, self.pixels, DngTags(self.black_dn, self.white_dn, (1.0, 1.0, 1.0), (), self.iso, 0.01, 4.0))


@dataclass(frozen=True)
class Tiff:
    """Codes or floats (H, W), or of more axes, named as tifffile names them (`TYX`: frames, `CYX`: channels)."""

    suffix: ClassVar[str] = ".tif"
    pixels: NDArray[Any] = field(repr=False)
    axes: str | None = None

    def write(self, path: Path) -> None:
        """Raises OSError where the system refuses."""
        import tifffile

        metadata = None if self.axes is None else {"axes": self.axes}
        tifffile.imwrite(path, self.pixels, photometric="minisblack", metadata=metadata)


@dataclass(frozen=True)
class Png:
    """Codes of 8 bits, gray (H, W) or RGB (H, W, 3)."""

    suffix: ClassVar[str] = ".png"
    pixels: NDArray[np.uint8] = field(repr=False)

    def write(self, path: Path) -> None:
        """Raises OSError where the system refuses."""
        from PIL import Image

        Image.fromarray(self.pixels).save(path, "PNG")
