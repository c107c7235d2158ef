"""Headers of checkpoints read back as recipes; what does not fit is an error that names it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from noisediag.cop import checkpoint
from noisediag.errors import CheckpointError, UsageError
from noisediag.training.recipe import Recipe, Stage, fields_of, recipe_of, recipe_of_files

ODD = Recipe(seed=3, scenes=7, images="/data/clean", image_share=0.2, curve_rate=1e-3, near_views=3, rendered_seed=9)


def header(stage: Stage, recipe: Recipe = ODD, **changes: Any) -> dict[str, Any]:
    record = {"stage": stage.value, "recipe": {**recipe.resolved(stage).record(stage), **changes}}
    return {"stage": "sensor", "kind": "sensor", "rendered": record} if stage is Stage.rendered else record


@pytest.mark.parametrize("stage", Stage)
def test_a_header_comes_back_as_the_recipe_of_its_stage(stage: Stage) -> None:
    read = recipe_of(header(stage), stage)
    wanted = replace(ODD.resolved(stage), images="clean")  # a path of the training machine would help nobody
    for entry in fields(Recipe):
        used = entry.name in fields_of(stage)
        assert getattr(read, entry.name) == (getattr(wanted, entry.name) if used else entry.default), entry.name
    assert read.resolved(stage) == read  # nothing is left open


def test_every_field_belongs_to_a_stage_and_has_a_text() -> None:
    assert {name for stage in Stage for name in fields_of(stage)} == {entry.name for entry in fields(Recipe)}
    assert all(entry.metadata["text"].endswith(".") for entry in fields(Recipe))


@pytest.mark.parametrize("stage", Stage)
def test_unknown_and_missing_fields_are_named(stage: Stage) -> None:
    with pytest.raises(CheckpointError, match=r"toy \(.*holds colour, shade, which this version does not know"):
        recipe_of(header(stage, shade=1, colour=2), stage, name="toy")
    cut = header(stage)
    (cut["rendered"] if stage is Stage.rendered else cut)["recipe"].pop("seed")
    with pytest.raises(CheckpointError, match="its recipe lacks seed"):
        recipe_of(cut, stage)


@pytest.mark.parametrize(
    ("key", "value"),
    [("scenes", "many"), ("scenes", 0), ("scenes", 2.5), ("image_share", 1.5), ("scenes", True), ("curve_seed", None)],
)
def test_values_of_another_kind_are_refused(key: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=f"{key} cannot be"):
        recipe_of(header(Stage.sensor, **{key: value}), Stage.sensor)


def test_a_header_without_a_recipe_is_refused() -> None:
    for stage in Stage:
        with pytest.raises(CheckpointError, match="holds no recipe of this stage"):
            recipe_of({"kind": "few-shot"}, stage)
    with pytest.raises(CheckpointError, match="holds no recipe of this stage"):
        recipe_of(header(Stage.paper), Stage.encoder)
    with pytest.raises(CheckpointError, match="holds no recipe of a stage"):
        recipe_of_files({"odd": {"kind": "few-shot"}})


def test_files_of_one_run_make_one_recipe_and_others_do_not() -> None:
    sensor = {**header(Stage.sensor), "rendered": header(Stage.rendered)["rendered"]}
    files = {"s": sensor, "e": header(Stage.encoder), "p": header(Stage.paper), "n": header(Stage.paper_encoder)}
    wanted = replace(ODD, images="clean")
    for stage in Stage:
        wanted = wanted.resolved(stage)
    assert recipe_of_files(files) == wanted
    other = header(Stage.paper, replace(ODD, scenes=8))
    with pytest.raises(UsageError, match=r"scenes was 7 in s \(sensor\) and 8 in p \(paper\)"):
        recipe_of_files({"s": sensor, "p": other})


def test_the_shipped_files_tell_what_they_were_made_by() -> None:
    """Of version 0.1, whose rates and seeds stand in `fit` alone; the two oldest hold a field that is no more."""
    headers = {name: checkpoint.read(checkpoint.shipped(name)).header for name in ("sensor", "paper-encoder")}
    sensor = recipe_of(headers["sensor"], Stage.sensor)
    assert (sensor.curve_steps, sensor.curve_rate, sensor.curve_seed) == (11_000, 8e-4, 16)
    assert (sensor.scenes, sensor.raw_pictures, sensor.images, sensor.validation_pictures) == (6_400, 900, "train", 300)
    rendered = recipe_of(headers["sensor"], Stage.rendered)
    assert (rendered.rendered_steps, rendered.rendered_rate, rendered.rendered_seed) == (6_000, 1e-3, 8)
    assert (rendered.rendered_image_share, rendered.rendered_warm_up) == (0.65, 100)
    assert (rendered.rendered_phone_share, rendered.rendered_calibration) == (0.5, 2_000)
    assert Recipe().rendered_phone_share == 0.5
    near = recipe_of(headers["paper-encoder"], Stage.paper_encoder)
    assert (near.near_steps, near.near_rate, near.near_seed, near.scenes) == (16_000, 3e-3, 41, 4_000)
    assert (near.chart_steps, near.chart_rate) == (1_000, 3e-3)
    for name, stage in (("encoder", Stage.encoder), ("paper", Stage.paper)):
        with pytest.raises(CheckpointError, match="holds image_repeats, which this version does not know"):
            recipe_of(checkpoint.read(checkpoint.shipped(name)).header, stage)
