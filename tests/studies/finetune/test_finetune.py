"""A user's own labels, end to end through the shipped model: a law it does not know, classes, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from noisediag import images, reports
from noisediag.cli import app
from noisediag.cop import checkpoint as store
from noisediag.cop.near_encoder import NearEncoder
from noisediag.errors import CheckpointError, UsageError
from noisediag.estimator import Estimator
from noisediag.genome import paper, scenes
from noisediag.labels import csv as labels_csv
from noisediag.labels.table import LabelRow, LabelTable
from noisediag.readout import own_head as tuned
from noisediag.reports.files import replacing
from noisediag.studies.finetune import plots as finetune_plots
from noisediag.studies.finetune import report as finetune_report
from noisediag.studies.finetune import shots as shots_module
from noisediag.studies.finetune import study as finetune
from noisediag.studies.finetune.labelled import Labelled, from_clean, of_files
from noisediag.studies.finetune.result import FinetuneOptions, NoBetterError
from noisediag.studies.finetune.shots import Shot, choose
from noisediag.studies.finetune.study import Finetuned

SIDE = 128
LEARNED, SHOTS, ASKED = 125, 100, 40
NOISES = ("gaussian", "quantised", "salt", "poisson", "blotchy")
FIRST_KINDS = tuple(kind for kind in scenes.KINDS if kind not in scenes.FINE)
LEARNED_KINDS, ASKED_KINDS = FIRST_KINDS[::2], FIRST_KINDS[1::2]

pytestmark = pytest.mark.usefixtures("quick_heads")


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator(device="cpu")


def quiet(results, total):
    return results


def invoke(*arguments: str | Path):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def jpeg(x: np.ndarray, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((x.clip(0, 1) * 255).round().astype(np.uint8)).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


@pytest.fixture(scope="module")
def laplace(tmp_path_factory) -> Path:
    """Laplace noise of unknown scale under JPEG: 125 labelled pictures, and 40 on scenes of other kinds."""
    root = tmp_path_factory.mktemp("laplace")
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(3)
    for kinds, count, name in ((LEARNED_KINDS, LEARNED, "learned"), (ASKED_KINDS, ASKED, "asked")):
        rows = ["path,read_noise,jpeg_quality"]
        for i, clean in enumerate(scenes.make(count, SIDE, generator, kinds=kinds).numpy()):
            scale, quality = 10 ** rng.uniform(-2, -0.9), int(rng.integers(30, 96))
            noisy = clean + rng.laplace(0, scale / np.sqrt(2), clean.shape)
            (root / f"{name}{i}.jpg").write_bytes(jpeg(noisy, quality))
            rows.append(f"{name}{i}.jpg,{scale:.6g},{quality}")
        (root / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def asked(laplace: Path, estimator: Estimator) -> Callable[[Path], dict[str, np.ndarray]]:
    """Estimates of a checkpoint on the pictures of other kinds, by name: `(40,)`, NaN where there is none."""

    def ask(checkpoint: Path | None) -> dict[str, np.ndarray]:
        model = estimator if checkpoint is None else Estimator(checkpoint, "cpu")
        found: dict[str, list[float]] = {"read_noise": [], "jpeg_quality": []}
        for row in labels_csv.read(laplace / "asked.csv").rows:
            estimates = {e.name: e.value for e in model.estimate(images.read(row.path)).planes[-1].parameters}
            for name, values in found.items():
                value = estimates.get(name)
                values.append(math.nan if value is None else value)
        return {name: np.array(values) for name, values in found.items()}

    return ask


def labels(path: Path) -> dict[str, np.ndarray]:
    table = labels_csv.read(path)
    return {name: np.array([float(row.values[name]) for row in table.rows]) for name in table.names}


def learn(table: LabelTable, estimator: Estimator, **options) -> Finetuned:
    return finetune.run([of_files("labels", "labels.csv", table)], FinetuneOptions(**options), estimator, quiet)


def shuffled(table: LabelTable) -> LabelTable:
    order = np.random.default_rng(1).permutation(len(table.rows))
    rows = tuple(replace(row, values=table.rows[i].values) for row, i in zip(table.rows, order, strict=True))
    return replace(table, rows=rows)


@pytest.fixture(scope="module")
def written(laplace: Path, tmp_path_factory) -> tuple[Path, dict]:
    """The checkpoint that the command makes of the 125 pictures, and what it says of it."""
    path = tmp_path_factory.mktemp("tuned") / "mine.safetensors"
    done = invoke("finetune", "--labels", laplace / "learned.csv", "--shots", SHOTS, "-o", path, "--json")
    assert done.exit_code == 0, done.stderr
    return path, json.loads(done.stdout)


class TestUnseenLaw:
    def test_it_beats_zero_shot_and_the_mean_on_scenes_of_other_kinds(self, written, laplace, asked) -> None:
        truth, shots = labels(laplace / "asked.csv"), labels(laplace / "learned.csv")
        after, before = asked(written[0]), asked(None)
        for name, scale in (("read_noise", np.log10), ("jpeg_quality", np.asarray)):
            mean = scale(shots[name]).mean()
            rmse = np.sqrt(np.square(scale(after[name]) - scale(truth[name])).mean())
            rivals = [np.sqrt(np.square(mean - scale(truth[name])).mean())]
            if not np.isnan(before[name]).all():
                filled = np.nan_to_num(scale(before[name]), nan=mean)
                rivals.append(np.sqrt(np.square(filled - scale(truth[name])).mean()))
            assert rmse < 0.8 * min(rivals), name
        assert np.isnan(before["jpeg_quality"]).all()

    def test_what_the_command_says(self, written) -> None:
        _, said = written
        assert said["shots"] == SHOTS
        assert said["how"] == "held out"
        assert said["judged"] == LEARNED - SHOTS == len(said["judged_paths"])
        verdicts = {v["name"]: v for v in said["verdicts"]}
        assert verdicts["read_noise"]["better"]
        assert verdicts["read_noise"]["scale"] == "log"
        assert verdicts["jpeg_quality"]["better"]
        assert verdicts["jpeg_quality"]["rmse_before"] is None
        assert 0.6 < verdicts["jpeg_quality"]["coverage_after"] <= 1

    def test_the_report_holds_the_new_names(self, written, laplace) -> None:
        picture = laplace / "asked0.jpg"
        done = invoke("estimate", picture, "--checkpoint", written[0], "--json")
        assert done.exit_code == 0, done.stderr
        document = json.loads(done.stdout)
        schema = json.loads((Path(reports.__file__).parent / "report.schema.json").read_text("utf-8"))
        jsonschema.validate(document, schema)
        own = {p["name"]: p for p in document["images"][0]["planes"][-1]["parameters"]}
        assert own["jpeg_quality"]["low"] < own["jpeg_quality"]["value"] < own["jpeg_quality"]["high"]
        assert own["read_noise"]["unit"] == "normalised"
        assert "shot_gain" in own
        table = invoke("estimate", picture, "--checkpoint", written[0]).stdout
        assert "jpeg quality" in table
        rows = list(
            csv.DictReader(io.StringIO(invoke("estimate", picture, "--checkpoint", written[0], "--csv").stdout))
        )
        assert [p["name"] for p in json.loads(rows[-1]["own_parameters"])] == ["jpeg_quality"]

    def test_the_header_says_what_it_was_tuned_on(self, written) -> None:
        header = store.read(written[0]).header
        assert header["tuned_on"] == [{"route": "labels", "name": "learned.csv"}]
        assert header["names"] == ["read_noise", "jpeg_quality"]
        assert header["shots"] == SHOTS

    def test_twice_gives_the_same_bytes(self, written, laplace, tmp_path) -> None:
        again = tmp_path / "again.safetensors"
        assert invoke("finetune", "--labels", laplace / "learned.csv", "-o", again).exit_code == 0
        assert again.read_bytes() == written[0].read_bytes()

    def test_a_damaged_head_is_refused(self, written) -> None:
        found = store.read(written[0])
        less = {key: t for key, t in found.tensors.items() if key != "own.inputs"}
        with pytest.raises(CheckpointError, match="does not match"):
            tuned.load(replace(found, tensors=less))
        with pytest.raises(CheckpointError, match="other parameters"):
            tuned.load(replace(found, header={**found.header, "names": ["x", "y"]}))

    def test_shuffled_labels_are_refused_and_nothing_is_written(self, laplace, tmp_path) -> None:
        table = shuffled(labels_csv.read(laplace / "learned.csv"))
        wrong = laplace / "shuffled.csv"
        lines = [f"{r.path.name},{r.values['read_noise']},{r.values['jpeg_quality']}" for r in table.rows]
        wrong.write_text("\n".join(["path,read_noise,jpeg_quality", *lines]) + "\n")
        output = tmp_path / "mine.safetensors"
        done = invoke("finetune", "--labels", wrong, "-o", output)
        assert done.exit_code == 1
        assert "not shown to be better" in done.stderr
        assert done.stderr.count("\n") == 1
        assert list(tmp_path.iterdir()) == []


def noise(kind: str, shape: tuple[int, int], rng: np.random.Generator, clean: np.ndarray) -> np.ndarray:
    """Five kinds of about the same strength."""
    if kind == "quantised":
        return np.floor(clean / 0.15 + rng.random(shape)) * 0.15
    if kind == "salt":
        return np.where(rng.random(shape) < 0.03, 1.0, clean)
    if kind == "poisson":
        return rng.poisson(clean * 40) / 40
    if kind == "blotchy":
        fine = rng.standard_normal((shape[0] + 2, shape[1] + 2))
        return clean + 0.07 / 3 * sum(fine[i : i + shape[0], j : j + shape[1]] for i in range(3) for j in range(3))
    return clean + 0.07 * rng.standard_normal(shape)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("kinds")
    rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(5)
    rows = ["path,noise_type"]
    for i, clean in enumerate(scenes.make(SHOTS + ASKED, 96, generator, kinds=("photo",)).numpy()):
        kind = NOISES[i % len(NOISES)]
        noisy = noise(kind, clean.shape, rng, clean.astype(np.float64)).clip(0, 1)
        Image.fromarray((noisy * 65535).round().astype(np.uint16)).save(root / f"{i}.png")
        rows.append(f"{i}.png,{kind}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


class TestClasses:
    def test_five_noises_from_100_shots(self, kinds, tmp_path) -> None:
        output = tmp_path / "kinds.safetensors"
        done = invoke("finetune", "--labels", kinds / "labels.csv", "-o", output, "--json")
        assert done.exit_code == 0, done.stderr
        (verdict,) = json.loads(done.stdout)["verdicts"]
        assert verdict["scale"] == "class"
        assert verdict["judged"] == ASKED
        assert verdict["rmse_after"] <= 0.05  # 95 % right
        found = json.loads(invoke("estimate", kinds / "0.png", "--checkpoint", output, "--json").stdout)
        (own,) = [p for p in found["images"][0]["planes"][-1]["parameters"] if p["name"] == "noise_type"]
        assert own["value"] == "gaussian"
        assert own["low"] is None
        assert 0.2 < own["present"] <= 1
        assert "gaussian" in invoke("estimate", kinds / "0.png", "--checkpoint", output).stdout


def test_the_command_line_alone(tmp_path: Path) -> None:
    """simulate -> CSV -> finetune -> estimate: the same figure as finetune states, from the reports."""
    rng, rows, truth = np.random.default_rng(4), ["path,full_well[e-]"], {}
    for i in range(60):
        electrons = 10 ** rng.uniform(1.5, 3.5)
        file = tmp_path / f"{i}.tif"
        done = invoke(
            *("simulate", "--scene", "photo", "--size", "96x96", "--shot-gain", 1 / electrons, "--seed", i, "-o", file)
        )
        assert done.exit_code == 0, done.stderr
        rows.append(f"{file.name},{electrons:.6g}")
        truth[str(file)] = electrons
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    output = tmp_path / "mine.safetensors"
    done = invoke("finetune", "--labels", tmp_path / "labels.csv", "--shots", 40, "-o", output, "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    report = json.loads(invoke("estimate", *said["judged_paths"], "--checkpoint", output, "--json").stdout)
    errors = []
    for image in report["images"]:
        (own,) = [p for p in image["planes"][-1]["parameters"] if p["name"] == "full_well"]
        assert own["unit"] == "e-"
        errors.append(math.log10(own["value"] / truth[image["path"]]))
    rmse = math.sqrt(sum(error**2 for error in errors) / len(errors))
    assert rmse == pytest.approx(said["verdicts"][0]["rmse_after"], rel=0.05)


class TestJudging:
    """On points instead of pictures."""

    @pytest.fixture
    def points(self, monkeypatch) -> Callable[..., LabelTable]:
        def shot(load, row, estimator, known, encoder, *, full):
            x = torch.tensor([[float(part) for part in row.path.name.split("_")]], dtype=torch.float64)
            names = ("embedding", "levels", "evidence", "blocks", "places", "seen")
            return Shot(row, {name: x.repeat(1, 2) if name == "seen" else x for name in names}, {})

        monkeypatch.setattr(shots_module, "describe", shot)

        def table(n: int, groups: int, *, noise_: float = 0.1, seed: int = 0) -> LabelTable:
            rng = np.random.default_rng(seed)
            x = rng.standard_normal((n, 3))
            rows = tuple(
                LabelRow(Path("_".join(f"{v:.6f}" for v in p)), {"y": float(p[0] + noise_ * e)}, f"g{i % groups}", i)
                for i, (p, e) in enumerate(zip(x, rng.standard_normal(n), strict=True))
            )
            return LabelTable(("y",), {"y": ""}, rows)

        return table

    def test_few_labels_are_judged_in_folds_of_acquisitions(self, points, estimator) -> None:
        made = learn(points(40, 8), estimator).result
        assert made.how == "5 folds"
        assert made.judged == made.shots == 40
        assert made.verdicts[0].rmse_after < 0.3

    def test_no_acquisition_is_on_both_sides(self, points, estimator) -> None:
        table = points(60, 7)
        strong = np.ones(60, dtype=bool)
        for shots in (20, 100):
            split = choose(table.rows, strong, FinetuneOptions(shots=shots))
            for learned, judged in split.parts:
                assert not {table.rows[i].group for i in learned} & {table.rows[i].group for i in judged}
            assert len(split.learn) <= shots

    def test_bursts_share_the_shots(self, points) -> None:
        table = points(400, 20)
        split = choose(table.rows, np.ones(400, dtype=bool), FinetuneOptions(shots=100))
        learned = [table.rows[i].group for i in split.learn]
        assert len(learned) == 100
        assert {learned.count(group) for group in learned} <= {6, 7}
        ((_, judged),) = split.parts
        assert len({table.rows[i].group for i in judged}) == 4

    def test_one_acquisition_cannot_judge_itself(self, points, estimator) -> None:
        with pytest.raises(UsageError, match="one acquisition"):
            learn(points(30, 1), estimator)

    def test_weak_labels_do_not_judge(self, points, estimator) -> None:
        weak = replace(points(40, 40), weak=True)
        with pytest.raises(UsageError, match="cannot judge"):
            learn(weak, estimator)
        strong = points(30, 30, seed=1)
        sources = [Labelled(t, lambda row: images.read(row.path), {}) for t in (weak, strong)]
        made = finetune.run(sources, FinetuneOptions(), estimator, quiet).result
        assert made.shots == 70
        assert made.judged == 30

    def test_shuffled_labels_are_refused_nine_times_in_ten(self, points, estimator) -> None:
        refused = 0
        for seed in range(10):
            table = shuffled(points(40, 40, seed=seed))
            try:
                learn(table, estimator)
            except NoBetterError:
                refused += 1
        assert refused >= 9

    def test_a_plot_and_a_table(self, points, estimator, tmp_path) -> None:
        result = learn(points(80, 80), estimator, shots=50, learning_curve=True).result
        assert [p.shots for p in result.curve] == [10, 25, 50]
        assert result.curve[-1].rmse_share < 0.5
        with replacing(tmp_path / "curve.png") as part:
            finetune_plots.draw_curve(result, part)
        assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
        assert finetune_report.dumps_csv(result).startswith("name,unit,scale,learned")


def test_clean_pictures_of_the_users_own(tmp_path: Path, estimator: Estimator) -> None:
    for i, scene in enumerate(scenes.make(6, 64, torch.Generator().manual_seed(0)).numpy()):
        Image.fromarray((scene * 255).round().astype(np.uint8)).save(tmp_path / f"{i}.png")
    for genome, name in (("paper", "gaussian"), ("sensor", "shot_gain")):
        made = from_clean(tmp_path, genome, count=20, seed=1)
        assert len(made.table.rows) == 20
        assert len({row.group for row in made.table.rows}) == 6
        assert any(name in row.values for row in made.table.rows)
        again = from_clean(tmp_path, genome, count=20, seed=1)
        assert [row.values for row in again.table.rows] == [row.values for row in made.table.rows]
        row = made.table.rows[7]
        assert (made.load(row).planes[0].load() == again.load(again.table.rows[7]).planes[0].load()).all()
        assert made.source["genome"] == genome


def test_the_encoder_tuned_too(tmp_path: Path, estimator: Estimator) -> None:
    """Few steps: that it runs, is written, loads, and reads what the tuned encoder says."""
    rng, generator = np.random.default_rng(2), torch.Generator().manual_seed(9)
    rows = ["path,grain"]
    for i, clean in enumerate(scenes.make(30, 64, generator).numpy()):
        strength = 10 ** rng.uniform(-2, -1)
        np.save(tmp_path / f"{i}.npy", (clean + strength * rng.standard_normal(clean.shape)).clip(0, 1).astype("f4"))
        rows.append(f"{i}.npy,{strength:.5g}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    tuning = replace(FinetuneOptions().tuning, steps=3, batch=4)
    source = of_files("labels", "labels.csv", labels_csv.read(tmp_path / "labels.csv"))
    made = finetune.run([source], FinetuneOptions(full=True, tuning=tuning), estimator, quiet)
    finetune.save(made, [source], estimator, tmp_path / "full.safetensors")
    loaded = Estimator(tmp_path / "full.safetensors", "cpu")
    assert loaded.own is not None
    assert loaded.own.encoder is not None
    changed = [
        not torch.equal(a, b)
        for a, b in zip(loaded.own.encoder.parameters(), loaded.model.encoder.parameters(), strict=True)
    ]
    assert any(changed)
    estimate = loaded.estimate(images.read(tmp_path / "0.npy"))["grain"]
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.low <= estimate.value


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--clean", "."], "--clean and --genome go together"),
        ([], "no labels"),
        (["--labels", "none.csv"], "no such file"),
        (["--labels", "none.csv", "--csv", "--json"], "exclude each other"),
    ],
)
def test_usage(tmp_path: Path, monkeypatch, arguments: list[str], reason: str) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke("finetune", "-o", "x.safetensors", *arguments)
    assert done.exit_code == 2
    assert reason in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_is_asked_for(tmp_path: Path) -> None:
    for i, clean in enumerate(scenes.make(2, 64, torch.Generator().manual_seed(12)).numpy()):
        Image.fromarray((clean * 255).round().astype(np.uint8)).save(tmp_path / f"{i}.png")
    arguments = ["--clean", tmp_path, "--genome", "paper", "-o", tmp_path / "x.safetensors", "--encoder"]
    assert "no --encoder" in invoke("finetune", *arguments, "paper-encoder", "--full").stderr
    unknown = invoke("finetune", *arguments, "paper")
    assert unknown.exit_code == 2
    assert "none of ours: encoder, paper-encoder" in unknown.stderr


STRENGTHS = ("a", "b", "c", "d", "e", "f")  # nothing that tells what they are


@pytest.fixture(scope="module")
def strengths(tmp_path_factory) -> Path:
    """45 pictures of 16 bits under the genome `paper`, with their strengths under plain names, and 15 to be asked."""
    root = tmp_path_factory.mktemp("strengths")
    generator = torch.Generator().manual_seed(12)
    clean = scenes.make(60, 128, generator)
    drawn = paper.sample(len(clean), generator)
    noisy = paper.corrupt(clean, drawn, generator).numpy()
    rows = [",".join(("path", *STRENGTHS))]
    for i, (picture, strength) in enumerate(zip(noisy, drawn.tolist(), strict=True)):
        Image.fromarray((picture * 65535).round().astype(np.uint16)).save(root / f"{i}.png")
        rows.append(",".join([f"{i}.png", *(f"{value:.4f}" for value in strength)]))
    (root / "labels.csv").write_text("\n".join(rows[:46]) + "\n")
    (root / "asked.csv").write_text("\n".join([rows[0], *rows[46:]]) + "\n")
    Image.fromarray((noisy[-1] * 255).round().astype(np.uint8)).save(root / "coarse.png")
    return root


@pytest.fixture(scope="module")
def made(strengths, tmp_path_factory) -> tuple[Path, dict]:
    """The checkpoint that the command makes of these labels, and what it says of it."""
    output = tmp_path_factory.mktemp("head") / "strengths.safetensors"
    done = invoke("finetune", "--labels", strengths / "labels.csv", "-o", output, "--json")
    assert done.exit_code == 0, done.stderr
    return output, json.loads(done.stdout)


class TestStrengths:
    """Fractions that sum to 1, by the book: plain headers, no option."""

    def test_the_encoder_of_near_genomes_is_chosen_and_travels_with_the_head(self, made) -> None:
        output, said = made
        loaded = Estimator(output, "cpu")
        assert loaded.own is not None
        assert loaded.own.encoder is not None
        assert isinstance(loaded.own.encoder, NearEncoder)
        for verdict in said["verdicts"]:
            assert verdict["part"]
            assert verdict["scale"] == "linear"
            assert not verdict["better"] or "places" in verdict["reads"]
        kept = {v["name"]: v["reads"] for v in said["verdicts"] if v["better"]}
        stored = store.read(output).header["reads"]
        assert {name: entry["inputs"] for name, entry in stored.items()} == kept
        assert said["pooled_r2"] > 0.5
        assert said["kinds"] == ["gray, more than 8 bits"]

    def test_estimates_are_parts_of_a_whole_and_as_good_as_it_says(self, made, strengths) -> None:
        output, _ = made
        estimator, truth = Estimator(output, "cpu"), labels(strengths / "asked.csv")
        errors, mean = [], labels(strengths / "labels.csv")
        for number, row in enumerate(labels_csv.read(strengths / "asked.csv").rows):
            footprint = estimator.estimate(images.read(row.path))
            own = {e.name: e for e in footprint.planes[-1].parameters if e.name in STRENGTHS}
            values = [own[name].value for name in own]
            assert all(0 <= own[name].low <= own[name].value <= own[name].high <= 1 for name in own)
            assert sum(values) == pytest.approx(1) if len(own) == len(STRENGTHS) else sum(values) <= 1 + 1e-9
            said_of = [own[name].value if name in own else mean[name].mean() for name in STRENGTHS]
            errors.append([value - truth[name][number] for name, value in zip(STRENGTHS, said_of, strict=True)])
            assert not any("another kind" in warning for warning in footprint.warnings)
        spread = np.concatenate([truth[name] - mean[name].mean() for name in STRENGTHS])
        assert 1 - np.square(errors).mean() / np.square(spread).mean() > 0.5

    def test_numpy_reads_the_head_as_torch_does(self, made, strengths) -> None:
        arguments = ["estimate", str(strengths / "50.png"), "--checkpoint", str(made[0]), "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "noisediag", *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "NOISEDIAG_ENGINE": "numpy"},
        )
        by_numpy, by_torch = (json.loads(text) for text in (done.stdout, invoke(*arguments).stdout))
        own, other = (
            {p["name"]: p["value"] for p in said["images"][0]["planes"][-1]["parameters"] if p["name"] in STRENGTHS}
            for said in (by_numpy, by_torch)
        )
        assert own
        assert own == pytest.approx(other, abs=1e-4)

    def test_a_file_of_another_kind_is_told(self, made, strengths) -> None:
        warnings = Estimator(made[0], "cpu").estimate(images.read(strengths / "coarse.png")).warnings
        (told,) = [warning for warning in warnings if "another kind" in warning]
        assert "gray, 8 bits or fewer" in told
        assert "gray, more than 8 bits" in told

    def test_the_table_says_what_was_chosen(self, made, strengths, tmp_path) -> None:
        done = invoke("finetune", "--labels", strengths / "labels.csv", "-o", tmp_path / "again.safetensors")
        assert "chosen by evidence on the shots" in done.stdout
        assert "places among near genomes" in " ".join(done.stdout.split())
        assert (tmp_path / "again.safetensors").read_bytes() == made[0].read_bytes()
