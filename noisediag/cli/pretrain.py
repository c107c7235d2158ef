"""`noisediag pretrain`: the models we ship, trained anew."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noisediag.cli.common import Device, Force, OnDevice, check_output, errors_in_words
from noisediag.errors import UsageError
from noisediag.training.recipe import LOG, Recipe, Stage, outputs, recipe_of, recipe_of_files, types

if TYPE_CHECKING:
    from noisediag.training.run import Run

FROM_ENCODER = (Stage.sensor, Stage.paper, Stage.paper_encoder)
FROM_SENSOR = (Stage.sensor, Stage.rendered)
PATIENCE = timedelta(days=1)  # of processes that wait while the first one calibrates and validates


def _options_of_recipe(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with an option for each field of the recipe in the place of its `**given`; None where not given."""
    signature = inspect.signature(command, eval_str=True)
    fixed = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    taken = {p.name for p in fixed}
    options = [
        inspect.Parameter(
            entry.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[_plain(types()[entry.name]) | None, _option(entry.default, dict(entry.metadata))],
        )
        for entry in fields(Recipe)
        if entry.name not in taken
    ]
    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in fixed]
    command.__signature__ = signature.replace(parameters=[*keyword_only, *options])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*keyword_only, *options]}
    return command


def _plain(kind: Any) -> Any:
    """`int | None` as `int`."""
    return next((one for one in getattr(kind, "__args__", ()) if one is not type(None)), kind)


def _option(default: Any, about: dict[str, Any]) -> Any:
    stages = about["stages"]
    panel = "all stages" if len(stages) == len(Stage) else ", ".join(stage.value for stage in stages)
    return typer.Option(
        help=about["text"] if default is None else f"{about['text'].rstrip('.')}; {default} unless given.",
        min=about["minimum"],
        max=about["maximum"],
        rich_help_panel=f"Recipe of {panel}",
    )


@_options_of_recipe
def pretrain(
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE.safetensors|DIR", help="The checkpoint to write; of --all a folder."
        ),
    ],
    everything: Annotated[bool, typer.Option("--all", help="Every stage: all files that we ship.")] = False,
    stage: Annotated[Stage | None, typer.Option(help="Which checkpoint to make. [default: encoder]")] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Encoder that sensor and paper start from, ours unless given; or paper-encoder, which begins anew otherwise.",
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
    recipe_from: Annotated[
        list[Path] | None,
        typer.Option(
            "--recipe",
            metavar="FILE.safetensors",
            help="Take the recipe recorded in a checkpoint; other options change it. Of --all several may be given.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a stopped run, to the same result.")] = False,
    force: Force = False,
    save_every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How often the state to resume from is saved.")
    ] = 180.0,
    device: OnDevice = Device.auto,
    **given: Any,
) -> None:
    """Train the encoder, one of the models on top of it, or all, from procedural scenes and clean pictures.

    Beside the checkpoint a log of JSON lines has the numbers of the training and figures on fresh scenes; with --all
    it is log.jsonl in the folder. Several processes train together: torchrun --nproc-per-node=2 -m noisediag pretrain
    """
    with errors_in_words():
        if everything and (stage or encoder or start):
            raise UsageError("--all makes every stage from the one before; --stage, --encoder and --start are for one")
        one = None if everything else stage or Stage.encoder
        _check(one, output, encoder, start, images, again=force or resume)

        from noisediag.training import pretraining

        recipe = _recipe(one, images, recipe_from or [], given)
        with _run(one, output, device, save_every, resume=resume) as run:
            if one is None:
                pretraining.train_all(recipe, run, output)
            else:
                pretraining.train_stage(one, recipe, run, encoder=encoder, start=start)


def _check(
    stage: Stage | None, output: Path, encoder: Path | None, start: Path | None, images: Path | None, *, again: bool
) -> None:
    """Raise UsageError for what cannot be carried out, before any work; `stage` None: all."""
    if images is not None and not images.is_dir():
        raise UsageError(f"--images {images}: is no folder")
    if encoder is not None and stage not in FROM_ENCODER:
        raise UsageError("--encoder is where the stages sensor, paper and paper-encoder start from")
    if start is not None and stage not in FROM_SENSOR:
        raise UsageError("--start is a sensor model that the stages sensor and rendered go on from")
    if stage is not None:
        given_models = [model for model in (encoder, start) if model is not None]
        check_output("--output", output, (".safetensors",), inputs=given_models, force=again)
        check_output("--output", _log_path(stage, output), (".jsonl",), force=again)
        return
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output {output}: is no folder, as --all needs one")
    if not output.parent.is_dir():
        raise UsageError(f"--output {output}: the folder {output.parent} does not exist")
    for path in outputs(output) if output.is_dir() else ():
        check_output("--output", path, (path.suffix,), force=again)


def _recipe(stage: Stage | None, images: Path | None, files: list[Path], given: dict[str, Any]) -> Recipe:
    """The recipe of `files`, ours where there is none, changed by what was `given`."""
    from dataclasses import replace

    from noisediag.cop import checkpoint

    if stage is not None and len(files) > 1:
        raise UsageError("--recipe: one stage has one recipe")
    headers = {str(path): checkpoint.read(path).header for path in files}
    if not headers:
        recipe = Recipe()
    elif stage is None:
        recipe = recipe_of_files(headers)
    else:
        [(name, header)] = headers.items()
        recipe = recipe_of(header, stage, name=name)
    if recipe.images is not None and images is None:
        raise UsageError(f"--recipe: its pictures were in a folder {recipe.images!r}; say with --images where it is")
    changes = {name: value for name, value in given.items() if value is not None}
    return replace(recipe, images=None if images is None else str(images), **changes)


def _log_path(stage: Stage | None, output: Path) -> Path:
    """In the folder of all stages, or beside the checkpoint of one."""
    return output / LOG if stage is None else output.with_name(f"{output.stem}.{LOG}")


@contextmanager
def _run(stage: Stage | None, output: Path, device: Device, save_every_s: float, *, resume: bool) -> Iterator[Run]:
    """Where the run writes, with its log and a line on stderr that tells how far it is."""
    from rich.console import Console
    from torch import distributed

    from noisediag.estimator import choose_device
    from noisediag.training.log import Log
    from noisediag.training.run import Run

    if "TORCHELASTIC_RUN_ID" in os.environ:  # one of several processes that torchrun started
        distributed.init_process_group("gloo" if device.value == "cpu" else None, timeout=PATIENCE)
    with Console(stderr=True).status("starting") as status:  # silent where stderr is no terminal
        doing = ""

        def announce(text: str) -> None:
            nonlocal doing
            doing = text
            status.update(text)

        def report(step: int, numbers: dict[str, float]) -> None:
            status.update(f"{doing}: {step}, " + ", ".join(f"{name} {value:.4g}" for name, value in numbers.items()))

        run = Run(
            output, choose_device(device.value), resume, report=report, announce=announce, save_every_s=save_every_s
        )
        path = _log_path(stage, output)
        path.parent.mkdir(exist_ok=True)
        yield run.with_log(Log(path, resume=resume)) if run.leads else run
