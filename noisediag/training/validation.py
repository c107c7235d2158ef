"""How good a freshly trained network is on fresh pictures: scenes, noise and cameras that nothing was trained on.

These figures follow a training from run to run. Those of the model cards come from `noisediag benchmark`, on pictures
of other domains.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor

from noisediag.cop.calibration import EVERYTHING
from noisediag.cop.curve import CurveNet
from noisediag.cop.encoder import Encoder
from noisediag.cop.heads import LEARNED, LEVELS
from noisediag.cop.models import PaperModel, SensorModel
from noisediag.cop.near_encoder import NearEncoder
from noisediag.cop.tokens import tokenize
from noisediag.genome import paper, sensor
from noisediag.training.chart import ChartPlaces
from noisediag.training.losses import pinball
from noisediag.training.near import NEAR_PAPER, NEAR_SENSOR, Kind, NearSet, embedded, near_contrast, near_set
from noisediag.training.objectives import contrast, curve_error
from noisediag.training.photographs import RenderedSet
from noisediag.training.pictures import CROP, CleanPool, PoolPart, clean_pool, faint, sensor_batch
from noisediag.training.recipe import Recipe
from noisediag.training.rendered import curve_error as rendered_curve_error
from noisediag.training.rendered import readings, scored
from noisediag.training.rendered_interval import IntervalSet, held, interval_set
from noisediag.training.sensor_head import HeadSet, groups_of
from noisediag.training.streams import drawing

SCENES_SHARE = 8  # one validation scene for so many to train on
AT_ONCE = 32  # pictures of one forward pass

Figures = dict[str, float]


def validation_pool(recipe: Recipe, device: torch.device, scenes: int) -> CleanPool:
    """Scenes of no other pool, for a network that was trained on `scenes`."""
    return clean_pool(recipe, device, part=PoolPart.validation, count=-(-scenes // SCENES_SHARE))


def validate_encoder(encoder: Encoder, pool: CleanPool, recipe: Recipe) -> Figures:
    """InfoNCE on both genomes, and what it is by chance."""

    def value(kind: Literal["paper", "sensor"], generator: torch.Generator) -> float:
        return float(contrast(encoder, pool.draw(recipe.genomes, CROP, generator), kind, generator))

    with torch.inference_mode():
        of_paper, of_sensor = (
            [value(kind, generator) for generator in _whole_batches(recipe, pool, f"InfoNCE of {kind}", recipe.genomes)]
            for kind in get_args(Literal["paper", "sensor"])
        )
    return {
        "info_nce_paper": sum(of_paper) / len(of_paper),
        "info_nce_sensor": sum(of_sensor) / len(of_sensor),
        "info_nce_by_chance": math.log(2 * recipe.genomes - 1),
    }


def validate_near(encoder: NearEncoder, places: ChartPlaces, pool: CleanPool, recipe: Recipe) -> Figures:
    """R2 of the places on the chart, as the encoder reads them off pictures of the genome `paper`; contrast of near
    genomes `sensor`, and what it is by chance.
    """
    genomes, views = recipe.near_genomes, recipe.near_views

    def sets(kind: Kind, name: str) -> Iterator[NearSet]:
        for generator in _whole_batches(recipe, pool, f"near genomes {name}", genomes * views):
            yield near_set(kind, places, pool, genomes, views, generator)

    with torch.inference_mode():
        read = [(encoder.locate(embedded(encoder, one)).place, one.place[0]) for one in sets(NEAR_PAPER, "paper")]
        contrasts = [near_contrast(encoder, embedded(encoder, one), views=views) for one in sets(NEAR_SENSOR, "sensor")]
    found, truth = (torch.cat(parts) for parts in zip(*read, strict=True))
    return {
        "chart_r2": 1 - float((found - truth).square().mean() / (truth - truth.mean(0)).square().mean()),
        "info_nce_sensor": float(torch.stack(contrasts).mean()),
        "info_nce_by_chance": math.log((genomes - 1) * views + 1),
    }


def validate_curve(curve: CurveNet, pool: CleanPool, recipe: Recipe) -> Figures:
    """Error of the noise curve on single crops under the law `wide`, in % of sigma, over the scored pictures."""
    errors = []
    for generator, count in _batches(recipe, pool, "noise curve", AT_ONCE):
        noise = sensor.sample("wide", count, generator)
        clean = pool.draw(count, CROP, generator, exact=faint(noise))
        batch = sensor_batch(clean, noise, generator)
        with torch.inference_mode():
            last = curve(tokenize(batch.image[:, None]), batch.noise.quantisation, batch.free_intercept)[-1]
            error, counted = curve_error(last, batch)
        errors.append(error[counted])
    return _percentiles(torch.cat(errors))


def validate_head(model: SensorModel, data: HeadSet) -> Figures:
    """Quantile loss of the head, and how often its calibrated intervals hold the truth, in %, over all parameters."""
    with torch.inference_mode():
        reading = model.head(data.evidence, data.embedding)
    levels = torch.tensor(LEVELS, device=data.truth.device)
    intervals, groups = model.calibration["intervals"], groups_of(data, raw=False)
    alarms = torch.tensor([model.calibration["alarms"][name] for name in LEARNED], device=data.truth.device)
    reported = data.scored & (reading.present > alarms)
    error = data.truth.nan_to_num(neginf=0)[..., None] - reading.quantiles
    held = torch.stack(
        [
            _held(reading.quantiles[:, i], data.truth[:, i], _factors(intervals[name], groups, data.truth))
            for i, name in enumerate(LEARNED)
        ],
        1,
    )
    factors = _factors(intervals["curve"], groups, data.truth)[:, None]
    curve_held = _held(reading.curve, data.curve_truth, factors)
    alarmed = (reading.present > alarms)[data.clean].float().amax(1)
    return _known(
        {
            "pinball": _mean(pinball(error, levels).mean(-1), data.scored),
            "coverage_percent": 100 * _mean(held.float(), reported),
            "curve_coverage_percent": 100 * _mean(curve_held.float(), data.curve_scored),
            "false_alarms_percent": 100 * float(alarmed.mean()),
        }
    )


def validate_rendered(model: SensorModel, sets: list[RenderedSet]) -> Figures:
    """Error of the rendered network's curves of photographs by fresh cameras, in % of sigma, over planes with something
    scored; how much of the curve that is the answer lies within its interval, in %.
    """
    if model.rendered is None or model.rendered_interval is None:
        raise ValueError("the model has no part for rendered pictures, or its intervals are not calibrated")
    errors = []
    for reading, truth in readings(model.rendered, sets):
        errors.append(rendered_curve_error(reading.curve, truth)[scored(truth).any(-1)])
    looked_at = IntervalSet.join([interval_set(model, some) for some in sets])
    covered = 100 * held(model.rendered_interval, looked_at, model.calibration["rendered"]["thresholds"])
    return _known({**_percentiles(torch.cat(errors)), "curve_coverage_percent": covered})


def validate_paper(model: PaperModel, pool: CleanPool, recipe: Recipe) -> Figures:
    """Root mean square error of the strengths, and their R2 over all pictures and outputs together."""
    errors, truths = [], []
    for generator, count in _batches(recipe, pool, "genome paper", AT_ONCE):
        strengths = paper.sample(count, generator)
        noisy = paper.corrupt(pool.draw(count, CROP, generator), strengths, generator)
        with torch.inference_mode():
            errors.append(model(noisy[:, None]) - strengths)
        truths.append(strengths)
    error, truth = torch.cat(errors).square().mean(), torch.cat(truths)
    spread = (truth - truth.mean(0)).square().mean()
    return _known({"rmse": float(error.sqrt()), "r2": float(1 - error / spread)})


def _whole_batches(recipe: Recipe, pool: CleanPool, purpose: str, each: int) -> Iterator[torch.Generator]:
    """Generators of batches of the one size that a contrast depends on, about as many pictures as the recipe wants."""
    for number in range(max(1, recipe.validation_pictures // each)):
        yield drawing(f"validation: {purpose}", recipe.seed, number, device=pool.pictures.device)


def _batches(recipe: Recipe, pool: CleanPool, purpose: str, each: int) -> Iterator[tuple[torch.Generator, int]]:
    """Generators of batches that together hold the recipe's validation pictures, and how many each is to hold."""
    left, number = recipe.validation_pictures, 0
    while left > 0:
        yield drawing(f"validation: {purpose}", recipe.seed, number, device=pool.pictures.device), min(each, left)
        left, number = left - each, number + 1


def _percentiles(errors: Tensor) -> Figures:
    """Of |ln sigma ratio| (N,): median and 90th percentile as % of sigma."""
    if not len(errors):
        return {}
    median, p90 = (100 * float(errors.double().quantile(q).expm1()) for q in (0.5, 0.9))
    return {"curve_error_percent": median, "curve_error_p90_percent": p90, "curves": float(len(errors))}


def _factors(table: dict[str, tuple[float, float]], groups: list[str], like: Tensor) -> Tensor:
    """Stretch of the lower and the upper half of the interval of every picture, `(N, 2)`."""
    return torch.tensor([table.get(name, table[EVERYTHING]) for name in groups], device=like.device)


def _held(quantiles: Tensor, truth: Tensor, factors: Tensor) -> Tensor:
    """Whether `truth` (N, ...) lies within calibrated `quantiles` (N, ..., 3); `factors` (N, [1,] 2)."""
    below, middle, above = quantiles.unbind(-1)
    low, high = middle - factors[..., 0] * (middle - below), middle + factors[..., 1] * (above - middle)
    return (truth >= low) & (truth <= high)


def _mean(values: Tensor, counted: Tensor) -> float:
    return float(values[counted].mean())


def _known(figures: Figures) -> Figures:
    """Without those that nothing was there for: a mean over no case is no figure."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}
