"""Training of the head that doubts: pictures that follow another law, or leave every law, with what is wrong known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional

from noisediag.cop.doubt_head import LAWS, OTHER_LAWS_FROM, TROUBLES, DoubtHead, Dropout, law_margin
from noisediag.cop.doubts import gather_doubts
from noisediag.cop.heads import gather_evidence
from noisediag.cop.models import SensorModel
from noisediag.cop.tokens import tokenize
from noisediag.genome import paper, sensor
from noisediag.training.calibration import conformal_quantile
from noisediag.training.fit import Objective, Report
from noisediag.training.objectives import curve_error
from noisediag.training.pictures import CROP, CleanPool, SensorBatch, sensor_batch
from noisediag.training.recipe import Recipe
from noisediag.training.sensor_head import bags, batches, presence, raw_bags
from noisediag.training.streams import drawing

OTHER_LAWS = 0.3  # of the pictures: Rician, grain or filtered, a third each
SPECKLE = 0.12  # of the pictures are drawn as speckle: a strong gain noise and little else
LOOKS = (1.0, 16.0)  # log-uniform
UNEVEN, CURVED, BLACK = 0.2, 0.08, 0.15  # shares of the others whose noise is uneven, encoded, on another black
MOSAIC_EVERY = 3  # batches, of which one holds CFA planes
MOSAIC_SHAPES = ((128, 8), (64, 8), (128, 8))  # px of a plane, pictures: scenes of training have twice the side
FACTORS = (1.4, 4.0)  # log-uniform: of sigma between parts of an uneven picture
UPRIGHT = 0.4  # of the borders between halves: exposures and exchanges end at rows and columns
GAMMA = (1.5, 2.6)  # of encoded pictures
WRONG_BLACK = (5e-3, 0.2)  # log-uniform, normalised: pedestals that nobody states
FELT = 0.15  # of the darkest variance: what a wrong black adds there to be found wrong
UNFELT = 0.02
OFF = 0.2  # |ln sigma ratio|: a curve that is so far off does not fit
SPECKLE_GAIN = 0.2  # from this gain noise on, pictures without shot noise count as speckle
NO_LABEL = -1
LEAST_MARGIN = -1.5  # over the ordinary laws: one that is told must be about as likely as they are
PAPER_AT_ONCE = 32  # pictures of one forward pass
SEEN = 0.1  # of the signals that must show where a law departs from others
RICIAN_DARK, RICIAN_BRIGHT = (
    0.9,
    0.99,
)  # of the greatest sigma: below, the law shows; above, it is that of additive noise
GRAIN_BRIGHT = 0.55  # signal from which grain grows weaker
TROUBLE_ALARM = 0.006  # of ordinary pictures: the scenes of other files are harder than those of training
ALARM = 0.008  # of ordinary pictures that may be doubted: below the 2 % allowed, for pictures of other kinds


@dataclass(frozen=True)
class DoubtSet:
    """Inputs and labels of many pictures; NO_LABEL where a question has no answer."""

    doubts: Tensor  # (N, D)
    evidence: Tensor  # (N, F)
    embedding: Tensor  # (N, E)
    law: Tensor  # (N,) number in LAWS
    trouble: Tensor  # (N, len(TROUBLES)) 0 or 1
    ordinary: Tensor  # (N,) bool: the genome's law, evenly, on the right black


def doubt_set(
    model: SensorModel,
    pool: CleanPool,
    count: int,
    seed: int,
    *,
    purpose: str,
    raw: bool = False,
    mosaics: bool = False,
    report: Report | None = None,
) -> DoubtSet:
    """Simulate pictures of several sizes, ordinary ones and others; `raw`: bags of CFA planes, ordinary ones alone.

    `mosaics`: some of the pictures are bags of CFA planes, ordinary ones and troubled ones.
    """

    def make(number: int) -> DoubtSet:
        generator = drawing(purpose, seed, number, device=pool.pictures.device)
        if raw:
            return _batch(model, raw_bags(pool, number, generator), generator, raw=True, ordinary=True)
        if mosaics and number % MOSAIC_EVERY == 0:
            planes = raw_bags(pool, number // MOSAIC_EVERY, generator, shapes=MOSAIC_SHAPES)
            return _batch(model, planes, generator, raw=True)
        return _batch(model, bags(pool, number, generator), generator)

    parts = batches(make, lambda part: len(part.law), count, report)
    return DoubtSet(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(DoubtSet)))


def _batch(
    model: SensorModel,
    pictures: tuple[Tensor, sensor.SensorNoise, int],
    generator: torch.Generator,
    *,
    raw: bool = False,
    ordinary: bool = False,
) -> DoubtSet:
    """`pictures`: clean tiles, the noise of each picture, and how many tiles it has; `raw`: they are CFA planes."""
    clean, law, tiles = pictures
    n, device = len(law), clean.device

    def uniform() -> Tensor:
        return torch.rand(n, generator=generator, device=device)

    if not raw:
        law = _with_speckle(law, uniform)
    repeated = law.select(torch.arange(n, device=device).repeat_interleave(tiles))
    batch = sensor_batch(
        clean, repeated, generator, tiles=tiles, black_known=raw, other_laws=0.0 if raw else OTHER_LAWS
    )
    first = torch.arange(n, device=device) * tiles
    other = (batch.rician | batch.grain | batch.filtered)[first]
    trouble = _Trouble.none(n, device) if ordinary else _Trouble.draw(~other, uniform)
    batch, factor = _troubled(batch, clean, trouble, tiles, generator, same_place=raw)
    free = batch.free_intercept[first]
    step = batch.noise.quantisation[first]
    with torch.inference_mode():
        tokens = tokenize(torch.unflatten(batch.image, 0, (n, tiles)))
        curve = model.curve(tokens, step, free)[-1]
        evidence = gather_evidence(tokens, curve, step, free)
        doubts = gather_doubts(tokens, curve, step)
        embedding = model.embed(tokens)
    whole = replace(
        batch,
        signal=batch.signal.reshape(n, -1),
        sigma=batch.sigma.reshape(n, -1),
        scored=batch.scored.reshape(n, -1),
    )
    error, counted = curve_error(curve, whole)
    return DoubtSet(
        doubts=doubts.features,
        evidence=evidence.features,
        embedding=embedding,
        law=_law_labels(whole, first, trouble, (clean.shape[1] * tiles, clean.shape[2] * tiles)),
        trouble=_trouble_labels(whole, first, trouble, factor, error.float(), counted),
        ordinary=~other & ~trouble.uneven & ~trouble.curved & ~trouble.black,
    )


def _with_speckle(law: sensor.SensorNoise, uniform: Callable[[], Tensor]) -> sensor.SensorNoise:
    chosen = uniform() < SPECKLE
    low, high = LOOKS
    gain = (low * (high / low) ** uniform()) ** -0.5
    correlated = torch.where(uniform() < 0.3, law.correlation, torch.zeros_like(gain))
    values = {f.name: torch.where(chosen, 0.0, getattr(law, f.name)) for f in fields(law)}
    values["multiplicative"] = torch.where(chosen, gain, law.multiplicative)
    values["correlation"] = torch.where(chosen, correlated, law.correlation)
    values["quantisation"] = torch.where(chosen, 1 / 65535, law.quantisation)
    return sensor.SensorNoise(**values)


@dataclass(frozen=True)
class _Trouble:
    """What is wrong with each picture of a batch, all (n,) bool; at most one thing."""

    uneven: Tensor
    curved: Tensor
    black: Tensor

    @staticmethod
    def none(n: int, device: torch.device) -> _Trouble:
        nothing = torch.zeros(n, dtype=torch.bool, device=device)
        return _Trouble(nothing, nothing, nothing)

    @staticmethod
    def draw(free: Tensor, uniform: Callable[[], Tensor]) -> _Trouble:
        """Among the pictures `free` (n,) to be troubled."""
        u = uniform()
        uneven, curved = u < UNEVEN, (u >= UNEVEN) & (u < UNEVEN + CURVED)
        black = (u >= UNEVEN + CURVED) & (u < UNEVEN + CURVED + BLACK)
        return _Trouble(uneven & free, curved & free, black & free)


def _troubled(
    batch: SensorBatch,
    clean: Tensor,
    trouble: _Trouble,
    tiles: int,
    generator: torch.Generator,
    *,
    same_place: bool = False,
) -> tuple[SensorBatch, Tensor]:
    """`batch` with the trouble in its pictures, and by how much sigma differs between parts of each tile, `(n,)`.

    `same_place`: the tiles of a picture are planes of one mosaic.
    """
    device = clean.device
    every = torch.arange(len(trouble.uneven), device=device).repeat_interleave(tiles)
    scale = (1 - batch.pedestal)[:, None, None]
    light = clean * scale + batch.pedestal[:, None, None]
    field = _unevenness(clean, tiles, generator, same_place=same_place)
    uneven = trouble.uneven[every][:, None, None]
    image = torch.where(uneven, (light + (batch.image - light) * field).clamp(max=1), batch.image)
    flat = torch.unflatten(field, 0, (-1, tiles)).flatten(1)
    low, high = flat.quantile(torch.tensor([0.15, 0.85], device=device), 1)
    typical = torch.where(trouble.uneven, flat.square().mean(1).sqrt(), 1.0)[every][:, None]
    signal, sigma = batch.signal, batch.sigma * typical
    low_gamma, high_gamma = GAMMA
    gamma = low_gamma + (high_gamma - low_gamma) * torch.rand(len(every) // tiles, generator=generator, device=device)
    power = torch.where(trouble.curved, 1 / gamma, 1.0)[every]
    curved = trouble.curved[every]
    bent = image.clamp(min=0).pow(power[:, None, None])
    image = torch.where(curved[:, None, None], bent, image)
    slope = power[:, None] * signal.clamp(min=1e-3).pow(power[:, None] - 1)
    sigma = torch.where(curved[:, None], sigma * slope, sigma)
    signal = torch.where(curved[:, None], signal.clamp(min=0).pow(power[:, None]), signal)
    step, base = batch.noise.quantisation, torch.zeros(len(every), 1, 1, device=device)
    image = sensor.quantise(image, torch.where(uneven[:, 0, 0] | curved, step, 0.0), base, base + 1)
    dark_low, dark_high = WRONG_BLACK
    u = torch.rand(len(every) // tiles, generator=generator, device=device)
    level = torch.where(trouble.black, dark_low * (dark_high / dark_low) ** u, 0.0)[every]
    wrong = trouble.black[every]
    shrink = 1 - level
    image = torch.where(wrong[:, None, None], image * shrink[:, None, None] + level[:, None, None], image)
    signal = torch.where(wrong[:, None], signal * shrink[:, None] + level[:, None], signal)
    sigma = torch.where(wrong[:, None], sigma * shrink[:, None], sigma)
    moved = replace(
        batch,
        image=image,
        signal=signal,
        sigma=sigma,
        pedestal=torch.where(wrong, level, batch.pedestal),
        free_intercept=batch.free_intercept & ~wrong,
        noise=replace(
            batch.noise,
            shot_gain=batch.noise.shot_gain * torch.where(wrong, shrink, 1.0),
            quantisation=step * torch.where(wrong, shrink, 1.0),
        ),
    )
    return moved, (high / low)[: len(trouble.uneven)]


def _unevenness(clean: Tensor, tiles: int, generator: torch.Generator, *, same_place: bool) -> Tensor:
    """A factor of sigma for every pixel, (B, H, W): halves, rims, smooth fields, or one for each tile of a picture.

    `same_place`: the tiles of a picture are planes of one mosaic, with the same field and none of their own.
    """
    count, height, width = clean.shape
    device, n = clean.device, count // tiles

    def draw(*shape: int) -> Tensor:
        """One number, or field, for each tile."""
        drawn = torch.rand(n if same_place else count, *shape, generator=generator, device=device)
        return drawn.repeat_interleave(tiles, 0) if same_place else drawn

    def of_picture() -> Tensor:
        return torch.rand(n, generator=generator, device=device).repeat_interleave(tiles)[:, None, None]

    low, high = FACTORS
    ratio = low * (high / low) ** of_picture()
    upright = of_picture() < UPRIGHT
    angle = 2 * torch.pi * of_picture()
    angle = torch.where(upright, (angle / (torch.pi / 2)).round() * (torch.pi / 2), angle)
    y = torch.linspace(-1, 1, height, device=device)[:, None]
    x = torch.linspace(-1, 1, width, device=device)
    halves = (x * angle.cos() + y * angle.sin() > 0.6 * (draw(1, 1) - 0.5)).float()
    rim = ((x.square() + y.square()) / 2).expand(count, -1, -1)
    coarse = draw(1, 4, 4)
    smooth = functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[:, 0].clamp(0, 1)
    each = (draw(1, 1) < 0.5).float().expand(-1, height, width)
    kind = (4 * of_picture()).long()
    kind = torch.where((kind == 3) & (same_place or tiles == 1), 0, kind)
    part = torch.where(kind == 0, halves, torch.where(kind == 1, rim, torch.where(kind == 2, smooth, each)))
    return ratio**-part


def _law_labels(batch: SensorBatch, first: Tensor, trouble: _Trouble, sides: tuple[int, int]) -> Tensor:
    """Numbers in LAWS, `(n,)`; NO_LABEL where two laws share the noise."""
    noise, n = batch.noise.select(first), len(first)
    signal = (batch.signal - batch.pedestal[first][:, None]).clamp(min=0)
    visible = batch.scored.any(1)
    value = {f.name: getattr(noise, f.name) for f in fields(noise)}
    sigma = noise.sigma(signal)
    scored, absent = presence(value, signal, sigma, visible, sides)
    label = torch.full((n,), NO_LABEL, device=first.device)
    square = (noise.multiplicative[:, None] * signal).square() / sigma.square().clamp(min=1e-20)
    label[scored["shot_gain"] & (square.mean(1) < 0.5)] = LAWS.index("photon")
    label[absent["shot_gain"] & scored["read_noise"] & absent["multiplicative"]] = LAWS.index("additive")
    pure = absent["shot_gain"] & (noise.multiplicative >= SPECKLE_GAIN) & (square.mean(1) > 0.9)
    label[pure & visible] = LAWS.index("speckle")
    relative = batch.sigma / batch.sigma.amax(1, keepdim=True).clamp(min=1e-12)
    dark, rician = (relative < RICIAN_DARK).float().mean(1), batch.rician[first] & visible
    label[rician & (dark >= SEEN)] = LAWS.index("rician")
    label[rician & (relative.amin(1) > RICIAN_BRIGHT)] = LAWS.index("additive")
    bright, grain = (signal > GRAIN_BRIGHT).float().mean(1), batch.grain[first] & visible
    label[grain & (bright >= SEEN) & (bright <= 1 - SEEN)] = LAWS.index("grain")
    label[trouble.curved] = NO_LABEL
    return label


def _trouble_labels(
    batch: SensorBatch, first: Tensor, trouble: _Trouble, factor: Tensor, error: Tensor, counted: Tensor
) -> Tensor:
    """0 or 1 for each of TROUBLES, NO_LABEL where it is neither, `(n, len(TROUBLES))`."""
    other = (batch.rician | batch.grain | batch.filtered)[first]
    ordinary = ~other & ~trouble.uneven & ~trouble.curved & ~trouble.black
    labels = torch.full((len(first), len(TROUBLES)), NO_LABEL, device=first.device)
    noise = batch.noise.select(first)
    dark = batch.sigma.amin(1).square().clamp(min=1e-20)
    felt = noise.shot_gain * batch.pedestal[first] / dark
    known = ~batch.free_intercept[first]
    black, uneven, misfit = (TROUBLES.index(name) for name in ("black", "uneven", "misfit"))
    labels[known & ordinary, black] = 0
    labels[known & trouble.black & (felt < UNFELT), black] = 0
    labels[known & trouble.black & (felt > FELT) & counted, black] = 1
    labels[ordinary | trouble.black | (other & ~trouble.curved), uneven] = 0
    labels[trouble.uneven & (factor > FACTORS[0] * 0.95) & counted, uneven] = 1
    labels[ordinary, misfit] = 0
    labels[(trouble.curved | other | trouble.uneven) & counted & (error > OFF), misfit] = 1
    return labels


def doubt_objective(head: DoubtHead, data: DoubtSet, batch_size: int) -> Objective:
    """Cross-entropies of law and troubles, over the pictures that have an answer."""

    forgetful = [module for module in head.modules() if isinstance(module, Dropout)]

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        for module in forgetful:
            module.generator = generator
        index = torch.randint(len(data.law), (batch_size,), generator=generator, device=data.law.device)
        reading = head(data.doubts[index], data.evidence[index], data.embedding[index])
        law = functional.cross_entropy(reading.law, data.law[index], ignore_index=NO_LABEL)
        truth = data.trouble[index]
        asked = truth != NO_LABEL
        trouble = functional.binary_cross_entropy_with_logits(reading.trouble[asked], truth[asked].float())
        return law + 2 * trouble, {"law": float(law.detach()), "trouble": float(trouble.detach())}

    return objective


def doubt_alarms(head: DoubtHead, data: DoubtSet) -> dict[str, float]:
    """What logits and margins must exceed to be told: few of the ordinary pictures of `data` do."""
    with torch.inference_mode():
        reading = head(data.doubts, data.evidence, data.embedding)
    lawful = data.ordinary & (data.law >= 0) & (data.law < OTHER_LAWS_FROM)
    margin = law_margin(reading.law)
    alarms = {name: _alarm(margin[lawful, i], ALARM, LEAST_MARGIN) for i, name in enumerate(LAWS[OTHER_LAWS_FROM:])}
    for i, name in enumerate(TROUBLES):
        alarms[name] = _alarm(reading.trouble[data.ordinary & (data.trouble[:, i] == 0), i], TROUBLE_ALARM, 0.0)
    return alarms


def _alarm(logits: Tensor, share: float, least: float) -> float:
    return max(least, float(conformal_quantile(logits.double(), share))) if len(logits) else least


def paper_embeddings(model: SensorModel, pool: CleanPool, recipe: Recipe, count: int) -> Tensor:
    """Where pictures of the genome `paper`, which the encoder knows too, lie in its embedding, (count, E)."""
    parts: list[Tensor] = []
    for number in range(-(-count // PAPER_AT_ONCE)):
        generator = drawing("familiar pictures of the genome paper", recipe.seed, number, device=pool.pictures.device)
        clean = pool.draw(PAPER_AT_ONCE, CROP, generator)
        image = paper.corrupt(clean, paper.sample(PAPER_AT_ONCE, generator), generator)
        with torch.inference_mode():
            parts.append(model.embed(tokenize(image[:, None])))
    return torch.cat(parts)[:count]
