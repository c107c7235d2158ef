"""The recipe: everything a training run depends on, declared once.

Command-line options, the record in a checkpoint's header and its way back are made from these declarations. No torch
here: the command line reads them for `--help`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from noisediag.errors import CheckpointError, UsageError

FIRST_RATE, FURTHER_RATE = 2e-3, 1.2e-3  # learning rates of networks that start from nothing, or from trained weights
LATER = {"rendered_phone_share": 0.0}  # Fields that older recipes lack, and what was done before there were any.
NO_VALIDATION = 0  # pictures: what files of noisediag 0.1 were validated on when they were made


class Stage(str, Enum):
    """What makes one checkpoint, or adds its part to one. All but the first start from what another has made."""

    encoder = "encoder"
    sensor = "sensor"
    rendered = "rendered"
    paper = "paper"
    paper_encoder = "paper-encoder"

    @property
    def network(self) -> str:
        """What the options of the stage's long training are called after: `curve_steps`, `near_rate`."""
        return {Stage.sensor: "curve", Stage.paper_encoder: "near"}.get(self, self.value)


# In the order in which they are made; the stage `rendered` adds its part to the file of the stage `sensor`.
FILES = {
    Stage.encoder: "encoder.safetensors",
    Stage.sensor: "sensor.safetensors",
    Stage.rendered: "sensor.safetensors",
    Stage.paper: "paper.safetensors",
    Stage.paper_encoder: "paper-encoder.safetensors",
}
LOG = "log.jsonl"


def outputs(folder: Path) -> list[Path]:
    """Every file that `pretrain --all` writes into its folder and leaves there."""
    return [folder / name for name in (*dict.fromkeys(FILES.values()), LOG)]


def _option(default: Any, text: str, *stages: Stage, minimum: float | None = 1, maximum: float | None = None) -> Any:
    """A field of the recipe that `stages` depend on, all of them unless given; `minimum` and `maximum` are allowed."""
    kind = {"text": text, "stages": stages or tuple(Stage), "minimum": minimum, "maximum": maximum}
    return field(default=default, metadata=kind)


def _seed(stage: Stage) -> Any:
    return _option(None, "Seed of its weights and batches; --seed unless given.", stage, minimum=0)


def _rate(default: float | None, stage: Stage, text: str = "Learning rate, at its highest.") -> Any:
    return _option(default, text, stage, minimum=0)


def _warm_up(default: int, stage: Stage) -> Any:
    return _option(default, "Steps in which the learning rate rises from 0.", stage, minimum=0)


_ONE_PLANE = (Stage.encoder, Stage.sensor, Stage.paper, Stage.paper_encoder)


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on, but for the number of processes and the checkpoint it starts from.

    `None`: derived from other fields, see `resolved`; of `images`: no folder.
    """

    seed: int = _option(0, "The same seed gives the same model.", minimum=0)
    scenes: int = _option(6400, "Procedural pictures of 256 x 256 px.", *_ONE_PLANE)
    images: str | None = _option(None, "Folder of clean pictures beside the procedural scenes.")
    image_share: float = _option(0.45, "Share of crops that are cut from --images.", *_ONE_PLANE, minimum=0, maximum=1)
    validation_pictures: int = _option(600, "Fresh pictures of the validation figures; 0: none are taken.", minimum=0)

    encoder_steps: int = _option(3400, "Contrastive steps.", Stage.encoder)
    encoder_rate: float = _rate(1e-3, Stage.encoder)
    encoder_warm_up: int = _warm_up(200, Stage.encoder)
    encoder_seed: int | None = _seed(Stage.encoder)
    genomes: int = _option(48, "Genomes of one contrastive step.", Stage.encoder, minimum=2)

    curve_steps: int = _option(10000, "Steps of the noise curve.", Stage.sensor)
    curve_rate: float | None = _rate(None, Stage.sensor, f"Learning rate; {FIRST_RATE}, {FURTHER_RATE} with --start.")
    curve_warm_up: int = _warm_up(200, Stage.sensor)
    curve_seed: int | None = _seed(Stage.sensor)
    batch: int = _option(
        32, "Crops of 128 x 128 px of one step and process, or as many pixels.", Stage.sensor, Stage.paper
    )
    head_pictures: int = _option(18000, "Pictures that the sensor head learns from.", Stage.sensor)
    head_steps: int = _option(1500, "Steps of the sensor head.", Stage.sensor)
    doubt_pictures: int = _option(
        16000, "Pictures, many of them under other laws, that the head learns from which doubts.", Stage.sensor
    )
    doubt_steps: int = _option(2500, "Steps of the head that doubts.", Stage.sensor)
    calibration_pictures: int = _option(8000, "Pictures that the intervals are calibrated on.", Stage.sensor)
    raw_pictures: int = _option(
        900, "Bags of CFA planes that the intervals of RAW files are calibrated on.", Stage.sensor
    )

    rendered_scenes: int = _option(
        5000, "Procedural pictures that simulated cameras photograph, anew in every step.", Stage.rendered
    )
    rendered_image_share: float = _option(
        0.6, "Share of its crops that are cut from --images.", Stage.rendered, minimum=0, maximum=1
    )
    rendered_steps: int = _option(12000, "Steps of the part for rendered pictures.", Stage.rendered)
    rendered_rate: float | None = _rate(
        None, Stage.rendered, f"Learning rate; {FIRST_RATE}, {FURTHER_RATE} where --start has such a part."
    )
    rendered_warm_up: int = _warm_up(100, Stage.rendered)
    rendered_seed: int | None = _seed(Stage.rendered)
    rendered_batch: int = _option(
        16, "Photographs of 128 x 128 px of one step and process, or as many pixels.", Stage.rendered
    )
    rendered_phone_share: float = _option(
        0.5, "Share of photographs by cameras that do what phones do.", Stage.rendered, minimum=0, maximum=1
    )
    rendered_calibration: int = _option(
        2000, "Photographs that its intervals are fitted to and calibrated on.", Stage.rendered
    )

    paper_steps: int = _option(10000, "Steps of the genome `paper`.", Stage.paper)
    paper_rate: float = _rate(1e-3, Stage.paper)
    paper_warm_up: int = _warm_up(200, Stage.paper)
    paper_seed: int | None = _seed(Stage.paper)

    chart_steps: int = _option(1000, "Steps of the network that reads noise on a chart.", Stage.paper_encoder)
    chart_rate: float = _rate(3e-3, Stage.paper_encoder)
    near_genomes: int = _option(24, "Genomes of one contrastive step.", Stage.paper_encoder, minimum=2)
    near_views: int = _option(
        6, "Pictures of each of them, with parameters that differ a little.", Stage.paper_encoder, minimum=2
    )
    near_steps: int = _option(16000, "Steps of the encoder.", Stage.paper_encoder)
    near_rate: float = _rate(3e-3, Stage.paper_encoder)
    near_warm_up: int = _warm_up(100, Stage.paper_encoder)
    near_seed: int | None = _seed(Stage.paper_encoder)

    def resolved(self, stage: Stage, *, further: bool = False) -> Recipe:
        """With the fields of `stage` that derive from others filled in; `further`: trained weights are gone on from."""
        rate, seed = f"{stage.network}_rate", f"{stage.network}_seed"
        derived: dict[str, Any] = {}
        if getattr(self, rate) is None:
            derived[rate] = FURTHER_RATE if further else FIRST_RATE
        if getattr(self, seed) is None:
            derived[seed] = self.seed
        return replace(self, **derived)

    def record(self, stage: Stage) -> dict[str, Any]:
        """The fields that `stage` depends on, as a header holds them; of the folder its name alone.

        A path of the training machine would help nobody.
        """
        images = None if self.images is None else Path(self.images).name
        everything = asdict(replace(self, images=images))
        return {name: everything[name] for name in fields_of(stage)}


@cache
def fields_of(stage: Stage) -> tuple[str, ...]:
    """The names of the fields that `stage` depends on."""
    return tuple(entry.name for entry in fields(Recipe) if stage in entry.metadata["stages"])


@cache
def types() -> dict[str, Any]:
    """The type of every field."""
    return get_type_hints(Recipe)


def recorded(header: Mapping[str, Any], stage: Stage) -> Mapping[str, Any] | None:
    """What the header of a checkpoint tells of the run of `stage`: its recipe, fit, start; None where it had none."""
    if stage is Stage.rendered:
        part = header.get("rendered")
        return part if isinstance(part, Mapping) else None
    return header if _stage_of(header) == stage.value and "recipe" in header else None


def recipe_of(header: Mapping[str, Any], stage: Stage, *, name: str = "the checkpoint") -> Recipe:
    """The recipe by which `stage` made its part of the checkpoint with this header; other stages' fields are ours.

    Of `images` the folder's name is all that is known. Raises CheckpointError, which calls the file `name`, where the
    header holds no recipe of this stage, or one with fields that are unknown, missing, or not of their kind.
    """
    return Recipe(**_read(header, stage, name))


def recipe_of_files(headers: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """One recipe of all stages that several headers, by name, tell of: what `pretrain --all` has made.

    Raises CheckpointError as `recipe_of`, or where one holds no recipe; UsageError where two disagree.
    """
    together: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for name, header in headers.items():
        stages = [stage for stage in Stage if recorded(header, stage) is not None]
        if not stages:
            raise CheckpointError(f"{name} holds no recipe of a stage of `pretrain`")
        for stage in stages:
            for key, value in _read(header, stage, name).items():
                if together.get(key, value) != value:
                    raise UsageError(
                        f"{key} was {together[key]} in {origin[key]} and {value} in {name} ({stage.value}): "
                        "no one recipe made both"
                    )
                together[key], origin[key] = value, f"{name} ({stage.value})"
    return Recipe(**together)


def _read(header: Mapping[str, Any], stage: Stage, name: str) -> dict[str, Any]:
    where = f"{name} ({stage.value})"
    record = recorded(header, stage)
    if record is None:
        raise CheckpointError(f"{where}: holds no recipe of this stage")
    found = record.get("recipe")
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{where}: its recipe is damaged")
    known = fields_of(stage)
    if "stage" not in record:
        found, known = _of_version_0_1(record, stage, where), tuple(types())
    found = {**{key: value for key, value in LATER.items() if key in fields_of(stage)}, **found}
    unknown, missing = sorted(set(found) - set(known)), sorted(set(fields_of(stage)) - set(found))
    if unknown:
        raise CheckpointError(f"{where}: its recipe holds {', '.join(unknown)}, which this version does not know")
    if missing:
        raise CheckpointError(f"{where}: its recipe lacks {', '.join(missing)}")
    values = {key: found[key] for key in fields_of(stage)}
    for key, value in values.items():
        _check(key, value, where)
    return values


def _of_version_0_1(record: Mapping[str, Any], stage: Stage, where: str) -> dict[str, Any]:
    """The recipe of a file of noisediag 0.1, which held fields of all stages, and rates and seeds in `fit` alone."""
    try:
        fit = record["fit"]
        of_fit = {
            "steps": fit["steps"],
            "rate": fit["learning_rate"],
            "warm_up": fit["warm_up"],
            "seed": fit["seed"],
        }
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{where}: does not tell how it was fitted") from error
    own = {f"{stage.network}_{key}": value for key, value in of_fit.items()}
    return {**record["recipe"], **own, "validation_pictures": NO_VALIDATION}


def _check(key: str, value: Any, where: str) -> None:
    """Raise CheckpointError where `value` is of another type than the field `key`, or out of its range."""
    allowed = get_args(types()[key]) or (types()[key],)
    fits = type(value) in allowed or (float in allowed and type(value) is int)
    fits = fits and (value is not None or key == "images")  # what was derived has been filled in
    limits = next(entry.metadata for entry in fields(Recipe) if entry.name == key)
    low, high = limits["minimum"], limits["maximum"]
    if fits and isinstance(value, (int, float)):
        fits = (low is None or value >= low) and (high is None or value <= high)
    if not fits:
        raise CheckpointError(f"{where}: {key} cannot be {value!r}")


def _stage_of(header: Mapping[str, Any]) -> str | None:
    """The stage that began the file; files of noisediag 0.1 tell it by their kind alone."""
    if "stage" in header:
        return str(header["stage"])
    if header.get("kind") == "encoder":
        return str((Stage.paper_encoder if "near_encoder" in header.get("config", {}) else Stage.encoder).value)
    kind = header.get("kind")
    return None if kind is None else str(kind)
