"""The routes of `finetune` to measured labels, end to end, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from typer.testing import CliRunner

from noisediag.cli import app
from noisediag.cop import checkpoint as store
from noisediag.genome import scenes
from noisediag.studies import simulate
from noisediag.studies.simulate import NoiseOptions, SimulateOptions

SIDE = 96


pytestmark = pytest.mark.usefixtures("quick_heads")


def learn(output: Path, *arguments: object):
    return CliRunner().invoke(app, ["finetune", "-o", str(output), "--json", *map(str, arguments)])


def jpeg(path: Path, clean: np.ndarray, sigma: float, rng: np.random.Generator) -> None:
    """Laplace noise under JPEG, which the shipped model does not know."""
    noisy = clean + rng.laplace(0, sigma / np.sqrt(2), clean.shape)
    Image.fromarray((noisy.clip(0, 1) * 255).round().astype(np.uint8)).save(path, quality=60)


def cleans(count: int) -> np.ndarray:
    generator = torch.Generator().manual_seed(0)
    return scenes.make(count, SIDE, generator, kinds=("photo", "leaves")).numpy() * 0.7 + 0.15


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Path:
    """A camera at 12 gains: folders `flats` and `darks`, two levels of two shots each, offset 1000 DN."""
    root, rng = tmp_path_factory.mktemp("settings"), np.random.default_rng(1)
    for number in range(12):
        electrons = 10 ** rng.uniform(2, 4)
        for kind, levels in (("flats", (0.2, 0.6)), ("darks", (0.0,))):
            folder = root / kind / f"gain{number}"
            folder.mkdir(parents=True)
            for level in levels:
                for shot in range(2):
                    light = rng.poisson(level * electrons, (64, 64)) / electrons + rng.normal(0, 0.003, (64, 64))
                    codes = (1000 + 60000 * light).round().clip(0, 65535).astype(np.uint16)
                    tifffile.imwrite(folder / f"{level}_{shot}.tif", codes)
    return root


def better(stdout: str, name: str) -> dict:
    said = json.loads(stdout)
    (verdict,) = [v for v in said["verdicts"] if v["name"] == name]
    assert verdict["better"]
    assert verdict["rmse_after"] < 0.6 * min(verdict["rmse_mean"], verdict["rmse_before"])
    return said


def test_repeats(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, clean in enumerate(cleans(12)):
        folder = tmp_path / "bursts" / str(number)
        folder.mkdir(parents=True)
        sigma = 10 ** rng.uniform(-2, -1)
        for frame in range(3):
            jpeg(folder / f"{frame}.jpg", clean, sigma, rng)
    (tmp_path / "bursts" / "11" / "1.jpg").write_bytes(b"no picture")
    output = tmp_path / "mine.safetensors"
    done = learn(output, "--repeats", tmp_path / "bursts")
    assert done.exit_code == 3, done.stderr  # written, but a burst could not be measured
    (failure,) = [line for line in done.stderr.splitlines() if "1.jpg" in line]
    assert "bursts/11" in failure
    said = better(done.stdout, "read_noise")
    assert (said["shots"], said["acquisitions"]) == (33, 11)
    assert store.read(output).header["tuned_on"] == [{"route": "repeats", "name": "bursts"}]


def test_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy, mean = tmp_path / "noisy", tmp_path / "clean"
    noisy.mkdir()
    mean.mkdir()
    for number, clean in enumerate(cleans(20)):
        jpeg(noisy / f"{number}.jpg", clean, 10 ** rng.uniform(-2, -1), rng)
        Image.fromarray((clean * 255).round().astype(np.uint8)).save(mean / f"{number}.png")
    done = learn(tmp_path / "mine.safetensors", "--pairs", noisy, mean)
    assert done.exit_code == 0, done.stderr
    said = better(done.stdout, "read_noise")
    assert said["shots"] == 20
    assert all(path.endswith(".jpg") for path in said["judged_paths"])


class TestFlats:
    def test_settings_in_folders_of_flats_and_darks(self, settings, tmp_path) -> None:
        output = tmp_path / "mine.safetensors"
        done = learn(output, "--flats", settings / "flats", "--darks", settings / "darks")
        assert done.exit_code == 0, done.stderr
        said = better(done.stdout, "shot_gain")
        assert (said["shots"], said["acquisitions"]) == (48, 12)
        assert all("/flats/" in path for path in said["judged_paths"])

    def test_metadata_teach_beside_them_and_never_judge(self, settings, tmp_path) -> None:
        dngs = tmp_path / "dngs"
        dngs.mkdir()
        for seed in range(3):
            noise = NoiseOptions(shot_gain=10.0 ** -(2 + seed), read_noise=0.003)
            clean = tmp_path / "clean.npy"
            np.save(clean, cleans(1)[0].astype(np.float32))
            simulate.run(SimulateOptions(dngs / f"{seed}.dng", clean=clean, noise=noise, seed=seed, bit_depth=14))
        (dngs / "notes.txt").write_text("x")
        output = tmp_path / "mine.safetensors"
        routes = ("--flats", settings / "flats", "--from-metadata", dngs)
        done = learn(output, *routes)
        assert done.exit_code == 0, done.stderr
        said = better(done.stdout, "shot_gain")
        assert said["shots"] == 51
        assert said["judged"] == 48
        assert not any(path.endswith(".dng") for path in said["judged_paths"])
        assert [source["route"] for source in store.read(output).header["tuned_on"]] == ["flats", "from-metadata"]

    def test_darks_of_every_setting(self, settings, tmp_path) -> None:
        (tmp_path / "darks").mkdir()
        (tmp_path / "darks" / "a.tif").write_bytes(b"")
        done = learn(tmp_path / "x.safetensors", "--flats", settings / "flats", "--darks", tmp_path / "darks")
        assert done.exit_code == 2
        assert "has no darks" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--repeats", "gone"], 4, "gone: no such file"),
        (["--repeats", "a.tif"], 4, "single picture"),
        (["--repeats", "empty"], 2, "holds no file"),
        (["--flats", "a.tif"], 2, "two shots or more"),
        (["--flats", "a.tif", "a.tif"], 4, "two levels of light"),
        (["--flats", "empty", "a.tif"], 2, "files, or a single folder"),
        (["--darks", "a.tif", "b.tif"], 2, "--darks go with --flats"),
        (["--pairs", "a.tif"], 2, "one NOISY and one CLEAN"),
        (["--pairs", "a.tif", "small.tif"], 4, "pairs are of one size"),
        (["--pairs", "two.tif", "two_mean.tif"], 4, "no label is the file's"),
        (["--from-metadata", "a.tif"], 2, "cannot judge"),
        (["--from-metadata", "a.tif", "--labels", "labels.csv"], 4, "states no NoiseProfile"),
        (["--from-metadata", "empty", "--labels", "labels.csv"], 2, "holds no file"),
        (["--labels", "labels.csv", "--clean", "pictures", "--genome", "paper"], 2, "no name in common"),
        (["--labels", "labels.csv", "--pairs", "b.tif", "mean.tif"], 2, "leave one out"),
    ],
)
def test_one_line_and_nothing_written(tmp_path: Path, monkeypatch, arguments, code: int, reason: str) -> None:
    monkeypatch.chdir(tmp_path)
    clean = cleans(1)[0]
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        codes = (rng.poisson(clean * 500) / 500 * 50000).clip(0, 65535)
        tifffile.imwrite(f"{name}.tif", codes.astype(np.uint16))
    tifffile.imwrite("small.tif", codes.astype(np.uint16)[:32, :32])
    tifffile.imwrite("mean.tif", (clean * 50000).astype(np.uint16))
    for name, one in (("two", codes), ("two_mean", clean * 50000)):
        channels = np.stack([one, one]).astype(np.uint16)
        tifffile.imwrite(f"{name}.tif", channels, imagej=True, metadata={"axes": "CYX"})
    Path("pictures").mkdir()
    Image.fromarray((clean * 255).astype(np.uint8)).save("pictures/a.png")
    Path("labels.csv").write_text("path,shot_gain\nb.tif,0.002\n")
    Path("empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    done = learn(Path("mine.safetensors"), *arguments)
    assert done.exit_code == code, done.stderr
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before
