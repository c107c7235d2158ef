"""What is trained on what: clean crops under a genome become batches, and each model gets its loss.

The loop itself is `fit`; nothing here runs on import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.cop.calibration import EVERYTHING, RAW_TAIL, TAIL, calibrate, calibrate_alarm, calibrate_limit, group
from noisediag.cop.curve import CORRELATIONS, CurveNet, CurvePass
from noisediag.cop.encoder import Encoder
from noisediag.cop.fit import Objective, Report
from noisediag.cop.heads import LEARNED, LEVELS, LIMIT_LEVEL, UNIFORM, Evidence, SensorHead, gather_evidence
from noisediag.cop.losses import info_nce, log_ratio, pinball
from noisediag.cop.models import PaperModel, SensorModel
from noisediag.cop.tokens import BLOCK, tokenize
from noisediag.genome import paper, scenes, sensor

CROP = 128
QUANTILES = 33  # of the clean signal, where the curve is scored
CLIP_MARGIN = 2e-3  # clean signal this close to a clip is not scored
PEDESTAL = (2e-3, 0.25)  # normalised, log-uniform, in half of the pictures
MAX_ERROR = 3.0  # of |ln sigma ratio| in the loss
FINE_ERROR = 0.003  # below, the loss falls faster: easy pictures should be read to the statistical limit
FINE_WEIGHT = 0.01
LARGE_ERROR = 0.5  # up to here the loss grows faster than the error: two half errors are better than one whole
LARGE_WEIGHT = 2.0
PURE_CONTENT = 2e-3  # of the noise's variance in any block: 0.1 % of sigma
FLAT_SHARE = 0.05  # of the crops the curve learns from are constant
PURE_SIGMAS = 4.0  # from the clips
EXACT_BELOW = 0.004  # sigma at mid signal: weaker noise is laid over exactly clean scenes only
HALVED = 0.35  # of the crops show twice the region
MOSAIC = 0.2  # of the crops are four pictures, shrunk: as fine as the pixels and without large smooth parts
MOST_SHRUNK = 4
HEAD_SHAPES = (
    (128, 1, 24),
    (256, 1, 8),
    (128, 4, 8),
    (64, 1, 48),
    (256, 1, 8),
    (128, 8, 4),
    (256, 4, 2),
    (128, 4, 8),
)  # px, tiles, pictures
RAW_SHAPES = ((256, 4), (128, 8), (256, 4), (256, 4), (64, 8))  # px of a plane, pictures
CLEAN_SHARE = 0.2  # of the pictures the heads see, nothing added
CONTAINED = 0.7  # of the pictures without quantisation of their own are stored in 16 bits, the others as floats
ABSENT_DEPTH = 4.0  # natural logarithms below its start where the upper bound of an absent noise is aimed at


class CleanPool:
    """Clean pictures to cut crops from; each crop is varied anew.

    `scenes` `(n, side, side)` are exactly clean. `images` `(m, side, side)`, at times none, carry a little noise of
    their own; they are drawn with the probability `image_share`.
    """

    def __init__(self, scenes: Tensor, images: Tensor | None = None, image_share: float = 0.0):
        self.pictures = scenes if images is None else torch.cat([scenes, images])
        self.scenes = len(scenes)
        self.image_share = 0.0 if images is None else image_share

    def draw(
        self,
        n: int,
        size: int,
        generator: torch.Generator,
        *,
        varied: bool = True,
        exact: Tensor | None = None,
    ) -> Tensor:
        """`(n, size, size)` crops; some show larger regions, area-averaged: finer and cleaner.

        `exact` (n,) bool: these are cut from scenes, as the noise of an image would be as strong as what is added.
        """
        count, side, _ = self.pictures.shape
        device = generator.device
        chosen = torch.randint(self.scenes, (n,), generator=generator, device=device)
        if self.image_share > 0:
            image = torch.randint(self.scenes, count, (n,), generator=generator, device=device)
            taken = torch.rand(n, generator=generator, device=device) < self.image_share
            chosen = torch.where(taken if exact is None else taken & ~exact, image, chosen)
        whole = torch.rand(n, generator=generator, device=device) < (HALVED if side >= 2 * size else 0.0)
        top, left = (torch.randint(side - size + 1, (n,), generator=generator, device=device) for _ in range(2))
        rows = top[:, None] + torch.arange(size, device=device)
        columns = left[:, None] + torch.arange(size, device=device)
        crops = self.pictures[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        if bool(whole.any()):
            halved = functional.avg_pool2d(self.pictures[chosen[whole], : 2 * size, : 2 * size][:, None], 2)[:, 0]
            crops[whole] = halved
        tiled = (torch.rand(n, generator=generator, device=device) < MOSAIC).nonzero()[:, 0]
        if len(tiled):
            crops[tiled] = self._mosaics(chosen[tiled], size, generator)
        return scenes.vary(crops, generator) if varied else crops

    def _mosaics(self, chosen: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """`(len(chosen), size, size)`: every quarter a shrunk picture, those of `chosen` and three of the same kind.

        Together they are shifted around, so that the seams lie anywhere.
        """
        side, quarter, device = self.pictures.shape[1], size // 2, generator.device
        shrink = min(MOST_SHRUNK, side // quarter)
        exact = chosen < self.scenes
        others = torch.randint(2**31, (3, len(chosen)), generator=generator, device=device)
        scene, image = others % self.scenes, self.scenes + others % max(len(self.pictures) - self.scenes, 1)
        members = torch.cat([chosen[None], torch.where(exact, scene, image)])
        top, left = torch.randint(side - shrink * quarter + 1, (2,), generator=generator, device=device).tolist()
        region = self.pictures[members, top : top + shrink * quarter, left : left + shrink * quarter]
        small = functional.avg_pool2d(region, shrink)  # (4, n, quarter, quarter)
        whole = torch.cat([torch.cat([small[0], small[1]], 2), torch.cat([small[2], small[3]], 2)], 1)
        down, right = torch.randint(size, (2,), generator=generator, device=device).tolist()
        return whole.roll((down, right), (1, 2))


@dataclass(frozen=True)
class SensorBatch:
    """Simulated pictures with everything known about them. Signals are on the scale the estimator sees."""

    image: Tensor  # (B, H, W)
    signal: Tensor  # (B, QUANTILES) of the clean picture
    sigma: Tensor  # (B, QUANTILES) truth there
    scored: Tensor  # (B, QUANTILES) bool
    noise: sensor.SensorNoise  # on the scale of the picture, counted from its black
    impulse_share: Tensor  # (B,) realised
    free_intercept: Tensor  # (B,) bool: black is not known to the estimator
    pedestal: Tensor  # (B,) offset of black on the estimator's scale; 0 where black is known
    pure: Tensor  # (B,) bool: nothing but pixel noise, neither content nor offsets, impulses or clipping


def sensor_batch(
    clean: Tensor, noise: sensor.SensorNoise, generator: torch.Generator, *, tiles: int = 1, black_known: bool = False
) -> SensorBatch:
    """Lay `noise` over `clean` (B, H, W), where `tiles` in a row belong to one picture.

    Half of the pictures have a pedestal; for half, the estimator does not know black, unless `black_known`.
    """
    n, device = len(clean), clean.device

    def uniform() -> Tensor:
        return torch.rand(n // tiles, generator=generator, device=device).repeat_interleave(tiles)

    low, high = PEDESTAL
    level = low * (high / low) ** uniform()
    level = torch.where(uniform() < 0.5, level, torch.zeros_like(level))
    free = (uniform() < 0.5) & (not black_known)  # it may also be unknown and 0
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
        pure=is_pure(clean, noise, low_clip),
    )


def is_pure(clean: Tensor, noise: sensor.SensorNoise, low_clip: Tensor) -> Tensor:
    """Which pictures `(B, H, W)` are flat wherever one looks and show their pixel noise uncut and alone: `(B,)`."""
    blocks = clean.unfold(1, BLOCK, BLOCK).unfold(2, BLOCK, BLOCK)
    sigma = noise.sigma(torch.stack([clean.amin((1, 2)), clean.amax((1, 2))], 1))
    content = blocks.var((-2, -1), unbiased=False).amax((1, 2))
    inside = (clean.amin((1, 2)) - low_clip > PURE_SIGMAS * sigma[:, 0]) & (
        1 - clean.amax((1, 2)) > PURE_SIGMAS * sigma[:, 1]
    )
    alone = (noise.row_noise == 0) & (noise.column_noise == 0) & (noise.impulse == 0)
    return (content <= PURE_CONTENT * sigma.amin(1).square()) & inside & alone & (sigma.amin(1) > 0)


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


def curve_loss(network: CurveNet, batch: SensorBatch) -> tuple[Tensor, dict[str, float]]:
    """The curve at every pass; correlation, rows, columns and impulses at the last two."""
    results = network(tokenize(batch.image[:, None]), batch.noise.quantisation, batch.free_intercept)
    total = torch.zeros((), dtype=torch.float64, device=batch.image.device)
    middle = batch.sigma.square().mean(1)
    grid = torch.tensor(CORRELATIONS, device=batch.image.device)
    rho = batch.noise.correlation
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
        total = total + 0.1 * weight * split_error(result, batch)[counted].sum() / len(error)
        upper = torch.searchsorted(grid, rho).clamp(1, len(grid) - 1)
        share = ((rho - grid[upper - 1]) / (grid[upper] - grid[upper - 1])).clamp(0, 1)
        log_p = result.correlation_logits.log_softmax(-1)
        cross = -(1 - share) * log_p.gather(1, upper[:, None] - 1)[:, 0] - share * log_p.gather(1, upper[:, None])[:, 0]
        total = total + 0.03 * weight * cross[counted].sum() / len(error)
        floor = (0.1 * middle.sqrt()).square() + 1e-12
        for estimate, truth in (
            (result.row_variance, batch.noise.row_noise),
            (result.column_variance, batch.noise.column_noise),
        ):
            total = total + 0.05 * weight * log_ratio(estimate, truth.square(), floor).mean()
        impulses = result.low_impulse + result.high_impulse
        total = total + 0.05 * weight * log_ratio(impulses, batch.impulse_share, 1e-3).mean()
    return total.float(), {"curve": float(error[counted].detach().mean())}  # of the last pass


def faint(noise: sensor.SensorNoise) -> Tensor:
    """Which pictures have so little noise that a clean image's own would count, `(B,)` bool."""
    return noise.sigma(torch.full_like(noise.shot_gain, 0.5)) < EXACT_BELOW


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
        return curve_loss(network, sensor_batch(clean, noise, generator))

    return objective


def contrastive_objective(encoder: Encoder, pool: CleanPool, genomes: int) -> Objective:
    """InfoNCE; each step draws one of the two genomes by chance.

    Scene i is laid under genome i and under genome i+1: the hard negative.
    """

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


@dataclass(frozen=True)
class HeadSet:
    """Evidence, embeddings and truth of many simulated pictures; `scored` and `absent` per parameter of LEARNED."""

    evidence: Evidence
    embedding: Tensor  # (N, E)
    truth: Tensor  # (N, len(LEARNED)) on the scale of `Evidence.base`; -inf where absent
    scored: Tensor  # (N, len(LEARNED)) bool: strong enough to be measured
    absent: Tensor  # (N, len(LEARNED)) bool: not there, or far too weak to be seen
    curve_truth: Tensor  # (N, len(CURVE_QUANTILES)) ln(true sigma / fitted sigma)
    curve_scored: Tensor  # (N, len(CURVE_QUANTILES)) bool
    blocks: Tensor  # (N,) how many the picture has
    clean: Tensor  # (N,) bool: nothing was added but the rounding to codes


def head_set(
    model: SensorModel, pool: CleanPool, count: int, seed: int, *, raw: bool = False, report: Report | None = None
) -> HeadSet:
    """Simulate pictures of several sizes and bags of several tiles; read their evidence with both networks frozen.

    `raw`: bags of CFA planes under the law of RAW files, black known.
    """
    parts: list[HeadSet] = []
    done = 0
    while done < count:
        parts.append(head_batch(model, pool, len(parts), seed, raw=raw))
        done += len(parts[-1].truth)
        if report is not None and len(parts) % 50 == 0:
            report(done, {})
    return join_head_sets(parts)


def head_batch(model: SensorModel, pool: CleanPool, number: int, seed: int, *, raw: bool = False) -> HeadSet:
    """Batch `number` of a `head_set`: depends on nothing but its number and the seed."""
    generator = torch.Generator(device=pool.pictures.device).manual_seed((seed << 32) + number)
    clean, law, tiles = _raw_bags(pool, number, generator) if raw else _bags(pool, number, generator)
    with torch.inference_mode():
        return _head_part(model, clean, law, tiles, generator, black_known=raw)


def join_head_sets(parts: list[HeadSet]) -> HeadSet:
    """One set of several, in their order."""
    return HeadSet(
        Evidence(*(torch.cat([getattr(p.evidence, f.name) for p in parts]) for f in fields(Evidence))),
        *(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(HeadSet)[1:]),
    )


def _bags(pool: CleanPool, number: int, generator: torch.Generator) -> tuple[Tensor, sensor.SensorNoise, int]:
    """Clean tiles `(n * tiles, size, size)`, the noise of n pictures, and `tiles`."""
    size, tiles, n = HEAD_SHAPES[number % len(HEAD_SHAPES)]
    law = sensor.sample("wide", n, generator)
    exact = torch.rand(n, generator=generator, device=generator.device) < CLEAN_SHARE
    silenced = {f.name: torch.where(exact, 0.0, getattr(law, f.name)) for f in fields(sensor.SensorNoise)}
    law = sensor.SensorNoise(**silenced)
    contained = (law.quantisation == 0) & (torch.rand(n, generator=generator, device=generator.device) < CONTAINED)
    law = replace(law, quantisation=torch.where(contained, 1 / 65535, law.quantisation))
    clean = pool.draw(n, size, generator, exact=faint(law)).repeat_interleave(tiles, 0)
    if tiles > 1:  # the same scene under other exposures
        clean = clean * (0.3 + 0.7 * torch.rand(n * tiles, 1, 1, generator=generator, device=generator.device))
    return clean, law, tiles


def _raw_bags(pool: CleanPool, number: int, generator: torch.Generator) -> tuple[Tensor, sensor.SensorNoise, int]:
    """The four planes of Bayer mosaics: every second pixel of a scene, with plausible white-balance gains."""
    size, n = RAW_SHAPES[number % len(RAW_SHAPES)]
    scene = pool.draw(n, 2 * size, generator, varied=number % 2 == 0)
    planes = torch.stack([scene[:, row::2, column::2] for row in (0, 1) for column in (0, 1)], 1)
    gains = 0.3 + 0.7 * torch.rand(n, 4, 1, 1, generator=generator, device=generator.device)
    gains[:, 1:3] = 1.0  # green
    law = sensor.sample("raw", n, generator)
    fine = torch.rand(n, generator=generator, device=generator.device) < 0.5
    law = replace(law, quantisation=torch.where(fine, 1 / 16383, 1 / 4095))
    return (planes * gains).flatten(0, 1), law, 4


def _head_part(
    model: SensorModel,
    clean: Tensor,
    law: sensor.SensorNoise,
    tiles: int,
    generator: torch.Generator,
    *,
    black_known: bool,
) -> HeadSet:
    n = len(law)
    repeated = law.select(torch.arange(n, device=clean.device).repeat_interleave(tiles))
    batch = sensor_batch(clean, repeated, generator, tiles=tiles, black_known=black_known)
    first = torch.arange(n, device=clean.device) * tiles
    step, free = batch.noise.quantisation[first], batch.free_intercept[first]
    tokens = tokenize(batch.image.unflatten(0, (n, tiles)))
    curve = model.curve(tokens, step, free)[-1]
    evidence = gather_evidence(tokens, curve, step, free)
    noise = batch.noise.select(first)
    signal, sigma = batch.signal.reshape(n, -1), batch.sigma.reshape(n, -1)
    clean_signal = (signal - batch.pedestal[first][:, None]).clamp(min=0)
    variance = sigma.square().clamp(min=1e-20)
    width, height = clean.shape[2] * tiles, clean.shape[1] * tiles
    middle = variance.mean(1).sqrt()
    impulses = batch.impulse_share.unflatten(0, (n, tiles)).mean(1)
    pixels = tiles * clean.shape[1] * clean.shape[2]
    terms = {
        "shot_gain": noise.shot_gain[:, None] * clean_signal,
        "read_noise": noise.read_noise[:, None].square().expand_as(variance),
        "multiplicative": (noise.multiplicative[:, None] * clean_signal).square(),
    }
    visible = (batch.scored.reshape(n, -1)).any(1)
    value = {name: getattr(noise, name) for name in LEARNED} | {"impulse": impulses}
    scored, absent = {}, {}
    for name, term in terms.items():
        share = term / variance
        scored[name] = ((share >= 0.1).float().mean(1) >= 0.1) & visible
        absent[name] = (share < 0.01).all(1)
    for name, side in (("row_noise", width), ("column_noise", height)):
        scored[name] = (value[name] >= 0.1 * middle) & (value[name] >= 3 * middle / side**0.5)
        absent[name] = value[name] < 0.02 * middle / (side / 256) ** 0.5
    scored["impulse"], absent["impulse"] = impulses * pixels >= 20, impulses == 0
    scored["correlation"], absent["correlation"] = (value["correlation"] >= 0.5) & visible, value["correlation"] == 0
    scored["read_noise"] &= ~free  # it is not reported there
    absent["read_noise"] |= free
    truth = torch.stack([value[name] if name in UNIFORM else value[name].log() for name in LEARNED], 1)
    at = evidence.signal.clamp(0, 1)
    true_variance = noise.variance((at - batch.pedestal[first][:, None]).clamp(min=0))
    curve_truth = 0.5 * true_variance.clamp(min=1e-20).log() - evidence.sigma.log()
    curve_scored = (at > CLIP_MARGIN) & (at < 1 - CLIP_MARGIN) & visible[:, None]
    return HeadSet(
        evidence=evidence,
        embedding=model.embed(tokens),
        truth=truth,
        scored=torch.stack([scored[name] for name in LEARNED], 1),
        absent=torch.stack([absent[name] for name in LEARNED], 1),
        curve_truth=curve_truth,
        curve_scored=curve_scored,
        blocks=torch.full((n,), tokens.mean.shape[1], device=clean.device),
        clean=torch.stack([getattr(noise, name) for name in LEARNED]).amax(0) == 0,
    )


def head_objective(head: SensorHead, data: HeadSet, batch_size: int) -> Objective:
    """Quantile losses on what is scored, cross-entropy on presence, an upper bound on everything."""
    levels = torch.tensor(LEVELS, device=data.truth.device)
    limit_level = torch.tensor(LIMIT_LEVEL, device=data.truth.device)

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(data.truth), (batch_size,), generator=generator, device=data.truth.device)
        evidence = Evidence(*(getattr(data.evidence, f.name)[index] for f in fields(Evidence)))
        reading = head(evidence, data.embedding[index])
        truth, scored, absent = data.truth[index], data.scored[index], data.absent[index]
        error = truth.nan_to_num(neginf=0)[..., None] - reading.quantiles
        values = (pinball(error.clamp(-5, 5), levels).mean(-1) * scored).sum() / scored.sum().clamp(min=1)
        bounded = torch.maximum(truth, evidence.base - ABSENT_DEPTH)
        limits = pinball((bounded - reading.limit).clamp(-5, 5), limit_level).mean()
        sure = scored | absent
        presence = functional.binary_cross_entropy_with_logits(reading.present[sure], scored[sure].float())
        curve = pinball((data.curve_truth[index][..., None] - reading.curve).clamp(-2, 2), levels).mean(-1)
        curves = (curve * data.curve_scored[index]).sum() / data.curve_scored[index].sum().clamp(min=1)
        total = values + 0.3 * limits + 0.3 * presence + 3 * curves
        return total, {
            "values": float(values.detach()),
            "presence": float(presence.detach()),
            "curves": float(curves.detach()),
        }

    return objective


def standardise(head: SensorHead, data: HeadSet) -> None:
    """Set the head's input normalisation from `data`."""
    inputs = torch.cat([data.evidence.features, data.evidence.absolute, data.embedding], 1)
    head.mean.copy_(inputs.mean(0))
    head.scale.copy_(inputs.std(0).clamp(min=1e-3))


def calibration_of(head: SensorHead, data: HeadSet, raw: HeadSet) -> dict[str, Any]:
    """Conformal tables of every parameter and of the curve, from pictures and RAW bags that the head has not seen."""
    with torch.inference_mode():
        logits = head(data.evidence, data.embedding).present[data.clean]
    alarms = {name: calibrate_alarm(logits[:, i]) for i, name in enumerate(LEARNED)}
    tables, of_raw = _tables(head, data, alarms, raw=False), _tables(head, raw, alarms, raw=True)
    for kind, by_name in of_raw.items():
        for name, groups in by_name.items():
            tables[kind][name].update({own: value for own, value in groups.items() if own != EVERYTHING})
    return tables | {"alarms": alarms}


def _tables(head: SensorHead, data: HeadSet, alarms: Mapping[str, float], *, raw: bool) -> dict[str, dict[str, Any]]:
    spans = data.evidence.signal[:, -1] - data.evidence.signal[:, 0]
    seen = zip(data.blocks.tolist(), spans.tolist(), data.evidence.smooth.tolist(), strict=True)
    groups = [group(blocks, span, smooth, raw=raw) for blocks, span, smooth in seen]
    tail = RAW_TAIL if raw else TAIL
    with torch.inference_mode():
        reading = head(data.evidence, data.embedding)
    present = reading.present - torch.tensor([alarms[name] for name in LEARNED], device=reading.present.device)
    intervals: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for i, name in enumerate(LEARNED):
        # as they are reported: seen, and strong enough; of RAW files all that are seen
        strong = data.truth[:, i].isfinite() if raw else data.scored[:, i]
        used = (strong & (present[:, i] > 0)).nonzero()[:, 0].tolist()
        intervals[name] = calibrate(
            reading.quantiles[used, i], data.truth[used, i], [groups[j] for j in used], tail=tail
        )
        # there, but not seen
        missed = (~data.absent[:, i] & (present[:, i] <= 0)).nonzero()[:, 0].tolist()
        bound = torch.maximum(reading.limit[:, i], reading.quantiles[:, i, 0])
        limits[name] = calibrate_limit(bound[missed], data.truth[missed, i], [groups[j] for j in missed])
    rows, columns = data.curve_scored.nonzero(as_tuple=True)
    intervals["curve"] = calibrate(
        reading.curve[rows, columns], data.curve_truth[rows, columns], [groups[j] for j in rows.tolist()], tail=tail
    )
    return {"intervals": intervals, "limits": limits}


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
