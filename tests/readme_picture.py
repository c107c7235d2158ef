"""The picture of the README: a noisy photograph, its noise curve with the interval, and what `estimate` prints of it.

`python tests/readme.py --picture` draws it. What was printed travels in the file; a test compares it with the README.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import readme

PICTURE = readme.ROOT / "tests" / "readme.png"
SAMPLE = readme.ROOT / "tests" / "data" / "sample.dng"
CUT = (slice(150, 198), slice(20, 84))  # rows and columns of the green plane that are shown larger
DPI = 110
COLOURS = 128  # of the file
LINE_IN = 0.14  # height of a line of the table


def draw(path: Path) -> None:
    """Write the picture of the sample that ships."""
    import PIL.Image
    import PIL.PngImagePlugin
    from matplotlib.figure import Figure

    import noisediag
    from noisediag import images

    (first,) = [e for e in readme.examples(readme.README) if "estimate" in e.commands]
    (printed,) = readme.run(first)
    plane = images.read(SAMPLE, channel="G1").planes[0]
    green = ((plane.load() - plane.black_dn) / (plane.white_dn - plane.black_dn)).clip(0, 1)
    footprint = noisediag.estimate(SAMPLE)

    figure = Figure(
        figsize=(12, max(4.0, LINE_IN * printed.count("\n"))), dpi=DPI, layout="constrained", facecolor="white"
    )
    grid = figure.add_gridspec(2, 3, width_ratios=(1, 1, 2.5), height_ratios=(1, 1.15))
    _photograph(figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1]), green)
    _curve(figure.add_subplot(grid[1, :2]), footprint)
    table = figure.add_subplot(grid[:, 2])
    table.set_axis_off()
    table.text(
        0.02, 1.0, printed, family="monospace", size=8, va="top", linespacing=1.2, parse_math=False, in_layout=False
    )
    drawn = io.BytesIO()
    figure.savefig(drawn, metadata={"Software": None})
    told = PIL.PngImagePlugin.PngInfo()
    told.add_itxt("Description", printed)
    PIL.Image.open(drawn).convert("RGB").quantize(COLOURS).save(path, "PNG", optimize=True, pnginfo=told)


def _photograph(whole: Any, larger: Any, green: Any) -> None:
    """The picture and, beside it, a part of it with its contrast stretched."""
    rows, columns = CUT
    part = green[rows, columns]
    middle, spread = part.mean(), 2.5 * part.std()
    whole.imshow(green ** (1 / 2.2), cmap="gray", vmin=0, vmax=1)
    whole.set_title("a photograph", size=9)
    whole.indicate_inset((columns.start, rows.start, part.shape[1], part.shape[0]), edgecolor="black")
    larger.imshow(part, cmap="gray", vmin=middle - spread, vmax=middle + spread, interpolation="nearest")
    larger.set_title("its noise", size=9)
    for axes in (whole, larger):
        axes.set_axis_off()


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
