"""Where things stand in the page's charts: ticks, names, labels; the same in both layouts."""

import itertools
import random

import pytest

from noisediag.reports import charts, ticks
from noisediag.reports.charts import LAYOUTS, NARROW, WIDE, BandCurve, BandPoint, Group


def band(name, level, count=5, *, start=0.01, step=2.0):
    points = tuple(BandPoint(start * step**i, level, level * 0.9, level * 1.1) for i in range(count))
    return BandCurve(name, points)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("values", [[0.005], [0.005, 0.0051], [1e-6, 1.0], [3.0, 3.0]], ids=str)
def test_an_axis_has_two_ticks_at_least_none_on_another(layout, values):
    chart = charts.histogram(values, layout, title="t", unit="u")
    for axis, gap in ((chart.x, charts.TICK_GAP), (chart.y, charts.LINE_GAP)):
        assert len(axis.ticks) >= 2
        assert len({tick.text for tick in axis.ticks}) == len(axis.ticks)
        assert len(axis.ticks) == 2 or all(abs(b.at - a.at) >= gap for a, b in itertools.pairwise(axis.ticks))
    assert chart.x.ticks[-1].at <= layout.width - charts.RIGHT


def test_both_layouts_count_alike():
    draw = random.Random(1)
    values = [draw.lognormvariate(-5, 0.5) for _ in range(500)]
    wide, narrow = (charts.histogram(values, layout, title="t", unit="u") for layout in LAYOUTS)
    heights = [[bar.height for bar in chart.bars] for chart in (wide, narrow)]
    assert heights[0] == heights[1]


def test_names_of_curves_stand_apart_and_inside():
    lines = [band(str(number), 0.01 + number * 1e-5) for number in range(6)] + [band("low", 1e-5)] * 2
    for layout in LAYOUTS:
        chart = charts.curves(lines, layout, title="t", x_title="x", y_title="y")
        places = sorted(curve.label_y for curve in chart.curves)
        assert all(b - a >= charts.LABEL_GAP - 0.2 for a, b in itertools.pairwise(places))
        assert places[0] > 0
        assert places[-1] <= (chart.x.y if layout is WIDE else chart.height)


def test_groups_share_the_axis_of_all_values():
    groups = [Group("a", 3, (2.0, 2.0, 2.0, 2.0, 2.0))]
    chart = charts.boxes(groups, NARROW, title="t", unit="u", values=[1.0, 10.0])
    wide = charts.histogram([1.0, 10.0], NARROW, title="t", unit="u")
    assert [tick.text for tick in chart.x.ticks] == [tick.text for tick in wide.x.ticks]
    assert [tick.at for tick in chart.x.ticks] == [tick.at for tick in wide.x.ticks]


@pytest.mark.parametrize("days", [0.001, 0.2, 1.0, 3.5, 40.0, 400.0, 9000.0])
def test_dates_are_never_said_twice(days):
    start = 1.7e9
    points = tuple(BandPoint(start + share * days * 86400, 1.0, 0.9, 1.1) for share in (0, 0.5, 1))
    for layout in LAYOUTS:
        chart = charts.drift([BandCurve("a", points)], layout, title="t", x_title="date", y_title="y")
        texts = [tick.text for tick in chart.x.ticks]
        assert len(texts) >= 2
        assert len(set(texts)) == len(texts)


def test_ticks_hold_for_any_axis():
    draw = random.Random(2)
    for _ in range(3000):
        low = 10 ** draw.uniform(-12, 6)
        high, most = low * 10 ** (10 ** draw.uniform(-4, 1.2)), draw.randint(2, 9)
        for of in (ticks.even_ticks, ticks.log_ticks):
            marks = of(low, high, most)
            assert 2 <= len(marks) <= most
            assert all(low <= mark <= high for mark in marks)
            assert len(set(ticks.labels(marks))) == len(marks)
