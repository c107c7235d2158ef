"""`noisediag benchmark rendered`: the noise that simulated cameras leave, read back by the model.

Three groups of cameras (`rendered_cases`): with stages that were never trained on, as in training, and such that do no
processing at all. Curve errors are those of each plane (R, G, B, luma) of each picture, over levels of equal count;
levels with less than half a code of noise, or within a code of black or white, are left out. Photographs with less than
twice the noise that the clean picture is stated to have itself are scored apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from noisediag import images
from noisediag.benchmark import scoring
from noisediag.benchmark.baselines import BASELINES
from noisediag.benchmark.rendered.cases import GROUPS, RenderedCase, jobs, rendered_case
from noisediag.benchmark.running import MODEL, Models, SensorModel, ShippedModels, spread
from noisediag.benchmark.sets.result import MEAN, POOLED, WORST, WorstCase
from noisediag.errors import UsageError
from noisediag.footprint.file import CheckpointId, Footprint, Spatial
from noisediag.footprint.plane import PRESENT, PlaneFootprint
from noisediag.genome.cases import Job
from noisediag.genome.clean import Picture, pictures
from noisediag.genome.rendered import CODES, PLANES
from noisediag.images.image import LUMA
from noisediag.reports import figures
from noisediag.reports.figures import decimal, number_table, percent
from noisediag.reports.progress import Progress

Floats = NDArray[np.float64]

SCHEMA = "noisediag.rendered-benchmark/1"
FLAGS = ("processed", "denoised", "upscaled")
DRAWS = 1
LEAST_AREA = 1e-2  # of a pixel's SD: below, the truth of averaged noise is that of its few repetitions


@dataclass(frozen=True)
class RenderedOptions:
    """What to run. `data`: one sub-folder a domain; None: `scenes` procedural pictures. `draws`: cameras a picture."""

    data: Path | None = None
    own_noise: Path | None = None  # see `genome.clean.pictures`
    draws: int = DRAWS
    seed: int = 0
    split: Literal["odd", "even", "all"] = "odd"
    limit_per_domain: int | None = None
    baselines: bool = True
    scenes: int = 100
    workers: int = 1
    checkpoint: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class PlaneAnswer:
    """Errors of one method on one plane; NaN: not scored, or not given by the method.

    `covered`: share of the scored levels within the curve's interval, of which `width` is the mean ln(high/low).
    `areas`: mean |ln| of the SD after averaging.
    """

    curve_error: float
    covered: float = math.nan
    width: float = math.nan
    lag_h: float = math.nan
    lag_v: float = math.nan
    areas: float = math.nan


@dataclass(frozen=True)
class RenderedAnswer:
    """One method on one photograph. `channels`: mean error of the three correlations; `flags` are probabilities."""

    method: str
    planes: tuple[PlaneAnswer, ...]
    channels: float = math.nan
    flags: tuple[float, ...] = (math.nan,) * len(FLAGS)
    jpeg_quality: int | None = None


@dataclass(frozen=True)
class RenderedScore:
    """All answers to one photograph, and of its truth what summing up needs."""

    job: Job
    draw: int
    apart: bool
    left_out: float  # share of the levels of all its planes
    planes: tuple[int, ...]  # which of PLANES are scored: the last one of a gray picture, all of one in colour
    log_sigma: tuple[Floats, ...]  # of the scored levels, for each of `planes`
    lag1: Floats  # (len(planes), 2)
    flags: Floats
    jpeg: int | None
    answers: tuple[RenderedAnswer, ...]
    checkpoint: CheckpointId | None


@dataclass(frozen=True)
class RenderedRow:
    """One method over `n` planes of one group and domain (`all` pools them). Medians, but for shares and `p90`.

    `off`: share of planes off by more than 50 %; `left_out`: mean share of unscored levels; `covered`: of the scored
    levels, with the bootstrap's 95 % interval over pictures; `lag_h`, `lag_v`, `channels`: |error| of a correlation;
    `areas`: |ln| of the SD after averaging 2, 4 and 8 px.
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
    covered: float
    covered_low: float
    covered_high: float
    width: float
    lag_h: float
    lag_v: float
    channels: float
    areas: float


@dataclass(frozen=True)
class FlagRow:
    """How one flag tells pictures apart. `hits`, `alarms`: share of positives and of negatives that get it."""

    set_name: str
    flag: str
    positives: int
    negatives: int
    auc: float
    hits: float
    alarms: float


@dataclass(frozen=True)
class QualityRow:
    """JPEG quality read from pixels: median |error| over `n` compressed pictures, one without a quality as infinite.

    `answered`: share of them with a quality; `alarms`: share of `negatives`, never compressed, with one.
    """

    set_name: str
    n: int
    answered: float
    median: float
    negatives: int
    alarms: float


@dataclass(frozen=True)
class RenderedResult:
    """Everything that was measured."""

    options: RenderedOptions
    groups: Mapping[str, str]
    checkpoint: CheckpointId | None
    cases: int
    rows: tuple[RenderedRow, ...]
    flags: tuple[FlagRow, ...]
    quality: tuple[QualityRow, ...]
    worst: tuple[WorstCase, ...]
    notes: tuple[str, ...] = ()


def run(options: RenderedOptions, *, models: Models | None = None, progress: Progress | None = None) -> RenderedResult:
    """Photograph, estimate and score. `models` stands in for the shipped one (picklable where `workers` > 1).

    Raises UsageError for options that cannot be carried out, InputError where a picture cannot be read.
    """
    if options.draws < 1 or options.workers < 1:
        raise UsageError("--draws and --workers are at least 1")
    found: tuple[Picture, ...] = ()
    if options.data is not None:
        found = pictures(
            options.data,
            split=options.split,
            limit_per_domain=options.limit_per_domain,
            own_noise=options.own_noise,
        )
    todo = list(jobs(found, draws=options.draws, scenes_=options.scenes))
    models = models or ShippedModels("sensor", options.checkpoint, options.device, randomised=False, seed=0)
    results = spread(partial(_score, options), todo, models, options.workers)
    scores = [score for some in (progress(results, len(todo)) if progress else results) for score in some]
    unknown = sorted({p.domain for p in found if p.own_noise is None})
    return RenderedResult(
        options=options,
        groups=GROUPS,
        checkpoint=next((score.checkpoint for score in scores if score.checkpoint), None),
        cases=len(scores),
        rows=tuple(row for group in GROUPS for row in _rows(_with_mean(_of(scores, group)), options.seed)),
        flags=tuple(row for group in GROUPS for row in _flag_rows(_of(scores, group))),
        quality=tuple(row for group in GROUPS for row in _quality_rows(_of(scores, group))),
        worst=_worst(scores),
        notes=(f"no own noise stated, nothing scored apart: {', '.join(unknown)}",) if unknown else (),
    )


def render(result: RenderedResult) -> Group:
    """Tables by group, no wider than 80 columns."""
    source = "procedural scenes" if result.options.data is None else f"{result.options.split} files"
    lines = [f"{result.cases} photographs by simulated cameras, {source}, seed {result.options.seed}"]
    if result.checkpoint is not None:
        lines.append(f"checkpoint {result.checkpoint.name} ({result.checkpoint.sha256[:12]})")
    lines += [f"{name}: {text}" for name, text in result.groups.items()]
    parts: list[RenderableType] = [Text("\n".join(lines))]
    for name in result.groups:
        rows = [row for row in result.rows if row.set_name == name]
        pooled = number_table(f"\n{name}: curve error of planes", "method", "n", "median %", "p90 %", "> 50 %", "out %")
        for row in (row for row in rows if row.domain == POOLED):
            label = f"{row.method}, apart" if row.apart else row.method
            numbers = (percent(v) for v in (row.median, row.p90, row.off, row.left_out))
            pooled.add_row(label, str(row.n), *numbers)
        parts.append(pooled)
        table = number_table(
            f"\n{name}: {MODEL} by domain", "domain", "n", "med %", "p90 %", "90 %", "width", "lag", "RGB", "areas"
        )
        for row in (row for row in rows if row.method == MODEL):
            lag = max(row.lag_h, row.lag_v) if not math.isnan(row.lag_h) else math.nan
            table.add_row(
                f"{row.domain}, apart" if row.apart else row.domain,
                str(row.n),
                *(percent(v) for v in (row.median, row.p90, row.covered)),
                *(decimal(v, 3) for v in (row.width, lag, row.channels, row.areas)),
            )
        if table.rows:
            parts.append(table)
    flags = number_table("\nflags", "cameras, flag", "with", "without", "AUC", "found %", "alarms %")
    for flag in result.flags:
        shares = (decimal(flag.auc, 3), percent(flag.hits), percent(flag.alarms))
        flags.add_row(f"{flag.set_name}, {flag.flag}", str(flag.positives), str(flag.negatives), *shares)
    quality = number_table("\nJPEG quality from pixels", "cameras", "n", "told %", "median error", "others", "alarms %")
    for q in result.quality:
        median = decimal(q.median, 1)
        quality.add_row(q.set_name, str(q.n), percent(q.answered), median, str(q.negatives), percent(q.alarms))
    parts += [table for table in (flags, quality) if table.rows]
    return Group(*parts, *(Text(f"note: {note}") for note in result.notes))


def dumps(result: RenderedResult) -> str:
    """The result as JSON text."""
    return figures.dumps_json(figures.document(SCHEMA, result))


def dumps_csv(result: RenderedResult) -> str:
    """The rows as CSV."""
    return figures.dumps_rows(RenderedRow, result.rows)


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
        seen = planes_of(case.codes)
        for baseline in BASELINES:
            planes = tuple(_curve_answer(case, n, baseline.function(seen[n])) for n in case.planes)
            answers.append(RenderedAnswer(baseline.name, planes))
    effective = math.sqrt(float(np.square(case.sigma[-1]).mean()))
    return RenderedScore(
        job=job,
        draw=draw,
        apart=effective < 2 * (job.own_noise or 0.0),
        left_out=1 - float(case.scored[case.planes].mean()),
        planes=tuple(case.planes),
        log_sigma=tuple(np.log(case.sigma[n, case.scored[n]]) for n in case.planes),
        lag1=case.lag1[case.planes],
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
    kept = case.scored[number]
    return PlaneAnswer(_mean_log(curve(case.signal[number, kept]), case.sigma[number, kept]))


def _mean_log(sigma: Floats, true: Floats) -> float:
    return scoring.log_error(sigma, true, np.full(len(true), 1 / max(len(true), 1)))


def _model_answer(method: str, footprint: Footprint, case: RenderedCase) -> RenderedAnswer:
    known = footprint.rendered
    own = {plane.name: plane for plane in footprint.planes}
    spatial = {seen.name: seen for seen in known.planes} if known else {}
    if case.gray:  # whatever its only plane is called
        own[PLANES[-1]] = footprint.planes[-1]
        spatial |= {PLANES[-1]: known.planes[-1]} if known else {}
    missing = [PLANES[n] for n in case.planes if PLANES[n] not in own]
    if missing:
        raise UsageError(f"{method}: gives no plane {', '.join(missing)} of a rendered picture")
    answers = tuple(_plane_answer(own[PLANES[n]], spatial.get(PLANES[n]), case, n) for n in case.planes)
    if known is None:
        return RenderedAnswer(method, answers)
    told = known.channel_correlation
    colours = not case.gray and bool(case.scored.any(axis=1).all()) and told is not None
    return RenderedAnswer(
        method=method,
        planes=answers,
        channels=float(np.abs(np.array(told) - case.channels).mean()) if colours else math.nan,
        flags=(known.processed, known.denoised, known.upscaled),
        jpeg_quality=known.jpeg_quality,
    )


def _plane_answer(plane: PlaneFootprint, spatial: Spatial | None, case: RenderedCase, number: int) -> PlaneAnswer:
    answer, kept = _curve_answer(case, number, plane.law.sigma), case.scored[number]
    if not kept.any():
        return answer
    if plane.curve:
        signal, true = case.signal[number, kept], case.sigma[number, kept]
        low, high = scoring.interval(plane.curve, np.asarray(plane.law.sigma(signal)), signal)
        with np.errstate(divide="ignore", invalid="ignore"):  # an interval from 0, or of 0
            width = float(np.log(high / low).mean())
        answer = replace(answer, covered=float(((low <= true) & (true <= high)).mean()), width=width)
    if spatial is None:
        return answer
    least = LEAST_AREA * math.sqrt(float(np.square(case.sigma[number]).mean()))
    return replace(
        answer,
        lag_h=abs(spatial.lag1_h - float(case.lag1[number, 0])),
        lag_v=abs(spatial.lag1_v - float(case.lag1[number, 1])),
        areas=_mean_log(np.array(spatial.sigma_after_area), np.maximum(case.areas[number], least)),
    )


# Summing up -----------------------------------------------------------------------------------------------------------


def _of(scores: Sequence[RenderedScore], group: str) -> list[RenderedScore]:
    return [score for score in scores if score.job.set_name == group]


def _with_mean(scores: Sequence[RenderedScore]) -> list[RenderedScore]:
    """With the answer of whoever knows of a group only the means: of ln sigma and of the correlations, by plane."""
    levels: dict[int, Floats] = {}
    lags: dict[int, Floats] = {}
    for number in range(len(PLANES)):
        seen = [(s, s.planes.index(number)) for s in scores if number in s.planes]
        seen = [(score, place) for score, place in seen if len(score.log_sigma[place])]
        if seen:
            levels[number] = np.concatenate([score.log_sigma[place] for score, place in seen]).mean()
            lags[number] = np.mean([score.lag1[place] for score, place in seen], axis=0)

    def answer(score: RenderedScore, place: int) -> PlaneAnswer:
        number, logs = score.planes[place], score.log_sigma[place]
        if not len(logs):
            return PlaneAnswer(math.nan)
        lag_h, lag_v = np.abs(score.lag1[place] - lags[number])
        return PlaneAnswer(float(np.abs(logs - levels[number]).mean()), lag_h=float(lag_h), lag_v=float(lag_v))

    return [
        replace(s, answers=(*s.answers, RenderedAnswer(MEAN, tuple(answer(s, i) for i in range(len(s.planes))))))
        for s in scores
    ]


def _rows(scores: Sequence[RenderedScore], seed: int) -> Iterator[RenderedRow]:
    methods = list(dict.fromkeys(answer.method for score in scores for answer in score.answers))
    number = {key: i for i, key in enumerate(dict.fromkeys((s.job.domain, s.job.picture) for s in scores))}
    for apart in (False, True):
        some = [score for score in scores if score.apart == apart]
        for method in methods:
            for domain in (POOLED, *sorted({score.job.domain for score in some})):
                chosen = [s for s in some if domain in (POOLED, s.job.domain)]
                answers = [(s, a) for s in chosen for a in s.answers if a.method == method]
                planes = [(number[s.job.domain, s.job.picture], p) for s, a in answers for p in a.planes]
                planes = [(picture, p) for picture, p in planes if not math.isnan(p.curve_error)]
                if planes:
                    left_out = float(np.mean([s.left_out for s in chosen]))
                    channels = [a.channels for _, a in answers]
                    yield _row(scores[0].job.set_name, method, domain, apart, planes, left_out, channels, seed)


def _row(
    set_name: str,
    method: str,
    domain: str,
    apart: bool,
    planes: Sequence[tuple[int, PlaneAnswer]],
    left_out: float,
    channels: Sequence[float],
    seed: int,
) -> RenderedRow:
    errors = np.array([plane.curve_error for _, plane in planes])
    covered = [(picture, plane.covered) for picture, plane in planes if not math.isnan(plane.covered)]
    coverage = scoring.coverage(
        np.array([share for _, share in covered]),
        np.array([picture for picture, _ in covered], dtype=np.int64),
        seed=seed,
    )
    return RenderedRow(
        set_name=set_name,
        method=method,
        domain=domain,
        apart=apart,
        n=len(planes),
        median=scoring.quantile(errors, 0.5),
        p90=scoring.quantile(errors, 0.9),
        off=float((errors > scoring.OFF).mean()),
        left_out=left_out,
        covered=coverage.share,
        covered_low=coverage.low,
        covered_high=coverage.high,
        width=_median([plane.width for _, plane in planes]),
        lag_h=_median([plane.lag_h for _, plane in planes]),
        lag_v=_median([plane.lag_v for _, plane in planes]),
        channels=_median(channels),
        areas=_median([plane.areas for _, plane in planes]),
    )


def _median(values: Sequence[float]) -> float:
    return scoring.quantile(np.array([value for value in values if not math.isnan(value)]), 0.5)


def _told(scores: Sequence[RenderedScore]) -> list[tuple[RenderedScore, RenderedAnswer]]:
    """The model's answers that say what the picture shows of its processing."""
    answers = [(score, answer) for score in scores for answer in score.answers if answer.method == MODEL]
    return [(score, answer) for score, answer in answers if not math.isnan(answer.flags[0])]


def _flag_rows(scores: Sequence[RenderedScore]) -> Iterator[FlagRow]:
    told = _told(scores)
    for number, flag in enumerate(FLAGS):
        seen = [(s.flags[number], a.flags[number]) for s, a in told if not math.isnan(s.flags[number])]
        if not seen:
            continue
        truth, chance = (np.array(values) for values in zip(*seen, strict=True))
        positive, given = truth > 0, chance >= PRESENT
        yield FlagRow(
            set_name=scores[0].job.set_name,
            flag=flag,
            positives=int(positive.sum()),
            negatives=int((~positive).sum()),
            auc=scoring.roc_auc(chance, positive),
            hits=_share(given[positive]),
            alarms=_share(given[~positive]),
        )


def _quality_rows(scores: Sequence[RenderedScore]) -> Iterator[QualityRow]:
    told = _told(scores)
    if not told:
        return
    pairs = [(s.jpeg, a.jpeg_quality) for s, a in told]
    errors = np.array(
        [math.inf if read is None else abs(read - true) for true, read in pairs if true is not None], dtype=np.float64
    )
    others = np.array([read is not None for true, read in pairs if true is None], dtype=np.bool_)
    yield QualityRow(
        set_name=scores[0].job.set_name,
        n=len(errors),
        answered=_share(np.isfinite(errors)),
        median=scoring.quantile(errors, 0.5),
        negatives=len(others),
        alarms=_share(others),
    )


def _share(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _worst(scores: Sequence[RenderedScore]) -> tuple[WorstCase, ...]:
    """The pictures, not scored apart, with the largest mean curve error of the model over their planes."""
    ranked = []
    for score in (score for score in scores if not score.apart):
        for answer in (answer for answer in score.answers if answer.method == MODEL):
            errors = [plane.curve_error for plane in answer.planes if not math.isnan(plane.curve_error)]
            if errors:
                ranked.append((float(np.mean(errors)), score))
    ranked.sort(key=lambda entry: -entry[0])
    return tuple(
        WorstCase(
            set_name=score.job.set_name,
            domain=score.job.domain,
            path=None if score.job.path is None else str(score.job.path),
            picture=score.job.picture,
            draw=score.draw,
            error=error,
            truth={"sigma in codes": CODES * _level(score), "lag-1": float(score.lag1[-1].mean())},
        )
        for error, score in ranked[:WORST]
    )


def _level(score: RenderedScore) -> float:
    logs = np.concatenate(score.log_sigma)
    return float(np.exp(logs.mean()))
