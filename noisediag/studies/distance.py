"""`noisediag distance A B`: whether the noise of two folders is the same, in the encoder's embedding.

The maximum mean discrepancy (MMD, Gretton et al., JMLR 13, 2012) with a Gaussian kernel of the median width and a
permutation test; its witness function, taken at each file from all the others, says which folder a file is nearer to.
Beside it the overlap of the two folders' densities in the first two principal components of the embedding, a share
between 0 (told apart at sight) and 1.

The embedding keeps the noise and forgets most of the picture, not all of it: with many files the test also sees a
difference of content, whose discrepancy is small.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.table import Table
from rich.text import Text
from scipy import spatial, stats

from noisediag.errors import UsageError
from noisediag.footprint.file import CheckpointId
from noisediag.reports import figures, plots
from noisediag.reports.csv import safe_text
from noisediag.reports.document import path_fields
from noisediag.reports.table import printable

Floats = NDArray[np.float64]

SCHEMA = "noisediag.distance/1"
MIN_FILES = 8  # a folder: fewer have too few relabellings for a p below 0.001
PERMUTATIONS = 2000
OVERLAP_PERMUTATIONS = 200
SAME = 0.05  # p above which nothing speaks against one noise
GRID = 64  # points of a density, along either axis
COLUMNS = ("folder", "path", "score")
STYLES = {"A": ("#0072b2", "o", "-"), "B": ("#d55e00", "^", "--")}  # Okabe & Ito; told apart by shape, too
CONTOURS = (0.1, 0.4, 0.7)  # of the highest density


@dataclass(frozen=True)
class DistanceOptions:
    """What is compared, and how often labels are drawn anew."""

    a: Path
    b: Path
    permutations: int = PERMUTATIONS
    seed: int = 0


@dataclass(frozen=True)
class Member:
    """One file. `score`: mean similarity to the other files of A less that to the other files of B."""

    folder: str  # A or B
    path: str
    score: float
    principal: tuple[float, float]  # of the embedding, first two principal components of all files


@dataclass(frozen=True)
class DistanceResult:
    """Squared MMD without bias (it may be negative), the overlap, and what files dealt out anew give for both."""

    options: DistanceOptions
    checkpoint: CheckpointId
    members: tuple[Member, ...]
    mmd2: float
    mmd2_null_95: float  # 95 % of the relabellings lie below
    p: float
    overlap: float  # 0 to 1
    overlap_null: tuple[float, float]  # 5 % and 95 % quantile over relabellings
    failed: int  # files that could not be read

    def of(self, folder: str) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.folder == folder)


def compare(
    options: DistanceOptions,
    checkpoint: CheckpointId,
    embeddings: Mapping[Path, NDArray[np.floating]],
    membership: Mapping[Path, str],
    *,
    failed: int = 0,
) -> DistanceResult:
    """The distance of the files of A from those of B: `embeddings` `(E,)` by file, `membership` A or B.

    Raises UsageError where a folder has fewer than MIN_FILES files with an embedding.
    """
    paths = sorted(embeddings, key=lambda path: (membership[path], path))
    for folder, path in (("A", options.a), ("B", options.b)):
        count = sum(membership[p] == folder for p in paths)
        if count < MIN_FILES:
            raise UsageError(f"{path}: {count} readable files; a comparison needs {MIN_FILES}")
    values = np.stack([embeddings[path] for path in paths]).astype(np.float64)
    of_a = np.array([membership[path] == "A" for path in paths])
    # By hand, not by `scipy.stats.permutation_test`: MMD and overlap are judged on the same relabellings.
    generator = np.random.default_rng(options.seed)
    kernel = gaussian_kernel(values)
    mmd2 = float(squared_mmd(kernel, of_a[None])[0])
    labels = np.stack([generator.permutation(of_a) for _ in range(options.permutations)])
    null = squared_mmd(kernel, labels)
    plane = principal_components(values)
    axes = grid(plane)
    overlaps = [overlap(plane[drawn], plane[~drawn], *axes) for drawn in labels[:OVERLAP_PERMUTATIONS]]
    members = tuple(
        Member(membership[path], str(path_fields(str(path))["path"]), float(score), (float(x), float(y)))
        for path, score, (x, y) in zip(paths, witness(kernel, of_a), plane, strict=True)
    )
    low, high = np.quantile(overlaps, (0.05, 0.95))
    return DistanceResult(
        options=options,
        checkpoint=checkpoint,
        members=members,
        mmd2=mmd2,
        mmd2_null_95=float(np.quantile(null, 0.95)),
        p=float((1 + np.count_nonzero(null >= mmd2)) / (1 + len(null))),
        overlap=overlap(plane[of_a], plane[~of_a], *axes),
        overlap_null=(float(low), float(high)),
        failed=failed,
    )


def gaussian_kernel(values: Floats) -> Floats:
    """exp(-d^2 / median d^2) of all pairs of rows, `(N, N)`; the diagonal is 0: a file is not compared with itself."""
    distance2 = spatial.distance.pdist(values, "sqeuclidean")
    median = float(np.median(distance2))
    similarity = np.exp(-distance2 / median) if median > 0 else np.ones_like(distance2)  # copies of one file
    return np.asarray(spatial.distance.squareform(similarity))


def squared_mmd(kernel: Floats, labels: NDArray[np.bool_]) -> Floats:
    """Gretton's unbiased estimate for each row of `labels` `(P, N)`, True for files of A."""
    a = labels.astype(np.float64)
    b = 1 - a
    n, m = a.sum(1), b.sum(1)
    towards_a, towards_b = a @ kernel, b @ kernel
    within = (a * towards_a).sum(1) / (n * (n - 1)) + (b * towards_b).sum(1) / (m * (m - 1))
    return np.asarray(within - 2 * (a * towards_b).sum(1) / (n * m))


def witness(kernel: Floats, of_a: NDArray[np.bool_]) -> Floats:
    """MMD's witness function at each file, from all the other files: mean similarity to A less that to B, `(N,)`."""
    a = of_a.astype(np.float64)
    b = 1 - a
    return np.asarray(kernel @ a / (a.sum() - a) - kernel @ b / (b.sum() - b))


def density(points: Floats, x: Floats, y: Floats) -> Floats:
    """Gaussian kernel density estimate of `points` `(N, 2)` on a grid, `(len(x), len(y))`; widths by Scott's rule.

    Not `scipy.stats.gaussian_kde`, whose kernel has the covariance of the points: this one has a width along either
    axis, which stays above 0 where all points lie on a line.
    """
    widths = np.maximum(points.std(0, ddof=1) * len(points) ** (-1 / 6), 1e-3 * np.array([np.ptp(x), np.ptp(y)]))
    along_x, along_y = (stats.norm.pdf(at[:, None], points[:, axis], widths[axis]) for axis, at in enumerate((x, y)))
    return np.asarray(along_x @ along_y.T / len(points))


def overlap(a: Floats, b: Floats, x: Floats, y: Floats) -> float:
    """Volume below both densities: near 1 for the same points, 0 where none of one lie where the other has any."""
    shared = np.minimum(density(a, x, y), density(b, x, y))
    return min(1.0, float(shared.sum() * (x[1] - x[0]) * (y[1] - y[0])))


def grid(points: Floats) -> tuple[Floats, Floats]:
    """Where the densities of points `(N, 2)` are drawn and summed."""
    low, high = points.min(0), points.max(0)
    margin = np.maximum((high - low) / 2, 1e-9)
    x, y = (np.linspace(low[i] - margin[i], high[i] + margin[i], GRID) for i in (0, 1))
    return x, y


def principal_components(values: Floats) -> Floats:
    """The rows in their first two principal components, `(N, 2)`."""
    centred = values - values.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(centred @ directions[:2].T)


def verdict(result: DistanceResult) -> str:
    """What the test says, in a sentence."""
    if result.p > SAME:
        return f"no difference found between the noise of the two folders (p = {result.p:.2g})"
    return f"the noise of the two folders differs (p = {result.p:.2g})"


def render(result: DistanceResult) -> Group:
    """The answer, its scale, and the files that lie farthest on the other side."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    low, high = result.overlap_null
    null = f"dealt out anew: 95 % below {result.mmd2_null_95:.3f}"
    table.add_row("MMD squared", f"{result.mmd2:.3f}", null)
    table.add_row("p", f"{result.p:.2g}", f"{result.options.permutations} permutations")
    table.add_row("overlap", f"{100 * result.overlap:.0f} %", f"dealt out anew: {100 * low:.0f} to {100 * high:.0f} %")
    lines: list[Text | Table] = []
    for name, folder in (("A", result.options.a), ("B", result.options.b)):
        shown = printable(str(path_fields(str(folder))["path"]))
        lines.append(Text(f"{name} {shown}, {len(result.of(name))} files"))
    strays = _strays(result)
    lines += [Text(""), table, Text(f"\n{verdict(result)}", style="bold")]
    if strays:
        lines.append(Text("\nnearer to the other folder than to their own:"))
        lines += [Text(f"  {member.folder} {printable(member.path)}") for member in strays]
    return Group(*lines)


def dumps(result: DistanceResult) -> str:
    """The result as JSON text."""
    document = figures.document(SCHEMA, result)
    document["verdict"] = verdict(result)
    return figures.dumps_json(document)


def dumps_csv(result: DistanceResult) -> str:
    """One row a file: its folder, its path, and how much nearer to A than to B it is."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((m.folder, safe_text(m.path), f"{m.score:.6g}") for m in result.members)
    return stream.getvalue()


def _strays(result: DistanceResult, most: int = 5) -> list[Member]:
    """Where the folders differ, the files that the others would put into the other one, the clearest first."""
    if result.p > SAME:
        return []
    wrong = [m for m in result.members if (m.score < 0) == (m.folder == "A")]
    return sorted(wrong, key=lambda member: -abs(member.score))[:most]


def draw(result: DistanceResult, path: Path) -> None:
    """Write a plot: all files in the first two principal components, and each folder's density as contours."""
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
    plots.save(figure, path)
