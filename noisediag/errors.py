"""Every error a user can meet, each with the exit code the command line ends with."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

OUT_OF_MEMORY = "not enough memory"  # the reason of failures that come from the machine and not from the file
MAX_NAME = 100  # characters of a user's own name of a parameter, unit or class


class NoisediagError(Exception):
    """Base of all errors raised on purpose; the message is one clear line."""

    exit_code: ClassVar[int] = 1


class UsageError(NoisediagError):
    """The request itself cannot be carried out: wrong options, missing extra, existing output."""

    exit_code = 2


class WrongTypeError(UsageError, TypeError):
    """A Python function was given something of a kind that it does not take."""


class InputError(NoisediagError):
    """One input cannot be used; `code` is one of the error codes of the report schema."""

    exit_code = 3
    code: ClassVar[str] = "unreadable"


class UnreadableError(InputError):
    """The file is missing, empty, damaged or not what it claims to be."""

    code = "unreadable"


class UnsupportedError(InputError):
    """The format is recognised, and deliberately or for want of an extra not read."""

    code = "unsupported"


class TruncatedError(InputError):
    """The file ends before its data do."""

    code = "truncated"


class TooLargeError(InputError):
    """Reading the file would need more memory than a picture may take (decompression bomb)."""

    code = "memory"


class PermissionDeniedError(InputError):
    """The operating system does not let us read the file."""

    code = "permission"


class LateError(InputError):
    """Reading or measuring the file takes longer than it may."""

    code = "timeout"


class NoBetterError(NoisediagError):
    """A fine-tuned head is not shown to be better than what there was."""


class CheckpointError(NoisediagError):
    """A checkpoint is missing, damaged, or does not match the code that loads it."""

    exit_code = 5


@dataclass
class Voice:
    """How much goes to stderr beside errors: what the command line was asked for, for as long as the process."""

    quiet: bool = False  # neither warnings nor progress
    verbose: bool = False  # what is done, and how long it takes
    aside: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext  # takes a bar away from the terminal

    @property
    def shows_progress(self) -> bool:
        """Progress is for people who look: never in files and pipes."""
        return not self.quiet and sys.stderr.isatty()


VOICE = Voice()


def one_line(message: str) -> str:
    """`message` with its line ends and repeated blanks folded."""
    return " ".join(message.split())


def printable(text: str) -> str:
    r"""`text` without what could act on a terminal (escape sequences, line ends); undecodable bytes of names as \xNN.

    >>> printable("a\x1b[31m\udcff.tif")
    'a\\x1b[31m\\xff.tif'
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def is_name(text: object, longest: int = MAX_NAME) -> bool:
    """Whether `text` can name a parameter, a unit or a class in tables and reports: one line that can be printed.

    >>> is_name("read_noise"), is_name(""), is_name("a\x1b[31m"), is_name(3)
    (True, False, False, False)
    """
    return isinstance(text, str) and 0 < len(text) <= longest and text.isprintable()


def complain(message: str, path: str | Path | None = None) -> None:
    """One line on stderr, `noisediag: [path: ]message`, with nothing in it that could act on a terminal.

    Where stderr takes no more (a full disk, a reader that is gone), there is nobody to tell: the work goes on.
    """
    where = "" if path is None else f"{path}: "
    with contextlib.suppress(OSError), VOICE.aside():
        sys.stderr.write(printable(f"noisediag: {where}{one_line(message)}") + "\n")
        sys.stderr.flush()


def warn(message: str, path: str | Path | None = None) -> None:
    """A warning on stderr, like `complain`; nothing where `--quiet` was asked for."""
    if not VOICE.quiet:
        complain(f"warning: {message}", path)


def tell(message: str, path: str | Path | None = None) -> None:
    """A line on stderr where `--verbose` was asked for."""
    if VOICE.verbose:
        complain(message, path)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
