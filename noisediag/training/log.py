"""The log of a training run: one line of JSON a report, continued where a run is resumed."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from noisediag.errors import UsageError


class Log:
    """Lines of `stage`, `part` (of the stage), `step`, `seconds` (worked on the stage) and the numbers of the report.

    With `resume` an existing file is continued. What a resumed run repeats is there already and not written again, so
    that no step of a part stands twice; a last line that was cut off is dropped. Raises UsageError where another line
    is damaged, or the file cannot be written.
    """

    def __init__(self, path: Path, *, resume: bool):
        self.path = path
        self._steps: dict[tuple[str, str], int] = {}  # the last one of every part of a stage
        self._seconds: dict[str, float] = {}  # of every stage, so far
        lines = self._whole_lines() if resume and path.exists() else []
        for number, line in enumerate(lines, start=1):
            self._take_up(line, number)
        self._began: dict[str, float] = {}  # of every stage, when its first 0 seconds were
        self._write("w", "".join(f"{line}\n" for line in lines))

    def _take_up(self, line: str, number: int) -> None:
        try:
            entry = json.loads(line)
            stage, part = entry["stage"], entry["part"]
            self._steps[stage, part], self._seconds[stage] = int(entry["step"]), float(entry["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path}: line {number} is damaged; start anew without --resume") from error

    def add(self, stage: str, part: str, step: int, numbers: dict[str, float]) -> None:
        """Add a line, unless the file has it. Numbers that are not finite become null."""
        if step <= self._steps.get((stage, part), -1):
            return
        self._steps[stage, part] = step
        finite = {name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in numbers.items()}
        seconds = round(time.monotonic() - self._began.setdefault(stage, self._start(stage)), 1)
        entry: dict[str, Any] = {"stage": stage, "part": part, "step": step, "seconds": seconds, **finite}
        self._write("a", json.dumps(entry, allow_nan=False) + "\n")

    def begin(self, stage: str) -> None:
        """From now on the time is the stage's."""
        self._began[stage] = self._start(stage)

    def _start(self, stage: str) -> float:
        return time.monotonic() - self._seconds.get(stage, 0.0)

    def _whole_lines(self) -> list[str]:
        whole, _, _ = self.path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
        return whole.splitlines()

    def _write(self, mode: str, text: str) -> None:
        try:
            with self.path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written: {error.strerror or error}") from error
