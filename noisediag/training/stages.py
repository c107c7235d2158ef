"""How the shipped models are trained: each function is a stage of `noisediag pretrain` and makes one checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from noisediag import __version__
from noisediag.cop import checkpoint as store
from noisediag.cop.curve import CurveConfig, CurveNet
from noisediag.cop.doubt_head import DoubtConfig, DoubtHead
from noisediag.cop.encoder import Encoder, EncoderConfig
from noisediag.cop.heads import SensorHeadConfig
from noisediag.cop.models import AnyEncoder, PaperModel, SensorModel, load_any_encoder, load_encoder, save_encoder
from noisediag.cop.near_encoder import NearEncoder, NearEncoderConfig
from noisediag.cop.rendered import RenderedConfig, RenderedNet
from noisediag.errors import CheckpointError
from noisediag.genome.seeds import stream
from noisediag.training import validation
from noisediag.training.chart import Analogies, ChartPlaces
from noisediag.training.doubts import (
    DoubtSet,
    doubt_alarms,
    doubt_objective,
    doubt_set,
    paper_embeddings,
)
from noisediag.training.fit import FitConfig
from noisediag.training.near import NearObjective
from noisediag.training.objectives import contrastive_objective, curve_objective, paper_objective
from noisediag.training.photographs import RenderedSet, rendered_set
from noisediag.training.pictures import CROP, SCENE_PX, CleanPool, PoolPart, clean_pool
from noisediag.training.recipe import Recipe, Stage, recorded
from noisediag.training.rendered import LARGE_PX, rendered_objective
from noisediag.training.rendered_interval import calibrate_rendered, calibration_photographs
from noisediag.training.run import Run
from noisediag.training.sensor_head import (
    HeadSet,
    calibration_of,
    head_objective,
    head_set,
    learn_familiarity,
    standardise,
)

FAMILIAR_QUANTILE = 0.995  # of the distances of training pictures: beyond, a picture is `out_of_domain`
HEAD_FIT = FitConfig(steps=0, learning_rate=1.5e-3, weight_decay=5e-2)  # of the sensor head, with the recipe's steps
HEAD_BATCH = 512  # pictures
CHART = 1  # stream of seeds of the network that reads noise on a chart
CALIBRATION_SHARE, RENDERED_SHARE, RAW_SHARE = 4, 8, 16  # one scene to calibrate on for so many to train on
Made = TypeVar("Made")


def train_encoder(recipe: Recipe, run: Run) -> None:
    """Contrastive pretraining on both genomes; no strength of any noise is used. Writes the label-free encoder."""
    stage, recipe = Stage.encoder, recipe.resolved(Stage.encoder)
    run.begin(stage)
    run.say("drawing scenes")
    pool = clean_pool(recipe, run.device)
    encoder = _seeded(lambda: Encoder(EncoderConfig()), recipe.encoder_seed).to(run.device)
    run.say("contrastive pretraining")
    config = run.fit_config(recipe, stage)
    run.fit(encoder, contrastive_objective(encoder, pool, recipe.genomes), config, stage, "contrast")
    if not run.leads:
        return
    figures = _figures(recipe, run, stage, lambda fresh: validation.validate_encoder(encoder, fresh, recipe))
    save_encoder(run.output, encoder.cpu(), _header(recipe, stage, config, figures))
    run.finish("contrast")


def train_sensor(recipe: Recipe, run: Run, encoder_path: Path, start: Path | None = None) -> None:
    """The curve network, then, with it and the encoder frozen, the head and its calibration.

    `start`: a sensor model whose curve network is trained further. Writes the sensor model.
    """
    stage, recipe = Stage.sensor, recipe.resolved(Stage.sensor, further=start is not None)
    run.begin(stage)
    encoder_file = store.read(encoder_path)
    encoder = load_any_encoder(encoder_file).to(run.device)
    run.say("drawing scenes")
    pool = clean_pool(recipe, run.device)
    curve = _seeded(lambda: CurveNet(CurveConfig()), recipe.curve_seed).to(run.device)
    start_file = None if start is None else store.read(start)
    if start_file is not None:
        curve.load_state_dict(SensorModel.load(start_file).curve.state_dict())
    run.say("noise curve")
    config = run.fit_config(recipe, stage)
    run.fit(curve, curve_objective(curve, pool, recipe.batch), config, stage, "curve")
    if not run.leads:
        return
    figures = _figures(recipe, run, stage, lambda fresh: validation.validate_curve(curve, fresh, recipe))
    run.say("pictures for the head")
    pools = _pools(recipe, run, pool)
    sets = _head_sets(recipe, run, _assemble(encoder, curve, (1, 1), run.device), pools)
    run.say("head")
    model = fit_head(recipe, run, encoder, curve, sets)
    if sets.validation is not None:
        judged = validation.validate_head(model, sets.validation)
        run.note(stage, "head validation", recipe.head_steps, judged)
        figures |= judged
    run.say("doubts")
    fit_doubts(recipe, run, model, pools)
    origin = _origin(start_file, stage, config)
    model.cpu().save(run.output, _header(recipe, stage, config, figures, encoder_sha256=encoder_file.sha256, **origin))
    run.finish("curve", "head", "doubts")


@dataclass(frozen=True)
class Pools:
    """Clean pictures of the sensor stage: no scene is in two of them. `raw`: large ones, a mosaic has four planes."""

    training: CleanPool
    calibration: CleanPool
    raw: CleanPool
    validation: CleanPool | None


def _pools(recipe: Recipe, run: Run, training: CleanPool) -> Pools:
    count = -(-recipe.scenes // CALIBRATION_SHARE)
    return Pools(
        training=training,
        calibration=clean_pool(recipe, run.device, part=PoolPart.calibration, count=count),
        raw=clean_pool(
            replace(recipe, images=None),
            run.device,
            part=PoolPart.raw_calibration,
            count=-(-recipe.scenes // RAW_SHARE),
            side=2 * SCENE_PX,
        ),
        validation=validation.validation_pool(recipe, run.device, recipe.scenes)
        if recipe.validation_pictures
        else None,
    )


@dataclass(frozen=True)
class HeadSets:
    """What the head of a sensor model is trained, calibrated and judged on."""

    training: HeadSet
    calibration: HeadSet
    raw: HeadSet
    validation: HeadSet | None


def _head_sets(recipe: Recipe, run: Run, draft: SensorModel, pools: Pools) -> HeadSets:
    """Evidence of the frozen networks of `draft`."""

    def evidence(clean: CleanPool, count: int, purpose: str, *, raw: bool = False) -> HeadSet:
        return head_set(draft, clean, count, recipe.seed, purpose=purpose, raw=raw, report=run.report)

    judged = None
    if pools.validation is not None:
        judged = evidence(pools.validation, recipe.validation_pictures, "validation of the head")
    return HeadSets(
        training=evidence(pools.training, recipe.head_pictures, "training of the head"),
        calibration=evidence(pools.calibration, recipe.calibration_pictures, "calibration of the head"),
        raw=evidence(pools.raw, recipe.raw_pictures, "calibration of the head on RAW", raw=True),
        validation=judged,
    )


def fit_head(recipe: Recipe, run: Run, encoder: AnyEncoder, curve: CurveNet, sets: HeadSets) -> SensorModel:
    """Head and interval calibration on top of a trained curve and encoder, both frozen."""
    inputs = sets.training.evidence.features.shape[1], sets.training.evidence.absolute.shape[1]
    model = _assemble(encoder, curve, inputs, run.device)
    seen = sets.training
    standardise(model.head, seen.evidence.features, seen.evidence.absolute, seen.embedding)
    config = replace(HEAD_FIT, steps=recipe.head_steps, seed=recipe.seed)
    run.fit(model.head, head_objective(model.head, sets.training, HEAD_BATCH), config, Stage.sensor, "head")
    model.calibration = calibration_of(model.head, sets.calibration, sets.raw)
    return model.eval()


def fit_doubts(recipe: Recipe, run: Run, model: SensorModel, pools: Pools) -> None:
    """Train the head of `model` that doubts, on pictures that leave the law in known ways, and set its alarms.

    What these pictures, and those of the genome `paper`, look like is familiar to the model.
    """

    def pictures(clean: CleanPool, count: int, purpose: str, *, raw: bool = False, mosaics: bool = False) -> DoubtSet:
        return doubt_set(model, clean, count, recipe.seed, purpose=purpose, raw=raw, mosaics=mosaics, report=run.report)

    training = pictures(pools.training, recipe.doubt_pictures, "training of doubts", mosaics=True)
    config = DoubtConfig(training.doubts.shape[1], training.evidence.shape[1], training.embedding.shape[1])
    head = _seeded(lambda: DoubtHead(config), recipe.seed).to(run.device)
    standardise(head, training.doubts, training.evidence, training.embedding)
    fit = replace(HEAD_FIT, steps=recipe.doubt_steps, seed=recipe.seed)
    run.fit(head, doubt_objective(head, training, HEAD_BATCH), fit, Stage.sensor, "doubts")
    ordinary = pictures(pools.calibration, recipe.calibration_pictures // 2, "calibration of doubts")
    raw = pictures(pools.raw, recipe.raw_pictures, "calibration of doubts on RAW", raw=True)
    model.doubts = head.eval()
    alarms = {"doubts": doubt_alarms(head, ordinary), "doubts_raw": doubt_alarms(head, raw)}
    model.calibration = {**model.calibration, **alarms}
    known = [training.embedding, paper_embeddings(model, pools.training, recipe, len(training.law) // 4)]
    learn_familiarity(model.familiarity, torch.cat(known), quantile=FAMILIAR_QUANTILE)


def train_rendered(recipe: Recipe, run: Run, start: Path) -> None:
    """The part of a sensor model that reads rendered pictures. Writes `start` with that part, the rest unchanged.

    Where `start` has such a part, it is trained further. Of several processes each has scenes of its own.
    """
    stage = Stage.rendered
    run.begin(stage)
    start_file = store.read(start)
    model = SensorModel.load(start_file)
    recipe = recipe.resolved(stage, further=model.rendered is not None)
    run.say("drawing scenes")
    pool = clean_pool(
        replace(
            recipe,
            seed=recipe.seed + run.rank,
            scenes=-(-recipe.rendered_scenes // run.processes),
            image_share=recipe.rendered_image_share,
        ),
        torch.device("cpu"),  # cameras are simulated there
    )
    network = _seeded(lambda: RenderedNet(RenderedConfig()), recipe.rendered_seed).to(run.device)
    if model.rendered is not None:
        network.load_state_dict(model.rendered.state_dict())
    run.say("rendered pictures")
    config = run.fit_config(recipe, stage)
    objective = rendered_objective(network, pool, recipe.rendered_batch, recipe.rendered_phone_share)
    run.fit(network, objective, config, stage, "rendered")
    if run.leads:
        finish_rendered(recipe, run, model, network.cpu().eval(), start_file, config)


def finish_rendered(
    recipe: Recipe, run: Run, model: SensorModel, network: RenderedNet, start_file: store.Checkpoint, config: FitConfig
) -> None:
    """Calibrate a trained `network` on photographs of scenes it has not seen, and write `model` with it.

    `recipe`, resolved, and `config` are those it was trained with; `start_file` is what `model` was read from.
    """
    model.rendered = network
    figures = _calibrate_rendered(recipe, run, model, config.steps)
    origin = _origin(start_file, Stage.rendered, config)
    kept = {k: v for k, v in start_file.header.items() if k not in ("kind", "config", "calibration", "rendered")}
    record = _header(recipe, Stage.rendered, config, figures, **origin)
    model.cpu().save(run.output, {**kept, "rendered": record})
    run.finish("rendered")


def _calibrate_rendered(recipe: Recipe, run: Run, model: SensorModel, steps: int) -> dict[str, float]:
    """Intervals and thresholds for `model`, trained in `steps`, from scenes it has not seen; figures of the result."""
    run.say("intervals of rendered pictures")
    count = -(-recipe.rendered_scenes // RENDERED_SHARE)
    fresh = clean_pool(recipe, torch.device("cpu"), part=PoolPart.calibration, count=count)
    taken = calibration_photographs(fresh, recipe.rendered_calibration, recipe.seed, run.report)
    calibrate_rendered(model, taken, recipe.seed)
    if not recipe.validation_pictures:
        return {}
    unseen = validation.validation_pool(recipe, torch.device("cpu"), recipe.rendered_scenes)
    sets = _photographs(unseen, recipe.validation_pictures, recipe, run, "validation of the rendered part")
    figures = validation.validate_rendered(model, sets)
    run.note(Stage.rendered, "validation", steps, figures)
    return figures


def _photographs(pool: CleanPool, count: int, recipe: Recipe, run: Run, purpose: str) -> list[RenderedSet]:
    """About `count` scenes, half of them CROP px and half LARGE_PX wide, each by a camera of its own."""
    return [
        rendered_set(
            pool,
            -(-count // 2),
            size,
            recipe.seed,
            purpose=purpose,
            together=1,
            phones=recipe.rendered_phone_share,
            report=run.report,
        )
        for size in (CROP, LARGE_PX)
    ]


def train_paper(recipe: Recipe, run: Run, encoder_path: Path) -> None:
    """The genome `paper` with unlimited labels, starting from the pretrained encoder. Writes the paper model."""
    stage, recipe = Stage.paper, recipe.resolved(Stage.paper)
    run.begin(stage)
    encoder_file = store.read(encoder_path)
    run.say("drawing scenes")
    pool = clean_pool(recipe, run.device)
    encoder = load_encoder(encoder_file)
    model = _seeded(lambda: PaperModel(encoder.config), recipe.paper_seed).to(run.device)
    model.encoder.load_state_dict(encoder.state_dict())
    run.say("strengths")
    config = run.fit_config(recipe, stage)
    run.fit(model, paper_objective(model, pool, recipe.batch), config, stage, "paper")
    if not run.leads:
        return
    figures = _figures(recipe, run, stage, lambda fresh: validation.validate_paper(model, fresh, recipe))
    model.cpu().save(run.output, _header(recipe, stage, config, figures, encoder_sha256=encoder_file.sha256))
    run.finish("paper")


def train_paper_encoder(recipe: Recipe, run: Run, start: Path | None) -> None:
    """First a network that reads noise on a chart, then the encoder that puts pictures where that puts their noise, and
    contrasts near genomes `sensor`; no strength is used. Writes the encoder.

    `start`: an encoder that this stage has made, which is trained further. Raises CheckpointError where it is another.
    """
    stage, recipe = Stage.paper_encoder, recipe.resolved(Stage.paper_encoder)
    run.begin(stage)
    start_file = None if start is None else store.read(start)
    encoder = _seeded(lambda: NearEncoder(NearEncoderConfig()), recipe.near_seed).to(run.device)
    if start_file is not None:
        before = load_any_encoder(start_file)
        if not isinstance(before, NearEncoder):
            raise CheckpointError(f"{start}: is no encoder of near genomes")
        encoder.load_state_dict(before.state_dict())
    config = run.fit_config(recipe, stage)
    run.say("noise on a chart")
    reader = _seeded(lambda: NearEncoder(encoder.config), config.seed).to(run.device)
    shorter = replace(config, steps=recipe.chart_steps, learning_rate=recipe.chart_rate)
    run.fit(reader, Analogies(reader, stream(config.seed, run.rank, CHART)), shorter, stage, "chart")
    places = ChartPlaces.of(reader, config.seed)
    run.say("drawing scenes")
    pool = clean_pool(recipe, run.device)
    run.say("pictures of near genomes")
    objective = NearObjective(
        encoder, places, pool, recipe.near_genomes, recipe.near_views, stream(config.seed, run.rank)
    )
    run.fit(encoder, objective, config, stage, "near")
    if not run.leads:
        return
    figures = _figures(recipe, run, stage, lambda fresh: validation.validate_near(encoder, places, fresh, recipe))
    save_encoder(
        run.output, encoder.cpu(), _header(recipe, stage, config, figures, **_origin(start_file, stage, config))
    )
    run.finish("chart", "near")


def _assemble(encoder: AnyEncoder, curve: CurveNet, inputs: tuple[int, int], device: torch.device) -> SensorModel:
    head = SensorHeadConfig(evidence=inputs[0], absolute=inputs[1], embedding=encoder.config.embedding)
    model = _seeded(lambda: SensorModel(encoder.config, curve.config, head, {}), 0)
    model.encoder.load_state_dict(encoder.state_dict())
    model.curve.load_state_dict(curve.state_dict())
    return model.to(device)


def _seeded(make: Callable[[], Made], seed: int | None) -> Made:
    """`make()` with torch's own generator, which draws first weights, seeded and put back."""
    if seed is None:
        raise ValueError("the recipe is not resolved: its seed is open")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _figures(
    recipe: Recipe, run: Run, stage: Stage, judge: Callable[[CleanPool], dict[str, float]]
) -> dict[str, float]:
    """What `judge` says of the trained network on fresh scenes, put into the log; nothing where none are wanted."""
    if not recipe.validation_pictures:
        return {}
    run.say("validation")
    figures = judge(validation.validation_pool(recipe, run.device, recipe.scenes))
    run.note(stage, "validation", getattr(recipe, f"{stage.network}_steps"), figures)
    return figures


def _origin(start_file: store.Checkpoint | None, stage: Stage, config: FitConfig) -> dict[str, Any]:
    """What the header of a network that was trained further tells of its runs; `config` is that of the last one."""
    before = None if start_file is None else recorded(start_file.header, stage)
    steps = [] if before is None else list(before.get("steps_of_runs", [before["fit"]["steps"]]))
    origin = {} if start_file is None else {"start_sha256": start_file.sha256}
    return {**origin, "steps_of_runs": [*steps, config.steps]}


def _header(
    recipe: Recipe, stage: Stage, config: FitConfig, figures: dict[str, float], **origin: Any
) -> dict[str, Any]:
    """How a checkpoint, or its part, came about: what `recipe.recipe_of` reads back, and figures of the result."""
    return {
        "stage": stage.value,
        "recipe": recipe.record(stage),
        "fit": asdict(config),
        "validation": {name: float(f"{value:.6g}") for name, value in figures.items()},
        "noisediag": __version__,
        **origin,
    }
