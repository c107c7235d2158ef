"""Where labels come from: each route gives a table and the pictures of its rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from noisediag import images
from noisediag.errors import UsageError
from noisediag.footprint.file import Footprint
from noisediag.genome import paper
from noisediag.genome.cases import SETS, Job, jobs, paper_case, sensor_case
from noisediag.genome.clean import pictures
from noisediag.genome.parameters import NAMES, parameter
from noisediag.images.image import Image
from noisediag.labels.footprints import label_rows, label_table
from noisediag.labels.table import LabelRow, LabelTable
from noisediag.studies import measure

LAWS = {"sensor": "mixture", "paper": "paper"}  # the label law of each genome, see `cases.LAW_TEXT`


@dataclass(frozen=True)
class Labelled:
    """A label table with its pictures. `source` says in the checkpoint's header what was learned from."""

    table: LabelTable
    load: Callable[[LabelRow], Image]
    source: Mapping[str, Any]

    @property
    def route(self) -> str:
        """The option it came by."""
        return str(self.source["route"])


def of_files(route: str, name: str, table: LabelTable) -> Labelled:
    """A table whose pictures are files, read as they are. `name`: of what the route was given."""
    return Labelled(table, lambda row: images.read(row.path), {"route": route, "name": name})


def footprint_of(job: measure.Job) -> Footprint:
    """What `job` measures. Raises its errors, and UnsupportedError where that is no label of its files."""
    footprint = job.run()
    label_rows(footprint)
    return footprint


def of_measured(route: str, name: str, footprints: Sequence[Footprint], *, darks: Collection[Path] = ()) -> Labelled:
    """What was measured, as labels of its own files; but not of `darks`, which show no gain.

    Flats are read with the black level that their darks showed, since their labels refer to it. Raises UsageError where
    nothing was found.
    """
    table = label_table(footprints)
    table = replace(table, rows=tuple(row for row in table.rows if row.path not in darks))
    if not table.names:
        raise UsageError(f"--{route} {name}: all noise is below detection, so there is nothing to learn")
    black: dict[Path, float | None] = {}
    for footprint in footprints:
        if darks and footprint.measurement is not None:
            black |= dict.fromkeys(map(Path, footprint.measurement.files), footprint.planes[-1].black_dn)

    def load(row: LabelRow) -> Image:
        return images.read(row.path, black=black.get(row.path))

    return Labelled(table, load, {"route": route, "name": name})


def enough(shots: int) -> int:
    """Pictures that leave a third to judge by beside the shots; fewer may not show what is better."""
    return shots + max(math.ceil(shots / 2), 20)


def from_clean(folder: Path, genome: str, *, count: int, seed: int) -> Labelled:
    """`count` noisy pictures made of the clean ones of `folder` by the law of `genome`, as evenly as can be.

    A clean picture is an acquisition. Of the sensor's parameters only those are labels that can be seen: present, and
    scored by the benchmark. Raises UsageError where there is no clean picture.
    """
    found = pictures(folder, split="all", limit_per_domain=None)
    draws = math.ceil(count / len(found))
    made = [(job, draw) for draw in range(draws) for job in jobs((LAWS[genome],), found, draws=draws, **_NO_MORE)]
    make = {_name(job, draw): (job, draw) for job, draw in made[:count]}
    label, load = (_paper_label, _paper_image) if genome == "paper" else (_sensor_label, _sensor_image)
    rows = tuple(LabelRow(path, label(job, draw, seed), str(job.path)) for path, (job, draw) in make.items())
    names = paper.NAMES if genome == "paper" else NAMES
    units = {name: paper.UNIT if genome == "paper" else parameter(name).unit for name in names}
    source = {"route": "clean", "name": folder.name, "genome": genome, "seed": seed}
    return Labelled(LabelTable(names, units, rows), partial(_made, make, load, seed), source)


_NO_MORE = {"scenes_": 0, "flats": 0, "raws": 0}
assert set(LAWS.values()) <= {*SETS, "paper"}


def _name(job: Job, draw: int) -> Path:
    if job.path is None:
        raise UsageError("a clean picture has a file")
    return job.path.with_name(f"{job.path.name}#{draw}")


def _made(
    make: Mapping[Path, tuple[Job, int]], load: Callable[[Job, int, int], Image], seed: int, row: LabelRow
) -> Image:
    return load(*make[row.path], seed)


def _paper_label(job: Job, draw: int, seed: int) -> dict[str, float | str]:
    strengths = paper_case(job, draw, seed).strengths
    return dict(zip(paper.NAMES, (float(s) for s in strengths), strict=True))


def _paper_image(job: Job, draw: int, seed: int) -> Image:
    return images.from_array(paper_case(job, draw, seed).noisy, black=0.0, white=1.0)


def _sensor_label(job: Job, draw: int, seed: int) -> dict[str, float | str]:
    truth = sensor_case(job, draw, seed).truth
    return {
        name: value
        for name, value, scored in zip(NAMES, truth.values, truth.scored, strict=True)
        if scored and value > 0
    }


def _sensor_image(job: Job, draw: int, seed: int) -> Image:
    return sensor_case(job, draw, seed).image
