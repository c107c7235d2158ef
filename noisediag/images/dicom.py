"""DICOM through pydicom (extra `medical`): monochrome pictures, one frame at a time.

Reference: DICOM PS3.3 C.7.6.3 (image pixel), C.7.6.5 (cine), C.11.1 (modality LUT).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.errors import TruncatedError, UnreadableError, UnsupportedError, one_line
from noisediag.images import stack
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image
from noisediag.images.limits import check_planes
from noisediag.images.source import check_size, optional
from noisediag.images.stack import Stack

DECLARED = (
    Declaration(
        "DICOM",
        "dcm dicom ima",
        "monochrome pictures, every frame; RescaleSlope is not applied",
        "pydicom; compressed ones: pylibjpeg",
        "medical",
        white="BitsStored",
        time="ExposureTime, FrameTime",
    ),
)

SIGNATURE, SIGNATURE_AT = b"DICM", 128
_TIMES = ("FrameTime", "FrameTimeVector", "CineRate")
_DEPTHS = ("SliceVector", "GridFrameOffsetVector")
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_DEFLATED = ("1.2.840.10008.1.2.1.99",)
_ELSEWHERE = tuple(f"1.2.840.10008.1.2.4.{end}" for end in (94, 95, 204, 205))  # JPIP: pixels lie at an address
_SHAPE = {"Rows": 0, "Columns": 0, "NumberOfFrames": 1}  # and what they are where they are not said
_LONG = 300  # characters of what a decoder says
_TEXTS = {
    "Manufacturer": "Make",
    "ManufacturerModelName": "Model",
    "Modality": "Modality",
    "RescaleType": "RescaleType",
}
_NUMBERS = {"RescaleSlope": "RescaleSlope", "RescaleIntercept": "RescaleIntercept", "KVP": "KVP"}
_MILLISECONDS = {"ExposureTime": "ExposureTime", "FrameTime": "FrameInterval"}


def read(path: Path) -> Image:
    """Codes as they are stored, before any LUT; frames along time (T), depth (Z) or, where nothing says so, Q.

    Refused: colour, overlays and segmentations of 1 bit, and pixels that lie elsewhere.
    """
    pydicom = optional("pydicom", "medical")
    with open(path, "rb") as file:
        header = pydicom.dcmread(file, stop_before_pixels=True)
        there = path.stat().st_size - file.tell()
    syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
    _refuse(header, syntax)
    rows, columns, frames = (_whole(header, name, default) for name, default in _SHAPE.items())
    check_size(rows, columns)
    check_planes(frames)
    dtype = _dtype(header)
    if not header.file_meta.TransferSyntaxUID.is_compressed and there < rows * columns * frames * dtype.itemsize:
        raise TruncatedError(f"{rows * columns * frames * dtype.itemsize} bytes of pixels announced, {there} there")
    axis = _axis(header)
    warnings: list[str] = []
    if str(header.PhotometricInterpretation) == "MONOCHROME1":
        warnings.append("MONOCHROME1: shown with low codes bright; the codes are read as they are stored")
    if str(header.get("LossyImageCompression", "")) == "01":
        warnings.append("was compressed with loss: part of its noise is gone")
    pixels = pydicom.pixels.pixel_array

    def fetch(place: dict[str, int]) -> Codes:
        with open(path, "rb") as file:
            try:
                values = pixels(file, index=place[axis], raw=True)
            except RuntimeError as error:
                raise _undecodable(header, error) from None
        picture: Codes = np.asarray(values).reshape(rows, columns)
        return picture

    sizes = {axis: frames, "Y": rows, "X": columns}
    return stack.image(
        Stack(
            sizes,
            dtype,
            fetch,
            "pydicom",
            white=_white(header),
            missing_code=_padding(header),
            acquisition=_tags(header),
            warnings=warnings,
        )
    )


def _refuse(header: Any, syntax: str) -> None:
    if syntax in _ELSEWHERE or "PixelDataProviderURL" in header:
        raise UnsupportedError("its pixels lie at an address elsewhere, which is never followed")
    if syntax in _DEFLATED:
        raise UnsupportedError("a deflated DICOM data set is not read: store it uncompressed")
    if not header.get("Rows") or not header.get("PhotometricInterpretation") or not syntax:
        raise UnsupportedError("a DICOM file without a picture (a directory, a report, a structure)")
    colour = str(header.PhotometricInterpretation)
    if colour not in _MONOCHROME or header.get("SamplesPerPixel", 1) != 1:
        raise UnsupportedError(f"colour space {colour} is not read: only monochrome DICOM is")
    if header.get("BitsAllocated", 0) == 1:
        raise UnsupportedError("a 1-bit picture has no noise to read")


def _whole(header: Any, name: str, default: int) -> int:
    value = header.get(name)
    try:
        return default if value is None else int(value)
    except (TypeError, ValueError):
        raise UnreadableError(f"{name} {value!r} is no number") from None


def _dtype(header: Any) -> np.dtype[Any]:
    """That of the stored codes; pydicom hands out floats only of the elements that hold such."""
    bits, signed = _whole(header, "BitsAllocated", 16), _whole(header, "PixelRepresentation", 0)
    if "BitsStored" not in header:  # float pixels have none
        return np.dtype("f8" if bits == 64 else "f4")
    if bits not in (8, 16, 32):
        raise UnsupportedError(f"{bits} bits a pixel are not read")
    return np.dtype(f"{'i' if signed else 'u'}{bits // 8}")


def _white(header: Any) -> float | None:
    """The largest code of BitsStored where that says more than the container does."""
    stored, allocated = _whole(header, "BitsStored", 0), _whole(header, "BitsAllocated", 16)
    if not 1 < stored < allocated:
        return None
    return float(2 ** (stored - _whole(header, "PixelRepresentation", 0)) - 1)


def _padding(header: Any) -> float | None:
    """The code of pixels outside the field of view."""
    value = header.get("PixelPaddingValue")
    return float(value) if isinstance(value, int) and "PixelPaddingRangeLimit" not in header else None


def _axis(header: Any) -> str:
    """What frames lie along."""
    if any(name in header for name in _TIMES):
        return "T"
    places = set()
    for frame in header.get("PerFrameFunctionalGroupsSequence") or ():
        position = frame.get("PlanePositionSequence")
        places.add(tuple(position[0].get("ImagePositionPatient") or ()) if position else ())
    return "Z" if len(places) > 1 or any(name in header for name in _DEPTHS) else "Q"


def _tags(header: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword, name in _TEXTS.items():
        if header.get(keyword):
            found[name] = str(header.get(keyword))
    # Enhanced objects keep these in groups of their own, that of all frames first.
    groups = _groups(header)
    for keywords, factor in ((_NUMBERS, 1.0), (_MILLISECONDS, 1e-3)):
        for keyword, name in keywords.items():
            value = _number(next((group.get(keyword) for group in groups if group.get(keyword) is not None), None))
            if value is not None:
                found[name] = value * factor
    spacing = next(
        (group.get(k) for group in groups for k in ("PixelSpacing", "ImagerPixelSpacing") if group.get(k)), ()
    )
    sizes = [_number(value) for value in spacing]
    if len(sizes) == 2 and all(sizes):
        found |= {"PixelSize": sizes, "PixelSizeUnit": "mm"}
    date, time = (
        str(header.get(f"Acquisition{part}") or header.get(f"Content{part}") or "") for part in ("Date", "Time")
    )
    if len(date) == 8 and date.isdecimal():
        clock = f" {time[:2]}:{time[2:4]}:{time[4:6]}" if time[:6].isdecimal() and len(time) >= 6 else ""
        found["DateTimeOriginal"] = f"{date[:4]}:{date[4:6]}:{date[6:]}{clock}"
    return found


def _groups(header: Any) -> list[Any]:
    found = [header]
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        sequence: Sequence[Any] = header.get(name) or ()
        found += (
            [element.value[0] for element in sequence[0] if element.VR == "SQ" and element.value] if sequence else []
        )
    return found


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _undecodable(header: Any, error: RuntimeError) -> Exception:
    """What pydicom says where no decoder is installed, in one line; else the error itself."""
    if "missing dependencies" not in str(error):
        return UnreadableError(f"cannot be decoded ({one_line(str(error))[:_LONG]})")
    name = header.file_meta.TransferSyntaxUID.name
    return UnsupportedError(f"pixels in {name} need a decoder: pip install 'noisediag[medical]' pylibjpeg-libjpeg")
