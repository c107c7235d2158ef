"""Acquisition tags under their ExifTool names, and the DNG tags that LibRaw does not hand out.

References: EXIF 2.32 (CIPA DC-008), Adobe DNG specification 1.6.
"""

from __future__ import annotations

import io
import logging
import math
import re
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from noisediag.errors import one_line
from noisediag.images import makers
from noisediag.images.limits import tag_value

if TYPE_CHECKING:
    import tifffile

# exifread and tifffile are imported where they are needed: most PNG files need neither. Both report oddities through
# logging; without a handler Python would print them to stderr.
for _name in ("exifread", "tifffile"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

CFA, LINEAR_RAW = 32803, 34892  # PhotometricInterpretation
_COLORS = ("R", "G", "B", "C", "M", "Y", "W")  # DNG CFAPlaneColor
_LEVEL_TAGS = {  # TIFF tags that black, white or the bit depth are read from
    270: "ImageDescription",
    281: "MaxSampleValue",
    50713: "BlackLevelRepeatDim",
    50714: "BlackLevel",
    50715: "BlackLevelDeltaH",
    50716: "BlackLevelDeltaV",
    50717: "WhiteLevel",
    50829: "ActiveArea",
    50830: "MaskedAreas",
}
_EXIF_NAMES = {  # exifread's key -> ExifTool's name
    "Image Make": "Make",
    "Image Model": "Model",
    "Image Software": "Software",
    "EXIF ISOSpeedRatings": "ISO",
    "EXIF PhotographicSensitivity": "ISO",
    "Image ISOSpeedRatings": "ISO",  # TIFF/EP has it in the first directory
    "Image PhotographicSensitivity": "ISO",
    "EXIF ExposureTime": "ExposureTime",
    "EXIF FNumber": "FNumber",
    "EXIF FocalLength": "FocalLength",
    "EXIF FocalLengthIn35mmFilm": "FocalLengthIn35mmFormat",
    "EXIF ExposureBiasValue": "ExposureCompensation",
    "EXIF DateTimeOriginal": "DateTimeOriginal",
    "EXIF LensModel": "LensModel",
    "EXIF DigitalZoomRatio": "DigitalZoomRatio",
}
# EXIF 2.31: 65535 in the 16-bit tag stands for what is above it, and one of these says how much; by SensitivityType.
_ISO_BEYOND, _ISO_UNKNOWN = 65535, 0
_SENSITIVITIES = {2: "RecommendedExposureIndex", 1: "Tag 0x8831", 3: "ISOSpeed"}  # exifread has no name for 1
# What exifread lets through on damaged directories, by 17,000 of them made at random: counts of 0, ratios 0/0, and
# places before the start of the data (ValueError from memory, OSError from a file).
_EXIF_ERRORS = (IndexError, ValueError, ZeroDivisionError, OSError)
_EXIF_UNREADABLE = "EXIF unreadable ({}): camera, ISO and exposure unknown"
_BIG_TIFF = (b"II+\0", b"MM\0+")
_HEAD_BYTES = 1 << 20  # where non-TIFF RAW files keep their EXIF


class TifffileLog(logging.Handler):
    """Collects what tifffile logs while it is entered: it skips damaged tags and directories and only logs so."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:  # others read files of their own
            self.lines.append(record.getMessage())

    def __enter__(self) -> TifffileLog:
        logging.getLogger("tifffile").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("tifffile").removeHandler(self)

    def damaged_level_tags(self) -> tuple[str, ...]:
        """Names of the tags that say what black, white or the bit depth is and that could not be read."""
        codes = {int(code) for line in self.lines for code in re.findall(r"TiffTag (\d+) @\d+> ", line)}
        return tuple(name for code, name in _LEVEL_TAGS.items() if code in codes)


@dataclass(frozen=True)
class DngTags:
    """What a DNG says of its raw plane; None where the tag is absent. Levels are in DN of the stored mosaic."""

    linear: bool  # LinearRaw: already demosaiced (or a monochrome sensor, with one sample)
    samples: int
    float_data: bool
    black: tuple[float, ...] | None = None  # row by row over `black_repeat`, samples innermost
    black_repeat: tuple[int, int] = (1, 1)  # rows, columns, anchored at the top left of the active area
    black_delta_h: tuple[float, ...] = ()  # added to black, a number a column of the active area
    black_delta_v: tuple[float, ...] = ()  # likewise, a row
    white: tuple[float, ...] | None = None
    bits: int | None = None  # of a sample as it is stored
    active_area: tuple[int, int, int, int] | None = None  # top, left, bottom, right
    masked_areas: tuple[tuple[int, int, int, int], ...] = ()  # likewise; no light falls there
    cfa_plane_colors: tuple[str, ...] = ()
    compression: int = 1
    acquisition: dict[str, Any] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()  # names of the tags of levels that could not be read


def directories(tiff: tifffile.TiffFile) -> Iterator[Any]:
    """The first directory and its sub-directories: where RAW formats put their picture."""
    first = tiff.pages.first
    yield first
    if first.pages is not None:
        yield from first.pages


def photometric(page: Any) -> int:
    """PhotometricInterpretation of a directory, -1 where it states none."""
    return int(page.tags.valueof(262, default=-1))


def dng_tags(path: Path) -> DngTags | None:
    """The DNG tags of a file, None if it is no DNG."""
    with open(path, "rb") as file:
        if file.read(4) not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return None
    import tifffile

    with TifffileLog() as log, tifffile.TiffFile(path) as tiff:
        first = tiff.pages.first
        if 50706 not in first.tags:
            return None
        pages = list(directories(tiff))
        raws = [page for page in pages if photometric(page) in (CFA, LINEAR_RAW)]
        main = next((page for page in raws if page.tags.valueof(254, default=0) == 0), raws[0] if raws else first)

        def value(code: int) -> Any:
            # NoiseProfile and others stand in the raw directory or in the first one, depending on the writer.
            return tag_value(main.tags.get(code, first.tags.get(code)))

        colors = value(50710)
        repeat = tag_numbers(main, 50713)
        area = tag_numbers(main, 50829)
        masked = [int(side) for side in tag_numbers(main, 50830)]
        acquisition: dict[str, Any] = {}
        for name, code in (("NoiseProfile", 51041), ("BaselineNoise", 50731), ("NoiseReductionApplied", 50935)):
            numbers = _rationals(value(code)) if code != 51041 else _numbers(value(code))
            if numbers:
                acquisition[name] = list(numbers) if code == 51041 else numbers[0]
        for name, code in (("BlackLevel", 50714), ("WhiteLevel", 50717)):
            numbers = tag_numbers(main, code)
            if numbers:
                acquisition[name] = list(numbers) if len(numbers) > 1 else numbers[0]
        return DngTags(
            linear=photometric(main) == LINEAR_RAW,
            samples=int(main.samplesperpixel),
            float_data=int(main.sampleformat or 1) == 3,
            black=tag_numbers(main, 50714) or None,
            black_repeat=(int(repeat[0]), int(repeat[1])) if len(repeat) == 2 else (1, 1),
            black_delta_h=tag_numbers(main, 50715),
            black_delta_v=tag_numbers(main, 50716),
            white=tag_numbers(main, 50717) or None,
            bits=_bits(main.bitspersample),
            active_area=(int(area[0]), int(area[1]), int(area[2]), int(area[3])) if len(area) == 4 else None,
            masked_areas=tuple(
                (masked[i], masked[i + 1], masked[i + 2], masked[i + 3]) for i in range(0, len(masked) - 3, 4)
            ),
            cfa_plane_colors=tuple(_COLORS[code] for code in bytes(colors)) if colors is not None else (),
            compression=int(main.compression),
            acquisition=acquisition,
            damaged=log.damaged_level_tags(),
        )


def _bits(stated: Any) -> int | None:
    """BitsPerSample where it is one number for all samples."""
    found = {int(number) for number in _numbers(stated)}
    return found.pop() if len(found) == 1 else None


def noise_profile_group(path: Path) -> str | None:
    """ExifTool's group of the directory where a DNG's NoiseProfile stands, or belongs: the raw one. None if no DNG."""
    import tifffile

    if dng_tags(path) is None:
        return None
    with tifffile.TiffFile(path) as tiff:
        pages = list(directories(tiff))
        groups = ["IFD0", "SubIFD", *(f"SubIFD{number}" for number in range(1, len(pages)))]
        holders = [place for place, page in enumerate(pages) if 51041 in page.tags]
        raws = [place for place, page in enumerate(pages) if photometric(page) in (CFA, LINEAR_RAW)]
        return groups[(holders or raws or [0])[0]]


def tag_numbers(page: Any, code: int) -> tuple[float, ...]:
    """The numbers of a TIFF tag, whatever numeric type it has; () if absent."""
    tag = page.tags.get(code)
    if tag is None:
        return ()
    value = tag_value(tag)
    return _rationals(value) if tag.dtype in (5, 10) else _numbers(value)


def _numbers(value: Any) -> tuple[float, ...]:
    if value is None:
        return ()
    return tuple(float(number) for number in (value if isinstance(value, tuple | list | bytes) else (value,)))


def _rationals(value: Any) -> tuple[float, ...]:
    numbers = _numbers(value)
    return tuple(a / b if b else math.nan for a, b in zip(numbers[::2], numbers[1::2], strict=True))


def exif(path: Path, warnings: list[str]) -> dict[str, Any]:
    """EXIF of a TIFF, DNG or camera RAW file, by ExifTool names; {} where there is none.

    Where it is damaged, `warnings` is told so and nothing of it is returned.
    """
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
        if head[:4] in (b"IIU\0", b"IIRO", b"IIRS"):  # TIFF in all but the magic number
            return _named(_tags(io.BytesIO(b"II*\0" + head[4:]), warnings))
        if head[:4] == b"MMOR":
            return _named(_tags(io.BytesIO(b"MM\0*" + head[4:]), warnings))
        if head.startswith(b"FUJIFILM"):  # the EXIF is that of the embedded JPEG
            offset = int.from_bytes(head[84:88], "big")
            file.seek(offset)
            return _named(_tags(io.BytesIO(file.read(_HEAD_BYTES)), warnings))
        if head.startswith(_BIG_TIFF):  # unknown to exifread, which would look for EXIF in all of the file
            return {}
        if head.startswith(makers.MRW):
            block = makers.minolta_block(head)
            return _named(_tags(io.BytesIO(block), warnings)) if block else {}
        if head[6:14] == makers.CRW or head.startswith(makers.X3F):
            file.seek(0)
            return _maker_s(file, makers.sigma_x3f if head.startswith(makers.X3F) else makers.canon_crw, warnings)
        if head[4:12] == b"ftypcrx ":  # boxes CMT1 (directory 0) and CMT2 (EXIF) each hold a TIFF block
            return _canon_boxes(head, warnings)
        file.seek(0)
        return _named(_tags(file, warnings))


def exif_from_block(block: bytes, warnings: list[str]) -> dict[str, Any]:
    """EXIF of a bare block, as Pillow and libheif hand it out; damage as in `exif`."""
    block = block.removeprefix(b"Exif\0\0")
    if not block.startswith((b"II*\0", b"MM\0*")):
        warnings.append(_EXIF_UNREADABLE.format("it does not begin as TIFF data do"))
        return {}
    return _named(_tags(io.BytesIO(block), warnings))


def _canon_boxes(head: bytes, warnings: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for box, section in ((b"CMT1", "Image"), (b"CMT2", "EXIF")):
        at = head.find(box)
        if at < 4:
            continue
        size = int.from_bytes(head[at - 4 : at], "big")
        tags = _tags(io.BytesIO(head[at + 4 : at - 4 + size]), warnings)
        found |= _named({f"{section} {key.split(' ', 1)[-1]}": tag for key, tag in tags.items()})
    return found


def _maker_s(file: BinaryIO, read: Callable[[BinaryIO], dict[str, Any]], warnings: list[str]) -> dict[str, Any]:
    try:
        return read(file)
    except (ValueError, struct.error, OSError) as error:  # places before the file's start or in texts cut off
        warnings.append(_EXIF_UNREADABLE.format(one_line(str(error))))
        return {}


def _tags(file: BinaryIO, warnings: list[str]) -> dict[str, Any]:
    import exifread

    try:
        return dict(exifread.process_file(file, details=False))
    except _EXIF_ERRORS as error:
        warnings.append(_EXIF_UNREADABLE.format(f"{type(error).__name__}: {one_line(str(error))}"))
        return {}


def _named(tags: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, name in _EXIF_NAMES.items():
        value = _plain(tags[key].values) if key in tags and hasattr(tags[key], "values") else None
        if value is not None and name not in found:
            found[name] = value
    if found.get("ISO") in (None, _ISO_BEYOND, _ISO_UNKNOWN):
        found.pop("ISO", None)
        found |= _sensitivity(tags)
    return found


def _sensitivity(tags: dict[str, Any]) -> dict[str, Any]:
    """The ISO of the tags that say it where the ordinary one cannot; {} where none does."""

    def number(name: str) -> Any:
        found = [tags.get(f"{section} {name}") for section in ("EXIF", "Image")]
        return next((_plain(tag.values) for tag in found if tag is not None), None)

    meant = _SENSITIVITIES.get(number("SensitivityType"))
    values = (number(name) for name in (*filter(None, (meant,)), *_SENSITIVITIES.values()))
    return next(({"ISO": value} for value in values if isinstance(value, int) and 0 < value < 2**32 - 1), {})


def _plain(values: Any) -> Any:
    """A text, or the first number of a list: an int where whole; None where empty or undefined (0/0)."""
    if isinstance(values, str):
        return values.strip().strip("\0") or None
    if isinstance(values, bytes) or not values:
        return None
    try:
        number = float(values[0])
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) else number
