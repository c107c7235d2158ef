"""The readings of all real files: none counted twice, and rows by set and method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from noisediag.benchmark import scoring
from noisediag.benchmark.real.result import FileScore, RealReading, RealRow
from noisediag.benchmark.sets.result import POOLED

EACH_SET_ONCE = "all, each set once"


def without_repeats(scores: Sequence[FileScore]) -> tuple[tuple[RealReading, ...], tuple[str, ...]]:
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


def rows(readings: Sequence[RealReading]) -> Iterator[RealRow]:
    """By method: each set, all readings pooled, and the median over the sets' medians."""
    if not readings:
        return
    methods = list(dict.fromkeys(reading.method for reading in readings))
    sets = list(dict.fromkeys(reading.set_name for reading in readings))
    for method in methods:
        of_sets = []
        for name in sets:
            chosen = [r for r in readings if r.method == method and r.set_name == name]
            of_sets.append(_row(name, method, chosen))
        yield from of_sets
        pooled = _row(POOLED, method, [r for r in readings if r.method == method])
        yield pooled
        medians = np.array([row.median_abs_ln for row in of_sets])
        yield RealRow(
            set_name=EACH_SET_ONCE,
            method=method,
            n=len(of_sets),
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
