"""The one reader of clean pictures, for benchmark, training and studies alike; and their Bayer mosaics."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisediag import images
from noisediag.errors import UnsupportedError, UsageError
from noisediag.images.image import LUMA

Floats = NDArray[np.float64]

BAYER = "RGGB"
NEUTRAL = (0.5, 1.0, 0.67)  # what a daylit grey gives in the R, G and B planes of a common sensor (DNG AsShotNeutral)
# What a folder of clean pictures is searched for: no RAW, HEIC or microscope's formats, which are no clean pictures.
SUFFIXES = frozenset({".png", ".webp", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".npy", ".fits"})

# Upper bounds of the noise that the pictures of the 12 benchmark domains carry themselves, in steps of 8 bits, as their
# provider states them; domains without a figure are not listed, and none of their files is scored apart.
OWN_NOISE_8BIT = {
    "chest_xray": 0.5,
    "histopathology": 1.5,
    "retina": 1.0,
    "brain_mri": 0.8,
    "microscopy": 1.0,
    "satellite": 2.0,
    "natural": 2.0,
}
OWN_NOISE_FILE = "own_noise.csv"


@dataclass(frozen=True)
class Clean:
    """A clean picture: `signal` (H, W) or (H, W, 3) in [0, 1]; `step`, between adjacent codes of its file (0:
    floats).
    """

    signal: Floats
    step: float

    @property
    def luma(self) -> Floats:
        """BT.601 luma (H, W) of a colour picture; a gray one as it is."""
        return self.signal if self.signal.ndim == 2 else self.signal @ np.array(list(LUMA.values()))


def read_clean(path: Path, *, floats: bool = True) -> Clean:
    """The first frame of a picture, normalised by its file's own black and white; floats are taken as they are.

    Raises InputError where the file cannot be read, UsageError where it is neither gray nor RGB, or holds floats beyond
    0 to 1, of which nobody can tell what is white. Without `floats`, UnsupportedError for any.
    """
    image = images.read(path)
    if not floats and image.planes[0].bit_depth is None:
        raise UnsupportedError(f"{path}: floating-point pixels have no stated white level")
    first = [plane for plane in image.planes if plane.frame in (None, image.planes[0].frame)]
    planes = [_normalised(plane, path) for plane in first]
    step = (first[0].step_dn or 0.0) / (first[0].white_dn - first[0].black_dn)
    if len(planes) == 1:
        return Clean(planes[0], step)
    if len(planes) == 3 and len({plane.shape for plane in planes}) == 1:
        return Clean(np.stack(planes, axis=-1), step)
    raise UsageError(f"{path}: a clean picture has one gray plane or three of colour, not {len(planes)}")


def _normalised(plane: images.Plane, path: Path) -> Floats:
    values = np.asarray(plane.load(), dtype=np.float64)
    if plane.white_known or plane.step_dn is not None:
        return (values - plane.black_dn) / (plane.white_dn - plane.black_dn)
    if not (values.min() >= 0 and values.max() <= 1):
        raise UsageError(f"{path}: floats beyond 0 to 1 ({values.min():g} to {values.max():g}) in a clean picture")
    return values


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that are called like pictures, hidden ones left out, in the order of their names."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def mosaic(clean: Floats) -> Floats:
    """The RGGB mosaic of a clean picture, cut to even sides.

    Colour (H, W, 3) is multiplied by `NEUTRAL`, so that the planes differ in range as those of a camera do; gray (H,
    W) is used for all planes as it is.
    """
    height, width = (side // 2 * 2 for side in clean.shape[:2])
    if clean.ndim == 2:
        return clean[:height, :width].copy()
    raw = np.empty((height, width))
    for position, colour in enumerate(BAYER):
        row, column, channel = position // 2, position % 2, "RGB".index(colour)
        raw[row::2, column::2] = clean[row:height:2, column:width:2, channel] * NEUTRAL[channel]
    return raw


@dataclass(frozen=True)
class Picture:
    """A clean file of a domain. `own_noise`: normalised upper bound of its own noise; None where none is stated."""

    domain: str
    path: Path
    own_noise: float | None


def pictures(data: Path, *, split: str, limit_per_domain: int | None) -> tuple[Picture, ...]:
    """The files of `data`: one sub-folder a domain, or one domain named like the folder where there is none.

    `split` odd or even takes files by the last number in their name (without a number, by their place); `all` takes
    all. Noise of their own: `own_noise.csv` in `data` (columns domain,picture,own_noise; 8-bit steps; an empty
    picture means the whole domain), else `OWN_NOISE_8BIT`. Raises UsageError where there is nothing to read.
    """
    if not data.is_dir():
        raise UsageError(f"{data}: no such folder")
    folders = sorted(p for p in data.iterdir() if p.is_dir() and not p.name.startswith(".")) or [data]
    own = _own_noise(data)
    found: list[Picture] = []
    for folder in folders:
        files = files_of(folder)
        parity = {"odd": 1, "even": 0}.get(split)
        kept = [p for place, p in enumerate(files) if parity is None or _number(p, place) % 2 == parity]
        for path in kept[:limit_per_domain]:
            stated = own.get((folder.name, path.name), own.get((folder.name, "")))
            found.append(Picture(folder.name, path, None if stated is None else stated / 255))
    if not found:
        raise UsageError(f"{data}: no picture of the {split} split ({', '.join(sorted(SUFFIXES))})")
    return tuple(found)


def _number(path: Path, place: int) -> int:
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else place


def _own_noise(data: Path) -> dict[tuple[str, str], float]:
    file = data / OWN_NOISE_FILE
    if not file.is_file():
        return {(domain, ""): value for domain, value in OWN_NOISE_8BIT.items()}
    with file.open(newline="", encoding="utf-8") as stream:
        try:
            return {(row["domain"], row["picture"] or ""): float(row["own_noise"]) for row in csv.DictReader(stream)}
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{file}: wants the columns domain,picture,own_noise") from error
