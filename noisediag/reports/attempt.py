"""What goes wrong with one file becomes its Failure, so that it never takes the others with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from noisediag.errors import OUT_OF_MEMORY, CheckpointError, InputError, UsageError, one_line
from noisediag.reports import Failure
from noisediag.reports.document import path_fields

T = TypeVar("T")


def attempt(path: Path, measure: Callable[[Path], T], *, alone: bool = False) -> T | Failure:
    """`measure(path)`, or the Failure that whatever went wrong becomes.

    `alone`: there is no other file, so an option that does not fit it is the user's error: UsageError. A damaged
    checkpoint, CheckpointError, is never the file's fault.
    """
    try:
        return _attempt(path, measure, alone=alone)
    except MemoryError:  # what went wrong still held all of it when it was to be told; here it is gone
        pass
    return Failure(str(path), "memory", OUT_OF_MEMORY)


def _attempt(path: Path, measure: Callable[[Path], T], *, alone: bool) -> T | Failure:
    named = f"{path_fields(str(path))['path']}: "  # readers put it in front of their reason; a Failure holds it apart
    try:
        return measure(path)
    except InputError as error:
        code, message = error.code, str(error).removeprefix(named)
    except CheckpointError:
        raise
    except UsageError as error:  # an option that does not fit this file, as a channel it does not have
        if alone:
            raise
        code, message = "unsupported", str(error).removeprefix(named)
    except MemoryError:
        code, message = "memory", OUT_OF_MEMORY
    except Exception as error:  # a bug of ours must cost one file, not the run
        code, message = "crashed", f"{type(error).__name__}: {error}"
    return Failure(str(path), code, one_line(message))
