"""`measure`: the command, its report, and what it says of what it cannot measure."""

from __future__ import annotations

import csv
import io
import json
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from noisediag.cli import app
from noisediag.footprint.derived import noise_profile
from noisediag.images import from_array, read
from noisediag.labels import pairs, photon_transfer
from noisediag.labels.bursts import ReadOptions, from_stack
from noisediag.labels.footprints import describe
from noisediag.labels.photon_transfer import Shot
from noisediag.studies import simulate
from noisediag.studies.simulate import NoiseOptions, SimulateOptions

LEVELS = ("--black", "6000", "--white", "65535")
SCHEMA = json.loads((resources.files("noisediag.reports") / "report.schema.json").read_text("utf-8"))


def run(*arguments: object):
    return CliRunner().invoke(app, [*map(str, arguments)])


def write(path: Path, **changes: object) -> Path:
    noise = NoiseOptions(shot_gain=0.01, read_noise=0.01)
    options = {"scene": "leaves", "size": (192, 192), "noise": noise, "black_dn": 6000, "frames": 6, **changes}
    simulate.run(SimulateOptions(path, **options))  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("measure") / "stack.tif")


class TestReport:
    def test_json_is_the_report_schema_and_says_how(self, stack):
        result = run("measure", "--repeats", stack, *LEVELS, "--json")
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        jsonschema.validate(report, SCHEMA)
        assert report["checkpoint"] is None
        (image,) = report["images"]
        assert image["how"] == "measured"
        assert image["measurement"]["frames"] == 6
        found = {entry["name"]: entry for entry in image["planes"][-1]["parameters"]}
        assert found["shot_gain"]["value"] == pytest.approx(0.01, rel=0.03)

    def test_csv_table_and_file(self, stack, tmp_path):
        result = run("measure", "--repeats", stack, *LEVELS, "--csv")
        (row,) = csv.DictReader(io.StringIO(result.stdout))
        assert (row["how"], row["checkpoint_name"]) == ("measured", "")
        table = run("measure", "--repeats", stack, *LEVELS).stdout
        assert "measured by repeats, 6 of 6 frames" in table
        assert all(len(line) <= 80 for line in table.splitlines())
        output = tmp_path / "out.json"
        curve = tmp_path / "curve.png"
        written = run("measure", "--repeats", stack, *LEVELS, "-o", output, "--curve", curve)
        assert (written.exit_code, written.stdout) == (0, "")
        jsonschema.validate(json.loads(output.read_text()), SCHEMA)
        assert curve.read_bytes().startswith(b"\x89PNG")
        again = run("measure", "--repeats", stack, *LEVELS, "-o", output)
        assert again.exit_code == 2

    def test_a_measurement_can_be_simulated_anew_and_verified(self, stack, tmp_path):
        report = tmp_path / "out.json"
        run("measure", "--repeats", stack, *LEVELS, "-o", report)
        noise = simulate.read_noise_options(report)
        assert noise.shot_gain == pytest.approx(0.01, rel=0.03)
        assert noise.row_noise == 0
        assert run("verify", stack, "--profile", report, *LEVELS).exit_code == 0

    def test_estimate_of_a_stack_shows_both(self, stack):
        result = run("estimate", stack, *LEVELS, "--json")
        report = json.loads(result.stdout)
        jsonschema.validate(report, SCHEMA)
        (image,) = report["images"]
        assert "how" not in image
        assert image["measured"]["how"] == "measured"
        table = run("estimate", stack, *LEVELS).stdout
        assert "measured from 6 frames: shot gain" in table
        assert "estimated, and measured from 6 frames" in run("estimate", stack, *LEVELS, "--details").stdout
        assert "measured from 6 frames: shot gain" in table
        assert "estimated, and measured from 6 frames" in run("estimate", stack, *LEVELS, "--details").stdout
        assert all(len(line) <= 80 for line in table.splitlines())

    def test_estimate_of_what_is_no_repeats_says_so(self, tmp_path):
        path = write(tmp_path / "a.tif", drift_px=1.0, frames=3)
        result = run("estimate", path, *LEVELS, "--json")
        assert result.exit_code == 0
        assert "moves" in result.stderr
        (image,) = json.loads(result.stdout)["images"]
        assert "measured" not in image


class TestFolders:
    def test_frames_scenes_in_sub_folders_and_stacks(self, stack, tmp_path):
        frames = tifffile.imread(stack)
        for name in ("one", "two"):
            (tmp_path / "bursts" / name).mkdir(parents=True)
            for number, frame in enumerate(frames):
                tifffile.imwrite(tmp_path / "bursts" / name / f"f{number}.tif", frame)
        (tmp_path / "bursts" / "two" / "notes.txt").write_text("x")
        (tmp_path / "bursts" / "two" / "f2.tif").write_bytes(b"II*\0 no picture")
        result = run("measure", "--repeats", tmp_path / "bursts", *LEVELS, "--json")
        assert result.exit_code == 3
        first, second = json.loads(result.stdout)["images"]
        assert (first["status"], second["status"]) == ("ok", "error")
        assert len(first["measurement"]["files"]) == 6
        assert "f2.tif" in second["error"]["message"]
        for name in ("a.tif", "b.tif"):
            (tmp_path / "stacks").mkdir(exist_ok=True)
            (tmp_path / "stacks" / name).write_bytes(stack.read_bytes())
        images = json.loads(run("measure", "--repeats", tmp_path / "stacks", *LEVELS, "--json").stdout)["images"]
        assert [Path(image["path"]).name for image in images] == ["a.tif", "b.tif"]

    def test_a_burst_of_raw_files_has_its_colours_and_all(self, tmp_path):
        noise = NoiseOptions(shot_gain=1e-3, read_noise=0.004)
        for seed in range(3):
            path = tmp_path / f"{seed}.dng"
            tifffile.imwrite(tmp_path / "clean.tif", np.tile(np.linspace(0, 1, 256, dtype=np.float32), (256, 1)))
            simulate.run(
                SimulateOptions(path, clean=tmp_path / "clean.tif", noise=noise, seed=seed, black_dn=512, bit_depth=14)
            )
        (tmp_path / "clean.tif").unlink()
        (image,) = json.loads(run("measure", "--repeats", tmp_path, "--json").stdout)["images"]
        assert [plane["name"] for plane in image["planes"]] == ["R", "G1", "G2", "B", "all"]
        (pair, *_) = image["derived"]["dng_noise_profile"]
        assert pair[0] == pytest.approx(1e-3, rel=0.05)
        shot = {entry["name"]: entry for entry in image["planes"][-1]["parameters"]}["shot_gain"]
        assert shot["value"] == pytest.approx(1e-3, rel=0.03)


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            ((), 2, "one of --repeats"),
            (("--darks", "a.tif", "a.tif"), 2, "--darks go with --flats"),
            (("--repeats", "gone"), 4, "no such file"),
            (("--repeats", "empty"), 2, "holds no file"),
            (("--repeats", "a.tif"), 4, "single picture"),
            (("--repeats", "a.tif", "--darks", "a.tif"), 2, "--darks go with --flats"),
            (("--flats", "a.tif"), 2, "two shots or more"),
            (("--flats", "a.tif", "gone.tif"), 4, "gone.tif"),
            (("--pairs", "a.tif"), 2, "one NOISY and one CLEAN"),
            (("--pairs", "a.tif", "small.tif"), 4, "pairs are of one size"),
            (("--pairs", "a.tif", "empty"), 2, "two files or two folders"),
            (("--repeats", "a.tif", "-o", "out.txt"), 2, ".json or .csv"),
        ],
    )
    def test_one_line_and_nothing_written(self, tmp_path, monkeypatch, arguments, code, message):
        monkeypatch.chdir(tmp_path)
        generator = np.random.default_rng(0)
        tifffile.imwrite("a.tif", generator.integers(0, 999, (64, 64)).astype(np.uint16))
        tifffile.imwrite("small.tif", generator.integers(0, 999, (32, 32)).astype(np.uint16))
        Path("empty").mkdir()
        before = sorted(tmp_path.rglob("*"))
        result = run("measure", *arguments, *(() if "-o" in arguments else ("-o", "out.json")))
        assert result.exit_code == code, result.output
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def real(shared_data) -> Path:
    return shared_data / "real"


@pytest.fixture(scope="module")
def truths(real) -> dict:
    return json.loads((real / "truth.json").read_text("utf-8"))["sets"]


class TestRealFiles:
    @pytest.mark.parametrize("name", ["emva/ccd12_basler", "emva/sim12_hci"])
    def test_photon_transfer_of_cameras(self, real, truths, name):
        folder, truth = real / name / "images", truths[name]
        shots = [sorted(folder.glob(f"{kind}_[0-9]*.png")) for kind in "bd"]
        footprint = photon_transfer.from_files(*shots, ReadOptions(white=4095))
        assert footprint.derived.K.value == pytest.approx(truth["law"]["a"], rel=0.03)
        assert footprint["read_noise"].value_dn == pytest.approx(truth["dark_sigma"], rel=0.03)

    def test_flats_of_a_camera_that_subtracts_black(self, real, truths):
        """The stated slopes hold for single frames, with their fixed pattern; the temporal ones are 5 to 7 % lower."""
        files = sorted((real / "raw" / "d7000_imgnoiser").glob("crop_*.fit"))
        codes = [read(file).planes[0].load() for file in files]
        for (row, column), truth in zip(
            ((0, 0), (0, 1), (1, 0), (1, 1)), truths["raw/d7000_imgnoiser"]["per_plane"].values(), strict=True
        ):
            planes = [from_array(c[row::2, column::2].astype(np.uint16), black=0, white=16383).planes[0] for c in codes]
            found, plane, *_ = photon_transfer.measure([Shot(*one) for one in zip(files, planes, strict=True)], [])
            temporal = found.law.slope * 16383 / truth["a"]
            single = noise_profile([describe(found, plane, name="all")])[0] * 16383 / truth["a"]
            assert 0.92 < temporal < 1
            assert 0.92 < single < 1.11

    @pytest.mark.parametrize("name", ["010_0", "020_1", "031_2", "035_1", "fmd"])
    def test_pairs_of_micrographs(self, real, truths, name):
        folder = real / "micro" / "w2s_fmd"
        key = "Confocal_FISH_3_noisy" if name == "fmd" else f"input_avg1_{name}.tif"
        noisy = folder / "fmd" / f"{key}.png" if name == "fmd" else folder / "w2s" / key
        clean = noisy.with_name(noisy.name.replace("noisy", "avg50").replace("input_avg1", "target_avg400"))
        footprint = pairs.from_files(noisy, clean, ReadOptions())
        assert footprint.planes[-1].law.shot * 255 == pytest.approx(truths["micro/w2s_fmd"]["files"][key]["a"], rel=0.1)

    def test_frames_of_read_noise_show_no_gain(self, real):
        footprint = from_stack(read(real / "micro" / "pims" / "stuck.tif"))
        assert footprint["shot_gain"].value is None
