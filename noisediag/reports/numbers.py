"""Numbers for people: no digit that the interval does not support."""

from __future__ import annotations

import math

MAX_DIGITS = 3


def digits(value: float, low: float | None, high: float | None) -> int:
    """Significant digits of `value` that its interval supports: the last one is the leading digit of the half width.

    >>> digits(0.33321, 0.302, 0.365), digits(0.33321, 0.330, 0.336), digits(2.0, None, None)
    (2, 3, 2)
    """
    if low is None or high is None:
        return 2
    half = (high - low) / 2
    if half <= 0 or value == 0:
        return MAX_DIGITS
    return min(MAX_DIGITS, max(1, _exponent(value) - _exponent(half) + 1))


def number(value: float | None, significant: int) -> str:
    """`value` with so many significant digits, `-` where it is unknown.

    >>> number(0.0333, 2), number(2.1e-5, 2), number(47619.04, 2), number(1234567.0, 3), number(None, 2), number(0.0, 3)
    ('0.033', '2.1e-5', '48000', '1.23e6', '-', '0')
    """
    if value is None:
        return "-"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{significant - 1}e}".split("e")
    if -3 <= int(exponent) < 6:
        return f"{float(f'{mantissa}e{exponent}'):.{max(0, significant - 1 - int(exponent))}f}"
    return f"{mantissa}e{int(exponent)}"


def interval(low: float | None, high: float | None, significant: int) -> str:
    """Both ends with so many significant digits, or `-`."""
    return "-" if low is None or high is None else f"{number(low, significant)} .. {number(high, significant)}"


def by_interval(value: float, low: float | None, high: float | None) -> tuple[str, str]:
    """`value` and its interval, by the one rule of the first screen: two significant digits of the interval's width.

    All three are rounded at that digit; one that would have fewer than two digits of its own left keeps two. So the
    value stays inside. Without an interval, or with one of no width, two digits and `` for the interval.

    >>> by_interval(1.503e-4, 1.32e-4, 1.714e-4), by_interval(47619.0, 40000.0, 60100.0)
    (('1.50e-4', '1.32e-4 .. 1.71e-4'), ('48000', '40000 .. 60000'))
    >>> by_interval(1e-3, 2.04e-6, 0.1), by_interval(3.14159, None, None)
    (('0.0010', '2.0e-6 .. 0.100'), ('3.1', ''))
    """
    if low is None or high is None or not high > low:
        return number(value, 2), ""
    place = _exponent(high - low) - 1
    value_text, low_text, high_text = (_at_place(one, place) for one in (value, low, high))
    return value_text, f"{low_text} .. {high_text}"


def _at_place(value: float, place: int) -> str:
    """`value` rounded to 10^`place`, or to two digits where these are finer."""
    if value == 0:
        return "0"
    exponent = _exponent(value)
    decimals = -min(place, exponent - 1)
    return number(round(value, decimals), max(1, _exponent(round(value, decimals) or value) + decimals + 1))


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)))
