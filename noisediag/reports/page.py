"""`noisediag report`: what a batch's report holds, in one page for a browser."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.genome.parameters import PARAMETERS
from noisediag.reports.charts import BandCurve, BandPoint, Group
from noisediag.reports.html import LISTED_OUTLIERS, FailedFile, Grouping, Outlier, Page, Section, render
from noisediag.reports.listing import lead, link, listing, no_outliers, scores_of
from noisediag.reports.outliers import OUTLYING
from noisediag.reports.records import SIGMA, Record, kind_name, load, outliers
from noisediag.reports.thumbnails import thumbnail

MOST_GROUPS = 14  # of one chart
MOST_LINES = 6  # of one chart
MOST_POINTS = 2000
PICTURED = 24  # outliers with pictures
CURVE_POINTS = 24  # of a pooled noise curve
DRIFT_BINS = 40  # at most, each of about 8 files
FEWEST_DATES = 3  # spans of time that make a drift


def page(report: Path, *, thumbnails: bool, folder: Path | None = None) -> str:
    """The page, one HTML document that needs nothing else; it links to the files if it will stand in `folder`."""
    contents = load(report)
    found = outliers(contents.records)
    scores = scores_of(found)
    points = [] if contents.has_curves else _points(contents.records)
    every = -(-len(points) // MOST_POINTS) or 1
    return render(
        Page(
            title=report.name,
            lead=lead(contents, scores),
            failures=tuple(
                FailedFile(one.path, link(one.path, folder), one.code, one.message) for one in contents.failures
            ),
            sections=tuple(_sections(contents.records)),
            curves=tuple(_curves(contents.records)) if contents.has_curves else (),
            points=tuple(points[::every]),
            points_left_out=every > 1,
            drifts=tuple(_drifts(contents.records)),
            outliers=tuple(_outliers(found, folder, thumbnails=thumbnails)),
            no_outliers=no_outliers(contents),
            listing=listing(contents, scores, folder),
        )
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
    return [(kind_name(*kind), members) for kind, members in largest]


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


def _points(records: Sequence[Record]) -> list[tuple[float, float]]:
    return [record.median for record in records if record.median is not None and min(record.median) > 0]


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


def _outliers(
    found: Sequence[tuple[float, float, Record]], folder: Path | None, *, thumbnails: bool
) -> Iterator[Outlier]:
    for rank, (score, times, record) in enumerate(found[:LISTED_OUTLIERS]):
        if abs(score) <= OUTLYING:
            return
        picture = thumbnail(record.path, record.sha256) if thumbnails and rank < PICTURED else None
        href = link(record.path, folder)
        yield Outlier(record.path, kind_name(*record.kind), record.values[SIGMA], times, score, picture, href)
