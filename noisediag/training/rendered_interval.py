"""Intervals of rendered pictures: fitted to simulated photographs of scenes not trained on, and calibrated on others.

The photographs are by cameras of KINDS: those that the network was trained on, such that do not process, and strangers,
whose stages are put together as no training has seen them. What holds for strangers should hold for cameras with stages
that were never trained on; those of `genome.cameras.HELD_OUT` and PHONE_HELD_OUT are not drawn here either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noisediag import images
from noisediag.cop.models import SensorModel
from noisediag.cop.rendered import FLAGS, RenderedReading
from noisediag.cop.rendered_interval import CURVES, INPUTS, SIDES, IntervalConfig, RenderedInterval, inputs
from noisediag.cop.rendered_tokens import KNOTS
from noisediag.footprint.plane import PlaneFootprint
from noisediag.genome import rendered
from noisediag.genome.rendered import LEVELS
from noisediag.readout import emptiness, questions, sensor
from noisediag.readout import rendered as processed
from noisediag.readout.questions import OfBags, Reading
from noisediag.readout.tiles import plan
from noisediag.training.calibration import MIN_CASES, MIN_FACTOR
from noisediag.training.fit import Report
from noisediag.training.losses import pinball
from noisediag.training.photographs import Cameras, RenderedSet, rendered_set
from noisediag.training.pictures import CROP, CleanPool
from noisediag.training.rendered import LARGE_PX, scored

TRAINED, PLAIN = ("first", "phones"), "plain"
KINDS: Mapping[str, tuple[float, Cameras]] = {  # share of the photographs, and how their cameras are drawn
    "first": (0.2, rendered.sample_camera),
    "phones": (0.3, rendered.sample_phone),
    "strangers": (0.25, rendered.sample_stranger),
    PLAIN: (0.25, rendered.sample_plain),
}
READ_TOGETHER = 16  # photographs
FITTED_OF = (3, 5)  # so many of so many photographs; the others are calibrated on
# What half-widths grow by beyond: pictures of other sources than the pool's are read worse, with any camera. Chosen on
# even-numbered files of the benchmark, for both curves (models/sensor.md).
UNSEEN = (1.05, 1.0)
ALARM_SHARE = 0.03  # of pictures without it that a flag is raised for
TAIL = 0.05  # of the truth below the interval, and as much above
# Of the fit, all photographs at once. No weight can grow beyond 1 / DECAY: what is seen bends the half-widths that the
# networks have of their own, and does not replace them.
STEPS, RATE, DECAY = 300, 1e-2, 10.0
PROCESSED, FROM_SENSOR = range(CURVES)


def calibrate_rendered(
    model: SensorModel, photographs: Mapping[str, Sequence[RenderedSet]], seed: int
) -> dict[str, IntervalSet]:
    """Give `model`, whose rendered part is trained, intervals and thresholds of flags. Returns what they were made of.

    `photographs`: those of `calibration_photographs`.
    """
    parts = {kind: IntervalSet.join([interval_set(model, s) for s in sets]) for kind, sets in photographs.items()}
    raised_beyond = thresholds(parts)
    model.rendered_interval = fitted(parts, raised_beyond, seed)
    model.calibration = {**model.calibration, "rendered": {"thresholds": raised_beyond}}
    return parts


def calibration_photographs(
    pool: CleanPool, count: int, seed: int, report: Report | None = None
) -> dict[str, list[RenderedSet]]:
    """About `count` scenes by kind of camera, half of them CROP px and half LARGE_PX wide, each by its own camera."""
    return {
        kind: [
            rendered_set(
                pool,
                max(1, round(share * count / 2)),
                size,
                seed,
                purpose=f"calibration of the rendered part: {kind}",
                together=1,
                cameras=cameras,
                report=report,
            )
            for size in (CROP, LARGE_PX)
        ]
        for kind, (share, cameras) in KINDS.items()
    }


@dataclass(frozen=True)
class IntervalSet:
    """M planes of photographs: what is seen, and how far off both curves are."""

    told: Tensor  # (M, KNOTS, INPUTS), see `cop.rendered_interval.inputs`
    position: Tensor  # (M, LEVELS) square root of the signal
    error: Tensor  # (M, LEVELS, CURVES) ln of the true sigma over what the curve says
    counted: Tensor  # (M, LEVELS) bool: scored
    picture: Tensor  # (M,) number of the photograph
    logits: Tensor  # (M, FLAGS) of the photograph's flags
    flags: Tensor  # (M, FLAGS) their truth; NaN: neither

    def __len__(self) -> int:
        return len(self.told)

    def select(self, index: Tensor) -> IntervalSet:
        return IntervalSet(*(getattr(self, entry.name)[index] for entry in fields(self)))

    @staticmethod
    def empty() -> IntervalSet:
        """No plane at all."""
        numbers, levels = torch.zeros(0, dtype=torch.long), torch.zeros(0, LEVELS)
        told, error, flags = torch.zeros(0, KNOTS, INPUTS), torch.zeros(0, LEVELS, CURVES), torch.zeros(0, len(FLAGS))
        return IntervalSet(told, levels, error, levels.bool(), numbers, flags, flags)

    @staticmethod
    def join(parts: Sequence[IntervalSet]) -> IntervalSet:
        """Those of several sets; their photographs are numbered on."""
        first, numbered = 0, []
        for part in parts:
            numbered.append(part.picture + first)
            first += int(part.picture.max()) + 1 if len(part) else 0
        together = {e.name: torch.cat([getattr(part, e.name) for part in parts]) for e in fields(IntervalSet)}
        return IntervalSet(**{**together, "picture": torch.cat(numbered)})


@dataclass(frozen=True)
class Seen:
    """What is read of one photograph."""

    reading: RenderedReading
    planes: tuple[PlaneFootprint, ...]  # by the sensor model: R, G, B and luma


def look(model: SensorModel, image: images.Image) -> Reading[Seen | None]:
    """As `Estimator` looks at a rendered picture; None where it shows nothing."""
    (part,) = plan(image)
    about = yield OfBags(part.bags)
    nothing = emptiness.of_part(part)
    if nothing[-1] is not None or processed.why_unread(model, part) is not None:
        return None
    own, whole = sensor.read_part(model, part, about.answers, image, None, nothing)
    reading = yield processed.question(processed.colours(part), about.tokens)
    return Seen(reading, (*own, whole))


def interval_set(model: SensorModel, data: RenderedSet) -> IntervalSet:
    """What `model`, whose rendered part is trained, says of the first photograph of every scene."""
    parts = [IntervalSet.empty()]
    for first in range(0, len(data), READ_TOGETHER):
        some = data.select(slice(first, first + READ_TOGETHER))
        pictures = some.pictures[:, 0].permute(0, 2, 3, 1).contiguous().numpy()
        looks = [look(model, images.from_array(picture, domain="rendered")) for picture in pictures]
        for number, seen in enumerate(questions.read(model, torch.device("cpu"), looks)):
            if isinstance(seen, Exception):
                raise seen
            if seen is not None:
                parts.append(_of_picture(seen, some.select(slice(number, number + 1)), first + number))
    return IntervalSet(*(torch.cat([getattr(part, e.name) for part in parts]) for e in fields(IntervalSet)))


def _of_picture(seen: Seen, truth: RenderedSet, number: int) -> IntervalSet:
    reading = seen.reading
    planes = reading.curve.log_variance.shape[1]
    signal, sigma = (getattr(truth, name)[:, -planes:] for name in ("signal", "sigma"))
    counted = scored(truth)[0, -planes:]
    known = sigma[0].clamp(min=1e-9).log()
    laws = [plane.law.sigma(signal[0, i].double().numpy()) for i, plane in enumerate(seen.planes[-planes:])]
    of_sensor = torch.from_numpy(np.maximum(np.stack(laws), processed.LEAST_SIGMA)).log()
    errors = [known - reading.curve.log_sigma(signal)[0], known - of_sensor.float()]
    told = inputs(reading, processed.sensor_curve(reading, seen.planes))
    return IntervalSet(
        told=torch.from_numpy(told).float(),
        position=signal[0].clamp(0, 1).sqrt(),
        error=torch.stack(errors, -1),
        counted=counted,
        picture=torch.full((planes,), number),
        logits=reading.flags.expand(planes, -1),
        flags=truth.flags.expand(planes, -1),
    )


def half_widths(network: RenderedInterval, data: IntervalSet) -> Tensor:
    """At the signals of the truth, `(M, LEVELS, CURVES, SIDES)`: straight lines between the knots."""
    knots = network(data.told)
    place = data.position * (KNOTS - 1)
    low = place.floor().clamp(max=KNOTS - 2)
    at = low.long()[..., None, None].expand(-1, -1, CURVES, SIDES)
    left, right = (knots.gather(1, at + i) for i in (0, 1))
    return torch.lerp(left, right, (place - low)[..., None, None])


def weights(data: IntervalSet, stands: Tensor) -> Tensor:
    """Of every level, `(M, LEVELS, CURVES)`: every plane counts alike, for the curve that `stands` (M,) in it."""
    share = data.counted / data.counted.sum(1, keepdim=True).clamp(min=1)
    return share[..., None] * torch.nn.functional.one_hot(stands, CURVES)[:, None]


def fit_interval(data: IntervalSet, stands: Tensor, seed: int) -> RenderedInterval:
    """Quantile regression of the half-widths of both curves, each on the planes in which it `stands` (M,)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = RenderedInterval(IntervalConfig(INPUTS))
    told = data.told.flatten(0, 1)
    network.mean.copy_(told.mean(0).nan_to_num())
    network.scale.copy_(told.std(0).nan_to_num().clamp(min=1e-3))
    weight = weights(data, stands)
    weight = weight / weight.sum((0, 1)).clamp(min=1)  # both curves count alike
    with torch.no_grad():
        for layer in (network.straight, network.bent[-1]):  # start from the half-widths that there are
            assert isinstance(layer, torch.nn.Linear)
            layer.weight.mul_(0.1)
            layer.bias.zero_()
    weights_, biases = ([p for n, p in network.named_parameters() if n.endswith(k)] for k in ("weight", "bias"))
    groups: list[dict[str, Any]] = [{"params": weights_}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        below, above = half_widths(network, data).unbind(-1)
        loss = pinball(data.error + below, torch.tensor(TAIL)) + pinball(data.error - above, torch.tensor(1 - TAIL))
        optimizer.zero_grad()
        torch.autograd.backward((loss * weight).sum())
        optimizer.step()
        schedule.step()
    return network.eval()


def stretch(network: RenderedInterval, data: IntervalSet, stands: Tensor, *, tail: float = TAIL) -> Tensor:
    """Factors `(CURVES * SIDES,)` by which half-widths must grow so that the truth lies beyond in `tail` of the planes.

    Split conformal prediction on planes not fitted to; the levels of a plane share its weight.
    """
    with torch.inference_mode():
        halves = half_widths(network, data)
    scores = torch.stack([-data.error, data.error], -1) / halves
    weight = weights(data, stands)
    return torch.stack(
        [
            conformal(scores[..., curve, side], weight[..., curve], tail)
            for curve in range(CURVES)
            for side in range(SIDES)
        ]
    )


def conformal(scores: Tensor, weight: Tensor, tail: float) -> Tensor:
    """What a further score exceeds with probability `tail` at most, given `scores` that weigh 1 a case together.

    1 where there are fewer than MIN_CASES cases: the fit's own quantiles stand.
    """
    total = weight.sum()
    if total < MIN_CASES:
        return torch.ones(())
    ordered, order = scores.flatten().sort()
    reached = weight.flatten()[order].cumsum(0)
    place = int(torch.searchsorted(reached, (total + 1) * (1 - tail)).clamp(max=len(ordered) - 1))
    return ordered[place].clamp(min=MIN_FACTOR)


def thresholds(parts: Mapping[str, IntervalSet]) -> dict[str, float]:
    """Of the flags: the probability that photographs without them exceed in ALARM_SHARE of the cases, at least 1/2.

    Asked are cameras as in training, and of `processed`, which few of these are without, such that do not process.
    """
    found = {}
    for number, name in enumerate(FLAGS):
        kinds = [kind for kind in parts if kind in (*TRAINED, *((PLAIN,) if name == "processed" else ()))]
        logits = [_without(parts[kind], number) for kind in kinds]
        without = torch.cat(logits) if logits else torch.zeros(0)
        found[name] = max(float(without.sigmoid().quantile(1 - ALARM_SHARE)), 0.5) if len(without) else 0.5
    return found


def _without(data: IntervalSet, flag: int) -> Tensor:
    """Logits of the flag of the photographs that are known to be without."""
    first = data.picture.diff(prepend=data.picture.new_full((1,), -1)) != 0  # one plane of each
    return data.logits[first & (data.flags[:, flag] == 0), flag]


def stands_in(data: IntervalSet, beyond: Mapping[str, float]) -> Tensor:
    """Which curve is the answer for every plane `(M,)`: PROCESSED where any flag's probability is beyond its own."""
    raised = (data.logits.sigmoid() > torch.tensor([beyond[name] for name in FLAGS])).any(1)
    return torch.where(raised, PROCESSED, FROM_SENSOR)


def fitted(parts: Mapping[str, IntervalSet], beyond: Mapping[str, float], seed: int) -> RenderedInterval:
    """The network fitted to FITTED_OF the photographs of every kind, and stretched by the others and by UNSEEN."""
    learned, aside = [], []
    for part in parts.values():
        kept = part.picture % FITTED_OF[1] < FITTED_OF[0]
        learned.append(part.select(kept))
        aside.append(part.select(~kept))
    data, others = IntervalSet.join(learned), IntervalSet.join(aside)
    network = fit_interval(data, stands_in(data, beyond), seed)
    unseen = torch.tensor(UNSEEN).repeat_interleave(SIDES)
    network.stretch.copy_(unseen * stretch(network, others, stands_in(others, beyond)))
    return network


def held(network: RenderedInterval, data: IntervalSet, beyond: Mapping[str, float]) -> float:
    """The share of the levels that lie within their intervals; every plane counts alike."""
    weight = weights(data, stands_in(data, beyond))
    with torch.inference_mode():
        below, above = half_widths(network, data).unbind(-1)
    inside = (data.error >= -below) & (data.error <= above)
    return float((inside * weight).sum() / weight.sum())
