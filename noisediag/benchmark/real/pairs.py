"""Pairs of a noisy picture and the mean of many shots of the same scene, for `benchmark real` (see `truth`).

They are processed pictures and are estimated as such. The truth is the pair's own: noisy less mean, by channel, its
standard deviation in bins of LEVEL_CODES of the mean picture and its correlation with the next pixel. All signals and
sigmas are in 8-bit codes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType

from noisediag import images
from noisediag.benchmark import scoring
from noisediag.benchmark.baselines import BASELINES, Curve
from noisediag.benchmark.real.truth import NOISY, RealPair
from noisediag.benchmark.running import MODEL, SensorModel
from noisediag.errors import InputError, UnsupportedError
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.genome.rendered import CODES
from noisediag.images.image import Image
from noisediag.reports.figures import decimal, number_table, percent

Floats = NDArray[np.float64]

LEVEL_CODES = 16  # a bin of the mean picture
LEVEL_PX = 400  # pixels that a bin needs for its standard deviation
SHORT = {"scikit-image": "skimage", "Liu 2013": "Liu", "Chen 2015": "Chen"}  # names for narrow columns
AGREES = 0.02  # of what truth.json states: its two decimals and more


@dataclass(frozen=True)
class PairReading:
    """One method on one channel of one pair.

    `error`: median |sigma/true - 1| over the `levels`; `curve_error`: mean |ln(sigma/true)| over them; `left_out`:
    share of pixels in bins with too few. Sigmas in DN are root mean squares over the levels. `lag1_h`, `lag1_v`: the
    method's correlations with the next pixel, NaN where it gives none.
    """

    set_name: str
    file: str
    channel: str
    method: str
    levels: int
    mean_dn: float
    sigma_true_dn: float
    sigma_est_dn: float
    error: float
    curve_error: float
    left_out: float
    lag1_h_true: float
    lag1_v_true: float
    lag1_h: float = math.nan
    lag1_v: float = math.nan

    @property
    def lag_error(self) -> float:
        """The larger of both |errors|."""
        return max(abs(self.lag1_h - self.lag1_h_true), abs(self.lag1_v - self.lag1_v_true))


@dataclass(frozen=True)
class PairRow:
    """One method over the `n` channels of one picture, or of all of a set (`file` "all").

    `median`, `worst`: of the channels' errors; `lag`: median of their lag errors.
    """

    set_name: str
    file: str
    method: str
    n: int
    median: float
    worst: float
    lag: float


@dataclass(frozen=True)
class PairScore:
    """What one pair gave, or why it gave nothing (`failure`); `doubt`: where truth.json states something else."""

    pair: RealPair
    readings: tuple[PairReading, ...] = ()
    checkpoint: CheckpointId | None = None
    failure: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class ChannelTruth:
    """Noise of one channel: SD `sigma` of the residual where the mean picture is near `signal`, both (n,), in codes."""

    signal: Floats
    sigma: Floats
    left_out: float
    lag1_h: float
    lag1_v: float


def score(baselines: bool, models: Mapping[str, SensorModel], pair: RealPair) -> PairScore:
    """Estimate the noisy picture and compare with its pair."""
    if pair.noisy is None or pair.mean is None:
        return PairScore(pair, failure=pair.missing)
    try:
        image = images.read(pair.noisy)
        channels = _channels(image, pair)
        means = _channels(images.read(pair.mean), pair)
        if list(means) != list(channels) or any(means[n].shape != channels[n].shape for n in channels):
            raise UnsupportedError("the mean picture has other channels or another size")
        footprint = models[MODEL].estimate(image)
    except InputError as error:
        return PairScore(pair, failure=str(error).removeprefix(f"{pair.noisy}: "))
    readings: list[PairReading] = []
    doubts: list[str] = []
    for name, values in channels.items():
        truth = channel_truth(values, means[name])
        if not len(truth.signal):
            return PairScore(pair, failure=f"no level of {name} has {LEVEL_PX} pixels")
        doubts += _doubts(name, truth, pair)
        readings += _readings(pair, name, values, truth, footprint, baselines=baselines)
    return PairScore(pair, tuple(readings), footprint.checkpoint, doubt="; ".join(doubts))


def channel_truth(noisy: Floats, mean: Floats) -> ChannelTruth:
    """The noise of one channel, from `noisy` and `mean`, both (H, W), in codes."""
    residual = noisy - mean
    bin_ = np.clip(mean // LEVEL_CODES, 0, CODES // LEVEL_CODES).astype(np.int64).reshape(-1)
    count = np.bincount(bin_).astype(np.float64)
    used = np.flatnonzero(count >= LEVEL_PX)
    middle, square, signal = (
        np.bincount(bin_, v.reshape(-1))[used] / count[used] for v in (residual, np.square(residual), mean)
    )
    centred = residual - residual.mean()
    left, right, top, bottom = centred[:, :-1], centred[:, 1:], centred[:-1], centred[1:]
    return ChannelTruth(
        signal=signal,
        sigma=np.sqrt(square - np.square(middle)),
        left_out=1 - float(count[used].sum() / mean.size),
        lag1_h=_correlation(left, right),
        lag1_v=_correlation(top, bottom),
    )


def rows(readings: Sequence[PairReading]) -> Iterator[PairRow]:
    """All pictures of each set, then the set."""
    for set_name in dict.fromkeys(reading.set_name for reading in readings):
        own = [reading for reading in readings if reading.set_name == set_name]
        for file in (*dict.fromkeys(reading.file for reading in own), "all"):
            for method in dict.fromkeys(reading.method for reading in own):
                some = [r for r in own if r.method == method and file in ("all", r.file)]
                errors = np.array([r.error for r in some])
                lags = np.array([r.lag_error for r in some if not math.isnan(r.lag_error)])
                median = scoring.quantile(errors, 0.5)
                yield PairRow(
                    set_name, file, method, len(some), median, float(errors.max()), scoring.quantile(lags, 0.5)
                )


def tables(pair_rows: Sequence[PairRow]) -> Iterator[RenderableType]:
    """A table for each set: error of every method by picture, and our lag error."""
    for set_name in dict.fromkeys(row.set_name for row in pair_rows):
        own = [row for row in pair_rows if row.set_name == set_name]
        methods = list(dict.fromkeys(row.method for row in own))
        title = f"\n{set_name}: median |sigma/true - 1| over levels and channels, %"
        table = number_table(title, "picture", *(SHORT.get(method, method) for method in methods), "lag")
        for file in dict.fromkeys(row.file for row in own):
            at = {row.method: row for row in own if row.file == file}
            lag = at[MODEL].lag if MODEL in at else math.nan
            label = PurePath(file).stem.removesuffix(NOISY)
            table.add_row(label, *(percent(at[m].median, 0) for m in methods), decimal(lag, 3))
        yield table


def _channels(image: Image, pair: RealPair) -> dict[str, Floats]:
    """The channels of a processed picture, in 8-bit codes."""
    if image.domain != "rendered":
        raise UnsupportedError(f"{pair.noisy}: a pair is of processed pictures, this is {image.domain}")
    return {
        p.name: CODES * (p.load().astype(np.float64) - p.black_dn) / (p.white_dn - p.black_dn) for p in image.planes
    }


def _readings(
    pair: RealPair, name: str, values: Floats, truth: ChannelTruth, footprint: Footprint, *, baselines: bool
) -> Iterator[PairReading]:
    plane = {plane.name: plane for plane in footprint.planes}.get(name, footprint.planes[-1])
    spatial = {s.name: s for s in footprint.rendered.planes}.get(name) if footprint.rendered else None
    curves: dict[str, Curve] = {MODEL: plane.law.sigma}
    if baselines:
        curves |= {baseline.name: baseline.function(values / CODES) for baseline in BASELINES}
    for method, curve in curves.items():
        sigma = CODES * np.asarray(curve(truth.signal / CODES), dtype=np.float64)
        lags = (spatial.lag1_h, spatial.lag1_v) if method == MODEL and spatial else (math.nan, math.nan)
        yield PairReading(
            set_name=pair.set_name,
            file=pair.name,
            channel=name,
            method=method,
            levels=len(truth.signal),
            mean_dn=float(values.mean()),
            sigma_true_dn=math.sqrt(float(np.square(truth.sigma).mean())),
            sigma_est_dn=math.sqrt(float(np.square(sigma).mean())),
            error=float(np.median(np.abs(sigma / truth.sigma - 1))),
            curve_error=scoring.log_error(sigma, truth.sigma, np.full(len(sigma), 1 / len(sigma))),
            left_out=truth.left_out,
            lag1_h_true=truth.lag1_h,
            lag1_v_true=truth.lag1_v,
            lag1_h=lags[0],
            lag1_v=lags[1],
        )


def _doubts(name: str, truth: ChannelTruth, pair: RealPair) -> Iterator[str]:
    """Where the pair and what is stated of it do not agree."""
    measured = dict(zip((truth.signal // LEVEL_CODES).tolist(), truth.sigma.tolist(), strict=True))
    for level, stated in pair.levels.get(name, ()):
        found = measured.get(level // LEVEL_CODES)
        if found is None or abs(found / stated - 1) > AGREES:
            held = "none" if found is None else f"{found:.3g}"
            yield f"{name} at {level:g}: {stated:g} stated, {held} measured"


def _correlation(a: Floats, b: Floats) -> float:
    scale = math.sqrt(float(np.square(a).mean() * np.square(b).mean()))
    return float((a * b).mean()) / scale if scale > 0 else math.nan
