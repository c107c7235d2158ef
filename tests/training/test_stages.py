"""The stages end to end, as toys of seconds: they write checkpoints that load, and resume to the same bytes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from noisediag.cop import checkpoint
from noisediag.cop.models import PaperModel, SensorModel, load_any_encoder, load_encoder, randomised
from noisediag.errors import CheckpointError
from noisediag.training.recipe import FURTHER_RATE, Recipe
from noisediag.training.run import Run
from noisediag.training.stages import train_encoder, train_paper, train_paper_encoder, train_sensor

TOY = Recipe(
    scenes=24,
    encoder_steps=3,
    genomes=4,
    curve_steps=2,
    batch=4,
    paper_steps=2,
    near_genomes=4,
    near_views=3,
    near_steps=2,
    chart_steps=2,
    head_pictures=80,
    head_steps=5,
    calibration_pictures=80,
    raw_pictures=10,
    doubt_pictures=60,
    doubt_steps=3,
    validation_pictures=4,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "encoder.safetensors"
    train_encoder(TOY, Run(path, CPU))
    return path


def test_the_same_seed_gives_the_same_encoder(encoder: Path, tmp_path: Path) -> None:
    again = tmp_path / "encoder.safetensors"
    train_encoder(TOY, Run(again, CPU))
    assert again.read_bytes() == encoder.read_bytes()


def test_nothing_but_the_checkpoint_is_left_behind(encoder: Path) -> None:
    assert [path.name for path in encoder.parent.iterdir()] == [encoder.name]


def test_the_sensor_model_loads_and_answers(encoder: Path, tmp_path: Path) -> None:
    path = tmp_path / "sensor.safetensors"
    train_sensor(TOY, Run(path, CPU), encoder)
    found = checkpoint.read(path)
    model = SensorModel.load(found)
    assert found.header["recipe"]["scenes"] == TOY.scenes
    assert found.header["encoder_sha256"] == checkpoint.read(encoder).sha256
    for name, tensor in load_encoder(checkpoint.read(encoder)).state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], tensor)
    picture = torch.rand(1, 2, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        answer = model(picture, torch.zeros(1), torch.zeros(1, dtype=torch.bool))
        other = randomised(model, 1)(picture, torch.zeros(1), torch.zeros(1, dtype=torch.bool))
    assert (answer.reading.quantiles.diff(dim=-1) >= 0).all()
    assert not torch.equal(answer.embedding, other.embedding)
    assert torch.equal(answer.curve.law, other.curve.law)


def test_a_sensor_model_may_read_an_encoder_of_near_genomes(tmp_path: Path) -> None:
    near, path = tmp_path / "near.safetensors", tmp_path / "sensor.safetensors"
    train_paper_encoder(TOY, Run(near, CPU), None)
    train_sensor(TOY, Run(path, CPU), near)
    model = SensorModel.load(checkpoint.read(path))
    wanted = load_any_encoder(checkpoint.read(near))
    assert model.encoder.config == wanted.config
    assert all(torch.equal(model.encoder.state_dict()[name], tensor) for name, tensor in wanted.state_dict().items())


def test_a_curve_can_be_trained_further(encoder: Path, tmp_path: Path) -> None:
    first, further = tmp_path / "first.safetensors", tmp_path / "further.safetensors"
    train_sensor(TOY, Run(first, CPU), encoder)
    train_sensor(replace(TOY, curve_steps=1, seed=5), Run(further, CPU), encoder, first)  # another seed: far away
    found = checkpoint.read(further)
    assert found.header["start_sha256"] == checkpoint.read(first).sha256
    before, after = (SensorModel.load(checkpoint.read(path)).curve.passes[0].enter.weight for path in (first, further))
    assert 0 < (after - before).abs().mean() < 1e-3 * before.abs().mean()
    assert found.header["recipe"]["curve_rate"] == found.header["fit"]["learning_rate"] == FURTHER_RATE
    assert found.header["steps_of_runs"] == [TOY.curve_steps, 1]


def test_the_paper_model_loads_and_its_strengths_sum_to_one(encoder: Path, tmp_path: Path) -> None:
    path = tmp_path / "paper.safetensors"
    train_paper(TOY, Run(path, CPU), encoder)
    model = PaperModel.load(checkpoint.read(path))
    with torch.inference_mode():
        strengths = model(torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(strengths.sum(1), torch.ones(3), atol=1e-5)


def test_an_encoder_of_near_genomes_says_where_they_lie_and_goes_on_from_itself(encoder: Path, tmp_path: Path) -> None:
    first, further = tmp_path / "first.safetensors", tmp_path / "further.safetensors"
    train_paper_encoder(TOY, Run(first, CPU), None)
    train_paper_encoder(replace(TOY, near_rate=1e-4), Run(further, CPU), first)
    found = checkpoint.read(further)
    assert found.header["start_sha256"] == checkpoint.read(first).sha256
    assert found.header["steps_of_runs"] == [TOY.near_steps, TOY.near_steps]
    before, after = (load_any_encoder(checkpoint.read(path)) for path in (first, further))
    assert 0 < (after.leave.first.weight - before.leave.first.weight).abs().mean() < 0.01
    found = after.locate(torch.randn(3, after.config.embedding, generator=torch.Generator().manual_seed(0)))
    assert found.place.shape == found.variance.shape == (3, after.config.places)
    assert found.offset.shape == (3,)
    with pytest.raises(CheckpointError, match="is no encoder of near genomes"):
        train_paper_encoder(TOY, Run(tmp_path / "none.safetensors", CPU), encoder)
