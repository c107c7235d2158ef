"""What is trained on what: clean crops under a genome become batches, and each model gets its loss.

The loop itself is `fit`; nothing here runs on import.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.cop.curve import CORRELATIONS, CurveNet, CurvePass
from noisediag.cop.encoder import Encoder
from noisediag.cop.losses import info_nce, log_ratio
from noisediag.cop.tokens import tokenize
from noisediag.genome import paper, scenes, sensor

CROP = 128
QUANTILES = 33  # of the clean signal, where the curve is scored
CLIP_MARGIN = 2e-3  # clean signal this close to a clip is not scored
PEDESTAL = (2e-3, 0.25)  # normalised, log-uniform, in half of the pictures
MAX_ERROR = 3.0  # of |ln sigma ratio| in the loss


class CleanPool:
    """Clean pictures `(n, side, side)` to cut crops from; each crop is varied anew."""

    def __init__(self, pictures: Tensor):
        self.pictures = pictures

    def draw(self, n: int, size: int, generator: torch.Generator, *, varied: bool = True) -> Tensor:
        """`(n, size, size)` crops. Half of the crops of a picture of twice that size are taken whole, area-averaged: finer, cleaner."""
        count, side, _ = self.pictures.shape
        device = generator.device
        chosen = torch.randint(count, (n,), generator=generator, device=device)
        whole = torch.rand(n, generator=generator, device=device) < (0.3 if side >= 2 * size else 0.0)
        top, left = (torch.randint(side - size + 1, (n,), generator=generator, device=device) for _ in range(2))
        rows = top[:, None] + torch.arange(size, device=device)
        columns = left[:, None] + torch.arange(size, device=device)
        crops = self.pictures[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        if bool(whole.any()):
            halved = functional.avg_pool2d(self.pictures[chosen[whole], : 2 * size, : 2 * size][:, None], 2)[:, 0]
            crops[whole] = halved
        return scenes.vary(crops, generator) if varied else crops


@dataclass(frozen=True)
class SensorBatch:
    """Simulated pictures with everything known about them. Signals are on the scale the estimator sees."""

    image: Tensor  # (B, H, W)
    signal: Tensor  # (B, QUANTILES) of the clean picture
    sigma: Tensor  # (B, QUANTILES) truth there
    scored: Tensor  # (B, QUANTILES) bool
    noise: sensor.SensorNoise  # on the scale of the picture; with an unknown offset `read_noise` means the clean scale's
    impulse_share: Tensor  # (B,) realised
    free_intercept: Tensor  # (B,) bool: black is not known to the estimator
    pedestal: Tensor  # (B,) offset of black on the estimator's scale; 0 where black is known
    low_clip: Tensor  # (B,) where the file cuts, on the scale of the clean signal


def sensor_batch(clean: Tensor, noise: sensor.SensorNoise, generator: torch.Generator, *, pedestals: bool = True) -> SensorBatch:
    """Lay `noise` over `clean` (B, H, W); half of the pictures have a pedestal, half of these an unknown one."""
    n, device = len(clean), clean.device

    def uniform() -> Tensor:
        return torch.rand(n, generator=generator, device=device)

    low, high = PEDESTAL
    level = low * (high / low) ** uniform()
    level = torch.where(uniform() < 0.5, level, torch.zeros_like(level)) * float(pedestals)
    free = (uniform() < 0.5) & pedestals  # black may also be unknown and 0
    pedestal = torch.where(free, level, torch.zeros_like(level))
    low_clip = -level / (1 - level)
    noisy = sensor.corrupt(clean, noise, generator, black_clip=low_clip)
    scale = 1 - pedestal
    image = noisy.image * scale[:, None, None] + pedestal[:, None, None]
    flat = clean.flatten(1)
    positions = torch.linspace(0.5 / QUANTILES, 1 - 0.5 / QUANTILES, QUANTILES, device=device)
    ordered = flat[:, :: max(1, flat.shape[1] // 2048)].sort(1).values
    x = ordered[:, (positions * (ordered.shape[1] - 1)).round().long()]
    sigma = noise.sigma(x)
    scored = (x < 1 - CLIP_MARGIN) & ((x > CLIP_MARGIN) | (x - low_clip[:, None] > 3 * sigma))
    scored &= noise.sigma(x, quantised=False) >= noise.quantisation[:, None] / 2
    scored &= sigma > 0
    scaled = sensor.SensorNoise(
        shot_gain=noise.shot_gain * scale,
        read_noise=noise.read_noise * scale,
        multiplicative=noise.multiplicative,
        impulse=noise.impulse,
        salt_share=noise.salt_share,
        quantisation=noise.quantisation * scale,
        row_noise=noise.row_noise * scale,
        column_noise=noise.column_noise * scale,
        correlation=noise.correlation,
    )
    return SensorBatch(
        image=image,
        signal=x * scale[:, None] + pedestal[:, None],
        sigma=sigma * scale[:, None],
        scored=scored,
        noise=scaled,
        impulse_share=noisy.impulse_share,
        free_intercept=free,
        pedestal=pedestal,
        low_clip=low_clip,
    )


def curve_error(result: CurvePass, batch: SensorBatch) -> tuple[Tensor, Tensor]:
    """Mean |ln(sigma / truth)| over the scored signals, `(B,)`, and whether anything was scored, `(B,)` bool."""
    error = 0.5 * (result.variance(batch.signal).log() - 2 * batch.sigma.clamp(min=1e-12).double().log())
    counted = batch.scored.double()
    return (error.abs().clamp(max=MAX_ERROR) * counted).sum(1) / counted.sum(1).clamp(min=1), batch.scored.any(1)


def curve_loss(network: CurveNet, batch: SensorBatch) -> tuple[Tensor, dict[str, float]]:
    """The curve at every pass; correlation, rows, columns and impulses at the last two."""
    results = network(tokenize(batch.image[:, None]), batch.noise.quantisation, batch.free_intercept)
    total = torch.zeros((), dtype=torch.float64, device=batch.image.device)
    middle = batch.sigma.square().mean(1)
    grid = torch.tensor(CORRELATIONS, device=batch.image.device)
    rho = batch.noise.correlation
    for number, result in enumerate(results):
        weight = (0.3, 0.5, 1.0)[number - len(results)]
        error, counted = curve_error(result, batch)
        total = total + weight * error[counted].sum() / len(error)
        if number == 0:
            continue
        upper = torch.searchsorted(grid, rho).clamp(1, len(grid) - 1)
        share = ((rho - grid[upper - 1]) / (grid[upper] - grid[upper - 1])).clamp(0, 1)
        log_p = result.correlation_logits.log_softmax(-1)
        cross = -(1 - share) * log_p.gather(1, upper[:, None] - 1)[:, 0] - share * log_p.gather(1, upper[:, None])[:, 0]
        total = total + 0.03 * weight * cross[counted].sum() / len(error)
        floor = (0.1 * middle.sqrt()).square() + 1e-12
        for estimate, truth in ((result.row_variance, batch.noise.row_noise), (result.column_variance, batch.noise.column_noise)):
            total = total + 0.05 * weight * log_ratio(estimate, truth.square(), floor).mean()
        impulses = result.low_impulse + result.high_impulse
        total = total + 0.05 * weight * log_ratio(impulses, batch.impulse_share, 1e-3).mean()
    error, counted = curve_error(results[-1], batch)
    return total.float(), {"curve": float(error[counted].detach().mean())}


def curve_objective(network: CurveNet, pool: CleanPool, batch_size: int) -> Callable[[torch.Generator], tuple[Tensor, dict[str, float]]]:
    """Batches of one size each: mostly 128 px, some 256 px and 64 px, with the same number of pixels."""

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        draw = float(torch.rand((), generator=generator, device=generator.device))
        size, n = (CROP, batch_size) if draw < 0.7 else (2 * CROP, max(batch_size // 4, 2)) if draw < 0.9 else (CROP // 2, 2 * batch_size)
        clean = pool.draw(n, size, generator)
        noise = sensor.sample("wide", n, generator)
        return curve_loss(network, sensor_batch(clean, noise, generator))

    return objective


def contrastive_objective(encoder: Encoder, pool: CleanPool, genomes: int) -> Callable[[torch.Generator], tuple[Tensor, dict[str, float]]]:
    """InfoNCE; steps alternate between the two genomes. Scene i is laid under genome i and under genome i+1: the hard negative."""

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        clean = pool.draw(genomes, CROP, generator)
        views = torch.cat([clean, clean.roll(1, 0)])
        kind = "paper" if float(torch.rand((), generator=generator, device=generator.device)) < 0.5 else "sensor"
        if kind == "paper":
            strengths = paper.sample(genomes, generator)
            image = paper.corrupt(views, strengths.repeat(2, 1), generator)
        else:
            noise = sensor.sample("wide", genomes, generator)
            both = noise.select(torch.arange(genomes, device=clean.device).repeat(2))
            image = sensor.corrupt(views, both, generator, container_step=1 / 65535).image
        projected = encoder.project(encoder(tokenize(image[:, None])))
        value = info_nce(projected[:genomes], projected[genomes:])
        return value, {kind: float(value.detach())}

    return objective
