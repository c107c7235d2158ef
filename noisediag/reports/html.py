"""What the page of `noisediag report` shows, and the page as HTML: templates/page.html.j2."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from noisediag.errors import printable
from noisediag.reports import charts
from noisediag.reports.listing import Listing
from noisediag.reports.numbers import number
from noisediag.reports.thumbnails import Thumbnail
from noisediag.reports.ticks import moment

LISTED_FAILURES, LISTED_OUTLIERS = 500, 200
FAILURES_IN_SIGHT = 20


@dataclass(frozen=True)
class Outlier:
    """A file whose noise is unlike that of others of its kind. `score`: robust standard deviations of ln(sigma)."""

    path: str
    kind: str
    sigma: float
    times_median: float
    score: float
    thumbnail: Thumbnail | None
    href: str | None = None


@dataclass(frozen=True)
class FailedFile:
    """A file that could not be measured, and why."""

    path: str
    href: str | None
    code: str
    message: str


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
    lead: str  # a sentence
    failures: tuple[FailedFile, ...]
    sections: tuple[Section, ...]
    curves: tuple[charts.BandCurve, ...]
    points: tuple[tuple[float, float], ...]  # median signal and sigma there, where there are no curves
    drifts: tuple[charts.BandCurve, ...]  # over seconds since 1970
    outliers: tuple[Outlier, ...]
    listing: Listing
    points_left_out: bool = False
    no_outliers: str = ""  # why there are none


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
    # As it is: what a browser compares with the digest in the page's own policy is every byte.
    script = resources.files(__package__).joinpath("templates", "page.js").read_text("utf-8")
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
        "moment": lambda seconds: moment(seconds, "%Y-%m-%d %H:%M"),
        "signal": lambda value: number(value, 3),
        "most_failures": LISTED_FAILURES,
        "most_outliers": LISTED_OUTLIERS,
        "failures_in_sight": FAILURES_IN_SIGHT,
        "script": Markup(script),
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    }
    return environment.get_template("page.html.j2").render().lstrip() + "\n"


def _shown(value: Any) -> Any:
    """Texts as they are printed elsewhere; what is markup already stays."""
    return printable(value) if type(value) is str else value
