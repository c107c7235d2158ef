"""`verify`: the true profile fits up to 0.2 of white an electron, half of it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from noisediag.cli import app
from noisediag.errors import UnreadableError, UsageError
from noisediag.studies import simulate
from noisediag.studies.camera import verify
from noisediag.studies.simulate import NoiseOptions, SimulateOptions

LEVELS = ("--black", "6000", "--white", "65535")


def write(path: Path, shot: float, *, scene: str = "leaves", frames: int = 1, read: float = 0.005) -> Path:
    noise = NoiseOptions(shot_gain=shot, read_noise=read)
    simulate.run(SimulateOptions(path, scene=scene, size=(320, 320), noise=noise, black_dn=6000, frames=frames, seed=3))
    return path


def run(*arguments: object):
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("shot", [1e-4, 1e-2, 0.05, 0.2])
def test_the_true_profile_fits_and_half_of_it_does_not(tmp_path, shot, frames):
    path = write(tmp_path / "a.tif", shot, frames=frames, scene="leaves" if frames > 1 else "gradient")
    right = run(path, "--profile", f"{shot},2.5e-5", *LEVELS, "--json")
    assert right.exit_code == 0, right.output
    report = json.loads(right.stdout)
    assert report["schema"] == "noisediag.verify/1"
    assert report["noise_from"] == ("repeats" if frames > 1 else "smooth blocks")
    (plane,) = report["planes"]
    assert len(plane["bins"]) == 10
    assert plane["outside"] <= 2
    wrong = run(path, "--profile", f"{shot / 2},1.25e-5", *LEVELS)
    assert wrong.exit_code == 1
    assert "does not fit" in wrong.stdout
    assert all(len(line) <= 80 for line in wrong.stdout.splitlines())


def test_a_picture_without_smooth_places_is_not_judged(tmp_path):
    result = run(write(tmp_path / "a.tif", 1e-4), "--profile", "1e-4,2.5e-5", *LEVELS)
    assert result.exit_code == 3
    assert "give repeats" in result.stderr


def test_a_folder_of_repeats_a_truth_a_file_and_a_plot(tmp_path):
    folder = tmp_path / "burst"
    folder.mkdir()
    stack = write(tmp_path / "a.tif", 0.01, frames=3)
    import tifffile

    for number, frame in enumerate(tifffile.imread(stack)):
        tifffile.imwrite(folder / f"{number}.tif", frame)
    profile = tmp_path / "a.tif.truth.json"
    result = run(
        *("--repeats", folder, "--profile", profile, *LEVELS),
        *("-o", tmp_path / "out.json", "--plot", tmp_path / "out.png"),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert json.loads((tmp_path / "out.json").read_text())["passes"]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_raw_colours_have_pairs_of_their_own(tmp_path):
    noise = NoiseOptions(shot_gain=1e-3, read_noise=0.004)
    path = tmp_path / "a.dng"
    simulate.run(SimulateOptions(path, scene="gradient", size=(512, 512), noise=noise, bit_depth=14, black_dn=512))
    result = run(path, "--profile", f"{path}.truth.json", "--json")
    assert result.exit_code == 0, result.output
    assert [plane["name"] for plane in json.loads(result.stdout)["planes"]] == ["R", "G1", "G2", "B"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("a.tif",), 2, "--profile"),
        (("--profile", "1e-3,0"), 2, "one of FILE"),
        (("a.tif", "--profile", "x"), 2, "S,O as in"),
        (("a.tif", "--profile", "-1,0"), 2, "from 0"),
        (("gone.tif", "--profile", "1e-3,0"), 3, "no such file"),
        (("a.tif", "--profile", "gone.json"), 3, "no such file"),
        (("a.tif", "--profile", "1e-3,0"), 3, "black and white"),
        (("a.tif", "--profile", "1e-3,0", "-o", "out.csv"), 2, ".json"),
    ],
)
def test_one_line_for_what_cannot_be_done(tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    import numpy as np
    import tifffile

    tifffile.imwrite("a.tif", np.zeros((64, 64), np.uint16))
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_profiles(tmp_path):
    assert verify.read_profile("1e-3,2e-6") == ((1e-3, 2e-6),)
    image = {"status": "ok", "derived": {"dng_noise_profile": [[1e-3, 0], [2e-3, 0], [3e-3, 0]]}}
    failed = {"status": "error"}
    report, lines = tmp_path / "a.json", tmp_path / "a.jsonl"
    report.write_text(json.dumps({"images": [failed, image]}))
    lines.write_text(json.dumps(failed) + "\n" + json.dumps(image) + "\n")
    assert verify.read_profile(str(report)) == verify.read_profile(str(lines)) == ((1e-3, 0), (2e-3, 0), (3e-3, 0))
    report.write_text(json.dumps({"images": [{"derived": {"dng_noise_profile": None}}]}))
    with pytest.raises(UnreadableError, match="states no noise profile"):
        verify.read_profile(str(report))
    with pytest.raises(UsageError):
        verify.read_profile("1,2,3")
