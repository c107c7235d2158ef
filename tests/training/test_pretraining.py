"""`noisediag pretrain --all` as a toy: from nothing to every shipped file, and the same after interruptions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import noisediag
from noisediag.cli import app
from noisediag.cop import checkpoint
from noisediag.cop.models import PaperModel, SensorModel, load_any_encoder, load_encoder
from noisediag.cop.near_encoder import NearEncoder
from noisediag.training import fit, stages
from noisediag.training.recipe import FILES, LOG, Recipe, Stage, recipe_of_files

TOY = Recipe(
    scenes=8,
    validation_pictures=4,
    encoder_steps=3,
    genomes=3,
    curve_steps=3,
    batch=2,
    head_pictures=30,
    head_steps=4,
    calibration_pictures=30,
    raw_pictures=4,
    doubt_pictures=40,
    doubt_steps=2,
    rendered_scenes=8,
    rendered_steps=3,
    rendered_batch=4,
    rendered_calibration=2,
    paper_steps=2,
    near_genomes=3,
    near_views=2,
    near_steps=2,
    chart_steps=2,
)
STAGES = ("train_encoder", "train_sensor", "train_rendered", "train_paper", "train_paper_encoder")
Pretrain = Callable[..., Result]


def options(recipe: Recipe) -> list[str]:
    """Those that differ from ours."""
    ours = Recipe()
    changed = {name: value for name, value in vars(recipe).items() if value != getattr(ours, name)}
    return [word for name, value in changed.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def pretrain(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["pretrain", "--device", "cpu", *map(str, arguments)])


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clean pictures: the first is held out, the others are trained on."""
    folder = tmp_path_factory.mktemp("pictures") / "clean"
    folder.mkdir()
    ramp = np.linspace(0, 255, 256)
    for number, angle in enumerate((0.2, 0.7, 1.2)):
        picture = np.cos(angle) * ramp[:, None] / 2 + np.sin(angle) * ramp / 2
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, clean: Path) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "models"
    result = pretrain("--all", "--images", clean, "-o", folder, *options(TOY))
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    return folder


def without_seconds(log: Path) -> list[dict]:
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in entries]


def test_every_shipped_file_is_there_and_loads(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == {*FILES.values(), LOG}
    encoder = checkpoint.read(whole / FILES[Stage.encoder])
    load_encoder(encoder)
    assert isinstance(load_any_encoder(checkpoint.read(whole / FILES[Stage.paper_encoder])), NearEncoder)
    PaperModel.load(checkpoint.read(whole / FILES[Stage.paper]))
    sensor = checkpoint.read(whole / FILES[Stage.sensor])
    assert SensorModel.load(sensor).rendered is not None
    assert SensorModel.load(sensor).rendered_interval is not None
    assert {"intervals", "limits", "alarms", "rendered"} <= set(sensor.header["calibration"])
    for stage in (Stage.sensor, Stage.paper):
        assert checkpoint.read(whole / FILES[stage]).header["encoder_sha256"] == encoder.sha256


def test_the_sensor_model_estimates(whole: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(np.linspace(20, 200, 96), 5.0, (96, 96)).clip(0, 255)
    footprint = noisediag.estimate(values, black=0.0, white=255.0, checkpoint=whole / FILES[Stage.sensor], device="cpu")
    assert np.isfinite(footprint.sigma(0.5))
    Image.fromarray(values.round().astype(np.uint8)).save(tmp_path / "picture.png")
    processed = noisediag.estimate(tmp_path / "picture.png", checkpoint=whole / FILES[Stage.sensor], device="cpu")
    assert processed.rendered is not None


def test_the_log_tells_of_every_step_and_of_fresh_scenes(whole: Path) -> None:
    entries = without_seconds(whole / LOG)
    assert len({(e["stage"], e["part"], e["step"]) for e in entries}) == len(entries)
    told = {(e["stage"], e["part"]): e for e in entries}
    figures = {
        ("encoder", "validation"): {"info_nce_paper", "info_nce_sensor", "info_nce_by_chance"},
        ("sensor", "validation"): {"curve_error_percent", "curve_error_p90_percent", "curves"},
        ("sensor", "head validation"): {"pinball", "curve_coverage_percent"},
        ("rendered", "validation"): {"curve_error_percent", "curve_error_p90_percent", "curves"},
        ("paper", "validation"): {"rmse", "r2"},
        ("paper-encoder", "validation"): {"chart_r2", "info_nce_sensor", "info_nce_by_chance"},
    }
    for where, names in figures.items():
        assert names <= set(told[where]), where
        assert all(value is not None for value in told[where].values())
    trained = {("encoder", "contrast"), ("sensor", "curve"), ("sensor", "head"), ("sensor", "doubts")}
    trained |= {("rendered", "rendered"), ("paper", "paper"), ("paper-encoder", "chart"), ("paper-encoder", "near")}
    assert set(told) == set(figures) | trained
    sensor = checkpoint.read(whole / FILES[Stage.sensor]).header
    assert sensor["validation"]["curve_error_percent"] == told["sensor", "validation"]["curve_error_percent"]
    assert sensor["rendered"]["validation"]["curves"] == told["rendered", "validation"]["curves"]


def test_the_headers_come_back_as_the_recipe_that_made_the_files(whole: Path) -> None:
    wanted = replace(TOY, images="clean")
    for stage in Stage:
        wanted = wanted.resolved(stage)
    assert recipe_of_files({name: checkpoint.read(whole / name).header for name in FILES.values()}) == wanted
    for stage in (Stage.sensor, Stage.rendered):
        header = checkpoint.read(whole / FILES[stage]).header
        record = header["rendered"] if stage is Stage.rendered else header
        assert record["fit"]["learning_rate"] == record["recipe"][f"{stage.network}_rate"]
        assert record["fit"]["seed"] == record["recipe"][f"{stage.network}_seed"]
        assert record["steps_of_runs"] == [record["fit"]["steps"]]


def test_a_stage_by_the_recipe_of_a_file_gives_the_same_bytes(whole: Path, clean: Path, tmp_path: Path) -> None:
    for stage in (Stage.paper, Stage.paper_encoder):
        again, made = tmp_path / FILES[stage], whole / FILES[stage]
        encoder = whole / FILES[Stage.encoder]
        begun = ("--encoder", encoder) if stage is Stage.paper else ()
        again_by = ("--stage", stage.value, "--recipe", made, "--images", clean, *begun)
        result = pretrain(*again_by, "-o", again)
        assert result.exit_code == 0, result.output
        assert again.read_bytes() == made.read_bytes()
        assert {path.name for path in tmp_path.glob(f"{again.stem}.*")} == {again.name, f"{again.stem}.{LOG}"}


def interrupt(monkeypatch: pytest.MonkeyPatch, part: str, step: int) -> None:
    """Stop `pretrain`, as Ctrl-C does, right after the state of `part` at `step` is saved."""
    save = fit._save_state

    def save_and_stop(path: Path, now: fit._Progress, config: fit.FitConfig) -> None:
        save(path, now, config)
        if f".{part}." in path.name and now.step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(fit, "_save_state", save_and_stop)


def test_an_interrupted_run_goes_on_where_it_stopped_to_the_same_bytes(
    whole: Path, clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    steps = 0
    for name in STAGES:
        train = getattr(stages, name)
        monkeypatch.setattr(stages, name, lambda *a, _name=name, _train=train: (begun.append(_name), _train(*a)))
    take_step = fit._take_step

    def counted(now: fit._Progress, *arguments: object) -> None:
        nonlocal steps
        steps += 1
        take_step(now, *arguments)

    monkeypatch.setattr(fit, "_take_step", counted)
    arguments = ("--all", "--images", clean, "-o", tmp_path, "--save-every", 0, *options(TOY))
    expected = [
        ("curve", 2, ["train_encoder", "train_sensor"]),
        ("rendered", 1, ["train_sensor", "train_rendered"]),
        ("none", 0, ["train_rendered", "train_paper", "train_paper_encoder"]),
    ]
    for number, (part, step, trained) in enumerate(expected):
        begun.clear()
        with monkeypatch.context() as patch:
            interrupt(patch, part, step)
            result = pretrain(*arguments, *(["--resume"] if number else []))
        assert result.exit_code == (0 if part == "none" else 130), result.output
        assert begun == trained
    toy = [value for name, value in vars(TOY).items() if name.endswith("_steps")]
    assert steps == sum(toy)  # none was taken twice
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in whole.iterdir()}
    for name in FILES.values():
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name
    assert without_seconds(tmp_path / LOG) == without_seconds(whole / LOG)


def test_what_is_finished_is_not_made_again_by_another_recipe(whole: Path, clean: Path) -> None:
    toy = ("--all", "--images", clean, "-o", whole)
    before = {path.name: path.stat().st_mtime_ns for path in whole.iterdir() if path.name != LOG}
    result = pretrain(*toy, "--resume", *options(TOY))
    assert result.exit_code == 0, result.output
    other = pretrain(*toy, "--resume", *options(replace(TOY, encoder_steps=9)))
    assert other.exit_code == 5
    assert "was made by another recipe (encoder_steps)" in other.stderr
    again = pretrain(*toy, *options(TOY))  # neither --resume nor --force
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert {path.name: path.stat().st_mtime_ns for path in whole.iterdir() if path.name != LOG} == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--all", "--stage", "paper"), "--all makes every stage"),
        (("--all", "--start", "s.safetensors"), "--all makes every stage"),
        (("--stage", "rendered", "--encoder", "e.safetensors"), "--encoder is where"),
        (("--stage", "paper", "--start", "s.safetensors"), "--start is a sensor model"),
        (("--stage", "sensor", "--recipe", "sensor"), "a folder 'train'; say with --images"),
        (("--all", "--recipe", "sensor"), "no one recipe made both"),
        (("--stage", "sensor", "--recipe", "sensor", "--recipe", "paper"), "one stage has one recipe"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(arguments: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    words = [
        str(checkpoint.shipped(word)) if word in ("sensor", "paper") and before == "--recipe" else word
        for before, word in zip(("", *arguments), arguments, strict=False)
    ]
    output = tmp_path / "models" if "--all" in words else tmp_path / "x.safetensors"
    result = pretrain(*words, "-o", output)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())
