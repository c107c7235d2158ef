"""What the page of `noisediag report` shows, and the page as HTML: templates/page.html.j2."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from noisediag.errors import printable
from noisediag.reports import Failure, charts
from noisediag.reports.table import number

LISTED_FAILURES = 500


@dataclass(frozen=True)
class Thumbnail:
    """PNGs of a whole picture and of its middle, pixel by pixel; or why there is none."""

    whole: bytes | None
    middle: bytes | None
    reason: str | None


@dataclass(frozen=True)
class Outlier:
    """A file whose noise is unlike that of others of its kind. `score`: robust standard deviations of ln(sigma)."""

    path: str
    kind: str
    sigma: float
    times_median: float
    score: float
    thumbnail: Thumbnail | None


@dataclass(frozen=True)
class Grouping:
    """The largest groups, and how many there are in all."""

    groups: tuple[charts.Group, ...]
    total: int


@dataclass(frozen=True)
class Section:
    """One quantity: all its values, and its groups by what they are grouped."""

    title: str
    unit: str
    values: tuple[float, ...]
    groupings: Mapping[str, Grouping]


@dataclass(frozen=True)
class Page:
    """Everything that the page shows."""

    title: str
    counts: tuple[tuple[str, int], ...]
    failures: tuple[Failure, ...]
    sections: tuple[Section, ...]
    curves: tuple[charts.BandCurve, ...]
    points: tuple[tuple[float, float], ...]  # median signal and sigma there, where there are no curves
    drifts: tuple[charts.BandCurve, ...]  # over seconds since 1970
    outliers: tuple[Outlier, ...]


def render(page: Page) -> str:
    """The document. Whatever a file is called, or says, stands there as text."""
    environment = Environment(
        loader=PackageLoader("noisediag.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {
        "number": number,
        "thousands": "{:,}".format,
        "shortened": charts.shortened,
        "basename": os.path.basename,
        "base64": lambda data: base64.b64encode(data).decode("ascii"),
    }
    environment.globals |= {
        "page": page,
        "charts": charts,
        "day": charts.day,
        "signal": lambda value: number(value, 3),
        "most_failures": LISTED_FAILURES,
    }
    return environment.get_template("page.html.j2").render().lstrip() + "\n"


def _shown(value: Any) -> Any:
    """Texts as they are printed elsewhere; what is markup already stays."""
    return printable(value) if type(value) is str else value
