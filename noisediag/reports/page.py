"""`noisediag report`: what a batch's report holds, in one page for a browser."""

from __future__ import annotations

import io
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import OUT_OF_MEMORY, InputError, UnreadableError
from noisediag.footprint.plane import counts_as_found
from noisediag.genome.parameters import PARAMETERS
from noisediag.images import Plane, missing_pixels, read
from noisediag.reports import Failure
from noisediag.reports.charts import BandCurve, BandPoint, Group
from noisediag.reports.deadline import deadline
from noisediag.reports.document import path_fields
from noisediag.reports.html import Grouping, Outlier, Page, Section, Thumbnail, render
from noisediag.reports.outliers import FEWEST_FILES, OUTLYING, robust_scores
from noisediag.reports.reading import FileRow, rows

MOST_GROUPS = 14  # of one chart
MOST_LINES = 6  # of one chart
THUMBNAIL_S = 30.0  # that reading a picture of an outlier may take
PICTURED, LISTED = 24, 200  # outliers with pictures, and in all
CURVE_POINTS = 24  # of a pooled noise curve
DRIFT_BINS = 40  # at most, each of about 8 files
FEWEST_DATES = 3  # spans of time that make a drift
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


def page(report: Path, *, thumbnails: bool) -> str:
    """The page, one HTML document that needs nothing else."""
    contents = load(report)
    return render(
        Page(
            title=report.name,
            counts=_counts(contents),
            failures=tuple(contents.failures),
            sections=tuple(_sections(contents.records)),
            curves=tuple(_curves(contents.records)) if contents.has_curves else (),
            points=() if contents.has_curves else tuple(_points(contents.records)),
            drifts=tuple(_drifts(contents.records)),
            outliers=tuple(_outliers(contents.records, thumbnails=thumbnails)),
        )
    )


def outliers(records: Sequence[Record]) -> list[tuple[float, float, Record]]:
    """(score, times the median, file), the farthest first; within the files of one domain, camera and ISO, or of one
    domain where these are too few."""
    groups: dict[Any, list[Record]] = {}
    for record in records:
        if record.values.get(SIGMA, 0) > 0:
            groups.setdefault(record.kind, []).append(record)
    for kind in [kind for kind, members in groups.items() if len(members) < FEWEST_FILES]:
        groups.setdefault(kind[0], []).extend(groups.pop(kind))
    found = []
    for members in groups.values():
        logs = [math.log(record.values[SIGMA]) for record in members]
        middle = float(np.median(logs))
        found += [
            (score, math.exp(value - middle), record)
            for score, value, record in zip(robust_scores(logs), logs, members, strict=True)
        ]
    return sorted(found, key=lambda item: (-abs(item[0]), item[2].path))


def _counts(contents: Contents) -> tuple[tuple[str, int], ...]:
    codes = Counter(failure.code for failure in contents.failures)
    domains = Counter(record.domain for record in contents.records)
    return (
        ("files", len(contents.records) + len(contents.failures)),
        *((f"ok, {domain}", count) for domain, count in sorted(domains.items())),
        *((code, count) for code, count in codes.most_common()),
    )


def _sections(records: Sequence[Record]) -> Iterator[Section]:
    """Of each quantity that some file has: its distribution, by folder, camera, ISO and date."""
    quantities = [(SIGMA, "effective sigma", "fraction of white - black")]
    quantities += [(p.name, p.name.replace("_", " "), p.unit) for p in PARAMETERS]
    ways: dict[str, Callable[[Record], str | None]] = {
        "folder": _folder_names(records),
        "camera": lambda record: record.camera,
        "ISO": lambda record: None if record.iso is None else f"ISO {record.iso:g}",
        "date": _date_names(records),
    }
    for name, title, unit in quantities:
        values = [record.values[name] for record in records if record.values.get(name, 0) > 0]
        if values:
            groupings = {
                way: _grouped(records, name, key, by_count=way in ("folder", "camera")) for way, key in ways.items()
            }
            yield Section(title, unit, tuple(values), {way: found for way, found in groupings.items() if found.total})


def _grouped(records: Iterable[Record], name: str, key: Callable[[Record], str | None], *, by_count: bool) -> Grouping:
    """The largest groups, in the order of their size or of their names."""
    values: dict[str, list[float]] = {}
    for record in records:
        group, value = key(record), record.values.get(name, 0)
        if group is not None and value > 0:
            values.setdefault(group, []).append(value)
    largest = sorted(values, key=lambda group: (-len(values[group]), group))[:MOST_GROUPS]
    order = largest if by_count else sorted(largest, key=lambda group: (len(group), group))
    groups = (
        Group(group, len(values[group]), tuple(np.quantile(values[group], (0.1, 0.25, 0.5, 0.75, 0.9)).tolist()))
        for group in order
    )
    return Grouping(tuple(groups), len(values))


def _folder_names(records: Sequence[Record]) -> Callable[[Record], str | None]:
    """Folders from the first one that differs on; None where there is only one."""
    folders = {record.folder for record in records}
    if len(folders) < 2:
        return lambda record: None
    common = os.path.commonpath(folders) if len({os.path.isabs(name) for name in folders}) == 1 else ""  # noqa: PTH117
    return lambda record: os.path.relpath(record.folder, common) if common else record.folder


def _date_names(records: Sequence[Record]) -> Callable[[Record], str | None]:
    """Days, months or years, whichever are few enough."""
    dates = [record.date for record in records if record.date is not None]
    form = next((f for f in ("%Y-%m-%d", "%Y-%m") if len({d.strftime(f) for d in dates}) <= MOST_GROUPS), "%Y")
    return lambda record: None if record.date is None else record.date.strftime(form)


def _largest_kinds(records: Iterable[Record]) -> list[tuple[str, list[Record]]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(record.kind, []).append(record)
    largest = sorted(groups.items(), key=lambda item: (-len(item[1]), str(item[0])))[:MOST_LINES]
    return [(_kind_name(*kind), members) for kind, members in largest]


def _kind_name(domain: str, camera: str | None, iso: float | None) -> str:
    return " ".join([camera or domain, *([] if iso is None else [f"ISO {iso:g}"])])


def _curves(records: Sequence[Record]) -> Iterator[BandCurve]:
    """Of each domain, camera and ISO: quantiles 10, 50, 90 % of the files' curves, over the signals that most have."""
    for name, members in _largest_kinds(record for record in records if len(record.curve) > 1):
        spans = [(max(record.curve[0][0], 1e-4), record.curve[-1][0]) for record in members]
        low, high = float(np.median([span[0] for span in spans])), float(np.median([span[1] for span in spans]))
        if not 0 < low < high:
            continue
        points = []
        for x in np.geomspace(low, high, CURVE_POINTS).tolist():
            there = [
                float(np.interp(x, [p[0] for p in record.curve], [p[1] for p in record.curve]))
                for record in members
                if record.curve[0][0] <= x * 1.001 and x <= record.curve[-1][0] * 1.001
            ]
            there = [sigma for sigma in there if sigma > 0]
            if there:
                q = np.quantile(there, (0.5, 0.1, 0.9)).tolist()
                points.append(BandPoint(x, *q))
        if len(points) > 1:
            yield BandCurve(f"{name} ({len(members)})", tuple(points))


def _points(records: Sequence[Record], most: int = 2000) -> list[tuple[float, float]]:
    found = [record.median for record in records if record.median is not None and min(record.median) > 0]
    return found[:: -(-len(found) // most) or 1]


def _drifts(records: Iterable[Record]) -> Iterator[BandCurve]:
    """Sigma over time of each domain, camera and ISO, as seconds since 1970: quantiles 10, 50, 90 % of equal spans."""
    dated = (record for record in records if record.date is not None and record.values.get(SIGMA, 0) > 0)
    for name, members in _largest_kinds(dated):
        times = np.array([_seconds(record.date) for record in members])
        sigmas = np.array([record.values[SIGMA] for record in members])
        bins = min(DRIFT_BINS, max(FEWEST_DATES, len(members) // 8))
        place = np.minimum(((times - times.min()) / max(np.ptp(times), 1) * bins).astype(int), bins - 1)
        points = []
        for index in np.unique(place):
            there = place == index
            q = np.quantile(sigmas[there], (0.5, 0.1, 0.9)).tolist()
            points.append(BandPoint(float(times[there].mean()), *q))
        if len(points) >= FEWEST_DATES:
            yield BandCurve(f"{name} ({len(members)})", tuple(points))


def _seconds(date: datetime | None) -> float:
    assert date is not None
    return (date - datetime(1970, 1, 1)).total_seconds()


def _outliers(records: Sequence[Record], *, thumbnails: bool) -> Iterator[Outlier]:
    for rank, (score, times, record) in enumerate(outliers(records)[:LISTED]):
        if abs(score) <= OUTLYING:
            return
        picture = thumbnail(record.path, record.sha256) if thumbnails and rank < PICTURED else None
        yield Outlier(record.path, _kind_name(*record.kind), record.values[SIGMA], times, score, picture)


def thumbnail(path: str, sha256: str | None) -> Thumbnail:
    """The whole picture, small, and its middle pixel by pixel, where noise can be seen. Says why where it cannot.

    A report names files, and whoever wrote it may have named any: only what was measured, by its digest, is shown.
    """
    try:
        with deadline(THUMBNAIL_S):
            image = read(path)
            if image.sha256 != sha256:
                raise UnreadableError("is not the file that was measured")
            planes = image.planes
            chosen = planes[:3] if [plane.name for plane in planes] == ["R", "G", "B"] else planes[:1]
            pixels = np.stack([_drawn(plane) for plane in chosen], axis=-1)
    except InputError as error:
        return Thumbnail(None, None, str(error).removeprefix(f"{path_fields(path)['path']}: "))
    except MemoryError:
        return Thumbnail(None, None, OUT_OF_MEMORY)
    height, width = pixels.shape[:2]
    step = max(1, max(height, width) // 160)
    top, left = max(0, height - 64) // 2, max(0, width - 64) // 2
    low, high = np.quantile(pixels[::step, ::step], (0.005, 0.995))
    small, middle = (
        np.rint(255 * np.clip((part - low) / (high - low or 1), 0, 1)).astype(np.uint8)
        for part in (pixels[::step, ::step], pixels[top : top + 64, left : left + 64])
    )
    return Thumbnail(_png(small), _png(middle), None)


def _drawn(plane: Plane) -> NDArray[np.float64]:
    """The codes of `plane`, and the lowest one for pixels that hold no value."""
    codes = plane.load()
    values, missing = codes.astype(np.float64), missing_pixels(plane, codes)
    if missing is not None:
        values[missing] = 0.0 if missing.all() else values[~missing].min()
    return values


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _record(row: FileRow) -> Record:
    values = {
        name: found.value for name, found in row.parameters.items() if counts_as_found(found.value, found.present)
    }
    if row.sigma_effective is not None:
        values[SIGMA] = row.sigma_effective
    at, sigma = row.signal_median, row.sigma_at_median
    median = None if at is None or sigma is None else (at, sigma)
    return Record(row.path, row.domain, *_origin(row.tags), values, median, row.curve or (), row.sha256)


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
