"""The noise curve drawn with characters, for a terminal: no colour is needed to tell the curve from its interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from noisediag.footprint.plane import PlaneFootprint
from noisediag.reports.numbers import number

ROWS = 7
MARKS = "▁─▔"  # the curve in the lower, middle and upper third of a row
BAND = "░"
TALLEST = 2.5  # times the curve's own maximum: a band that reaches higher is cut off, and its last row says so
LEAST_RANGE = 1e-9

Floats = NDArray[np.float64]


def draw(plane: PlaneFootprint, width: int) -> Text | None:
    """Sigma against signal with its 90 % interval, ROWS high and `width` wide; None where there is no range of signal.

    Sigma is in DN where the file has one scale, else in % of white - black; the signal in % of white - black, or in DN
    where white is not known.
    """
    points = plane.curve
    signals = np.array([point.signal for point in points])
    if len(points) < 2 or not np.ptp(signals) > LEAST_RANGE:
        return None
    span = plane.span_dn
    scale = 100.0 if span is None else span
    sigma, low, high = (scale * np.array([getattr(p, name) for p in points]) for name in ("sigma", "low", "high"))
    top = float(min(high.max(), TALLEST * sigma.max()))
    if not top > 0:
        return None
    labels = [number(value, 2) for value in (top, top / 2)] + ["0"]
    margin = max(map(len, labels))
    columns = max(width - margin - 2, 16)
    cells = _cells(np.linspace(signals[0], signals[-1], columns), signals, (sigma, low, high), top)
    at_row = {0: labels[0], ROWS // 2: labels[1], ROWS - 1: labels[2]}
    lines = [f"{at_row.get(row, ''):>{margin}} │{''.join(cells[row])}" for row in range(ROWS)]
    lines.append(" " * (margin + 1) + "└" + "─" * columns)
    lines.append(" " * (margin + 2) + _axis(plane, float(signals[0]), float(signals[-1]), columns))
    return Text("\n".join(line.rstrip() for line in lines), no_wrap=True)


def heading(plane: PlaneFootprint) -> str:
    """What the axes are, for the line above."""
    unit = "% of white - black" if plane.span_dn is None else "DN"
    return f"sigma in {unit} against the signal; {MARKS[1]} curve, {BAND} 90 % interval"


def _cells(at: Floats, signals: Floats, curves: tuple[Floats, Floats, Floats], top: float) -> list[list[str]]:
    """Rows from the top; each a character a column."""
    sigma, low, high = (np.interp(at, signals, curve) for curve in curves)
    rows = [[" "] * len(at) for _ in range(ROWS)]
    step = top / ROWS
    for column in range(len(at)):
        for row in range(ROWS):
            middle = top - (row + 0.5) * step
            if low[column] <= middle <= high[column]:
                rows[row][column] = BAND
        third = min(int(3 * ROWS * sigma[column] / top), 3 * ROWS - 1)
        rows[ROWS - 1 - third // 3][column] = MARKS[third % 3]
    return rows


def _axis(plane: PlaneFootprint, first: float, last: float, columns: int) -> str:
    """Three labels under the axis: its ends and its middle."""
    texts = [_signal(plane, value) for value in (first, (first + last) / 2, last)]
    line = [" "] * columns
    starts = (0, columns // 2 - len(texts[1]) // 2, columns - len(texts[2]))
    for start, text in zip(starts, texts, strict=True):
        line[start : start + len(text)] = text
    return "".join(line)[:columns]


def _signal(plane: PlaneFootprint, signal: float) -> str:
    if plane.white_known or plane.span_dn is None or plane.black_dn is None:
        return f"{number(100 * signal, 2)} %"
    return f"{plane.black_dn + signal * plane.span_dn:.4g} DN"
