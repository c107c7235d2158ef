"""`noisediag benchmark speed`: CPU time of an estimate, warm and cold, beside scikit-image's and the other classics'.

Pictures are in memory, 16 bits, procedural scenes under shot and read noise. Times are those of the process on one
thread, medians over repeats after one untimed call; the methods take turns, so that all meet the same load. The model
is timed on an Image that is ready, as the baselines are on their plane of floats, and once more from the array on: that
adds finding the scale and the step of its codes. Pictures up to 1 megapixel are also read from PNG files of 8 bits,
gray and in colours, which adds decoding, and what processing and JPEG leave in rendered pictures. The other engine, see
`noisediag.engine`, takes its turns in a process of its own. Cold times are those of whole processes, one after the
other: `noisediag estimate FILE --json` with either engine, and a script that reads the same file with Pillow and asks
scikit-image.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
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

from noisediag import engine, images
from noisediag.benchmark import processes
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
COLD = ((256, "PNG"), (1000, "PNG"), (1000, "JPEG"))  # side in px and format of the files of whole processes
LARGEST_FILE_PX = 1_000_000  # of the pictures that are read from files, warm
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
    both_engines: bool = True
    cold_repeats: int = 5  # of whole processes; 0: none


@dataclass(frozen=True)
class SpeedRow:
    """Median CPU seconds of one method on one size, and how many times those of scikit-image that is.

    `start`: warm, or cold, a whole process; then `what` it reads and the most memory that it took are told.
    """

    method: str
    height_px: int
    width_px: int
    repeats: int
    cpu_seconds: float
    times_reference: float
    start: str = "warm"
    what: str = "array"
    peak_mb: float | None = None


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
    times_itself: bool = False  # the call returns its seconds


def run(options: SpeedOptions, *, models: Models | None = None, progress: Progress | None = None) -> SpeedResult:
    """Measure. `models` stands in for the shipped one. Raises UsageError where scikit-image is not installed."""
    wavelet_mad(np.random.default_rng(0).standard_normal((16, 16)))  # before the work, not after it
    left_out: list[str] = []
    with one_thread(), contextlib.ExitStack() as stack:
        made = (models or ShippedModels("sensor", options.checkpoint, "cpu", randomised=False, seed=options.seed))()
        model = made[MODEL]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tasks = [task for format_ in options.formats for task in _tasks(model, format_, options.seed, left_out)]
        tasks += [task for format_ in options.formats for task in _of_files(model, format_, options.seed, folder)]
        if options.both_engines:
            other = next(name for name in engine.NAMES if name != engine.name())
            seconds = stack.enter_context(processes.other_process(other, options.checkpoint))
            tasks += _of_other_engine(seconds, other, options)
        rounds = _rounds(tasks)
        total = sum(1 + task.format.repeats for task in tasks)
        measured: dict[Task, list[float]] = {task: [] for task in tasks}
        for task, taken in progress(rounds, total) if progress else rounds:
            measured[task].append(taken)
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
    return SpeedResult(options, model.checkpoint, (*rows, *_cold_rows(options, left_out)), tuple(left_out))


def _of_files(model: SensorModel, format_: Format, seed: int, folder: Path) -> Iterator[Task]:
    """Reading and measuring of the picture as a PNG file, gray and in colours."""
    from PIL import Image

    if format_.height_px * format_.width_px > LARGEST_FILE_PX:
        return
    gray = picture(format_, seed) >> 8
    colours = np.stack([picture(format_, seed + number) >> 8 for number in range(3)], -1)
    for kind, codes in (("gray", gray), ("colour", colours)):
        path = folder / f"{kind}-{format_.height_px}-{format_.width_px}.png"
        Image.fromarray(codes.astype(np.uint8)).save(path)
        yield Task(f"{MODEL}, {kind} PNG", format_, partial(_from_file, model, path))


def _from_file(model: SensorModel, path: Path) -> object:
    return model.estimate(images.read(path))


def _of_other_engine(seconds: Callable[..., float], other: str, options: SpeedOptions) -> Iterator[Task]:
    for format_ in options.formats:
        for method, from_array in ((MODEL, False), (FROM_ARRAY, True)):
            call = partial(seconds, format_.height_px, format_.width_px, options.seed, from_array)
            yield Task(f"{method} ({other})", format_, call, times_itself=True)


def _cold_rows(options: SpeedOptions, left_out: list[str]) -> Iterator[SpeedRow]:
    """Whole processes in turn; the reference is the last of each file."""
    if not options.cold_repeats:
        return
    if os.name != "posix":
        left_out.append("whole processes left out: Windows does not tell what they took")
        return
    with tempfile.TemporaryDirectory() as folder:
        for side_px, kind in COLD:
            codes = picture(Format(side_px, side_px, 1), options.seed)
            path = processes.write_pictures(codes, side_px, Path(folder))[kind]
            command = processes.estimate_command(path, options.checkpoint)
            commands = {f"{MODEL} ({name})": (command, name) for name in ("numpy", "torch")}
            commands[REFERENCE] = (processes.reference_command(path), "numpy")
            found: dict[str, list[tuple[float, float]]] = {method: [] for method in commands}
            for _ in range(options.cold_repeats):
                for method, (words, of_engine) in commands.items():
                    found[method].append(processes.cost(words, of_engine))
            medians = {method: np.median(costs, axis=0).tolist() for method, costs in found.items()}
            for method, (taken, peak_mb) in medians.items():
                ratio = taken / medians[REFERENCE][0]
                yield SpeedRow(
                    method,
                    side_px,
                    side_px,
                    options.cold_repeats,
                    taken,
                    ratio,
                    start="cold",
                    what=kind,
                    peak_mb=peak_mb,
                )


@contextmanager
def one_thread() -> Iterator[None]:
    """torch and numpy's linear algebra on one thread; what was set before comes back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with engine.one_thread():
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
        wanted = ("warm", format_.height_px, format_.width_px)
        rows = [row for row in result.rows if (row.start, row.height_px, row.width_px) == wanted]
        table = number_table(f"\n{size}, {format_.repeats} repeats", "method", "ms", f"times {REFERENCE}")
        for row in rows:
            table.add_row(row.method, figures.decimal(1000 * row.cpu_seconds, 1), figures.decimal(row.times_reference))
        parts.append(table)
    cold = [row for row in result.rows if row.start == "cold"]
    if cold:
        repeats = f"\nwhole processes, {cold[0].repeats} repeats"
        table = number_table(repeats, "method", "file", "px", "s", "peak MB", f"times {REFERENCE}")
        for row in cold:
            numbers = figures.decimal(row.cpu_seconds), f"{row.peak_mb:.0f}", figures.decimal(row.times_reference)
            table.add_row(row.method, row.what, str(row.height_px), *numbers)
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
                said = task.call()
                yield task, float(said) if task.times_itself else time.process_time() - start  # type: ignore[arg-type]
