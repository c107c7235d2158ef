"""`noisediag pretrain`: the models we ship, trained anew."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from noisediag.cli.common import Device, Force, OnDevice, check_output, errors_in_words
from noisediag.errors import UsageError

_RECIPE_PANEL = "Recipe (recorded in the checkpoint; ours unless given)"


class Stage(str, Enum):
    """Which checkpoint is made; all but the first start from another."""

    encoder = "encoder"
    sensor = "sensor"
    paper = "paper"
    paper_encoder = "paper-encoder"
    rendered = "rendered"


def _recipe(help_text: str) -> typer.models.OptionInfo:
    return typer.Option(help=help_text, min=1, rich_help_panel=_RECIPE_PANEL)


def pretrain(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.safetensors", help="The checkpoint to write.")
    ],
    stage: Annotated[Stage, typer.Option(help="Which checkpoint to make.")] = Stage.encoder,
    encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Encoder that sensor, paper and paper-encoder start from; ours unless given."
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Sensor model: its noise curve, or its part for rendered pictures, is trained further.",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Clean pictures beside the procedural scenes.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a stopped run, to the same result.")] = False,
    force: Force = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.", rich_help_panel=_RECIPE_PANEL)] = 0,
    scenes: Annotated[int | None, _recipe("Procedural pictures.")] = None,
    image_share: Annotated[
        float | None,
        typer.Option(help="Share of crops from --images.", min=0, max=1, rich_help_panel=_RECIPE_PANEL),
    ] = None,
    encoder_steps: Annotated[int | None, _recipe("Contrastive steps.")] = None,
    genomes: Annotated[int | None, _recipe("Genomes of one contrastive step.")] = None,
    curve_steps: Annotated[int | None, _recipe("Steps of the noise curve.")] = None,
    batch: Annotated[int | None, _recipe("Crops of one step.")] = None,
    paper_steps: Annotated[int | None, _recipe("Steps of the genome `paper`.")] = None,
    near_steps: Annotated[int | None, _recipe("Steps of the stage paper-encoder.")] = None,
    rendered_scenes: Annotated[int | None, _recipe("Procedural pictures that are photographed.")] = None,
    rendered_steps: Annotated[int | None, _recipe("Steps of the stage rendered.")] = None,
    rendered_batch: Annotated[int | None, _recipe("Photographs of one step.")] = None,
    rendered_calibration: Annotated[int | None, _recipe("Photographs that its intervals are calibrated on.")] = None,
    head_pictures: Annotated[int | None, _recipe("Pictures that the sensor head learns from.")] = None,
    head_steps: Annotated[int | None, _recipe("Steps of the sensor head.")] = None,
    calibration_pictures: Annotated[int | None, _recipe("Pictures that the intervals are calibrated on.")] = None,
    device: OnDevice = Device.auto,
) -> None:
    """Train the encoder, or one of the models on top of it, from procedural scenes.

    Several processes train one model together: torchrun --nproc-per-node=2 -m noisediag pretrain ...
    """
    with errors_in_words():
        given_models = [model for model in (encoder, start) if model is not None]
        check_output("--output", output, (".safetensors",), inputs=given_models, force=force or resume)
        if encoder is not None and stage not in (Stage.sensor, Stage.paper, Stage.paper_encoder):
            raise UsageError("--encoder is where the stages sensor, paper and paper-encoder start from")
        if start is not None and stage not in (Stage.sensor, Stage.rendered):
            raise UsageError("--start is a sensor model that the stages sensor and rendered go on from")
        if images is not None and not images.is_dir():
            raise UsageError(f"--images {images}: is no folder")

        from rich.console import Console
        from torch import distributed

        from noisediag.cop import checkpoint
        from noisediag.estimator import choose_device
        from noisediag.training import recipes

        given: dict[str, Any] = {
            "scenes": scenes,
            "image_share": image_share,
            "encoder_steps": encoder_steps,
            "genomes": genomes,
            "curve_steps": curve_steps,
            "batch": batch,
            "paper_steps": paper_steps,
            "near_steps": near_steps,
            "rendered_scenes": rendered_scenes,
            "rendered_steps": rendered_steps,
            "rendered_batch": rendered_batch,
            "rendered_calibration": rendered_calibration,
            "head_pictures": head_pictures,
            "head_steps": head_steps,
            "calibration_pictures": calibration_pictures,
        }
        recipe = recipes.Recipe(
            seed=seed,
            images=None if images is None else str(images),
            **{name: value for name, value in given.items() if value is not None},
        )
        if "TORCHELASTIC_RUN_ID" in os.environ:  # one of several processes that torchrun started
            distributed.init_process_group("gloo" if device.value == "cpu" else None)
        with Console(stderr=True).status("starting") as status:  # silent where stderr is no terminal
            doing = ""

            def announce(text: str) -> None:
                nonlocal doing
                doing = text
                status.update(text)

            def report(step: int, numbers: dict[str, float]) -> None:
                status.update(
                    f"{doing}: {step}, " + ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
                )

            run = recipes.Run(output, choose_device(device.value), resume=resume, report=report, announce=announce)
            if stage is Stage.encoder:
                recipes.train_encoder(recipe, run)
            elif stage is Stage.sensor:
                recipes.train_sensor(recipe, run, encoder or checkpoint.shipped("encoder"), start)
            elif stage is Stage.paper_encoder:
                recipes.train_paper_encoder(recipe, run, encoder or checkpoint.shipped("encoder"))
            elif stage is Stage.rendered:
                recipes.train_rendered(recipe, run, start or checkpoint.shipped("sensor"))
            else:
                recipes.train_paper(recipe, run, encoder or checkpoint.shipped("encoder"))
