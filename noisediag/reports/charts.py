"""Where everything stands in the page's charts, in pixels; templates/charts.svg.j2 draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from noisediag.reports.table import number

WIDTH = 720
LEFT, RIGHT, TOP, BOTTOM = 190, 20, 8, 34  # margins; LEFT holds the names of groups
NARROW_LEFT, LABELS_RIGHT = 70, 260  # margins of charts whose labels stand at the right ends of their curves
ROW = 22  # height of a group
HISTOGRAM_HEIGHT, CURVES_HEIGHT = 150, 340
LABEL_GAP = 13  # least distance between the labels of two curves
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
    title_y: float = TOP + 4


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Histogram:
    """How often which value occurs; `highest`: files of the highest bar."""

    title: str
    height: float
    bars: tuple[Bar, ...]
    highest: int
    x: XAxis
    width: int = WIDTH


@dataclass(frozen=True)
class Box:
    """One group of a box plot: its quantiles 10, 25, 50, 75, 90 % stand `at`."""

    name: str
    count: int
    median: float
    y: float
    at: tuple[float, ...]
    width: float  # of the middle half


@dataclass(frozen=True)
class BoxPlot:
    """A row a group."""

    title: str
    height: float
    boxes: tuple[Box, ...]
    x: XAxis
    width: int = WIDTH


@dataclass(frozen=True)
class DrawnCurve:
    """A curve: `band` and `middle` are the points of an SVG polygon and polyline."""

    name: str
    colour: str
    dash: str
    band: str
    middle: str
    label_y: float


@dataclass(frozen=True)
class Curves:
    """Curves with bands, told apart by colour, dash and a label at the end."""

    title: str
    height: float
    curves: tuple[DrawnCurve, ...]
    x: XAxis
    y: YAxis
    width: int = WIDTH


@dataclass(frozen=True)
class Dots:
    """A dot a file."""

    title: str
    height: float
    dots: tuple[tuple[float, float], ...]
    x: XAxis
    y: YAxis
    width: int = WIDTH


def histogram(values: Sequence[float], *, title: str, unit: str, bins: int = 40) -> Histogram:
    """How often which value occurs, on a logarithmic axis."""
    x = Scale.around(values, LEFT, WIDTH - RIGHT, log=True)
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((x.at(value) - x.start) / (x.end - x.start) * bins))] += 1
    wide, highest, floor = (x.end - x.start) / bins, max(counts), HISTOGRAM_HEIGHT - BOTTOM
    bars = []
    for index, count in enumerate(counts):
        tall = count / highest * (floor - TOP)
        if count:
            left = x.start + index * wide + 0.5
            bars.append(Bar(round(left, 1), round(floor - tall, 1), round(wide - 1, 1), round(tall, 1)))
    return Histogram(title, HISTOGRAM_HEIGHT, tuple(bars), highest, _x_axis(x, floor, unit))


def boxes(groups: Sequence[Group], *, title: str, unit: str) -> BoxPlot:
    """A row a group, on a logarithmic axis: median, middle half and middle four fifths."""
    height = TOP + ROW * len(groups) + BOTTOM
    x = Scale.around([value for group in groups for value in group.quantiles], LEFT, WIDTH - RIGHT, log=True)
    drawn = []
    for index, group in enumerate(groups):
        at = tuple(x.at(value) for value in group.quantiles)
        width = round(max(at[3] - at[1], 1), 1)
        drawn.append(Box(group.name, group.count, group.quantiles[2], TOP + ROW * index + ROW / 2, at, width))
    return BoxPlot(title, height, tuple(drawn), _x_axis(x, height - BOTTOM, unit))


def curves(lines: Sequence[BandCurve], *, title: str, x_title: str, y_title: str) -> Curves:
    """Curves over a logarithmic axis."""
    x = Scale.around(_all_x(lines), NARROW_LEFT, WIDTH - LABELS_RIGHT, log=True)
    ticks = _ticks(x, ((tick, number(tick, 2)) for tick in x.ticks()))
    return _curves(lines, x, ticks, title=title, x_title=x_title, y_title=y_title)


def drift(lines: Sequence[BandCurve], *, title: str, x_title: str, y_title: str) -> Curves:
    """Curves over time, whose x is in seconds since 1970."""
    times = _all_x(lines)
    x = Scale.around(times, NARROW_LEFT, WIDTH - LABELS_RIGHT, log=False)
    first, span = min(times), max(times) - min(times)
    dates = (first + span * share for share in (0, 1 / 3, 2 / 3, 1))
    ticks = _ticks(x, ((date, day(date)) for date in dates))
    return _curves(lines, x, ticks, title=title, x_title=x_title, y_title=y_title)


def dots(pairs: Sequence[tuple[float, float]], *, title: str, x_title: str, y_title: str) -> Dots:
    """A dot a pair, both axes logarithmic."""
    floor = CURVES_HEIGHT - BOTTOM
    x = Scale.around([pair[0] for pair in pairs], NARROW_LEFT, WIDTH - RIGHT, log=True)
    y = Scale.around([pair[1] for pair in pairs], floor, TOP, log=True)
    places = tuple((x.at(a), y.at(b)) for a, b in pairs)
    return Dots(title, CURVES_HEIGHT, places, _x_axis(x, floor, x_title), _y_axis(y, x, y_title))


def day(seconds: float) -> str:
    """The date of so many seconds since 1970.

    >>> day(1e9)
    '2001-09-09'
    """
    return (datetime(1970, 1, 1) + timedelta(seconds=seconds)).strftime("%Y-%m-%d")


def shortened(name: str, length: int) -> str:
    """The end of a long name, which tells folders apart.

    >>> shortened("photographs/2024/january", 12)
    '…024/january'
    """
    return name if len(name) <= length else "…" + name[1 - length :]


def _curves(
    lines: Sequence[BandCurve], x: Scale, ticks: tuple[Tick, ...], *, title: str, x_title: str, y_title: str
) -> Curves:
    floor = CURVES_HEIGHT - BOTTOM
    points = [point for line in lines for point in line.points]
    y = Scale.around([value for p in points for value in (p.middle, p.low, p.high)], floor, TOP, log=True)
    drawn: list[DrawnCurve] = []
    for index, line in enumerate(lines):
        upper = [f"{x.at(p.x)},{y.at(p.high)}" for p in line.points]
        lower = [f"{x.at(p.x)},{y.at(p.low)}" for p in reversed(line.points)]
        label_y = y.at(line.points[-1].middle)
        while any(abs(label_y - other.label_y) < LABEL_GAP for other in drawn):
            label_y += LABEL_GAP
        drawn.append(
            DrawnCurve(
                name=line.name,
                colour=COLOURS[index % len(COLOURS)],
                dash=DASHES[index % len(DASHES)],
                band=" ".join(upper + lower),
                middle=" ".join(f"{x.at(p.x)},{y.at(p.middle)}" for p in line.points),
                label_y=round(label_y, 1),
            )
        )
    axis = XAxis(x.start, x.end, floor, ticks, x_title)
    return Curves(title, CURVES_HEIGHT, tuple(drawn), axis, _y_axis(y, x, y_title))


def _all_x(lines: Iterable[BandCurve]) -> list[float]:
    return [point.x for line in lines for point in line.points]


def _x_axis(x: Scale, y: float, title: str) -> XAxis:
    return XAxis(x.start, x.end, y, _ticks(x, ((tick, number(tick, 2)) for tick in x.ticks())), title)


def _y_axis(y: Scale, x: Scale, title: str) -> YAxis:
    return YAxis(x.start, x.end, _ticks(y, ((tick, number(tick, 2)) for tick in y.ticks())), title)


def _ticks(scale: Scale, marks: Iterable[tuple[float, str]]) -> tuple[Tick, ...]:
    return tuple(Tick(scale.at(value), text) for value, text in marks)
