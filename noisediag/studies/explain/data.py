"""What `explain` works on: the acquisition tags and the noise of each file, from footprints or from a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from noisediag.footprint.file import Footprint
from noisediag.footprint.values import Known
from noisediag.genome.parameters import NAMES
from noisediag.reports import reading
from noisediag.reports.document import path_fields

SIGMA = "sigma_at_18pct"  # beside the parameters: the one number that most people compare
TARGETS = (SIGMA, *NAMES)
SECONDS_A_DAY = 86400.0


@dataclass(frozen=True)
class Tag:
    """An acquisition tag. `keys`: where it stands, the first one counts; `log`: it acts by its ratio."""

    name: str
    keys: tuple[str, ...]
    unit: str
    kind: Literal["log", "linear", "category"]


TAGS = (
    Tag("ISO", ("ISO",), "", "log"),
    Tag("ExposureTime", ("ExposureTime",), "s", "log"),
    Tag("FNumber", ("FNumber",), "", "log"),
    Tag("FocalLength", ("FocalLength",), "mm", "log"),
    Tag("GainSetting", ("DetectorGain", "GAIN"), "", "linear"),
    Tag("Temperature", ("Temperature", "CCD-TEMP", "SensorTemperature", "CameraTemperature"), "C", "linear"),
    Tag("Date", ("DateTimeOriginal",), "days", "linear"),
    Tag("Camera", ("Model", "Make"), "", "category"),
)


@dataclass(frozen=True)
class Record:
    """One file: its tags by the names of TAGS (numbers, and texts of categories), its quantities by TARGETS."""

    path: str
    tags: Mapping[str, float | str]
    values: Mapping[str, Known]


def words(target: str) -> str:
    """What one of TARGETS is called."""
    return "sigma at 18 %" if target == SIGMA else target.replace("_", " ")


def from_footprint(footprint: Footprint) -> Record:
    """The file's own footprint as a record."""
    row = reading.row_of(footprint.to_dict())
    assert isinstance(row, reading.FileRow)
    return _from_row(row)


def read_report(path: Path) -> tuple[Record, ...]:
    """The files of a report that could be estimated. Raises UnreadableError where it is no noisediag report."""
    return tuple(_from_row(row) for row in reading.rows(path) if isinstance(row, reading.FileRow))


def tags_of(acquisition: Mapping[str, Any]) -> dict[str, float | str]:
    """The tags that can be used; what is missing, not a number, or no positive one where ratios count, is left out."""
    found: dict[str, float | str] = {}
    for tag in TAGS:
        given = [acquisition[key] for key in tag.keys if acquisition.get(key) not in (None, "")]
        if not given:
            continue
        if tag.kind == "category":
            found[tag.name] = " ".join(str(part) for part in reversed(given))  # Make, then Model
            continue
        number = _days(given[0]) if tag.name == "Date" else _number(given[0])
        if number is not None and (tag.kind != "log" or number > 0):
            found[tag.name] = number
    return found


def _from_row(row: reading.FileRow) -> Record:
    values = {SIGMA: Known(row.sigma_at_18pct)} if row.sigma_at_18pct else {}
    values |= {name: Known(found.value, found.low, found.high) for name, found in row.parameters.items()}
    return Record(path_fields(row.path)["path"] or "", tags_of(row.tags), values)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _days(text: Any) -> float | None:
    """Days since 1970 of an EXIF (2026:11:24 18:05:00) or ISO 8601 date, in the camera's own time."""
    date, time = str(text)[:10].replace(":", "-"), str(text)[11:19]
    try:
        return (datetime.fromisoformat(f"{date} {time}".strip()) - datetime(1970, 1, 1)).total_seconds() / SECONDS_A_DAY
    except ValueError:
        return None
