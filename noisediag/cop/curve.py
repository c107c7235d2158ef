"""The noise curve by learned iteratively reweighted least squares.

No network here outputs a scale. Each pass divides the energies of every block by the variance the current curve
expects there, so that a small network sees numbers free of scale; it answers which blocks and bands show noise and
not picture. The curve, row and column offsets and impulses then follow in closed form from all blocks, weighted.
Rescaling the picture rescales the answer exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from noisediag.cop.clipping import FARTHEST, clipping
from noisediag.cop.closed_forms import (
    MIN_VARIANCE,
    law_variance,
    nothing_but_white_noise,
    quantisation_ripple,
    replaced_tails,
    shared_offset_variance,
    solve_law,
    visible_share,
)
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
    sort_blocks,
)
from noisediag.cop.tokens import BAND_COUNTS, BANDS, BLOCK, GROUPS, RADIAL, SHARES, Tokens, band_gains
from noisediag.engine import Tensor, functional, nn, torch
from noisediag.engine.fused import hardswish_of_sum, two_layers

CORRELATIONS = (0.0, *(round(0.3 * 7 ** (i / 64), 4) for i in range(65)))  # px; 0.3 to 2.1 in steps of 3 %
MIN_GAIN = 1e-3  # A band that correlation has emptied further than this says nothing about the variance.
TINY = 1e-30  # of sums of weights that may have underflowed
RELATIVE_FLOOR = 1e-3  # Of the mean variance: below, a curve with a free intercept is extrapolating.
MAX_LOG_RIDGE = 12.0  # A coefficient is switched off long before; beyond, arithmetic overflows.
VISIBLE_SIGMAS = 2.0  # that an impulse must lie off the signal to be seen
MAX_LOG_RATIO = 4.0  # of a block's energy over the expected one, in the noise's spectrum
WHITE_START = -3.0  # Logit, before training, of the share of the noise that joined after the correlation.
PURE_START = -3.0  # Logit, before training, that a picture shows nothing but noise: 5 %, as few do.
BLOCK_OUTPUTS = (1, 1, BANDS, 4, RADIAL)  # weight, correction, bands, gates of rows, columns and impulses, spectrum
PICTURE_OUTPUTS = (len(CORRELATIONS), 2, 1, 14, 1)  # correlation, ridges, purity, frequencies, white share
FEATURES = BANDS + GROUPS + 17  # of a block: see `CurveNet.features`
QUIET = (0.02, 0.1, 0.3)  # Quantiles over the blocks. Noise is everywhere, content is not.
MAX_CLIPPED = 0.1  # share of a quiet block's pixels
MIN_QUIET_BLOCKS = 16  # that the quantiles are taken over
PROFILE = len(QUIET) * RADIAL


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
    signal: Tensor  # (B, N) of each block, what clipping moved put back
    pure_logit: Tensor  # (B,) that the picture shows nothing but noise
    white_logit: Tensor  # (B,) of the share of the variance at the darkest signal that the kernel has not shaped
    block_variance: Tensor  # (B, N) float64: each block's own estimate of its noise variance

    def variance(self, signal: Tensor) -> Tensor:
        """Variance at `signal` (B, ...), float64."""
        return law_variance(self.law, self.floor, signal)

    def correlation(self) -> Tensor:
        """Expected width of the kernel in px, `(B,)`; 0 for white noise."""
        grid = torch.tensor(CORRELATIONS, device=self.law.device)
        return self.correlation_logits.softmax(-1) @ grid


@dataclass(frozen=True)
class Cut:
    """What clipping has left of the noise of every block, see `clipping.Clipping`; all (B, N)."""

    variance: Tensor
    shift: Tensor  # (true mean - observed mean) / sigma
    leverage: Tensor


@dataclass(frozen=True)
class Expectation:
    """What every block should show if what is known so far is right."""

    variance: Tensor  # (B, N) at the block's true signal, before clipping
    uniform: Tensor  # (B, 1) of it, what quantisation adds: white whatever the correlation
    white: Tensor  # (B, 1) of it, all that is white whatever the correlation: `uniform`, and what came after the kernel
    cut: Cut
    signal: Tensor  # (B, N) true mean
    band: Tensor  # (B, BANDS) energy of the correlated part in each band

    @property
    def correlated(self) -> Tensor:
        """The part of the variance that the kernel shapes, (B, N)."""
        return (self.variance - self.white).clamp(min=0)

    def with_white(self, share: Tensor) -> Expectation:
        """The same if `share` (B,) of the variance at the darkest signal, without quantisation, is white."""
        darkest = (self.variance.amin(1, keepdim=True) - self.uniform).clamp(min=0)
        return replace(self, white=self.uniform + share[:, None] * darkest)


class CurveNetPass(nn.Module):
    """One pass of reweighting."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.enter = nn.Linear(FEATURES, width)
        self.mix = nn.Linear(width, width)
        self.score = nn.Linear(width, heads)
        self.summary = nn.Linear((heads + 1) * width + 2 + PROFILE, width)
        self.near = nn.Linear(width, width)
        self.around = nn.Linear(width, width, bias=False)
        self.blocks = nn.Linear(width, sum(BLOCK_OUTPUTS))
        self.score_again = nn.Linear(width, heads)
        self.context = nn.Linear((heads + 1) * width + width, width)
        self.whole = nn.Linear(width + RADIAL + 1 + PROFILE, width)
        self.picture = nn.Linear(width, sum(PICTURE_OUTPUTS))
        with torch.no_grad():  # start as plain least squares over all blocks and bands: efficient on flat fields
            self.blocks.weight.mul_(0.1)
            self.blocks.bias.zero_()
            self.picture.weight.mul_(0.1)
            self.picture.bias.zero_()
            self.picture.bias[0] = 3.0  # white noise
            ridge = PICTURE_OUTPUTS[0]
            self.picture.bias[ridge : ridge + 2] = -4.0

    def forward(self, tokens: Tokens, features: list[Tensor], flags: Tensor) -> tuple[Tensor, Tensor]:
        """`features` as `CurveNet.features` gives them, `flags` (B, 2).

        Returns numbers per block (B, N, sum(BLOCK_OUTPUTS)) and a context (B, width).
        """
        hidden = two_layers(self.enter, self.mix, features)
        summary = functional.hardswish(self.summary(torch.cat([attention_pool(hidden, self.score), flags], 1)))
        around = self.around(neighbourhood_of_blocks(tokens, hidden))
        local = hardswish_of_sum(self.near(hidden), around, summary)
        context = functional.hardswish(self.context(torch.cat([attention_pool(local, self.score_again), summary], 1)))
        return self.blocks(local), context

    def read(self, context: Tensor) -> Tensor:
        """Context, spectrum and the share that correlation shapes, `(B, .)`, to `(B, sum(PICTURE_OUTPUTS))`."""
        numbers: Tensor = self.picture(functional.hardswish(self.whole(context)))
        return numbers


@dataclass(frozen=True)
class CurveConfig:
    """Size of the curve network; travels in the checkpoint."""

    width: int = 64
    heads: int = 3
    passes: int = 3


class CurveNet(nn.Module):
    """Tokens of a bag to its noise curve, pass by pass."""

    gains: Tensor
    log_bias: Tensor
    shares: Tensor

    def __init__(self, config: CurveConfig):
        super().__init__()
        self.config = config
        self.passes = nn.ModuleList(CurveNetPass(config.width, config.heads) for _ in range(config.passes))
        # E ln of the mean square of k standard normals
        half = torch.tensor(BAND_COUNTS[:RADIAL]) / 2
        self.register_buffer("shares", torch.tensor(SHARES), persistent=False)
        self.register_buffer("log_bias", half.digamma() - half.log(), persistent=False)
        self.register_buffer("gains", band_gains(CORRELATIONS).clamp(min=MIN_GAIN), persistent=False)

    def forward(self, tokens: Tokens, step: Tensor, free_intercept: Tensor) -> list[CurvePass]:
        """All passes, the last one is the answer.

        `step` (B,) normalised distance of levels, 0: none; `free_intercept` (B,) bool: black is not known.
        """
        uniform = (step.square() / 12)[:, None]
        first_grid = tokens.first_grid()
        quiet = self.quiet(first_grid)
        flat = nothing_but_white_noise(first_grid)
        known: CurvePass | None = None
        results = []
        for number, network in enumerate(self.passes, start=1):
            blocks = tokens if number == len(self.passes) else first_grid  # the shifted blocks only refine
            expected = self.expect(blocks, uniform, known, flat)
            assert isinstance(network, CurveNetPass)
            known = self.refine(network, blocks, expected, free_intercept, quiet, flat)
            results.append(known)
        return results

    def quiet(self, tokens: Tokens) -> Tensor:
        """Logarithm of each band's energy in the quietest blocks, `(B, PROFILE)`: noise is everywhere, content is not.

        Clipped blocks do not count where enough others are left.
        """
        valid = tokens.low_share + tokens.high_share <= MAX_CLIPPED
        valid |= valid.sum(1, keepdim=True) < MIN_QUIET_BLOCKS
        count = valid.sum(1)
        energy = sort_blocks(tokens.energy[..., :RADIAL].masked_fill(~valid[..., None], torch.inf))
        at = torch.stack([(q * (count - 1)).round().long() for q in QUIET], 1)  # (B, len(QUIET))
        picked = energy.gather(1, at[..., None].expand(-1, -1, energy.shape[-1]))
        return (picked + MIN_VARIANCE).log().flatten(1)

    def expect(self, tokens: Tokens, uniform: Tensor, known: CurvePass | None, flat: Tensor) -> Expectation:
        """What is to be seen if what is `known` so far is right; nothing flows back: every pass has its own loss."""
        if known is None:
            observed = (self.start(tokens).clamp(min=MIN_VARIANCE) + uniform).expand_as(tokens.mean)
            band = torch.ones(len(uniform), BANDS, device=uniform.device)
        else:
            law, floor = known.law.detach().float(), known.floor.detach().float()
            observed = law_variance(law, floor, tokens.mean)
            band = known.correlation_logits.detach().softmax(-1) @ self.gains
        cut = self.cut(tokens, observed, uniform, flat)
        signal = tokens.mean + observed.sqrt() * cut.shift
        variance = observed if known is None else law_variance(law, floor, signal)
        expected = Expectation(variance, uniform, uniform, cut, signal, band)
        return expected if known is None else expected.with_white(known.white_logit.detach().sigmoid())

    def refine(
        self,
        network: CurveNetPass,
        tokens: Tokens,
        expected: Expectation,
        free_intercept: Tensor,
        quiet: Tensor,
        flat: Tensor,
    ) -> CurvePass:
        """One pass: look at everything in units of what was expected, weigh, and fit.

        What is `flat` (B,) by its blocks is taken as it is, whatever the network says.
        """
        size = (tokens.mean.shape[1] / 1e3) ** -0.5
        profile = ((quiet - expected.variance.mean(1, keepdim=True).log()) / 3).clamp(-4, 4)
        flags = torch.stack([free_intercept.float(), torch.full_like(expected.uniform[:, 0], size)], 1)
        flags = torch.cat([flags, profile], 1)
        block, context = network(tokens, self.features(tokens, expected), flags)
        confidence, correction, mixing, gates, spectral = torch.split(block, list(BLOCK_OUTPUTS), -1)
        weight = (confidence + WEIGHT_START).sigmoid() + MIN_WEIGHT
        spectrum = self.spectrum(tokens, expected, weight * spectral.sigmoid())
        shaped = (weight * (expected.correlated / expected.variance)[..., None]).sum(1) / weight.sum(1)
        picture = network.read(torch.cat([context, spectrum, shaped, profile], 1))
        logits, ridges, nothing_else, frequencies, white = torch.split(picture, list(PICTURE_OUTPUTS), -1)
        pure_logit, white_logit = nothing_else + PURE_START, (white + WHITE_START)[:, 0]
        expected = expected.with_white(white_logit.sigmoid())
        pure = torch.where(flat, 1.0, pure_logit[:, 0].sigmoid())[:, None, None]
        relative = self.relative_variance(tokens, expected, logits, mixing, correction, pure)
        weight = torch.lerp(weight, torch.ones_like(weight), pure)[..., 0]
        x = expected.signal.double()
        basis = torch.stack([x, torch.ones_like(x), x.square()], -1) / expected.variance.double()[..., None]
        ridge = torch.stack([ridges[:, 0], torch.full_like(ridges[:, 0], -torch.inf), ridges[:, 1]], 1)
        law, normal = solve_law(basis, relative, weight, ridge.clamp(max=MAX_LOG_RIDGE).exp(), free_intercept)
        share = (weight / weight.sum(1, keepdim=True)).double()
        level = (share * (relative * expected.variance).clamp(min=0)).sum(1)
        floor = torch.maximum(RELATIVE_FLOOR * level, expected.uniform[:, 0].double()) + MIN_VARIANCE
        gate = gates.sigmoid() + MIN_WEIGHT
        frequency = torch.unflatten(frequencies, 1, (2, BLOCK - 1)).softmax(-1)
        row, column = (
            shared_offset_variance(tokens, values, gate[..., i], frequency[:, i], across=3 - i)
            for i, values in enumerate((tokens.rows, tokens.columns))
        )
        variance = law_variance(law.float(), floor.float(), expected.signal)
        reach = VISIBLE_SIGMAS * (variance + (row + column).clamp(min=0)[:, None]).sqrt()
        return CurvePass(
            law=law,
            floor=floor,
            correlation_logits=logits,
            row_variance=row,
            column_variance=column,
            low_impulse=visible_share(tokens.low_impulses, gate[..., 2], tokens.to_low > reach),
            high_impulse=visible_share(tokens.high_impulses, gate[..., 3], tokens.to_high > reach),
            context=context,
            weight=weight / weight.mean(1, keepdim=True),
            normal=normal,
            signal=expected.signal,
            pure_logit=pure_logit[:, 0],
            white_logit=white_logit,
            block_variance=relative * expected.variance,
        )

    def relative_variance(
        self, tokens: Tokens, expected: Expectation, logits: Tensor, mixing: Tensor, correction: Tensor, pure: Tensor
    ) -> Tensor:
        """Each block's own estimate of its noise variance over the expected one, `(B, N)` float64; 1 where it fits.

        The bands are mixed as the network says; a picture of nothing but noise, `pure` (B, 1, 1), is taken as it is.
        """
        band = (logits.softmax(-1) @ self.gains)[:, None]
        white = expected.white[..., None]
        # a band that correlation has emptied shows what is white, and little of the rest
        left = expected.correlated[..., None] * band
        attenuation = 2 * ((left + MIN_VARIANCE) / (left + white + MIN_VARIANCE)).log()
        informative = attenuation + torch.tensor(BAND_COUNTS, device=band.device).log()
        plain = functional.pad(informative[..., :RADIAL].softmax(-1), (0, BANDS - RADIAL))
        mix = torch.lerp((mixing + informative).softmax(-1), plain, pure)
        observed = tokens.energy / expected.cut.variance[..., None] - white
        noise = (observed / band + white) / expected.variance[..., None]
        mixed = (noise * mix).sum(-1).clamp(max=MAX_RELATIVE_VARIANCE)
        step = (12 * expected.uniform).sqrt()
        before = (expected.variance - expected.uniform).clamp(min=0)
        ripple = quantisation_ripple(before, step, tokens.to_low, expected.variance / BLOCK**2)
        tails = replaced_tails(tokens, expected.variance)
        mixed = mixed + pure[..., 0] * (tails - ripple) / expected.variance
        learned = MAX_CORRECTION * torch.tanh(correction / MAX_CORRECTION) * (1 - pure)
        return ((1 + (mixed - 1) * expected.cut.leverage) * learned[..., 0].exp()).double()

    def spectrum(self, tokens: Tokens, expected: Expectation, weight: Tensor) -> Tensor:
        """The shape of the noise's spectrum, `(B, RADIAL)`: 0 where it is white.

        Mean logarithm of the band energies over the expected variance, under `weight` (B, N, RADIAL), about its own
        mean. Logarithms, because a few blocks with content outshine the sum of all others.
        """
        ratio = tokens.energy[..., :RADIAL] / (expected.variance * expected.cut.variance + MIN_VARIANCE)[..., None]
        quiet = (1 + ratio.detach() @ self.shares).square()
        share = weight / quiet[..., None]
        share = share / share.sum(1, keepdim=True).clamp(min=TINY)  # none at all in a band: nothing is said of it
        spectrum = (share * (ratio + MIN_GAIN / 4).log().clamp(max=MAX_LOG_RATIO)).sum(1) - self.log_bias
        return spectrum - (spectrum @ self.shares)[:, None]

    def cut(self, tokens: Tokens, expected: Tensor, uniform: Tensor, flat: Tensor) -> Cut:
        """What clipping has done to every block if the noise has the variance `expected` (B, N), `uniform` (B, 1) of it
        by quantisation.

        The lowest of few levels is where the noise ends, not where it is cut, and many pixels have it: before it was
        rounded, noise would have to be cut half a step further out. In a `flat` (B,) bag that can be told.
        """
        few = flat[:, None] & (uniform > 0)
        before = torch.where(few, (expected - uniform).clamp(min=MIN_VARIANCE), expected)
        further = torch.where(few, (3 * uniform).sqrt(), torch.zeros_like(uniform))
        sigma = before.sqrt()
        low = clipping(torch.where(tokens.low_clip, (tokens.to_low + further) / sigma, FARTHEST))
        high = clipping(torch.where(tokens.high_clip, (tokens.to_high + further) / sigma, FARTHEST))
        return Cut(
            variance=low.variance * high.variance,
            shift=high.shift - low.shift,
            leverage=torch.maximum(low.leverage, high.leverage),
        )

    def start(self, tokens: Tokens) -> Tensor:
        """A rough variance, `(B, 1)`: between the quiet blocks' energy in all bands and that in the last one.

        Blocks without any energy do not count.
        """
        counts = torch.tensor(BAND_COUNTS, device=tokens.energy.device).float()
        whole = tokens.energy @ (counts / counts.sum())
        quiet = torch.nanquantile(whole.masked_fill(whole <= MIN_VARIANCE, torch.nan), START_QUANTILE, 1)
        last = tokens.energy[..., -1]
        fine = torch.nanquantile(last.masked_fill(last <= MIN_VARIANCE, torch.nan), START_QUANTILE, 1)
        rough = (quiet.nan_to_num(0).clamp(min=MIN_VARIANCE) * fine.nan_to_num(0).clamp(min=MIN_VARIANCE)).sqrt()
        return rough[:, None]

    def features(self, tokens: Tokens, expected: Expectation) -> list[Tensor]:
        """Parts `(B, N, .)` of FEATURES numbers in all, free of scale.

        Energies over the expected ones, distances in units of sigma, shares.
        """
        cut = expected.cut
        sigma = (expected.variance + MIN_VARIANCE).sqrt()
        per_band = expected.correlated[..., None] * expected.band[:, None] + expected.white[..., None] + MIN_VARIANCE
        per_band = per_band * cut.variance[..., None]
        log_expected = per_band.log()
        ratio = ((tokens.energy + 1e-4 * per_band).log() - log_expected).clamp(max=9)
        near = neighbourhood_of_blocks(tokens, tokens.mean[..., None])[..., 0]

        def distance(value: Tensor) -> Tensor:
            return torch.log1p((value / sigma).clamp(min=0, max=1e4))

        distances = [tokens.mean, tokens.to_low, tokens.to_high, (tokens.mean - near).abs()]
        shares = [tokens.low_share, tokens.high_share, tokens.low_impulses, tokens.high_impulses]
        row_ratio = tokens.rows.square().mean(-1), tokens.columns.square().mean(-1)
        energy = tokens.energy[..., :RADIAL].mean(-1)
        second, third, fourth = tokens.moments.unbind(-1)
        second, third, fourth = second / sigma.square(), third / sigma**3, fourth / sigma**4
        extra = [
            *(distance(d) for d in distances),
            *((s + 1e-3).log() for s in shares),
            *((r / (energy + MIN_VARIANCE) + 1e-3).log() for r in row_ratio),
            (energy <= MIN_VARIANCE).float(),
            (tokens.low_impulses + tokens.high_impulses) * 10,
            cut.variance.log(),
            cut.leverage - 1,
            (second + 1e-3).log().clamp(max=9),
            third.sign() * torch.log1p(third.abs().clamp(max=1e6)),
            (fourth / (second.square() + 1e-6) + 1e-2).log(),
        ]
        groups = tokens.log_energy + LOG_BIAS - log_expected[..., LOG_BANDS]
        return [ratio, groups.clamp(-9, 9), torch.stack(extra).permute(1, 2, 0)]
