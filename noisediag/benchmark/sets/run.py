"""The benchmark: planted noise on clean pictures, read back by the model and by the classics.

`run` scores every case in turn (or in worker processes) and sums up; `benchmark_report` renders the result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.benchmark import bound, scoring
from noisediag.benchmark.baselines import BASELINES
from noisediag.benchmark.running import (
    MODEL,
    RANDOMISED,
    Models,
    PaperModel,
    SensorModel,
    ShippedModels,
    pictures_of,
    spread,
)
from noisediag.benchmark.sets.result import MEAN, Answer, BenchmarkOptions, BenchmarkResult, CaseScore, PaperScore
from noisediag.benchmark.sets.summary import sum_up_paper, sum_up_sensor
from noisediag.errors import UsageError
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.footprint.plane import PRESENT
from noisediag.genome.cases import SETS, Job, SensorCase, jobs, mean_curve, paper_case, sensor_case
from noisediag.genome.parameters import NAMES
from noisediag.genome.truth import Truth
from noisediag.reports.progress import Progress

Floats = NDArray[np.float64]

QUANTISATION_ALARM = 1.5  # steps of the clean file: a coarser lattice than it has


def run(
    options: BenchmarkOptions, *, models: Models | None = None, progress: Progress | None = None
) -> BenchmarkResult:
    """Run the benchmark. `models` stands in for the shipped ones (picklable where `workers` > 1).

    Raises UsageError for options that cannot be carried out, InputError where a picture cannot be read.
    """
    models = models or ShippedModels(
        options.genome, options.checkpoint, options.device, options.randomised, options.seed
    )
    todo = _jobs(options)
    score = partial(_score_paper if options.genome == "paper" else _score_sensor, options)
    results: Iterable[tuple[Any, ...]] = spread(score, todo, models, options.workers)
    scores = [case for cases in (progress(results, len(todo)) if progress else results) for case in cases]
    result = sum_up_paper(options, scores) if options.genome == "paper" else sum_up_sensor(options, scores)
    unknown = sorted({j.domain for j in todo if j.path and j.own_noise is None}) if options.genome == "sensor" else []
    note = f"no own noise stated, nothing scored apart: {', '.join(unknown)}"
    return replace(result, notes=result.notes + ((note,) if unknown else ()))


def _jobs(options: BenchmarkOptions) -> list[Job]:
    sets = ("paper",) if options.genome == "paper" else options.sets
    unknown = set(sets) - {*SETS, "paper"}
    if unknown:
        raise UsageError(f"no benchmark set is called {', '.join(sorted(unknown))}; there are: {', '.join(SETS)}")
    if options.draws < 1 or options.workers < 1:
        raise UsageError("--draws and --workers are at least 1")
    if options.data is None and "paper" in sets:
        raise UsageError("--data: a folder of clean pictures, one sub-folder a domain, is needed for this genome")
    found = pictures_of(options)
    return list(jobs(sets, found, draws=options.draws, scenes_=options.scenes, flats=options.flats, raws=options.raws))


# One picture at a time ------------------------------------------------------------------------------------------------


def _score_sensor(options: BenchmarkOptions, models: Mapping[str, SensorModel], job: Job) -> tuple[CaseScore, ...]:
    return tuple(_score_case(options, models, job, draw) for draw in job.draws)


def _score_case(options: BenchmarkOptions, models: Mapping[str, SensorModel], job: Job, draw: int) -> CaseScore:
    case = sensor_case(job, draw, options.seed)
    answers: list[Answer] = []
    checkpoint: CheckpointId | None = None
    for method, model in models.items():
        if method == RANDOMISED and draw > 0:
            continue  # one draw a picture shows the encoder's share; the others would double the run
        start = time.perf_counter()
        footprint = model.estimate(case.image)
        answers.append(_model_answer(method, footprint, case, time.perf_counter() - start))
        checkpoint = checkpoint or footprint.checkpoint
    if options.baselines and case.plane is not None and job.set_name != "clean":
        for baseline in BASELINES:
            start = time.perf_counter()
            curve = baseline.function(case.plane)
            seconds = time.perf_counter() - start
            answers.append(_curve_answer(baseline.name, curve, case, seconds))
    if job.set_name != "clean":
        x, sigma = mean_curve(job.set_name)
        answers.append(_curve_answer(MEAN, lambda signal: np.interp(signal, x, sigma), case, 0.0))
    # the noise of RAW files goes below the rounding of 8-bit pictures, which then counts as their own
    own_noise = case.own_noise if job.set_name == "raw" else job.own_noise or 0.0
    return CaseScore(
        set_name=job.set_name,
        domain=job.domain,
        picture=job.picture,
        path=None if job.path is None else str(job.path),
        draw=draw,
        apart=job.set_name != "clean" and case.truth.effective_sigma < 2 * own_noise,
        pixels=sum(math.prod(plane.shape) for plane in case.image.planes),
        truth=case.truth.values,
        scored=case.truth.scored,
        left_out=case.truth.left_out,
        dark_share=float((case.clean < scoring.DARK).mean()),
        answers=tuple(answers),
        checkpoint=checkpoint,
    )


def _curve_answer(method: str, curve: Callable[[Floats], Floats], case: SensorCase, seconds: float) -> Answer:
    sigma = curve(case.truth.signal)
    return Answer(
        method, scoring.curve_error(sigma, case.truth), seconds, relative_error=_relative_error(sigma, case.truth)
    )


def _relative_error(sigma: Floats, expected: Truth) -> float:
    """Mean ln(sigma/true) with its sign; NaN where nothing was found."""
    if not len(sigma) or not (sigma > 0).all():
        return math.nan
    return float((expected.weight * np.log(sigma / expected.sigma)).sum())


def _model_answer(method: str, footprint: Footprint, case: SensorCase, seconds: float) -> Answer:
    main, expected = footprint.planes[-1], case.truth
    sigma = main.law.sigma(expected.signal)
    covered, width = math.nan, math.nan
    if main.curve and len(expected.signal):
        low, high = scoring.interval(main.curve, sigma, expected.signal)
        covered = float(expected.weight[(low <= expected.sigma) & (expected.sigma <= high)].sum())
        with np.errstate(divide="ignore", invalid="ignore"):  # an interval from 0, or of 0
            width = float((expected.weight * np.log(high / low)).sum())
    estimates = [main[name] for name in NAMES]
    values = tuple(_number(estimate.value) for estimate in estimates)
    presents = tuple(_number(estimate.present) for estimate in estimates)
    return Answer(
        method=method,
        curve_error=scoring.curve_error(sigma, expected),
        seconds=seconds,
        curve_covered=covered,
        curve_width=width,
        relative_error=_relative_error(sigma, expected),
        sigma_alarm=main.effective_sigma > case.own_noise,
        values=values,
        lows=tuple(_number(estimate.low) for estimate in estimates),
        highs=tuple(_number(estimate.high) for estimate in estimates),
        presents=presents,
        alarms=_alarms(dict(zip(NAMES, values, strict=True)), presents, main.effective_sigma, case),
    )


def _alarms(
    values: Mapping[str, float], presents: tuple[float, ...], effective_sigma: float, case: SensorCase
) -> tuple[bool, ...]:
    """Which parameters a clean picture would be said to have, beyond the noise and the step of its own file.

    Shot and multiplicative noise are compared at the mean signal; correlation has no size of its own: it counts
    where the noise that it correlates does.
    """
    own, x = case.own_noise, max(case.mean_signal, 1e-6)
    floor = {
        "shot_gain": own**2 / x,
        "read_noise": own,
        "multiplicative": own / x,
        "impulse": 0.0,
        "quantisation": QUANTISATION_ALARM * case.source_step,
        "row_noise": own,
        "column_noise": own,
        "correlation": 0.0 if effective_sigma > own else math.inf,
    }
    return tuple(
        value > floor[name] and present >= PRESENT
        for (name, value), present in zip(values.items(), presents, strict=True)
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _score_paper(options: BenchmarkOptions, models: Mapping[str, PaperModel], job: Job) -> tuple[PaperScore, ...]:
    scores = []
    for draw in job.draws:
        case = paper_case(job, draw, options.seed)
        answers = {
            method: tuple(float(s) for s in np.asarray(model.predict(case.noisy), dtype=np.float64))
            for method, model in models.items()
        }
        path = None if job.path is None else str(job.path)
        scores.append(
            PaperScore(
                domain=job.domain,
                picture=job.picture,
                path=path,
                draw=draw,
                truth=tuple(case.strengths),
                answers=answers,
                checkpoint=models[MODEL].checkpoint,
                levels=tuple(bound.levels_of(case.clean)) if options.baselines else (),
            )
        )
    return tuple(scores)
