""".dax movies of single-molecule microscopes: frames of 16 bits without a header, described in the .inf beside them.

Reference: what the writers of storm-control (github.com/ZhuangLab/storm-control) put into it.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.errors import UnreadableError
from noisediag.images import stack
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image
from noisediag.images.limits import check_planes
from noisediag.images.source import check_size
from noisediag.images.stack import Stack, pages

DECLARED = (
    Declaration(
        "DAX with its .inf",
        "dax",
        "every frame",
        "noisediag",
        time="exposure and frame rate of the .inf, where written",
    ),
)

_MAX_BYTES = 1 << 20  # of the description
_NUMBERS = {  # field of the description, in small letters -> ExifTool name
    "exposure time": "ExposureTime",  # seconds
    "camera temperature (deg. c)": "Temperature",
    "emccd gain": "DetectorGain",  # a setting, not e-/DN
}
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")


@dataclass(frozen=True)
class _Described:
    height: int
    width: int
    frames: int
    dtype: np.dtype[Any]
    fields: dict[str, str]

    @property
    def bytes(self) -> int:
        return self.height * self.width * self.frames * self.dtype.itemsize


def is_dax(path: Path) -> bool:
    """Whether the file beside `path`, of its name but .inf, describes a movie."""
    try:
        return _described(path) is not None
    except OSError:
        return False


def read(path: Path) -> Image:
    """Every frame, big-endian unless the description says otherwise."""
    described = _described(path)
    if described is None:
        raise UnreadableError("its .inf file does not say how large its frames are")
    check_size(described.height, described.width)
    check_planes(described.frames)
    if path.stat().st_size > described.bytes:
        raise UnreadableError(f"has {path.stat().st_size} bytes, and its .inf file describes {described.bytes}")
    page = pages(path, 0, described.dtype, (described.height, described.width), described.frames)

    def fetch(place: dict[str, int]) -> Codes:
        return page(place["T"])

    sizes = {"T": described.frames, "Y": described.height, "X": described.width}
    image = stack.image(Stack(sizes, described.dtype, fetch, "dax", acquisition=_tags(described.fields)))
    return replace(image, siblings=(path.with_suffix(".inf"),))


def _described(path: Path) -> _Described | None:
    """What the .inf file says; None where there is none, or it does not describe a movie."""
    inf = path.with_suffix(".inf")
    if inf == path or not stat.S_ISREG(inf.lstat().st_mode) or inf.stat().st_size > _MAX_BYTES:
        return None
    fields = {}
    for line in inf.read_text("utf-8", errors="replace").splitlines():
        name, separator, value = line.partition("=")
        if separator:
            fields[name.strip().lower()] = value.strip()
    size = re.fullmatch(r"(\d{1,6})\s*x\s*(\d{1,6})", fields.get("frame dimensions", ""))
    count = re.fullmatch(r"\d{1,9}", fields.get("number of frames", ""))
    if size is None or count is None or not all(map(int, (*size.groups(), count.group()))):
        return None
    kind = fields.get("data type", "")
    if kind and "16 bit" not in kind:
        return None
    dtype = np.dtype("<u2" if "little" in kind else ">u2")
    return _Described(int(size[2]), int(size[1]), int(count.group()), dtype, fields)


def _tags(fields: dict[str, str]) -> dict[str, Any]:
    numbers = {name: float(value) for name, value in fields.items() if _NUMBER.fullmatch(value)}
    found = {tag: numbers[name] for name, tag in _NUMBERS.items() if name in numbers}
    rate = numbers.get("frames per second", 0.0)
    return found | ({"FrameInterval": 1 / rate} if rate > 0 else {})
