"""What the heads of the sensor model are trained and calibrated on.

Evidence of many simulated pictures is read once, with curve network and encoder frozen; a head then learns in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.cop.calibration import EVERYTHING, alarm_shift, group
from noisediag.cop.doubt_head import DoubtHead
from noisediag.cop.heads import (
    LEARNED,
    LEVELS,
    LIMIT_LEVEL,
    UNIFORM,
    Evidence,
    SensorHead,
    SensorReading,
    gather_evidence,
)
from noisediag.cop.models import Familiarity, SensorModel
from noisediag.cop.tokens import tokenize
from noisediag.genome import sensor
from noisediag.genome.truth import CORRELATION_PX, IMPULSE_PX, LINE_SHARE, LINE_SIGMAS, PIXEL_SHARE, TERM_SHARE
from noisediag.training.calibration import RAW_TAIL, TAIL, calibrate, calibrate_alarm, calibrate_limit
from noisediag.training.fit import Objective, Report
from noisediag.training.losses import pinball
from noisediag.training.pictures import CLIP_MARGIN, CleanPool, faint, sensor_batch
from noisediag.training.streams import drawing

HEAD_SHAPES = (
    (128, 1, 24),
    (256, 1, 8),
    (128, 4, 8),
    (64, 1, 48),
    (256, 1, 8),
    (128, 8, 4),
    (256, 4, 2),
    (128, 4, 8),
)  # px, tiles, pictures
RAW_SHAPES = ((256, 4), (128, 8), (256, 4), (256, 4), (64, 8))  # px of a plane, pictures
CLEAN_SHARE = 0.2  # of the pictures the heads see, nothing added
CONTAINED = 0.7  # of the pictures without quantisation of their own are stored in 16 bits, the others as floats
ABSENT_DEPTH = 4.0  # natural logarithms below its start where the upper bound of an absent noise is aimed at
ABSENT_TERM = 0.01  # of the variance: a term that is nowhere more cannot be seen
ABSENT_LINE = 0.02  # of sigma, for lines of 256 px: weaker offsets of rows and columns cannot be seen
MAX_MISS = 5.0  # of ln values and limits in the loss: a factor of 150
MAX_CURVE_MISS = 2.0  # of ln sigma in the loss: a factor of 7
LIMIT_WEIGHT, PRESENCE_WEIGHT, CURVE_WEIGHT = 0.3, 0.3, 3.0  # in the loss, beside 1 for the values


Part = TypeVar("Part")


@dataclass(frozen=True)
class HeadSet:
    """Evidence, embeddings and truth of many simulated pictures; `scored` and `absent` per parameter of LEARNED."""

    evidence: Evidence
    embedding: Tensor  # (N, E)
    truth: Tensor  # (N, len(LEARNED)) on the scale of `Evidence.base`; -inf where absent
    scored: Tensor  # (N, len(LEARNED)) bool: strong enough to be measured
    absent: Tensor  # (N, len(LEARNED)) bool: not there, or far too weak to be seen
    curve_truth: Tensor  # (N, len(CURVE_QUANTILES)) ln(true sigma / fitted sigma)
    curve_scored: Tensor  # (N, len(CURVE_QUANTILES)) bool
    blocks: Tensor  # (N,) how many the picture has
    clean: Tensor  # (N,) bool: nothing was added but the rounding to codes


def head_set(
    model: SensorModel,
    pool: CleanPool,
    count: int,
    seed: int,
    *,
    purpose: str,
    raw: bool = False,
    report: Report | None = None,
) -> HeadSet:
    """Simulate pictures of several sizes and bags of several tiles; read their evidence with both networks frozen.

    Sets of different `purpose` have nothing in common. `raw`: bags of CFA planes under the law of RAW files, black
    known.
    """
    return join_head_sets(
        batches(
            lambda number: head_batch(model, pool, number, seed, purpose=purpose, raw=raw),
            lambda part: len(part.truth),
            count,
            report,
        )
    )


def batches(make: Callable[[int], Part], size: Callable[[Part], int], count: int, report: Report | None) -> list[Part]:
    """`make(0)`, `make(1)`, ... until they hold `count` pictures by `size`; `report` is told of every fiftieth."""
    parts: list[Part] = []
    done = 0
    while done < count:
        parts.append(make(len(parts)))
        done += size(parts[-1])
        if report is not None and len(parts) % 50 == 0:
            report(done, {})
    return parts


def head_batch(
    model: SensorModel, pool: CleanPool, number: int, seed: int, *, purpose: str, raw: bool = False
) -> HeadSet:
    """Batch `number` of a `head_set`: depends on nothing but its number, purpose and seed."""
    generator = drawing(purpose, seed, number, device=pool.pictures.device)
    clean, law, tiles = raw_bags(pool, number, generator) if raw else bags(pool, number, generator)
    with torch.inference_mode():
        return _head_part(model, clean, law, tiles, generator, black_known=raw)


def join_head_sets(parts: list[HeadSet]) -> HeadSet:
    """One set of several, in their order."""
    return HeadSet(
        Evidence(*(torch.cat([getattr(p.evidence, f.name) for p in parts]) for f in fields(Evidence))),
        *(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(HeadSet)[1:]),
    )


def bags(pool: CleanPool, number: int, generator: torch.Generator) -> tuple[Tensor, sensor.SensorNoise, int]:
    """Clean tiles `(n * tiles, size, size)`, the noise of n pictures, and `tiles`."""
    size, tiles, n = HEAD_SHAPES[number % len(HEAD_SHAPES)]
    law = sensor.sample("wide", n, generator)
    silent = torch.rand(n, generator=generator, device=generator.device) < CLEAN_SHARE
    silenced = {f.name: torch.where(silent, 0.0, getattr(law, f.name)) for f in fields(sensor.SensorNoise)}
    law = sensor.SensorNoise(**silenced)
    contained = (law.quantisation == 0) & (torch.rand(n, generator=generator, device=generator.device) < CONTAINED)
    law = replace(law, quantisation=torch.where(contained, 1 / 65535, law.quantisation))
    clean = pool.draw(n, size, generator, exact=faint(law) & ~silent, shrunk=silent).repeat_interleave(tiles, 0)
    if tiles > 1:  # the same scene under other exposures
        clean = clean * (0.3 + 0.7 * torch.rand(n * tiles, 1, 1, generator=generator, device=generator.device))
    return clean, law, tiles


def raw_bags(
    pool: CleanPool,
    number: int,
    generator: torch.Generator,
    *,
    shapes: Sequence[tuple[int, int]] = RAW_SHAPES,
) -> tuple[Tensor, sensor.SensorNoise, int]:
    """The four planes of Bayer mosaics: every second pixel of a scene, with plausible white-balance gains.

    `shapes`: px of a plane and pictures, taken in turn; scenes of `pool` must have twice the side.
    """
    size, n = shapes[number % len(shapes)]
    scene = pool.draw(n, 2 * size, generator, varied=number % 2 == 0)
    planes = torch.stack([scene[:, row::2, column::2] for row in (0, 1) for column in (0, 1)], 1)
    gains = 0.3 + 0.7 * torch.rand(n, 4, 1, 1, generator=generator, device=generator.device)
    gains[:, 1:3] = 1.0  # green
    law = sensor.sample("raw", n, generator)
    fine = torch.rand(n, generator=generator, device=generator.device) < 0.5
    law = replace(law, quantisation=torch.where(fine, 1 / 16383, 1 / 4095))
    return (planes * gains).flatten(0, 1), law, 4


def _head_part(
    model: SensorModel,
    clean: Tensor,
    law: sensor.SensorNoise,
    tiles: int,
    generator: torch.Generator,
    *,
    black_known: bool,
) -> HeadSet:
    n = len(law)
    repeated = law.select(torch.arange(n, device=clean.device).repeat_interleave(tiles))
    batch = sensor_batch(clean, repeated, generator, tiles=tiles, black_known=black_known)
    first = torch.arange(n, device=clean.device) * tiles
    step, free = batch.noise.quantisation[first], batch.free_intercept[first]
    tokens = tokenize(torch.unflatten(batch.image, 0, (n, tiles)))
    curve = model.curve(tokens, step, free)[-1]
    evidence = gather_evidence(tokens, curve, step, free)
    noise = batch.noise.select(first)
    signal, sigma = batch.signal.reshape(n, -1), batch.sigma.reshape(n, -1)
    clean_signal = (signal - batch.pedestal[first][:, None]).clamp(min=0)
    visible = (batch.scored.reshape(n, -1)).any(1)
    impulses = torch.unflatten(batch.impulse_share, 0, (n, tiles)).mean(1)
    value = {name: getattr(noise, name) for name in LEARNED} | {"impulse": impulses}
    scored, absent = presence(value, clean_signal, sigma, visible, (clean.shape[1] * tiles, clean.shape[2] * tiles))
    scored["impulse"] = impulses * (tiles * clean.shape[1] * clean.shape[2]) >= IMPULSE_PX
    scored["read_noise"] &= ~free  # it is not reported there
    absent["read_noise"] |= free
    truth = torch.stack([value[name] if name in UNIFORM else value[name].log() for name in LEARNED], 1)
    at = evidence.signal.clamp(0, 1)
    true_variance = noise.variance((at - batch.pedestal[first][:, None]).clamp(min=0))
    curve_truth = 0.5 * true_variance.clamp(min=1e-20).log() - evidence.sigma.log()
    curve_scored = (at > CLIP_MARGIN) & (at < 1 - CLIP_MARGIN) & visible[:, None]
    return HeadSet(
        evidence=evidence,
        embedding=model.embed(tokens),
        truth=truth,
        scored=torch.stack([scored[name] for name in LEARNED], 1),
        absent=torch.stack([absent[name] for name in LEARNED], 1),
        curve_truth=curve_truth,
        curve_scored=curve_scored,
        blocks=torch.full((n,), tokens.mean.shape[1], device=clean.device),
        clean=torch.stack([getattr(noise, name) for name in LEARNED]).amax(0) == 0,
    )


def presence(
    value: Mapping[str, Tensor], signal: Tensor, sigma: Tensor, visible: Tensor, sides: tuple[int, int]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Which parameters are strong enough to be scored, by the floors of the benchmark, and which are as good as absent.

    `value` (B,) of each parameter, clean `signal` and `sigma` (B, Q), `visible` (B,) bool: the curve is scored
    somewhere; `sides`: height and width that share an offset, px. Both answers (B,) bool a parameter, `impulse` not
    scored yet: that depends on the pixels.
    """
    variance = sigma.square().clamp(min=1e-20)
    middle = variance.mean(1).sqrt()
    terms = {
        "shot_gain": value["shot_gain"][:, None] * signal,
        "read_noise": value["read_noise"][:, None].square().expand_as(variance),
        "multiplicative": (value["multiplicative"][:, None] * signal).square(),
    }
    scored, absent = {}, {}
    for name, term in terms.items():
        share = term / variance
        scored[name] = ((share >= TERM_SHARE).float().mean(1) >= PIXEL_SHARE) & visible
        absent[name] = (share < ABSENT_TERM).all(1)
    height, width = sides
    for name, length in (("row_noise", width), ("column_noise", height)):
        scored[name] = (value[name] >= LINE_SHARE * middle) & (value[name] >= LINE_SIGMAS * middle / length**0.5)
        absent[name] = value[name] < ABSENT_LINE * middle / (length / 256) ** 0.5
    scored["correlation"] = (value["correlation"] >= CORRELATION_PX) & visible
    absent["correlation"], absent["impulse"] = value["correlation"] == 0, value["impulse"] == 0
    return scored, absent


def head_objective(head: SensorHead, data: HeadSet, batch_size: int) -> Objective:
    """Quantile losses on what is scored, cross-entropy on presence, an upper bound on everything."""
    levels = torch.tensor(LEVELS, device=data.truth.device)
    limit_level = torch.tensor(LIMIT_LEVEL, device=data.truth.device)

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(data.truth), (batch_size,), generator=generator, device=data.truth.device)
        evidence = Evidence(*(getattr(data.evidence, f.name)[index] for f in fields(Evidence)))
        reading = head(evidence, data.embedding[index])
        truth, scored, absent = data.truth[index], data.scored[index], data.absent[index]
        error = truth.nan_to_num(neginf=0)[..., None] - reading.quantiles
        values = (pinball(error.clamp(-MAX_MISS, MAX_MISS), levels).mean(-1) * scored).sum() / scored.sum().clamp(min=1)
        bounded = torch.maximum(truth, evidence.base - ABSENT_DEPTH)
        limits = pinball((bounded - reading.limit).clamp(-MAX_MISS, MAX_MISS), limit_level).mean()
        sure = scored | absent
        presence = functional.binary_cross_entropy_with_logits(reading.present[sure], scored[sure].float())
        curve = pinball(
            (data.curve_truth[index][..., None] - reading.curve).clamp(-MAX_CURVE_MISS, MAX_CURVE_MISS), levels
        ).mean(-1)
        curves = (curve * data.curve_scored[index]).sum() / data.curve_scored[index].sum().clamp(min=1)
        total = values + LIMIT_WEIGHT * limits + PRESENCE_WEIGHT * presence + CURVE_WEIGHT * curves
        return total, {
            "values": float(values.detach()),
            "presence": float(presence.detach()),
            "curves": float(curves.detach()),
        }

    return objective


def learn_familiarity(familiarity: Familiarity, embeddings: Tensor, *, quantile: float) -> None:
    """From embeddings `(N, E)`; distances above `quantile` of theirs will count as unfamiliar."""
    familiarity.mean.copy_(embeddings.mean(0))
    centred = embeddings - familiarity.mean
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    k = familiarity.whiten.shape[1]
    familiarity.whiten.copy_(directions[:k].T / singular[:k] * len(embeddings) ** 0.5)
    familiarity.threshold.copy_(familiarity(embeddings).quantile(quantile))


def standardise(head: SensorHead | DoubtHead, *parts: Tensor) -> None:
    """Set the head's input normalisation from what it reads of many pictures, each of `parts` (N, .)."""
    inputs = torch.cat(parts, 1)
    head.mean.copy_(inputs.mean(0))
    head.scale.copy_(inputs.std(0).clamp(min=1e-3))


def calibration_of(head: SensorHead, data: HeadSet, raw: HeadSet) -> dict[str, Any]:
    """Conformal tables of every parameter and of the curve, from pictures and RAW bags that the head has not seen."""
    with torch.inference_mode():
        reading, reading_of_raw = (head(each.evidence, each.embedding) for each in (data, raw))
    alarms = {name: calibrate_alarm(reading.present[data.clean, i]) for i, name in enumerate(LEARNED)}
    tables, of_raw = _tables(reading, data, alarms, raw=False), _tables(reading_of_raw, raw, alarms, raw=True)
    for kind, by_name in of_raw.items():
        for name, groups in by_name.items():
            tables[kind][name].update({key: value for key, value in groups.items() if key != EVERYTHING})
    return tables | {"alarms": alarms}


def groups_of(data: HeadSet, *, raw: bool) -> list[str]:
    """The conformal group of every picture."""
    pictures = zip(data.blocks.tolist(), data.evidence.signal.tolist(), data.evidence.smooth.tolist(), strict=True)
    return [group(blocks, signal, smooth, raw=raw) for blocks, signal, smooth in pictures]


def _tables(
    reading: SensorReading, data: HeadSet, alarms: Mapping[str, float], *, raw: bool
) -> dict[str, dict[str, Any]]:
    groups = groups_of(data, raw=raw)
    tail = RAW_TAIL if raw else TAIL
    shifts = [alarm_shift({"alarms": alarms}, name, raw=raw) for name in LEARNED]
    present = reading.present - torch.tensor(shifts, device=reading.present.device)
    intervals: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for i, name in enumerate(LEARNED):
        # as they are reported: seen, and strong enough; of RAW files all that are seen
        strong = data.truth[:, i].isfinite() if raw else data.scored[:, i]
        used = (strong & (present[:, i] > 0)).nonzero()[:, 0].tolist()
        intervals[name] = calibrate(
            reading.quantiles[used, i], data.truth[used, i], [groups[j] for j in used], tail=tail
        )
        # there, but not seen
        missed = (~data.absent[:, i] & (present[:, i] <= 0)).nonzero()[:, 0].tolist()
        bound = torch.maximum(reading.limit[:, i], reading.quantiles[:, i, 0])
        limits[name] = calibrate_limit(bound[missed], data.truth[missed, i], [groups[j] for j in missed])
    rows, columns = data.curve_scored.nonzero(as_tuple=True)
    intervals["curve"] = calibrate(
        reading.curve[rows, columns], data.curve_truth[rows, columns], [groups[j] for j in rows.tolist()], tail=tail
    )
    return {"intervals": intervals, "limits": limits}
