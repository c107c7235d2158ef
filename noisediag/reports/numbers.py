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


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)))
