"""What processing has made of the noise of a rendered picture: the network's answer as parts of a footprint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.cop.models import SensorModel
from noisediag.cop.rendered import FLAGS, RenderedReading
from noisediag.cop.rendered_interval import SensorCurve, inputs
from noisediag.cop.rendered_tokens import KNOTS, SMALLEST_SIDE
from noisediag.cop.tokens import Tokens
from noisediag.engine import torch
from noisediag.errors import CheckpointError
from noisediag.footprint.file import Rendered, Spatial
from noisediag.footprint.plane import MAX_LOG_WIDTH, CurvePoint, Estimate, LightLaw, PlaneFootprint, SampledCurve
from noisediag.genome.correlation import autocorrelation
from noisediag.genome.display import CODES, PLANES
from noisediag.genome.parameters import parameter
from noisediag.images.image import Image, Plane
from noisediag.readout.questions import OfColours, Reading
from noisediag.readout.tiles import Part, block_means, by_frame, evenly, join
from noisediag.traces.jpeg import Traces, traces

MAX_TILES = 12  # tiles of 256 x 256 px that the network reads
LEAST_SIGMA = 1e-3 / CODES  # of whose logarithm there is any
MIN_SIGMA = 0.5 / CODES  # below half a code the lower bound is 0
UNDEFINED = ("shot_gain", "read_noise", "multiplicative")  # parts of a sensor's law, which processed noise lacks
BLUR_GRID = np.geomspace(0.3, 6.0, 200)  # px; at 6 px lag 1 is 0.993
KNOT_SIGNALS = (np.arange(KNOTS) / (KNOTS - 1)) ** 2


@dataclass(frozen=True)
class ProcessedPlane:
    """The noise of one plane: its curve, the half-widths of its interval in ln sigma at the knots, its spread."""

    curve: SampledCurve
    halves: NDArray[np.float64]  # (KNOTS, 2) below and above
    of_sensor: NDArray[np.float64] | None  # (KNOTS, 2) of the sensor model's curve; None: its own stand
    lag1: tuple[float, float]
    areas: tuple[float, ...]  # SD after averaging over the SD of a pixel


@dataclass(frozen=True)
class ProcessedReading:
    """Everything the rendered network says of a picture; `planes` R, G, B and luma, or the only one."""

    planes: tuple[ProcessedPlane, ...]
    probability: Mapping[str, float]  # of FLAGS
    raised: frozenset[str]  # flags whose probability is beyond what pictures without them reach
    channels: tuple[float, float, float] | None
    thresholds: Mapping[str, float]  # of FLAGS

    @property
    def processed(self) -> bool:
        """Whether a camera or a program has been at the noise: smoothing and enlarging are processing, too."""
        return bool(self.raised)


def large_enough(tiles: NDArray[np.float32]) -> bool:
    """Whether the network can read tiles (T, h, w): its cells need SMALLEST_SIDE px a side."""
    return bool(min(tiles.shape[-2:]) >= SMALLEST_SIDE)


def as_from_a_sensor(seen: Rendered | None, image: Image) -> bool:
    """Whether a picture that its format calls rendered shows pixels that nothing was done to but rounding."""
    return seen is not None and image.jpeg is None and not seen.noise_processed and not seen.flags


def why_unread(model: SensorModel, part: Part) -> str | None:
    """Why processing is not looked at in a rendered picture; None where it is."""
    members = by_frame(part.groups)[0]
    if model.rendered is None:
        return "the checkpoint has no part for it"
    if not large_enough(part.bags[0][1].tiles):
        return "the picture is too small"
    if any(p.scale_source == "override" for p in members):
        return "black and white are not the file's own"
    return None if len(members) in (1, 3) else f"it has {len(members)} channels"


def read_part(
    model: SensorModel,
    part: Part,
    planes: list[PlaneFootprint],
    whole: PlaneFootprint,
    image: Image,
    tokens: Tokens | None,
) -> Reading[tuple[list[PlaneFootprint], PlaneFootprint, Rendered]]:
    """The planes of a rendered picture, its luma (or its only plane), and what processing has left in it.

    `planes`, `whole`: what the sensor model says of them, which stands where the noise is as a sensor gives it, in
    eight bits. `tokens` of all the part's bags, if these are at hand.
    """
    frames, of_groups = by_frame(part.groups), part.bags[: len(part.groups)]
    own = [plane for plane in planes if plane.frame == planes[0].frame]
    # Tokens of several frames are those of other bags than the frames' together.
    reading = yield from read(model, colours(part), [*own, whole], tokens if len(frames) == 1 else None)
    seen = {p.name: plane for p, plane in zip(frames[0], reading.planes, strict=False)}  # luma is the fourth
    if reading.processed:
        planes = [
            plane if plane.says_nothing else with_processed_noise(plane, seen[plane.name], block_means(bag.tiles))
            for plane, (_, bag) in zip(planes, of_groups, strict=True)
        ]
        whole = with_processed_noise(whole, reading.planes[-1], block_means(part.bags[-1][1].tiles))
        whole = replace(whole, light=LightLaw("processed", reading.probability["processed"]))
    else:
        planes = [with_sensor_noise(plane, seen[plane.name]) for plane in planes]
        whole = with_sensor_noise(whole, reading.planes[-1])
    first = [plane for plane in planes if plane.frame == planes[0].frame] if len(frames[0]) > 1 else []
    return planes, whole, summary([*first, whole], reading, _jpeg_traces(frames[0], image))


def colours(part: Part) -> list[NDArray[np.float32]]:
    """Tiles (T, h, w) of red, green and blue, or of gray alone, of all frames of a rendered picture."""
    of_groups = part.bags[: len(part.groups)]
    return [
        join([bag for members, bag in of_groups if members[0].name == plane.name]).tiles
        for plane in by_frame(part.groups)[0]
    ]


def _jpeg_traces(members: Sequence[Plane], image: Image) -> Traces | None:
    """What JPEG has left in the first frame; None where its codes are not those of 8 bits."""
    codes = [plane.load() for plane in members]
    if any(plane.dtype != np.uint8 for plane in codes):
        return None
    return traces(codes[0] if len(codes) == 1 else np.stack(codes, -1), image.jpeg)


def read(
    model: SensorModel,
    tiles: Sequence[NDArray[np.float32]],
    sensor: Sequence[PlaneFootprint],
    seen: Tokens | None = None,
) -> Reading[ProcessedReading]:
    """`tiles`: those of `colours`, codes / white, at least SMALLEST_SIDE wide.

    `sensor`: what the sensor model says of these and, the last one, of their luma. `seen`: tokens of these tiles and of
    their luma, a bag each, where they are there already: they are taken if all the tiles are looked at.

    Raises CheckpointError where the model's calibration does not cover rendered pictures.
    """
    calibration = model.calibration.get("rendered")
    if model.rendered is None or not isinstance(calibration, Mapping):
        raise CheckpointError("the checkpoint has no part for rendered pictures")
    gray = len(tiles) == 1
    reading = yield question(tiles, seen)
    sigmas = (reading.curve.log_variance[0] / 2).exp().double().cpu().numpy()
    halves, of_sensor = _half_widths(model, calibration, reading, sensor)
    lags, areas = (value[0].double().cpu().numpy() for value in (reading.lag1, reading.areas))
    planes = [
        ProcessedPlane(
            curve=SampledCurve(tuple(KNOT_SIGNALS.tolist()), tuple(float(s) for s in sigmas[i])),
            halves=np.clip(halves[i], 0, MAX_LOG_WIDTH),
            of_sensor=None if of_sensor is None else np.clip(of_sensor[i], 0, MAX_LOG_WIDTH),
            lag1=(float(lags[i, 0]), float(lags[i, 1])),
            areas=tuple(float(a) for a in areas[i]),
        )
        for i in range(len(sigmas))
    ]
    if not gray and len(planes) == 1:  # a gray picture that is stored in three equal planes
        planes = planes * len(PLANES)
    probability = dict(zip(FLAGS, (float(p) for p in reading.flags[0].sigmoid()), strict=True))
    thresholds = calibration["thresholds"]
    red_green, green_blue, red_blue = (float(c) for c in reading.channels[0])
    return ProcessedReading(
        planes=tuple(planes[-1:] if gray else planes),
        probability=probability,
        raised=frozenset(name for name in FLAGS if probability[name] > thresholds[name]),
        channels=None if gray else (red_green, green_blue, red_blue),
        thresholds={name: float(thresholds[name]) for name in FLAGS},
    )


def question(tiles: Sequence[NDArray[np.float32]], seen: Tokens | None = None) -> OfColours:
    """What the rendered network is asked of the tiles of `read`, of MAX_TILES at the most."""
    chosen = evenly(len(tiles[0]), MAX_TILES)
    looked_at = np.stack([tiles[0 if len(tiles) == 1 else i][chosen] for i in range(3)], 1)
    own = seen.first_grid() if seen is not None and len(chosen) == len(tiles[0]) else None
    return OfColours(torch.from_numpy(np.ascontiguousarray(looked_at, np.float32))[None], own)


def _half_widths(
    model: SensorModel, calibration: Mapping[str, Any], reading: RenderedReading, sensor: Sequence[PlaneFootprint]
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Of the curve's interval and of that of the sensor model's, (P, KNOTS, 2); None: the checkpoint has none of it.

    It has one pair of factors for the network's own half-widths instead.
    """
    if model.rendered_interval is None:
        factors = np.array([float(factor) for factor in calibration["curve"]])
        return factors * reading.spread[0].double().cpu().numpy(), None
    widths = model.rendered_interval.widths(inputs(reading, sensor_curve(reading, sensor)))
    return widths[..., 0, :], widths[..., 1, :]


def sensor_curve(reading: RenderedReading, sensor: Sequence[PlaneFootprint]) -> SensorCurve:
    """What `sensor`, as in `read`, says of the planes of `reading`."""
    planes = sensor[-reading.curve.log_variance.shape[1] :]  # luma alone of a picture without colour
    sigmas = np.stack([plane.law.sigma(KNOT_SIGNALS) for plane in planes])
    halves = np.stack([_own_halves(plane) for plane in planes])
    return SensorCurve(np.log(np.maximum(sigmas, LEAST_SIGMA)), halves[..., 0], halves[..., 1])


def _own_halves(plane: PlaneFootprint) -> NDArray[np.float64]:
    """Half-widths of the interval of its curve at the knots, (KNOTS, 2); MAX_LOG_WIDTH where there is none."""
    if not plane.curve:
        return np.full((KNOTS, 2), MAX_LOG_WIDTH)
    at, sigmas, lows, highs = np.array([(p.signal, p.sigma, p.low, p.high) for p in plane.curve]).T
    sigmas = np.maximum(sigmas, LEAST_SIGMA)
    logs = (np.log(sigmas / np.maximum(lows, LEAST_SIGMA)), np.log(np.maximum(highs, LEAST_SIGMA) / sigmas))
    return np.stack([np.interp(KNOT_SIGNALS, at, np.clip(half, 0, MAX_LOG_WIDTH)) for half in logs], -1)


def spatial(plane: PlaneFootprint, seen: ProcessedPlane) -> Spatial:
    """How the noise of `plane` is spread."""
    return Spatial(
        name=plane.channel or plane.name,
        lag1_h=seen.lag1[0],
        lag1_v=seen.lag1[1],
        equivalent_blur_px=equivalent_blur_px(sum(seen.lag1) / 2),
        sigma_after_area=tuple(plane.effective_sigma * share for share in seen.areas),
    )


def summary(planes: Sequence[PlaneFootprint], reading: ProcessedReading, jpeg: Traces | None) -> Rendered:
    """The picture's own account; `planes` as those of `reading`, `jpeg` what compression has left."""
    return Rendered(
        planes=tuple(spatial(plane, seen) for plane, seen in zip(planes, reading.planes, strict=True)),
        processed=reading.probability["processed"],
        denoised=reading.probability["denoised"],
        upscaled=reading.probability["upscaled"],
        channel_correlation=reading.channels,
        jpeg_quality=None if jpeg is None else jpeg.quality,
        jpeg_standard=None if jpeg is None else jpeg.standard,
        block_strength=None if jpeg is None else jpeg.block_strength,
        resaved=None if jpeg is None else jpeg.resaved,
        flags=(reading.raised & {"denoised", "upscaled"})
        | (frozenset({"resaved"}) if jpeg is not None and jpeg.resaved else frozenset()),
        noise_processed=reading.processed,
        thresholds=reading.thresholds,
    )


def together(channels: Sequence[Rendered]) -> Rendered | None:
    """What is said of the last of several channels, a movie's luma, with the noise of all of them; None for none."""
    if not channels:
        return None
    return replace(channels[-1], planes=tuple(plane for one in channels for plane in one.planes))


def with_processed_noise(plane: PlaneFootprint, seen: ProcessedPlane, signals: NDArray[np.floating]) -> PlaneFootprint:
    """`plane` with the curve of processed noise; `signals`, any shape: those of the picture.

    Shot, read and multiplicative noise are no longer defined: null with the flag `rendered`. The correlation is the
    kernel that would correlate white noise as much. Where the curve lies below half a code, it may also be 0.
    """
    at = np.array([point.signal for point in plane.curve])
    sigmas = seen.curve.sigma(at)
    below, above = _halves_at(at, seen.halves)
    lows = np.where(sigmas < MIN_SIGMA, 0.0, sigmas * np.exp(-below))
    points = _points(at, sigmas, lows, sigmas * np.exp(above))
    blur = equivalent_blur_px(sum(seen.lag1) / 2)
    return replace(
        plane,
        curve=points,
        law=seen.curve,
        effective_sigma=float(np.sqrt(np.mean(np.square(seen.curve.sigma(np.asarray(signals, np.float64)))))),
        parameters=tuple(_processed_estimate(estimate, blur) for estimate in plane.parameters),
    )


def with_sensor_noise(plane: PlaneFootprint, seen: ProcessedPlane) -> PlaneFootprint:
    """`plane` with the interval that its curve has in a rendered picture; a lower bound of 0 stays."""
    if seen.of_sensor is None or plane.says_nothing:
        return plane
    at, sigmas, lows = (np.array([getattr(p, name) for p in plane.curve]) for name in ("signal", "sigma", "low"))
    below, above = _halves_at(at, seen.of_sensor)
    lows = np.where(lows > 0, sigmas * np.exp(-below), 0.0)
    return replace(plane, curve=_points(at, sigmas, lows, sigmas * np.exp(above)))


def _points(*columns: NDArray[np.float64]) -> tuple[CurvePoint, ...]:
    """Of a curve, from its signals, sigmas, lower and upper bounds."""
    return tuple(CurvePoint(*point) for point in zip(*(column.tolist() for column in columns), strict=True))


def _halves_at(
    signals: NDArray[np.float64], halves: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`halves` (KNOTS, 2) at `signals`."""
    at, knots = np.sqrt(np.clip(signals, 0, 1)), np.sqrt(KNOT_SIGNALS)
    return np.interp(at, knots, halves[:, 0]), np.interp(at, knots, halves[:, 1])


def _processed_estimate(estimate: Estimate, blur: float) -> Estimate:
    cleared = replace(estimate, value=None, low=None, high=None, value_dn=None, low_dn=None, high_dn=None, flag=None)
    if estimate.name in UNDEFINED:
        return replace(cleared, present=None, flag="rendered")
    if estimate.name == "correlation":  # read off the lag-1 correlation: no probability of presence is estimated
        cleared = replace(cleared, present=None)
        if blur < parameter("correlation").low:
            return replace(cleared, low=0.0, flag="below_floor")
        if math.isinf(blur):
            return replace(cleared, low=float(BLUR_GRID[-1]), flag="out_of_range")
        return replace(cleared, value=blur)
    return estimate


def equivalent_blur_px(lag1: float) -> float:
    """Width of the kernel exp(-d^2/(2 rho^2)) that gives white noise the correlation `lag1`, px.

    0 for none; infinite beyond the widest of BLUR_GRID, where lag 1 no longer tells one width from another.

    >>> round(equivalent_blur_px(0.5), 2)
    0.64
    >>> equivalent_blur_px(0.999)
    inf
    """
    lags = _lags()
    if lag1 < lags[0]:
        return 0.0
    return math.inf if lag1 > lags[-1] else float(np.interp(lag1, lags, BLUR_GRID))


@cache
def _lags() -> NDArray[np.float64]:
    return np.array([autocorrelation(float(rho), 1)[0, 1] for rho in BLUR_GRID])
