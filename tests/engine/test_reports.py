"""One report, whichever engine computes; and everything but training without torch.

`python tests/engine/test_reports.py FOLDER...` compares the engines on all the files in folders, at full length.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

ROOT = Path(__file__).parents[2]
RELATIVE, ABSOLUTE = 1e-4, 1e-9
SHARES = {"present", "processed", "denoised", "upscaled", "probability", "lag1_h", "lag1_v", "channel_correlation"}
SHARES_ABSOLUTE = 1e-3

_REPORTS = """
import json, sys
from pathlib import Path
from noisediag import engine, images
from noisediag.errors import NoisediagError
from noisediag.estimator import Estimator
estimator, found = Estimator(device="cpu"), {}
for path in sys.argv[1:]:
    try:
        found[path] = estimator.estimate(images.read(Path(path))).to_dict()
    except NoisediagError as error:
        found[path] = str(error)
print(json.dumps({"engine": engine.name(), "torch": "torch" in sys.modules, "reports": found}))
"""


def run(code: str, *arguments: str, engine: str | None = None, **environment: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    env.pop("NOISEDIAG_ENGINE", None)
    if engine is not None:
        env["NOISEDIAG_ENGINE"] = engine
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def reports(paths: list[str], engine: str | None, **environment: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(_REPORTS, *paths, engine=engine, **environment))
    assert found["engine"] == (engine or "numpy")
    assert found["torch"] == (engine == "torch")
    reports_: dict[str, Any] = found["reports"]
    return reports_


def differences(first: Any, second: Any, place: str = "") -> Iterator[str]:
    """Where two reports are not one."""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        for key in first:
            yield from differences(first[key], second[key], f"{place}/{key}")
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for number, pair in enumerate(zip(first, second, strict=True)):
            yield from differences(*pair, f"{place}/{number}")
    elif isinstance(first, float) and isinstance(second, float):
        share = bool(SHARES & set(place.split("/")))
        allowed = SHARES_ABSOLUTE if share else ABSOLUTE + RELATIVE * max(abs(first), abs(second))
        if not math.isclose(first, second, rel_tol=0, abs_tol=allowed):
            yield f"{place}: {first!r}, {second!r}"
    elif first != second:
        yield f"{place}: {first!r}, {second!r}"


def _noisy(height: int, width: int, seed: int, low: float = 0.05, high: float = 0.9) -> Any:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    clean = low + (high - low) * x / width * (0.5 + 0.5 * np.sin(y / 17) ** 2)
    return clean + np.sqrt(1e-3 * np.maximum(clean, 0) + 25e-6) * rng.standard_normal((height, width))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")

    def tiff(name: str, values: Any, **how: Any) -> None:
        tifffile.imwrite(folder / name, np.rint(np.clip(values, 0, 1) * 65535).astype(np.uint16), **how)

    def rendered(name: str, values: Any, **how: Any) -> None:
        Image.fromarray(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)).save(folder / name, **how)

    colours = np.stack([_noisy(96, 104, seed) for seed in range(3)], -1)
    tiff("clipped.tif", _noisy(96, 112, 1, low=-0.1, high=1.2))
    tiff("flat.tif", np.full((64, 64), 0.3))
    tiff("smallest.tif", _noisy(16, 16, 2))
    tiff("coarse.tif", np.round(_noisy(96, 96, 3, 0.3, 0.4) * 60) / 60)
    impulses = _noisy(96, 96, 4)
    impulses.ravel()[::97] = 1.0
    tiff("impulses.tif", impulses)
    tiff("stack.tif", np.stack([_noisy(80, 80, seed) for seed in range(3)]), photometric="minisblack")
    rendered("gray.png", _noisy(96, 96, 5))
    rendered("colour.png", colours)
    rendered("gray_as_colour.png", np.repeat(_noisy(96, 96, 6)[..., None], 3, -1))
    rendered("colour.jpg", colours, quality=85)
    rendered("gray.jpg", _noisy(96, 120, 7), quality=60)
    few = np.zeros((96, 96))
    few[40:60, 30:50] = _noisy(20, 20, 10)
    tiff("few_blocks.tif", few)
    holes = _noisy(96, 96, 8).astype(np.float32)
    holes[np.random.default_rng(9).random(holes.shape) < 0.05] = np.nan
    np.save(folder / "holes.npy", holes)
    return [*map(str, sorted(folder.iterdir())), str(ROOT / "tests" / "data" / "sample.dng")]


def test_both_engines_give_the_same_report(pictures: list[str]) -> None:
    of_numpy, of_torch = reports(pictures, None), reports(pictures, "torch")
    found = {path: list(differences(of_numpy[path], of_torch[path])) for path in pictures}
    assert not any(found.values()), {path: lines[:5] for path, lines in found.items() if lines}
    assert sum(isinstance(report, dict) for report in of_numpy.values()) == len(pictures)


_PHASES = """
import json
import numpy as np
from noisediag.cop.rendered_tokens import phase_energies
from noisediag.engine import torch
found = []
for seed in range(8):
    one = np.random.default_rng(seed).integers(0, 256, (64, 64)).astype(np.float32)
    mirrored = one + one[::-1] + one[:, ::-1] + one[::-1, ::-1]
    found.append(phase_energies(torch.from_numpy(mirrored[None, None] / 1020))[0].tolist())
print(json.dumps(found))
"""


def test_the_last_bit_does_not_order_places_of_equal_noise() -> None:
    """A mirrored picture has the same noise at all four places of a 2 x 2 cell, but for the rounding of sums."""
    of_numpy, of_torch = (np.array(json.loads(run(_PHASES, engine=name))) for name in ("numpy", "torch"))
    np.testing.assert_allclose(of_numpy, of_torch, atol=1e-4)


_TOGETHER = """
import json, sys
from pathlib import Path
from noisediag import images
from noisediag.estimator import Estimator
estimator = Estimator(device="cpu")
read = [images.read(Path(path)) for path in sys.argv[1:]]
together = [found.to_dict() for found in estimator.estimate_together(read)]
print(json.dumps([[estimator.estimate(image).to_dict() for image in read], together]))
"""


def test_pictures_that_share_passes_read_as_they_do_alone(pictures: list[str]) -> None:
    chosen = [path for path in pictures if not path.endswith((".dng", "smallest.tif"))]
    alone, together = json.loads(run(_TOGETHER, *chosen))
    for path, one, other in zip(chosen, alone, together, strict=True):
        assert one == other, path


def test_the_number_of_threads_changes_no_bit(pictures: list[str]) -> None:
    few = [path for path in pictures if path.endswith(("colour.png", "clipped.tif"))]
    one = reports(few, None, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    many = reports(few, None, OMP_NUM_THREADS="4", OPENBLAS_NUM_THREADS="4")
    assert one == many


def test_a_difference_is_noticed() -> None:
    first = {"planes": [{"present": 0.5, "value": 1.0, "flag": None}]}
    assert not list(differences(first, {"planes": [{"present": 0.5009, "value": 1.00009, "flag": None}]}))
    for changed in ({"present": 0.502}, {"value": 1.0002}, {"flag": "clipped"}, {"value": None}):
        assert list(differences(first, {"planes": [{**first["planes"][0], **changed}]}))


_ABSENT = """
import sys
class Absent:  # as if it were not installed
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Absent())
import importlib.util
seen = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "torch" else seen(name, *rest)
"""
_WITHOUT_TORCH = """
import json, sys
from noisediag.batch import pool
pool._COMMAND = sys.argv[2] + pool._COMMAND
from typer.testing import CliRunner
from noisediag.cli import app
for line in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, line)
    print(json.dumps([done.exit_code, done.output[-300:], repr(done.exception)]))
from noisediag.benchmark.paper import PaperEstimator
import numpy as np
print(json.dumps(PaperEstimator().predict(np.random.default_rng(0).random((64, 64), np.float32)).tolist()))
"""


def test_everything_but_training_runs_without_torch(pictures: list[str], tmp_path: Path) -> None:
    by_name = {Path(path).name: path for path in pictures}
    sample, stack = by_name["sample.dng"], by_name["stack.tif"]
    table = tmp_path / "t.csv"
    lines = [
        ["estimate", sample, "--map", str(tmp_path / "map.tif"), "-o", str(table)],
        ["estimate", by_name["colour.jpg"], "--json"],
        ["report", str(table), "-o", str(tmp_path / "t.html")],
        ["check", sample, "--against-metadata"],
        ["profile", sample, "--to", "json"],
        ["advise", stack, "--target-snr", "20"],
        ["batch", str(Path(stack).parent), "-o", str(tmp_path / "rows.jsonl"), "--workers", "1"],
        ["measure", "--repeats", stack],
        ["verify", sample, "--profile", str(ROOT / "tests" / "data" / "sample.json")],
    ]
    needs = [["simulate", by_name["flat.tif"], "-o", str(tmp_path / "s.tif"), "--shot-gain", "1e-3"]]
    labels, head = ROOT / "tests" / "data" / "own_noise.csv", tmp_path / "own.safetensors"
    needs += [["finetune", "--labels", str(labels), "-o", str(head)]]
    *found, strengths = map(json.loads, run(_ABSENT + _WITHOUT_TORCH, json.dumps(lines + needs), _ABSENT).splitlines())
    for line, (code, said, error) in zip(lines, found, strict=False):
        assert code == (1 if line[0] == "verify" else 0), (line, said, error)  # a gate that this profile fails
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
    assert sorted(row["path"] for row in rows) == sorted(path for path in pictures if path != sample)
    assert {row["status"] for row in rows} == {"ok"}
    for line, (code, said, error) in zip(needs, found[len(lines) :], strict=True):
        assert (code, "torch, which is not installed" in said) == (2, True), (line, said, error)
    assert sum(strengths) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("from noisediag import engine; engine.name(); engine.use('torch')", "this needs torch"),
        ("from noisediag import engine; import noisediag.cop.models; import noisediag.training", "this needs torch"),
        ("from noisediag import engine; engine.use('jax')", "torch or numpy"),
    ],
)
def test_the_engine_is_chosen_once(code: str, said: str) -> None:
    text = f"from noisediag.errors import UsageError\ntry:\n    {code}\nexcept UsageError as error:\n    print(error)"
    assert said in run(text)


def test_an_unknown_engine_is_a_usage_error() -> None:
    env = {**os.environ, "NOISEDIAG_ENGINE": "abacus", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "noisediag", "estimate", str(ROOT / "tests" / "data" / "sample.dng")]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "abacus" in done.stderr


def test_training_computes_with_torch() -> None:
    code = "import noisediag.training; from noisediag import engine; from noisediag.cop import models; print(models.nn)"
    assert "torch/nn" in run(code).replace("\\", "/")


def test_what_an_installation_without_torch_needs_is_told() -> None:
    """The handbook's command names every dependency but torch."""
    declared = (ROOT / "pyproject.toml").read_text("utf-8").split("\ndependencies = [")[1].split("]")[0]
    wanted = set(re.findall(r'"([a-z0-9-]+)', declared)) - {"torch"}
    page = (ROOT / "noisediag" / "guide" / "install.md").read_text("utf-8")
    (line,) = [line for line in page.splitlines() if "pip install --no-deps" in line]
    assert set(line.rsplit("pip install", 1)[1].split()) == wanted


if __name__ == "__main__":
    everything = [str(p) for folder in sys.argv[1:] for p in sorted(Path(folder).rglob("*")) if p.is_file()]
    pair = reports(everything, "numpy"), reports(everything, "torch")
    for path in everything:
        for line in differences(pair[0][path], pair[1][path]):
            sys.stdout.write(f"{path}{line}\n")
