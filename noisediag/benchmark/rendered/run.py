"""`noisediag benchmark rendered`: the noise that simulated cameras leave, read back by the model.

Six groups of cameras (`cases`): with stages that were never trained on, as in training, such that do no processing at
all, such that do what phones do, and these with a stage that is never trained on. Curve errors are those of each plane
(R, G, B, luma) of each picture, over levels of equal count; levels with less than half a code of noise, or within a
code of black or white, are left out. Photographs with less than twice the noise that the clean picture is stated to
have itself are scored apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from noisediag import images
from noisediag.benchmark import scoring
from noisediag.benchmark.baselines import BASELINES
from noisediag.benchmark.rendered.cases import GROUPS, RenderedCase, jobs, rendered_case
from noisediag.benchmark.rendered.result import (
    PlaneAnswer,
    RenderedAnswer,
    RenderedOptions,
    RenderedResult,
    RenderedScore,
)
from noisediag.benchmark.rendered.summary import sum_up
from noisediag.benchmark.running import Models, SensorModel, ShippedModels, pictures_of, spread
from noisediag.errors import UsageError
from noisediag.footprint.file import CheckpointId, Footprint, Spatial
from noisediag.footprint.plane import PlaneFootprint
from noisediag.genome.cases import Job
from noisediag.genome.rendered import CODES, PLANES
from noisediag.images.image import LUMA
from noisediag.reports.progress import Progress

Floats = NDArray[np.float64]

LEAST_AREA = 1e-2  # of a pixel's SD: below, the truth of averaged noise is that of its few repetitions


def run(options: RenderedOptions, *, models: Models | None = None, progress: Progress | None = None) -> RenderedResult:
    """Photograph, estimate and score. `models` stands in for the shipped one (picklable where `workers` > 1).

    Raises UsageError for options that cannot be carried out, InputError where a picture cannot be read.
    """
    if options.draws < 1 or options.workers < 1:
        raise UsageError("--draws and --workers are at least 1")
    found = pictures_of(options)
    unknown_groups = [name for name in options.cameras if name not in GROUPS]
    if unknown_groups:
        raise UsageError(f"--cameras: no group {unknown_groups[0]!r}; there are {'; '.join(GROUPS)}")
    groups = tuple(name for name in GROUPS if name in options.cameras or not options.cameras)
    todo = list(jobs(found, draws=options.draws, scenes_=options.scenes, groups=groups))
    models = models or ShippedModels("sensor", options.checkpoint, options.device, randomised=False, seed=0)
    results = spread(partial(_score, options), todo, models, options.workers)
    scores = [score for some in (progress(results, len(todo)) if progress else results) for score in some]
    unknown = sorted({p.domain for p in found if p.own_noise is None})
    notes = (f"no own noise stated, nothing scored apart: {', '.join(unknown)}",) if unknown else ()
    return replace(sum_up(options, scores), notes=notes)


# One picture at a time ------------------------------------------------------------------------------------------------


def _score(options: RenderedOptions, models: Mapping[str, SensorModel], job: Job) -> tuple[RenderedScore, ...]:
    return tuple(_score_case(options, models, job, draw) for draw in job.draws)


def _score_case(options: RenderedOptions, models: Mapping[str, SensorModel], job: Job, draw: int) -> RenderedScore:
    case = rendered_case(job, draw, options.seed)
    answers: list[RenderedAnswer] = []
    checkpoint: CheckpointId | None = None
    for method, model in models.items():
        footprint = model.estimate(images.from_array(case.codes))
        answers.append(_model_answer(method, footprint, case))
        checkpoint = checkpoint or footprint.checkpoint
    if options.baselines:
        values = planes_of(case.codes)
        for baseline in BASELINES:
            planes = tuple(_curve_answer(case, n, baseline.function(values[n])) for n in case.planes)
            answers.append(RenderedAnswer(baseline.name, planes))
    effective = math.sqrt(float(np.square(case.truth.sigma[-1]).mean()))
    return RenderedScore(
        job=job,
        draw=draw,
        apart=effective < 2 * (job.own_noise or 0.0),
        left_out=1 - float(case.truth.scored[case.planes].mean()),
        planes=tuple(case.planes),
        log_sigma=tuple(np.log(case.truth.sigma[n, case.truth.scored[n]]) for n in case.planes),
        lag1=case.truth.lag1[case.planes],
        flags=case.flags,
        jpeg=case.camera.jpeg,
        answers=tuple(answers),
        checkpoint=checkpoint,
    )


def planes_of(codes: NDArray[np.uint8]) -> list[Floats]:
    """What a baseline sees of a picture (H, W, 3): R, G, B and luma, each (H, W), codes / 255."""
    values = codes.astype(np.float64) / CODES
    return [*np.moveaxis(values, -1, 0), values @ np.array(list(LUMA.values()))]


def _curve_answer(case: RenderedCase, number: int, curve: Callable[[Floats], Floats]) -> PlaneAnswer:
    kept = case.truth.scored[number]
    return PlaneAnswer(_mean_log(curve(case.truth.signal[number, kept]), case.truth.sigma[number, kept]))


def _mean_log(sigma: Floats, true: Floats) -> float:
    return scoring.log_error(sigma, true, np.full(len(true), 1 / max(len(true), 1)))


def _model_answer(method: str, footprint: Footprint, case: RenderedCase) -> RenderedAnswer:
    processing = footprint.rendered
    planes = {plane.name: plane for plane in footprint.planes}
    spatial = {plane.name: plane for plane in processing.planes} if processing else {}
    if case.gray:  # whatever its only plane is called
        planes[PLANES[-1]] = footprint.planes[-1]
        spatial |= {PLANES[-1]: processing.planes[-1]} if processing else {}
    missing = [PLANES[n] for n in case.planes if PLANES[n] not in planes]
    if missing:
        raise UsageError(f"{method}: gives no plane {', '.join(missing)} of a rendered picture")
    answers = tuple(_plane_answer(planes[PLANES[n]], spatial.get(PLANES[n]), case, n) for n in case.planes)
    if processing is None:
        return RenderedAnswer(method, answers)
    correlation = processing.channel_correlation
    colours = not case.gray and bool(case.truth.scored.any(axis=1).all()) and correlation is not None
    return RenderedAnswer(
        method=method,
        planes=answers,
        channels=float(np.abs(np.array(correlation) - case.truth.channels).mean()) if colours else math.nan,
        flags=(processing.processed, processing.denoised, processing.upscaled),
        jpeg_quality=processing.jpeg_quality,
    )


def _plane_answer(plane: PlaneFootprint, spatial: Spatial | None, case: RenderedCase, number: int) -> PlaneAnswer:
    answer, kept = _curve_answer(case, number, plane.law.sigma), case.truth.scored[number]
    if not kept.any():
        return answer
    if plane.curve:
        signal, true = case.truth.signal[number, kept], case.truth.sigma[number, kept]
        low, high = scoring.interval(plane.curve, np.asarray(plane.law.sigma(signal)), signal)
        with np.errstate(divide="ignore", invalid="ignore"):  # an interval from 0, or of 0
            width = float(np.log(high / low).mean())
        answer = replace(answer, covered=float(((low <= true) & (true <= high)).mean()), width=width)
    if spatial is None:
        return answer
    least = LEAST_AREA * math.sqrt(float(np.square(case.truth.sigma[number]).mean()))
    return replace(
        answer,
        lag_h=abs(spatial.lag1_h - float(case.truth.lag1[number, 0])),
        lag_v=abs(spatial.lag1_v - float(case.truth.lag1[number, 1])),
        areas=_mean_log(np.array(spatial.sigma_after_area), np.maximum(case.truth.areas[number], least)),
    )
