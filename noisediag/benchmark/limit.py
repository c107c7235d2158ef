"""`noisediag benchmark limit`: how near to the physical limit sigma is read where nothing but noise is there.

Flat fields under white Gaussian noise, quantised with a step q and handed over in 16 bits. No unbiased estimate of
sigma from N pixels has a relative error below the Cramer-Rao bound 1/sqrt(2 N). The truth is that of the noise model,
sigma2 + q^2/12; where sigma is half a step the variance of the codes differs from it with the level's place between
two codes, by up to 2.4 %, so there even the standard deviation of all pixels, printed beside the model, keeps a
distance to the bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from noisediag import images
from noisediag.benchmark.baselines import BASELINES
from noisediag.benchmark.running import MODEL, Models, SensorModel, ShippedModels, spread
from noisediag.errors import UsageError
from noisediag.footprint.file import CheckpointId
from noisediag.genome.cases import CONTAINER_STEP, FLAT_LEVELS, named_seed
from noisediag.reports import figures
from noisediag.reports.figures import number_table, percent
from noisediag.reports.progress import Progress

Floats = NDArray[np.float64]

SCHEMA = "noisediag.limit/1"
DRAWS = 200
SIZES_PX = (256, 512, 1024)
LARGE_PX = 2048
LARGE_DRAWS = 20  # at most, of the large pictures
BASELINES_PX = 256
FROM_CLIP = 5.0  # sigmas between the level and black or white
STANDARD_DEVIATION = "standard deviation"  # of all pixels: the best there is where the level is constant


@dataclass(frozen=True)
class Noise:
    """White Gaussian noise of standard deviation `sigma`, then a lattice of `step`; both normalised."""

    sigma: float
    step: float

    @property
    def total(self) -> float:
        """Standard deviation with that of the rounding."""
        return math.sqrt(self.sigma**2 + self.step**2 / 12)

    @property
    def label(self) -> str:
        if self.step == CONTAINER_STEP:
            return f"sigma {self.sigma:g}, no step but that of 16 bits"
        return f"sigma {self.sigma / self.step:g} q, q 1/{1 / self.step:g}"


NOISES = (*(Noise(ratio / 255, 1 / 255) for ratio in (0.5, 1.0, 4.0)), Noise(0.02, CONTAINER_STEP))


@dataclass(frozen=True)
class LimitOptions:
    """What to run. `large_px` None: no large pictures."""

    draws: int = DRAWS
    seed: int = 0
    baselines: bool = True
    sizes_px: tuple[int, ...] = SIZES_PX
    large_px: int | None = LARGE_PX
    workers: int = 1
    checkpoint: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class LimitRow:
    """Errors ln(sigma_est/sigma_true) of one method over `n` flat fields of `size_px` squared pixels.

    `answered`: the share of them with a sigma above 0, over which the mean `bias` and the `rms` are taken;
    `over_bound`: the rms in units of the Cramer-Rao bound. `sigma` and `step` are normalised.
    """

    method: str
    size_px: int
    sigma: float
    step: float
    n: int
    answered: float
    bias: float
    rms: float
    over_bound: float


@dataclass(frozen=True)
class LimitResult:
    """The rows, by noise, size and method."""

    options: LimitOptions
    checkpoint: CheckpointId | None
    rows: tuple[LimitRow, ...]


@dataclass(frozen=True)
class FlatJob:
    """One flat field."""

    noise: Noise
    size_px: int
    draw: int


@dataclass(frozen=True)
class FlatScore:
    """ln(sigma_est/sigma_true) of each method on one flat field; NaN where no noise was found."""

    job: FlatJob
    errors: Mapping[str, float]
    checkpoint: CheckpointId | None


def run(options: LimitOptions, *, models: Models | None = None, progress: Progress | None = None) -> LimitResult:
    """Measure. `models` stands in for the shipped one (picklable where `workers` > 1).

    Raises UsageError for options that cannot be carried out.
    """
    if options.draws < 1 or options.workers < 1:
        raise UsageError("--draws and --workers are at least 1")
    models = models or ShippedModels("sensor", options.checkpoint, options.device, randomised=False, seed=options.seed)
    todo = _jobs(options)
    results = spread(partial(_score, options), todo, models, options.workers)
    scores: list[FlatScore] = list(progress(results, len(todo)) if progress else results)
    return LimitResult(options, scores[0].checkpoint, _rows(scores))


def flat_field(job: FlatJob, seed: int) -> tuple[NDArray[np.uint16], float]:
    """Codes (size, size) of 16 bits and the level, drawn evenly from 0.1 to 0.9 and 5 sigma away from both clips."""
    noise = job.noise
    generator = np.random.default_rng(named_seed(f"{seed}/limit/{noise.label}/{job.size_px}/{job.draw}"))
    low, high = max(FLAT_LEVELS[0], FROM_CLIP * noise.total), min(FLAT_LEVELS[1], 1 - FROM_CLIP * noise.total)
    level = float(generator.uniform(low, high))
    signal = level + noise.sigma * generator.standard_normal((job.size_px, job.size_px))
    lattice = np.rint(signal / noise.step) * noise.step
    return np.rint(np.clip(lattice, 0, 1) / CONTAINER_STEP).astype(np.uint16), level


def render(result: LimitResult) -> Group:
    """A table a noise, no wider than 80 columns."""
    options = result.options
    heading = f"flat fields, white Gaussian noise, seed {options.seed}; error of sigma, Cramer-Rao bound"
    lines = [heading]
    if result.checkpoint is not None:
        lines.append(f"checkpoint {result.checkpoint.name} ({result.checkpoint.sha256[:12]})")
    parts: list[RenderableType] = [Text("\n".join(lines))]
    for noise in NOISES:
        rows = [row for row in result.rows if (row.sigma, row.step) == (noise.sigma, noise.step)]
        table = number_table(
            f"\n{noise.label}", "method", "px", "n", "answ.%", "bias %", "RMS %", "bound %", "RMS / bound"
        )
        for row in sorted(rows, key=lambda row: (row.size_px, row.method != MODEL)):
            table.add_row(
                row.method,
                f"{row.size_px}x{row.size_px}",
                str(row.n),
                percent(row.answered),
                "-" if math.isnan(row.bias) else f"{100 * row.bias:+.2f}",
                percent(row.rms, 2),
                percent(_bound(row.size_px), 3),
                figures.decimal(row.over_bound, 1),
            )
        parts.append(table)
    return Group(*parts)


def dumps(result: LimitResult) -> str:
    """The result as JSON text."""
    return figures.dumps_json(figures.document(SCHEMA, result))


def dumps_csv(result: LimitResult) -> str:
    """The rows as CSV."""
    return figures.dumps_rows(LimitRow, result.rows)


def _jobs(options: LimitOptions) -> list[FlatJob]:
    sizes = dict.fromkeys(options.sizes_px, options.draws)
    if options.large_px is not None:
        sizes[options.large_px] = min(options.draws, LARGE_DRAWS)
    return [FlatJob(noise, size, draw) for noise in NOISES for size, draws in sizes.items() for draw in range(draws)]


def _score(options: LimitOptions, models: Mapping[str, SensorModel], job: FlatJob) -> FlatScore:
    codes, level = flat_field(job, options.seed)
    footprint = models[MODEL].estimate(images.from_array(codes, black=0, white=65535))
    plane = codes / 65535
    sigmas = {MODEL: footprint.sigma(level), STANDARD_DEVIATION: float(plane.std(ddof=1))}
    if options.baselines and job.size_px == BASELINES_PX:
        for baseline in BASELINES:
            sigmas[baseline.name] = float(baseline.function(plane)(np.array([level]))[0])
    errors = {
        method: math.log(sigma / job.noise.total) if 0 < sigma < math.inf else math.nan
        for method, sigma in sigmas.items()
    }
    return FlatScore(job, errors, footprint.checkpoint)


def _rows(scores: Sequence[FlatScore]) -> tuple[LimitRow, ...]:
    groups: dict[tuple[Noise, int, str], list[float]] = {}
    for score in scores:
        for method, error in score.errors.items():
            groups.setdefault((score.job.noise, score.job.size_px, method), []).append(error)
    return tuple(_row(method, size, noise, np.array(errors)) for (noise, size, method), errors in groups.items())


def _row(method: str, size_px: int, noise: Noise, errors: Floats) -> LimitRow:
    known = errors[np.isfinite(errors)]
    rms = float(np.sqrt(np.square(known).mean())) if len(known) else math.nan
    return LimitRow(
        method=method,
        size_px=size_px,
        sigma=noise.sigma,
        step=noise.step,
        n=len(errors),
        answered=len(known) / len(errors),
        bias=float(known.mean()) if len(known) else math.nan,
        rms=rms,
        over_bound=rms / _bound(size_px),
    )


def _bound(size_px: int) -> float:
    """The Cramer-Rao bound of sigma's relative error from `size_px` squared pixels."""
    return 1 / math.sqrt(2 * size_px**2)
