"""The picture of the README: a noisy photograph, its noise curve with the interval, and what `estimate` prints of it.

`python tests/readme.py --picture` draws it. What was printed travels in the file; a test compares it with the README.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import readme

PICTURE = readme.ROOT / "tests" / "data" / "readme.png"
SAMPLE = readme.ROOT / "tests" / "data" / "sample.dng"
CUT = (slice(150, 198), slice(20, 84))  # rows and columns of the green plane that are shown larger
LARGER = 4
DPI = 110


def draw(path: Path) -> None:
    """Write the picture of the sample that ships."""
    from matplotlib.figure import Figure

    import noisediag
    from noisediag import images

    (first,) = [e for e in readme.examples(readme.README) if "estimate" in e.commands]
    (printed,) = readme.run(first)
    plane = images.read(SAMPLE, channel="G1").planes[0]
    green = ((plane.load() - plane.black_dn) / (plane.white_dn - plane.black_dn)).clip(0, 1)
    footprint = noisediag.estimate(SAMPLE)

    figure = Figure(figsize=(12, 4.6), dpi=DPI, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    upper, lower = left.subplots(2, 1, height_ratios=(1, 1.1))
    _photograph(upper, green)
    _curve(lower, footprint)
    right.text(0.01, 0.98, printed, family="monospace", size=7.6, va="top", linespacing=1.15)
    figure.savefig(path, metadata={"Software": None, "Description": printed})


def _photograph(axes: Any, green: Any) -> None:
    """The picture and, beside it, a part of it with its contrast stretched."""
    rows, columns = CUT
    axes.imshow(green ** (1 / 2.2), cmap="gray", vmin=0, vmax=1)
    axes.set_title("tests/data/sample.dng, and its noise", size=9)
    axes.set_axis_off()
    part = green[rows, columns]
    inset = axes.inset_axes((1.03, 0.0, 0.98, 1.0))
    middle, spread = part.mean(), 2.5 * part.std()
    inset.imshow(part, cmap="gray", vmin=middle - spread, vmax=middle + spread, interpolation="nearest")
    inset.set_axis_off()
    axes.indicate_inset((columns.start, rows.start, part.shape[1], part.shape[0]), edgecolor="black")


def _curve(axes: Any, footprint: Any) -> None:
    points = footprint.curve
    signals = [100 * point.signal for point in points]
    axes.fill_between(signals, [100 * p.low for p in points], [100 * p.high for p in points], alpha=0.3, linewidth=0)
    axes.plot(signals, [100 * point.sigma for point in points], linewidth=1.5)
    axes.set_xlabel("signal, % of white", size=8)
    axes.set_ylabel("sigma, % of white", size=8)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=8)
    axes.grid(linewidth=0.3)
    axes.set_title("noise curve, 90 % interval", size=9)


if __name__ == "__main__":
    sys.exit("python tests/readme.py --picture")
