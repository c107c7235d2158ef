"""What `noisediag benchmark traps` is asked, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from noisediag.benchmark.traps.judging import Judgement, Verdict
from noisediag.footprint.file import CheckpointId

SCHEMA = "noisediag.traps/1"
PER_KIND = 4
TRAPS, CONTROLS, ALL = "all traps", "all controls", "all"


@dataclass(frozen=True)
class TrapOptions:
    """What to run. `kinds` empty: all of them. `keep`: a folder that the files stay in; None: they are removed.

    `data`: photographs, a folder a domain; None: procedural scenes. `verbose`: the table lists each answer that is not
    right.
    """

    kinds: tuple[str, ...] = ()
    per_kind: int = PER_KIND
    seed: int = 0
    data: Path | None = None
    split: str = "odd"
    limit_per_domain: int | None = None
    workers: int = 1
    keep: Path | None = None
    verbose: bool = False
    checkpoint: Path | None = None
    device: str = "auto"

    @property
    def own_noise(self) -> None:
        """Photographs are resized and blurred, so that what noise they had is not looked at."""
        return None


@dataclass(frozen=True)
class TrapAnswer:
    """One file and the verdict on what was said of it."""

    kind: str
    draw: int
    file: str
    judgement: Judgement


@dataclass(frozen=True)
class TrapRow:
    """Answers of a kind, or of several: how many, and how many of them are right, honest and wrong."""

    kind: str
    control: bool | None  # None: some are
    n: int
    right: int
    honest: int
    wrong: int

    def share(self, verdict: Verdict) -> float:
        """Of the answers, 0 to 1; there is at least one."""
        return {"right": self.right, "honest": self.honest, "wrong": self.wrong}[verdict] / self.n


@dataclass(frozen=True)
class TrapResult:
    """The rows by kind, the totals, and every answer."""

    options: TrapOptions
    checkpoint: CheckpointId | None
    rows: tuple[TrapRow, ...]
    totals: tuple[TrapRow, ...]
    answers: tuple[TrapAnswer, ...]
