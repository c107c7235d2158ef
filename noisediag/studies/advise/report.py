"""The advice for people (80 columns), as JSON `noisediag.advice/1`, and as a plot of SNR against frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from noisediag import __version__
from noisediag.footprint.values import LEVEL, Bounded
from noisediag.reports import plots
from noisediag.reports.figures import dumps_json, number_table, plain
from noisediag.reports.table import digits, interval, number, printable
from noisediag.studies.advise.light import DIMINISHED
from noisediag.studies.advise.protocol import Exponents
from noisediag.studies.advise.result import Advice

SCHEMA = "noisediag.advice/1"
_OFFSETS = {
    "file": "from the file",
    "given": "as given",
    "unknown": "not known",
    "vanishing": "where the variance vanishes: read noise, if any, is counted as light",
}


def render(advices: Sequence[Advice], exponents: Exponents | None = None) -> Group:
    """The advice of every file, no wider than 80 columns."""
    parts: list[RenderableType] = []
    for advice in advices:
        parts += [_title(advice), _facts(advice), Text(""), _levels(advice), *_averages(advice)]
        if advice.routes:
            parts += _routes(advice)
        if advice.sky is not None:
            parts += [Text(""), _sky(advice)]
        parts.append(Text(""))
    if exponents is not None:
        parts.append(_exponents(exponents))
    return Group(*parts)


def dumps(advices: Sequence[Advice], exponents: Exponents | None = None) -> str:
    """`noisediag.advice/1` as JSON text."""
    stacks = [{key: value for key, value in plain(advice).items() if key != "checkpoint"} for advice in advices]
    for stack, advice in zip(stacks, advices, strict=True):
        stack["photons"] = unit(advice)
    return dumps_json(
        {
            "schema": SCHEMA,
            "noisediag": __version__,
            "checkpoint": plain(advices[0].checkpoint),
            "level": LEVEL,
            "stacks": stacks,
            "exponents": None if exponents is None else plain(exponents),
        }
    )


def plot(advices: Sequence[Advice], path: Path) -> None:
    """SNR of the mean of N frames at the target level, with its 90 % interval."""
    plots.require()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log")
    for advice in advices:
        frames = [average.frames for average in advice.averages]
        if advice.averages[0].snr.value is None:  # nothing to draw
            continue
        values, lows, highs = np.array([_ends(average.snr) for average in advice.averages]).T
        (drawn,) = axes.plot(frames, values, marker="o", markersize=3, label=f"{Path(advice.path).name}")
        axes.fill_between(frames, lows, highs, alpha=0.15, linewidth=0, color=drawn.get_color())
        if advice.fixed_pattern.value:
            ceiling = 1 / advice.fixed_pattern.value
            axes.axhline(ceiling, linestyle="--", linewidth=1, color=drawn.get_color(), label="fixed-pattern limit")
    if advices[0].target_snr is not None:
        axes.axhline(advices[0].target_snr, linestyle=":", linewidth=1, color="black", label="target")
    frames = [average.frames for average in advices[0].averages]
    axes.set_xticks(frames, labels=[str(count) for count in frames])
    axes.xaxis.minorticks_off()
    for format_of in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        format_of("{x:g}")
    axes.set_xlabel("frames averaged")
    axes.set_ylabel(f"SNR at the {advices[0].target_level}")
    axes.grid(visible=True, which="both", linewidth=0.3)
    legend = axes.legend()
    for text in legend.get_texts():
        text.set_parse_math(False)
    plots.save(figure, path)


def unit(advice: Advice) -> str:
    """What the photons are: effective ones hold the unknown excess noise of the detector."""
    return "effective photons" if advice.effective else "photons"


def _ends(value: Bounded) -> tuple[float, float, float]:
    middle = value.value or 0.0
    return middle, middle if value.low is None else value.low, middle if value.high is None else value.high


def _title(advice: Advice) -> Text:
    title = Text(printable(advice.path), style="bold")
    source = "one picture: noise estimated" if advice.frames == 1 else f"{advice.frames} frames: noise {advice.how}"
    factor = "" if advice.effective else f", excess noise factor {advice.excess_noise:g}"
    return title.append(f"\n{source}{factor}", style="not bold")


def _facts(advice: Advice) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for row in _fact_rows(advice):
        table.add_row(*row)
    return table


def _fact_rows(advice: Advice) -> Iterator[tuple[str, str, str]]:
    if advice.gain.value is None:
        yield "gain", "-", f"DN / {unit(advice)[:-1]}  not identified: see the warning"
    else:
        yield "gain", *_shown(advice.gain, f"DN / {unit(advice)[:-1]}")
    yield "offset", number(advice.offset_dn, 4), f"DN  {_OFFSETS[advice.offset_source]}"
    if advice.read_noise_e.value is not None:
        yield "read noise", *_shown(advice.read_noise_e, "e-")
    if advice.shot_above_dn is not None:
        yield "shot-limited above", number(advice.shot_above_dn, 4), "DN"
    pattern = advice.fixed_pattern
    if pattern.value is not None:
        yield "fixed pattern", f"{100 * pattern.value:.2g}", f"%  no mean is better than SNR {1 / pattern.value:.3g}"
    elif pattern.high:
        yield (
            "fixed pattern",
            f"< {100 * pattern.high:.2g}",
            f"%  not found: the mean may reach SNR {1 / pattern.high:.3g}",
        )
    change = advice.change_per_frame
    if change.value is not None and change.low is not None and change.high is not None:
        bounds = f"({100 * change.low:+.2g} .. {100 * change.high:+.2g})"
        yield "brightness", f"{100 * change.value:+.2g}", f"% a frame  {bounds}"
    if advice.pays_until is not None:
        yield "averaging pays until", str(advice.pays_until), f"frames: {100 * DIMINISHED:.0f} % of that limit"


def _shown(value: Bounded, unit_: str) -> tuple[str, str]:
    significant = 2 if value.value is None else digits(value.value, value.low, value.high)
    bounds = interval(value.low, value.high, significant)
    return number(value.value, significant), f"{unit_}  ({bounds})"


def _cells(value: Bounded) -> tuple[str, str]:
    significant = 2 if value.value is None else max(2, digits(value.value, value.low, value.high))
    return number(value.value, significant), interval(value.low, value.high, significant)


def _levels(advice: Advice) -> Table:
    table = number_table(
        f"{unit(advice)} a pixel and frame, and their SNR now",
        *("level", "DN", "photons", "interval", "SNR", "interval", "limited by"),
    )
    table.columns[-1].justify = "left"
    for level in advice.levels:
        limit = {"pattern": "fixed pattern", None: "-"}.get(level.limit, f"{level.limit} noise")
        table.add_row(level.name, number(level.signal_dn, 4), *_cells(level.photons), *_cells(level.snr), limit)
    return table


def _averages(advice: Advice) -> list[RenderableType]:
    table = number_table("", "N", "SNR", "interval")
    table.columns[0].justify = "right"
    for average in advice.averages:
        table.add_row(str(average.frames), *_cells(average.snr))
    table.title = None
    return [Text(f"\nmean of N frames, at the {advice.target_level}"), table]


def _routes(advice: Advice) -> list[RenderableType]:
    table = number_table("", "change", "factor", "dose", "remark")
    table.title = None
    table.columns[-1].justify = "left"
    for route in advice.routes:
        remarks = []
        if route.factor is None:
            remarks.append("out of reach: fixed pattern")
        if route.within_dose is False:
            remarks.append(f"beyond the dose {advice.max_dose:g}")
        if route.clips:
            remarks.append("the peak would clip")
        shown = "-" if route.factor is None else f"{route.factor:.4g}"
        dose = "-" if route.dose is None else f"{route.dose:.4g}"
        table.add_row(route.means, shown, dose, ", ".join(remarks))
    return [Text(f"\nSNR {advice.target_snr:g} at the {advice.target_level}: one of"), table]


def _sky(advice: Advice) -> Table:
    sky = advice.sky
    assert sky is not None
    table = Table.grid(padding=(0, 2, 0, 0))
    for label, value, words in (
        ("sky", number(sky.sky_e, 3), f"e- a pixel in {sky.exposure_s:g} s"),
        ("sky rate", number(sky.sky_rate, 3), "e-/px/s"),
        ("read noise adds", f"{100 * sky.read_share:.2g}", "% to the noise of the sky"),
        *((f"at most {100 * share:.0f} %", number(time, 3), "s, shortest exposure") for share, time in sky.minimal_s),
    ):
        table.add_row(label, value, words)
    return table


def _exponents(found: Exponents) -> Text:
    lines = []
    for name, value, error in (("power", found.power, found.power_error), ("dwell", found.dwell, found.dwell_error)):
        if value is not None:
            lines.append(f"photons grow as {name}^{value:.2f}" + ("" if error is None else f" +- {error:.2f}"))
    return Text("\n".join(lines))
