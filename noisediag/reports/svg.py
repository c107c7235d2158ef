"""Charts as SVG text: no library, no script, readable without colour and by a screen reader."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from noisediag.reports.table import number, printable

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 720, 190, 20, 8, 34  # px
ROW = 22  # of a group
# Okabe and Ito 2008, which all kinds of colour vision tell apart; dashes and labels say the same without any.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "14 4", "4 2 1 2", "1 1", "3 6")


@dataclass(frozen=True)
class Group:
    """What the values of one group come to: counts and quantiles 10, 25, 50, 75, 90 %."""

    name: str
    count: int
    quantiles: tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Line:
    """A curve with its band: (x, y, low, high) at each point."""

    name: str
    points: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Scale:
    """Values to pixels, by logarithm or evenly."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float, *, log: bool) -> Scale:
        """A scale that holds all `values` (positive ones, for `log`) with a little room."""
        low, high = min(values), max(values)
        if log:
            return cls(low / 1.15, high * 1.15, start, end, True)
        room = 0.04 * (high - low) or abs(high) * 0.1 or 1.0
        return cls(low - room, high + room, start, end, False)

    def at(self, value: float) -> float:
        """Where `value` lies, px."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Round values within, about four to eight of them."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            steps = (1, 2, 5) if last - first <= 3 else (1,)
            marks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
            marks = marks[:: max(1, len([m for m in marks if self.low <= m <= self.high]) // 8)]
        else:
            raw = (self.high - self.low) / 5
            unit = 10.0 ** math.floor(math.log10(raw))
            step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
            marks = [step * index for index in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        return [mark for mark in marks if self.low <= mark <= self.high]


def histogram(values: Sequence[float], *, title: str, unit: str, log: bool, bins: int = 40) -> str:
    """How often which value occurs."""
    height = 150
    x = Scale.around(values, LEFT, WIDTH - RIGHT, log=log)
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((x.at(value) - x.start) / (x.end - x.start) * bins))] += 1
    wide, most = (x.end - x.start) / bins, max(counts)
    floor = height - BOTTOM
    bars = []
    for index, count in enumerate(counts):
        tall = count / most * (floor - TOP)
        if count:
            left = x.start + index * wide + 0.5
            bars.append(f'<rect x="{left:.1f}" y="{floor - tall:.1f}" width="{wide - 1:.1f}" height="{tall:.1f}"/>')
    label = f'<text x="{LEFT - 8}" y="{TOP + 12}" text-anchor="end">{most} file{"s" * (most > 1)}</text>'
    return _svg(height, title, f'<g class="bar">{"".join(bars)}</g>{label}{_x_axis(x, floor, unit)}')


def boxes(groups: Sequence[Group], *, title: str, unit: str, log: bool) -> str:
    """A row a group: median, middle half and middle four fifths."""
    height = TOP + ROW * len(groups) + BOTTOM
    x = Scale.around([value for group in groups for value in group.quantiles], LEFT, WIDTH - RIGHT, log=log)
    rows = []
    for index, group in enumerate(groups):
        y = TOP + ROW * index + ROW / 2
        outer, lower, middle, upper, far = (x.at(value) for value in group.quantiles)
        tip = f"{group.name}: median {number(group.quantiles[2], 3)}, {group.count} files"
        rows.append(
            f'<g><title>{_text(tip)}</title><text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">'
            f"{_text(_short(group.name))} ({group.count})</text>"
            f'<line class="whisker" x1="{outer}" x2="{far}" y1="{y}" y2="{y}"/>'
            f'<rect class="box" x="{lower}" y="{y - 6}" width="{max(upper - lower, 1):.1f}" height="12"/>'
            f'<line class="median" x1="{middle}" x2="{middle}" y1="{y - 8}" y2="{y + 8}"/></g>'
        )
    return _svg(height, title, "".join(rows) + _x_axis(x, height - BOTTOM, unit))


def lines(
    curves: Sequence[Line],
    *,
    title: str,
    x_unit: str,
    y_unit: str,
    x_names: Sequence[tuple[float, str]] = (),
    log: bool,
) -> str:
    """Curves with bands, told apart by colour, dash and a label at the end. `x_names`: ticks with words, e.g. dates."""
    height, left, right = 340, 70, 260
    floor = height - BOTTOM
    x = Scale.around([p[0] for line in curves for p in line.points], left, WIDTH - right, log=log)
    y = Scale.around([v for line in curves for p in line.points for v in p[1:]], floor, TOP, log=True)
    parts = [
        f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{y.at(tick)}" y2="{y.at(tick)}"/>'
        f'<text x="{left - 6}" y="{y.at(tick) + 4}" text-anchor="end">{number(tick, 2)}</text>'
        for tick in y.ticks()
    ]
    labels: list[float] = []
    for index, line in enumerate(curves):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        upper = [f"{x.at(p[0])},{y.at(p[3])}" for p in line.points]
        lower = [f"{x.at(p[0])},{y.at(p[2])}" for p in reversed(line.points)]
        middle = " ".join(f"{x.at(p[0])},{y.at(p[1])}" for p in line.points)
        end = y.at(line.points[-1][1])
        while any(abs(end - other) < 13 for other in labels):
            end += 13
        labels.append(end)
        parts.append(
            f'<g fill="{colour}" stroke="{colour}"><title>{_text(line.name)}</title>'
            f'<polygon points="{" ".join(upper + lower)}" fill-opacity="0.12" stroke="none"/>'
            f'<polyline points="{middle}" fill="none" stroke-width="2" stroke-dasharray="{dash}"/>'
            f'<line x1="{WIDTH - right + 6}" x2="{WIDTH - right + 34}" y1="{end}" y2="{end}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/><text x="{WIDTH - right + 40}" y="{end + 4}" stroke="none">'
            f"{_text(_short(line.name, 32))}</text></g>"
        )
    axis = _x_axis(x, floor, x_unit, x_names)
    return _svg(height, title, f'{"".join(parts)}{axis}<text x="{left}" y="{TOP + 4}">{_text(y_unit)}</text>')


def points(pairs: Sequence[tuple[float, float]], *, title: str, x_unit: str, y_unit: str) -> str:
    """A dot a file, both axes logarithmic."""
    height, left = 340, 70
    floor = height - BOTTOM
    x = Scale.around([p[0] for p in pairs], left, WIDTH - RIGHT, log=True)
    y = Scale.around([p[1] for p in pairs], floor, TOP, log=True)
    dots = "".join(f'<circle cx="{x.at(a)}" cy="{y.at(b)}" r="2.5"/>' for a, b in pairs)
    ticks = "".join(
        f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y.at(tick)}" y2="{y.at(tick)}"/>'
        f'<text x="{left - 6}" y="{y.at(tick) + 4}" text-anchor="end">{number(tick, 2)}</text>'
        for tick in y.ticks()
    )
    caption = f'<text x="{left}" y="{TOP + 4}">{_text(y_unit)}</text>'
    return _svg(height, title, f'{ticks}<g class="dot">{dots}</g>{_x_axis(x, floor, x_unit)}{caption}')


def _x_axis(x: Scale, y: float, unit: str, names: Sequence[tuple[float, str]] = ()) -> str:
    marks = names or [(tick, number(tick, 2)) for tick in x.ticks()]
    ticks = "".join(
        f'<line class="axis" x1="{x.at(value)}" x2="{x.at(value)}" y1="{y}" y2="{y + 4}"/>'
        f'<text x="{x.at(value)}" y="{y + 16}" text-anchor="middle">{_text(name)}</text>'
        for value, name in marks
    )
    return (
        f'<line class="axis" x1="{x.start}" x2="{x.end}" y1="{y}" y2="{y}"/>{ticks}'
        f'<text x="{x.end}" y="{y + 31}" text-anchor="end">{_text(unit)}</text>'
    )


def _svg(height: float, title: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{_text(title)}"><title>{_text(title)}</title>'
        f"{body}</svg>"
    )


def _short(name: str, length: int = 22) -> str:
    """The end of a long name, which tells folders apart."""
    return name if len(name) <= length else "…" + name[1 - length :]


def _text(value: str) -> str:
    return escape(printable(value))
