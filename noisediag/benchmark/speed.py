"""`noisediag benchmark speed`: CPU time of an estimate, beside that of scikit-image and the other classics.

Pictures are in memory, 16 bits, procedural scenes under shot and read noise. Times are those of the process on one
thread, medians over repeats after one untimed call; the methods take turns, so that all meet the same load. The model
is timed on an Image that is ready, as the baselines are on their plane of floats, and once more from the array on: that
adds finding the scale and the step of its codes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from noisediag import images
from noisediag.benchmark.baselines import BASELINES, CHEN_PATCH_PX, PATCH_PX, wavelet_mad
from noisediag.benchmark.running import MODEL, Models, SensorModel, ShippedModels
from noisediag.footprint.file import CheckpointId
from noisediag.genome import scenes
from noisediag.reports import figures
from noisediag.reports.figures import number_table
from noisediag.reports.progress import Progress

SCHEMA = "noisediag.speed/1"
FROM_ARRAY = "noisediag, from the array"
REFERENCE = "scikit-image"
SCENE_PX = 1000  # of the scenes that a large picture is laid out with
SCENES = 6
SHOT_GAIN, READ_NOISE = 1e-3, 5e-3
PATCHES_PX = {"Liu 2013": PATCH_PX, "Chen 2015": CHEN_PATCH_PX}  # those that hold every patch of the picture at once
MEMORY_GB = 8.0  # more than so much for the patches, and the method is left out


@dataclass(frozen=True)
class Format:
    """A picture's size, and how often it is timed."""

    height_px: int
    width_px: int
    repeats: int


FORMATS = (Format(256, 256, 30), Format(4000, 6000, 3))


@dataclass(frozen=True)
class SpeedOptions:
    """What to run; always on the processor."""

    seed: int = 0
    formats: tuple[Format, ...] = FORMATS
    checkpoint: Path | None = None


@dataclass(frozen=True)
class SpeedRow:
    """Median CPU seconds of one method on one size, and how many times those of scikit-image that is."""

    method: str
    height_px: int
    width_px: int
    repeats: int
    cpu_seconds: float
    times_reference: float


@dataclass(frozen=True)
class SpeedResult:
    """The rows, by size and method."""

    options: SpeedOptions
    checkpoint: CheckpointId
    rows: tuple[SpeedRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One method on one picture."""

    method: str
    format: Format
    call: Callable[[], object]


def run(options: SpeedOptions, *, models: Models | None = None, progress: Progress | None = None) -> SpeedResult:
    """Measure. `models` stands in for the shipped one. Raises UsageError where scikit-image is not installed."""
    wavelet_mad(np.random.default_rng(0).standard_normal((16, 16)))  # before the work, not after it
    with one_thread():
        made = (models or ShippedModels("sensor", options.checkpoint, "cpu", randomised=False, seed=options.seed))()
        model = made[MODEL]
        left_out: list[str] = []
        tasks = [task for format_ in options.formats for task in _tasks(model, format_, options.seed, left_out)]
        rounds = _rounds(tasks)
        total = sum(1 + task.format.repeats for task in tasks)
        measured: dict[Task, list[float]] = {task: [] for task in tasks}
        for task, seconds in progress(rounds, total) if progress else rounds:
            measured[task].append(seconds)
    times = [(task, float(np.median(seconds[1:]))) for task, seconds in measured.items()]  # the first warms up
    reference = {task.format: seconds for task, seconds in times if task.method == REFERENCE}
    rows = tuple(
        SpeedRow(
            method=task.method,
            height_px=task.format.height_px,
            width_px=task.format.width_px,
            repeats=task.format.repeats,
            cpu_seconds=seconds,
            times_reference=seconds / reference[task.format],
        )
        for task, seconds in times
    )
    return SpeedResult(options, model.checkpoint, rows, tuple(left_out))


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread; what was set before comes back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def picture(format_: Format, seed: int) -> NDArray[np.uint16]:
    """Codes (H, W) of 16 bits: procedural scenes, side by side where one would be too small, with noise."""
    generator = torch.Generator().manual_seed(seed)
    size = min(SCENE_PX, max(format_.height_px, format_.width_px))
    down, across = -(-format_.height_px // size), -(-format_.width_px // size)
    made = scenes.make(min(SCENES, down * across), size, generator).numpy()
    signal = np.concatenate(
        [
            np.concatenate([made[(row * across + column) % len(made)] for column in range(across)], 1)
            for row in range(down)
        ]
    )[: format_.height_px, : format_.width_px]
    noise = np.random.default_rng(seed).standard_normal(signal.shape, dtype=np.float32)
    noisy = signal + np.sqrt(SHOT_GAIN * signal + READ_NOISE**2) * noise
    return np.rint(np.clip(noisy, 0, 1) * 65535).astype(np.uint16)


def render(result: SpeedResult) -> Group:
    """A table a size, no wider than 80 columns."""
    heading = "CPU time on one thread, median"
    checkpoint = f"checkpoint {result.checkpoint.name} ({result.checkpoint.sha256[:12]})"
    parts: list[RenderableType] = [Text(f"{heading}\n{checkpoint}")]
    for format_ in result.options.formats:
        size = f"{format_.height_px} x {format_.width_px}"
        rows = [row for row in result.rows if (row.height_px, row.width_px) == (format_.height_px, format_.width_px)]
        table = number_table(f"\n{size}, {format_.repeats} repeats", "method", "ms", f"times {REFERENCE}")
        for row in rows:
            table.add_row(row.method, figures.decimal(1000 * row.cpu_seconds, 1), figures.decimal(row.times_reference))
        parts.append(table)
    return Group(*parts, *(Text(f"note: {note}") for note in result.notes))


def dumps(result: SpeedResult) -> str:
    """The result as JSON text."""
    return figures.dumps_json(figures.document(SCHEMA, result))


def dumps_csv(result: SpeedResult) -> str:
    """The rows as CSV."""
    return figures.dumps_rows(SpeedRow, result.rows)


def _tasks(model: SensorModel, format_: Format, seed: int, left_out: list[str]) -> Iterator[Task]:
    """The calls on one picture; methods that would fill the memory go to `left_out` instead, with the reason."""
    codes = picture(format_, seed)
    plane = codes / 65535
    estimate = model.estimate
    yield Task(MODEL, format_, partial(estimate, images.from_array(codes, black=0, white=65535)))
    yield Task(FROM_ARRAY, format_, lambda: estimate(images.from_array(codes, black=0, white=65535)))
    for baseline in BASELINES:
        needed_gb = codes.size * PATCHES_PX.get(baseline.name, 0) ** 2 * plane.itemsize / 1e9
        if needed_gb > MEMORY_GB:
            size = f"{format_.height_px} x {format_.width_px}"
            left_out.append(f"{baseline.name} left out at {size}: its patches would take {needed_gb:.0f} GB")
        else:
            yield Task(baseline.name, format_, partial(baseline.function, plane))


def _rounds(tasks: Sequence[Task]) -> Iterator[tuple[Task, float]]:
    """CPU seconds of all tasks in turn, one more time than their repeats."""
    for turn in range(1 + max(task.format.repeats for task in tasks)):
        for task in tasks:
            if turn <= task.format.repeats:
                start = time.process_time()
                task.call()
                yield task, time.process_time() - start
