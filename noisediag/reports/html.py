"""The page of `noisediag report`: one HTML document without scripts, links to elsewhere or fonts."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

from noisediag.reports import Failure, svg
from noisediag.reports.table import number, printable

LISTED_FAILURES = 500

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--line:#bbb;--bar:#0072b2;--box:#9ecae1}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#161616;--line:#555;--bar:#56b4e9;--box:#2b5a7a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:900px;padding:1rem;font:16px/1.5 system-ui,sans-serif}
body{color:var(--ink);background:var(--paper)}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem;border-bottom:1px solid var(--line)}
a{color:inherit}:focus-visible{outline:3px solid #d55e00;outline-offset:2px}
svg{width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:currentColor}
.bar,.dot{fill:var(--bar)}.dot{fill-opacity:.5}.axis{stroke:currentColor}.grid{stroke:var(--line);stroke-width:.5}
.whisker{stroke:currentColor}.box{fill:var(--box);stroke:currentColor}.median{stroke:currentColor;stroke-width:3}
summary{cursor:pointer;padding:.3rem 0;font-weight:600}
table{border-collapse:collapse;font-size:.9rem}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.p{overflow-wrap:anywhere}
.scroll{overflow-x:auto}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(260px,1fr));gap:1rem;padding:0;list-style:none}
.cards li{border:1px solid var(--line);padding:.6rem;overflow-wrap:anywhere;font-size:.9rem}
.cards img{width:112px;height:112px;object-fit:contain;image-rendering:pixelated;background:#8884;margin-right:.4rem}
"""


@dataclass(frozen=True)
class Card:
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
    card: Card | None


@dataclass(frozen=True)
class Grouping:
    """The largest groups, and how many there are in all."""

    groups: tuple[svg.Group, ...]
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
    curves: tuple[svg.Line, ...]
    points: tuple[tuple[float, float], ...]  # median signal and sigma there, where there are no curves
    drifts: tuple[svg.Line, ...]  # over seconds since 1970
    cards: tuple[Outlier, ...]


def render(page: Page) -> str:
    """The document. Every chart's numbers stand in a table below it too."""
    parts = {
        "files": _counts(page),
        "distributions": "".join(_section(section, first=i == 0) for i, section in enumerate(page.sections)),
        "outliers": _outliers(page.cards),
        "noise curves": _noise_curves(page),
        "drift over time": _drift(page.drifts),
    }
    menu = " · ".join(f'<a href="#{_anchor(name)}">{name}</a>' for name in parts)
    body = "".join(
        f'<section id="{_anchor(name)}"><h2>{name.capitalize()}</h2>{content or "<p>Nothing to show.</p>"}</section>'
        for name, content in parts.items()
    )
    title = f"Noise of {_text(page.title)}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{title}</h1><nav>{menu}</nav><main>{body}</main></body></html>\n"
    )


def _counts(page: Page) -> str:
    content = _table(("", "files"), [(name, f"{count:,}") for name, count in page.counts])
    if page.failures:
        shown = page.failures[:LISTED_FAILURES]
        rows = [(failure.path, failure.code, failure.message) for failure in shown]
        more = f" (the first {len(shown)})" if len(shown) < len(page.failures) else ""
        content += _details(f"files that failed{more}", _table(("file", "error", "reason"), rows, numbers=()))
    return content


def _section(section: Section, *, first: bool) -> str:
    title = f"{section.title}, {section.unit}"
    content = svg.histogram(section.values, title=f"distribution of {title}", unit=section.unit, log=True)
    for way, grouping in section.groupings.items():
        groups = grouping.groups
        chart = svg.boxes(groups, title=f"{title} by {way}", unit=section.unit, log=True)
        rows = [(group.name, f"{group.count:,}", *(number(q, 3) for q in group.quantiles)) for group in groups]
        table = _table((way, "files", "10 %", "25 %", "median", "75 %", "90 %"), rows)
        part = f", the {len(groups)} largest of {grouping.total:,}" if len(groups) < grouping.total else ""
        content += f"<h3>By {way}{part}</h3>{chart}{_details('as a table', table)}"
    return _details(f"{title}: {len(section.values):,} files", content, opened=first)


def _outliers(cards: Sequence[Outlier]) -> str:
    if not cards:
        return "<p>No file's noise is unlike that of the others of its domain, camera and ISO.</p>"
    shown = [card for card in cards if card.card is not None]
    items = "".join(f"<li>{_card(outlier)}</li>" for outlier in shown)
    rows = [
        (outlier.path, outlier.kind, number(outlier.sigma, 3), number(outlier.times_median, 3), f"{outlier.score:+.1f}")
        for outlier in cards
    ]
    table = _table(("file", "kind", "sigma", "times median", "score"), rows, numbers=(2, 3, 4))
    intro = (
        "<p>Farthest from the median of their domain, camera and ISO; the score is in robust standard deviations of "
        "the logarithm. Left the whole picture, right its middle 64 x 64 pixels, stretched.</p>"
    )
    return f'{intro}<ul class="cards">{items}</ul>{_details(f"the first {len(rows)}, as a table", table)}'


def _card(outlier: Outlier) -> str:
    card, name = outlier.card, _text(os.path.basename(outlier.path))  # noqa: PTH119
    assert card is not None
    if card.whole is None or card.middle is None:
        pictures = f"<p>no picture: {_text(card.reason or '')}</p>"
    else:
        pictures = _image(card.whole, f"{name}, whole") + _image(card.middle, f"{name}, middle, pixel by pixel")
    return (
        f"{pictures}<br><strong>{number(outlier.times_median, 2)} times the median</strong>, sigma "
        f"{number(outlier.sigma, 3)}<br>{_text(outlier.kind)}<br>{_text(outlier.path)}"
    )


def _noise_curves(page: Page) -> str:
    if page.curves:
        chart = svg.lines(
            page.curves,
            title="noise curves: median and middle four fifths of the files",
            x_unit="signal, 0 black, 1 white",
            y_unit="sigma, fraction of white - black",
            log=True,
        )
        return chart + _details("as a table", _line_table(page.curves, "signal", lambda x: number(x, 3)))
    if page.points:
        return "<p>A dot a file; the curves themselves are in the .jsonl report.</p>" + svg.points(
            page.points,
            title="sigma at the median signal of each file",
            x_unit="median signal, 0 black, 1 white",
            y_unit="sigma there, fraction of white - black",
        )
    return ""


def _drift(drifts: Sequence[svg.Line]) -> str:
    if not drifts:
        return "<p>Too few files say when they were taken.</p>"
    times = [point[0] for line in drifts for point in line.points]
    first, span = min(times), max(times) - min(times)
    marks = [(first + span * share, _day(first + span * share)) for share in (0, 1 / 3, 2 / 3, 1)]
    chart = svg.lines(
        drifts,
        title="effective sigma over time: median and middle four fifths",
        x_unit="date",
        y_unit="sigma, fraction of white - black",
        x_names=marks,
        log=False,
    )
    return chart + _details("as a table", _line_table(drifts, "date", _day))


def _line_table(lines: Sequence[svg.Line], what: str, shown: Callable[[float], str]) -> str:
    rows = [
        (line.name, shown(point[0]), *(number(value, 3) for value in (point[2], point[1], point[3])))
        for line in lines
        for point in line.points
    ]
    return _table(("", what, "10 %", "median", "90 %"), rows)


def _day(seconds: float) -> str:
    return (datetime(1970, 1, 1) + timedelta(seconds=seconds)).strftime("%Y-%m-%d")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] | None = None) -> str:
    """`numbers`: the columns set as such; all but the first unless given."""
    right = range(1, len(head)) if numbers is None else numbers

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="{"n" if column in right else "p"}">{_text(cell)}</{tag}>' for column, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'


def _details(summary: str, content: str, *, opened: bool = False) -> str:
    return f"<details{' open' if opened else ''}><summary>{_text(summary)}</summary>{content}</details>"


def _image(png: bytes, description: str) -> str:
    return f'<img alt="{description}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _text(value: str) -> str:
    return escape(printable(value))
