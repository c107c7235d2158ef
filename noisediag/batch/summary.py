"""What a batch came to, in the few lines that a person reads first."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from noisediag.footprint.plane import counts_as_found
from noisediag.genome.parameters import PARAMETERS
from noisediag.reports.figures import number_table
from noisediag.reports.outliers import OUTLYING, robust_scores
from noisediag.reports.table import FLAG_WORDS, number, printable

OUTLIERS = 5


@dataclass
class Summary:
    """Counts and medians over a run's files. Sigmas are normalised: effective ones of each file's own footprint."""

    skipped: int = 0  # files of the folder that are no pictures by their names
    statuses: Counter[str] = field(default_factory=Counter)  # "ok", or the error's code
    flags: Counter[str] = field(default_factory=Counter)
    sigmas: dict[str, list[tuple[float, str]]] = field(default_factory=dict)  # domain -> (sigma, path)
    values: dict[str, list[float]] = field(default_factory=dict)  # parameter -> those found

    def add(self, row: Mapping[str, Any]) -> None:
        """Count the JSON row of one file."""
        if row["status"] != "ok":
            self.statuses[row["error"]["code"]] += 1
            return
        self.statuses["ok"] += 1
        self.flags.update(row["flags"])
        sigma = row["derived"]["sigma_effective"]
        if sigma is not None and sigma > 0:
            self.sigmas.setdefault(row["domain"], []).append((sigma, row["path"]))
        for parameter in row["planes"][-1]["parameters"]:
            if counts_as_found(parameter["value"], parameter["present"]):
                self.values.setdefault(parameter["name"], []).append(parameter["value"])

    @property
    def done(self) -> int:
        return self.statuses["ok"]

    @property
    def failed(self) -> int:
        return sum(self.statuses.values()) - self.done

    def outliers(self) -> list[tuple[float, str, float]]:
        """(sigma, path, times the median) of the files farthest from the median of their domain, farthest first."""
        found = []
        for files in self.sigmas.values():
            scores = robust_scores([math.log(sigma) for sigma, _ in files])
            middle = statistics.median(sigma for sigma, _ in files)
            found += [
                (abs(score), sigma, path, sigma / middle)
                for score, (sigma, path) in zip(scores, files, strict=True)
                if abs(score) > OUTLYING
            ]
        found.sort(key=lambda item: (-item[0], item[2]))
        return [(sigma, path, times) for _, sigma, path, times in found[:OUTLIERS]]


def render(summary: Summary) -> Group:
    """At most 80 columns."""
    parts: list[RenderableType] = [_counts(summary)]
    if summary.done:
        parts += [Text(""), _medians(summary)]
    outliers = summary.outliers()
    if outliers:
        table = number_table("\nfarthest from the median of their domain", "file", "sigma", "times median")
        table.columns[0].overflow = "fold"
        table.columns[0].no_wrap = False
        for sigma, path, times in outliers:
            table.add_row(printable(path), number(sigma, 2), number(times, 2))
        parts.append(table)
    return Group(*parts)


def _counts(summary: Summary) -> Text:
    total = summary.done + summary.failed
    line = f"{total} {'file' if total == 1 else 'files'}: {summary.done} ok"
    errors = [(code, count) for code, count in summary.statuses.most_common() if code != "ok"]
    line += "".join(f", {count} {code}" for code, count in errors)
    if summary.skipped:
        line += f"\n{summary.skipped} others passed over: not pictures by their names, or excluded"
    flags = [f"{count} {FLAG_WORDS[flag]}" for flag, count in summary.flags.most_common()]
    return Text(line + (f"\nflags: {', '.join(flags)}" if flags else ""))


def _medians(summary: Summary) -> Table:
    table = number_table("medians of the files where it was found", "noise", "files", "10 %", "median", "90 %")
    for domain, files in sorted(summary.sigmas.items()):
        _median_row(table, f"sigma, {domain}", [sigma for sigma, _ in files])
    for parameter in PARAMETERS:
        found = summary.values.get(parameter.name)
        if found:
            unit = "" if parameter.unit in ("normalised", "fraction") else f" ({parameter.unit})"
            _median_row(table, parameter.name.replace("_", " ") + unit, found)
    return table


def _median_row(table: Table, name: str, values: Sequence[float]) -> None:
    numbers = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    table.add_row(name, str(len(values)), *(number(value, 2) for value in numbers))
