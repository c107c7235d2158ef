"""What a fine-tuning came to as plots: predicted against true, and the error with ever more shots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from noisediag.reports import plots
from noisediag.reports.charts import COLOURS, shortened
from noisediag.reports.table import printable
from noisediag.reports.ticks import even_ticks, labels, log_ticks
from noisediag.studies.finetune.result import FinetuneResult, Prediction, Verdict

PANEL = (3.7, 4.2)  # inches: room for titles of two lines and slanted words
MARKERS = "o^sDvP*X"
WITHIN, OUTSIDE = ("#0072b2", "o"), ("#b84a00", "X")  # told apart by shape, too
NAME_CHARACTERS, WORD_CHARACTERS = 30, 12
MOST_WORDS = 12  # of a class that are named on an axis
TICKS = 5


def draw_predictions(result: FinetuneResult, path: Path) -> None:
    """Write a plot: predicted against true of every picture that judged, with 90 % intervals, a panel a name."""
    from matplotlib.figure import Figure

    across = 2 if len(result.verdicts) == 4 else min(3, len(result.verdicts))
    down = math.ceil(len(result.verdicts) / across)
    figure = Figure(figsize=(PANEL[0] * across, PANEL[1] * down + 0.4), dpi=150, layout="constrained")
    panels: Any = figure.subplots(down, across, squeeze=False).ravel()
    for axes, verdict in zip(panels, result.verdicts, strict=False):
        points = [point for point in result.predictions if point.name == verdict.name]
        (_draw_words if verdict.scale == "class" else _draw_numbers)(axes, verdict, points)
        axes.set_title(_title(verdict), fontsize="medium")
    for axes in panels[len(result.verdicts) :]:
        axes.set_axis_off()
    handles: dict[str, Any] = {}
    for axes in panels:
        handles |= {name: handle for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize="small")
    plots.save(figure, path)


def draw_curve(result: FinetuneResult, path: Path) -> None:
    """Write a plot: the error with ever more shots, as a share of the mean predictor's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for place, verdict in enumerate(result.verdicts):
        points = [point for point in result.curve if point.name == verdict.name]
        colour = COLOURS[place % len(COLOURS)]
        axes.plot(
            [point.shots for point in points],
            [point.rmse_share for point in points],
            color=colour,
            marker=MARKERS[place % len(MARKERS)],
            label=_plain(verdict.name),
        )
        if verdict.rmse_before is not None:
            axes.axhline(verdict.rmse_before / verdict.rmse_mean, color=colour, linestyle=":", linewidth=1)
    axes.axhline(1, color="grey", linestyle="--", linewidth=0.8, label="mean predictor")
    axes.set_xscale("log")
    ticks = sorted({point.shots for point in result.curve})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("shots (labelled pictures)")
    axes.set_ylabel("RMSE / mean predictor's (dotted: before)")
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    axes.grid(linewidth=0.3)
    plots.save(figure, path)


def _draw_numbers(axes: Any, verdict: Verdict, points: Sequence[Prediction]) -> None:
    log = verdict.scale == "log"
    known = [one for one in points if not log or (float(one.truth) > 0 and float(one.value) > 0)]
    for covered, (colour, marker), label in (
        (True, WITHIN, "interval holds the label"),
        (False, OUTSIDE, "interval misses it"),
    ):
        chosen = [one for one in known if _holds(one) is covered]
        if chosen:
            values = [float(one.value) for one in chosen]
            bars = [[value - _end(one.low, value) for one, value in zip(chosen, values, strict=True)],
                    [_end(one.high, value) - value for one, value in zip(chosen, values, strict=True)]]  # fmt: skip
            axes.errorbar([float(one.truth) for one in chosen], values, bars, color=colour, linestyle="none",
                          marker=marker, markersize=4.5, elinewidth=0.8, alpha=0.8, label=label)  # fmt: skip
    unsure = [one for one in known if _holds(one) is None]
    if unsure:
        x, y = ([float(value) for value in of] for of in zip(*((one.truth, one.value) for one in unsure), strict=True))
        axes.plot(x, y, "D", color="0.35", markersize=4, label="no interval")
    low, high = _limits(known, log=log)
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.plot([low, high], [low, high], color="0.4", linestyle="--", linewidth=0.9, zorder=1, label="predicted = true")
    ticks = (log_ticks if log else even_ticks)(low, high, TICKS)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([], minor=True)
        axis.set_ticks(ticks, labels=labels(ticks))
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_box_aspect(1)
    axes.grid(linewidth=0.3)
    unit = f", {_plain(verdict.unit)}" if verdict.unit else ""
    axes.set_xlabel(f"true{unit}")
    axes.set_ylabel(f"predicted{unit}")


def _draw_words(axes: Any, verdict: Verdict, points: Sequence[Prediction]) -> None:
    """How often which word was said of which: a number a cell."""
    words = sorted({str(value) for one in points for value in (one.truth, one.value)})
    counts = [[0] * len(words) for _ in words]
    for one in points:
        counts[words.index(str(one.truth))][words.index(str(one.value))] += 1
    most = max(max(row) for row in counts)
    axes.imshow(counts, cmap="Blues", vmin=0, vmax=1.6 * most, aspect="auto")
    axes.set_box_aspect(1)
    named = [_plain(word if len(word) <= WORD_CHARACTERS else f"{word[: WORD_CHARACTERS - 1]}…") for word in words]
    if len(words) <= MOST_WORDS:
        axes.set_xticks(range(len(words)), named, rotation=40, ha="right", fontsize="small")
        axes.set_yticks(range(len(words)), named, fontsize="small")
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            if count:
                weight = "bold" if row == column else "normal"
                size = "small" if len(words) <= MOST_WORDS else 5
                axes.text(column, row, str(count), ha="center", va="center", fontsize=size, fontweight=weight)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")


def _title(verdict: Verdict) -> str:
    """Name, and how well it is read; whether it was left out."""
    parts = [f"{100 * (1 - verdict.rmse_after):.0f} % right"] if verdict.scale == "class" else []
    parts += [f"R2 {verdict.r2_after:.2f}"] if verdict.r2_after is not None else []
    parts += [f"{100 * verdict.coverage_after:.0f} % in interval"] if verdict.coverage_after is not None else []
    parts += [] if verdict.better else ["left out"]
    return f"{_plain(shortened(printable(verdict.name), NAME_CHARACTERS))}\n{', '.join(parts)}"


def _holds(one: Prediction) -> bool | None:
    return None if one.low is None or one.high is None else one.low <= float(one.truth) <= one.high


def _end(end: float | None, value: float) -> float:
    return value if end is None else end


def _limits(points: Sequence[Prediction], *, log: bool) -> tuple[float, float]:
    """The ends of both axes: all labels and readings, and their intervals as far as these are not out of proportion."""
    values = [float(value) for one in points for value in (one.truth, one.value)]
    low, high = min(values), max(values)
    least, most = (low / 3, high * 3) if log else (2 * low - high, 2 * high - low)
    ends = [end for one in points for end in (one.low, one.high) if end is not None]
    low, high = min(low, *(max(end, least) for end in ends), high), max(high, *(min(end, most) for end in ends), low)
    if log:
        return low / 1.3, high * 1.3
    room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _plain(text: str) -> str:
    return printable(text).replace("$", r"\$")
