"""Clean pictures from files, for training, benchmark and simulation: one reader for all uses."""

from __future__ import annotations

import csv
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from noisediag import images
from noisediag.errors import UnreadableError, UnsupportedError, UsageError
from noisediag.images.image import LUMA

Floats = NDArray[np.float64]

BAYER = "RGGB"
NEUTRAL = (0.5, 1.0, 0.67)  # what a daylit grey gives in the R, G and B planes of a common sensor (DNG AsShotNeutral)
SUFFIXES = frozenset({".png", ".webp", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".npy", ".fits"})

OWN_NOISE_FILE = "own_noise.csv"  # beside the pictures: how much noise they carry themselves
OWN_NOISE_COLUMNS = ("domain", "picture", "own_noise")
CODES = 255  # own noise is stated in steps of 8 bits


@dataclass(frozen=True)
class Clean:
    """A clean picture: `signal` (H, W) or (H, W, 3) in [0, 1]; `step`, between adjacent codes of its file (0:
    floats).
    """

    signal: Floats
    step: float

    @property
    def luma(self) -> Floats:
        return self.signal if self.signal.ndim == 2 else self.signal @ np.array(list(LUMA.values()))


def read_clean(path: Path) -> Clean:
    """The first frame of a picture, normalised by its file's own black and white; floats are taken as they are.

    Raises InputError where the file cannot be read, UsageError where it is neither gray nor RGB, or holds floats beyond
    0 to 1, of which nobody can tell what is white.
    """
    return clean_of(images.read(path), str(path))


def clean_of(image: images.Image, name: str) -> Clean:
    """See `read_clean`; `name`: of the picture, in messages."""
    first = [plane for plane in image.planes if plane.frame in (None, image.planes[0].frame)]
    planes = [_normalised(plane, name) for plane in first]
    step = (first[0].step_dn or 0.0) / (first[0].white_dn - first[0].black_dn)
    if len(planes) == 1:
        return Clean(planes[0], step)
    if len(planes) == 3 and len({plane.shape for plane in planes}) == 1:
        return Clean(np.stack(planes, axis=-1), step)
    raise UsageError(f"{name}: a clean picture has one gray plane or three of colour, not {len(planes)}")


def _normalised(plane: images.Plane, name: str) -> Floats:
    try:
        codes = images.complete(plane)
    except UnsupportedError as error:
        raise UsageError(f"{name}: {error}") from None
    values = np.asarray(codes, dtype=np.float64)
    if plane.white_known or codes.dtype.kind != "f":
        return (values - plane.black_dn) / (plane.white_dn - plane.black_dn)
    if not (values.min() >= 0 and values.max() <= 1):
        raise UsageError(f"{name}: floats beyond 0 to 1 ({values.min():g} to {values.max():g}) in a clean picture")
    return values


def crops(folder: Path, size: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """One crop (n, size, size), float32 in [0, 1], of the luma of every picture in a folder, in the order of the names.

    The crops are random, or central without a generator. Pictures smaller than `size` are left out, with a warning that
    counts them. Raises UnreadableError for a folder with none that fits, and the errors of `read_clean`.
    """
    if not folder.is_dir():
        raise UnreadableError(f"{folder}: no such folder")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    cut, skipped = [], 0
    for file in files:
        luma = read_clean(file).luma
        spare = np.array(luma.shape) - size
        if spare.min() < 0:
            skipped += 1
            continue
        top, left = spare // 2 if generator is None else (_below(int(room) + 1, generator) for room in spare)
        crop = luma[top : top + size, left : left + size].clip(0, 1)
        cut.append(torch.from_numpy(crop.astype(np.float32)))
    if skipped:
        warnings.warn(
            f"{folder}: {skipped} of {len(files)} pictures are smaller than {size} px and were left out", stacklevel=2
        )
    if not cut:
        raise UnreadableError(f"{folder}: no picture of at least {size} px")
    return torch.stack(cut)


def _below(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator, device=generator.device))


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


def pictures(
    data: Path, *, split: str, limit_per_domain: int | None, own_noise: Path | None = None
) -> tuple[Picture, ...]:
    """The files of `data`: one sub-folder a domain, or one domain named like the folder where there is none.

    `split` odd or even takes files by the last number in their name (without a number, by their place); `all` takes
    all. Only a file says how much noise the pictures carry themselves: `own_noise`, else `own_noise.csv` in `data`
    where there is one. Its columns are domain,picture,own_noise: an upper bound in 8-bit steps; an empty picture
    means the whole domain. Raises UsageError where there is nothing to read, and for a file that is no such table.
    """
    if not data.is_dir():
        raise UsageError(f"{data}: no such folder")
    folders = sorted(p for p in data.iterdir() if p.is_dir() and not p.name.startswith(".")) or [data]
    stated_noise = _own_noise(own_noise if own_noise is not None else _beside(data))
    found: list[Picture] = []
    for folder in folders:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        parity = {"odd": 1, "even": 0}.get(split)
        kept = [p for place, p in enumerate(files) if parity is None or _number(p, place) % 2 == parity]
        for path in kept[:limit_per_domain]:
            stated = stated_noise.get((folder.name, path.name), stated_noise.get((folder.name, "")))
            found.append(Picture(folder.name, path, None if stated is None else stated / CODES))
    if not found:
        raise UsageError(f"{data}: no picture of the {split} split ({', '.join(sorted(SUFFIXES))})")
    return tuple(found)


def _number(path: Path, place: int) -> int:
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else place


def _beside(data: Path) -> Path | None:
    file = data / OWN_NOISE_FILE
    return file if file.is_file() else None


def _own_noise(file: Path | None) -> dict[tuple[str, str], float]:
    """Upper bounds in 8-bit steps by (domain, picture); none without a file."""
    if file is None:
        return {}
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            table = csv.DictReader(stream)
            if not set(OWN_NOISE_COLUMNS) <= set(table.fieldnames or ()):
                raise ValueError("other columns")
            bounds = {(row["domain"], row["picture"] or ""): float(row["own_noise"]) for row in table}
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"{file}: wants the columns {','.join(OWN_NOISE_COLUMNS)}") from error
    if not all(0 <= bound <= CODES for bound in bounds.values()):
        raise UsageError(f"{file}: own_noise is a number of 8-bit steps, 0 to {CODES}")
    return bounds
