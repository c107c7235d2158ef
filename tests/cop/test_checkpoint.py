"""Checkpoints are strict: what does not match is an error, never a fallback."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from noisediag.cop import checkpoint
from noisediag.cop.encoder import Encoder, EncoderConfig
from noisediag.cop.models import PaperModel, SensorModel, load_encoder, save_encoder
from noisediag.errors import CheckpointError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "toy.safetensors"
    checkpoint.save(path, {"part": nn.Linear(3, 2)}, {"kind": "toy"})
    return path


def test_weights_come_back_under_their_digest(saved: Path) -> None:
    found = checkpoint.read(saved)
    module = nn.Linear(3, 2)
    checkpoint.load_into(found, {"part": module})
    assert torch.equal(module.weight, found.tensors["part.weight"])
    assert len(found.sha256) == 64
    assert found.header == {"kind": "toy"}


def test_another_shape_is_refused(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="does not match"):
        checkpoint.load_into(checkpoint.read(saved), {"part": nn.Linear(2, 2)})


def test_missing_and_surplus_tensors_are_refused(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="does not match"):
        checkpoint.load_into(checkpoint.read(saved), {"part": nn.Linear(3, 2, bias=False)})
    with pytest.raises(CheckpointError, match="does not match"):
        checkpoint.load_into(checkpoint.read(saved), {"part": nn.Linear(3, 2), "more": nn.Linear(1, 1)})


def test_missing_damaged_and_foreign_files_are_refused(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint.read(tmp_path / "absent.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(saved.read_bytes()[:-7])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint.read(cut)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"w": torch.zeros(1)}, foreign)
    with pytest.raises(CheckpointError, match="is not a"):
        checkpoint.read(foreign)


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, Encoder(EncoderConfig(width=8, heads=2, embedding=8)), {})
    assert load_encoder(checkpoint.read(path)).config.width == 8
    for kind in (SensorModel, PaperModel):
        with pytest.raises(CheckpointError, match="needs"):
            kind.load(checkpoint.read(path))


def test_a_checkpoint_that_is_not_shipped_is_named() -> None:
    with pytest.raises(CheckpointError, match="no-such-model"):
        checkpoint.shipped("no-such-model")
