"""Quantification heads: what an embedding and a fitted curve say about each parameter, with interval and presence.

The values of the sensor head start from the closed-form results of the curve network, so they inherit its exact
scale; the head learns how far these are off, how sure one can be, and whether the noise is there at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from noisediag.cop.closed_forms import MIN_VARIANCE, law_variance
from noisediag.cop.curve import CurvePass
from noisediag.cop.tokens import BLOCK, RADIAL, SHARES, Tokens
from noisediag.engine import Tensor, functional, nn, torch
from noisediag.genome.parameters import NAMES

LEVELS = (0.05, 0.5, 0.95)
LIMIT_LEVEL = 0.95  # of the upper bound of a noise that is not seen
CURVE_QUANTILES = (0.03, 0.5, 0.97)  # of the signal, where the curve's error is predicted
LEARNED = tuple(name for name in NAMES if name != "quantisation")  # the step is read from the levels themselves
UNIFORM = frozenset({"correlation"})  # predicted as it is; the others as logarithms
SMALLEST_SHARE = 3e-3  # of the variance at mid signal: where the fit says 0, the head starts from here
SMALLEST_IMPULSE = 3e-6  # share of the pixels, below one in a picture of 512 x 512
PARTS = 3  # of the signal, with as many blocks each
QUIET = (0.005, 0.03, 0.15)  # quantiles over the blocks
MAX_ENERGY = 20.0  # Over the expected one: stands for blocks that clipping has touched, so that none of them is quiet.
UNCLIPPED = 3.5  # sigmas that a block's mean must lie inside the tile's extremes
RING_CUBES = 1 - 8 / 8**3  # sum of the cubed weights of a pixel minus the mean of its 8 neighbours


@dataclass(frozen=True)
class Evidence:
    """What a head reads besides the embedding, and where its values start."""

    features: Tensor  # (B, F) free of scale: rescaling the picture changes neither them nor relative widths
    absolute: Tensor  # (B, A) signals and the level of the noise
    base: Tensor  # (B, len(LEARNED)) logarithms (px for correlation)
    signal: Tensor  # (B, len(CURVE_QUANTILES))
    sigma: Tensor  # (B, len(CURVE_QUANTILES)) of the fitted curve
    smooth: Tensor  # (B,) share of the blocks that the curve trusts, 0..1


@dataclass(frozen=True)
class NoiseShape:
    """What the trusted blocks look like beyond their variance, in three parts of the signal; free of scale.

    With f_S, f_M the shares of shot and multiplicative (gamma) noise in the variance, the third central moment of the
    noise at signal x is S^2*x + 2*M^4*x^3, so that asymmetry = moment * x / sigma^4 = f_S^2 + 2*f_M^2: a second look
    at the split, which needs no range of signal. Gaussian noise has the kurtosis 3, picture content mostly more.
    """

    asymmetry: Tensor  # (B, PARTS)
    asymmetry_error: Tensor  # (B, PARTS) its standard error if the noise is white and Gaussian
    kurtosis: Tensor  # (B, PARTS)
    quietest: Tensor  # (B, len(QUIET)) ln of a block's energy over the expected one, at low quantiles


def noise_shape(tokens: Tokens, curve: CurvePass) -> NoiseShape:
    """Moments of pixels about their neighbours, from the blocks that the curve trusts and that nothing clipped."""
    variance = curve.variance(curve.signal).float()
    sigma = variance.sqrt()
    inside = (tokens.to_low > UNCLIPPED * sigma) & (tokens.to_high > UNCLIPPED * sigma)
    weight = curve.weight * inside
    edges = curve.signal.quantile(torch.linspace(0, 1, PARTS + 1, device=sigma.device)[1:-1], 1)  # (PARTS - 1, B)
    part = (curve.signal > edges[..., None]).sum(0)
    members = functional.one_hot(part, PARTS).to(sigma.dtype) * weight[..., None]
    share = members / members.sum(1, keepdim=True).clamp(min=1e-6)
    second, third, fourth = tokens.moments.unbind(-1)
    ratio = curve.signal.clamp(min=0) / sigma

    def mean(values: Tensor) -> Tensor:
        return (share * values[..., None]).sum(1)

    pixels = BLOCK**2 / share.square().sum(1).clamp(min=1e-6)
    energy = tokens.energy[..., :RADIAL] @ torch.tensor(SHARES, device=sigma.device)
    level = (energy / variance + 1e-4).log().masked_fill(~inside, math.log(MAX_ENERGY))
    return NoiseShape(
        asymmetry=mean(third / sigma**3 * ratio) / RING_CUBES,
        asymmetry_error=mean(ratio) * (15 / pixels).sqrt(),
        kurtosis=mean(fourth / variance**2) / mean(second / variance).square().clamp(min=1e-6),
        quietest=level.quantile(torch.tensor(QUIET, device=sigma.device), 1).T,
    )


def gather_evidence(tokens: Tokens, curve: CurvePass, step: Tensor, free_intercept: Tensor) -> Evidence:
    """`step` (B,) normalised distance of adjacent levels, 0 where none; `free_intercept` (B,) bool."""
    share = curve.weight / curve.weight.sum(1, keepdim=True)
    quantiles = torch.tensor(CURVE_QUANTILES, device=share.device)
    trusted = _trusted_quantiles(tokens.mean, share, quantiles)
    signal = tokens.mean.quantile(quantiles, 1).T
    variance = curve.variance(signal)
    fit = _Fit.of(curve, step, signal, variance)
    effective = 1 / share.square().sum(1)  # number of blocks of equal weight that would be as many
    summary = torch.cat(
        [
            *_shape_features(tokens, curve),
            *_fit_features(curve, fit, trusted),
            (variance / fit.middle[:, None]).clamp(1e-3, 1e3).log() / 3,
            torch.log1p((signal.double() / variance.clamp(min=MIN_VARIANCE).sqrt()).clamp(0, 1e4)) / 4,
            torch.stack(
                [effective.log() / 5 - 1, math.log(tokens.mean.shape[1]) / 5 - 1 + torch.zeros_like(effective)], 1
            ),
            torch.log1p(step.double() / fit.middle.sqrt())[:, None],
            (step > 0).double()[:, None],
            free_intercept.double()[:, None],
            *_extreme_features(tokens),
            (fit.uniform / fit.middle).clamp(max=2)[:, None],
            ((fit.shot.clamp(min=0) / fit.level).clamp(1e-9, 10).log() / 5)[:, None],
        ],
        1,
    ).float()
    level_of_noise = (fit.middle.log() / 8 + 1)[:, None]
    return Evidence(
        features=torch.cat([summary, curve.context], 1),
        absolute=torch.cat([level_of_noise, signal, trusted, tokens.mean.std(1)[:, None]], 1).float(),
        base=_starting_values(curve, fit),
        signal=signal,
        sigma=variance.sqrt().float(),
        smooth=(effective / tokens.mean.shape[1]).float(),
    )


@dataclass(frozen=True)
class _Fit:
    """The terms of the fitted law, each (B,) float64, and what they are measured by at mid signal."""

    shot: Tensor
    offset: Tensor  # intercept without the q^2/12 of quantisation
    square: Tensor
    uniform: Tensor  # q^2/12
    middle: Tensor  # variance at the median signal
    level: Tensor  # |median signal|

    @staticmethod
    def of(curve: CurvePass, step: Tensor, signal: Tensor, variance: Tensor) -> _Fit:
        shot, intercept, square = curve.law.unbind(1)
        uniform = step.double().square() / 12
        return _Fit(
            shot=shot,
            offset=intercept - uniform,
            square=square,
            uniform=uniform,
            middle=variance[:, 1].clamp(min=MIN_VARIANCE),
            level=signal[:, 1].double().abs().clamp(min=1e-3),
        )


def _trusted_quantiles(mean: Tensor, share: Tensor, quantiles: Tensor) -> Tensor:
    """Quantiles `(B, Q)` of the blocks' signal `mean` (B, N), each block counting with its `share` (B, N)."""
    order = mean.argsort(dim=1, stable=True)
    rank = share.gather(1, order).cumsum(1)
    at = quantiles.expand(len(rank), -1).contiguous()
    position = torch.searchsorted(rank.contiguous(), at).clamp(max=rank.shape[1] - 1)
    return mean.gather(1, order).gather(1, position)


def _starting_values(curve: CurvePass, fit: _Fit) -> Tensor:
    """`Evidence.base`: the parameters as the closed forms have them, lifted to SMALLEST_SHARE of the variance."""
    least = SMALLEST_SHARE * fit.middle
    impulse = (curve.low_impulse + curve.high_impulse).double()
    base = {
        "shot_gain": torch.maximum(fit.shot, least / fit.level).log(),
        "read_noise": torch.maximum(fit.offset, least).log() / 2,
        "multiplicative": torch.maximum(fit.square, least / fit.level.square()).log() / 2,
        "impulse": impulse.clamp(min=SMALLEST_IMPULSE).log(),
        "row_noise": torch.maximum(curve.row_variance.double(), least).log() / 2,
        "column_noise": torch.maximum(curve.column_variance.double(), least).log() / 2,
        "correlation": curve.correlation().double(),
    }
    return torch.stack([base[name] for name in LEARNED], 1).float()


def _shape_features(tokens: Tokens, curve: CurvePass) -> list[Tensor]:
    shape = noise_shape(tokens, curve)
    return [
        shape.asymmetry.sign() * torch.log1p(shape.asymmetry.abs() * 10) / 2,
        (shape.asymmetry_error + 1e-3).log() / 3,
        (shape.kurtosis + 0.1).log(),
        shape.quietest / 3,
        curve.pure_logit.clamp(-10, 10)[:, None] / 5,
    ]


def _fit_features(curve: CurvePass, fit: _Fit, trusted: Tensor) -> list[Tensor]:
    """Shares of the law's terms at the signals `trusted` (B, 3), their standard errors, and what else was fitted."""
    x = trusted.double()
    terms = torch.stack(
        [fit.shot[:, None] * x, fit.offset[:, None].expand_as(x), fit.square[:, None] * x.square()], 1
    )  # (B, 3, 3)
    fitted = law_variance(curve.law, curve.floor, trusted)
    terms = (terms / fitted[:, None]).clamp(-2, 2).flatten(1)
    covariance = torch.linalg.pinv(
        curve.normal + torch.diag_embed(1e-9 * curve.normal.diagonal(dim1=1, dim2=2) + 1e-30)
    )
    contributions = torch.stack([x[:, 1].abs(), torch.ones_like(fit.middle), x[:, 1].square()], 1)
    errors = covariance.diagonal(dim1=1, dim2=2).clamp(min=1e-30).sqrt() * contributions / fit.middle[:, None]
    logits = curve.correlation_logits
    entropy = -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)

    def relative(value: Tensor) -> Tensor:
        scaled = value.double() / fit.middle
        return scaled.sign() * torch.log1p(scaled.abs() * 300) / 6

    return [
        terms,
        errors.clamp(1e-13, 1e4).log() / 5,
        torch.stack([relative(curve.row_variance), relative(curve.column_variance)], 1),
        ((curve.low_impulse + 1e-5).log() / 5)[:, None],
        ((curve.high_impulse + 1e-5).log() / 5)[:, None],
        logits.softmax(-1)[:, :2],
        torch.stack([curve.correlation(), entropy], 1),
    ]


def _extreme_features(tokens: Tokens) -> list[Tensor]:
    return [
        torch.stack([(s.mean(1) + 1e-4).log() / 4 for s in (tokens.low_share, tokens.high_share)], 1),
        torch.stack([(s.mean(1) + 1e-5).log() / 5 for s in (tokens.low_impulses, tokens.high_impulses)], 1),
        (tokens.low_impulses.amax(1) + tokens.high_impulses.amax(1))[:, None],
    ]


@dataclass(frozen=True)
class SensorReading:
    """Per parameter of LEARNED: quantiles on the scale of `Evidence.base`, upper bound where unseen, presence."""

    quantiles: Tensor  # (B, len(LEARNED), len(LEVELS)) increasing
    limit: Tensor  # (B, len(LEARNED))
    present: Tensor  # (B, len(LEARNED)) logits
    curve: Tensor  # (B, len(CURVE_QUANTILES), len(LEVELS)) of ln(true sigma / fitted sigma)


@dataclass(frozen=True)
class SensorHeadConfig:
    """Size of the sensor head; travels in the checkpoint. The first three are the widths of its inputs."""

    evidence: int
    absolute: int
    embedding: int
    hidden: int = 160
    bottleneck: int = 32  # of the embedding: it says what kind of picture and noise this is, not how much


class SensorHead(nn.Module):
    """Evidence and embedding to a reading.

    Values and intervals come from the scale-free evidence alone, so that they rescale with the picture; presence and
    the detection limit also read the embedding. Inputs are standardised by the statistics of the training data.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: SensorHeadConfig):
        super().__init__()
        self.config = config
        inputs = config.evidence + config.absolute + config.embedding
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.squeeze = nn.Linear(config.embedding, config.bottleneck)
        self.values = _mlp(config.evidence, config.hidden, len(LEARNED) * 3 + len(CURVE_QUANTILES) * 3)
        self.presence = _mlp(config.evidence + config.absolute + config.bottleneck, config.hidden, len(LEARNED) * 2)

    def forward(self, evidence: Evidence, embedding: Tensor) -> SensorReading:
        everything = torch.cat([evidence.features, evidence.absolute, embedding], 1)
        inputs = ((everything - self.mean) / self.scale).clamp(-8, 8)
        widths = [self.config.evidence, self.config.absolute, self.config.embedding]
        scale_free, absolute, picture = torch.split(inputs, widths, 1)
        n = len(LEARNED)
        values = self.values(scale_free)
        parameters, curve = (
            torch.unflatten(values[:, : 3 * n], 1, (n, 3)),
            torch.unflatten(values[:, 3 * n :], 1, (len(CURVE_QUANTILES), 3)),
        )
        presence = self.presence(torch.cat([scale_free, absolute, self.squeeze(picture)], 1))
        limit_and_presence = torch.unflatten(presence, 1, (n, 2))
        return SensorReading(
            quantiles=spread(evidence.base + parameters[..., 1], parameters[..., 0], parameters[..., 2]),
            limit=evidence.base + limit_and_presence[..., 1],
            present=limit_and_presence[..., 0],
            curve=spread(curve[..., 1], curve[..., 0], curve[..., 2]),
        )


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, outputs)
    )


def spread(middle: Tensor, below: Tensor, above: Tensor) -> Tensor:
    """Quantiles that cannot cross: `(..., 3)`."""
    return torch.stack([middle - functional.softplus(below - 2), middle, middle + functional.softplus(above - 2)], -1)


class PaperHead(nn.Module):
    """Embedding to the six strengths of the genome `paper`, which sum to 1."""

    def __init__(self, embedding: int, outputs: int, hidden: int = 256):
        super().__init__()
        self.body = nn.Sequential(
            nn.LayerNorm(embedding), nn.Linear(embedding, hidden), nn.GELU(), nn.Linear(hidden, outputs)
        )

    def forward(self, embedding: Tensor) -> Tensor:
        strengths: Tensor = self.body(embedding).softmax(-1)
        return strengths
