"""What `explain` works on: the acquisition tags and the noise of each file, from footprints or from a report."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from noisediag.errors import UnreadableError
from noisediag.footprint.file import Footprint
from noisediag.genome.parameters import NAMES
from noisediag.reports.csv import COLUMNS

SIGMA = "sigma_at_18pct"  # beside the parameters: the one number that most people compare
TARGETS = (SIGMA, *NAMES)
SECONDS_A_DAY = 86400.0
REPORTS = (".csv", ".json", ".jsonl")


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
# The CSV's names of tags that carry a unit; the others have ExifTool's names there, too.
_CSV_NAMES = {"ExposureTime_s": "ExposureTime", "FocalLength_mm": "FocalLength", "Temperature_C": "Temperature"}


@dataclass(frozen=True)
class Measured:
    """One quantity of one file; bounds of the 90 % interval, None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Record:
    """One file: its tags by the names of TAGS (numbers, and texts of categories), its quantities by TARGETS."""

    path: str
    tags: Mapping[str, float | str]
    values: Mapping[str, Measured]


def words(target: str) -> str:
    """What one of TARGETS is called."""
    return "sigma at 18 %" if target == SIGMA else target.replace("_", " ")


def from_footprint(footprint: Footprint) -> Record:
    """The file's own footprint as a record."""
    return _from_image(footprint.to_dict())


def read_report(path: Path) -> tuple[Record, ...]:
    """The files of a report, `.json`, `.jsonl` or `.csv`, that could be estimated.

    Raises UnreadableError where it is no noisediag report.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            return tuple(_from_csv(text))
        images = (
            json.loads(text)["images"] if path.suffix == ".json" else map(json.loads, filter(str.strip, _lines(text)))
        )
        return tuple(_from_image(image) for image in images if image["status"] == "ok")
    except FileNotFoundError:
        raise UnreadableError(f"{path}: no such file or folder") from None
    except (OSError, UnicodeDecodeError, ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
        raise UnreadableError(f"{path}: is no noisediag report ({type(error).__name__}: {error})") from None


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


def _from_image(image: Mapping[str, Any]) -> Record:
    entries = {entry["name"]: entry for entry in image["planes"][-1]["parameters"]}
    values = {SIGMA: Measured(image["derived"][SIGMA])} if image["derived"][SIGMA] else {}
    for name in NAMES:
        entry = entries.get(name)
        if entry is not None and entry["value"] is not None:
            values[name] = Measured(entry["value"], entry["low"], entry["high"])
    return Record(image["path"], tags_of(image["acquisition"]), values)


def _from_csv(text: str) -> Iterator[Record]:
    """The last row of each file: its own footprint."""
    reader = csv.DictReader(_lines(text))
    wanted = {name: next(c for c in COLUMNS if c.startswith(f"{name}_")) for name in TARGETS}
    missing = [column for column in ("path", "status", *wanted.values()) if column not in (reader.fieldnames or ())]
    if missing:
        raise LookupError(f"the column {missing[0]} is missing")
    last = {row["path"]: row for row in reader if row["status"] == "ok"}
    for path, row in last.items():
        values = {}
        for name, column in wanted.items():
            value = _number(row[column])
            if value is not None:
                values[name] = Measured(value, _number(row.get(f"{column}_low")), _number(row.get(f"{column}_high")))
        yield Record(path, tags_of({_CSV_NAMES.get(key, key): cell for key, cell in row.items()}), values)


def _lines(text: str) -> Iterable[str]:
    return text.split("\n")  # unlike splitlines: names of files may hold other separators


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
