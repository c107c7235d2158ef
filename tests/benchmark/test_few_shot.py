"""`benchmark few-shot` with toys: small sets, few steps; that arms are kept, resumed, and told apart."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from noisediag.benchmark import bound
from noisediag.benchmark.few_shot import data as few_shot_data
from noisediag.benchmark.few_shot import evidence, vit
from noisediag.benchmark.few_shot import result as few_shot_result
from noisediag.benchmark.few_shot import run as few_shot
from noisediag.benchmark.few_shot import scratch as few_shot_scratch
from noisediag.benchmark.few_shot.cop import kinds_of
from noisediag.benchmark.few_shot.result import FewShotOptions, Truth, row_of, score
from noisediag.benchmark.few_shot.run import probe
from noisediag.cli import app
from noisediag.cli.benchmark import few_shot as command
from noisediag.cop.near_encoder import NearEncoderConfig
from noisediag.errors import UsageError
from noisediag.genome import paper


@pytest.fixture(autouse=True)
def tiny(small, monkeypatch) -> None:
    monkeypatch.setattr(few_shot_data, "LABELLED_PX", 32)
    monkeypatch.setattr(bound, "BINS", 256)


def quiet(results, total):
    return results


def test_arms_are_kept_and_not_run_again(domains: Path, near: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    journal = tmp_path / "arms.jsonl"
    options = FewShotOptions(
        domains,
        arms=("cop-10", "cop-25", "pure-100"),
        label_sets=2,
        formats=("png16",),
        draws=1,
        split="all",
        journal=journal,
        checkpoint=near,
    )
    first = few_shot.run(options, quiet)
    rows = {row.arm: row for row in first.rows}
    assert rows["cop-25"].seeds == 2
    assert rows["cop-25"].r2_spread is not None
    assert abs(rows["mean predictor"].r2) < 0.05
    assert 0.9 < rows["bound"].r2 < 1
    assert rows["cop-25"].coverage is None or 0 < rows["cop-25"].coverage <= 1
    assert rows["cop-10"].coverage is None  # below 19 labels there are no intervals
    assert [row.arm for row in first.kinds] == ["pure-100"]
    assert first.kinds[0].right >= 0.2
    assert {"scratch-100000", "dominant-100", "cop-100 png8", "cop-100 png8/16"} <= set(first.missing)
    assert len(journal.read_text().splitlines()) == 1 + 2 * 3

    def never(*arguments, **options):
        raise AssertionError("was in the journal")

    with monkeypatch.context() as patch:
        patch.setattr(few_shot.cop, "read_strengths", never)
        patch.setattr(few_shot.cop, "read_kinds", never)
        again = few_shot.run(options, quiet)
    assert (again.rows, again.kinds) == (first.rows, first.kinds)
    with pytest.raises(UsageError, match="begun with draws 1, not 3"):
        few_shot.run(replace(options, draws=3), quiet)
    whole = journal.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) - 40] ^= 1  # in the last arm's line: it alone is run again
    journal.write_bytes(damaged)
    assert few_shot.run(options, quiet).kinds == first.kinds
    assert "damaged or unfinished" in capsys.readouterr().err
    journal.write_text("[]\n")
    with pytest.raises(UsageError, match="no journal"):
        few_shot.run(options, quiet)


def test_arms_from_scratch_outlive_the_encoder_they_are_compared_with(domains: Path, tmp_path: Path) -> None:
    options = FewShotOptions(domains, draws=1, journal=tmp_path / "arms.jsonl")
    truth = few_shot.Truth(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array(["a", "b"]))
    frozen, scratch = (
        few_shot.score(arm, 100, 0, np.full((2, 2), 0.5), truth, {}) for arm in ("cop-100", "scratch-100")
    )
    size, other = NearEncoderConfig(), NearEncoderConfig(width=32)
    both = ["cop-100", "scratch-100"]
    runs = (("first", size, []), ("second", size, both[1:]), ("second", other, []), ("first", size, both))
    for encoder, network, known in runs:
        with contextlib.closing(few_shot._Arms(options, encoder, "model", network)) as arms:
            assert [one.arm for one in arms.scores] == known
            if encoder == "first" and not known:
                arms.add(frozen)
                arms.add(scratch)


def test_the_command_completes_the_study_s_arms() -> None:
    assert command._ARMS == few_shot.ARMS


def test_scores_are_pooled_and_the_mean_of_the_domains() -> None:
    rng = np.random.default_rng(0)
    truth = Truth(rng.dirichlet(np.ones(6), 60), np.array(["a"] * 40 + ["b"] * 20))
    off = np.where(truth.domain == "a", 0.1, 0.2)[:, None]
    low, high = truth.strengths - 0.01, truth.strengths + 0.01
    low[:, 0] = high[:, 0] = np.nan  # no interval of this output
    low[:6, 1] += 0.1  # 6 of 300 intervals miss
    found = score("cop-25", 25, 0, truth.strengths + off, truth, {}, ends=(low, high), left_out=("gaussian",))
    assert found.mae == pytest.approx((40 * 0.1 + 20 * 0.2) / 60)
    assert (found.domain_mae, found.domain_rmse) == pytest.approx((0.15, 0.15))
    assert found.rmse == pytest.approx(np.sqrt((40 * 0.01 + 20 * 0.04) / 60))
    assert found.r2 == pytest.approx(1 - found.rmse**2 / truth.strengths.var())
    spreads = [truth.strengths[truth.domain == name].var() for name in "ab"]
    assert found.domain_r2 == pytest.approx(1 - (0.01 / spreads[0] + 0.04 / spreads[1]) / 2)
    assert found.coverage == pytest.approx(294 / 300)
    assert found.dominant == 1  # the same is added to all
    row = row_of("cop-25", [found, replace(found, r2=found.r2 - 0.2, seed=1, left_out=())])
    assert row.r2 == pytest.approx(found.r2 - 0.1)
    assert row.r2_spread == pytest.approx(0.2 / np.sqrt(2))
    assert row.left_out == {"gaussian": 1}


def test_kinds_are_the_strongest_and_of_pure_ones_what_is_there() -> None:
    mixed, pure = [0.1, 0.1, 0.1, 0.1, 0.2, 0.4], [0.0, 0.0, 0.3, 0.0, 0.0, 0.7]
    assert kinds_of(np.array([mixed, pure])).tolist() == ["normal", "poisson"]


def test_from_scratch_is_searched_stopped_and_resumed(domains: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(few_shot_scratch, "STEPS", {100: 40})
    monkeypatch.setattr(few_shot_scratch, "CHECKS", 4)
    monkeypatch.setattr(few_shot_scratch, "BATCH", 4)
    monkeypatch.setattr(few_shot_scratch, "LEARNING_RATES", {"scratch": (1e-3,)})
    asked = few_shot_data.EvaluationPictures(domains, "all", 1, 0, 1)
    examples = few_shot_scratch.SeenExamples(evidence.store(100, 0, None, None))
    network = NearEncoderConfig(width=16, hidden=24, embedding=32)
    plan = few_shot_scratch.Plan("scratch", "scratch-100", 0, tmp_path, "cpu", network=network)
    said, settings = few_shot_scratch.train_and_predict(examples, asked, plan, {})
    assert said.shape == (2, 6)
    assert np.allclose(said.sum(1), 1)
    assert settings["learning_rate"] == 1e-3
    assert settings["weight_decay"] in few_shot_scratch.WEIGHT_DECAYS
    assert list(tmp_path.iterdir()) == []  # states of finished arms are gone

    chosen = {"learning_rate": 1e-3, "weight_decay": 1e-4}
    whole, best = few_shot_scratch._train(examples, plan, chosen, 1.0, "final")
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
            few_shot_scratch._train(examples, plan, chosen, 1.0, "final")
    continued, again = few_shot_scratch._train(examples, plan, chosen, 1.0, "final")
    assert again == pytest.approx(best, rel=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), continued.parameters(), strict=True))

    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    trained = few_shot_scratch._train
    searched = []

    def counted(data, plan, settings, share, name):
        searched.append(name)
        return stopped() if name == "final" else trained(data, plan, settings, share, name)

    monkeypatch.setattr(few_shot_scratch, "_train", counted)
    for _ in range(2):  # what was searched for before a stop is not searched for again
        with pytest.raises(KeyboardInterrupt):
            few_shot_scratch.train_and_predict(examples, asked, plan, {})
    assert searched == ["search0", "search1", "final", "final"]


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


def test_the_command(domains: Path, near: Path, tmp_path: Path) -> None:
    journal, plot, output = tmp_path / "j.jsonl", tmp_path / "curve.svg", tmp_path / "r.json"
    base = ["benchmark", "few-shot", "--data", str(domains), "--draws", "1", "--split", "all", "--label-sets", "1"]
    base += ["--checkpoint", str(near), "--formats", "png16,rgb8", "--journal", str(journal)]
    done = CliRunner().invoke(app, [*base, "--arms", "cop-25", "--plot", str(plot), "-o", str(output)])
    assert done.exit_code == 0, done.stderr
    for said in ("cop-25", "cop-100 rgb8", "linear probes", "label-free: no strength is in the encoder's loss"):
        assert said in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "<svg" in plot.read_text()
    document = json.loads(output.read_text())
    assert document["schema"] == few_shot_result.SCHEMA
    assert [row["arm"] for row in document["rows"]] == ["cop-25", "cop-100 rgb8", "mean predictor", "bound"]
    assert len(document["rows"][0]["rmse_per_output"]) == len(paper.NAMES)
    refused = CliRunner().invoke(app, base)
    assert refused.exit_code == 2
    assert "exists already" in refused.stderr
    again = CliRunner().invoke(
        app, [*base, "--arms", "none", "--resume", "--csv", "--plot", str(tmp_path / "curve.png")]
    )
    assert again.exit_code == 0, again.stderr
    lines = again.stdout.splitlines()
    assert lines[0].startswith("arm,labels,seed,r2")
    assert len({line.count(",") for line in lines}) == 1
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Missing option '--data'"),
        (["--data", ".", "--arms", "cop-7"], "no arm is called cop-7"),
        (["--data", ".", "--formats", "bmp"], "no format is called bmp"),
        (["--data", ".", "--arms", "cop-10", "--vit", "--device", "cpu"], "needs a GPU"),
        (["--data", ".", "--resume"], "--resume goes on from a --journal"),
        (["--data", ".", "--plot", "curve.gif"], ".svg"),
    ],
)
def test_usage(arguments: list[str], reason: str) -> None:
    done = CliRunner().invoke(app, ["benchmark", "few-shot", *arguments])
    assert done.exit_code == 2
    assert reason in done.stderr
