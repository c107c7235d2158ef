"""Real files: a small folder with a truth of its own, read by stand-ins whose answers are known."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from rich.console import Console

from noisediag.benchmark.baselines import BASELINES
from noisediag.benchmark.real import report
from noisediag.benchmark.real import run as real
from noisediag.benchmark.real.result import RealOptions
from noisediag.benchmark.real.truth import FILE, read_truth
from noisediag.errors import UsageError
from noisediag.footprint.plane import VarianceLaw

SHARED = Path(os.environ.get("NOISEDIAG_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "real"
OFF = 1.25
BLACK, WHITE = 100.0, 4095.0
A, B = 0.5, 6.0  # of the files with a line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One set of each kind; every picture 64 x 64 and in a sub-folder or not."""
    generator = np.random.default_rng(0)

    def noisy(signal, variance, dtype=np.uint16):
        x = signal + np.sqrt(variance) * generator.standard_normal((64, 64))
        return np.rint(np.clip(x, 0, np.iinfo(dtype).max)).astype(dtype)

    (tmp_path / "cam" / "flats" / "images").mkdir(parents=True)
    for name, mean, variance in (("b1", 1000, 400.0), ("d1", BLACK, 25.0)):
        Image.fromarray(noisy(mean, variance)).save(tmp_path / "cam" / "flats" / "images" / f"{name}.png")
    (tmp_path / "micro").mkdir()
    ramp = np.linspace(20, 200, 64)[None, :].repeat(64, axis=0)
    Image.fromarray(noisy(ramp, A * ramp + B, np.uint8)).save(tmp_path / "micro" / "cell_noisy.png")
    (tmp_path / "bayer").mkdir()
    mosaic = np.full((64, 64), 1000.0)
    mosaic[1::2, 1::2] = 3000
    mosaics = [noisy(mosaic, 0.4 * mosaic) for _ in range(2)]
    for number, codes in enumerate(mosaics):
        tifffile.imwrite(tmp_path / "bayer" / f"crop_{number}.tif", codes)
    tifffile.imwrite(tmp_path / "bayer" / "stack.tif", np.stack(mosaics), photometric="minisblack")
    (tmp_path / "dark").mkdir()
    tifffile.imwrite(
        tmp_path / "dark" / "stuck.tif", np.stack([noisy(500, 16) for _ in range(3)]), photometric="minisblack"
    )
    sets = {
        "cam/flats": {
            "bit_depth": 12,
            "dark_mean": BLACK,
            "kind": "flats",
            "levels": [
                {"frames": ["b1.png"], "mean_dn": 1000, "temporal_var": 390.0, "fixed_pattern_var": 10.0},
                {"frames": ["d1.png"], "mean_dn": BLACK, "temporal_var": 25.0, "fixed_pattern_var": 0},
            ],
        },
        "micro": {"files": {"cell_noisy": {"a": A, "b": B}}},
        "bayer": {
            "bit_depth": 14,
            "black_dn": 0,
            "per_plane": {f"({y},{x}) p": {"a": 0.4, "b": 0.0} for y in (0, 1) for x in (0, 1)},
        },
        "dark": {"sigma_dn": 4.0, "at_mean": 500.0},
        "jpegs": {"kind": "camera JPEGs: rendered"},
        "pairs": {"kind": "sRGB", "files": {"x.png": {"std_rgb": [1, 2, 3]}}},
    }
    (tmp_path / FILE).write_text(json.dumps({"note": "x", "sets": sets}))
    return tmp_path


@pytest.fixture
def models(make_plane, make_footprint):
    """A law for each plane that is OFF times the truth of every set, told apart by their scale."""

    def law_of(plane):
        span = plane.white_dn - plane.black_dn
        a, b = {
            (BLACK, WHITE): (375 / 900, 25.0 - 375 / 900 * BLACK),
            (0, 255): (A, B),
            (0, 2**14 - 1): (0.4, 0.0),
            (0, 65535): (0.0, 16.0),
        }[plane.black_dn, plane.white_dn]
        return VarianceLaw(a / span * OFF**2, (b + a * plane.black_dn) / span**2 * OFF**2, 0.0, 0.0)

    class Model:
        def estimate(self, image):
            assert image.domain == ("raw-linear" if len(image.planes) == 4 else "linear")
            planes = [make_plane(p.name, law=law_of(p)) for p in image.planes]
            dark = image.planes[0].white_dn == 65535
            last = make_plane("all", {"shot_gain": None} if dark else None, law=planes[-1].law)
            return make_footprint(planes=(*planes, last))

    return lambda: {"noisediag": Model()}


def test_a_planted_ratio_comes_back_for_every_kind(folder: Path, models) -> None:
    result = real.run(RealOptions(folder, baselines=False), models=models)
    assert (result.files, result.failed) == (7, 0)
    by_set = {row.set_name: row for row in result.sets}
    assert {name: row.n for name, row in by_set.items()} == {
        "cam/flats": 2,
        "micro": 1,
        "bayer": 8,  # two mosaics of four planes; the stack holds the same two
        "dark": 1,
        "all": 12,
        "all, each set once": 4,
    }
    for reading in result.readings:
        assert reading.ratio == pytest.approx(OFF, rel=1e-6)
        assert reading.ln_ratio == pytest.approx(math.log(OFF), rel=1e-6)
        assert reading.curve_error == pytest.approx(math.log(OFF), rel=1e-6)
    assert by_set["all"].median_abs_ln == pytest.approx(math.log(OFF))
    true = {(r.file, r.part): r.sigma_true_dn for r in result.readings}
    assert true["b1.png", ""] == pytest.approx(20)
    assert true["cell_noisy", ""] == pytest.approx(math.sqrt(A * 110 + B), rel=0.01)
    assert true["crop_1.tif", "(1,1) p"] == pytest.approx(math.sqrt(1200), rel=0.01)


def test_what_is_left_out_is_said_in_a_line_each(folder: Path, models) -> None:
    notes = real.run(RealOptions(folder, baselines=False), models=models).notes
    assert any("stack.tif: 2 of 2 frames met before" in note for note in notes)
    assert any(note.startswith("jpegs: left out") and "camera JPEGs" in note for note in notes)
    assert any(note.startswith("pairs: left out") for note in notes)
    assert len(notes) == 3


def test_gains_that_cannot_be_told_are_checked(folder: Path, models) -> None:
    result = real.run(RealOptions(folder, baselines=False), models=models)
    assert [(gain.file, gain.gain_null) for gain in result.gains] == [("stuck.tif", True)]


def test_unreadable_files_are_notes(folder: Path, models) -> None:
    (folder / "cam/flats/images/b1.png").write_bytes(b"no picture")
    (folder / "micro/cell_noisy.png").rename(folder / "micro/elsewhere.png")
    (folder / "cam/flats/d1.png").write_bytes((folder / "cam/flats/images/d1.png").read_bytes())
    Image.new("RGB", (64, 64), (1, 2, 3)).save(folder / "bayer/colour.png")
    result = real.run(RealOptions(folder, baselines=False), models=models)
    assert result.failed == 3
    assert sum("b1.png: " in note for note in result.notes) == 1
    assert "micro/cell_noisy: no such file" in result.notes
    assert any("colour.png" in note and "3 planes" in note for note in result.notes)
    assert not any("\n" in note for note in result.notes)
    (folder / "cam/flats/images/deeper").mkdir()
    (folder / "cam/flats/d1.png").rename(folder / "cam/flats/images/deeper/d1.png")
    again = real.run(RealOptions(folder, baselines=False), models=models)
    assert "cam/flats/d1.png: 2 files are called so" in again.notes


def test_baselines_see_the_same_files(folder: Path, models) -> None:
    result = real.run(RealOptions(folder), models=models)
    medians = {(r.set_name, r.method): r.median_abs_ln for r in result.sets}
    assert {method for _, method in medians} == {"noisediag", *(b.name for b in BASELINES)}
    assert medians["cam/flats", "Immerkaer"] < 0.1  # white noise on flats of 4096 pixels
    assert medians["dark", "Immerkaer"] < 0.1
    assert medians["micro", "block fit"] < 0.1


def test_signals_without_measurable_noise_are_left_out(folder: Path, models) -> None:
    truth = json.loads((folder / FILE).read_text())
    truth["sets"] = {"micro": {"files": {"cell_noisy": {"a": 1.0, "b": -110.0}}}}  # no noise below 110 DN
    (folder / FILE).write_text(json.dumps(truth))
    (reading,) = real.run(RealOptions(folder, baselines=False), models=models).readings
    assert reading.left_out == pytest.approx(0.5, abs=0.03)
    truth["sets"]["micro"]["files"]["cell_noisy"]["b"] = -900
    (folder / FILE).write_text(json.dumps(truth))
    result = real.run(RealOptions(folder, baselines=False), models=models)
    assert (result.failed, result.readings) == (1, ())
    assert "below half a step" in result.notes[0]


def test_reports_fit_and_hold_no_nan(folder: Path, models) -> None:
    result = real.run(RealOptions(folder), models=models)
    stream = io.StringIO()
    Console(width=80, file=stream).print(report.render(result))
    assert "gain not identifiable, as it must" in stream.getvalue()
    assert "…" not in stream.getvalue()
    document = json.loads(report.dumps(result))
    assert document["schema"] == "noisediag.real/1"
    assert document["sets"][0]["set"] == "cam/flats"
    rows = list(csv.DictReader(io.StringIO(report.dumps_csv(result))))
    assert len(rows) == len(result.readings)
    assert any(row["part"] == "(0,0) p" for row in rows)


def test_files_come_in_the_order_of_their_numbers(folder: Path) -> None:
    (folder / "bayer/crop_10.tif").write_bytes((folder / "bayer/crop_1.tif").read_bytes())
    (folder / "bayer/crop_2.tif").write_bytes((folder / "bayer/crop_1.tif").read_bytes())
    names = [file.name for file in read_truth(folder).files if file.mosaic]
    assert names == ["crop_0.tif", "crop_1.tif", "crop_2.tif", "crop_10.tif", "stack.tif"]


def test_smooth_is_the_mean_of_five_by_five() -> None:
    x = np.arange(60, dtype=np.float64).reshape(6, 10) ** 2
    smoothed = real.smooth(x)
    assert smoothed[3, 4] == pytest.approx(x[1:6, 2:7].mean())
    assert smoothed[0, 0] == pytest.approx(x[:3, :3].mean())
    assert smoothed[5, 9] == pytest.approx(x[3:, 7:].mean())


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ("[1]", "sets: no JSON object"),
        ("{}", "states no noise"),
        ('{"x": {"levels": [{"frames": ["a"], "mean_dn": "b"}]}}', "temporal_var"),
        ('{"x": {"levels": [{"frames": "a", "mean_dn": 1, "temporal_var": 1, "fixed_pattern_var": 0}]}}', "no list"),
        ('{"x": {"levels": [{"frames": ["a"], "mean_dn": 1, "temporal_var": 0, "fixed_pattern_var": 0}]}}', "variance"),
        ('{"x": {"bit_depth": 1e9, "sigma_dn": 1, "at_mean": 1}}', "bit_depth"),
        ('{"x": {"sigma_dn": true, "at_mean": 1}}', "no number"),
        ('{"x": {"per_plane": {"red": {"a": 1, "b": 1}}}}', "position"),
        ("{", "cannot be read"),
    ],
)
def test_malformed_truths_are_usage_errors(tmp_path: Path, sets: str, message: str) -> None:
    (tmp_path / FILE).write_text(f'{{"sets": {sets}}}')
    with pytest.raises(UsageError, match=message) as caught:
        read_truth(tmp_path)
    assert str(tmp_path / FILE) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not (SHARED / FILE).is_file(), reason="shared data are not here")
def test_every_file_of_the_shared_truth_is_found() -> None:
    truth = read_truth(SHARED)
    assert {file.set_name for file in truth.files} == {
        "emva/ccd12_basler",
        "emva/sim12_hci",
        "raw/d7000_imgnoiser",
        "micro/pims",
        "micro/w2s_fmd",
    }
    assert [file.name for file in truth.files if file.path is None] == []
    assert len(truth.notes) == 9
    assert [pair.set_name for pair in truth.pairs] == 6 * ["pairs/cc15"]
    assert [pair.name for pair in truth.pairs if pair.missing] == []
