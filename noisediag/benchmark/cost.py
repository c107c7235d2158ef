"""`noisediag benchmark cost`: CPU time by the pixels of a picture and by the number of files.

Pictures are procedural scenes under shot and read noise, in files of their own: gray PNG of 16 bits, and Bayer DNG
without compression. Times are those of one thread. The two parts of a file's cost are timed apart, in this process:
reading (decoding, digest, levels, scale) and the model (all that follows). Whole batches run in a worker process, from
its start to its end, as `noisediag batch` runs it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from noisediag import images
from noisediag.batch.pool import Limits, Pool
from noisediag.batch.worker import EstimateOptions
from noisediag.benchmark import speed
from noisediag.benchmark.running import MODEL, Models, SensorModel, ShippedModels
from noisediag.benchmark.speed import Format
from noisediag.errors import UsageError
from noisediag.footprint.file import CheckpointId
from noisediag.images.dng_writing import DngTags, write_dng
from noisediag.reports import figures, plots
from noisediag.reports.figures import number_table
from noisediag.reports.progress import Progress

SCHEMA = "noisediag.cost/1"
PNG, RAW = "PNG", "RAW"
BLACK_DN, WHITE_DN = 512, 16383  # of the RAW files
FILE = Format(256, 256, 1)  # of the batches
DIFFERENT = 10  # pictures of a batch; they come again and again
TIMEOUT_S = 600.0
COLOURS = {PNG: "#0072b2", RAW: "#d55e00"}  # Okabe and Ito 2008: told apart by the colour-blind
MARKS = {"reading": "o", "model": "s"}

Batches = Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class CostOptions:
    """What to run; always on the processor."""

    seed: int = 0
    formats: tuple[Format, ...] = (
        Format(512, 512, 10),
        Format(1000, 1000, 10),
        Format(2000, 2000, 5),
        Format(3000, 4000, 3),
        Format(4000, 6000, 3),
    )
    files: tuple[int, ...] = (20, 40, 80, 160)
    checkpoint: Path | None = None


@dataclass(frozen=True)
class CostRow:
    """Median CPU seconds of one picture; or, `what` being "batch", of a batch of `files`."""

    what: str
    height_px: int
    width_px: int
    files: int
    reading_s: float  # NaN for batches
    model_s: float  # NaN for batches
    cpu_seconds: float


@dataclass(frozen=True)
class CostResult:
    """The rows; and of the batches the line cpu_seconds = start_s + file_s * files, by least squares."""

    options: CostOptions
    checkpoint: CheckpointId
    rows: tuple[CostRow, ...]
    start_s: float
    file_s: float


def run(
    options: CostOptions,
    *,
    models: Models | None = None,
    batches: Batches | None = None,
    progress: Progress | None = None,
) -> CostResult:
    """Measure. `models` and `batches` stand in for the shipped model and for a worker process that has it.

    Raises UsageError where the system does not count the CPU time of processes that were started.
    """
    if os.name != "posix":
        raise UsageError("benchmark cost needs the CPU time of worker processes, which Windows does not tell")
    with speed.one_thread(), tempfile.TemporaryDirectory() as folder:
        made = (models or ShippedModels("sensor", options.checkpoint, "cpu", randomised=False, seed=options.seed))()
        model = made[MODEL]
        measure = batches or partial(run_batch, checkpoint=options.checkpoint)
        rows = _rows(options, model, measure, Path(folder))
        total = 2 * len(options.formats) + len(options.files)
        found = tuple(progress(rows, total) if progress else rows)
    counts, seconds = zip(*((row.files, row.cpu_seconds) for row in found if row.what == "batch"), strict=True)
    file_s, start_s = (float(value) for value in np.polyfit(counts, seconds, 1))
    return CostResult(options, model.checkpoint, found, start_s, file_s)


def run_batch(paths: Sequence[str], *, checkpoint: Path | None = None) -> None:
    """All of `paths` through one worker process, which has ended when this returns."""
    options = EstimateOptions(checkpoint=None if checkpoint is None else str(checkpoint), device="cpu")
    with contextlib.closing(Pool(options, Limits(TIMEOUT_S, None), 1)) as pool:
        pool.start()
        for _ in pool.run(paths):
            pass


def write_picture(what: str, codes: NDArray[np.uint16], path: Path) -> None:
    """The codes (H, W) of 16 bits as a file: PNG as they are, RAW as a mosaic of 14 bits."""
    if what == PNG:
        from PIL import Image

        Image.fromarray(codes).save(path, "PNG")
        return
    span = WHITE_DN - BLACK_DN
    mosaic = np.rint(BLACK_DN + codes * (span / 65535)).astype(np.uint16)
    profile = (speed.SHOT_GAIN, speed.READ_NOISE**2)
    write_dng(path, mosaic, DngTags(BLACK_DN, WHITE_DN, (1.0, 1.0, 1.0), (profile,) * 3, 100, 0.01, 4.0))


def _rows(options: CostOptions, model: SensorModel, batches: Batches, folder: Path) -> Iterator[CostRow]:
    for format_ in options.formats:
        codes = speed.picture(format_, options.seed)
        for what, suffix in ((PNG, ".png"), (RAW, ".dng")):
            path = folder / f"picture{suffix}"
            write_picture(what, codes, path)
            times = np.array([_timed(model, path) for _ in range(1 + format_.repeats)][1:])  # the first warms up
            reading, estimate = np.median(times, axis=0).tolist()
            yield CostRow(what, format_.height_px, format_.width_px, 1, reading, estimate, reading + estimate)
    paths = []
    for number in range(min(DIFFERENT, max(options.files))):
        paths.append(folder / f"{number}.png")
        write_picture(PNG, speed.picture(FILE, options.seed + number), paths[-1])
    for count in options.files:
        before = _children_s()
        batches([str(paths[number % len(paths)]) for number in range(count)])
        yield CostRow("batch", FILE.height_px, FILE.width_px, count, np.nan, np.nan, _children_s() - before)


def _timed(model: SensorModel, path: Path) -> tuple[float, float]:
    start = time.process_time()
    image = images.read(path)
    for plane in image.planes:
        plane.load()
    middle = time.process_time()
    model.estimate(image)
    return middle - start, time.process_time() - middle


def _children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def render(result: CostResult) -> Group:
    """Tables no wider than 80 columns."""
    heading = "CPU time on one thread, median"
    checkpoint = f"checkpoint {result.checkpoint.name} ({result.checkpoint.sha256[:12]})"
    parts: list[RenderableType] = [Text(f"{heading}\n{checkpoint}")]
    table = number_table("\none picture", "file", "pixels", "reading ms", "model ms", "ms a megapixel")
    for row in result.rows:
        if row.what != "batch":
            size = f"{row.height_px} x {row.width_px}"
            table.add_row(row.what, size, *_ms(row.reading_s, row.model_s, row.cpu_seconds / _megapixels(row)))
    parts.append(table)
    table = number_table("\nbatches, one worker", f"files of {FILE.height_px} x {FILE.width_px}", "s", "s of the line")
    for row in result.rows:
        if row.what == "batch":
            line = result.start_s + result.file_s * row.files
            table.add_row(str(row.files), figures.decimal(row.cpu_seconds), figures.decimal(line))
    per_core = f"{1 / result.file_s:.0f} files a second and core" if result.file_s > 0 else "rate unknown"
    start = f"the line: {figures.decimal(result.start_s)} s to start, {figures.decimal(1000 * result.file_s, 1)} ms"
    return Group(*parts, table, Text(f"{start} a file; {per_core}"))


def draw(result: CostResult, path: Path) -> None:
    """Plot all measured points, and the line of the batches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=150, layout="constrained")
    pixels, files = figure.subplots(1, 2)
    for what, colour in COLOURS.items():
        rows = [row for row in result.rows if row.what == what]
        for part, seconds in (("reading", [r.reading_s for r in rows]), ("model", [r.model_s for r in rows])):
            at = [_megapixels(row) for row in rows]
            pixels.plot(at, seconds, f"-{MARKS[part]}", color=colour, label=f"{what}, {part}", linewidth=0.8)
    pixels.set(xlabel="megapixels of the picture", ylabel="CPU seconds on one thread", xlim=(0, None), ylim=(0, None))
    pixels.legend()
    batches = [row for row in result.rows if row.what == "batch"]
    counts = np.array([0, *(row.files for row in batches)])
    files.plot(counts, result.start_s + result.file_s * counts, color="0.6", label="least squares")
    files.plot([row.files for row in batches], [row.cpu_seconds for row in batches], "o", color="#000000")
    files.set(xlabel=f"files of {FILE.height_px} x {FILE.width_px} px in a batch", xlim=(0, None), ylim=(0, None))
    files.legend()
    for axes in (pixels, files):
        axes.grid(visible=True, linewidth=0.3)
    plots.save(figure, path)


def dumps(result: CostResult) -> str:
    """The result as JSON text."""
    return figures.dumps_json(figures.document(SCHEMA, result))


def dumps_csv(result: CostResult) -> str:
    """The rows as CSV."""
    return figures.dumps_rows(CostRow, result.rows)


def _megapixels(row: CostRow) -> float:
    return row.height_px * row.width_px / 1e6


def _ms(*seconds: float) -> list[str]:
    return [figures.decimal(1000 * value, 1) for value in seconds]
