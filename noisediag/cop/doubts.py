"""Does the law explain the picture? What is left over after the fit, in closed form; `cop.doubt_head` judges it.

Every block has its own estimate of the noise variance (`CurvePass.block_variance`). Here these are held against the
fitted curve: by other laws of light, by signal, by frequency, and by place. All of it is free of scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from noisediag.cop.closed_forms import MIN_VARIANCE
from noisediag.cop.curve import CORRELATIONS, MIN_GAIN, CurvePass
from noisediag.cop.layers import sort_blocks
from noisediag.cop.tokens import BAND_COUNTS, RADIAL, SHARES, Tokens, band_gains
from noisediag.engine import Tensor, functional, torch
from noisediag.genome.rician import rician_moments

PARTS = 4  # of the signal, with as much trust each
EDGE = 1e-9  # of a part, that the one before reaches beyond its end
CELLS = 4  # of a tile, in each direction
CELL_QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)
BLOCK_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
FINEST = slice(RADIAL - 4, RADIAL)  # the bands of the highest frequencies, where pictures have least
MIDDLE = slice(5, RADIAL - 4)  # rings below these
TOO_LITTLE = 0.02  # of the expected energy: less is the rounding of exact areas
ENOUGH_INSIDE = 0.05  # of the blocks; where fewer are so far inside, those count that have few pixels at an extreme
LITTLE_CLIPPED = 0.1
LEAST_TRUST = 1e-3  # of the curve's trust, in blocks that nothing clipped
QUIETEST, LEAST_QUIETEST = 0.03, 4  # of a region's blocks: their share, and their number at the least
UNCLIPPED = 3.5  # sigmas that a block's mean must lie inside the tile's extremes
LEAST = 1e-4  # of ratios whose logarithm is taken
MOST = 12.0  # of logarithms
RICIAN_STEPS = 8  # of the iteration that fits a Rician law
TABLE = 400  # points of the Rician variance, up to TABLE_END sigmas of signal
TABLE_END = 8.0


@dataclass(frozen=True)
class OtherFits:
    """Laws beside the one that was fitted, from the same blocks with the same weights."""

    rician: Tensor  # (B,) sigma of both parts of the complex signal, normalised
    grain: Tensor  # (B, 2) coefficients of x and x^2 in the variance
    line: Tensor  # (B, 2) slope and intercept of the straight line, both free
    line_error: Tensor  # (B,) standard error of the intercept
    line_excess: Tensor  # (B,) chi-square by which the line fits worse than the law; negative: better
    law_excess: Tensor  # (B, 3) the same of speckle with read noise, Rician and grain with read noise, over the line
    by_signal: Tensor  # (B, PARTS, 2) signal, and the blocks' variance over the fitted one
    by_cell: Tensor  # (B, 2) lowest and highest of the cells' variance over the fitted one, but for a tenth at each end
    # (B, 3, 2, 2) left and right half, upper and lower one, tiles: of the loudest and the quietest of each, the mean of
    # ln fine energy over the expected one in its quietest blocks, and the slope of their spectrum
    by_region: Tensor


@dataclass(frozen=True)
class Doubts:
    """What a `DoubtHead` reads, `(B, F)`, and the fits that stand in where the law does not hold."""

    features: Tensor
    fits: OtherFits


@dataclass(frozen=True)
class _Blocks:
    """Blocks of both grids that nothing has clipped, as they are held against the curve; all (B, N) float64."""

    signal: Tensor
    expected: Tensor  # variance by the curve
    ratio: Tensor  # the block's own estimate over it
    share: Tensor  # of the trust, sums to 1
    inside: Tensor  # bool
    order: Tensor  # of the signals, ascending
    rank: Tensor  # share of the trust up to each signal, in that order


def gather_doubts(tokens: Tokens, curve: CurvePass, step: Tensor) -> Doubts:
    """`step` (B,): normalised distance of adjacent levels, 0 where none."""
    expected = curve.variance(curve.signal)
    sigma = expected.sqrt()
    inside = (tokens.to_low > UNCLIPPED * sigma) & (tokens.to_high > UNCLIPPED * sigma)
    few = inside.double().mean(1, keepdim=True) < ENOUGH_INSIDE
    inside |= few & (tokens.low_share + tokens.high_share < LITTLE_CLIPPED)
    inside |= ~inside.any(1, keepdim=True)
    weight = curve.weight.double() * inside
    untrusted = weight.sum(1, keepdim=True) < LEAST_TRUST * curve.weight.sum(1, keepdim=True)
    weight = torch.where(untrusted, inside.double(), weight)  # all that clipping has left, where the curve trusts none
    share = weight / weight.sum(1, keepdim=True).clamp(min=1e-12)
    order = curve.signal.argsort(dim=1, stable=True)
    blocks = _Blocks(
        signal=curve.signal.double(),
        expected=expected,
        ratio=curve.block_variance / expected,
        share=share,
        inside=inside,
        order=order,
        rank=share.gather(1, order).cumsum(1),
    )
    fits, of_laws = _other_laws(blocks)
    parts, of_parts = _by_signal(tokens, blocks)
    ratio = tokens.energy[..., :RADIAL] / _expected_bands(curve, blocks, step)
    fine, middle = (ratio[..., bands] @ _shares(bands).to(ratio) for bands in (FINEST, MIDDLE))
    cells, of_cells = _by_place(tokens, blocks, fine, middle)
    regions = _quietest_of_regions(tokens, blocks, fine, middle)
    by_place = [of_cells, regions.flatten(1)]
    features = torch.cat(
        [of_laws, of_parts, _by_frequency(ratio, blocks), *by_place, _over_blocks(tokens, blocks, fine)], 1
    )
    features = features.nan_to_num(0, MOST, -MOST).clamp(-MOST, MOST).float()
    return Doubts(features, OtherFits(*fits, by_signal=parts, by_cell=cells, by_region=regions))


def _other_laws(blocks: _Blocks) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]:
    """What OtherFits begins with, and how well each law fits, `(B, .)`."""
    x, one = blocks.signal, torch.ones_like(blocks.signal)
    whole, full = _least_squares(blocks, (one, x, x.square()))
    line, of_line = _least_squares(blocks, (x, one))
    grain, of_grain = _least_squares(blocks, (x, x.square()))
    others = [_least_squares(blocks, basis)[1] for basis in ((one,), (x.square(),))]
    rician, of_rician = _rician(blocks)
    effective = 1 / blocks.share.square().sum(1)
    fitted = (blocks.share * (blocks.ratio - 1).square()).sum(1)
    scale = (blocks.share * blocks.expected).sum(1)
    quality = [_log((q + 1e-6) / (full + 1e-6)) for q in (fitted, of_line, of_grain, *others, of_rician)]
    proof = [torch.log1p(effective * (q - full).clamp(min=0) / (full + 1e-6)) / 4 for q in (fitted, of_line, *others)]
    error = _intercept_error(blocks, of_line)
    z = line[:, 1] / error
    zero = -line[:, 1] / line[:, 0].clamp(min=1e-12)
    bright, dark = (_quantile(blocks, q) for q in (0.97, 0.03))
    curvature = whole[:, 2] * bright.square() / scale
    features = [
        *quality,
        *proof,
        z.sign() * torch.log1p(z.abs()),
        (zero / bright.clamp(min=1e-6)).clamp(-3, 3),
        _log(bright.clamp(min=1e-6) / dark.clamp(min=1e-6)) / 2,
        curvature.sign() * torch.log1p(curvature.abs() * 10),
        grain[:, 1].sign() * torch.log1p((grain[:, 1] * bright.square() / scale).abs()),
        _log(effective) / 5,
        _log(rician / scale.sqrt()),
        _log(bright.clamp(min=1e-6) / scale.sqrt()),
        _log(dark.clamp(min=1e-6) / scale.sqrt()),
    ]
    excess = effective * (of_line - fitted) / (2 * full + 1e-9)  # both grids: half independent
    of_speckle = _least_squares(blocks, (one, x.square()))[1]
    chi = effective[:, None] / (2 * of_line[:, None] + 1e-9)
    beyond = chi * (torch.stack([of_speckle, of_rician, of_grain], 1) - of_line[:, None])
    return (rician, grain, line, error, excess, beyond), torch.stack(features, 1)


def _least_squares(blocks: _Blocks, basis: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Coefficients `(B, k)` of the variance in `basis`, each (B, N), and the mean squared relative residual `(B,)`."""
    columns = torch.stack(basis, -1) / blocks.expected[..., None]
    weighted = (blocks.share[..., None] * columns).transpose(1, 2)
    normal = weighted @ columns
    scale = normal.diagonal(dim1=1, dim2=2).clamp(min=1e-30).sqrt()
    ridge = 1e-9 * torch.eye(len(basis), dtype=normal.dtype, device=normal.device)
    scaled = normal / (scale[:, :, None] * scale[:, None]) + ridge
    right = (weighted @ blocks.ratio[..., None])[..., 0] / scale
    solved = torch.linalg.solve(scaled, right[..., None])[..., 0] / scale
    left = (columns @ solved[..., None])[..., 0] - blocks.ratio
    return solved, (blocks.share * left.square()).sum(1)


def _intercept_error(blocks: _Blocks, residual: Tensor) -> Tensor:
    """Standard error of the free line's intercept, `(B,)`, with blocks of both grids counted as half independent."""
    columns = torch.stack([blocks.signal, torch.ones_like(blocks.signal)], -1) / blocks.expected[..., None]
    normal = (blocks.share[..., None] * columns).transpose(1, 2) @ columns
    squares = (blocks.share.square()[..., None] * columns).transpose(1, 2) @ columns
    determinant = (normal[:, 0, 0] * normal[:, 1, 1] - normal[:, 0, 1].square()).clamp(min=1e-300)
    # of the second row of the inverse
    row = torch.stack([-normal[:, 0, 1], normal[:, 0, 0]], 1) / determinant[:, None]
    variance = (row[:, None] @ squares @ row[..., None])[:, 0, 0]
    return (2 * residual * variance).clamp(min=1e-300).sqrt()


@cache
def _rician_table() -> Tensor:
    """Variance of a Rician magnitude of unit sigma at means from the least one on, evenly spaced, (TABLE,)."""
    amplitude = torch.linspace(0, TABLE_END + 1, 4000, dtype=torch.float64)
    mean, variance = rician_moments(amplitude, torch.ones_like(amplitude))
    at = torch.linspace(float(mean[0]), TABLE_END, TABLE, dtype=torch.float64)
    upper = torch.searchsorted(mean, at).clamp(1, len(mean) - 1)
    part = (at - mean[upper - 1]) / (mean[upper] - mean[upper - 1])
    return variance[upper - 1] + part * (variance[upper] - variance[upper - 1])


def rician_variance(mean: Tensor, sigma: Tensor) -> Tensor:
    """Variance `(B, ...)` of a Rician magnitude where its `mean` (B, ...) is seen, for `sigma` (B,).

    >>> float(rician_variance(torch.tensor([[100.0]]), torch.tensor([2.0]))[0, 0])
    4.0
    """
    table = _rician_table().to(mean.device)
    width = sigma.reshape(-1, *(1,) * (mean.ndim - 1)).clamp(min=1e-9)
    least = math.sqrt(math.pi / 2)
    place = ((mean.double() / width - least) / (TABLE_END - least) * (TABLE - 1)).clamp(0, TABLE - 1)
    lower = place.floor().long().clamp(max=TABLE - 2)
    unit = torch.lerp(table[lower], table[lower + 1], place - lower)
    return width.square() * torch.where(place >= TABLE - 1, torch.ones_like(unit), unit)


def _rician(blocks: _Blocks) -> tuple[Tensor, Tensor]:
    """Sigma of the Rician law nearest to the blocks, `(B,)`, and its mean squared relative residual."""
    variance = blocks.ratio * blocks.expected
    sigma = (blocks.share * variance.clamp(min=0)).sum(1).clamp(min=1e-20).sqrt()
    for _ in range(RICIAN_STEPS):
        shape = rician_variance(blocks.signal, sigma) / blocks.expected
        change = (blocks.share * shape * blocks.ratio).sum(1) / (blocks.share * shape.square()).sum(1).clamp(min=1e-30)
        sigma = sigma * change.clamp(0.1, 10).sqrt()
    left = rician_variance(blocks.signal, sigma) / blocks.expected - blocks.ratio
    return sigma, (blocks.share * left.square()).sum(1)


def _by_signal(tokens: Tokens, blocks: _Blocks) -> tuple[Tensor, Tensor]:
    """`OtherFits.by_signal`, and of each part of the signal ratio, skewness and kurtosis."""
    rank = torch.empty_like(blocks.share).scatter_(1, blocks.order, blocks.rank)
    part = (rank * PARTS - EDGE).long().clamp(0, PARTS - 1)  # blocks of equal trust lie on an edge: not by rounding
    member = functional.one_hot(part, PARTS) * blocks.share[..., None]
    share = member / member.sum(1, keepdim=True).clamp(min=1e-12)
    second, third, fourth = tokens.moments.double().unbind(-1)

    def mean(values: Tensor) -> Tensor:
        return (share * values[..., None]).sum(1)

    ratio, signal = mean(blocks.ratio), mean(blocks.signal)
    skewness = mean(third / blocks.expected**1.5)
    kurtosis = mean(fourth / blocks.expected.square()) / mean(second / blocks.expected).square().clamp(min=1e-9)
    features = torch.cat([_log(ratio), skewness.clamp(-5, 5), _log(kurtosis / 3)], 1)
    return torch.stack([signal, ratio], 2), features


def _expected_bands(curve: CurvePass, blocks: _Blocks, step: Tensor) -> Tensor:
    """What curve, correlation and white share expect in each radial band of every block, `(B, N, RADIAL)`."""
    band = curve.correlation_logits.softmax(-1).double() @ _gains().to(blocks.share)
    uniform = (step.double().square() / 12)[:, None]
    darkest = (blocks.expected.amin(1, keepdim=True) - uniform).clamp(min=0)
    white = uniform + curve.white_logit.sigmoid().double()[:, None] * darkest
    return (blocks.expected - white).clamp(min=0)[..., None] * band[:, None] + white[..., None] + MIN_VARIANCE


def _by_frequency(ratio: Tensor, blocks: _Blocks) -> Tensor:
    """Mean logarithm of each band's energy in quiet trusted blocks over the expected one, `(B, RADIAL + 1)`."""
    quiet = blocks.share / (1 + blocks.ratio.clamp(min=0)).square()
    quiet = quiet / quiet.sum(1, keepdim=True).clamp(min=1e-12)
    half = torch.tensor(BAND_COUNTS[:RADIAL], dtype=torch.float64, device=ratio.device) / 2
    seen = (quiet[..., None] * (ratio + LEAST).log().clamp(max=MOST)).sum(1) - (half.digamma() - half.log())
    mean = seen @ torch.tensor(SHARES, dtype=torch.float64, device=ratio.device)
    return torch.cat([seen - mean[:, None], mean[:, None]], 1)


def _by_place(tokens: Tokens, blocks: _Blocks, fine: Tensor, middle: Tensor) -> tuple[Tensor, Tensor]:
    """`OtherFits.by_cell`, and how variance and fine energy over the expected one lie in the picture."""
    trusted = tokens.split(blocks.share)[0]
    trust = _cells(trusted)
    ratio = _cells(trusted * tokens.split(blocks.ratio)[0]) / trust.clamp(min=1e-15)
    there = trust > 0.2 * trust.mean(1, keepdim=True)
    own = _log(torch.where(there, ratio, torch.ones_like(ratio)))
    inside = tokens.split(blocks.inside.double())[0]
    inverse = tokens.split((fine + TOO_LITTLE).reciprocal().square())[0]  # quiet blocks count most
    quiet = -0.5 * _log(_cells(inside * inverse) / _cells(inside).clamp(min=1e-9) + 1e-9)
    at = torch.tensor(CELL_QUANTILES, dtype=own.dtype, device=own.device)
    features = []
    for values in (own, quiet):
        spread = values.quantile(at, 1).T
        tiles = torch.unflatten(values, 1, (tokens.grids[0][0], -1))
        of_tiles = tiles.mean(2)
        side = math.isqrt(tiles.shape[2])
        square = torch.unflatten(tiles, 2, (side, side))
        half, quarter = side // 2, side // 4
        lines = square.mean(3), square.mean(2)
        tilts = [(line[..., :half].mean(2) - line[..., half:].mean(2)).abs().amax(1) for line in lines]
        centre = square[..., quarter : side - quarter, quarter : side - quarter].mean((2, 3))
        rim = (of_tiles - centre).mean(1)
        features += [spread, of_tiles.amin(1)[:, None], of_tiles.amax(1)[:, None], torch.stack([*tilts, rim], 1)]
    features.append(_loud_and_quiet_cells(tokens, quiet, inside, fine, middle))
    ends = torch.tensor([0.1, 0.9], dtype=own.dtype, device=own.device)
    (low, high), (_, loud) = own.quantile(ends, 1), quiet.quantile(ends, 1)
    return torch.stack([low, torch.maximum(high, loud)], 1).exp(), torch.cat(features, 1)


def _quietest_of_regions(tokens: Tokens, blocks: _Blocks, fine: Tensor, middle: Tensor) -> Tensor:
    """`OtherFits.by_region`: the quietest blocks of opposite halves and of the tiles.

    Noise is everywhere, so where even the quietest blocks are loud, and flat, there is more of it.
    """
    level = (fine + TOO_LITTLE).log().masked_fill(~blocks.inside, torch.inf)
    slope = (fine + TOO_LITTLE).log() - (middle + TOO_LITTLE).log()
    levels, slopes = tokens.split(level)[0], tokens.split(slope)[0]
    rows, columns = levels.shape[2] // 2, levels.shape[3] // 2
    halves = [
        ((..., slice(None, columns)), (..., slice(columns, None))),
        ((slice(None), slice(None), slice(None, rows)), (slice(None), slice(None), slice(rows, None))),
    ]
    features = []
    for pair in halves:
        two = torch.stack([_quietest(levels[part].flatten(1), slopes[part].flatten(1)) for part in pair], 1)
        features.append(_extreme_regions(two))
    of_tiles = _quietest(levels.flatten(2), slopes.flatten(2))
    return torch.stack([*features, _extreme_regions(of_tiles)], 1)


def _quietest(level: Tensor, slope: Tensor) -> Tensor:
    """Mean level and slope of the quietest blocks along the last dimension, `(..., 2)`."""
    count = max(LEAST_QUIETEST, round(QUIETEST * level.shape[-1]))
    # Of equal ones, as those that do not count, the first: which they are must not depend on the machine.
    where = level.argsort(dim=-1, stable=True)[..., :count]
    lowest = level.gather(-1, where)
    return torch.stack([lowest.clamp(-MOST, MOST).mean(-1), slope.gather(-1, where).mean(-1)], -1)


def _extreme_regions(regions: Tensor) -> Tensor:
    """Of regions `(B, R, 2)` the one of the highest level and that of the lowest, `(B, 2, 2)`."""
    number = torch.arange(len(regions), device=regions.device)
    level = regions[..., 0]
    return torch.stack([regions[number, level.argmax(1)], regions[number, level.argmin(1)]], 1)


def _loud_and_quiet_cells(tokens: Tokens, level: Tensor, inside: Tensor, fine: Tensor, middle: Tensor) -> Tensor:
    """Level, slope of the spectrum and kurtosis in the loudest and the quietest quarter of the cells, `(B, 6)`.

    Texture falls towards high frequencies and has heavy tails; noise does neither, wherever it is strong.
    """
    slope = tokens.split((fine + TOO_LITTLE).log() - (middle + TOO_LITTLE).log())[0]
    second, _, fourth = (part.double() for part in tokens.moments.unbind(-1))
    kurtosis = tokens.split(_log(fourth / (3 * second.square() + 1e-30)))[0]
    there = _cells(inside).clamp(min=1e-9)
    of_cells = torch.stack([level, _cells(inside * slope) / there, _cells(inside * kurtosis) / there], 2)
    quarter = max(1, level.shape[1] // 4)
    order = level.argsort(dim=1, stable=True)
    ends = [order[:, :quarter], order[:, -quarter:]]
    return torch.cat([of_cells.gather(1, end[..., None].expand(-1, -1, 3)).mean(1) for end in ends], 1)


def _cells(grid: Tensor) -> Tensor:
    """Means over CELLS x CELLS cells of every tile: `(B, T, ny, nx)` to (B, T * cells)."""
    side = min(CELLS, *grid.shape[2:])
    side -= side % 2
    return functional.adaptive_avg_pool2d(grid, (side, side)).flatten(1)


def _over_blocks(tokens: Tokens, blocks: _Blocks, fine: Tensor) -> Tensor:
    """How the blocks' energies over the expected ones are spread: two populations show here."""
    whole = tokens.energy[..., :RADIAL].double() @ torch.tensor(SHARES, dtype=torch.float64, device=fine.device)
    count = blocks.inside.sum(1)
    at = torch.stack([(q * (count - 1)).round().long() for q in BLOCK_QUANTILES], 1)
    spreads = [
        sort_blocks(values.masked_fill(~blocks.inside, torch.inf)).gather(1, at)
        for values in (whole / blocks.expected, fine)
    ]
    return _log(torch.cat(spreads, 1))


@cache
def _gains() -> Tensor:
    """What each of CORRELATIONS leaves in each radial band, (C, RADIAL)."""
    return band_gains(CORRELATIONS).clamp(min=MIN_GAIN)[:, :RADIAL].double()


def _shares(bands: slice) -> Tensor:
    """Of the coefficients in `bands`, those in each."""
    counts = torch.tensor(BAND_COUNTS[bands], dtype=torch.float64)
    return counts / counts.sum()


def _log(values: Tensor) -> Tensor:
    return (values.clamp(min=0) + LEAST).log().clamp(-MOST, MOST)


def _quantile(blocks: _Blocks, at: float) -> Tensor:
    """Quantile of the signal, each block counting with its share, `(B,)`."""
    wanted = torch.full_like(blocks.rank[:, :1], at)
    place = torch.searchsorted(blocks.rank.contiguous(), wanted).clamp(max=blocks.rank.shape[1] - 1)
    return blocks.signal.gather(1, blocks.order.gather(1, place))[:, 0]
