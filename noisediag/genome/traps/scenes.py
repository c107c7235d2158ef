"""The clean pictures under the traps: photographs, cells, filaments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from noisediag.genome.clean import Picture, read_clean
from noisediag.genome.painters import PAINTERS
from noisediag.genome.painters.brushes import Sheet, random_curve, random_outline

Floats = NDArray[np.float64]

PHOTO_PX = (384, 512)  # height, width
SCIENCE_PX = 256
PAINTED = ("photo", "leaves", "satellite", "underwater")  # procedural scenes in the place of photographs
LENS_PX = 0.7  # blur of a lens; with the resizing it takes a photograph's own noise away
TO_LIGHT = 1.5  # power that makes displayed levels somewhat like light


class Scenes:
    """Clean pictures of any size. `pictures`: photographs to be used; without any, procedural scenes."""

    def __init__(self, pictures: Sequence[Picture] = ()):
        self._pictures = tuple(pictures)

    def photo(
        self, rng: Generator, low: float = 0.004, high: float = 0.85, shape: tuple[int, int] = PHOTO_PX
    ) -> Floats:
        """A photograph of light from `low` to `high`, of `shape` (height, width) in px."""
        if self._pictures:
            chosen = self._pictures[int(rng.integers(len(self._pictures)))]
            luma = Image.fromarray(read_clean(chosen.path).luma.astype(np.float32))
            picture = np.asarray(luma.resize(shape[::-1], Image.Resampling.BICUBIC), dtype=np.float64)
        else:
            painter = PAINTERS[PAINTED[int(rng.integers(len(PAINTED)))]]
            picture = painter(max(shape), rng)[: shape[0], : shape[1]].clip(0, 1).astype(np.float64)
        picture = np.asarray(ndimage.gaussian_filter(picture, LENS_PX), dtype=np.float64)
        picture = (picture - picture.min()) / max(float(np.ptp(picture)), 1e-6)
        return np.asarray(low + (high - low) * picture**TO_LIGHT, dtype=np.float64)

    def cells(
        self, rng: Generator, background: float, peak: float, *, blur_px: float = 1.5, size_px: int = SCIENCE_PX
    ) -> Floats:
        """About 25 glowing cells of up to `peak` above `background`, (size_px, size_px)."""
        sheet = Sheet(size_px, 0.0)
        for centre in rng.uniform(0, size_px, (round(25 * (size_px / SCIENCE_PX) ** 2), 2)):
            outline = random_outline(rng, centre, rng.uniform(8, 20), rng.uniform(0.6, 1), 0.1, 24)
            sheet.polygon(outline, rng.uniform(0.3, 1))
        body = sheet.picture().astype(np.float64)
        # Brighter in the middle than at the rim, as something round is: every level up to the peak is there.
        thick = body * (0.4 + 0.6 * ndimage.gaussian_filter((body > 0).astype(np.float64), 5.0))
        glow = ndimage.gaussian_filter(thick, blur_px)
        return np.asarray(background + peak * glow / max(float(glow.max()), 1e-9), dtype=np.float64)

    def filaments(self, rng: Generator, background: float, peak: float, *, size_px: int = SCIENCE_PX) -> Floats:
        """A dozen thin curves of up to `peak` above `background`, (size_px, size_px): few pixels carry light."""
        sheet = Sheet(size_px, 0.0)
        for _ in range(12):
            start, angle = rng.uniform(0, size_px, 2), rng.uniform(0, 2 * np.pi)
            sheet.line(random_curve(rng, start, angle, 0.8 * size_px, 0.15), 1.5, rng.uniform(0.3, 1))
        glow = ndimage.gaussian_filter(sheet.picture().astype(np.float64), 1.4)
        return np.asarray(background + peak * glow / max(float(glow.max()), 1e-9), dtype=np.float64)
