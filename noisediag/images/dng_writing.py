"""A Bayer mosaic as a valid DNG: uncompressed 16-bit CFA, one IFD, Exif, and the noise profile of its own noise."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

MAKE = "noisediag"
MODEL = "simulated"

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL, DOUBLE = 1, 2, 3, 4, 5, 7, 10, 12  # TIFF types
EXIF_IFD = 34665
PLACEHOLDER = 34664  # an unused number beside it, as tifffile writes no pointers to IFDs of others
D65 = 21  # Exif LightSource
XYZ_TO_SRGB = np.array(  # IEC 61966-2-1, linear
    [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
)


@dataclass(frozen=True)
class DngTags:
    """What the file says of itself. `neutral`: response of R, G and B to grey; `noise_profile`: (S, O) for each of
    them; empty: no such tag.
    """

    black_dn: int
    white_dn: int
    neutral: tuple[float, float, float]
    noise_profile: tuple[tuple[float, float], ...]
    iso: int
    exposure_s: float
    f_number: float


def write_dng(path: Path, mosaic: NDArray[np.uint16], tags: DngTags) -> None:
    """Write the RGGB `mosaic` (H, W), both even, in DN.

    Raises OSError where the system refuses.
    """
    extra: list[tuple[Any, ...]] = [
        (271, ASCII, None, MAKE, True),
        (272, ASCII, None, MODEL, True),
        (274, SHORT, 1, 1, True),  # Orientation: as stored
        (33421, SHORT, 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, BYTE, 4, bytes((0, 1, 1, 2)), True),  # CFAPattern: RGGB
        (PLACEHOLDER, LONG, 1, 0, True),  # becomes the Exif pointer once its place is known
        (50706, BYTE, 4, bytes((1, 4, 0, 0)), True),  # DNGVersion: NoiseProfile came with 1.3
        (50707, BYTE, 4, bytes((1, 1, 0, 0)), True),  # DNGBackwardVersion
        (50708, ASCII, None, f"{MAKE} {MODEL}", True),  # UniqueCameraModel
        (50710, BYTE, 3, bytes((0, 1, 2)), True),  # CFAPlaneColor: R, G, B
        (50711, SHORT, 1, 1, True),  # CFALayout: rectangular
        (50713, SHORT, 2, (1, 1), True),  # BlackLevelRepeatDim
        (50714, LONG, 1, tags.black_dn, True),  # BlackLevel
        (50717, LONG, 1, tags.white_dn, True),  # WhiteLevel
        (50721, SRATIONAL, 9, _ratios(XYZ_TO_SRGB * np.array(tags.neutral)[:, None]), True),  # ColorMatrix1
        (50728, RATIONAL, 3, _ratios(tags.neutral), True),  # AsShotNeutral
        (50778, SHORT, 1, D65, True),  # CalibrationIlluminant1
    ]
    if tags.noise_profile:
        pairs = [value for pair in tags.noise_profile for value in pair]
        extra.append((51041, DOUBLE, len(pairs), pairs, True))
    tifffile.imwrite(
        path, mosaic, photometric="cfa", byteorder="<", metadata=None, software=MAKE, subfiletype=0, extratags=extra
    )
    _append_exif(path, tags)


def _ratios(values: Any) -> list[int]:
    """Numerators and denominators in turn."""
    fractions = [Fraction(float(value)).limit_denominator(1_000_000) for value in np.ravel(values)]
    return [part for fraction in fractions for part in (fraction.numerator, fraction.denominator)]


def _append_exif(path: Path, tags: DngTags) -> None:
    """Put an Exif IFD at the end of the little-endian file and its place over the placeholder."""
    end = path.stat().st_size
    start = end + end % 2  # an IFD begins on a word
    entries = 4
    values = start + 2 + 12 * entries + 4
    ratios = struct.pack("<4I", *_ratios([tags.exposure_s, tags.f_number]))
    ifd = struct.pack("<H", entries)
    ifd += struct.pack("<HHII", 33434, RATIONAL, 1, values)  # ExposureTime
    ifd += struct.pack("<HHII", 33437, RATIONAL, 1, values + 8)  # FNumber
    ifd += struct.pack("<HHIHH", 34855, SHORT, 1, tags.iso, 0)  # ISOSpeedRatings
    ifd += struct.pack("<HHI4s", 36864, UNDEFINED, 4, b"0230")  # ExifVersion
    ifd += struct.pack("<I", 0)
    with tifffile.TiffFile(path) as file:
        pointer = file.pages.first.tags[PLACEHOLDER].offset
    with path.open("r+b") as stream:
        stream.seek(pointer)
        stream.write(struct.pack("<HHII", EXIF_IFD, LONG, 1, start))
        stream.seek(end)
        stream.write(b"\0" * (start - end) + ifd + ratios)
