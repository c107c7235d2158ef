"""What `explain` found as pictures: importances, all Shapley values, and how they depend on the strongest tag."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.reports import plots
from noisediag.reports.table import printable
from noisediag.studies.explain.data import words
from noisediag.studies.explain.report import warnings
from noisediag.studies.explain.study import ExplainResult, Explanation, UsedTag

Floats = NDArray[np.float64]

PANEL = (4.2, 3.2)  # inches
COLOURS = "cividis"  # reads the same to the colour-blind
BAR, FAINT, CHANCE = "#0072b2", "#9db8c9", "#d55e00"
BAR_HEIGHT = 0.5
SWARM_BINS = 40
MOST_TICKS = 8  # values that are all named on an axis
MOST_NAMED = 24  # characters of a camera's name


def bar(result: ExplainResult, path: Path) -> None:
    """Mean absolute Shapley value of every tag, and what the tag would get if it were shuffled."""

    def draw(axes: Any, explanation: Explanation) -> None:
        effects = explanation.effects[::-1]
        place = np.arange(len(effects))
        colours = [BAR if effect.beyond_chance else FAINT for effect in effects]
        axes.barh(place, [effect.importance for effect in effects], height=BAR_HEIGHT, color=colours)
        chance = [effect.null_95 for effect in effects]
        axes.plot(chance, place, "|", color=CHANCE, markersize=14, markeredgewidth=2)
        axes.set_yticks(place, [effect.tag for effect in effects])
        axes.set_axisbelow(True)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlim(left=0)
        axes.set_ylim(-0.7, len(effects) - 0.3)
        axes.set_xlabel(f"mean |Shapley value|, {_unit(explanation)}\nline: 95 % of shuffled tags stay below")

    _save(result, path, draw)


def beeswarm(result: ExplainResult, path: Path) -> None:
    """Every file's Shapley value of every tag, coloured by the tag's value among all."""

    def draw(axes: Any, explanation: Explanation) -> None:
        names = [tag.name for tag in result.tags]
        order = [names.index(effect.tag) for effect in explanation.effects[::-1]]
        for place, j in enumerate(order):
            values = explanation.shapley[:, j]
            colour = _ranks(result.tags[j].values[explanation.rows])
            points = axes.scatter(
                values, place + _swarm(values), c=colour, cmap=COLOURS, vmin=0, vmax=1, s=9, linewidths=0
            )
        axes.axvline(0, color="0.4", linewidth=0.6)
        axes.set_yticks(range(len(order)), [names[j] for j in order])
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.set_xlabel(f"Shapley value, {_unit(explanation)}")
        bar_ = axes.figure.colorbar(points, ax=axes, ticks=(0, 1), pad=0.01)
        bar_.ax.set_yticklabels(["low", "high"], fontsize="x-small")
        bar_.set_label("tag's value", fontsize="x-small", labelpad=-12)

    _save(result, path, draw)


def dependence(result: ExplainResult, path: Path) -> None:
    """The strongest tag's Shapley value against its value, coloured by the tag it interacts with most."""
    by_name = {tag.name: tag for tag in result.tags}

    def draw(axes: Any, explanation: Explanation) -> None:
        tag = by_name[explanation.effects[0].tag]
        partner = _partner(explanation, by_name, tag)
        x = tag.shown[explanation.rows]
        y = explanation.shapley[:, list(by_name).index(tag.name)]
        colour = None if partner is None else _ranks(partner.values[explanation.rows])
        points = axes.scatter(x, y, c=BAR if colour is None else colour, cmap=COLOURS if partner else None, s=14)
        axes.axhline(0, color="0.4", linewidth=0.6)
        if tag.tag.kind == "log":
            axes.set_xscale("log")
        if tag.category:
            labels = [_plain(name)[:MOST_NAMED] for name in tag.levels]
            axes.set_xticks(range(len(labels)), labels, rotation=20, fontsize="x-small", ha="right")
        elif tag.distinct <= MOST_TICKS:
            shown = np.unique(np.round(tag.shown, 6))
            axes.set_xticks(shown, [f"{value:g}" for value in shown])
            axes.minorticks_off()
        axes.set_xlabel(tag.name + (f", {tag.tag.unit}" if tag.tag.unit else ""))
        axes.set_ylabel(f"its Shapley value, {_unit(explanation)}")
        if partner is not None:
            bar_ = axes.figure.colorbar(points, ax=axes, ticks=(0, 1), pad=0.01)
            bar_.ax.set_yticklabels(["low", "high"], fontsize="x-small")
            bar_.set_label(partner.name, fontsize="x-small", labelpad=-12)

    _save(result, path, draw)


PLOTS: Mapping[str, Callable[[ExplainResult, Path], None]] = {
    "bar.png": bar,
    "beeswarm.png": beeswarm,
    "dependence.png": dependence,
}


def _save(result: ExplainResult, path: Path, draw: Callable[[Any, Explanation], None]) -> None:
    from matplotlib.figure import Figure

    across = min(3, len(result.explanations))
    down = math.ceil(len(result.explanations) / across)
    figure = Figure(figsize=(PANEL[0] * across, PANEL[1] * down + 0.5), dpi=130, layout="constrained")
    panels: Any = figure.subplots(down, across, squeeze=False).ravel()
    for axes, explanation in zip(panels, result.explanations, strict=False):
        draw(axes, explanation)
        axes.set_title(f"{words(explanation.target)}, R2 {explanation.r2:.2f}", fontsize="medium")
        axes.grid(linewidth=0.3)
        axes.tick_params(labelsize="small")
        axes.xaxis.label.set_size("small")
        axes.yaxis.label.set_size("small")
    for axes in panels[len(result.explanations) :]:
        axes.set_axis_off()
    figure.suptitle("\n".join([f"{_plain(result.options.source)}, {len(result.paths)} files", *warnings(result)[:2]]),
                    fontsize="small")  # fmt: skip
    plots.save(figure, path)


def _unit(explanation: Explanation) -> str:
    return "decades" if explanation.log else "px"


def _plain(text: str) -> str:
    return printable(text).replace("$", r"\$")


def _partner(explanation: Explanation, by_name: Mapping[str, UsedTag], tag: UsedTag) -> UsedTag | None:
    for pair in explanation.interactions:
        if tag.name in (pair.a, pair.b):
            return by_name[pair.b if pair.a == tag.name else pair.a]
    return None


def _ranks(values: Floats) -> Floats:
    """0 for the lowest to 1 for the highest, equal values alike."""
    _, codes = np.unique(values, return_inverse=True)
    return codes / max(int(codes.max()), 1)


def _swarm(values: Floats) -> Floats:
    """Heights of the points, so that equal values lie side by side: at most 0.4 above and below the line."""
    width = max(float(np.ptp(values)), 1e-12) / SWARM_BINS
    bins = np.floor((values - values.min()) / width).astype(int)
    heights = np.zeros(len(values))
    for number in np.unique(bins):
        members = np.flatnonzero(bins == number)
        steps = np.arange(len(members))
        heights[members] = np.where(steps % 2 == 0, 1, -1) * ((steps + 1) // 2)
    return 0.4 * heights / max(float(np.abs(heights).max()), 1.0)
