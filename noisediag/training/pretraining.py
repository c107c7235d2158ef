"""`noisediag pretrain`: one stage, or all of them from nothing to every shipped file."""

from __future__ import annotations

from pathlib import Path

from noisediag.cop import checkpoint as store
from noisediag.errors import CheckpointError
from noisediag.training import stages
from noisediag.training.recipe import FILES, Recipe, Stage, recorded
from noisediag.training.run import Run

ELSEWHERE = "take another folder, or --force to begin anew"


def train_stage(
    stage: Stage, recipe: Recipe, run: Run, *, encoder: Path | None = None, start: Path | None = None
) -> None:
    """One stage. What it starts from is ours unless given: `encoder`, and the sensor model `start` (of `rendered`)."""
    if stage is Stage.encoder:
        stages.train_encoder(recipe, run)
    elif stage is Stage.sensor:
        stages.train_sensor(recipe, run, encoder or store.shipped("encoder"), start)
    elif stage is Stage.rendered:
        stages.train_rendered(recipe, run, start or store.shipped("sensor"))
    elif stage is Stage.paper:
        stages.train_paper(recipe, run, encoder or store.shipped("encoder"))
    else:
        stages.train_paper_encoder(recipe, run, encoder)


def train_all(recipe: Recipe, run: Run, folder: Path) -> None:
    """Every stage, each from what those before it have made in `folder`.

    A resumed run goes on with the stage, and at the step, where it stopped; without `run.resume` what an earlier run
    has left is removed. Raises CheckpointError where a finished stage in the folder was made by another recipe.
    """
    if run.leads and not run.resume:
        for name in dict.fromkeys(FILES.values()):
            for path in (folder / name, *folder.glob(f"{Path(name).stem}.*.state")):
                path.unlink(missing_ok=True)
    run.wait()
    encoder, sensor = folder / FILES[Stage.encoder], folder / FILES[Stage.sensor]
    for stage, name in FILES.items():
        if not _is_finished(stage, recipe, folder):
            start = sensor if stage is Stage.rendered else None
            first = None if stage is Stage.paper_encoder else encoder
            train_stage(stage, recipe, run.to(folder / name), encoder=first, start=start)
        run.wait()


def _is_finished(stage: Stage, recipe: Recipe, folder: Path) -> bool:
    """Whether `folder` holds what `stage` makes by `recipe`. Raises CheckpointError where another recipe made it."""
    path = folder / FILES[stage]
    if not path.exists():
        return False
    record = recorded(store.read(path).header, stage)
    if record is None:
        if stage is Stage.rendered:
            return False
        raise CheckpointError(f"{path}: was not made by this stage; {ELSEWHERE}")
    made, wanted = record.get("recipe", {}), recipe.resolved(stage).record(stage)
    if made != wanted:
        other = [name for name in sorted({*made, *wanted}) if made.get(name) != wanted.get(name)]
        raise CheckpointError(f"{path}: was made by another recipe ({', '.join(other)}); {ELSEWHERE}")
    encoder = folder / FILES[Stage.encoder]
    if record.get("encoder_sha256", "") not in ("", store.read(encoder).sha256):
        raise CheckpointError(f"{path}: was made from another encoder than {encoder}; {ELSEWHERE}")
    return True
