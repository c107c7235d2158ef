"""What follows from weighted blocks in closed form: the noise law, offsets of rows and columns, rounding, impulses.

Nothing here is learned; the networks of `cop.curve` say which blocks to trust.
"""

from __future__ import annotations

import itertools
import math

from noisediag.cop.tokens import BAND_COUNTS, BLOCK, SHARES, Tokens
from noisediag.engine import Tensor, torch

MIN_VARIANCE = 1e-13  # Normalised, (3e-7)^2: far below one code of 16 bits, (1.5e-5)^2. Keeps logarithms finite.
RIDGE = 1e-5  # On columns scaled to unit energy, so that the normal matrix of a picture of one level can be solved.
MAX_SIGMAS = 6.0  # No Gaussian noise reaches farther in any picture: 2e-9 of the pixels.
FLAT_BLOCKS = 64  # that it takes to tell nothing but white noise
FLAT_ERRORS = 4.5  # standard errors that means and bands of white noise may lie off
FLAT_BAND = 0.01  # relative, that they may lie off in any case: impulses, which are replaced, leave as much
# Variance of the blocks' variances over that of Gaussian noise: few levels make it less, chance more.
FLAT_SPREAD = (0.7, 1.5)
FLAT_EXTREME = 0.02  # of the pixels, at most, have the lowest value, and the highest
SUPPORTS = tuple(itertools.product((0.0, 1.0), repeat=3))  # which of (S, O, M^2) are in use


def law_variance(law: Tensor, floor: Tensor, signal: Tensor) -> Tensor:
    """Variance `(B, ...)` of a law `(B, 3)` with its floor `(B,)` at `signal` (B, ...), in the law's precision."""
    shape = (-1,) + (1,) * (signal.ndim - 1)
    x = signal.to(law.dtype)
    shot, intercept, square = (law[:, i].reshape(shape) for i in range(3))
    return torch.maximum(shot * x + intercept + square * x.square(), floor.reshape(shape))


def solve_law(
    basis: Tensor, target: Tensor, weight: Tensor, ridge: Tensor, free_intercept: Tensor
) -> tuple[Tensor, Tensor]:
    """Weighted least squares with coefficients >= 0, in closed form over all supports.

    `basis` (B, N, 3), `target` (B, N), `weight` (B, N), `ridge` (B, 3) on columns scaled to unit energy,
    `free_intercept` (B,) bool: the second coefficient may be negative. Returns the coefficients (B, 3) and the normal
    matrix (B, 3, 3), float64.
    """
    total = weight.sum(1, keepdim=True)
    share = (weight / total).double()
    basis, target = basis.double(), target.double()
    weighted = (share[..., None] * basis).transpose(1, 2)
    normal = weighted @ basis
    right = (weighted @ target[..., None])[..., 0]
    scale = normal.diagonal(dim1=1, dim2=2).clamp(min=1e-30).sqrt()
    a = normal / (scale[:, :, None] * scale[:, None, :]) + torch.diag_embed(RIDGE + ridge.double())
    r = right / scale
    support = torch.tensor(SUPPORTS, dtype=torch.float64, device=basis.device)  # (8, 3)
    masked = a[:, None] * support[None, :, :, None] * support[None, :, None, :] + torch.diag_embed(1 - support)[None]
    theta = torch.linalg.solve(masked, (r[:, None] * support[None])[..., None])[..., 0]  # (B, 8, 3)
    objective = -(theta * r[:, None] * support).sum(-1)  # of the minimum: theta'A theta - 2 theta'r = -theta'r
    negative = (theta < 0) & (support > 0)[None]
    negative[:, :, 1] &= ~free_intercept[:, None]
    objective = objective.masked_fill(negative.any(-1), torch.inf)
    best = objective.argmin(1)
    chosen = theta.gather(1, best[:, None, None].expand(-1, 1, 3))[:, 0] * support[best]
    return chosen / scale, normal * total.double()[..., None]


def shared_offset_variance(tokens: Tokens, coefficients: Tensor, weight: Tensor, share: Tensor, across: int) -> Tensor:
    """Variance of an offset shared by a row (across=3) or a column (across=2) of a tile, `(B,)`.

    A weighted U-statistic: products of the same coefficient in different blocks of one row of blocks, whose
    expectation is 8 sigma_row^2 and holds no pixel noise. `coefficients` (B, N, 7), `weight` (B, N), `share` (B, 7)
    of the frequencies. Blocks that others stand for do not count: a copy beside its original has all noise in common.
    """
    if tokens.left_out is not None:
        weight = weight * ~tokens.left_out
    numerator = denominator = torch.zeros((), device=weight.device)
    for c, w in zip(tokens.split(coefficients), tokens.split(weight), strict=True):
        wc = w[..., None] * c
        pairs = wc.sum(across).square() - wc.square().sum(across)  # (B, T, blocks, 7)
        numerator = numerator + (pairs * share[:, None, None]).sum((1, 2, 3))
        denominator = denominator + (w.sum(across).square() - w.square().sum(across)).sum((1, 2))
    return numerator / (BLOCK * denominator.clamp(min=1e-12))


def replaced_tails(tokens: Tokens, variance: Tensor) -> Tensor:
    """Variance that the search for impulses took from noise of `variance` (B, N) by replacing its extremes, `(B, N)`.

    On a coarse lattice several pixels share the lowest or highest level, and stand out as impulses do.
    """
    reach = MAX_SIGMAS * variance.sqrt()
    low = tokens.low_impulses * tokens.to_low.square() * (tokens.to_low < reach)
    high = tokens.high_impulses * tokens.to_high.square() * (tokens.to_high < reach)
    return low + high


def nothing_but_white_noise(tokens: Tokens) -> Tensor:
    """Whether a bag is flat under white noise, `(B,)` bool, as far as its blocks can tell.

    Their means differ as their pixels' variance lets means of 64 pixels differ, every band has the energy of the whole,
    and the variances of blocks differ as those of Gaussian noise do.
    """
    blocks = tokens.mean.shape[1]
    energy = tokens.energy[..., : len(SHARES)].double()
    whole = energy @ torch.tensor(SHARES, device=energy.device).double()  # (B, N)
    variance = whole.mean(1).clamp(min=MIN_VARIANCE)
    of_means = BLOCK**2 * tokens.mean.double().std(1).square() / variance
    bands = energy.mean(1) / variance[:, None]
    counts = torch.tensor([1, *BAND_COUNTS[: len(SHARES)]], device=energy.device).double()
    error = (FLAT_ERRORS * (2 / (blocks * counts)).sqrt()).clamp(min=FLAT_BAND)
    even = ((torch.cat([of_means[:, None], bands], 1) - 1).abs() < error).all(1)
    spread = whole.std(1).square() / variance.square() * (BLOCK**2 - 1) / 2
    low, high = FLAT_SPREAD
    inside = (tokens.low_share.mean(1) < FLAT_EXTREME) & (tokens.high_share.mean(1) < FLAT_EXTREME)
    there = (variance > MIN_VARIANCE) & (blocks >= FLAT_BLOCKS)
    return even & inside & there & (spread > low) & (spread < high)


def quantisation_ripple(variance: Tensor, step: Tensor, distance: Tensor, distance_error: Tensor) -> Tensor:
    """What rounding Gaussian noise to levels adds to its `variance` (B, N) beyond step^2/12, `(B, N)`.

    It depends on where the mean lies between two levels, and averages out where that varies: first harmonic of the
    exact series (Widrow & Kollar 2008), -(4*variance + step^2/pi^2) * exp(-2*pi^2*variance/step^2) *
    cos(2*pi*distance/step). `step` (B, 1), 0 for none; `distance` (B, N) of the mean to any level; the variance of
    its error, `distance_error` (B, N), damps the cosine by exp(-2*pi^2*distance_error/step^2), which is undone here.
    """
    some = step.clamp(min=MIN_VARIANCE**0.5)
    damped = torch.exp(-2 * math.pi**2 * (variance - distance_error) / some.square())
    ripple = -(4 * variance + (step / math.pi).square()) * damped * torch.cos(2 * math.pi * distance / some)
    return torch.where(step > 0, ripple, torch.zeros_like(ripple))


def visible_share(isolated: Tensor, gate: Tensor, visible: Tensor) -> Tensor:
    """Share of all pixels that impulses changed visibly, `(B,)`: their rate where they can be seen, times that area.

    `isolated` (B, N) share of each block, `gate` (B, N) trust in it, `visible` (B, N) bool.
    """
    trusted = gate * visible
    return (trusted * isolated).sum(1) / (trusted.sum(1) + 1e-6) * visible.float().mean(1)
