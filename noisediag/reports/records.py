"""The files of a report as `noisediag report` takes them, and which of them stand out."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.errors import UnreadableError
from noisediag.footprint.plane import counts_as_found
from noisediag.reports import Failure
from noisediag.reports.outliers import FEWEST_FILES, robust_scores
from noisediag.reports.reading import FileRow, rows

DATE_FORMATS = ("%Y:%m:%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d")
SIGMA = "sigma"


@dataclass(frozen=True, slots=True)
class Record:
    """One file that was measured: its own footprint in a few numbers, unknown ones left out."""

    path: str
    domain: str
    camera: str | None
    iso: float | None
    date: datetime | None
    values: Mapping[str, float]  # by quantity: "sigma" (effective, normalised), names of parameters
    median: tuple[float, float] | None  # signal, sigma there
    curve: tuple[tuple[float, float], ...] = ()
    sha256: str | None = None
    sigma_at_18pct: float | None = None  # normalised
    gain: float | None = None  # e-/DN
    read_noise_e: float | None = None
    flags: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path) or "."  # noqa: PTH120

    @property
    def kind(self) -> tuple[str, str | None, float | None]:
        """What must be equal for noise to be comparable."""
        return self.domain, self.camera, self.iso


@dataclass
class Contents:
    """All files of a report."""

    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    has_curves: bool = False


def load(report: Path) -> Contents:
    """The files of a report. Raises UnreadableError where it is none, or empty."""
    contents = Contents()
    for row in rows(report):
        if isinstance(row, Failure):
            contents.failures.append(row)
        else:
            contents.records.append(_record(row))
            contents.has_curves |= row.curve is not None
    if not contents.records and not contents.failures:
        raise UnreadableError(f"{report}: holds no file")
    return contents


def comparable(records: Sequence[Record]) -> list[list[Record]]:
    """Groups of files whose noise is compared: of one domain, camera and ISO, or of one domain where these are few."""
    groups: dict[Any, list[Record]] = {}
    for record in records:
        if record.values.get(SIGMA, 0) > 0:
            groups.setdefault(record.kind, []).append(record)
    for kind in [kind for kind, members in groups.items() if len(members) < FEWEST_FILES]:
        groups.setdefault(kind[0], []).extend(groups.pop(kind))
    return list(groups.values())


def outliers(records: Sequence[Record]) -> list[tuple[float, float, Record]]:
    """(score, times the median, file), the farthest first; within the files of one domain, camera and ISO, or of one
    domain where these are too few."""
    found = []
    for members in comparable(records):
        logs = [math.log(record.values[SIGMA]) for record in members]
        middle = float(np.median(logs))
        found += [
            (score, math.exp(value - middle), record)
            for score, value, record in zip(robust_scores(logs), logs, members, strict=True)
        ]
    return sorted(found, key=lambda item: (-abs(item[0]), item[2].path))


def kind_name(domain: str, camera: str | None, iso: float | None) -> str:
    """Domain or camera, and ISO, in words."""
    return " ".join([camera or domain, *([] if iso is None else [f"ISO {iso:g}"])])


def _record(row: FileRow) -> Record:
    values = {
        name: found.value for name, found in row.parameters.items() if counts_as_found(found.value, found.present)
    }
    if row.sigma_effective is not None:
        values[SIGMA] = row.sigma_effective
    at, sigma = row.signal_median, row.sigma_at_median
    median = None if at is None or sigma is None else (at, sigma)
    return Record(
        row.path,
        row.domain,
        *_origin(row.tags),
        values,
        median,
        row.curve or (),
        row.sha256,
        sigma_at_18pct=row.sigma_at_18pct,
        gain=row.gain,
        read_noise_e=row.read_noise_e,
        flags=row.flags,
    )


def _origin(tags: Mapping[str, Any]) -> tuple[str | None, float | None, datetime | None]:
    """Camera, ISO and date of a file's tags."""
    camera = " ".join(str(tags[tag]) for tag in ("Make", "Model") if tags.get(tag)) or None
    iso = tags.get("ISO")
    date = _date(tags.get("DateTimeOriginal"))
    if isinstance(iso, int | float) and abs(iso) <= sys.float_info.max:
        return camera, float(iso), date
    return camera, None, date


def _date(text: Any) -> datetime | None:
    for form in DATE_FORMATS:
        try:
            return datetime.strptime(str(text), form)
        except ValueError:  # noqa: PERF203
            continue
    return None
