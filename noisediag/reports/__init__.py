"""Footprints as files and on the screen. Nothing here knows how an estimate is made.

attempt     one file's footprint, or the Failure that whatever went wrong becomes
document    footprints as plain dicts; json and csv: the reports' texts; writing: reports of any length, row by row
reading     all of them, read back
table       for people; plots, maps, denoisers: other forms of one footprint
page        what `noisediag report` shows; html, charts and templates/: how
figures     tables, JSON and CSV of the studies and benchmarks, which are no footprints
deadline    how long a file may take
files       outputs that appear whole or not at all; progress: a bar on stderr; outliers: what a batch warns of
"""

from __future__ import annotations

from dataclasses import dataclass

from noisediag.footprint.file import Footprint

SCHEMA = "noisediag.report/1"


@dataclass(frozen=True)
class Failure:
    """An input that could not be estimated. `code` is one of the report's error codes, `message` one line."""

    path: str
    code: str
    message: str


Outcome = Footprint | Failure  # what became of one input
