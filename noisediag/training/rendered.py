"""The loss of the rendered network, and batches of photographs by simulated cameras."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.cop.rendered import RenderedNet, RenderedPass, RenderedReading
from noisediag.cop.rendered_tokens import interpolated
from noisediag.genome.rendered import CODES
from noisediag.training.fit import Objective
from noisediag.training.losses import pinball
from noisediag.training.photographs import KEPT, RenderedSet, photographs
from noisediag.training.pictures import CROP, CleanPool

LEAST_SIGMA = 0.5 / CODES  # Less than half a code is not there to be measured.
CLIPPED = 1.0 / CODES  # Clean signal this close to black or white is not scored.
MAX_ERROR = 1.5  # of |ln sigma ratio| in the loss: a factor of 4.5
FINE_ERROR = 0.02  # Below, the loss falls faster, as that of `objectives.curve_loss` does.
FINE_WEIGHT = 0.02
LEVELS = (0.05, 0.95)  # of the interval
READ_AT_ONCE = 16  # pictures: what fits into memory at LARGE_PX
LARGE_PX = 224
TOGETHER = 2  # scenes of CROP px that one camera takes


def scored(truth: RenderedSet) -> Tensor:
    """Which levels of the curves count, `(N, P, LEVELS)`."""
    lit = (truth.signal > CLIPPED) & (truth.signal < 1 - CLIPPED)
    return lit & (truth.sigma >= LEAST_SIGMA)


def excess(result: RenderedPass, truth: RenderedSet) -> Tensor:
    """By how much the curve says LEAST_SIGMA and more where there is less, mean of ln over levels, `(N, P)`."""
    lit = (truth.signal > CLIPPED) & (truth.signal < 1 - CLIPPED)
    absent = lit & (truth.sigma < LEAST_SIGMA)
    above = (result.log_sigma(truth.signal) - math.log(LEAST_SIGMA)).clamp(min=0, max=MAX_ERROR)
    return (above * absent).sum(-1) / absent.sum(-1).clamp(min=1)


def curve_error(result: RenderedPass, truth: RenderedSet) -> Tensor:
    """Mean |ln(sigma / true sigma)| over the scored levels, `(N, P)`; 0 where there is none."""
    off = (result.log_sigma(truth.signal) - truth.sigma.clamp(min=1e-9).log()).abs().clamp(max=MAX_ERROR)
    counted = scored(truth)
    return (off * counted).sum(-1) / counted.sum(-1).clamp(min=1)


def rendered_loss(network: RenderedNet, tiles: Tensor, truth: RenderedSet) -> tuple[Tensor, dict[str, float]]:
    """`tiles` (B, T, 3, h, w), codes / 255, all gray or all in colour. The curve at every pass; the rest once."""
    results, reading = network(tiles)
    truth = truth if reading.lag1.shape[1] > 1 else truth.luma()
    total = torch.zeros((), device=tiles.device)
    some = scored(truth).any(-1)
    for number, result in enumerate(results):
        error = curve_error(result, truth)
        value = error + FINE_WEIGHT * (error / FINE_ERROR).log1p() + 0.5 * error.square()
        value = value.sum() / some.sum().clamp(min=1) + 0.5 * excess(result, truth).mean()
        total = total + {1: 1.0, 2: 0.5}.get(len(results) - number, 0.3) * value
    traits, numbers = traits_loss(reading, truth)
    return total + traits, {"curve": float(error.detach().sum() / some.sum().clamp(min=1)), **numbers}


def traits_loss(reading: RenderedReading, truth: RenderedSet) -> tuple[Tensor, dict[str, float]]:
    """Correlations, areas, flags and the width of the intervals."""
    seen = scored(truth).any(-1)  # (N, P) planes that have noise at all
    weight = seen / seen.sum().clamp(min=1)
    lag = ((reading.lag1 - truth.lag1).abs().mean(-1) * weight).sum()
    areas = (reading.areas.clamp(min=1e-3).log() - truth.areas.clamp(min=1e-2).log()).abs().mean(-1)
    areas = (areas * weight).sum()
    every = seen.all(1)
    channels = ((reading.channels - truth.channels).abs().mean(-1) * every).sum() / every.sum().clamp(min=1)
    known = truth.flags.isfinite() & every[:, None]
    flags = functional.binary_cross_entropy_with_logits(reading.flags, truth.flags.nan_to_num(), reduction="none")
    flags = (flags * known).sum() / known.sum().clamp(min=1)
    counted = scored(truth)
    middle = reading.curve.log_sigma(truth.signal).detach()
    miss = (truth.sigma.clamp(min=1e-9).log() - middle).clamp(-MAX_ERROR, MAX_ERROR)
    widths = torch.stack(
        [-interpolated(reading.spread[..., 0], truth.signal), interpolated(reading.spread[..., 1], truth.signal)]
    )
    quantile = sum(pinball(miss - widths[i], torch.tensor(LEVELS[i])) for i in (0, 1))
    quantile = (quantile * counted).sum() / counted.sum().clamp(min=1)
    total = lag + 0.4 * areas + 0.3 * channels + 0.1 * flags + quantile
    return total, {"lag": float(lag.detach()), "areas": float(areas.detach()), "flags": float(flags.detach())}


def rendered_objective(network: RenderedNet, pool: CleanPool, batch_size: int, phones: float = 0.0) -> Objective:
    """Photographs taken for each step anew: `batch_size` of CROP px, or about as many pixels in some of LARGE_PX.

    `phones`: share of them by cameras of the second kind. Pictures without colour, at which the network looks in
    another way, are a part of their own.
    """
    shapes = ((CROP, batch_size, TOGETHER), (LARGE_PX, round(batch_size * (CROP / LARGE_PX) ** 2), 1))
    device = next(network.parameters()).device

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        camera = torch.Generator().manual_seed(int(torch.randint(2**31, (), generator=generator, device=device)))
        size, count, together = shapes[int(torch.randint(len(shapes), (), generator=camera))]
        cameras = max(1, count // (KEPT * together))
        taken = [photographs(pool, size, together, KEPT, camera, phones=phones) for _ in range(cameras)]
        data = RenderedSet.join(taken).to(device)
        symmetry = int(torch.randint(8, (), generator=camera))
        total = torch.zeros((), device=device)
        numbers: dict[str, float] = {}
        for part in (data.gray.nonzero()[:, 0], (~data.gray).nonzero()[:, 0]):
            if not len(part):
                continue
            some = data.select(part)
            both = RenderedSet.join([some] * KEPT)
            picture, truth = turned(some.pictures.transpose(0, 1).flatten(0, 1), both, symmetry)
            loss, said = rendered_loss(network, picture[:, None].float() / CODES, truth)
            share = len(part) / len(data)
            total = total + share * loss
            numbers = {name: numbers.get(name, 0.0) + share * value for name, value in said.items()}
        return total, numbers

    return objective


def turned(pictures: Tensor, truth: RenderedSet, symmetry: int) -> tuple[Tensor, RenderedSet]:
    """`pictures` (N, 3, H, W) mirrored or turned in one of 8 ways; turning swaps the two lags."""
    if symmetry & 1:
        pictures = pictures.flip(-1)
    if symmetry & 2:
        pictures = pictures.flip(-2)
    if symmetry & 4:
        pictures, truth = pictures.transpose(-1, -2), replace(truth, lag1=truth.lag1.flip(-1))
    return pictures, truth


def readings(network: RenderedNet, sets: list[RenderedSet]) -> Iterator[tuple[RenderedReading, RenderedSet]]:
    """What the network says of the first photograph of every scene, and the truth of the planes it has looked at."""
    for data in sets:
        alike = [torch.split(kind.nonzero()[:, 0], READ_AT_ONCE) for kind in (data.gray, ~data.gray)]
        for part in (part for kind in alike for part in kind if len(part)):
            truth = data.select(part)
            with torch.inference_mode():
                _, reading = network(truth.pictures[:, :1].float() / CODES)
            yield reading, truth if reading.lag1.shape[1] > 1 else truth.luma()
