"""The table of files on a page, the links to them, and the sentence above it all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from noisediag.reports import Failure
from noisediag.reports.numbers import number
from noisediag.reports.outliers import FEWEST_FILES, OUTLYING
from noisediag.reports.records import SIGMA, Contents, Record, comparable
from noisediag.reports.table import FLAG_WORDS

MOST_LINES = 10_000  # of the table
CAMERAS_NAMED = 3
ITSELF = ("", "-")  # of a path: there is no file to link to


@dataclass(frozen=True, slots=True)
class FileLine:
    """One line of the table, its numbers as text, "" for what is unknown.

    `kinds`: what it is chosen by: o stands out, e failed, d0, d1, ... its domain.
    """

    name: str
    href: str | None
    kinds: tuple[str, ...]
    remark: str
    camera: str = ""
    iso: str = ""
    date: str = ""
    domain: str = ""
    sigma: str = ""
    times: str = ""
    at_18: str = ""
    gain: str = ""
    read: str = ""


@dataclass(frozen=True)
class Listing:
    """The table of files. `folder`: what all names are in, if anything; `domains`: names and numbers of those there."""

    lines: tuple[FileLine, ...]
    folder: str
    domains: tuple[tuple[str, int], ...]
    left_out: int


Scores = Mapping[str, tuple[float, float]]  # by path: score, times the median


def listing(contents: Contents, scores: Scores, folder: Path | None) -> Listing:
    """The lines of all files in the order of their paths; links are relative to `folder`, where the page will be."""
    entries: list[Record | Failure] = [*contents.failures, *contents.records]
    total = len(entries)
    if total > MOST_LINES:
        entries.sort(key=lambda one: (not isinstance(one, Failure), not _stands_out(one.path, scores), one.path))
        entries = entries[:MOST_LINES]
    entries.sort(key=lambda one: one.path)
    common = _common_folder([one.path for one in entries])
    domains = {name: place for place, name in enumerate(sorted({record.domain for record in contents.records}))}
    lines = tuple(_line(one, common, domains, scores, folder) for one in entries)
    return Listing(lines, common, tuple(domains.items()), total - len(entries))


def link(path: str, folder: Path | None) -> str | None:
    """Where a page in `folder` finds the file at `path`: relative, so that both may move together, and never a scheme.

    >>> link("in/a b#1.dng", Path("in"))
    'a%20b%231.dng'
    """
    if path in ITSELF or folder is None:
        return None
    absolute = os.path.abspath(path)  # noqa: PTH100 - a link must not be resolved: names stay what they are
    try:
        relative = os.path.relpath(absolute, folder)
    except ValueError:  # another drive
        return Path(absolute).as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))


def lead(contents: Contents, scores: Scores) -> str:
    """What the report holds in a sentence: how many files, of which cameras and dates, and how many stand out."""
    measured, failed = len(contents.records), len(contents.failures)
    parts = [_counted(measured + failed, "file") + (f", of which {failed:,} failed" if failed else "")]
    cameras = Counter(record.camera for record in contents.records if record.camera is not None)
    if cameras:
        named = ", ".join(name for name, _ in cameras.most_common(CAMERAS_NAMED))
        parts.append(f"{_counted(len(cameras), 'camera')} ({named}{', ...' if len(cameras) > CAMERAS_NAMED else ''})")
    elif measured:
        parts.append("no camera named")
    dates = sorted(record.date for record in contents.records if record.date is not None)
    if dates:
        first, last = (f"{date:%Y-%m-%d}" for date in (dates[0], dates[-1]))
        parts.append(f"taken on {first}" if first == last else f"taken from {first} to {last}")
    elif measured:
        parts.append("no date")
    return "; ".join([*parts, *([_standing(contents, scores)] if measured else [])]) + "."


def no_outliers(contents: Contents) -> str:
    """Why the list of outliers is empty."""
    if any(len(members) >= FEWEST_FILES for members in comparable(contents.records)):
        return "No file's noise is unlike that of the others of its domain, camera and ISO."
    return f"Too few files to tell: {FEWEST_FILES} of one domain are needed for one of them to stand out."


def _standing(contents: Contents, scores: Scores) -> str:
    count = sum(abs(score) > OUTLYING for score, _ in scores.values())
    if count:
        return f"the noise of {count:,} {'stands' if count == 1 else 'stand'} out"
    enough = any(len(members) >= FEWEST_FILES for members in comparable(contents.records))
    return "none stands out" if enough else "too few to tell whether any stands out"


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _line(
    one: Record | Failure, common: str, domains: Mapping[str, int], scores: Scores, folder: Path | None
) -> FileLine:
    name = os.path.relpath(one.path, common) if common and one.path not in ITSELF else one.path
    href = link(one.path, folder)
    if isinstance(one, Failure):
        return FileLine(name, href, ("e",), f"failed, {one.code}: {one.message}")
    score = scores.get(one.path)
    stands = _stands_out(one.path, scores)
    remarks = [*(["stands out"] if stands else []), *(FLAG_WORDS.get(flag, flag) for flag in one.flags)]
    return FileLine(
        name,
        href,
        (*(("o",) if stands else ()), f"d{domains[one.domain]}"),
        ", ".join(remarks),
        camera=one.camera or "",
        iso="" if one.iso is None else f"{one.iso:g}",
        date="" if one.date is None else f"{one.date:%Y-%m-%d}",
        domain=one.domain,
        sigma=_shown(one.values.get(SIGMA)),
        times="" if score is None else number(score[1], 3),
        at_18=_shown(one.sigma_at_18pct),
        gain=_shown(one.gain),
        read=_shown(one.read_noise_e, 2),
    )


def _shown(value: float | None, significant: int = 3) -> str:
    return "" if value is None else number(value, significant)


def _stands_out(path: str, scores: Scores) -> bool:
    return path in scores and abs(scores[path][0]) > OUTLYING


def _common_folder(paths: Iterable[str]) -> str:
    folders = {os.path.dirname(path) for path in paths if path not in ITSELF}  # noqa: PTH120
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:  # relative and absolute ones, or several drives
        return ""


def scores_of(found: Sequence[tuple[float, float, Record]]) -> Scores:
    """Score and times the median by path."""
    return {record.path: (score, times) for score, times, record in found}
