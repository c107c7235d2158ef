"""The noise curve by learned iteratively reweighted least squares.

No network here outputs a scale. Each pass divides the energies of every block by the variance the current curve
expects there, so that a small network sees numbers free of scale; it answers which blocks and bands show noise and
not picture. The curve, row and column offsets and impulses then follow in closed form from all blocks, weighted.
Rescaling the picture rescales the answer exactly.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from noisediag.cop.tokens import BAND_COUNTS, BANDS, BLOCK, Tokens, band_gains

CORRELATIONS = (0.0, 0.35, 0.42, 0.5, 0.58, 0.67, 0.76, 0.86, 0.96, 1.07, 1.18, 1.3, 1.45, 1.6, 1.8, 2.1)  # px
MIN_GAIN = 1e-3  # a band that correlation has emptied further than this says nothing about the variance
MIN_VARIANCE = 1e-13  # normalised; far below one code of 16 bits
RELATIVE_FLOOR = 1e-3  # of the mean variance: below, a curve with a free intercept is extrapolating
RIDGE = 1e-5
MAX_LOG_RIDGE = 12.0  # a coefficient is switched off long before; beyond, arithmetic overflows
START_QUANTILE = 0.1
MAX_CORRECTION = 1.5
SUPPORTS = tuple(itertools.product((0.0, 1.0), repeat=3))  # which of (S, O, M^2) are in use
FEATURES = BANDS + 12


@dataclass(frozen=True)
class CurvePass:
    """What one pass knows.

    `law` is (shot, intercept, square): sigma2(x) = shot*x + intercept + square*x^2, q^2/12 included.
    """

    law: Tensor  # (B, 3) float64
    floor: Tensor  # (B,) float64; the variance never falls below
    correlation_logits: Tensor  # (B, len(CORRELATIONS))
    row_variance: Tensor  # (B,) may be negative: an unbiased estimate
    column_variance: Tensor  # (B,)
    low_impulse: Tensor  # (B,) share of isolated pixels at the lowest value
    high_impulse: Tensor  # (B,)
    context: Tensor  # (B, C) summary of the picture, free of scale
    weight: Tensor  # (B, N) of each block, mean 1
    normal: Tensor  # (B, 3, 3) weighted normal matrix of the relative fit, for its standard errors

    def variance(self, signal: Tensor) -> Tensor:
        """Variance at `signal` (B, ...), float64."""
        return law_variance(self.law, self.floor, signal)

    def correlation(self) -> Tensor:
        """Expected width of the kernel in px, `(B,)`; 0 for white noise."""
        grid = torch.tensor(CORRELATIONS, device=self.law.device)
        return self.correlation_logits.softmax(-1) @ grid


def law_variance(law: Tensor, floor: Tensor, signal: Tensor) -> Tensor:
    """Variance `(B, ...)` of a law `(B, 3)` with its floor `(B,)` at `signal` (B, ...); float64."""
    shape = (-1,) + (1,) * (signal.ndim - 1)
    x = signal.double()
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
    normal = torch.einsum("bn,bni,bnj->bij", share, basis, basis)
    right = torch.einsum("bn,bni,bn->bi", share, basis, target)
    scale = normal.diagonal(dim1=1, dim2=2).clamp(min=1e-30).sqrt()
    a = normal / (scale[:, :, None] * scale[:, None, :]) + torch.diag_embed(RIDGE + ridge.double())
    r = right / scale
    support = torch.tensor(SUPPORTS, dtype=torch.float64, device=basis.device)  # (7, 3)
    masked = a[:, None] * support[None, :, :, None] * support[None, :, None, :] + torch.diag_embed(1 - support)[None]
    theta = torch.linalg.solve(masked, (r[:, None] * support[None])[..., None])[..., 0]  # (B, 7, 3)
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
    of the frequencies.
    """
    numerator = denominator = torch.zeros((), device=weight.device)
    for c, w in zip(tokens.split(coefficients), tokens.split(weight), strict=True):
        wc = w[..., None] * c
        pairs = wc.sum(across).square() - wc.square().sum(across)  # (B, T, blocks, 7)
        numerator = numerator + (pairs * share[:, None, None]).sum((1, 2, 3))
        denominator = denominator + (w.sum(across).square() - w.square().sum(across)).sum((1, 2))
    return numerator / (BLOCK * denominator.clamp(min=1e-12))


class CurveNetPass(nn.Module):
    """One pass of reweighting."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.enter = nn.Linear(FEATURES, width)
        self.mix = nn.Linear(width, width)
        self.score = nn.Linear(width, heads)
        self.summary = nn.Linear((heads + 1) * width + 2, width)
        self.near = nn.Linear(2 * width, width)
        self.blocks = nn.Linear(width, 2 + BANDS + 4)
        self.score_again = nn.Linear(width, heads)
        self.context = nn.Linear((heads + 1) * width + width, width)
        self.picture = nn.Linear(width, len(CORRELATIONS) + 2 + 14)
        with torch.no_grad():  # start as plain least squares over all blocks and bands: efficient on flat fields
            self.blocks.weight.mul_(0.1)
            self.blocks.bias.zero_()
            self.blocks.bias[2 : 2 + BANDS] = torch.tensor(BAND_COUNTS).float().log()
            self.picture.weight.mul_(0.1)
            self.picture.bias.zero_()
            self.picture.bias[0] = 6.0  # white noise
            self.picture.bias[len(CORRELATIONS) : len(CORRELATIONS) + 2] = -4.0

    def pool(self, hidden: Tensor, score: nn.Linear) -> Tensor:
        attention = score(hidden).softmax(1)  # (B, N, heads)
        focused = torch.einsum("bnh,bnw->bhw", attention, hidden)
        return torch.cat([focused.flatten(1), hidden.mean(1)], 1)

    def forward(self, tokens: Tokens, features: Tensor, flags: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`features` (B, N, FEATURES), `flags` (B, 2).

        Returns numbers per block (B, N, 2 + BANDS + 4), per picture (B, .), and a context (B, width).
        """
        hidden = functional.gelu(self.mix(functional.gelu(self.enter(features))))
        summary = functional.gelu(self.summary(torch.cat([self.pool(hidden, self.score), flags], 1)))
        neighbours = []
        for grid in tokens.split(hidden):
            b, t, ny, nx, w = grid.shape
            planes = grid.reshape(b * t, ny, nx, w).permute(0, 3, 1, 2)
            pooled = functional.avg_pool2d(planes, 3, 1, 1, count_include_pad=False)
            neighbours.append(pooled.permute(0, 2, 3, 1).reshape(b, t, ny, nx, w))
        local = functional.gelu(self.near(torch.cat([hidden, tokens.join(neighbours)], -1)) + summary[:, None])
        context = functional.gelu(self.context(torch.cat([self.pool(local, self.score_again), summary], 1)))
        return self.blocks(local), self.picture(context), context


@dataclass(frozen=True)
class CurveConfig:
    """Size of the curve network; travels in the checkpoint."""

    width: int = 64
    heads: int = 3
    passes: int = 3


class CurveNet(nn.Module):
    """Tokens of a bag to its noise curve, pass by pass."""

    gains: Tensor

    def __init__(self, config: CurveConfig):
        super().__init__()
        self.config = config
        self.passes = nn.ModuleList(CurveNetPass(config.width, config.heads) for _ in range(config.passes))
        self.register_buffer("gains", band_gains(CORRELATIONS).clamp(min=MIN_GAIN), persistent=False)

    def forward(self, tokens: Tokens, step: Tensor, free_intercept: Tensor) -> list[CurvePass]:
        """All passes, the last one is the answer.

        `step` (B,) normalised distance of levels, 0: none; `free_intercept` (B,) bool: black is not known.
        """
        uniform = (step.double().square() / 12)[
            :, None
        ]  # variance that quantisation adds, white whatever the correlation
        expected = self.start(tokens).double() + uniform
        band = torch.ones(tokens.mean.shape[0], BANDS, device=tokens.mean.device)
        flags = torch.stack([free_intercept.float(), (tokens.mean.shape[1] / 1e3) ** -0.5 * torch.ones_like(step)], 1)
        results = []
        for network in self.passes:
            per_band = (expected - uniform).clamp(min=0)[..., None] * band[:, None] + uniform[..., None] + MIN_VARIANCE
            block, picture, context = network(tokens, self.features(tokens, per_band.float(), expected), flags)
            n = len(CORRELATIONS)
            logits = picture[:, :n]
            band = logits.softmax(-1) @ self.gains
            noise = (tokens.energy - uniform[..., None].float()) / band[:, None] + uniform[..., None].float()
            mixed = (noise * block[..., 2 : 2 + BANDS].softmax(-1)).sum(-1)
            corrected = mixed * torch.exp(MAX_CORRECTION * torch.tanh(block[..., 1] / MAX_CORRECTION))
            weight = (block[..., 0] - block[..., 0].amax(1, keepdim=True)).exp()
            relative = (corrected.double() / expected).clamp(max=1e3)
            x = tokens.mean.double()
            basis = torch.stack([x, torch.ones_like(x), x.square()], -1) / expected[..., None]
            ridge = (
                torch.stack([picture[:, n], torch.full_like(step, -torch.inf), picture[:, n + 1]], 1)
                .clamp(max=MAX_LOG_RIDGE)
                .exp()
            )
            law, normal = solve_law(basis, relative, weight, ridge, free_intercept)
            share = (weight / weight.sum(1, keepdim=True)).double()
            level = (share * corrected.double().clamp(min=0)).sum(1)
            floor = torch.maximum(RELATIVE_FLOOR * level, uniform[:, 0]) + MIN_VARIANCE
            expected = law_variance(law, floor, tokens.mean)
            gate = block[..., 2 + BANDS :].sigmoid() + 1e-6
            frequency = picture[:, n + 2 :].unflatten(1, (2, 7)).softmax(-1)
            results.append(
                CurvePass(
                    law=law,
                    floor=floor,
                    correlation_logits=logits,
                    row_variance=shared_offset_variance(tokens, tokens.rows, gate[..., 0], frequency[:, 0], across=3),
                    column_variance=shared_offset_variance(
                        tokens, tokens.columns, gate[..., 1], frequency[:, 1], across=2
                    ),
                    low_impulse=(gate[..., 2] * tokens.low_impulses).sum(1) / gate[..., 2].sum(1),
                    high_impulse=(gate[..., 3] * tokens.high_impulses).sum(1) / gate[..., 3].sum(1),
                    context=context,
                    weight=weight / weight.mean(1, keepdim=True),
                    normal=normal,
                )
            )
        return results

    def start(self, tokens: Tokens) -> Tensor:
        """A rough variance, `(B, 1)`: between the quiet blocks' highest band and their mean energy.

        Blocks without any energy do not count.
        """
        counts = torch.tensor(BAND_COUNTS, device=tokens.energy.device).float()
        whole = tokens.energy @ (counts / counts.sum())
        quiet = torch.nanquantile(whole.masked_fill(whole <= MIN_VARIANCE, torch.nan), START_QUANTILE, 1)
        highest = tokens.energy[..., -1]
        fine = torch.nanquantile(highest.masked_fill(highest <= MIN_VARIANCE, torch.nan), START_QUANTILE, 1)
        rough = (quiet.nan_to_num(0).clamp(min=MIN_VARIANCE) * fine.nan_to_num(0).clamp(min=MIN_VARIANCE)).sqrt()
        return rough[:, None]

    def features(self, tokens: Tokens, per_band: Tensor, expected: Tensor) -> Tensor:
        """`(B, N, FEATURES)`, free of scale: energies over the expected ones, distances in units of sigma, shares."""
        sigma = (expected + MIN_VARIANCE).sqrt().float()
        ratio = (tokens.energy / per_band + 1e-4).log().clamp(-9, 9)
        near = []
        for grid in tokens.split(tokens.mean[..., None]):
            b, t, ny, nx, _ = grid.shape
            pooled = functional.avg_pool2d(grid.reshape(b * t, 1, ny, nx), 3, 1, 1, count_include_pad=False)
            near.append(pooled.reshape(b, t, ny, nx, 1))
        slope = (tokens.mean - tokens.join(near)[..., 0]).abs()

        def distance(value: Tensor) -> Tensor:
            return torch.log1p((value / sigma).clamp(min=0, max=1e4))

        distances = [tokens.mean, tokens.to_low, tokens.to_high, slope]
        shares = [tokens.low_share, tokens.high_share, tokens.low_impulses, tokens.high_impulses]
        row_ratio = tokens.rows.square().mean(-1), tokens.columns.square().mean(-1)
        energy = tokens.energy.mean(-1)
        extra = [
            *(distance(d) for d in distances),
            *((s + 1e-3).log() for s in shares),
            *((r / (energy + MIN_VARIANCE) + 1e-3).log() for r in row_ratio),
            (energy <= MIN_VARIANCE).float(),
            (tokens.low_impulses + tokens.high_impulses) * 10,
        ]
        return torch.cat([ratio, torch.stack(extra, -1)], -1)
