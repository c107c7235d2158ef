"""The noise of rendered pictures by learned iteratively reweighted least squares, with a free curve and spectrum.

As in `cop.curve`, no network outputs a scale: every pass divides the energies of each 8x8 block by what curve and
spectrum so far let expect there, and a small network says which blocks and bands show noise. What a camera has made of
the noise follows no law in x, so that the curve has free knots, and is not white, so that every band has a gain of its
own. Red, green, blue and luma are read side by side and know of each other; two coarser scales show the blotches that
denoising leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

from noisediag.cop.layers import (
    LOG_BANDS,
    LOG_BIAS,
    MAX_CORRECTION,
    MAX_RELATIVE_VARIANCE,
    MIN_WEIGHT,
    START_QUANTILE,
    WEIGHT_START,
    attention_pool,
    neighbourhood_of_blocks,
    one_of,
)
from noisediag.cop.rendered_tokens import (
    COARSE,
    KNOTS,
    MIN_VARIANCE,
    PHASES,
    QUIET,
    SPECTRUM,
    RenderedTokens,
    interpolated,
    tokens_of,
)
from noisediag.cop.tokens import BAND_COUNTS, BANDS, GROUPS, RADIAL, SHARES, Tokens
from noisediag.engine import Tensor, functional, nn, torch
from noisediag.engine.fused import hardswish_of_sum, two_layers
from noisediag.genome.display import AREAS, CODES, PLANES

RIDGE = 1e-3  # Of the factors at the knots, in units of the mean weight: what no block shows stays as elsewhere.
LEAST_SHOWN = 1e-4  # of the pixels, at a knot: with fewer its trust is that of the whole picture
MIN_FACTOR = 1e-2  # of a knot of the curve over the mean one, in one pass
FLAGS = ("processed", "denoised", "upscaled")
EXTRA = 14  # see `RenderedNet.features`
CROSS = 3 * 3  # energies of luma and colour differences in three parts of the spectrum
FEATURES = BANDS + len(COARSE) * RADIAL + GROUPS + EXTRA + CROSS + PHASES  # of a block
PROFILE = len(QUIET) * SPECTRUM + PHASES
BLOCK_OUTPUTS = (1, 1, BANDS, SPECTRUM)  # weight, correction, mix of bands, trust in each band
PICTURE_OUTPUTS = (SPECTRUM, KNOTS, 1)  # corrections of spectrum and curve, stiffness of the curve
TRAITS = (2, len(AREAS), 3, len(FLAGS), 2 * KNOTS)  # lags, areas, channels, flags, half-widths of the interval


@dataclass(frozen=True)
class RenderedEvidence:
    """What a pass has seen that tells how far off its curve may be, of the P planes of B pictures."""

    trust: Tensor  # (B, P, KNOTS) mean weight of the pixels at each knot, 0..1; the whole picture's where none is
    shown: Tensor  # (B, P, KNOTS) share of the pixels at each knot
    quiet: Tensor  # (B, P, len(QUIET)) ln energy of the fine bands in the quietest blocks over the expected one
    moved: Tensor  # (B, P, KNOTS) ln variance over that of the pass before


@dataclass(frozen=True)
class RenderedPass:
    """What one pass knows of the P = 4 planes of B pictures."""

    log_variance: Tensor  # (B, P, KNOTS) of the noise, codes / 255
    log_spectrum: Tensor  # (B, P, SPECTRUM) energies over the variance; white noise would be 0 at the first scale
    context: Tensor  # (B, P, C)
    evidence: RenderedEvidence | None = None  # None: nothing was weighed yet

    def log_sigma(self, signal: Tensor) -> Tensor:
        """ln sigma at `signal` (B, P, ...), between the knots by straight lines in the variance over sqrt(signal)."""
        return interpolated(self.log_variance.exp(), signal).clamp(min=MIN_VARIANCE / 1e3).log() / 2


@dataclass(frozen=True)
class RenderedReading:
    """The answer for B pictures; P = 4 planes."""

    curve: RenderedPass
    lag1: Tensor  # (B, P, 2) horizontally, vertically
    areas: Tensor  # (B, P, len(AREAS)) SD after averaging over the SD of a pixel
    channels: Tensor  # (B, 3) R and G, G and B, R and B
    flags: Tensor  # (B, len(FLAGS)) logits
    spread: Tensor  # (B, P, KNOTS, 2) half-widths of the interval of ln sigma, below and above

    def one(self, picture: int) -> RenderedReading:
        """The answer for one of the pictures, B = 1."""
        return one_of(self, picture)


@dataclass(frozen=True)
class RenderedConfig:
    """Size of the rendered network; travels in the checkpoint."""

    width: int = 64
    heads: int = 3
    passes: int = 3


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

    def forward(self, observed: RenderedTokens, features: list[Tensor], about: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers per block (B * P, N, sum(BLOCK_OUTPUTS)) and a context (B * P, width)."""
        hidden = two_layers(self.enter, self.mix, features)
        pooled = self.summary(torch.cat([attention_pool(hidden, self.score), about], 1))
        planes = observed.by_picture(pooled)
        summary = functional.hardswish(
            (planes + self.others(planes.mean(1, keepdim=True)) + self.plane[-observed.planes :]).flatten(0, 1)
        )
        around = self.around(neighbourhood_of_blocks(observed.tokens, hidden))
        local = hardswish_of_sum(self.near(hidden), around, summary)
        context = self.context(torch.cat([attention_pool(local, self.score_again), summary], 1))
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

    def forward(self, tiles: Tensor, at_hand: Tokens | None = None) -> tuple[list[RenderedPass], RenderedReading]:
        """All passes, and the answer of the last one.

        `tiles` (B, T, 3, h, w), codes / 255, and `at_hand` as in `tokens_of`.
        """
        observed = tokens_of(tiles, at_hand)
        known = self.start(observed)
        results = []
        for network in self.passes:
            assert isinstance(network, RenderedNetPass)
            known = self.refine(network, observed, known)
            results.append(known)
        return results, self.read(known)

    def start(self, observed: RenderedTokens) -> RenderedPass:
        """A rough variance from the quiet blocks, the usual shapes of curve and spectrum."""
        whole = observed.tokens.energy[..., :RADIAL] @ self.shares
        some = whole.masked_fill(whole <= MIN_VARIANCE, torch.nan)
        rough = torch.nanquantile(some, START_QUANTILE, 1).nan_to_num(0).clamp(min=MIN_VARIANCE)
        level = observed.by_picture(rough.log())[..., None]
        return RenderedPass(
            log_variance=level + self.start_curve[-observed.planes :],
            log_spectrum=self.start_spectrum[-observed.planes :].expand(observed.pictures, -1, -1),
            context=level,
        )

    def refine(self, network: RenderedNetPass, observed: RenderedTokens, known: RenderedPass) -> RenderedPass:
        """Look at everything in units of what is `known`, weigh, and fit; nothing flows back between passes."""
        log_variance = known.log_variance.detach().flatten(0, 1)
        log_spectrum = known.log_spectrum.detach().flatten(0, 1)
        per_knot = observed.basis * log_variance.exp()[:, None]
        expected = (per_knot.sum(-1) + MIN_VARIANCE / 1e3).log()  # (B * P, N) ln variance
        middle = expected.mean(1, keepdim=True)
        profile = torch.cat([((observed.quiet - middle) / 3).clamp(-4, 4), observed.phase], 1)
        about = torch.cat([log_spectrum / 3, profile], 1)
        block, context = network(observed, self.features(observed, expected, log_spectrum), about)
        confidence, correction, mixing, trust = torch.split(block, list(BLOCK_OUTPUTS), -1)
        weight = ((confidence + WEIGHT_START).sigmoid() + MIN_WEIGHT)[..., 0]
        spectrum = self.spectrum(observed, expected, weight[..., None] * trust.sigmoid(), log_spectrum)
        level = (middle / 2 + torch.tensor(float(CODES)).log()) / 3
        inputs = torch.cat([context, spectrum / 3, log_variance - middle, level, profile], 1)
        picture = network.picture(functional.hardswish(network.whole(inputs)))
        shape, bend, stiff = torch.split(picture, list(PICTURE_OUTPUTS), -1)
        spectrum = self.normalised(spectrum + MAX_CORRECTION * torch.tanh(shape / MAX_CORRECTION))
        relative = self.relative_variance(observed, expected, spectrum, mixing, correction)
        factor = self.fit(per_knot / expected.exp()[..., None], relative, weight, stiff)
        moved = factor.log() + MAX_CORRECTION * torch.tanh(bend / MAX_CORRECTION)
        return RenderedPass(
            log_variance=observed.by_picture(log_variance + moved),
            log_spectrum=observed.by_picture(spectrum),
            context=observed.by_picture(context),
            evidence=self.evidence(observed, weight.detach(), middle + spectrum.detach(), moved.detach()),
        )

    def evidence(self, observed: RenderedTokens, weight: Tensor, expected: Tensor, moved: Tensor) -> RenderedEvidence:
        """`weight` (B * P, N) of the blocks, `expected` (B * P, SPECTRUM) ln energies, `moved` (B * P, KNOTS)."""
        shown = observed.basis.mean(1)
        whole = weight.mean(1, keepdim=True)
        weighed = (weight[:, None] @ observed.basis)[:, 0] / weight.shape[1]
        fine = slice(RADIAL // 2, RADIAL)
        quiet = torch.unflatten(observed.quiet, -1, (len(QUIET), SPECTRUM))[..., fine].mean(-1)
        return RenderedEvidence(
            trust=observed.by_picture((weighed + LEAST_SHOWN * whole) / (shown + LEAST_SHOWN)),
            shown=observed.by_picture(shown),
            quiet=observed.by_picture(quiet - expected[:, fine].mean(-1, keepdim=True)),
            moved=observed.by_picture(moved),
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
        return torch.maximum(solved, MIN_FACTOR * middle.clamp(min=1e-2)).clamp(max=MAX_RELATIVE_VARIANCE).float()

    def normalised(self, log_spectrum: Tensor) -> Tensor:
        """So that the bands of the first scale together hold the variance."""
        level = (log_spectrum[:, :RADIAL].exp() @ self.shares).log()
        return log_spectrum - level[:, None]

    def spectrum(self, observed: RenderedTokens, expected: Tensor, weight: Tensor, before: Tensor) -> Tensor:
        """Mean logarithm of each band's energy over the expected variance under `weight` (B * P, N, SPECTRUM).

        Logarithms, because a few blocks with content outshine the sum of all others.
        """
        ratio = (observed.energy + MIN_VARIANCE / 16).log() - expected[..., None]
        excess = (ratio[..., :RADIAL].detach() - before[:, None, :RADIAL]).clamp(max=6).exp() @ self.shares
        share = weight / (1 + excess).square()[..., None]
        share = share / share.sum(1, keepdim=True)
        return (share * ratio.clamp(-9, 9)).sum(1) - self.log_bias

    def relative_variance(
        self, observed: RenderedTokens, expected: Tensor, spectrum: Tensor, mixing: Tensor, correction: Tensor
    ) -> Tensor:
        """Each block's own estimate of its variance over the expected one, `(B * P, N)` float64."""
        counts = torch.tensor(BAND_COUNTS, device=expected.device).log()
        mix = (mixing + counts + spectrum[:, None, :BANDS].clamp(min=-6)).softmax(-1)
        shaped = (expected[..., None] + spectrum[:, None, :BANDS]).exp() + MIN_VARIANCE
        measured = (observed.tokens.energy / shaped * mix).sum(-1).clamp(max=MAX_RELATIVE_VARIANCE)
        learned = MAX_CORRECTION * torch.tanh(correction[..., 0] / MAX_CORRECTION)
        return (measured * learned.exp()).double()

    def features(self, observed: RenderedTokens, expected: Tensor, spectrum: Tensor) -> list[Tensor]:
        """Parts `(B * P, N, .)` of FEATURES numbers in all: energies over the expected ones, distances in sigmas."""
        tokens = observed.tokens
        sigma = (0.5 * expected).exp()
        per_band = expected[..., None] + spectrum[:, None]
        ratio = ((observed.energy + MIN_VARIANCE / 16).log() - per_band).clamp(-9, 9)
        near = neighbourhood_of_blocks(tokens, tokens.mean[..., None])[..., 0]
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
        cross = ((observed.cross + MIN_VARIANCE / 16).log() - expected[..., None]).clamp(-9, 9)
        return [ratio, groups.clamp(-9, 9), torch.stack(extra, -1), cross, observed.phases]

    def read(self, known: RenderedPass) -> RenderedReading:
        """Everything but the curve, from the last context and spectrum."""
        shared = known.context.mean(1, keepdim=True).expand_as(known.context)
        bent = known.log_variance - known.log_variance.mean(-1, keepdim=True)
        inputs = torch.cat([known.context, shared, known.log_spectrum.detach() / 3, bent.detach()], -1)
        lags, areas, channels, flags, spread = torch.split(self.traits(inputs), list(TRAITS), -1)
        return RenderedReading(
            curve=known,
            lag1=torch.tanh(lags),
            areas=areas.sigmoid(),
            channels=torch.tanh(channels.mean(1)),
            flags=flags.mean(1),
            spread=torch.unflatten(functional.softplus(spread - 2), -1, (KNOTS, 2)),
        )
