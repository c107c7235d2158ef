"""The benchmark: planted noise on clean pictures, read back by the model and by the classics.

`run` scores every case in turn (or in worker processes) and sums up; `benchmark_report` renders the result.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UsageError
from noisediag.footprint import PRESENT, CheckpointId, Footprint
from noisediag.genome import paper
from noisediag.genome.parameters import NAMES, PARAMETERS
from noisediag.images.image import Image
from noisediag.studies import oracle, scoring
from noisediag.studies.baselines import BASELINES
from noisediag.studies.cases import (
    LAW_TEXT,
    SCENES,
    SETS,
    Job,
    SensorCase,
    jobs,
    mean_curve,
    paper_case,
    sensor_case,
)
from noisediag.studies.clean import pictures
from noisediag.studies.scoring import OFF, Coverage, Truth

Floats = NDArray[np.float64]

MODEL = "noisediag"
RANDOMISED = "encoder randomised"
MEAN = "mean predictor"
ORACLE = "oracle"  # a regression that is shown the clean picture, see `oracle`
POOLED = "all"
WORST = 10
QUANTISATION_ALARM = 1.5  # steps of the clean file: a coarser lattice than it has


class SensorModel(Protocol):
    """What the sensor benchmark needs of a model."""

    def estimate(self, image: Image) -> Footprint: ...


class PaperModel(Protocol):
    """What the paper benchmark needs of a model: strengths (6,) of a noisy picture (H, W) in [0, 1]."""

    checkpoint: CheckpointId

    def predict(self, noisy: NDArray[np.float32]) -> NDArray[np.floating]: ...


Models = Callable[[], Mapping[str, Any]]  # method name -> SensorModel or PaperModel; called once in every worker


@dataclass(frozen=True)
class BenchmarkOptions:
    """What to run. `data`: one sub-folder a domain; None is allowed for the sets that need no picture."""

    genome: Literal["sensor", "paper"] = "sensor"
    data: Path | None = None
    sets: tuple[str, ...] = ("gaussian", "poisson-gauss", "mixture", "clean", "flat")
    draws: int = 10
    seed: int = 0
    split: Literal["odd", "even", "all"] = "odd"
    limit_per_domain: int | None = None
    baselines: bool = True
    randomised: bool = True
    scenes: int = 200  # procedural pictures of the set `clean`
    flats: int = 20  # pictures of the set `flat`, each with `draws`
    raws: int = 200  # files of the set `raw`
    workers: int = 1
    checkpoint: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Answer:
    """One method's answer to one case. NaN: unknown, or not given by the method; tuples in the order of `NAMES`."""

    method: str
    curve_error: float
    seconds: float
    curve_covered: float = math.nan  # share of the scored signal where the interval holds the true sigma
    curve_width: float = math.nan  # mean ln(high/low)
    relative_error: float = math.nan  # ln(sigma/true) at the mean signal: with its sign
    sigma_alarm: bool = False
    values: tuple[float, ...] = ()
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    presents: tuple[float, ...] = ()
    alarms: tuple[bool, ...] = ()


@dataclass(frozen=True)
class CaseScore:
    """All answers to one case. `apart`: its sigma is below twice the picture's own stated noise."""

    set_name: str
    domain: str
    picture: str
    path: str | None
    draw: int
    apart: bool
    pixels: int
    truth: tuple[float, ...]
    scored: tuple[bool, ...]
    left_out: float
    answers: tuple[Answer, ...]
    checkpoint: CheckpointId | None


@dataclass(frozen=True)
class PaperScore:
    """Strengths of one case, true and as each method reads them."""

    domain: str
    picture: str
    path: str | None
    draw: int
    truth: tuple[float, ...]
    answers: Mapping[str, tuple[float, ...]]
    checkpoint: CheckpointId
    shown: tuple[float, ...]  # what the oracle sees; empty without baselines


@dataclass(frozen=True)
class CurveRow:
    """Curve error of one method over `n` cases; `domain` "all" pools them. `left_out`: mean share of unscored
    pixels.
    """

    set_name: str
    method: str
    domain: str
    apart: bool
    n: int
    median: float
    p90: float
    off: float
    left_out: float
    seconds: float


@dataclass(frozen=True)
class ParameterRow:
    """One parameter of one set. `share_scored`: cases above the benchmark floor; `answered`: of those, with a value.

    `median_log10` is the median |log10(value/truth)| over all scored cases, one without a value counting as infinite;
    `r2` is that of log10 over the answered. `width`: median log10(high/low).
    """

    set_name: str
    method: str
    parameter: str
    apart: bool
    n: int
    share_scored: float
    answered: float
    median_log10: float
    r2: float
    coverage: float
    width: float


@dataclass(frozen=True)
class PresenceRow:
    """How well `present` separates the cases that have a noise (above the benchmark floor) from those without."""

    set_name: str
    method: str
    parameter: str
    positives: int
    negatives: int
    auc: float


@dataclass(frozen=True)
class AlarmRow:
    """Share of `n` clean pictures on which a noise is reported that is not there; `parameter` "sigma": the curve
    itself.
    """

    domain: str
    method: str
    parameter: str
    n: int
    share: float


@dataclass(frozen=True)
class CoverageRow:
    """Coverage of 90 % intervals: `what` "parameters" (pooled, scored cases), one parameter's name, or "curve"."""

    set_name: str
    what: str
    apart: bool
    coverage: Coverage
    width: float


@dataclass(frozen=True)
class FlatRow:
    """Flat pictures: signed and RMS error of sigma, and the RMS over the Cramer-Rao bound 1/sqrt(2 N)."""

    method: str
    n: int
    bias: float
    rms: float
    over_bound: float


@dataclass(frozen=True)
class PaperRow:
    """RMSE and R2 (against the global mean) of one output, or of all pooled."""

    method: str
    domain: str
    output: str
    n: int
    rmse: float
    r2: float


@dataclass(frozen=True)
class WorstCase:
    """One of the cases with the largest error of the model."""

    set_name: str
    domain: str
    path: str | None
    picture: str
    draw: int
    error: float
    truth: Mapping[str, float]


@dataclass(frozen=True)
class BenchmarkResult:
    """Everything that was measured, and what it was measured on."""

    options: BenchmarkOptions
    laws: Mapping[str, str]
    checkpoint: CheckpointId | None
    cases: int
    curves: tuple[CurveRow, ...] = ()
    parameters: tuple[ParameterRow, ...] = ()
    presence: tuple[PresenceRow, ...] = ()
    alarms: tuple[AlarmRow, ...] = ()
    coverage: tuple[CoverageRow, ...] = ()
    flat: tuple[FlatRow, ...] = ()
    paper: tuple[PaperRow, ...] = ()
    worst: tuple[WorstCase, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShippedModels:
    """The models of a checkpoint (None: the shipped one), and the same with the encoder's weights re-drawn."""

    genome: str
    checkpoint: Path | None
    device: str
    randomised: bool
    seed: int

    def __call__(self) -> Mapping[str, Any]:
        if self.genome == "sensor":
            from noisediag.estimator import Estimator

            model: Any = Estimator(self.checkpoint, self.device)
        else:
            from noisediag.studies.paper import PaperEstimator

            model = PaperEstimator(self.checkpoint, self.device)
        return {MODEL: model, **({RANDOMISED: model.randomised(self.seed)} if self.randomised else {})}


Progress = Callable[[Iterable[Any], int], Iterable[Any]]  # (results as they come, how many) -> the same


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
    results: Iterable[tuple[Any, ...]] = _map(score, todo, models, options.workers)
    scores = [case for cases in (progress(results, len(todo)) if progress else results) for case in cases]
    result = _sum_up_paper(options, scores) if options.genome == "paper" else _sum_up_sensor(options, scores)
    unknown = sorted({j.domain for j in todo if j.path and j.own_noise is None}) if options.genome == "sensor" else []
    note = f"no own noise stated, nothing scored apart: {', '.join(unknown)}"
    return replace(result, notes=result.notes + ((note,) if unknown else ()))


def console_progress(results: Iterable[Any], total: int) -> Iterator[Any]:
    """A progress bar on stderr; silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(results, "pictures", total, console=console, transient=True, disable=not console.is_terminal)


def worst(scores: Sequence[CaseScore], n: int) -> tuple[WorstCase, ...]:
    """The `n` cases, not scored apart, with the model's largest curve error, the largest first."""
    ranked = [
        (answer.curve_error, case)
        for case in scores
        for answer in case.answers
        if answer.method == MODEL and not case.apart and not math.isnan(answer.curve_error)
    ]
    ranked.sort(key=lambda entry: -entry[0])
    return tuple(
        WorstCase(
            c.set_name,
            c.domain,
            c.path,
            c.picture,
            c.draw,
            error,
            {name: value for name, value in zip(NAMES, c.truth, strict=True) if value > 0},
        )
        for error, c in ranked[:n]
    )


def _jobs(options: BenchmarkOptions) -> list[Job]:
    sets = ("paper",) if options.genome == "paper" else options.sets
    unknown = set(sets) - {*SETS, "paper"}
    if unknown:
        raise UsageError(f"no benchmark set is called {', '.join(sorted(unknown))}; there are: {', '.join(SETS)}")
    if options.draws < 1 or options.workers < 1:
        raise UsageError("--draws and --workers are at least 1")
    if options.data is None and set(sets) - {"flat", "raw"}:
        raise UsageError("--data: a folder of clean pictures, one sub-folder a domain, is needed for these sets")
    limit = options.limit_per_domain
    found = pictures(options.data, split=options.split, limit_per_domain=limit) if options.data else ()
    return list(jobs(sets, found, draws=options.draws, scenes_=options.scenes, flats=options.flats, raws=options.raws))


# One picture at a time ------------------------------------------------------------------------------------------------

_worker_models: Mapping[str, Any] = {}  # of this worker process, made once


def _start_worker(models: Models) -> None:
    import torch

    global _worker_models
    torch.set_num_threads(1)
    _worker_models = models()


def _in_worker(score: Callable[[Mapping[str, Any], Job], Any], job: Job) -> Any:
    return score(_worker_models, job)


def _map(
    score: Callable[[Mapping[str, Any], Job], tuple[Any, ...]], todo: list[Job], models: Models, workers: int
) -> Iterator[tuple[Any, ...]]:
    """Scores of all jobs, in their order; in this process or in `workers` spawned ones of one thread each."""
    if workers == 1:
        made = models()
        yield from (score(made, job) for job in todo)
        return
    spawn = multiprocessing.get_context("spawn")  # torch is not safe to fork
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker, initargs=(models,)) as pool:
        yield from pool.map(partial(_in_worker, score), todo)


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
        at = np.array([(point.signal, point.sigma, point.low, point.high) for point in main.curve]).T
        low = sigma * np.interp(expected.signal, at[0], at[2] / at[1])
        high = sigma * np.interp(expected.signal, at[0], at[3] / at[1])
        covered = float(expected.weight[(low <= expected.sigma) & (expected.sigma <= high)].sum())
        with np.errstate(divide="ignore"):
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
                shown=tuple(oracle.features(case.clean, case.noisy)) if options.baselines else (),
            )
        )
    return tuple(scores)


# Summing up -----------------------------------------------------------------------------------------------------------


def _sum_up_sensor(options: BenchmarkOptions, scores: Sequence[CaseScore]) -> BenchmarkResult:
    by_set: dict[str, list[CaseScore]] = {}
    for case in scores:
        by_set.setdefault(case.set_name, []).append(case)
    noisy = {name: cases for name, cases in by_set.items() if name != "clean"}
    return BenchmarkResult(
        options=options,
        laws={name: LAW_TEXT[name] for name in by_set},
        checkpoint=next((case.checkpoint for case in scores if case.checkpoint), None),
        cases=len(scores),
        curves=tuple(row for cases in noisy.values() for row in _curve_rows(cases)),
        parameters=tuple(row for cases in noisy.values() for row in _parameter_rows(cases)),
        presence=tuple(row for cases in noisy.values() for row in _presence_rows(cases)),
        alarms=tuple(_alarm_rows(by_set.get("clean", []))),
        coverage=tuple(row for cases in noisy.values() for row in _coverage_rows(cases, options.seed)),
        flat=tuple(_flat_rows(by_set.get("flat", []))),
        worst=worst(scores, WORST),
    )


def _methods(cases: Iterable[CaseScore]) -> list[str]:
    return list(dict.fromkeys(answer.method for case in cases for answer in case.answers))


def _answers(cases: Iterable[CaseScore], method: str, apart: bool) -> list[tuple[CaseScore, Answer]]:
    return [(c, a) for c in cases if c.apart == apart for a in c.answers if a.method == method]


def _curve_rows(cases: Sequence[CaseScore]) -> Iterator[CurveRow]:
    for apart in (False, True):
        for method in _methods(cases):
            chosen = _answers(cases, method, apart)
            domains = sorted({case.domain for case, _ in chosen})
            for domain in (POOLED, *domains):
                some = [(c, a) for c, a in chosen if domain in (POOLED, c.domain)]
                errors = np.array([a.curve_error for _, a in some if not math.isnan(a.curve_error)])
                if not len(errors):
                    continue
                yield CurveRow(
                    set_name=cases[0].set_name,
                    method=method,
                    domain=domain,
                    apart=apart,
                    n=len(errors),
                    median=scoring.quantile(errors, 0.5),
                    p90=scoring.quantile(errors, 0.9),
                    off=float((errors > OFF).mean()),
                    left_out=float(np.mean([c.left_out for c, _ in some])),
                    seconds=float(np.median([a.seconds for _, a in some])),
                )


@dataclass(frozen=True)
class _Table:
    """Cases of one method as arrays of shape (n, parameters)."""

    truth: Floats
    scored: NDArray[np.bool_]
    value: Floats
    low: Floats
    high: Floats
    present: Floats
    picture: NDArray[np.int64]  # (n,)

    @property
    def covered(self) -> NDArray[np.bool_]:
        return (self.low <= self.truth) & (self.truth <= self.high)

    @property
    def bounded(self) -> NDArray[np.bool_]:
        return np.isfinite(self.low) & np.isfinite(self.high)


def _table(chosen: Sequence[tuple[CaseScore, Answer]]) -> _Table | None:
    """None for a method that gives no parameters."""
    if not chosen or not chosen[0][1].values:
        return None
    number = {key: i for i, key in enumerate(dict.fromkeys((c.domain, c.picture) for c, _ in chosen))}
    return _Table(
        truth=np.array([c.truth for c, _ in chosen]),
        scored=np.array([c.scored for c, _ in chosen]),
        value=np.array([a.values for _, a in chosen]),
        low=np.array([a.lows for _, a in chosen]),
        high=np.array([a.highs for _, a in chosen]),
        present=np.array([a.presents for _, a in chosen]),
        picture=np.array([number[c.domain, c.picture] for c, _ in chosen]),
    )


def _parameter_rows(cases: Sequence[CaseScore]) -> Iterator[ParameterRow]:
    for apart in (False, True):
        for method in _methods(cases):
            table = _table(_answers(cases, method, apart))
            if table is None:
                continue
            for column, name in enumerate(NAMES):
                scored = table.scored[:, column]
                if not scored.any():
                    continue
                expected = np.log10(table.truth[scored, column])
                value, low, high = table.value[scored, column], table.low[scored, column], table.high[scored, column]
                answered = value > 0
                bounded = table.bounded[scored, column]
                ratio = np.full(len(expected), np.inf)
                ratio[answered] = np.abs(np.log10(value[answered]) - expected[answered])
                inner = answered & bounded & (low > 0)
                yield ParameterRow(
                    set_name=cases[0].set_name,
                    method=method,
                    parameter=name,
                    apart=apart,
                    n=int(scored.sum()),
                    share_scored=float(scored.mean()),
                    answered=float(answered.mean()),
                    median_log10=scoring.quantile(ratio, 0.5),
                    r2=scoring.r2(np.log10(value[answered]), expected[answered]),
                    coverage=float(table.covered[scored, column][bounded].mean()) if bounded.any() else math.nan,
                    width=float(np.median(np.log10(high[inner] / low[inner]))) if inner.any() else math.nan,
                )
                if method == MODEL:
                    yield _mean_parameter_row(cases[0].set_name, name, apart, expected, float(scored.mean()))


def _mean_parameter_row(set_name: str, name: str, apart: bool, expected: Floats, share_scored: float) -> ParameterRow:
    """What the mean of log10 over the same cases would score."""
    return ParameterRow(
        set_name=set_name,
        method=MEAN,
        parameter=name,
        apart=apart,
        n=len(expected),
        share_scored=share_scored,
        answered=1.0,
        median_log10=scoring.quantile(np.abs(expected - expected.mean()), 0.5),
        r2=scoring.r2(np.full_like(expected, expected.mean()), expected),
        coverage=math.nan,
        width=math.nan,
    )


def _presence_rows(cases: Sequence[CaseScore]) -> Iterator[PresenceRow]:
    for method in _methods(cases):
        table = _table(_answers(cases, method, apart=False))
        if table is None:
            continue
        for column, name in enumerate(NAMES):
            told = np.isfinite(table.present[:, column])
            positive = table.scored[:, column]
            used = told & (positive | (table.truth[:, column] == 0))
            positives = int(positive[used].sum())
            negatives = int(used.sum()) - positives
            if not positives or not negatives:
                continue
            auc = scoring.roc_auc(table.present[used, column], positive[used])
            yield PresenceRow(cases[0].set_name, method, name, positives, negatives, auc)


def _alarm_rows(cases: Sequence[CaseScore]) -> Iterator[AlarmRow]:
    for method in _methods(cases):
        chosen = _answers(cases, method, apart=False)
        domains = [*sorted({c.domain for c, _ in chosen} - {SCENES})]
        groups = {
            SCENES: [a for c, a in chosen if c.domain == SCENES],
            "pictures": [a for c, a in chosen if c.domain != SCENES],
        }
        groups |= {domain: [a for c, a in chosen if c.domain == domain] for domain in domains}
        for domain, answers in groups.items():
            if not answers:
                continue
            table = np.array([a.alarms for a in answers])
            for column, name in enumerate(NAMES):
                yield AlarmRow(domain, method, name, len(answers), float(table[:, column].mean()))
            yield AlarmRow(domain, method, "sigma", len(answers), float(np.mean([a.sigma_alarm for a in answers])))


def _coverage_rows(cases: Sequence[CaseScore], seed: int) -> Iterator[CoverageRow]:
    for apart in (False, True):
        chosen = _answers(cases, MODEL, apart)
        table = _table(chosen)
        if table is None:
            continue
        used = table.scored & table.bounded
        with np.errstate(divide="ignore", invalid="ignore"):
            widths = np.where(table.low > 0, np.log10(table.high / table.low), np.nan)
        picture = np.broadcast_to(table.picture[:, None], used.shape)
        pooled = scoring.coverage(table.covered[used], picture[used], seed=seed)
        yield CoverageRow(cases[0].set_name, "parameters", apart, pooled, _median(widths[used]))
        for column, parameter in enumerate(PARAMETERS):
            of = used[:, column]
            if of.any():
                cover = scoring.coverage(table.covered[of, column], table.picture[of], seed=seed)
                yield CoverageRow(cases[0].set_name, parameter.name, apart, cover, _median(widths[of, column]))
        curve = np.array([a.curve_covered for _, a in chosen])
        width = np.array([a.curve_width for _, a in chosen]) / math.log(10)
        told = np.isfinite(curve)
        cover = scoring.coverage(curve[told], table.picture[told], seed=seed)
        yield CoverageRow(cases[0].set_name, "curve", apart, cover, _median(width[told]))


def _median(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else math.nan


def _flat_rows(cases: Sequence[CaseScore]) -> Iterator[FlatRow]:
    for method in _methods(cases):
        chosen = [(c, a.relative_error) for c, a in _answers(cases, method, apart=False)]
        chosen = [(case, error) for case, error in chosen if not math.isnan(error)]
        if not chosen:
            continue
        error = np.array([error for _, error in chosen])
        bound = np.array([1 / math.sqrt(2 * case.pixels) for case, _ in chosen])
        yield FlatRow(
            method=method,
            n=len(error),
            bias=float(error.mean()),
            rms=float(np.sqrt(np.square(error).mean())),
            over_bound=float(np.sqrt(np.square(error / bound).mean())),
        )


def _sum_up_paper(options: BenchmarkOptions, scores: Sequence[PaperScore]) -> BenchmarkResult:
    expected = np.array([score.truth for score in scores])
    domain = np.array([score.domain for score in scores])
    read = {method: np.array([score.answers[method] for score in scores]) for method in scores[0].answers}
    read[MEAN] = np.full_like(expected, 1 / len(paper.NAMES))
    if options.baselines:
        number = {key: i for i, key in enumerate(dict.fromkeys((s.domain, s.picture) for s in scores))}
        picture = np.array([number[s.domain, s.picture] for s in scores])
        best = oracle.predict(np.array([s.shown for s in scores]), expected, picture, seed=options.seed)
        read |= {} if best is None else {ORACLE: best}
    rows = [row for method, strengths in read.items() for row in _paper_rows(method, strengths, expected, domain)]
    return BenchmarkResult(
        options=options,
        laws={"paper": LAW_TEXT["paper"]},
        checkpoint=scores[0].checkpoint,
        cases=len(scores),
        paper=tuple(rows),
        worst=_worst_paper(scores, WORST),
    )


def _paper_rows(method: str, read: Floats, expected: Floats, domain: NDArray[np.str_]) -> Iterator[PaperRow]:
    def row(where: str, output: str, estimate: Floats, target: Floats) -> PaperRow:
        rmse = float(np.sqrt(np.square(estimate - target).mean()))
        return PaperRow(method, where, output, len(estimate), rmse, scoring.r2(estimate, target))

    yield row(POOLED, POOLED, read, expected)
    for column, name in enumerate(paper.NAMES):
        yield row(POOLED, name, read[:, column], expected[:, column])
    for name in sorted(set(domain.tolist())):
        yield row(name, POOLED, read[domain == name], expected[domain == name])


def _worst_paper(scores: Sequence[PaperScore], n: int) -> tuple[WorstCase, ...]:
    def error(score: PaperScore) -> float:
        return float(np.sqrt(np.square(np.subtract(score.answers[MODEL], score.truth)).mean()))

    ranked = sorted(scores, key=error, reverse=True)[:n]
    return tuple(
        WorstCase("paper", s.domain, s.path, s.picture, s.draw, error(s), dict(zip(paper.NAMES, s.truth, strict=True)))
        for s in ranked
    )
