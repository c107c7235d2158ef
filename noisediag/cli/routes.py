"""The routes to measured noise, which `measure` prints and `finetune` learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from noisediag.cli.common import panel
from noisediag.errors import UsageError

if TYPE_CHECKING:
    from noisediag.labels.bursts import ReadOptions
    from noisediag.studies.measure import Job

_route = panel("What is measured")
Repeats = Annotated[
    Path | None,
    _route("--repeats", metavar="DIR|STACK", help="Frames of one scene that stands still; sub-folders are others."),
]
Flats = Annotated[
    list[Path] | None,
    _route(
        "--flats",
        metavar="A B ...|DIR",
        help="Flat fields, two of each level or more; sub-folders of DIR are other settings.",
        show_default=False,
    ),
]
Darks = Annotated[
    list[Path] | None,
    _route(
        "--darks",
        metavar="A B ...|DIR",
        help="Dark frames, beside --flats; in sub-folders named as those of --flats DIR.",
        show_default=False,
    ),
]
Pairs = Annotated[
    list[Path] | None,
    _route(
        "--pairs", metavar="NOISY CLEAN", help="Files, or folders: noisy pictures and their means.", show_default=False
    ),
]


@dataclass(frozen=True)
class Routes:
    """What the options of the routes hold. Raises UsageError where they do not fit each other."""

    repeats: Path | None
    flats: Sequence[Path]
    darks: Sequence[Path]
    pairs: Sequence[Path]

    def __post_init__(self) -> None:
        if self.darks and not self.flats:
            raise UsageError("--darks go with --flats")
        if self.pairs and len(self.pairs) != 2:
            raise UsageError("--pairs: one NOISY and one CLEAN, files or folders")

    @property
    def given(self) -> dict[str, tuple[Path, ...]]:
        """The routes that were asked for, in order, each with what it was given."""
        repeats = () if self.repeats is None else (self.repeats,)
        routes = {"repeats": repeats, "flats": (*self.flats, *self.darks), "pairs": tuple(self.pairs)}
        return {name: paths for name, paths in routes.items() if paths}

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Everything that is read, which no output may replace."""
        return tuple(path for paths in self.given.values() for path in paths)

    def jobs(self, name: str, reading: ReadOptions) -> tuple[Job, ...]:
        """The measurements of one of the routes `given`. Raises UsageError where its files do not fit it."""
        from noisediag.studies import measure

        if name == "repeats" and self.repeats is not None:
            return measure.of_repeats(self.repeats, reading)
        if name == "flats":
            return measure.of_flats(self.flats, self.darks, reading)
        noisy, clean = self.pairs
        return measure.of_pairs(noisy, clean, reading)
