"""`benchmark few-shot` with toys: small sets, few steps; that arms are kept, resumed, and told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from noisediag.benchmark.few_shot import data as few_shot_data
from noisediag.benchmark.few_shot import run as few_shot
from noisediag.benchmark.few_shot import scratch as few_shot_scratch
from noisediag.benchmark.few_shot import vit
from noisediag.benchmark.few_shot.run import FewShotOptions, probe
from noisediag.cli import app
from noisediag.cli.benchmark import few_shot as command
from noisediag.errors import UsageError
from noisediag.genome import scenes


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    """Toys in the place of thousands of pictures."""
    monkeypatch.setattr(few_shot_data, "SCENES", 8)
    monkeypatch.setattr(few_shot_data, "LABELLED_PX", 64)
    monkeypatch.setattr(few_shot, "UNLABELLED", 40)
    monkeypatch.setattr(few_shot_scratch, "STEPS", {100: 40})
    monkeypatch.setattr(few_shot_scratch, "CHECKS", 4)
    monkeypatch.setattr(few_shot_scratch, "BATCH", 4)
    monkeypatch.setattr(few_shot_scratch, "LEARNING_RATES", {"scratch": (1e-3,)})
    few_shot_data._pool.cache_clear()
    yield
    few_shot_data._pool.cache_clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("domains")
    for number, kinds in enumerate((("photo",), ("stars",))):
        (root / kinds[0]).mkdir()
        pictures = scenes.make(6, 64, torch.Generator().manual_seed(number), kinds=kinds).numpy()
        for i, scene in enumerate(pictures):
            Image.fromarray((scene * 255).round().astype(np.uint8)).save(root / kinds[0] / f"{i}.png")
    return root


def quiet(results, total):
    return results


def test_arms_are_kept_and_not_run_again(data: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    journal = tmp_path / "arms.jsonl"
    options = FewShotOptions(data, arms=("cop-10", "cop-50"), seeds=2, draws=2, split="all", journal=journal)
    first = few_shot.run(options, quiet)
    rows = {row.arm: row for row in first.rows}
    assert rows["cop-50"].seeds == 2
    assert rows["cop-50"].r2_spread is not None
    assert rows["cop-50"].r2 > rows["mean predictor"].r2 > -0.1
    assert abs(rows["mean predictor"].r2) < 0.05
    assert "scratch-100000" in first.missing
    assert len(journal.read_text().splitlines()) == 5

    def never(*arguments):
        raise AssertionError("was in the journal")

    with monkeypatch.context() as patch:
        patch.setattr(few_shot, "_cop", never)
        assert few_shot.run(options, quiet).rows == first.rows
    with pytest.raises(UsageError, match="begun with draws 2, not 3"):
        few_shot.run(replace(options, draws=3), quiet)
    whole = journal.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) - 40] ^= 1  # in the last arm's line: it alone is run again
    journal.write_bytes(damaged)
    assert few_shot.run(options, quiet).rows == first.rows
    assert journal.read_bytes() == whole
    assert "damaged or unfinished" in capsys.readouterr().err
    journal.write_text("[]\n")
    with pytest.raises(UsageError, match="no journal"):
        few_shot.run(options, quiet)


def test_the_command_completes_the_study_s_arms() -> None:
    assert command._ARMS == few_shot.ARMS


def test_labels_are_the_same_in_every_arm() -> None:
    few, many = (few_shot_data.labelled(n, 1, None, None) for n in (10, 60))
    assert (many.codes[:10] == few.codes).all()
    assert torch.equal(many.strengths[:10], few.strengths)
    other = few_shot_data.labelled(10, 2, None, None)
    assert not torch.equal(other.strengths, few.strengths)


def test_many_labelled_pictures_lie_in_a_file(tmp_path: Path, monkeypatch) -> None:
    inside = few_shot_data.labelled(60, 0, None, None)
    monkeypatch.setattr(few_shot_data, "IN_MEMORY", 20)
    outside = few_shot_data.labelled(60, 0, tmp_path, None)
    again = few_shot_data.labelled(60, 0, tmp_path, None)
    assert [p.name for p in tmp_path.iterdir()] == ["few-shot-60-0.npy"]
    assert (inside.codes == outside.codes).all()
    assert (again.codes == inside.codes).all()


def test_from_scratch_is_searched_stopped_and_resumed(data: Path, tmp_path: Path, monkeypatch) -> None:
    asked = few_shot_data.EvaluationPictures(data, "all", 1, 0, 1)
    pictures = few_shot_data.labelled(100, 0, None, None)
    plan = few_shot_scratch.Plan("scratch", "scratch-100", 0, tmp_path, "cpu")
    said, settings = few_shot_scratch.train_and_predict(pictures, asked, plan, {})
    assert said.shape == (2, 6)
    assert np.allclose(said.sum(1), 1)
    assert settings["learning_rate"] == 1e-3
    assert settings["weight_decay"] in few_shot_scratch.WEIGHT_DECAYS
    assert list(tmp_path.iterdir()) == []  # states of finished arms are gone

    chosen = {"learning_rate": 1e-3, "weight_decay": 1e-4}
    whole, best = few_shot_scratch._train(pictures, plan, chosen, 1.0, "final")
    look = few_shot_scratch._EarlyStopping.look
    looks = []

    def interrupted(watch: few_shot_scratch._EarlyStopping) -> None:
        look(watch)
        looks.append(watch.best)
        if len(looks) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(few_shot_scratch._EarlyStopping, "look", interrupted)
        with pytest.raises(KeyboardInterrupt):
            few_shot_scratch._train(pictures, plan, chosen, 1.0, "final")
    continued, again = few_shot_scratch._train(pictures, plan, chosen, 1.0, "final")
    assert again == pytest.approx(best, rel=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), continued.parameters(), strict=True))


def test_probes_tell_content_from_noise() -> None:
    rng = np.random.default_rng(0)
    strengths = rng.dirichlet(np.ones(6), 400)
    domain = np.array([f"d{i % 4}" for i in range(400)])
    picture = np.arange(400)
    noise_only = np.concatenate([strengths, rng.standard_normal((400, 4))], axis=1)
    found = probe(noise_only, strengths, domain, picture)
    assert found.noise_r2 > 0.95
    assert found.domain_accuracy < 0.4
    both = np.concatenate([noise_only, np.eye(4)[np.arange(400) % 4]], axis=1)
    assert probe(both, strengths, domain, picture).domain_accuracy > 0.95


def test_a_vit_takes_any_size() -> None:
    torch.manual_seed(0)
    model = vit.ViT(vit.ViTConfig(width=32, depth=1, heads=2))
    for size in (64, 96):
        said = model(torch.rand(2, 1, size, size))
        assert said.shape == (2, 6)
        assert torch.allclose(said.sum(1), torch.ones(2), atol=1e-5)


def test_the_command(data: Path, tmp_path: Path) -> None:
    journal, plot, output = tmp_path / "j.jsonl", tmp_path / "curve.png", tmp_path / "r.json"
    base = ["benchmark", "few-shot", "--data", str(data), "--draws", "1", "--split", "all", "--seeds", "1"]
    done = CliRunner().invoke(
        app, [*base, "--arms", "cop-25", "--journal", str(journal), "--plot", str(plot), "-o", str(output)]
    )
    assert done.exit_code == 0, done.stderr
    assert "cop-25" in done.stdout
    assert "linear probes" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert plot.read_bytes().startswith(b"\x89PNG")
    document = json.loads(output.read_text())
    assert document["schema"] == few_shot.SCHEMA
    assert document["rows"][0]["arm"] == "cop-25"
    refused = CliRunner().invoke(app, [*base, "--journal", str(journal)])
    assert refused.exit_code == 2
    assert "exists already" in refused.stderr
    again = CliRunner().invoke(app, [*base, "--arms", "cop-25", "--journal", str(journal), "--resume", "--csv"])
    assert again.exit_code == 0, again.stderr
    assert again.stdout.startswith("arm,labels,seed,r2")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Missing option '--data'"),
        (["--data", ".", "--arms", "cop-7"], "no arm is called cop-7"),
        (["--data", ".", "--arms", "cop-10", "--vit", "--device", "cpu"], "needs a GPU"),
        (["--data", ".", "--resume"], "--resume goes on from a --journal"),
    ],
)
def test_usage(arguments: list[str], reason: str) -> None:
    done = CliRunner().invoke(app, ["benchmark", "few-shot", *arguments])
    assert done.exit_code == 2
    assert reason in done.stderr
