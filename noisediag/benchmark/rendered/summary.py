"""The answers to all photographs summed up: rows by group, method and domain; flags; JPEG quality; the worst cases."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from noisediag.benchmark import scoring
from noisediag.benchmark.rendered.cases import GROUPS
from noisediag.benchmark.rendered.result import (
    FLAGS,
    FlagRow,
    PlaneAnswer,
    QualityRow,
    RenderedAnswer,
    RenderedOptions,
    RenderedResult,
    RenderedRow,
    RenderedScore,
)
from noisediag.benchmark.running import MODEL
from noisediag.benchmark.sets.result import MEAN, POOLED, WORST, WorstCase
from noisediag.footprint.plane import PRESENT
from noisediag.genome.rendered import CODES, PLANES

Floats = NDArray[np.float64]


def sum_up(options: RenderedOptions, scores: Sequence[RenderedScore]) -> RenderedResult:
    """All rows, by group of cameras."""
    asked = {name: text for name, text in GROUPS.items() if name in options.cameras or not options.cameras}
    groups = [_of(scores, group) for group in asked]
    return RenderedResult(
        options=options,
        groups=asked,
        checkpoint=next((score.checkpoint for score in scores if score.checkpoint), None),
        cases=len(scores),
        rows=tuple(row for group in groups for row in _rows(_with_mean(group), options.seed)),
        flags=tuple(row for group in groups for row in _flag_rows(group)),
        quality=tuple(row for group in groups for row in _quality_rows(group)),
        worst=_worst(scores),
    )


def _of(scores: Sequence[RenderedScore], group: str) -> list[RenderedScore]:
    return [score for score in scores if score.job.set_name == group]


def _with_mean(scores: Sequence[RenderedScore]) -> list[RenderedScore]:
    """With the answer of whoever knows of a group only the means: of ln sigma and of the correlations, by plane."""
    levels: dict[int, Floats] = {}
    lags: dict[int, Floats] = {}
    for number in range(len(PLANES)):
        places = [(s, s.planes.index(number)) for s in scores if number in s.planes]
        noisy = [(score, place) for score, place in places if len(score.log_sigma[place])]
        if noisy:
            levels[number] = np.concatenate([score.log_sigma[place] for score, place in noisy]).mean()
            lags[number] = np.mean([score.lag1[place] for score, place in noisy], axis=0)

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


def _with_processing(scores: Sequence[RenderedScore]) -> list[tuple[RenderedScore, RenderedAnswer]]:
    """The model's answers that say what the picture shows of its processing."""
    answers = [(score, answer) for score in scores for answer in score.answers if answer.method == MODEL]
    return [(score, answer) for score, answer in answers if not math.isnan(answer.flags[0])]


def _flag_rows(scores: Sequence[RenderedScore]) -> Iterator[FlagRow]:
    answers = _with_processing(scores)
    for number, flag in enumerate(FLAGS):
        pairs = [(s.flags[number], a.flags[number]) for s, a in answers if not math.isnan(s.flags[number])]
        if not pairs:
            continue
        truth, probability = (np.array(values) for values in zip(*pairs, strict=True))
        positive, raised = truth > 0, probability >= PRESENT
        yield FlagRow(
            set_name=scores[0].job.set_name,
            flag=flag,
            positives=int(positive.sum()),
            negatives=int((~positive).sum()),
            auc=scoring.roc_auc(probability, positive),
            hits=_share(raised[positive]),
            alarms=_share(raised[~positive]),
        )


def _quality_rows(scores: Sequence[RenderedScore]) -> Iterator[QualityRow]:
    answers = _with_processing(scores)
    if not answers:
        return
    pairs = [(s.jpeg, a.jpeg_quality) for s, a in answers]
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
