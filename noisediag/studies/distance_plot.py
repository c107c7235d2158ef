"""The distance of two folders as a picture: where their files lie in the embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from noisediag.reports.table import printable
from noisediag.studies.distance import DistanceResult, density, grid

STYLES = {"A": ("#0072b2", "o", "-"), "B": ("#d55e00", "^", "--")}  # Okabe & Ito; told apart by shape, too
CONTOURS = (0.1, 0.4, 0.7)  # of the highest density


def draw(result: DistanceResult, path: Path) -> None:
    """Write a PNG: all files in the first two principal components, and each folder's density as contours."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    x, y = grid(np.array([member.principal for member in result.members]))
    for folder, (colour, marker, line) in STYLES.items():
        points = np.array([member.principal for member in result.of(folder)])
        name = printable((result.options.a if folder == "A" else result.options.b).name).replace("$", r"\$")
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=26,
            c=colour,
            marker=marker,
            alpha=0.75,
            label=f"{folder} {name} ({len(points)})",
        )
        height = density(points, x, y).T
        levels = [share * height.max() for share in CONTOURS]
        axes.contour(x, y, height, levels, colors=colour, linestyles=line, linewidths=0.8, alpha=0.8)
    axes.set_xlabel("embedding, first principal component")
    axes.set_ylabel("second principal component")
    axes.set_title(f"MMD squared {result.mmd2:.3f}, p = {result.p:.2g}, overlap {100 * result.overlap:.0f} %")
    axes.legend(title="folder (files), with the contours of its density", fontsize="small", title_fontsize="small")
    axes.grid(linewidth=0.3)
    figure.savefig(path, format="png", metadata={"Software": None})
