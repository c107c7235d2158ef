"""Tiny files made in code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

RGGB = np.array([[0, 1], [1, 2]])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def write_dng(tmp_path: Path) -> Callable[..., Path]:
    """Writes an uncompressed DNG; `active` is DNG ActiveArea (top, left, bottom, right)."""

    def write(
        mosaic: np.ndarray,
        *,
        pattern: np.ndarray = RGGB,
        black: tuple[float, ...] = (100,),
        repeat: tuple[int, int] = (1, 1),
        white: int = 16383,
        active: tuple[int, int, int, int] | None = None,
        extra: tuple[tuple[object, ...], ...] = (),
        name: str = "picture.dng",
    ) -> Path:
        linear, mono = mosaic.ndim == 3, pattern.size == 1
        rationals = [part for level in black for part in (round(level * 100), 100)]
        tags: list[tuple[object, ...]] = [
            (271, "s", 0, "Acme", True),
            (272, "s", 0, "Cam 1", True),
            (50706, "B", 4, (1, 4, 0, 0), True),
            (50707, "B", 4, (1, 1, 0, 0), True),
            (50708, "s", 0, "Acme Cam 1", True),
            (50713, "H", 2, repeat, True),
            (50714, "2I", len(black), tuple(rationals), True),
            (50717, "H", 1, white, True),
            (51041, "d", 2, (2e-4, 1e-7), True),
            *extra,
        ]
        if not linear and not mono:
            tags += [
                (33421, "H", 2, pattern.shape, True),
                (33422, "B", pattern.size, bytes(pattern.ravel().tolist()), True),
                (50710, "B", 3, (0, 1, 2), True),
                (50711, "H", 1, 1, True),
                (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),
            ]
        if active is not None:
            tags.append((50829, "I", 4, active, True))
        path = tmp_path / name
        photometric = 34892 if linear else "minisblack" if mono else "cfa"
        tifffile.imwrite(path, mosaic, photometric=photometric, extratags=tags, metadata=None, software="sim")
        if mono:  # tifffile refuses LinearRaw with one sample, which is how monochrome cameras write
            with tifffile.TiffFile(path, mode="r+") as tiff:
                tiff.pages.first.tags[262].overwrite(34892)
        return path

    return write
