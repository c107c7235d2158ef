"""Footprints as files and on the screen. Nothing here knows how an estimate is made."""

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
