"""Calls that do not fit a public function, refused in words that help."""

from __future__ import annotations

import difflib
import inspect
import math
import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from noisediag.errors import NoisediagError, UsageError, WrongTypeError

_OPTION = re.compile(r"(?<![\w/\\.-])--([a-z][a-z-]*)")  # no part of a file's name

P = ParamSpec("P")
T = TypeVar("T")


def public(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, whose unknown keywords are refused with those that there are, and whose errors speak of keywords.

    Raises WrongTypeError, a TypeError. Messages from below name the options of the command line: `--black` is `black`.
    """
    known = [name for name, one in inspect.signature(function).parameters.items() if one.kind is one.KEYWORD_ONLY]
    taken = inspect.signature(function).parameters

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in taken:
                near = difflib.get_close_matches(name, known, n=1)
                meant = f" (did you mean {near[0]!r}?)" if near else ""
                raise WrongTypeError(
                    f"{function.__name__}() has no keyword {name!r}{meant}; there are: {', '.join(known)}"
                )
        try:
            return function(*args, **kwargs)
        except NoisediagError as error:
            error.args = (_OPTION.sub(keyword, str(error)),)
            raise

    def keyword(option: re.Match[str]) -> str:
        name = option[1].replace("-", "_")
        return name if name in taken else option[0]

    return checked


def check_number(name: str, value: object, *, positive: bool = False) -> None:
    """Raise WrongTypeError unless `value` is None or a number, UsageError unless it is finite, or above 0."""
    if value is None:
        return
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise WrongTypeError(f"{name} is a number, not {value!r:.60}") from None
    if isinstance(value, (str, bytes)):
        raise WrongTypeError(f"{name} is a number, not {value!r:.60}")
    if not math.isfinite(number) or (positive and not number > 0):
        raise UsageError(f"{name} is a {'positive' if positive else 'finite'} number, not {value!r}")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise UsageError, naming what there is, unless `value` is None or one of `choices`."""
    if value is not None and not (isinstance(value, str) and value in choices):
        raise UsageError(f"unknown {name} {value!r:.60}: {', '.join(choices)}")
