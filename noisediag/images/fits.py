"""FITS through astropy (extra `fits`): every image HDU, cubes as frames."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.errors import TooLargeError, TruncatedError, UnsupportedError
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image, Plane
from noisediag.images.limits import MAX_HDUS, check_fits_header, check_planes
from noisediag.images.source import LinearScale, check_dtype, check_size, optional, sampled

_KEYWORDS = {  # FITS keyword -> ExifTool name; the last ones have no EXIF counterpart and keep their own
    "INSTRUME": "Model",
    "EXPTIME": "ExposureTime",
    "EXPOSURE": "ExposureTime",
    "DATE-OBS": "DateTimeOriginal",
    "SWCREATE": "Software",
    "FOCALLEN": "FocalLength",
    "ISOSPEED": "ISO",
    "EGAIN": "EGAIN",
    "GAIN": "GAIN",
    "RDNOISE": "RDNOISE",
    "READNOIS": "READNOIS",
    "OFFSET": "OFFSET",
    "CCD-TEMP": "CCD-TEMP",
    "FILTER": "FILTER",
}


DECLARED = (
    Declaration(
        "FITS",
        "fit fits fts",
        "every image HDU as a channel, cubes as frames; BLANK and not-a-number are left out",
        "astropy",
        "fits",
        white="SATURATE",
        time="EXPTIME, EXPOSURE",
    ),
)


def read(path: Path) -> Image:
    """All image HDUs with at least two axes. Values are scaled by BZERO and BSCALE: 16-bit unsigned stays uint16."""
    fits = optional("astropy.io.fits", "fits")
    check_fits_header(path)
    planes: list[Plane] = []
    warnings: list[str] = []
    frames = 1
    acquisition: dict[str, Any] = {}
    with fits.open(path, memmap=False) as hdus:
        pictures = []
        for number, hdu in enumerate(hdus):
            if number == MAX_HDUS:
                raise TooLargeError(f"more than {MAX_HDUS} HDUs")
            if _is_picture(hdu):
                pictures.append((number, hdu))
                check_planes(int(np.prod(hdu.shape[:-2], dtype=object)), len(pictures))
        size = path.stat().st_size
        for number, hdu in pictures:
            info = hdu.fileinfo()
            if info["datLoc"] + info["datSpan"] > size:
                raise TruncatedError(f"the data of HDU {number} end beyond the file")
            acquisition = _tags(hdu.header) | acquisition
            found, notes = _planes(path, number, hdu, single=len(pictures) == 1)
            frames = max(frames, len(found))
            planes += found
            warnings += notes
    if not planes:
        raise UnsupportedError("a FITS file without a picture (tables or spectra only)")
    return Image(
        tuple(planes),
        "linear",
        "astropy",
        acquisition=acquisition,
        frames=frames,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _is_picture(hdu: Any) -> bool:
    return bool(hdu.is_image) and len(hdu.shape) >= 2 and 0 not in hdu.shape


def _planes(path: Path, number: int, hdu: Any, *, single: bool) -> tuple[list[Plane], list[str]]:
    height, width = hdu.shape[-2:]
    check_size(height, width)
    count = int(np.prod(hdu.shape[:-2], dtype=int))
    name = "gray" if single else hdu.name or f"hdu{number}"
    samples = [_frame(path, number, index) for index in sampled(count)]
    check_dtype(samples[0].dtype)
    notes: list[str] = []
    scale = LinearScale(samples, declared_white=_saturation(hdu.header, notes), missing_code=_blank(hdu))
    planes = [
        scale.plane(
            name,
            (height, width),
            functools.partial(_frame, path, number, index),
            channel=None if single else name,
            frame=index if count > 1 else None,
        )
        for index in range(count)
    ]
    return planes, notes + scale.warnings


def _frame(path: Path, number: int, index: int) -> Codes:
    """One frame in native byte order. `section` reads and scales only what is asked for."""
    fits = optional("astropy.io.fits", "fits")
    with fits.open(path, memmap=False, ignore_blank=True) as hdus:  # integers stay integers: see `_blank`
        hdu = hdus[number]
        place = tuple(int(axis) for axis in np.unravel_index(index, hdu.shape[:-2])) if len(hdu.shape) > 2 else ()
        values = np.asarray(hdu.section[place] if place else hdu.section[:, :])
    return np.array(values, dtype=values.dtype.newbyteorder("="))


def _blank(hdu: Any) -> float | None:
    """The keyword BLANK, the stored integer of pixels without a value, in the scaled values' unit."""
    blank, bitpix = hdu.header.get("BLANK"), hdu.header.get("BITPIX")
    if not isinstance(blank, int) or isinstance(blank, bool) or not isinstance(bitpix, int) or bitpix < 0:
        return None
    return float(blank * hdu._orig_bscale + hdu._orig_bzero)


def _saturation(header: Any, warnings: list[str]) -> float | None:
    """The keyword SATURATE, DN of the scaled values; `warnings` is told where it cannot be a level."""
    value = header.get("SATURATE")
    if isinstance(value, int | float) and math.isfinite(value) and value > 0:
        return float(value)
    if value not in (None, ""):
        warnings.append(f"SATURATE {value!r} cannot be a level: ignored")
    return None


def _tags(header: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword, name in _KEYWORDS.items():
        value = header.get(keyword)
        if isinstance(value, str | int | float) and name not in found and value != "":
            found[name] = value
    return found
