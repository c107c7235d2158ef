"""Plots, drawn with matplotlib (extra `plot`), which is imported only here and only when one is asked for."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from noisediag.errors import UsageError
from noisediag.footprint.file import Footprint
from noisediag.footprint.plane import PlaneFootprint

_COLOURS = {"R": "#c0392b", "G": "#27ae60", "G1": "#27ae60", "G2": "#16a085", "B": "#2471a3"}
_MAIN_COLOUR = "#000000"


def require() -> None:
    """Raise UsageError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("plots need matplotlib: pip install 'noisediag[plot]'")


def noise_curve(footprint: Footprint, path: Path) -> None:
    """Write the noise curve of every plane, sigma(x) on log-log axes with its 90 % band, as PNG to `path`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), dpi=150, layout="constrained")
    draw_noise_curve(footprint, figure.add_subplot())
    figure.savefig(path, format="png", metadata={"Software": None})


def draw_noise_curve(footprint: Footprint, axes: Any) -> None:
    """Draw what `noise_curve` writes into `axes` of matplotlib."""
    axes.set(xscale="log", yscale="log")
    for plane in footprint.planes:
        _draw(axes, plane, main=plane is footprint.planes[-1])
    axes.set_xlabel("signal (0 = black, 1 = white)")
    axes.set_ylabel("standard deviation of the noise (same scale)")
    axes.set_title(os.path.basename(footprint.path or "noise curve"), parse_math=False)  # noqa: PTH119 - may not be UTF-8
    axes.grid(visible=True, which="both", linewidth=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(title="plane, with 90 % interval")


def _draw(axes: Any, plane: PlaneFootprint, *, main: bool) -> None:
    points = [point for point in plane.curve if point.signal > 0 and point.sigma > 0]  # what log axes can show
    if not points:
        return
    signals = [point.signal for point in points]
    colour = _MAIN_COLOUR if main else _COLOURS.get(plane.name)  # None: the next of matplotlib's own
    (line,) = axes.plot(
        signals, [point.sigma for point in points], label=plane.label, color=colour, linewidth=2 if main else 1
    )
    lows, highs = [point.low for point in points], [point.high for point in points]
    axes.fill_between(signals, lows, highs, color=line.get_color(), alpha=0.15, linewidth=0)
