"""The benchmark's answers summed up: one row a method and set, domain, parameter or output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noisediag.benchmark import bound, scoring
from noisediag.benchmark.running import MODEL
from noisediag.benchmark.scoring import OFF, TWICE
from noisediag.benchmark.sets.result import (
    BOUND,
    MEAN,
    POOLED,
    WORST,
    AlarmRow,
    Answer,
    BenchmarkOptions,
    BenchmarkResult,
    CaseScore,
    CoverageRow,
    CurveRow,
    DarkRow,
    FlatRow,
    PaperRow,
    PaperScore,
    ParameterRow,
    PresenceRow,
    WorstCase,
)
from noisediag.genome import paper
from noisediag.genome.cases import LAW_TEXT, SCENES
from noisediag.genome.parameters import NAMES, PARAMETERS

Floats = NDArray[np.float64]

DARK_SHARE = 0.05  # of the pixels: enough to tell shot from read noise
DARK_PARAMETERS = ("shot_gain", "read_noise")
MIXED = 4  # noises at once, from which presence in mixtures is judged


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


def sum_up_sensor(options: BenchmarkOptions, scores: Sequence[CaseScore]) -> BenchmarkResult:
    """All rows of the genome `sensor`."""
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
        dark=tuple(row for cases in noisy.values() for row in _dark_rows(cases)),
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
                    twice=float((errors > TWICE).mean()),
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


def _dark_rows(cases: Sequence[CaseScore]) -> Iterator[DarkRow]:
    dark = [case for case in cases if case.dark_share >= DARK_SHARE]
    for method in _methods(dark):
        table = _table(_answers(dark, method, apart=False))
        if table is None:
            continue
        for name in DARK_PARAMETERS:
            column = NAMES.index(name)
            scored = table.scored[:, column]
            if not scored.any():
                continue
            relative = np.abs(table.value[scored, column] / table.truth[scored, column] - 1)
            answered = np.isfinite(relative)
            yield DarkRow(
                set_name=cases[0].set_name,
                method=method,
                parameter=name,
                n=len(relative),
                answered=float(answered.mean()),
                median_relative=scoring.quantile(np.where(answered, relative, np.inf), 0.5),
            )


def _presence_rows(cases: Sequence[CaseScore]) -> Iterator[PresenceRow]:
    if cases[0].set_name == "mixture":
        cases = [case for case in cases if sum(value > 0 for value in case.truth) >= MIXED]
    for method in _methods(cases):
        table = _table(_answers(cases, method, apart=False))
        if table is None:
            continue
        for column, name in enumerate(NAMES):
            known = np.isfinite(table.present[:, column])
            positive = table.scored[:, column]
            used = known & (positive | (table.truth[:, column] == 0))
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
        known = np.isfinite(curve)
        cover = scoring.coverage(curve[known], table.picture[known], seed=seed)
        yield CoverageRow(cases[0].set_name, "curve", apart, cover, _median(width[known]))


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


def sum_up_paper(options: BenchmarkOptions, scores: Sequence[PaperScore]) -> BenchmarkResult:
    """All rows of the genome `paper`, with those of the bound where baselines are wanted."""
    expected = np.array([score.truth for score in scores])
    domain = np.array([score.domain for score in scores])
    read = {method: np.array([score.answers[method] for score in scores]) for method in scores[0].answers}
    read[MEAN] = np.full_like(expected, 1 / len(paper.NAMES))
    squares = {method: np.square(strengths - expected) for method, strengths in read.items()}
    if options.baselines:
        levels, back = np.unique(np.array([score.levels for score in scores]), axis=0, return_inverse=True)
        squares[BOUND] = bound.least_errors(levels, seed=options.seed)[back]
    rows = [row for method, square in squares.items() for row in _paper_rows(method, square, expected, domain)]
    return BenchmarkResult(
        options=options,
        laws={"paper": LAW_TEXT["paper"]},
        checkpoint=scores[0].checkpoint,
        cases=len(scores),
        paper=tuple(rows),
        worst=_worst_paper(scores, WORST),
    )


def _paper_rows(method: str, square: Floats, expected: Floats, domain: NDArray[np.str_]) -> Iterator[PaperRow]:
    """Of squared errors (n, 6)."""

    def row(where: str, output: str, square: Floats, target: Floats) -> PaperRow:
        spread = float(target.var())
        r2 = 1 - float(square.mean()) / spread if spread > 0 else math.nan
        return PaperRow(method, where, output, len(square), float(np.sqrt(square.mean())), r2)

    yield row(POOLED, POOLED, square, expected)
    for column, name in enumerate(paper.NAMES):
        yield row(POOLED, name, square[:, column], expected[:, column])
    for name in sorted(set(domain.tolist())):
        yield row(name, POOLED, square[domain == name], expected[domain == name])


def _worst_paper(scores: Sequence[PaperScore], n: int) -> tuple[WorstCase, ...]:
    def error(score: PaperScore) -> float:
        return float(np.sqrt(np.square(np.subtract(score.answers[MODEL], score.truth)).mean()))

    ranked = sorted(scores, key=error, reverse=True)[:n]
    return tuple(
        WorstCase("paper", s.domain, s.path, s.picture, s.draw, error(s), dict(zip(paper.NAMES, s.truth, strict=True)))
        for s in ranked
    )
