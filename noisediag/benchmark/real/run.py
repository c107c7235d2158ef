"""`noisediag benchmark real DIR`: real files whose noise was measured, `DIR/truth.json` (see `truth`).

Every file is read as linear data: code values with the black and white that the set states, never as a rendered
picture. The estimate is the law of the file's own footprint; of a mosaic that of each plane. It is compared where the
truth is stated: at the mean signal of a flat field, else over the file's own signal (means of 5 x 5 pixels), as square
roots of mean variances. Signals at the clip, or with a true sigma below half a step, are left out.

Pairs of a noisy and a mean picture are processed pictures and scored on their own, see `pairs`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag import images
from noisediag.benchmark.baselines import BASELINES, Curve, box_sums
from noisediag.benchmark.real import pairs, summary
from noisediag.benchmark.real.pairs import PairScore
from noisediag.benchmark.real.result import FileScore, FrameScore, GainRow, RealOptions, RealReading, RealResult
from noisediag.benchmark.real.truth import RealFile, RealPair, VarianceLine, read_truth
from noisediag.benchmark.running import MODEL, Models, SensorModel, ShippedModels, spread
from noisediag.errors import InputError, UnsupportedError, UsageError
from noisediag.images.image import Image, Lattice, Plane
from noisediag.images.levels import effective_bits
from noisediag.reports.progress import Progress

Floats = NDArray[np.float64]
Codes = NDArray[Any]  # code values in the file's own dtype

SMOOTH_PX = 5


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
    readings, twice = summary.without_repeats(scores)
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
        sets=tuple(summary.rows(readings)),
        gains=tuple(
            GainRow(s.file.set_name, s.file.name, s.gain_null) for s in scores if s.file.gain_absent and not s.failure
        ),
        readings=readings,
        pairs=tuple(pairs.rows(pair_readings)),
        pair_readings=pair_readings,
        notes=(*failures, *twice, *doubts, *truth.notes),
    )


# One file at a time ---------------------------------------------------------------------------------------------------


def _score(baselines: bool, models: Mapping[str, SensorModel], item: RealFile | RealPair) -> FileScore | PairScore:
    if isinstance(item, RealPair):
        return pairs.score(baselines, models, item)
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


def _pictures(file: RealFile, path: Path) -> Iterator[tuple[list[Codes], Image, str]]:
    """What is estimated as one: the frames of a plain file together, each mosaic alone with the name of its frame."""
    frames = _frames(path)
    if not file.mosaic:
        codes = np.stack(frames) if len(frames) > 1 else frames[0]
        yield frames, images.from_array(codes, black=file.black_dn, white=file.white_dn, domain="linear"), ""
        return
    for index, frame in enumerate(frames):
        yield [frame], mosaic_image(frame, file), f"frame {index}" if len(frames) > 1 else ""


def mosaic_image(codes: Codes, file: RealFile) -> Image:
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


def _frames(path: Path) -> list[Codes]:
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
    file: RealFile, part: str, line: VarianceLine, plane: Plane, values: Floats, curves: Mapping[str, Curve]
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
    inside = np.ones_like(values)
    return box_sums(values, SMOOTH_PX, SMOOTH_PX) / box_sums(inside, SMOOTH_PX, SMOOTH_PX)


def _digest(frames: Sequence[Codes]) -> str:
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(f"{frame.shape}".encode() + frame.astype(np.float64).tobytes())
    return digest.hexdigest()
