"""What the benchmark of real files measures: its options, the readings of each file, and the rows that sum them up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from noisediag.benchmark.real.pairs import PairReading, PairRow
from noisediag.benchmark.real.truth import RealFile
from noisediag.footprint.file import CheckpointId


@dataclass(frozen=True)
class RealOptions:
    """What to run: the files of `folder`, with or without the classical estimators."""

    folder: Path
    baselines: bool = True
    workers: int = 1
    checkpoint: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class RealReading:
    """One method on one plane. `part`: the frame and the plane of a mosaic, empty for a whole picture.

    `curve_error`: mean |ln(sigma_est/sigma_true)| over the signal; `left_out`: the share of pixels that is not scored.
    """

    set_name: str
    file: str
    part: str
    method: str
    mean_dn: float
    sigma_true_dn: float
    sigma_est_dn: float
    ratio: float
    ln_ratio: float
    curve_error: float
    left_out: float


@dataclass(frozen=True)
class RealRow:
    """One method over the `n` readings of one set: median and largest |ln ratio|, and whose ratio that is.

    `set_name` "all" pools all readings; "all, each set once" is the median over the sets' medians.
    """

    set_name: str
    method: str
    n: int
    median_abs_ln: float
    worst_abs_ln: float
    worst_ratio: float
    worst_file: str


@dataclass(frozen=True)
class GainRow:
    """A file that holds no shot noise; `gain_null`: whether the gain is said to be unknown, as it must."""

    set_name: str
    file: str
    gain_null: bool


@dataclass(frozen=True)
class RealResult:
    """Rows by set, readings by file. `failed` of `files`, pairs among them, could not be read; a note says why."""

    options: RealOptions
    checkpoint: CheckpointId | None
    files: int
    failed: int
    sets: tuple[RealRow, ...]
    gains: tuple[GainRow, ...]
    readings: tuple[RealReading, ...]
    pairs: tuple[PairRow, ...]
    pair_readings: tuple[PairReading, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FrameScore:
    """The readings of one frame, and a digest of its pixels: the same picture in two formats counts once."""

    digest: str
    readings: tuple[RealReading, ...]


@dataclass(frozen=True)
class FileScore:
    """What one file gave, or why it gave nothing (`failure`)."""

    file: RealFile
    frames: tuple[FrameScore, ...] = ()
    gain_null: bool = False
    checkpoint: CheckpointId | None = None
    failure: str = ""
