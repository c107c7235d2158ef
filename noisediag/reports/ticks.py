"""Round values for an axis, never fewer than two, and what they say: no two of them the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from noisediag.reports.numbers import number

_EPOCH = datetime(1970, 1, 1)
_DECADES = ((1, 1.5, 2, 3, 4, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
_MOST_DIGITS = 6
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SECONDS = (
    *(1, 2, 5, 10, 15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY),
)
_MONTHS = (1, 3, 6, 12, 24, 60, 120, 240, 600, 1200)


def even_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """At least two round values from `low` to `high`, at most `most` (2 or more), equally far apart.

    >>> even_ticks(0, 1, 6), even_ticks(0.0053, 0.0061, 5)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0054, 0.0056, 0.0058, 0.006])
    """
    if not low < high:
        raise ValueError("an axis from low to high is needed")
    best: list[float] = []
    for power in range(math.floor(math.log10(high - low)) + 1, math.floor(math.log10(high - low)) - 3, -1):
        for factor in (5, 2, 1):
            first, last = (f(edge / (factor * 10.0**power)) for f, edge in ((math.ceil, low), (math.floor, high)))
            # Through text: 3 * 0.1 is to be 0.3.
            ends = first, last
            if last - first + 1 > most:
                return best or [float(f"{index * factor}e{power}") for index in ends]
            marks = [float(f"{index * factor}e{power}") for index in range(first, last + 1)]
            best = marks if len(marks) > 1 else best
    return best or [low, high]


def log_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """At least two round values from `low` to `high`, both above 0, for a logarithmic axis; at most `most`.

    >>> log_ticks(0.9, 120), log_ticks(0.0055, 0.0123, 5), log_ticks(1e-9, 1e3, 4)
    ([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0], [0.006, 0.008, 0.01], [1e-09, 1e-05, 0.1, 1000.0])
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found = [_decades(low, high, first, last, factors, 1) for factors in _DECADES]
    found += [_decades(low, high, first, last, (1,), every) for every in range(2, last - first)]
    found.append(even_ticks(low, high, most))
    for fewest in (3, 2):
        for marks in found:
            if fewest <= len(marks) <= most:
                return marks
    return found[-1]


def time_ticks(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    """Moments between two, in seconds since 1970, on the minute, hour, day, month or year, and how they are written.

    >>> [text for _, text in time_ticks(0, 5 * 86400, 4)], [text for _, text in time_ticks(0, 1e7, 4)]
    (['1970-01-01', '1970-01-03', '1970-01-05'], ['1970-01', '1970-02', '1970-03', '1970-04'])
    """
    for step in _SECONDS:
        if (high - low) / step < most + 1:
            marks = [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
            if 2 <= len(marks) <= most:
                form = "%Y-%m-%d" if step >= _DAY else "%m-%d %H:%M" if step >= _MINUTE else "%H:%M:%S"
                return [(mark, moment(mark, form)) for mark in marks]
    for months in _MONTHS:
        starts = list(_starts_of_months(low, high, months))
        if 2 <= len(starts) <= most:
            form = "%Y" if months % 12 == 0 else "%Y-%m"
            return [(start, moment(start, form)) for start in starts]
    return [(low, moment(low)), (high, moment(high))]


def labels(ticks: Sequence[float]) -> list[str]:
    """What evenly or logarithmically spaced ticks say, with just the digits that tell them apart.

    >>> labels([0.004, 0.006, 0.008]), labels([9900.0, 9950.0, 10000.0]), labels([1e-9, 1e-5])
    (['0.004', '0.006', '0.008'], ['9900', '9950', '10000'], ['1e-9', '1e-5'])
    """
    return [_shortest(tick) for tick in ticks]


def moment(seconds: float, form: str = "%Y-%m-%d") -> str:
    """The date, or whatever `form` says, of so many seconds since 1970.

    >>> moment(1e9)
    '2001-09-09'
    """
    return (_EPOCH + timedelta(seconds=seconds)).strftime(form)


def _shortest(tick: float) -> str:
    for significant in range(1, _MOST_DIGITS + 1):
        text = number(tick, significant)
        if math.isclose(float(text), tick, rel_tol=10.0**-_MOST_DIGITS, abs_tol=1e-300):
            return text
    return number(tick, _MOST_DIGITS)


def _decades(low: float, high: float, first: int, last: int, factors: Sequence[float], every: int) -> list[float]:
    marks = (float(f"{factor}e{power}") for power in range(first, last + 1, every) for factor in factors)
    return [mark for mark in marks if low <= mark <= high]


def _starts_of_months(low: float, high: float, months: int) -> Iterator[float]:
    start = _EPOCH + timedelta(seconds=low)
    count = math.ceil((12 * start.year + start.month - 1) / months) * months
    while count < 12 * datetime.max.year:
        at = (datetime(count // 12, count % 12 + 1, 1) - _EPOCH).total_seconds()
        if at > high:
            return
        if at >= low:
            yield at
        count += months
