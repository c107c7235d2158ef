"""Plots, drawn with matplotlib (extra `plot`), which is imported only here and only when one is asked for."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from noisediag.errors import UsageError, printable
from noisediag.footprint.file import Footprint
from noisediag.footprint.plane import CurvePoint, PlaneFootprint
from noisediag.reports.charts import shortened
from noisediag.reports.files import final_suffix
from noisediag.reports.ticks import labels, log_ticks

SUFFIXES = (".png", ".svg", ".pdf")
# Neither a date nor a version: the same result gives the same bytes.
_METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
# Text of an SVG is drawn as shapes: no font that a reader lacks can push one label onto another.
_SETTINGS: Any = {"svg.hashsalt": "noisediag", "svg.fonttype": "path", "pdf.fonttype": 42}
_FONTS: Any = {"font.size": 11, "axes.titlesize": 12, "legend.fontsize": 10, "legend.title_fontsize": 10}

# Line, marker and band of a plane: dark and light, dashes and shapes tell them apart in gray print, too.
_MAIN = ("#000000", "-", "")
_STYLES = {
    "R": ("#c0392b", "--", "^"),
    "G": ("#1e8449", "-.", "s"),
    "G1": ("#1e8449", "-.", "s"),
    "G2": ("#48c9b0", ":", "o"),
    "B": ("#2471a3", (0, (6, 2, 1, 2, 1, 2)), "v"),
}
_OTHERS = (
    ("#8e44ad", "--", "D"),
    ("#b9770e", "-.", "P"),
    ("#5d6d7e", ":", "X"),
    ("#d35400", (0, (8, 2)), "<"),
    ("#117a65", (0, (1, 1)), ">"),
    ("#7b241c", (0, (3, 1, 1, 1)), "*"),
)
_MOST_STYLED = 8  # planes that are told apart; further ones are thin lines
_SAME_SPAN = 0.01  # planes whose white - black differ by less share the axis in DN
_ROOM = 1.12  # factor between what is drawn and the frame
X_TICKS, Y_TICKS = 6, 8  # at most
_NARROWEST = 1.5  # factor between the ends of an axis
_TITLE_CHARACTERS = 64


def require() -> None:
    """Raise UsageError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("plots need matplotlib: pip install 'noisediag[plot]'")


def save(figure: Any, path: Path) -> None:
    """Write a matplotlib figure as PNG, SVG or PDF, by the ending of `path`, or of what a part will be called."""
    import matplotlib as mpl

    suffix = final_suffix(path).lower()
    with mpl.rc_context(_SETTINGS):
        figure.savefig(path, format=suffix[1:], metadata=_METADATA[suffix])


def noise_curve(footprint: Footprint, path: Path) -> None:
    """Write the noise curve of every plane, sigma(x) on log-log axes with its 90 % band, to `path`: see `save`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_FONTS):
        figure = Figure(figsize=(7.5, 6), dpi=150, layout="constrained")
        axes = figure.add_subplot()
        draw_noise_curve(footprint, axes, legend=False)
        handles, names = axes.get_legend_handles_labels()
        if handles:
            columns = min(5, len(names))
            figure.legend(
                handles,
                names,
                loc="outside lower center",
                ncols=columns,
                title="plane, with its 90 % interval as band or bars",
            )
        save(figure, path)


def draw_noise_curve(footprint: Footprint, axes: Any, *, legend: bool = True) -> None:
    """Draw the noise curve of every plane on matplotlib axes; beside them, where the planes have them in common, DN."""
    drawn = list(_drawn(footprint.planes))
    main = footprint.planes[-1]
    name = "noise curve" if footprint.path is None else os.path.basename(footprint.path)  # noqa: PTH119 - not UTF-8
    axes.set_title(shortened(printable(name), _TITLE_CHARACTERS), parse_math=False)
    if not drawn:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no noise that a logarithmic axis can show", ha="center", transform=axes.transAxes)
        return
    axes.set_xscale("log")
    axes.set_yscale("log")
    others = iter(_OTHERS)
    for number, (plane, points) in enumerate(drawn):
        if plane is main:
            _draw_main(axes, plane, points)
        elif number < _MOST_STYLED:
            style = _STYLES.get(plane.name) or next(others, _OTHERS[-1])
            _draw_other(axes, plane, points, style, number, len(drawn))
        else:
            label = f"{len(drawn) - 1 - _MOST_STYLED} others" if number == _MOST_STYLED else None
            axes.plot(*_line(points), color="0.6", linewidth=0.5, label=label, zorder=1)
    points = [point for _, of_plane in drawn for point in of_plane]
    x = _limits([point.signal for point in points])
    y = _limits([value for p in points for value in (p.sigma, max(p.low, p.sigma / 30), min(p.high, p.sigma * 30))])
    axes.set_xlim(x)
    axes.set_ylim(y)
    _ticks(axes.xaxis, x, X_TICKS)
    _ticks(axes.yaxis, y, Y_TICKS)
    axes.set_xlabel("signal (0 = black, 1 = white)")
    axes.set_ylabel("sigma of the noise (same scale)")
    axes.grid(visible=True, linewidth=0.3)
    _dn_axes(axes, [plane for plane, _ in drawn], main, x, y)
    if legend:
        axes.legend(title="plane, with its 90 % interval as band or bars")


def _drawn(planes: Sequence[PlaneFootprint]) -> Iterator[tuple[PlaneFootprint, list[CurvePoint]]]:
    """The planes with the points that log axes can show, if there are any; the file's own last."""
    for plane in planes:
        points = [
            point
            for point in plane.curve
            if point.signal > 0 and point.sigma > 0 and math.isfinite(point.sigma) and math.isfinite(point.high)
        ]
        if points:
            yield plane, points


def _line(points: Sequence[CurvePoint]) -> tuple[list[float], list[float]]:
    return [point.signal for point in points], [point.sigma for point in points]


def _band(points: Sequence[CurvePoint]) -> tuple[list[float], list[float], list[float]]:
    return [p.signal for p in points], [p.low for p in points], [p.high for p in points]


def _draw_main(axes: Any, plane: PlaneFootprint, points: Sequence[CurvePoint]) -> None:
    colour, line, marker = _MAIN
    axes.fill_between(*_band(points), color=colour, alpha=0.16, linewidth=0, zorder=1)
    axes.plot(*_line(points), label=_named(plane), color=colour, linestyle=line, marker=marker, linewidth=2.2, zorder=4)


def _draw_other(
    axes: Any,
    plane: PlaneFootprint,
    points: Sequence[CurvePoint],
    style: tuple[str, Any, str],
    number: int,
    planes: int,
) -> None:
    """A line with markers, and its band as bars at some of them: bands that lie on each other stay apart."""
    colour, line, marker = style
    axes.plot(*_line(points), color=colour, linestyle=line, linewidth=1.1, zorder=3)
    chosen = points[number % max(1, planes - 1) :: max(2, planes - 1)] or points[:1]
    bars = [[p.sigma - min(p.low, p.sigma) for p in chosen], [max(p.high, p.sigma) - p.sigma for p in chosen]]
    axes.errorbar(
        *_line(chosen),
        bars,
        color=colour,
        linestyle="none",
        marker=marker,
        markersize=5,
        capsize=3,
        linewidth=1,
        zorder=5,
    )
    # The legend shows what line, marker and bar are together.
    axes.errorbar(
        [],
        [],
        [],
        label=_named(plane),
        color=colour,
        linestyle=line,
        marker=marker,
        markersize=5,
        capsize=3,
        linewidth=1.1,
    )


def _named(plane: PlaneFootprint) -> str:
    return shortened(printable(plane.label), 24).replace("$", r"\$")


def _limits(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = max(_ROOM, math.sqrt(_NARROWEST * low / high))
    return low / room, high * room


def _ticks(axis: Any, limits: tuple[float, float], most: int) -> None:
    """Round ticks, two at least, that say plain numbers."""
    ticks = log_ticks(*limits, most)
    axis.set_ticks([], minor=True)
    axis.set_ticks(ticks, labels=labels(ticks))


def _dn_axes(
    axes: Any, planes: Sequence[PlaneFootprint], main: PlaneFootprint, x: tuple[float, float], y: tuple[float, float]
) -> None:
    """The same in DN, above and to the right; nothing where white - black is not known."""
    span = main.span_dn
    if span is None or not span > 0:
        return
    spans = [plane.span_dn for plane in planes]
    common = all(one is not None and abs(one / span - 1) < _SAME_SPAN for one in spans)
    of = "" if common else f" of {_named(main)}"
    scale = (lambda value: value * span, lambda value: value / span)
    above, right = axes.secondary_xaxis("top", functions=scale), axes.secondary_yaxis("right", functions=scale)
    above.set_xlabel(f"signal{of}, DN above black ({main.black_dn:g})")
    right.set_ylabel(f"sigma{of}, DN")
    for axis, limits, most in ((above.xaxis, x, X_TICKS), (right.yaxis, y, Y_TICKS)):
        _ticks(axis, (limits[0] * span, limits[1] * span), most)
