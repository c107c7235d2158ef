"""Every error a user can meet, each with the exit code the command line ends with."""

from __future__ import annotations

from typing import ClassVar


class NoisediagError(Exception):
    """Base of all errors raised on purpose; the message is one clear line."""

    exit_code: ClassVar[int] = 1


class UsageError(NoisediagError):
    """The request itself cannot be carried out: wrong options, missing extra, existing output."""

    exit_code = 2


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


class CheckpointError(NoisediagError):
    """A checkpoint is missing, damaged, or does not match the code that loads it."""

    exit_code = 5


def one_line(message: str) -> str:
    """`message` with its line ends and repeated blanks folded."""
    return " ".join(message.split())
