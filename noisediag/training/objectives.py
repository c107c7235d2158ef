"""What the networks are trained on: batches of simulated pictures and the loss of each model.

The loop itself is `fit`; nothing here runs on import.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.cop.curve import CORRELATIONS, CurveNet, CurvePass
from noisediag.cop.encoder import Encoder
from noisediag.cop.models import PaperModel
from noisediag.cop.tokens import tokenize
from noisediag.genome import paper, sensor
from noisediag.training.fit import Objective
from noisediag.training.losses import info_nce, log_ratio
from noisediag.training.pictures import CROP, CleanPool, SensorBatch, faint, sensor_batch

MAX_ERROR = 3.0  # Of |ln sigma ratio| in the loss: a factor of 20. More would let single pictures rule a batch.
FINE_ERROR = 0.003  # Below, the loss falls faster: easy pictures should be read to the statistical limit.
FINE_WEIGHT = 0.01
LARGE_ERROR = 0.5  # Up to here the loss grows faster than the error: two half errors are better than one whole.
LARGE_WEIGHT = 2.0
OTHER_LAWS = 0.09  # of the crops follow another law of light: their blocks show noise, too
FLAT_SHARE = 0.05  # of the crops the curve learns from are constant
CONTAINER_STEP = 1 / 65535  # codes of 16 bits, in which pictures of the genome `sensor` are stored


def curve_error(result: CurvePass, batch: SensorBatch) -> tuple[Tensor, Tensor]:
    """Mean |ln(sigma / truth)| over the scored signals, `(B,)`, and whether anything was scored, `(B,)` bool."""
    error = 0.5 * (result.variance(batch.signal).log() - 2 * batch.sigma.clamp(min=1e-12).double().log())
    counted = batch.scored.double()
    return (error.abs().clamp(max=MAX_ERROR) * counted).sum(1) / counted.sum(1).clamp(min=1), batch.scored.any(1)


def split_error(result: CurvePass, batch: SensorBatch) -> Tensor:
    """How much of the variance is booked under the wrong term, mean over the scored signals, `(B,)`."""
    x, variance = batch.signal.double(), batch.sigma.double().square().clamp(min=1e-20)
    shot, _, square = result.law.unbind(1)
    noise = batch.noise
    # on the scale of the picture x counts from its zero, the noise from its black
    wrong_shot = (shot - noise.shot_gain + 2 * noise.multiplicative.square() * batch.pedestal)[:, None] * x
    wrong_square = (square - noise.multiplicative.double().square())[:, None] * x.square()
    counted = batch.scored.double()
    wrong = ((wrong_shot.abs() + wrong_square.abs()) / variance).clamp(max=2)
    return (wrong * counted).sum(1) / counted.sum(1).clamp(min=1)


def white_share(batch: SensorBatch) -> Tensor:
    """Of the variance at the darkest signal, without quantisation, what joined after the correlation, `(B,)`."""
    noise = batch.noise
    variance = batch.sigma.square().amin(1) - noise.quantisation.square() / 12
    return (noise.late_variance / variance.clamp(min=1e-20)).clamp(0, 1)


def curve_loss(network: CurveNet, batch: SensorBatch) -> tuple[Tensor, dict[str, float]]:
    """The curve at every pass; correlation, rows, columns and impulses at the last two."""
    results = network(tokenize(batch.image[:, None]), batch.noise.quantisation, batch.free_intercept)
    total = torch.zeros((), dtype=torch.float64, device=batch.image.device)
    middle = batch.sigma.square().mean(1)
    grid = torch.tensor(CORRELATIONS, device=batch.image.device)
    rho = batch.noise.correlation
    white = white_share(batch)
    for number, result in enumerate(results):
        weight = {1: 1.0, 2: 0.5}.get(len(results) - number, 0.3)
        error, counted = curve_error(result, batch)
        fine = FINE_WEIGHT * (error / FINE_ERROR).log1p()
        value = error + fine + LARGE_WEIGHT * error.clamp(max=LARGE_ERROR).square()
        total = total + weight * value[counted].sum() / len(error)
        pure = functional.binary_cross_entropy_with_logits(result.pure_logit, batch.pure.float())
        total = total + 0.1 * weight * pure
        if number == 0:
            continue
        of_genome = counted & ~(batch.rician | batch.grain | batch.filtered)
        total = total + 0.1 * weight * split_error(result, batch)[of_genome].sum() / len(error)
        upper = torch.searchsorted(grid, rho).clamp(1, len(grid) - 1)
        share = ((rho - grid[upper - 1]) / (grid[upper] - grid[upper - 1])).clamp(0, 1)
        log_p = result.correlation_logits.log_softmax(-1)
        cross = -(1 - share) * log_p.gather(1, upper[:, None] - 1)[:, 0] - share * log_p.gather(1, upper[:, None])[:, 0]
        total = total + 0.03 * weight * cross[of_genome].sum() / len(error)
        late = functional.binary_cross_entropy_with_logits(result.white_logit, white, reduction="none")
        total = total + 0.05 * weight * late[of_genome & (rho > 0)].sum() / len(error)
        floor = (0.1 * middle.sqrt()).square() + 1e-12
        for estimate, truth in (
            (result.row_variance, batch.noise.row_noise),
            (result.column_variance, batch.noise.column_noise),
        ):
            total = total + 0.05 * weight * log_ratio(estimate, truth.square(), floor).mean()
        impulses = result.low_impulse + result.high_impulse
        total = total + 0.05 * weight * log_ratio(impulses, batch.impulse_share, 1e-3).mean()
    return total.float(), {"curve": float(error[counted].detach().mean())}  # of the last pass


def curve_objective(network: CurveNet, pool: CleanPool, batch_size: int) -> Objective:
    """Batches of one size each: as many of 256 px as of 128 px, some of 64 px, with the same number of pixels."""

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        draw = float(torch.rand((), generator=generator, device=generator.device))
        if draw < 0.45:
            size, n = CROP, batch_size
        elif draw < 0.9:
            size, n = 2 * CROP, max(batch_size // 4, 2)
        else:
            size, n = CROP // 2, 2 * batch_size
        noise = sensor.sample("wide", n, generator)
        clean = pool.draw(n, size, generator, exact=faint(noise))
        level, flat = torch.rand(2, n, 1, 1, generator=generator, device=generator.device)
        clean = torch.where(flat < FLAT_SHARE, level, clean)
        return curve_loss(network, sensor_batch(clean, noise, generator, other_laws=OTHER_LAWS))

    return objective


def contrastive_objective(encoder: Encoder, pool: CleanPool, genomes: int) -> Objective:
    """InfoNCE; each step draws one of the two genomes by chance.

    Scene i is laid under genome i and under genome i+1: the hard negative.
    """

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        clean = pool.draw(genomes, CROP, generator)
        kind: Literal["paper", "sensor"] = (
            "paper" if float(torch.rand((), generator=generator, device=generator.device)) < 0.5 else "sensor"
        )
        value = contrast(encoder, clean, kind, generator)
        return value, {kind: float(value.detach())}

    return objective


def contrast(encoder: Encoder, clean: Tensor, kind: Literal["paper", "sensor"], generator: torch.Generator) -> Tensor:
    """InfoNCE of as many genomes `kind` as there are scenes `clean` (G, H, W); by chance it is ln(2 * G - 1)."""
    genomes = len(clean)
    views = torch.cat([clean, clean.roll(1, 0)])
    if kind == "paper":
        strengths = paper.sample(genomes, generator)
        image = paper.corrupt(views, strengths.repeat(2, 1), generator)
    else:
        noise = sensor.sample("wide", genomes, generator)
        both = noise.select(torch.arange(genomes, device=clean.device).repeat(2))
        image = sensor.corrupt(views, both, generator, container_step=CONTAINER_STEP).image
    projected = encoder.project(encoder(tokenize(image[:, None])))
    return info_nce(projected[:genomes], projected[genomes:])


def paper_objective(model: PaperModel, pool: CleanPool, batch_size: int) -> Objective:
    """Squared error of the strengths; encoder and head are both tuned (unlimited labels)."""

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        draw = float(torch.rand((), generator=generator, device=generator.device))
        size, n = (CROP, batch_size) if draw < 0.75 else (2 * CROP, max(batch_size // 4, 2))
        clean = pool.draw(n, size, generator)
        strengths = paper.sample(n, generator)
        predicted = model(paper.corrupt(clean, strengths, generator)[:, None])
        error = (predicted - strengths).square()
        value = error.mean()
        return 100 * value, {"rmse": float(value.detach().sqrt())}

    return objective
