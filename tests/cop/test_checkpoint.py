"""Checkpoints are strict: what does not match is an error, never a fallback."""

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from noisediag.cop import checkpoint
from noisediag.cop.encoder import Encoder, EncoderConfig
from noisediag.cop.few_shot import Column, FewShotConfig, FewShotHead
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
    assert json.dumps(found.header)  # plain, and without the checksum, which a file written of it has anew


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
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint.read(cut)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"w": torch.zeros(1)}, foreign)
    with pytest.raises(CheckpointError, match="is not a"):
        checkpoint.read(foreign)


def test_no_flipped_bit_is_accepted(saved: Path) -> None:
    """Of a file as `finetune` writes it: a bit of each byte, so checksum, header and weights alike."""
    content, rng = saved.read_bytes(), random.Random(1)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.randrange(8)
        saved.write_bytes(flipped)
        with pytest.raises(CheckpointError):
            checkpoint.read(saved)
    saved.write_bytes(content)
    assert checkpoint.read(saved).header == {"kind": "toy"}


@pytest.mark.parametrize("name", ["encoder", "sensor"])
def test_no_flipped_bit_of_a_shipped_file_is_accepted(tmp_path: Path, name: str) -> None:
    content, rng = checkpoint.shipped(name).read_bytes(), random.Random(2)
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(content)
    assert checkpoint.read(path).sha256 == checkpoint.read(checkpoint.shipped(name)).sha256
    length = int.from_bytes(content[:8], "little")
    for place in [*range(8), *rng.sample(range(8, length), 20), *rng.sample(range(length, len(content)), 20)]:
        with path.open("r+b") as file:
            file.seek(place)
            file.write(bytes([content[place] ^ 1 << rng.randrange(8)]))
        with pytest.raises(CheckpointError):
            checkpoint.read(path)
        with path.open("r+b") as file:
            file.seek(place)
            file.write(content[place : place + 1])


def test_shipped_files_are_the_listed_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {name for _, name in checkpoint._known()}
    folder = checkpoint.shipped("sensor").parent
    assert listed == {path.name for path in folder.glob("*.safetensors")}, "cd models && sha256sum *.safetensors"
    for name in listed:
        assert checkpoint.read(folder / name).header
    # A sound model in the place of a shipped one is not the shipped one.
    monkeypatch.setattr(checkpoint, "_shipped_folders", lambda: (tmp_path,))
    checkpoint.save(tmp_path / "toy.safetensors", {"part": nn.Linear(3, 2)}, {})
    assert checkpoint.read(tmp_path / "toy.safetensors").tensors
    (tmp_path / checkpoint.SUMS).write_text(f"{'0' * 64}  toy.safetensors\n")
    with pytest.raises(CheckpointError, match="not the one that was shipped"):
        checkpoint.read(tmp_path / "toy.safetensors")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull), tmp_path, tmp_path / "a\0b", tmp_path / ("x" * 5000)):
        with pytest.raises(CheckpointError):
            checkpoint.read(path)


@pytest.mark.parametrize("entry", ["[" * 100_000, '{"format": NaN}', "[]", '{"format": 1}', "\ud800", "9" * 5000])
def test_headers_of_any_text_are_refused(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "a.safetensors"
    text = json.dumps({"__metadata__": {checkpoint.METADATA: entry}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(CheckpointError):
        checkpoint.read(path)
    path.write_bytes((8).to_bytes(8, "little") + b"[" * 100_000)
    with pytest.raises(CheckpointError):
        checkpoint.read(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    module = nn.Linear(3, 2)
    for wrong in (float("nan"), float("inf")):
        with torch.no_grad():
            module.weight[0, 0] = wrong
        checkpoint.save(tmp_path / "a.safetensors", {"part": module}, {"kind": "toy"})
        with pytest.raises(CheckpointError, match="weight that is no number"):
            checkpoint.read(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "wrong",
    [{"width": 10**9}, {"width": 0}, {"width": 96.0}, {"width": True}, {"near": 1}, {"heads": "6"}, {"more": 1}, []],
)
def test_configurations_are_checked_before_anything_is_made(wrong: Any) -> None:
    config = wrong if isinstance(wrong, list) else {"width": 8, "heads": 2, "embedding": 8, **wrong}
    file = checkpoint.Checkpoint("x", "", {"kind": "encoder", "config": {"encoder": config}}, {})
    with pytest.raises(CheckpointError):
        load_encoder(file)


def test_every_configuration_has_limits_that_shipped_ones_keep() -> None:
    shipped = checkpoint.read(checkpoint.shipped("sensor"))
    assert SensorModel.load(shipped).config == shipped.header["config"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c["alarms"].update(impulse="0"),
        lambda c: c["alarms"].update(impulse=1e300),
        lambda c: c["alarms"].update(impulse=True),
        lambda c: c["intervals"]["curve"].update(all=[-1.0, 1.0]),
        lambda c: c["intervals"]["curve"].update(all=[1.0]),
        lambda c: c["limits"].update(impulse=None),
        lambda c: c["doubts"].update(misfit=[[1.0, 2.0], 3.0]),
        lambda c: c["intervals"].update(curve=1.0),
        lambda c: c["rendered"].update(curve=1.0),
        lambda c: c.update(alarms=[]),
    ],
)
def test_calibration_is_checked(spoil: Callable[[dict[str, Any]], Any]) -> None:
    shipped = checkpoint.read(checkpoint.shipped("sensor"))
    calibration = json.loads(json.dumps(shipped.header["calibration"]))
    assert checkpoint.calibration(shipped) == calibration
    spoil(calibration)
    with pytest.raises(CheckpointError):
        checkpoint.calibration(replace(shipped, header={**shipped.header, "calibration": calibration}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"shots": 10**12},
        {"models": 0},
        {"groups": [4, 1.5]},
        {"groups": []},
        {"columns": []},
        {"columns": [{"name": "\x1b[31m", "unit": "", "scale": "log", "words": []}]},
        {"columns": [{"name": "\ud800", "unit": "", "scale": "log", "words": []}]},
        {"columns": [{"name": "a", "unit": "", "scale": "cube", "words": []}]},
        {"columns": [{"name": "a", "unit": "", "scale": "class", "words": []}]},
        {"columns": [{"name": "a", "unit": "", "scale": "log", "words": []}] * 2},
    ],
)
def test_sizes_and_names_of_an_own_head_are_checked(wrong: dict[str, Any]) -> None:
    plain = FewShotConfig((Column("a", "DN", "log"),), (4, 2), 20, 11, 20, ("embedding", "levels")).plain()
    assert FewShotConfig.of(json.loads(json.dumps(plain))).plain() == plain
    with pytest.raises(CheckpointError):
        FewShotConfig.of({**json.loads(json.dumps(plain)), **wrong})


@pytest.mark.parametrize(
    ("buffer", "value"), [("judge_0", 11), ("judge_0", -2), ("scale", 0.0), ("temperature_0", 0.0)]
)
def test_numbers_of_an_own_head_are_checked(buffer: str, value: float) -> None:
    head = FewShotHead(FewShotConfig((Column("a", "DN", "log"),), (4, 2), 20, 11, 20, ("embedding", "levels")))
    head.check()
    head.get_buffer(buffer).fill_(value)
    with pytest.raises(CheckpointError):
        head.check()


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
