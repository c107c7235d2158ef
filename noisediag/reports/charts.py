"""Where everything stands in the page's charts, in pixels; templates/charts.svg.j2 draws them.

Each chart is laid out twice, WIDE and NARROW: a page shows the one that fits, so that no text is scaled down.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from noisediag.reports.ticks import even_ticks, labels, log_ticks, time_ticks

RIGHT, TOP, BOTTOM = 20, 8, 38  # margins
HISTOGRAM_HEIGHT, CURVES_HEIGHT = 150, 340
LABEL_GAP = 16  # least distance between the labels of two curves
CHARACTER = 6.6  # wide, at 12 px
TICK_GAP, LINE_GAP = 62, 26  # least distance of two labels of the axes
# Okabe and Ito 2008, which all kinds of colour vision tell apart; dashes and labels say the same without any.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "14 4", "4 2 1 2", "1 1", "3 6")


@dataclass(frozen=True)
class Layout:
    """What a chart has room for. `left`: margin of histograms and boxes, `near`: of curves and dots."""

    name: str
    width: int
    left: int
    near: int
    row: int  # height of a group of a box plot
    names_beside: bool  # names of groups and curves; otherwise they stand above, and below

    @property
    def labels_right(self) -> int:
        """Margin for the names of curves."""
        return 260 if self.names_beside else RIGHT

    @property
    def characters(self) -> int:
        """Of a name."""
        return 22 if self.names_beside else 40


WIDE = Layout("wide", 760, 196, 70, 22, True)
NARROW = Layout("narrow", 358, 52, 52, 38, False)
LAYOUTS = (WIDE, NARROW)


@dataclass(frozen=True)
class Group:
    """What the values of one group come to: counts and quantiles 10, 25, 50, 75, 90 %."""

    name: str
    count: int
    quantiles: tuple[float, float, float, float, float]


@dataclass(frozen=True)
class BandPoint:
    """One point of a curve with its band."""

    x: float
    middle: float
    low: float
    high: float


@dataclass(frozen=True)
class BandCurve:
    """A curve with its band."""

    name: str
    points: tuple[BandPoint, ...]


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

    def share(self, value: float) -> float:
        """Where `value` lies, from 0 at `low` to 1 at `high`."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (value - low) / (high - low)

    def at(self, value: float) -> float:
        """Where `value` lies, px."""
        return round(self.start + self.share(value) * (self.end - self.start), 1)

    def ticks(self, gap: float) -> tuple[Tick, ...]:
        """Marks at round values, two at least, no nearer than `gap` px as far as two allow it."""
        most = max(2, int(abs(self.end - self.start) / gap))
        while True:
            marks = (log_ticks if self.log else even_ticks)(self.low, self.high, most)
            ticks = tuple(Tick(self.at(mark), text) for mark, text in zip(marks, labels(marks), strict=True))
            if len(ticks) == 2 or all(abs(b.at - a.at) >= gap for a, b in itertools.pairwise(ticks)):
                return ticks
            most = len(ticks) - 1


@dataclass(frozen=True)
class Tick:
    """A mark of an axis and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class XAxis:
    """The horizontal axis, at height `y`."""

    start: float
    end: float
    y: float
    ticks: tuple[Tick, ...]
    title: str


@dataclass(frozen=True)
class YAxis:
    """The vertical axis: lines across the chart from `left` to `right`."""

    left: float
    right: float
    ticks: tuple[Tick, ...]
    title: str


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Histogram:
    """How often which value occurs."""

    title: str
    height: float
    bars: tuple[Bar, ...]
    x: XAxis
    y: YAxis
    layout: Layout


@dataclass(frozen=True)
class Box:
    """One group of a box plot: its quantiles 10, 25, 50, 75, 90 % stand `at`; its name at `name_x`, `name_y`."""

    name: str
    count: int
    median: float
    y: float
    at: tuple[float, ...]
    width: float  # of the middle half
    name_x: float
    name_y: float


@dataclass(frozen=True)
class BoxPlot:
    """A row a group."""

    title: str
    height: float
    boxes: tuple[Box, ...]
    x: XAxis
    layout: Layout


@dataclass(frozen=True)
class DrawnCurve:
    """A curve: `band` and `middle` are the points of an SVG polygon and polyline; its label begins at `label_x`."""

    name: str
    number: int  # of its colour
    dash: str
    band: str
    middle: str
    label_x: float
    label_y: float


@dataclass(frozen=True)
class Curves:
    """Curves with bands, told apart by colour, dash and a label."""

    title: str
    height: float
    curves: tuple[DrawnCurve, ...]
    x: XAxis
    y: YAxis
    layout: Layout


@dataclass(frozen=True)
class Dots:
    """A dot a file: `path` is the data of an SVG path."""

    title: str
    height: float
    path: str
    x: XAxis
    y: YAxis
    layout: Layout


def histogram(values: Sequence[float], layout: Layout = WIDE, *, title: str, unit: str, bins: int = 40) -> Histogram:
    """How often which value occurs, on a logarithmic axis."""
    x = Scale.around(values, layout.left, layout.width - RIGHT, log=True)
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int(x.share(value) * bins))] += 1
    top, floor = TOP + 14, HISTOGRAM_HEIGHT - BOTTOM
    wide, y = (x.end - x.start) / bins, Scale(0, max(counts), floor, top, False)
    bars = []
    for index, count in enumerate(counts):
        if count:
            left = x.start + index * wide + 0.5
            bars.append(Bar(round(left, 1), y.at(count), round(wide - 1, 1), round(floor - y.at(count), 1)))
    ticks = tuple(tick for tick in y.ticks(LINE_GAP) if "." not in tick.text)  # files are whole
    y_axis = YAxis(x.start, x.end, ticks, "files")
    return Histogram(title, HISTOGRAM_HEIGHT, tuple(bars), _x_axis(x, floor, unit), y_axis, layout)


def boxes(
    groups: Sequence[Group], layout: Layout = WIDE, *, title: str, unit: str, values: Sequence[float] = ()
) -> BoxPlot:
    """A row a group, on the logarithmic axis of all `values`: median, middle half and middle four fifths."""
    height = TOP + layout.row * len(groups) + BOTTOM
    held = [*values, *(value for group in groups for value in group.quantiles)]
    x = Scale.around(held, layout.left, layout.width - RIGHT, log=True)
    drawn = []
    for index, group in enumerate(groups):
        at, bottom = tuple(x.at(value) for value in group.quantiles), TOP + layout.row * (index + 1)
        y = bottom - 11
        name_x, name_y = (x.start - 8, y + 4) if layout.names_beside else (4, bottom - 24)
        width = round(max(at[3] - at[1], 1), 1)
        drawn.append(Box(group.name, group.count, group.quantiles[2], y, at, width, name_x, name_y))
    return BoxPlot(title, height, tuple(drawn), _x_axis(x, height - BOTTOM, unit), layout)


def curves(lines: Sequence[BandCurve], layout: Layout = WIDE, *, title: str, x_title: str, y_title: str) -> Curves:
    """Curves over a logarithmic axis."""
    x = Scale.around(_all_x(lines), layout.near, layout.width - layout.labels_right, log=True)
    return _curves(lines, layout, x, x.ticks(TICK_GAP), title=title, x_title=x_title, y_title=y_title)


def drift(lines: Sequence[BandCurve], layout: Layout = WIDE, *, title: str, x_title: str, y_title: str) -> Curves:
    """Curves over time, whose x is in seconds since 1970."""
    x = Scale.around(_all_x(lines), layout.near, layout.width - layout.labels_right, log=False)
    dates = time_ticks(x.low, x.high, max(2, int((x.end - x.start) / (1.5 * TICK_GAP))))
    ticks = tuple(Tick(x.at(at), text) for at, text in dates)
    return _curves(lines, layout, x, ticks, title=title, x_title=x_title, y_title=y_title)


def dots(
    pairs: Sequence[tuple[float, float]], layout: Layout = WIDE, *, title: str, x_title: str, y_title: str
) -> Dots:
    """A dot a pair, both axes logarithmic."""
    floor = CURVES_HEIGHT - BOTTOM
    x = Scale.around([pair[0] for pair in pairs], layout.near, layout.width - RIGHT, log=True)
    y = Scale.around([pair[1] for pair in pairs], floor, TOP + 22, log=True)
    path = "".join(f"M{x.at(a)} {y.at(b)}h0" for a, b in pairs)
    return Dots(title, CURVES_HEIGHT, path, _x_axis(x, floor, x_title), _y_axis(y, x, y_title), layout)


def shortened(name: str, length: int) -> str:
    """The end of a long name, which tells folders apart; characters that are twice as wide count twice.

    >>> shortened("photographs/2024/january", 12), shortened("写真/二〇二四/一月", 12)
    ('…024/january', '…〇二四/一月')
    """
    if _width(name) <= length:
        return name
    end = name
    while _width(end) > length - 1:
        end = end[1:]
    return "…" + end


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _curves(
    lines: Sequence[BandCurve],
    layout: Layout,
    x: Scale,
    ticks: tuple[Tick, ...],
    *,
    title: str,
    x_title: str,
    y_title: str,
) -> Curves:
    floor = CURVES_HEIGHT - BOTTOM
    points = [point for line in lines for point in line.points]
    y = Scale.around([value for p in points for value in (p.middle, p.low, p.high)], floor, TOP + 22, log=True)
    if layout.names_beside:
        height, label_x = float(CURVES_HEIGHT), x.end + 6
        places = _apart([y.at(line.points[-1].middle) for line in lines], TOP + 22, floor)
    else:
        height, label_x = CURVES_HEIGHT + LABEL_GAP * len(lines), 4.0
        places = [CURVES_HEIGHT + LABEL_GAP * (index + 0.5) for index in range(len(lines))]
    drawn = []
    for index, (line, place) in enumerate(zip(lines, places, strict=True)):
        upper = [f"{x.at(p.x)},{y.at(p.high)}" for p in line.points]
        lower = [f"{x.at(p.x)},{y.at(p.low)}" for p in reversed(line.points)]
        middle = " ".join(f"{x.at(p.x)},{y.at(p.middle)}" for p in line.points)
        dash = DASHES[index % len(DASHES)]
        drawn.append(DrawnCurve(line.name, index, dash, " ".join(upper + lower), middle, label_x, round(place, 1)))
    axis = XAxis(x.start, x.end, floor, ticks, x_title)
    return Curves(title, height, tuple(drawn), axis, _y_axis(y, x, y_title), layout)


def _apart(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """Places near those that are `wanted`, no two nearer than LABEL_GAP, from `top` to `bottom` if they fit there."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    places = list(wanted)
    below = bottom - LABEL_GAP * (len(order) - 1)
    least = top
    for index in order:
        places[index] = least = max(least, min(places[index], below))
        least, below = least + LABEL_GAP, below + LABEL_GAP
    return places


def _all_x(lines: Iterable[BandCurve]) -> list[float]:
    return [point.x for line in lines for point in line.points]


def _x_axis(x: Scale, y: float, title: str) -> XAxis:
    return XAxis(x.start, x.end, y, x.ticks(TICK_GAP), title)


def _y_axis(y: Scale, x: Scale, title: str) -> YAxis:
    return YAxis(x.start, x.end, y.ticks(LINE_GAP), title)
