"""The noise of rendered pictures by learned iteratively reweighted least squares, with a free curve and spectrum.

As in `cop.curve`, no network outputs a scale: every pass divides the energies of each 8x8 block by what curve and
spectrum so far let expect there, and a small network says which blocks and bands show noise. What a camera has made of
the noise follows no law in x, so that the curve has free knots, and is not white, so that every band has a gain of its
own. Red, green, blue and luma are read side by side and know of each other; two coarser scales show the blotches that
denoising leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from noisediag.cop.curve import (
    LEAST_WEIGHT,
    LOG_BANDS,
    LOG_BIAS,
    MAX_CORRECTION,
    MOST_RELATIVE,
    START_QUANTILE,
    WEIGHT_START,
    ascending,
    enter,
    neighbourhood,
)
from noisediag.cop.tokens import (
    BAND_COUNTS,
    BANDS,
    BLOCK,
    GROUPS,
    RADIAL,
    SHARES,
    Tokens,
    band_energies,
    band_matrix,
    dct_matrix,
    ring_mean,
    tokenize,
)
from noisediag.genome import camera
from noisediag.genome.rendered import AREAS, CODES, PLANES

KNOTS = 12  # of the curve, evenly over the square root of the signal: it bends most in the shadows
COARSE = (2, 4)  # areas that are averaged for the coarser scales
LOOKED_AT = 6  # R, G, B, luma and the two colour differences, which only lend their features
MIN_VARIANCE = (0.02 / CODES) ** 2  # far below rounding
RIDGE = 1e-3
FLAGS = ("processed", "denoised", "upscaled")
SMALLEST_SIDE = 8 * max(COARSE)
EXTRA = 14
CROSS = 3 * 3  # energies of luma and colour differences in three parts of the spectrum
PHASES = 4  # places in the 2 x 2 cell of a colour filter array
FEATURES = BANDS + len(COARSE) * RADIAL + GROUPS + EXTRA + CROSS + PHASES
QUIET = (0.02, 0.1, 0.3)  # quantiles over the blocks
SPECTRUM = BANDS + len(COARSE) * RADIAL
PROFILE = len(QUIET) * SPECTRUM + PHASES
BLOCK_OUTPUTS = (1, 1, BANDS, SPECTRUM)  # weight, correction, mix of bands, trust in each band
PICTURE_OUTPUTS = (SPECTRUM, KNOTS, 1)  # corrections of spectrum and curve, stiffness of the curve
TRAITS = (2, len(AREAS), 3, len(FLAGS), 2 * KNOTS)  # lags, areas, channels, flags, half-widths of the interval


@dataclass(frozen=True)
class RenderedPass:
    """What one pass knows of the P = 4 planes of B pictures."""

    log_variance: Tensor  # (B, P, KNOTS) of the noise, codes / 255
    log_spectrum: Tensor  # (B, P, SPECTRUM) energies over the variance; white noise would be 0 at the first scale
    context: Tensor  # (B, P, C)

    def log_sigma(self, signal: Tensor) -> Tensor:
        """ln sigma at `signal` (B, P, ...), between the knots by straight lines in the variance over sqrt(signal)."""
        return interpolated(self.log_variance.exp(), signal).clamp(min=MIN_VARIANCE / 1e3).log() / 2


def interpolated(knots: Tensor, signal: Tensor) -> Tensor:
    """Values at the knots (B, P, KNOTS) read at `signal` (B, P, ...), by straight lines over sqrt(signal)."""
    position = signal.clamp(0, 1).sqrt() * (KNOTS - 1)
    low = position.floor().clamp(max=KNOTS - 2).long()
    at = low.flatten(2)
    left, right = (knots.gather(2, at + i).reshape(signal.shape) for i in (0, 1))
    return torch.lerp(left, right, position - low)


@dataclass(frozen=True)
class RenderedReading:
    """The answer for B pictures; P = 4 planes."""

    curve: RenderedPass
    lag1: Tensor  # (B, P, 2) horizontally, vertically
    areas: Tensor  # (B, P, len(AREAS)) SD after averaging over the SD of a pixel
    channels: Tensor  # (B, 3) R and G, G and B, R and B
    flags: Tensor  # (B, len(FLAGS)) logits
    spread: Tensor  # (B, P, KNOTS, 2) half-widths of the interval of ln sigma, below and above


@dataclass(frozen=True)
class RenderedConfig:
    """Size of the rendered network; travels in the checkpoint."""

    width: int = 64
    heads: int = 3
    passes: int = 3


def planes_of(tiles: Tensor) -> Tensor:
    """`(B, T, 3, h, w)` to the planes looked at, (B, LOOKED_AT, T, h, w)."""
    red, green, blue = tiles.unbind(2)
    luma = camera.luma(tiles)
    return torch.stack([red, green, blue, luma, (blue - luma) / 2, (red - luma) / 2], 1)


def coarse_energy(tiles: Tensor, area: int) -> Tensor:
    """Band energies of the picture averaged over squares of `area` px, for every block of the first grid.

    `(B, T, h, w)` to `(B, T * ny * nx, RADIAL)`; blocks of 8 x 8 averages cover several of the fine ones.
    """
    count, number, height, width = tiles.shape
    small = functional.avg_pool2d(tiles.reshape(count * number, 1, height, width), area)[:, 0]
    rows, columns = small.shape[1] // BLOCK, small.shape[2] // BLOCK
    cut = small[:, : rows * BLOCK, : columns * BLOCK].reshape(-1, rows, BLOCK, columns, BLOCK).transpose(2, 3)
    blocks = cut.reshape(count * number, rows, columns, BLOCK**2)
    coefficients = (blocks - blocks.mean(-1, keepdim=True)) @ dct_matrix().to(tiles).T
    energy = coefficients.square() @ band_matrix().to(tiles)[:, :RADIAL]
    down = (torch.arange(height // BLOCK, device=tiles.device) // area).clamp(max=rows - 1)
    across = (torch.arange(width // BLOCK, device=tiles.device) // area).clamp(max=columns - 1)
    return energy[:, down][:, :, across].reshape(count, -1, RADIAL)


@dataclass(frozen=True)
class RenderedTokens:
    """What is seen of the P planes of B pictures, as bags P * B: R, G, B and luma, or luma alone where all are gray."""

    tokens: Tokens  # of the first grid
    energy: Tensor  # (B * P, N, SPECTRUM) of all scales
    cross: Tensor  # (B * P, N, CROSS) energies of luma and colour differences, the same for every plane
    basis: Tensor  # (B * P, N, KNOTS) share of each block's pixels at each knot of the curve
    phases: Tensor  # (B * P, N, PHASES) ln of the fine detail's energy at each place of a 2 x 2 cell, about their mean
    phase: Tensor  # (B * P, PHASES) the same over the whole picture; weakest place first, in both
    quiet: Tensor  # (B * P, len(QUIET) * SPECTRUM) ln energy of each band in the quietest blocks
    pictures: int

    @property
    def planes(self) -> int:
        return len(self.energy) // self.pictures

    def by_picture(self, values: Tensor) -> Tensor:
        return values.unflatten(0, (self.pictures, self.planes))


def tokens_of(tiles: Tensor, own: Tokens | None = None) -> RenderedTokens:
    """`tiles` (B, T, 3, h, w), codes / 255; h, w multiples of 8 from SMALLEST_SIDE on.

    Where every picture is gray, its planes are equal and only luma is looked at. `own`: tokens of the planes' first
    grid where they are there already, as bags P * B of RenderedTokens.
    """
    count = len(tiles)
    gray = bool((tiles[:, :, 0] == tiles[:, :, 1]).all() and (tiles[:, :, 1] == tiles[:, :, 2]).all())
    looked_at = tiles[:, None, :, 0] if gray else planes_of(tiles)
    members = min(looked_at.shape[1], len(PLANES))
    mine, differences = looked_at[:, :members].flatten(0, 1), looked_at[:, members:].flatten(0, 1)
    if own is not None and len(own.mean) > len(mine):  # no colour where it was looked at, though there is elsewhere
        own = own.select(torch.arange(count, device=tiles.device) * len(PLANES) + len(PLANES) - 1)
    tokens = tokenize(mine, grids=1) if own is None else own
    thirds = _thirds(tokens.energy.unflatten(0, (count, members))[:, -1:])  # (B, 1, N, 3) of luma
    if gray:
        thirds = torch.cat([thirds, torch.zeros_like(thirds).expand(-1, 2, -1, -1)], 1)
    else:
        coloured = _thirds(band_energies(differences)).unflatten(0, (count, LOOKED_AT - members))
        thirds = torch.cat([thirds, coloured], 1)
    cross = thirds.permute(0, 2, 1, 3).flatten(2)  # (B, N, 9)
    cross = cross[:, None].expand(-1, members, -1, -1).flatten(0, 1)
    energy = torch.cat([tokens.energy, *(coarse_energy(mine, area) for area in COARSE)], -1)
    phases, phase = phase_energies(mine)
    return RenderedTokens(
        tokens=tokens,
        energy=energy,
        cross=cross,
        basis=signal_shares(mine),
        phases=phases,
        phase=phase,
        quiet=quiet_profile(energy),
        pictures=count,
    )


def _thirds(energy: Tensor) -> Tensor:
    """Mean energies `(..., 3)` along rows and columns, of the lower half and of the upper half; of (..., BANDS)."""
    return torch.stack([energy[..., part].mean(-1) for part in (slice(0, 4), slice(4, 8), slice(8, RADIAL))], -1)


def signal_shares(planes: Tensor) -> Tensor:
    """What part of each block lies at each knot of the curve, `(B, N, KNOTS)`; `planes` (B, T, h, w).

    Within a block the signal varies, and with it the noise: a curve that bends is not that of the block's mean. The
    signal is the mean of 3 x 3 pixels.
    """
    count, _, height, width = planes.shape
    smooth = neighbourhood(planes[..., None]).reshape(-1, height, width)
    position = smooth.clamp(0, 1).sqrt() * (KNOTS - 1)
    low = position.floor().clamp(max=KNOTS - 2)
    rows, columns = height // BLOCK, width // BLOCK
    block = torch.arange(len(smooth) * rows * columns, device=planes.device).reshape(-1, rows, 1, columns, 1)
    at = low.long().reshape(-1, rows, BLOCK, columns, BLOCK) + KNOTS * block
    above = (position - low).reshape(at.shape)
    # One pixel of every block after another: additions to one and the same place would wait for each other.
    at, above = (values.permute(2, 4, 0, 1, 3).reshape(-1) for values in (at, above))
    shares = torch.zeros(block.numel() * KNOTS, device=planes.device, dtype=planes.dtype)
    shares.index_add_(0, at, 1 - above).index_add_(0, at + 1, above)
    return (shares / BLOCK**2).reshape(count, -1, KNOTS)


def quiet_profile(energy: Tensor) -> Tensor:
    """ln energy of each band at the quantiles QUIET over the blocks: noise is everywhere, content is not."""
    ordered = ascending(energy)
    at = [round(q * (energy.shape[1] - 1)) for q in QUIET]
    return (ordered[:, at] + MIN_VARIANCE / 16).log().flatten(1)


def phase_energies(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Fine detail at the four places of 2 x 2 cells, see `RenderedTokens`; `planes` (B, T, h, w).

    Where a colour was measured its noise is stronger than where demosaicing has filled it in, and no content is.
    """
    count, _, height, width = planes.shape
    tiles = planes.flatten(0, 1)
    detail = (tiles - ring_mean(tiles)).square()
    cells = detail.reshape(-1, height // BLOCK, BLOCK // 2, 2, width // BLOCK, BLOCK // 2, 2)
    logs = (cells.mean((2, 5)) + MIN_VARIANCE).log()  # (B * T, ny, 2, nx, 2)
    logs = logs.permute(0, 1, 3, 2, 4).reshape(count, -1, PHASES)
    logs = logs - logs.mean(-1, keepdim=True)
    whole = logs.mean(1)
    order = whole.argsort(1)
    return logs.gather(2, order[:, None].expand_as(logs)), whole.gather(1, order)


class RenderedNetPass(nn.Module):
    """One pass of reweighting."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.enter = nn.Linear(FEATURES, width)
        self.mix = nn.Linear(width, width)
        self.score = nn.Linear(width, heads)
        self.summary = nn.Linear((heads + 1) * width + SPECTRUM + PROFILE, width)
        self.others = nn.Linear(width, width, bias=False)
        self.plane = nn.Parameter(torch.zeros(len(PLANES), width))
        self.near = nn.Linear(width, width)
        self.around = nn.Linear(width, width, bias=False)
        self.blocks = nn.Linear(width, sum(BLOCK_OUTPUTS))
        self.score_again = nn.Linear(width, heads)
        self.context = nn.Linear((heads + 2) * width, width)
        self.whole = nn.Linear(width + SPECTRUM + KNOTS + 1 + PROFILE, width)
        self.picture = nn.Linear(width, sum(PICTURE_OUTPUTS))
        with torch.no_grad():  # start as plain least squares over all blocks and bands
            self.blocks.weight.mul_(0.1)
            self.blocks.bias.zero_()
            self.picture.weight.mul_(0.1)
            self.picture.bias.zero_()
            self.picture.bias[-1] = -4.0

    def pool(self, hidden: Tensor, score: nn.Linear) -> Tensor:
        attention = score(hidden).softmax(1)  # (B, N, heads)
        return torch.cat([(attention.transpose(1, 2) @ hidden).flatten(1), hidden.mean(1)], 1)

    def forward(self, seen: RenderedTokens, features: list[Tensor], about: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers per block (B * P, N, sum(BLOCK_OUTPUTS)) and a context (B * P, width)."""
        entered = enter(self.enter, features)
        hidden = functional.hardswish(self.mix(functional.hardswish(entered)))
        pooled = self.summary(torch.cat([self.pool(hidden, self.score), about], 1))
        planes = seen.by_picture(pooled)
        summary = functional.hardswish(
            (planes + self.others(planes.mean(1, keepdim=True)) + self.plane[-seen.planes :]).flatten(0, 1)
        )
        tokens = seen.tokens
        around = tokens.join([neighbourhood(grid) for grid in tokens.split(hidden)])
        local = functional.hardswish(self.near(hidden) + self.around(around) + summary[:, None])
        context = self.context(torch.cat([self.pool(local, self.score_again), summary], 1))
        return self.blocks(local), functional.hardswish(context)


class RenderedNet(nn.Module):
    """Tiles of rendered pictures to the noise in their planes."""

    log_bias: Tensor
    shares: Tensor
    stiffness: Tensor

    def __init__(self, config: RenderedConfig):
        super().__init__()
        self.config = config
        self.passes = nn.ModuleList(RenderedNetPass(config.width, config.heads) for _ in range(config.passes))
        self.start_curve = nn.Parameter(torch.zeros(len(PLANES), KNOTS))
        self.start_spectrum = nn.Parameter(torch.zeros(len(PLANES), SPECTRUM))
        self.traits = nn.Sequential(
            nn.Linear(2 * config.width + SPECTRUM + KNOTS, 2 * config.width),
            nn.GELU(),
            nn.Linear(2 * config.width, sum(TRAITS)),
        )
        half = torch.tensor([*BAND_COUNTS, *(len(COARSE) * BAND_COUNTS[:RADIAL])]) / 2
        self.register_buffer("log_bias", half.digamma() - half.log(), persistent=False)
        self.register_buffer("shares", torch.tensor(SHARES), persistent=False)
        difference = torch.eye(KNOTS)[1:] - torch.eye(KNOTS)[:-1]
        self.register_buffer("stiffness", difference.T @ difference, persistent=False)

    def forward(self, tiles: Tensor, own: Tokens | None = None) -> tuple[list[RenderedPass], RenderedReading]:
        """`tiles` (B, T, 3, h, w), codes / 255, and `own` as in `tokens_of`. All passes, and the answer of the last."""
        seen = tokens_of(tiles, own)
        known = self.start(seen)
        results = []
        for network in self.passes:
            assert isinstance(network, RenderedNetPass)
            known = self.refine(network, seen, known)
            results.append(known)
        return results, self.read(known)

    def start(self, seen: RenderedTokens) -> RenderedPass:
        """A rough variance from the quiet blocks, the usual shapes of curve and spectrum."""
        whole = seen.tokens.energy[..., :RADIAL] @ self.shares
        some = whole.masked_fill(whole <= MIN_VARIANCE, torch.nan)
        rough = torch.nanquantile(some, START_QUANTILE, 1).nan_to_num(0).clamp(min=MIN_VARIANCE)
        level = seen.by_picture(rough.log())[..., None]
        return RenderedPass(
            log_variance=level + self.start_curve[-seen.planes :],
            log_spectrum=self.start_spectrum[-seen.planes :].expand(seen.pictures, -1, -1),
            context=level,
        )

    def refine(self, network: RenderedNetPass, seen: RenderedTokens, known: RenderedPass) -> RenderedPass:
        """Look at everything in units of what is `known`, weigh, and fit; nothing flows back between passes."""
        log_variance = known.log_variance.detach().flatten(0, 1)
        log_spectrum = known.log_spectrum.detach().flatten(0, 1)
        per_knot = seen.basis * log_variance.exp()[:, None]
        expected = (per_knot.sum(-1) + MIN_VARIANCE / 1e3).log()  # (B * P, N) ln variance
        middle = expected.mean(1, keepdim=True)
        profile = torch.cat([((seen.quiet - middle) / 3).clamp(-4, 4), seen.phase], 1)
        about = torch.cat([log_spectrum / 3, profile], 1)
        block, context = network(seen, self.features(seen, expected, log_spectrum), about)
        confidence, correction, mixing, trust = block.split(BLOCK_OUTPUTS, -1)
        weight = ((confidence + WEIGHT_START).sigmoid() + LEAST_WEIGHT)[..., 0]
        spectrum = self.spectrum(seen, expected, weight[..., None] * trust.sigmoid(), log_spectrum)
        level = (middle / 2 + torch.tensor(float(CODES)).log()) / 3
        inputs = torch.cat([context, spectrum / 3, log_variance - middle, level, profile], 1)
        shape, bend, stiff = network.picture(functional.hardswish(network.whole(inputs))).split(PICTURE_OUTPUTS, -1)
        spectrum = self.normalised(spectrum + MAX_CORRECTION * torch.tanh(shape / MAX_CORRECTION))
        relative = self.relative_variance(seen, expected, spectrum, mixing, correction)
        factor = self.fit(per_knot / expected.exp()[..., None], relative, weight, stiff)
        bend = MAX_CORRECTION * torch.tanh(bend / MAX_CORRECTION)
        return RenderedPass(
            log_variance=seen.by_picture(log_variance + factor.log() + bend),
            log_spectrum=seen.by_picture(spectrum),
            context=seen.by_picture(context),
        )

    def fit(self, basis: Tensor, relative: Tensor, weight: Tensor, stiff: Tensor) -> Tensor:
        """Factors on the curve at its knots, `(B * P, KNOTS)`: least squares, drawn towards equal ones.

        `basis` (B * P, N, KNOTS): the share of each knot in a block's expected variance.
        """
        share = (weight / weight.sum(1, keepdim=True)).double()
        weighted = (share[..., None] * basis.double()).transpose(1, 2)
        normal = weighted @ basis.double()
        right = (weighted @ relative[..., None])[..., 0]
        even = stiff.clamp(-10, 4).exp().double()[..., None] * self.stiffness.double()
        ridge = RIDGE * torch.eye(KNOTS, device=basis.device, dtype=torch.float64)
        middle = (share * relative).sum(1, keepdim=True)  # where nothing is seen, as everywhere else
        solved = torch.linalg.solve(normal + even + ridge, right + RIDGE * middle)
        return torch.maximum(solved, 1e-2 * middle.clamp(min=1e-2)).clamp(max=MOST_RELATIVE).float()

    def normalised(self, log_spectrum: Tensor) -> Tensor:
        """So that the bands of the first scale together hold the variance."""
        level = (log_spectrum[:, :RADIAL].exp() @ self.shares).log()
        return log_spectrum - level[:, None]

    def spectrum(self, seen: RenderedTokens, expected: Tensor, weight: Tensor, before: Tensor) -> Tensor:
        """Mean logarithm of each band's energy over the expected variance under `weight` (B * P, N, SPECTRUM).

        Logarithms, because a few blocks with content outshine the sum of all others.
        """
        ratio = (seen.energy + MIN_VARIANCE / 16).log() - expected[..., None]
        excess = (ratio[..., :RADIAL].detach() - before[:, None, :RADIAL]).clamp(max=6).exp() @ self.shares
        share = weight / (1 + excess).square()[..., None]
        share = share / share.sum(1, keepdim=True)
        return (share * ratio.clamp(-9, 9)).sum(1) - self.log_bias

    def relative_variance(
        self, seen: RenderedTokens, expected: Tensor, spectrum: Tensor, mixing: Tensor, correction: Tensor
    ) -> Tensor:
        """Each block's own estimate of its variance over the expected one, `(B * P, N)` float64."""
        counts = torch.tensor(BAND_COUNTS, device=expected.device).log()
        mix = (mixing + counts + spectrum[:, None, :BANDS].clamp(min=-6)).softmax(-1)
        shaped = (expected[..., None] + spectrum[:, None, :BANDS]).exp() + MIN_VARIANCE
        seen_now = (seen.tokens.energy / shaped * mix).sum(-1).clamp(max=MOST_RELATIVE)
        learned = MAX_CORRECTION * torch.tanh(correction[..., 0] / MAX_CORRECTION)
        return (seen_now * learned.exp()).double()

    def features(self, seen: RenderedTokens, expected: Tensor, spectrum: Tensor) -> list[Tensor]:
        """Parts `(B * P, N, .)` of FEATURES numbers in all: energies over the expected ones, distances in sigmas."""
        tokens = seen.tokens
        sigma = (0.5 * expected).exp()
        per_band = expected[..., None] + spectrum[:, None]
        ratio = ((seen.energy + MIN_VARIANCE / 16).log() - per_band).clamp(-9, 9)
        near = tokens.join([neighbourhood(grid) for grid in tokens.split(tokens.mean[..., None])])[..., 0]
        second, third, fourth = tokens.moments.unbind(-1)
        second, third, fourth = second / sigma.square(), third / sigma**3, fourth / sigma**4

        def distance(value: Tensor) -> Tensor:
            return torch.log1p((value / sigma).clamp(min=0, max=1e4))

        extra = [
            tokens.mean,
            distance(tokens.mean),
            distance(1 - tokens.mean),
            distance((tokens.mean - near).abs()),
            *((share + 1e-3).log() for share in (tokens.low_share, tokens.high_share)),
            (expected / 2 + torch.tensor(float(CODES)).log()).clamp(-5, 5),
            (tokens.energy[..., :RADIAL].mean(-1) <= MIN_VARIANCE).float(),
            (tokens.low_impulses + tokens.high_impulses) * 10,
            (second + 1e-3).log().clamp(max=9),
            third.sign() * torch.log1p(third.abs().clamp(max=1e6)),
            (fourth / (second.square() + 1e-6) + 1e-2).log(),
            *((r.square().mean(-1) / sigma.square() + 1e-3).log() for r in (tokens.rows, tokens.columns)),
        ]
        groups = tokens.log_energy + LOG_BIAS - per_band[..., LOG_BANDS]
        cross = ((seen.cross + MIN_VARIANCE / 16).log() - expected[..., None]).clamp(-9, 9)
        return [ratio, groups.clamp(-9, 9), torch.stack(extra, -1), cross, seen.phases]

    def read(self, known: RenderedPass) -> RenderedReading:
        """Everything but the curve, from the last context and spectrum."""
        shared = known.context.mean(1, keepdim=True).expand_as(known.context)
        bent = known.log_variance - known.log_variance.mean(-1, keepdim=True)
        inputs = torch.cat([known.context, shared, known.log_spectrum.detach() / 3, bent.detach()], -1)
        lags, areas, channels, flags, spread = self.traits(inputs).split(TRAITS, -1)
        return RenderedReading(
            curve=known,
            lag1=torch.tanh(lags),
            areas=areas.sigmoid(),
            channels=torch.tanh(channels.mean(1)),
            flags=flags.mean(1),
            spread=functional.softplus(spread - 2).unflatten(-1, (KNOTS, 2)),
        )
