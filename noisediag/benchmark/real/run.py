"""`noisediag benchmark real DIR`: real files whose noise was measured, `DIR/truth.json` (see `real_truth`).

Every file is read as linear data: code values with the black and white that the set states, never as a rendered
picture. The estimate is the law of the file's own footprint; of a mosaic that of each plane. It is compared where the
truth is stated: at the mean signal of a flat field, else over the file's own signal (means of 5 x 5 pixels), as square
roots of mean variances. Signals at the clip, or with a true sigma below half a step, are left out.

Pairs of a noisy and a mean picture are processed pictures and scored on their own, see `real_pairs`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text
from scipy import ndimage

from noisediag import images
from noisediag.benchmark import scoring
from noisediag.benchmark.baselines import BASELINES, Curve
from noisediag.benchmark.real import pairs as real_pairs
from noisediag.benchmark.real.pairs import PairReading, PairRow, PairScore
from noisediag.benchmark.real.truth import Line, RealFile, RealPair, read_truth
from noisediag.benchmark.running import MODEL, Models, SensorModel, ShippedModels, spread
from noisediag.benchmark.sets.result import POOLED
from noisediag.errors import InputError, UnsupportedError, UsageError
from noisediag.footprint.file import CheckpointId
from noisediag.images.image import Image, Lattice, Plane
from noisediag.images.levels import effective_bits
from noisediag.reports import figures
from noisediag.reports.figures import number_table, percent
from noisediag.reports.progress import Progress

Floats = NDArray[np.float64]

SCHEMA = "noisediag.real/1"
SMOOTH_PX = 5
EACH_SET_ONCE = "all, each set once"
SHORT = {"scikit-image": "skimage"}  # names for narrow columns


@dataclass(frozen=True)
class RealOptions:
    """What to run: the files of `folder`, with or without the classical estimators."""

    folder: Path
    baselines: bool = True
    workers: int = 1
    checkpoint: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class RealReading:
    """One method on one plane. `part`: the frame and the plane of a mosaic, empty for a whole picture.

    `curve_error`: mean |ln(sigma_est/sigma_true)| over the signal; `left_out`: the share of pixels that is not scored.
    """

    set_name: str
    file: str
    part: str
    method: str
    mean_dn: float
    sigma_true_dn: float
    sigma_est_dn: float
    ratio: float
    ln_ratio: float
    curve_error: float
    left_out: float


@dataclass(frozen=True)
class RealRow:
    """One method over the `n` readings of one set: median and largest |ln ratio|, and whose ratio that is.

    `set_name` "all" pools all readings; "all, each set once" is the median over the sets' medians.
    """

    set_name: str
    method: str
    n: int
    median_abs_ln: float
    worst_abs_ln: float
    worst_ratio: float
    worst_file: str


@dataclass(frozen=True)
class GainRow:
    """A file that holds no shot noise; `gain_null`: whether the gain is said to be unknown, as it must."""

    set_name: str
    file: str
    gain_null: bool


@dataclass(frozen=True)
class RealResult:
    """Rows by set, readings by file. `failed` of `files`, pairs among them, could not be read; a note says why."""

    options: RealOptions
    checkpoint: CheckpointId | None
    files: int
    failed: int
    sets: tuple[RealRow, ...]
    gains: tuple[GainRow, ...]
    readings: tuple[RealReading, ...]
    pairs: tuple[PairRow, ...]
    pair_readings: tuple[PairReading, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FrameScore:
    """The readings of one frame, and a digest of its pixels: the same picture in two formats counts once."""

    digest: str
    readings: tuple[RealReading, ...]


@dataclass(frozen=True)
class FileScore:
    """What one file gave, or why it gave nothing (`failure`)."""

    file: RealFile
    frames: tuple[FrameScore, ...] = ()
    gain_null: bool = False
    checkpoint: CheckpointId | None = None
    failure: str = ""


def run(options: RealOptions, *, models: Models | None = None, progress: Progress | None = None) -> RealResult:
    """Measure. `models` stands in for the shipped one (picklable where `workers` > 1).

    Raises UsageError where truth.json is missing or malformed. A file that cannot be read is a note.
    """
    if options.workers < 1:
        raise UsageError("--workers is at least 1")
    truth = read_truth(options.folder)
    models = models or ShippedModels("sensor", options.checkpoint, options.device, randomised=False, seed=0)
    todo = (*truth.files, *truth.pairs)
    results = spread(partial(_score, options.baselines), todo, models, options.workers)
    everything = list(progress(results, len(todo)) if progress else results)
    scores = [score for score in everything if isinstance(score, FileScore)]
    paired = [score for score in everything if isinstance(score, PairScore)]
    readings, twice = _once(scores)
    pair_readings = tuple(reading for score in paired for reading in score.readings)
    failures = (
        *(f"{s.file.set_name}/{s.file.name}: {s.failure}" for s in scores if s.failure),
        *(f"{s.pair.set_name}/{s.pair.name}: {s.failure}" for s in paired if s.failure),
    )
    doubts = (f"{s.pair.set_name}/{s.pair.name}: {s.doubt}" for s in paired if s.doubt)
    return RealResult(
        options=options,
        checkpoint=next((score.checkpoint for score in everything if score.checkpoint), None),
        files=len(everything),
        failed=len(failures),
        sets=tuple(_rows(readings)),
        gains=tuple(
            GainRow(s.file.set_name, s.file.name, s.gain_null) for s in scores if s.file.gain_absent and not s.failure
        ),
        readings=readings,
        pairs=tuple(real_pairs.rows(pair_readings)),
        pair_readings=pair_readings,
        notes=(*failures, *twice, *doubts, *truth.notes),
    )


def render(result: RealResult) -> Group:
    """Tables by set, no wider than 80 columns."""
    read = result.files - result.failed
    lines = [f"real files of measured noise, {read} of {result.files} in {result.options.folder}"]
    if result.checkpoint is not None:
        lines.append(f"checkpoint {result.checkpoint.name} ({result.checkpoint.sha256[:12]})")
    table = number_table("|ln(sigma/true)|", "set", "n", "median %", "worst %", "ratio")
    table.add_column("of")
    for row in (row for row in result.sets if row.method == MODEL):
        ratio = figures.decimal(row.worst_ratio, 3)
        table.add_row(
            row.set_name, str(row.n), percent(row.median_abs_ln), percent(row.worst_abs_ln), ratio, row.worst_file
        )
    parts: list[RenderableType] = [Text("\n".join(lines)), *([table] if table.rows else [])]
    methods = list(dict.fromkeys(row.method for row in result.sets))
    if len(methods) > 1:
        beside = number_table("\nmedian %, beside classical estimators", "set", *(SHORT.get(m, m) for m in methods))
        at = {(row.set_name, row.method): row.median_abs_ln for row in result.sets}
        for name in dict.fromkeys(row.set_name for row in result.sets):
            beside.add_row(name, *(percent(at.get((name, method), math.nan)) for method in methods))
        parts.append(beside)
    parts += real_pairs.tables(result.pairs)
    for gain in result.gains:
        verdict = "not identifiable, as it must" if gain.gain_null else "given, though these frames cannot tell it"
        parts.append(Text(f"{gain.set_name}/{gain.file}: gain {verdict}"))
    return Group(*parts, *(Text(f"note: {note}") for note in result.notes))


def dumps(result: RealResult) -> str:
    """The result as JSON text."""
    return figures.dumps_json(figures.document(SCHEMA, result))


def dumps_csv(result: RealResult) -> str:
    """The readings as CSV, those of pairs among them: each of their channels is a part."""
    return figures.dumps_rows(RealReading, (*result.readings, *map(_as_reading, result.pair_readings)))


# One file at a time ---------------------------------------------------------------------------------------------------


def _score(baselines: bool, models: Mapping[str, SensorModel], item: RealFile | RealPair) -> FileScore | PairScore:
    if isinstance(item, RealPair):
        return real_pairs.score(baselines, models, item)
    return _score_file(baselines, models, item)


def _score_file(baselines: bool, models: Mapping[str, SensorModel], file: RealFile) -> FileScore:
    if file.path is None:
        return FileScore(file, failure=file.missing)
    try:
        scores: list[FrameScore] = []
        for held, image, name in _pictures(file, file.path):
            footprint = models[MODEL].estimate(image)
            laws = {plane.name: plane.law for plane in footprint.planes}
            readings: list[RealReading] = []
            for line, plane in zip(file.lines, image.planes, strict=False):  # of a stack the first frame is looked at
                values = np.asarray(plane.load(), dtype=np.float64)
                law = laws[plane.name] if file.mosaic else footprint.planes[-1].law
                curves = {MODEL: _in_dn(law.sigma, plane.black_dn, plane.white_dn)}
                if baselines:  # they see codes / white, the pedestal left in: no code is below their black
                    seen = values / plane.white_dn
                    curves |= {b.name: _in_dn(b.function(seen), 0.0, plane.white_dn) for b in BASELINES}
                readings += _readings(file, f"{name} {line.label}".strip(), line, plane, values, curves)
            scores.append(FrameScore(_digest(held), tuple(readings)))
    except InputError as error:
        return FileScore(file, failure=str(error).removeprefix(f"{file.path}: "))
    return FileScore(file, tuple(scores), footprint["shot_gain"].value is None, footprint.checkpoint)


def _pictures(file: RealFile, path: Path) -> Iterator[tuple[list[NDArray], Image, str]]:
    """What is estimated as one: the frames of a plain file together, each mosaic alone with the name of its frame."""
    frames = _frames(path)
    if not file.mosaic:
        codes = np.stack(frames) if len(frames) > 1 else frames[0]
        yield frames, images.from_array(codes, black=file.black_dn, white=file.white_dn, domain="linear"), ""
        return
    for index, frame in enumerate(frames):
        yield [frame], mosaic_image(frame, file), f"frame {index}" if len(frames) > 1 else ""


def mosaic_image(codes: NDArray, file: RealFile) -> Image:
    """A Bayer mosaic (H, W) of code values as a RAW reader would give it, one plane a position of `file.lines`.

    Black and white are those of the set; where it gives none, 0 and the container's maximum, as assumptions.
    """
    rows, columns = (1 + max(at) for at in zip(*((line.row, line.column) for line in file.lines), strict=True))
    black = 0.0 if file.black_dn is None else file.black_dn
    white = float(np.iinfo(codes.dtype).max) if file.white_dn is None else file.white_dn
    planes = []
    for line in file.lines:
        values = np.ascontiguousarray(codes[line.row :: rows, line.column :: columns])
        step = images.code_step(values)
        planes.append(
            Plane(
                name=line.label,
                shape=(values.shape[0], values.shape[1]),
                load=partial(np.array, values),
                black_dn=black,
                white_dn=white,
                scale_source="override",
                offset_known=file.black_dn is not None,
                white_known=file.white_dn is not None,
                bit_depth=effective_bits(white, step),
                step_dn=step,
                lattice=Lattice(line.row, line.column, rows, columns),
            )
        )
    return Image(planes=tuple(planes), domain="raw-linear", reader="array")


def _frames(path: Path) -> list[NDArray]:
    """The code values of a file of one gray picture or of a stack of such, in the byte order of this machine."""
    image = images.read(path)
    if len(image.planes) != image.frames:
        raise UnsupportedError(f"{path}: {len(image.planes)} planes; gray pictures are expected")
    codes = [np.asarray(plane.load()) for plane in image.planes]
    return [values.astype(values.dtype.newbyteorder("="), copy=False) for values in codes]


def _in_dn(curve: Curve, black_dn: float, white_dn: float) -> Curve:
    """A normalised curve, signal to sigma, in code values."""
    span = white_dn - black_dn
    return lambda dn: curve((dn - black_dn) / span) * span


def _readings(
    file: RealFile, part: str, line: Line, plane: Plane, values: Floats, curves: Mapping[str, Curve]
) -> Iterator[RealReading]:
    signal = smooth(values).reshape(-1) if line.at_dn is None else np.array([line.at_dn])
    variance = line.a * signal + line.b
    kept = variance >= ((plane.step_dn or 0.0) / 2) ** 2
    if line.at_dn is None:
        kept &= (signal > 0) & (signal < plane.white_dn)  # codes are clipped at 0 and white
    kept &= variance > 0
    if not kept.any():
        raise UnsupportedError("by its truth, all its noise is below half a step")
    signal, variance = signal[kept], variance[kept]
    true = math.sqrt(float(variance.mean()))
    for method, curve in curves.items():
        sigma = np.asarray(curve(signal), dtype=np.float64)
        read = math.sqrt(float(np.square(sigma).mean()))
        found = bool((sigma > 0).all())
        yield RealReading(
            set_name=file.set_name,
            file=file.name,
            part=part,
            method=method,
            mean_dn=float(values.mean()),
            sigma_true_dn=true,
            sigma_est_dn=read,
            ratio=read / true,
            ln_ratio=math.log(read / true) if read > 0 else -math.inf,
            curve_error=float(np.abs(np.log(sigma / np.sqrt(variance))).mean()) if found else math.inf,
            left_out=1 - float(kept.mean()),
        )


def smooth(values: Floats) -> Floats:
    """Means of 5 x 5 pixels, of fewer at the border; shape (H, W)."""
    ones = np.ones(values.shape)
    total, inside = (ndimage.uniform_filter(part, SMOOTH_PX, mode="constant") for part in (values, ones))
    return np.asarray(total / inside)


def _digest(frames: Sequence[NDArray]) -> str:
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(f"{frame.shape}".encode() + frame.astype(np.float64).tobytes())
    return digest.hexdigest()


# Summing up -----------------------------------------------------------------------------------------------------------


def _once(scores: Sequence[FileScore]) -> tuple[tuple[RealReading, ...], tuple[str, ...]]:
    """All readings but those of frames that the same set has held before, and a note for each file with such."""
    seen: set[tuple[str, str]] = set()
    readings: list[RealReading] = []
    notes: list[str] = []
    for score in scores:
        again = 0
        for frame in score.frames:
            key = (score.file.set_name, frame.digest)
            again += key in seen
            readings += () if key in seen else frame.readings
            seen.add(key)
        if again:
            frames = f"{again} of {len(score.frames)} frames" if len(score.frames) > 1 else "the picture"
            notes.append(f"{score.file.set_name}/{score.file.name}: {frames} met before, not counted twice")
    return tuple(readings), tuple(notes)


def _rows(readings: Sequence[RealReading]) -> Iterator[RealRow]:
    if not readings:
        return
    methods = list(dict.fromkeys(reading.method for reading in readings))
    sets = list(dict.fromkeys(reading.set_name for reading in readings))
    for method in methods:
        rows = []
        for name in sets:
            chosen = [r for r in readings if r.method == method and r.set_name == name]
            rows.append(_row(name, method, chosen))
        yield from rows
        pooled = _row(POOLED, method, [r for r in readings if r.method == method])
        yield pooled
        medians = np.array([row.median_abs_ln for row in rows])
        yield RealRow(
            set_name=EACH_SET_ONCE,
            method=method,
            n=len(rows),
            median_abs_ln=scoring.quantile(medians, 0.5),
            worst_abs_ln=pooled.worst_abs_ln,
            worst_ratio=pooled.worst_ratio,
            worst_file=pooled.worst_file,
        )


def _row(name: str, method: str, readings: Sequence[RealReading]) -> RealRow:
    errors = np.array([abs(reading.ln_ratio) for reading in readings])
    worst = readings[int(errors.argmax())]
    return RealRow(
        set_name=name,
        method=method,
        n=len(readings),
        median_abs_ln=scoring.quantile(errors, 0.5),
        worst_abs_ln=float(errors.max()),
        worst_ratio=worst.ratio,
        worst_file=f"{Path(worst.file).name} {worst.part}".strip(),
    )


def _as_reading(pair: PairReading) -> RealReading:
    ratio = pair.sigma_est_dn / pair.sigma_true_dn
    return RealReading(
        set_name=pair.set_name,
        file=pair.file,
        part=pair.channel,
        method=pair.method,
        mean_dn=pair.mean_dn,
        sigma_true_dn=pair.sigma_true_dn,
        sigma_est_dn=pair.sigma_est_dn,
        ratio=ratio,
        ln_ratio=math.log(ratio) if ratio > 0 else -math.inf,
        curve_error=pair.curve_error,
        left_out=pair.left_out,
    )
