"""`noisediag benchmark` on the command line, with a stand-in for the model."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from noisediag.benchmark import cost, limit, running, speed
from noisediag.benchmark.rendered import cases as rendered_cases
from noisediag.cli import app
from noisediag.footprint.plane import VarianceLaw


@pytest.fixture
def model(make_plane, make_footprint, monkeypatch):
    """An estimator that finds sigma 0.02 everywhere, in the place of the shipped one."""

    class Model:
        checkpoint = make_footprint().checkpoint

        def estimate(self, image):
            law = VarianceLaw(shot=0.0, intercept=4e-4, square=0.0, floor=0.0)
            return make_footprint(planes=(make_plane(law=law),))

    monkeypatch.setattr(running.ShippedModels, "__call__", lambda self: {"noisediag": Model()})


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A folder of one real file, 5 DN of noise in 8 bits, and its truth."""
    codes = 128 + 5 * np.random.default_rng(0).standard_normal((64, 64))
    (tmp_path / "cam").mkdir()
    Image.fromarray(np.rint(codes).astype(np.uint8)).save(tmp_path / "cam" / "a.png")
    level = {"frames": ["a.png"], "mean_dn": 128, "temporal_var": 25, "fixed_pattern_var": 0}
    truth = {"sets": {"cam": {"bit_depth": 8, "black_dn": 0, "levels": [level]}}}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    return tmp_path


def invoke(*arguments: str):
    return CliRunner().invoke(app, ["benchmark", *arguments])


@pytest.mark.usefixtures("model")
def test_limit(monkeypatch, tmp_path: Path) -> None:
    seen = []
    run = limit.run

    def small(options, **kwargs):
        seen.append(options)
        return run(limit.LimitOptions(draws=2, sizes_px=(32,), large_px=None, baselines=False), **kwargs)

    monkeypatch.setattr(limit, "run", small)
    assert invoke("limit").exit_code == 0
    assert seen[0].draws == 200
    outcome = invoke("limit", "--draws", "3", "--no-baselines", "--csv", "-o", str(tmp_path / "x.json"))
    assert (outcome.exit_code, seen[1].draws, seen[1].baselines) == (0, 3, False)
    assert len(list(csv.DictReader(io.StringIO(outcome.stdout)))) == 2 * len(limit.NOISES)
    assert json.loads((tmp_path / "x.json").read_text())["schema"] == "noisediag.limit/1"
    refused = invoke("limit", "-o", str(tmp_path / "x.json"))
    assert refused.exit_code == 2
    assert "--force" in refused.stderr


@pytest.mark.usefixtures("model")
def test_real_with_all_some_and_no_files_read(real: Path) -> None:
    outcome = invoke("real", str(real), "--json")
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    document = json.loads(outcome.stdout)
    assert document["readings"][0]["ratio"] == pytest.approx(0.02 * 255 / 5, rel=1e-5)
    truth = json.loads((real / "truth.json").read_text())
    truth["sets"]["cam"]["levels"][0]["frames"].append("gone.png")
    (real / "truth.json").write_text(json.dumps(truth))
    some = invoke("real", str(real), "--no-baselines")
    assert some.exit_code == 3
    assert "gone.png: no such file" in some.stdout
    (real / "cam" / "a.png").write_bytes(b"")
    none = invoke("real", str(real), "--no-baselines")
    assert none.exit_code == 4
    assert "Traceback" not in none.output


@pytest.mark.usefixtures("model")
def test_speed(monkeypatch) -> None:
    monkeypatch.setattr(speed.SpeedOptions, "__init__", _small_formats(speed.SpeedOptions.__init__))
    outcome = invoke("speed", "--json")
    assert outcome.exit_code == 0
    assert {row["height_px"] for row in json.loads(outcome.stdout)["rows"]} == {64}


@pytest.mark.usefixtures("model")
def test_cost_and_its_plot(monkeypatch, tmp_path: Path) -> None:
    small = cost.CostOptions(formats=(speed.Format(64, 64, 1),), files=(1, 2))
    monkeypatch.setattr(cost, "CostOptions", lambda **fields: small)
    monkeypatch.setattr(cost, "run_batch", lambda paths, checkpoint: None)
    path = tmp_path / "cost.png"
    outcome = invoke("cost", "--plot", str(path), "--csv")
    assert outcome.exit_code == 0, outcome.output
    assert [row["what"] for row in csv.DictReader(io.StringIO(outcome.stdout))] == ["PNG", "RAW", "batch", "batch"]
    assert path.exists()
    assert "--force" in invoke("cost", "--plot", str(path)).stderr


def _small_formats(init):
    return lambda self, **fields: init(
        self, **fields, formats=(speed.Format(64, 64, 1),), both_engines=False, cold_repeats=0
    )


@pytest.mark.usefixtures("model")
def test_sheet_beside_the_sets(tmp_path: Path) -> None:
    (tmp_path / "data" / "drawn").mkdir(parents=True)
    for number in (1, 3):
        ramp = np.linspace(60, 200, 64, dtype=np.uint8)[None].repeat(64, axis=0)
        Image.fromarray(ramp).save(tmp_path / "data" / "drawn" / f"{number}.png")
    path = tmp_path / "worst.png"
    data = ("sets", "--data", str(tmp_path / "data"), "--sets", "gaussian", "--draws", "1", "--no-baselines")
    outcome = invoke(*data, "--sheet", str(path), "--json")
    assert outcome.exit_code == 0, outcome.output
    json.loads(outcome.stdout)
    with Image.open(path) as sheet:
        assert sheet.width > 1000
    refused = invoke(*data, "--sheet", str(path))
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert invoke(*data, "--sheet", str(path), "--force").exit_code == 0


def test_rendered(monkeypatch, make_plane, make_footprint, tmp_path: Path) -> None:
    class Model:
        def estimate(self, image):
            assert image.domain == "rendered"
            return make_footprint(planes=tuple(make_plane(name) for name in ("R", "G", "B", "luma")), domain="rendered")

    monkeypatch.setattr(running.ShippedModels, "__call__", lambda self: {"noisediag": Model()})
    monkeypatch.setattr(rendered_cases, "PICTURE_PX", 40)
    monkeypatch.setattr(rendered_cases, "TRUTH_DRAWS", 4)
    (tmp_path / "drawn").mkdir()
    ramp = np.linspace(60, 200, 64, dtype=np.uint8)[None].repeat(64, axis=0)
    for number in (1, 2):
        Image.fromarray(ramp).save(tmp_path / "drawn" / f"{number}.png")
    chosen = ("rendered", "--data", str(tmp_path), "--no-baselines")
    outcome = invoke(*chosen, "--draws", "2", "--json", "--sheet", str(tmp_path / "worst.png"))
    assert outcome.exit_code == 0, outcome.output
    document = json.loads(outcome.stdout)
    assert document["schema"] == "noisediag.rendered-benchmark/1"
    assert document["cases"] == 6 * 2  # groups, draws; one odd file
    with Image.open(tmp_path / "worst.png") as sheet:
        assert sheet.height > 256
    some = json.loads(invoke(*chosen, "--json", "--cameras", "phones; phones, new codec").stdout)
    assert list(some["groups"]) == ["phones", "phones, new codec"]
    assert some["cases"] == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("--limit", "--draws", "3"), "limit --draws 3"),
        (("--real", "x", "--no-baselines"), "real x --no-baselines"),
        (("--workers=2", "--real=x"), "real x --workers 2"),
        (("--speed",), "speed"),
        (("--cost", "--plot", "x.png"), "cost --plot x.png"),
        (("--few-shot", "--data", "d"), "few-shot --data d"),
        (("--genome", "rendered", "--data", "d"), "rendered --data d"),
        (("--genome", "paper", "--data", "d"), "sets --genome paper --data d"),
        (("--sets", "flat"), "sets --sets flat"),
    ],
)
def test_old_spellings_are_one_line_that_names_the_new_one(old: tuple[str, ...], new: str) -> None:
    outcome = invoke(*old)
    assert outcome.exit_code == 2
    assert outcome.stderr == f"noisediag: the benchmark has sub-commands now: noisediag benchmark {new}\n"
    assert outcome.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("real", "/nowhere"), "/nowhere/truth.json: no such file"),
        (("sets", "--sets", "flat", "--sheet", "x.jpg"), "must end in .png"),
        (("sets", "--sets", "flats"), "no benchmark set is called flats"),
        (("sets", "--data", "/nowhere"), "/nowhere: no such folder"),
        (("limit", "--json", "--csv"), "--json and --csv exclude each other"),
        (("few-shot", "--data", "/nowhere", "--resume"), "--resume goes on from a --journal"),
    ],
)
@pytest.mark.usefixtures("model")
def test_what_cannot_be_done_is_one_line_and_exit_code_2(arguments: tuple[str, ...], message: str) -> None:
    outcome = invoke(*arguments)
    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert outcome.stdout == ""


@pytest.mark.parametrize("command", ["sets", "rendered", "few-shot", "real", "limit", "speed", "cost"])
def test_each_has_a_help_of_its_own_without_loading_torch(command: str) -> None:
    code = (
        "import sys; from noisediag.cli import app; from typer.testing import CliRunner; "
        f"done = CliRunner().invoke(app, ['benchmark', '{command}', '--help']); "
        "assert done.exit_code == 0, done.output; assert 'torch' not in sys.modules; print(done.stdout)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"benchmark {command}" in shown
    assert ("--arms" in shown) == (command == "few-shot")
