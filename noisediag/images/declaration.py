"""What a reader says of the formats it reads: `DECLARED` of its module, from which the table of formats is made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Declaration:
    """A format, or several that are read alike.

    `suffixes`: words that its files' names end in, which only `batch` looks at; `reads`: which of its pictures become
    planes, channels and frames; `black`, `white`, `time`: where the format states no light, saturation, and exposure or
    the distance of frames; None: nowhere. `extra`: of this package, None where it is always there.
    """

    name: str
    suffixes: str
    reads: str
    library: str
    extra: str | None = None
    black: str | None = None
    white: str | None = None
    time: str | None = None
