"""How the shipped models are trained, start to end: each function makes one checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed, nn

from noisediag.cop import checkpoint as store
from noisediag.cop.curve import CurveConfig, CurveNet
from noisediag.cop.encoder import Encoder, EncoderConfig
from noisediag.cop.heads import SensorHeadConfig
from noisediag.cop.models import PaperModel, SensorModel, load_encoder, save_encoder
from noisediag.cop.rendered import RenderedConfig, RenderedNet
from noisediag.genome import clean, scenes
from noisediag.genome.seeds import stream
from noisediag.training.fit import FitConfig, Report, fit
from noisediag.training.objectives import (
    CROP,
    contrastive_objective,
    curve_objective,
    near_objective,
    paper_objective,
)
from noisediag.training.photographs import rendered_set
from noisediag.training.pictures import CleanPool
from noisediag.training.rendered import LARGE_PX, rendered_calibration, rendered_objective
from noisediag.training.sensor_head import HeadSet, calibration_of, head_objective, head_set, standardise

SCENE_PX = 2 * CROP
SCENES_AT_ONCE = 100
FAMILIAR_QUANTILE = 0.995
CALIBRATION = 20_000  # seed of its cameras
HELD_OUT = 10  # one of so many images of the folder
FURTHER_RATE = 1.2e-3  # learning rate of a network that is trained further
PLACES = 7  # coordinates of near genomes `paper` and their offset: six strengths that sum to 1 have room
Announce = Callable[[str], None]
Made = TypeVar("Made")


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on, recorded in the checkpoint.

    `images`: a folder of clean pictures, or none.
    """

    seed: int = 0
    scenes: int = 6400  # procedural pictures of 256 x 256
    images: str | None = None
    image_share: float = 0.45  # of the crops that are cut from the folder's pictures
    encoder_steps: int = 3400
    genomes: int = 48  # of one contrastive step
    curve_steps: int = 10000
    batch: int = 32  # crops of 128 x 128 of one step and process, or as many pixels
    paper_steps: int = 10000
    near_genomes: int = 32  # `paper`, of one contrastive step with near genomes
    near_views: int = 8  # of each
    near_steps: int = 12000
    head_pictures: int = 18000
    head_steps: int = 1500
    calibration_pictures: int = 8000
    raw_pictures: int = 900  # bags of CFA planes that the intervals of RAW files are calibrated on
    rendered_scenes: int = 5000  # that simulated cameras photograph, anew in every step
    rendered_image_share: float = 0.6
    rendered_steps: int = 12000
    rendered_batch: int = 16  # pictures of 128 x 128 of one step and process, or as many pixels
    rendered_calibration: int = 1000  # pictures


@dataclass(frozen=True)
class Run:
    """Where a training run writes and how it is watched. `state` is the file a stopped run continues from."""

    output: Path
    device: torch.device
    resume: bool = False
    report: Report | None = None
    announce: Announce | None = None

    @property
    def processes(self) -> int:
        """How many train together under `torchrun`."""
        return distributed.get_world_size() if distributed.is_initialized() else 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.processes == 1 or distributed.get_rank() == 0

    def state(self, stage: str) -> Path:
        return self.output.with_name(f"{self.output.stem}.{stage}.state")

    def say(self, text: str) -> None:
        if self.announce is not None:
            self.announce(text)

    def finish(self, *stages: str) -> None:
        for stage in stages:
            self.state(stage).unlink(missing_ok=True)


def clean_pool(
    recipe: Recipe, device: torch.device, *, part: int = 0, count: int | None = None, side: int = SCENE_PX
) -> CleanPool:
    """Procedural scenes and, if there is one, the folder of clean pictures, all `side` px wide and high.

    `part` numbers pools that share no picture; `count` replaces the recipe's number of scenes. Part 0, to train on, has
    nine tenths of the folder; the others have the rest, and only for pictures without noise.
    """
    total = recipe.scenes if count is None else count
    pictures = []
    for number in range(-(-total // SCENES_AT_ONCE)):
        generator = torch.Generator().manual_seed(stream(recipe.seed, part, number))
        pictures.append(scenes.make(min(SCENES_AT_ONCE, total - number * SCENES_AT_ONCE), side, generator))
    drawn = torch.cat(pictures).to(device)
    if recipe.images is None:
        return CleanPool(drawn)
    images = clean.crops(Path(recipe.images), side).to(device)
    held_out = torch.arange(len(images), device=device) % HELD_OUT == 0
    if part > 0:
        return CleanPool(drawn, images[held_out], image_share=0.0)
    return CleanPool(drawn, images[~held_out], recipe.image_share)


def train_encoder(recipe: Recipe, run: Run) -> None:
    """Contrastive pretraining on both genomes; no strength of any noise is used. Writes the label-free encoder."""
    run.say("drawing scenes")
    pool = clean_pool(recipe, run.device)
    encoder = _seeded(lambda: Encoder(EncoderConfig()), recipe.seed).to(run.device)
    run.say("contrastive pretraining")
    config = FitConfig(
        steps=recipe.encoder_steps, processes=run.processes, learning_rate=1e-3, warm_up=200, seed=recipe.seed
    )
    _fit(encoder, contrastive_objective(encoder, pool, recipe.genomes), config, run, "contrast")
    if not run.leads:
        return
    save_encoder(run.output, encoder.cpu(), _header(recipe, fit=config))
    run.finish("contrast")


def train_sensor(recipe: Recipe, run: Run, encoder_path: Path, start: Path | None = None) -> None:
    """The curve network, then, with it and the encoder frozen, the head and its calibration.

    `start`: a sensor model whose curve network is trained further. Writes the sensor model.
    """
    found = store.read(encoder_path)
    encoder = load_encoder(found).to(run.device)
    run.say("drawing scenes")
    pool = clean_pool(recipe, run.device)
    curve = _seeded(lambda: CurveNet(CurveConfig()), recipe.seed).to(run.device)
    begun = None if start is None else store.read(start)
    if begun is not None:
        curve.load_state_dict(SensorModel.load(begun).curve.state_dict())
    run.say("noise curve")
    config = FitConfig(steps=recipe.curve_steps, processes=run.processes, warm_up=200, seed=recipe.seed)
    if begun is not None:
        config = replace(config, learning_rate=FURTHER_RATE)
    _fit(curve, curve_objective(curve, pool, recipe.batch), config, run, "curve")
    if not run.leads:
        return
    run.say("pictures for the head")
    draft = _assemble(encoder, curve, (1, 1), run.device)
    training = head_set(draft, pool, recipe.head_pictures, recipe.seed + 1, report=run.report)
    # pictures that nothing was trained on
    fresh = clean_pool(recipe, run.device, part=1, count=-(-recipe.scenes // 4))
    held_out = head_set(draft, fresh, recipe.calibration_pictures, recipe.seed + 2, report=run.report)
    large = clean_pool(
        replace(recipe, images=None), run.device, part=2, count=-(-recipe.scenes // 16), side=2 * SCENE_PX
    )
    raw = head_set(draft, large, recipe.raw_pictures, recipe.seed + 3, raw=True, report=run.report)
    run.say("head")
    model = fit_head(recipe, run, encoder, curve, training, held_out, raw)
    extra = {} if begun is None else {"start_sha256": begun.sha256}
    model.cpu().save(run.output, _header(recipe, encoder_sha256=found.sha256, fit=config, **extra))
    run.finish("curve", "head")


def fit_head(
    recipe: Recipe, run: Run, encoder: Encoder, curve: CurveNet, training: HeadSet, held_out: HeadSet, raw: HeadSet
) -> SensorModel:
    """Head, familiarity and interval calibration on top of a trained curve and encoder, both frozen."""
    inputs = training.evidence.features.shape[1], training.evidence.absolute.shape[1]
    model = _assemble(encoder, curve, inputs, run.device)
    standardise(model.head, training)
    model.familiarity.learn(training.embedding, quantile=FAMILIAR_QUANTILE)
    config = FitConfig(steps=recipe.head_steps, learning_rate=1.5e-3, weight_decay=5e-2, seed=recipe.seed)
    _fit(model.head, head_objective(model.head, training, 512), config, run, "head")
    model.calibration = calibration_of(model.head, held_out, raw)
    return model.eval()


def train_rendered(recipe: Recipe, run: Run, start: Path) -> None:
    """The part of a sensor model that reads rendered pictures. Writes `start` with that part, the rest unchanged.

    Where `start` has such a part, it is trained further. Of several processes each has scenes of its own.
    """
    found = store.read(start)
    model = SensorModel.load(found)
    rank = 0 if run.processes == 1 else distributed.get_rank()
    own = replace(
        recipe,
        seed=recipe.seed + rank,
        scenes=-(-recipe.rendered_scenes // run.processes),
        image_share=recipe.rendered_image_share,
    )
    run.say("drawing scenes")
    pool = clean_pool(own, torch.device("cpu"))
    network = _seeded(lambda: RenderedNet(RenderedConfig()), recipe.seed).to(run.device)
    config = FitConfig(steps=recipe.rendered_steps, processes=run.processes, seed=recipe.seed)
    if model.rendered is not None:
        network.load_state_dict(model.rendered.state_dict())
        config = replace(config, learning_rate=FURTHER_RATE)
    run.say("rendered pictures")
    _fit(network, rendered_objective(network, pool, recipe.rendered_batch), config, run, "rendered")
    if not run.leads:
        return
    run.say("intervals")
    finish_rendered(recipe, run, model, network.cpu().eval(), found, config)


def finish_rendered(
    recipe: Recipe, run: Run, model: SensorModel, network: RenderedNet, found: store.Checkpoint, config: FitConfig
) -> None:
    """Calibrate a trained `network` on photographs of scenes it has not seen, and write `model` with it."""
    fresh = clean_pool(recipe, torch.device("cpu"), part=1, count=-(-recipe.rendered_scenes // 8))
    count = -(-recipe.rendered_calibration // 2)
    held_out = [
        rendered_set(fresh, count, size, CALIBRATION + recipe.seed, together=1, report=run.report)
        for size in (CROP, LARGE_PX)
    ]  # by cameras of their own: the seed counts with the size
    model.rendered = network
    model.calibration = {**model.calibration, "rendered": rendered_calibration(network, held_out)}
    kept = {k: v for k, v in found.header.items() if k not in ("kind", "config", "calibration", "rendered")}
    own = _header(recipe, fit=config, start_sha256=found.sha256)
    model.cpu().save(run.output, {**kept, "rendered": own})
    run.finish("rendered")


def train_paper(recipe: Recipe, run: Run, encoder_path: Path) -> None:
    """The genome `paper` with unlimited labels, starting from the pretrained encoder. Writes the paper model."""
    found = store.read(encoder_path)
    run.say("drawing scenes")
    pool = clean_pool(recipe, run.device)
    model = _seeded(lambda: PaperModel(EncoderConfig()), recipe.seed).to(run.device)
    model.encoder.load_state_dict(load_encoder(found).state_dict())
    run.say("strengths")
    config = FitConfig(
        steps=recipe.paper_steps, processes=run.processes, learning_rate=1e-3, warm_up=200, seed=recipe.seed
    )
    _fit(model, paper_objective(model, pool, recipe.batch), config, run, "paper")
    if not run.leads:
        return
    model.cpu().save(run.output, _header(recipe, encoder_sha256=found.sha256, fit=config))
    run.finish("paper")


def train_paper_encoder(recipe: Recipe, run: Run, encoder_path: Path) -> None:
    """The encoder trained further by contrast of near genomes `paper`; no strength is used. Writes an encoder."""
    found = store.read(encoder_path)
    before = load_encoder(found)
    run.say("drawing scenes")
    pool = clean_pool(recipe, run.device)
    encoder = _seeded(lambda: Encoder(replace(before.config, projection=PLACES, near=True)), recipe.seed)
    known = {name: value for name, value in before.state_dict().items() if not name.startswith("projection.")}
    encoder.load_state_dict(encoder.state_dict() | known)
    encoder.to(run.device)
    run.say("contrast of near genomes")
    config = FitConfig(
        steps=recipe.near_steps, processes=run.processes, learning_rate=1.5e-3, warm_up=100, seed=recipe.seed
    )
    _fit(encoder, near_objective(encoder, pool, recipe.near_genomes, recipe.near_views), config, run, "near")
    if not run.leads:
        return
    save_encoder(run.output, encoder.cpu(), _header(recipe, encoder_sha256=found.sha256, fit=config))
    run.finish("near")


def _assemble(encoder: Encoder, curve: CurveNet, inputs: tuple[int, int], device: torch.device) -> SensorModel:
    head = SensorHeadConfig(evidence=inputs[0], absolute=inputs[1], embedding=encoder.config.embedding)
    model = _seeded(lambda: SensorModel(encoder.config, curve.config, head, {}), 0)
    model.encoder.load_state_dict(encoder.state_dict())
    model.curve.load_state_dict(curve.state_dict())
    return model.to(device)


def _fit(module: nn.Module, objective: Any, config: FitConfig, run: Run, stage: str) -> None:
    fit(module, objective, config, device=run.device, state_path=run.state(stage), resume=run.resume, report=run.report)


def _seeded(make: Callable[[], Made], seed: int) -> Made:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _header(recipe: Recipe, **extra: Any) -> dict[str, Any]:
    images = None if recipe.images is None else Path(recipe.images).name  # a path of the training machine helps nobody
    plain = {k: asdict(v) if isinstance(v, FitConfig) else v for k, v in extra.items()}
    return {"recipe": asdict(replace(recipe, images=images)), **plain}
