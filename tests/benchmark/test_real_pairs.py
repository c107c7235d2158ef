"""Pairs of a noisy picture and the mean of many: small ones whose noise is planted, read by stand-ins."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from noisediag.benchmark.baselines import BASELINES
from noisediag.benchmark.real import report
from noisediag.benchmark.real import run as real
from noisediag.benchmark.real.pairs import channel_truth
from noisediag.benchmark.real.result import RealOptions
from noisediag.benchmark.real.truth import FILE, read_truth
from noisediag.errors import UsageError
from noisediag.footprint.file import Rendered, Spatial
from noisediag.footprint.plane import SampledCurve

SHARED = Path(os.environ.get("NOISEDIAG_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "real"
SIZE = 96
SIGMA = {"R": 8.0, "G": 6.0, "B": 4.0}  # codes
OFF = 1.25
LAGS = (0.03, -0.02)


def smeared(generator: np.random.Generator) -> np.ndarray:
    """Unit noise whose correlation with the pixel to the right is 1/2 and 0 with the one below."""
    wide = generator.standard_normal((SIZE, SIZE + 1))
    return (wide[:, 1:] + wide[:, :-1]) / math.sqrt(2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One pair in colour over three levels, 8 bits, and what truth.json states of it."""
    generator = np.random.default_rng(0)
    levels = np.repeat([56, 120, 200], SIZE // 3)[None].repeat(SIZE, axis=0)
    mean = np.stack([levels, levels - 20, levels - 40], -1).astype(np.uint8)
    noise = np.stack([sigma * smeared(generator) for sigma in SIGMA.values()], -1)
    noisy = np.rint(np.clip(mean + noise, 0, 255)).astype(np.uint8)
    (tmp_path / "pairs").mkdir()
    Image.fromarray(mean).save(tmp_path / "pairs" / "camera_iso3200_1_mean.png")
    Image.fromarray(noisy).save(tmp_path / "pairs" / "camera_iso3200_1_real.png")
    stated = {
        name: [[int(level) // 16 * 16 + 8, _sd(noisy, mean, channel, level)] for level in np.unique(mean[..., channel])]
        for channel, name in enumerate("RGB")
    }
    write(tmp_path, {"camera_iso3200_1_real.png": {"std_by_level": stated}})
    return tmp_path


def _sd(noisy: np.ndarray, mean: np.ndarray, channel: int, level: int) -> float:
    here = mean[..., channel] == level
    return round(float((noisy[..., channel].astype(float) - mean[..., channel])[here].std()), 2)


def write(folder: Path, files: object) -> None:
    (folder / FILE).write_text(json.dumps({"sets": {"pairs": {"kind": "sRGB", "files": files}}}))


@pytest.fixture
def models(make_plane, make_footprint):
    """A curve OFF times too high in every channel, and correlations LAGS off."""

    class Model:
        def estimate(self, image):
            assert (image.domain, [p.name for p in image.planes]) == ("rendered", ["R", "G", "B"])
            curves = {n: SampledCurve((0.0, 1.0), (OFF * s / 255,) * 2) for n, s in SIGMA.items()}
            planes = [make_plane(name, law=curve) for name, curve in curves.items()]
            spatial = tuple(Spatial(n, 0.5 + LAGS[0], LAGS[1], 0.5, (0.1, 0.1, 0.1)) for n in SIGMA)
            seen = Rendered(spatial, 1.0, 0.1, 0.1, (0.0, 0.0, 0.0), None, None, None, None)
            return make_footprint(planes=(*planes, make_plane("luma")), domain="rendered", rendered=seen)

    return lambda: {"noisediag": Model()}


def test_a_planted_ratio_and_planted_correlations_come_back(folder: Path, models) -> None:
    result = real.run(RealOptions(folder, baselines=False), models=models)
    assert (result.files, result.failed, result.readings, result.sets) == (1, 0, (), ())
    assert result.notes == ()
    assert [reading.channel for reading in result.pair_readings] == ["R", "G", "B"]
    tolerance = 5 / math.sqrt(SIZE**2 / 3)
    for reading in result.pair_readings:
        assert reading.levels == 3
        assert reading.sigma_true_dn == pytest.approx(SIGMA[reading.channel], rel=tolerance)
        assert reading.error == pytest.approx(OFF - 1, abs=2 * tolerance)
        assert reading.curve_error == pytest.approx(math.log(OFF), abs=2 * tolerance)
        assert (reading.lag1_h_true, reading.lag1_v_true) == pytest.approx((0.5, 0), abs=tolerance)
        assert reading.lag_error == pytest.approx(0.03, abs=tolerance)
    whole = next(row for row in result.pairs if row.file == "all")
    assert (whole.n, whole.method) == (3, "noisediag")
    assert whole.median <= whole.worst == max(r.error for r in result.pair_readings)


def test_baselines_see_the_same_channels_and_miss_correlated_noise(folder: Path, models) -> None:
    result = real.run(RealOptions(folder), models=models)
    rows = {row.method: row for row in result.pairs if row.file == "all"}
    assert set(rows) == {"noisediag", *(b.name for b in BASELINES)}
    assert rows["Immerkaer"].median > 0.2  # it takes noise for white
    assert math.isnan(rows["Immerkaer"].lag)


def test_what_is_stated_must_agree_with_the_pair(folder: Path, models) -> None:
    write(folder, {"camera_iso3200_1_real.png": {"std_by_level": {"R": [[56, 16.0], [232, 3.0]]}}})
    (note,) = real.run(RealOptions(folder, baselines=False), models=models).notes
    assert note.startswith("pairs/camera_iso3200_1_real.png: R at 56: 16 stated, ")
    assert "R at 232: 3 stated, none measured" in note


def test_pairs_that_are_none_are_failures(folder: Path, models) -> None:
    entry = {"std_by_level": {}}
    write(
        folder,
        {"camera_iso3200_1_real.png": entry, "gone_real.png": entry, "alone_real.png": entry, "cut_real.png": entry},
    )
    picture = Image.open(folder / "pairs" / "camera_iso3200_1_real.png")
    picture.save(folder / "pairs" / "alone_real.png")
    picture.save(folder / "pairs" / "cut_real.png")
    picture.crop((0, 0, 64, 64)).save(folder / "pairs" / "cut_mean.png")
    result = real.run(RealOptions(folder, baselines=False), models=models)
    assert (result.files, result.failed) == (4, 3)
    notes = {note.split(": ", 1)[0]: note.split(": ", 1)[1] for note in result.notes}
    assert notes["pairs/gone_real.png"] == "no such file"
    assert notes["pairs/alone_real.png"] == "its mean picture: no such file"
    assert "another size" in notes["pairs/cut_real.png"]


def test_levels_with_few_pixels_are_left_out() -> None:
    mean = np.full((64, 64), 100.0)
    mean[:4, :4] = 200
    noisy = mean + 3 * np.random.default_rng(1).standard_normal((64, 64))
    truth = channel_truth(noisy, mean)
    assert truth.signal.tolist() == [100]
    assert truth.left_out == pytest.approx(16 / 4096)
    assert truth.sigma[0] == pytest.approx(3, rel=5 / math.sqrt(2 * 4096))
    assert max(abs(truth.lag1_h), abs(truth.lag1_v)) < 5 / 64
    shifted = channel_truth(noisy + 7, mean)  # a mean picture of another brightness is no noise
    assert shifted.sigma[0] == pytest.approx(truth.sigma[0])


def test_reports_fit_and_hold_no_nan(folder: Path, models) -> None:
    result = real.run(RealOptions(folder), models=models)
    stream = io.StringIO()
    Console(width=80, file=stream).print(report.render(result))
    assert "camera_iso3200_1 " in stream.getvalue()
    assert "…" not in stream.getvalue()
    document = json.loads(report.dumps(result))
    assert document["pairs"][0]["set"] == "pairs"
    assert document["pair_readings"][1]["lag1_h"] in (None, pytest.approx(0.53))
    rows = list(csv.DictReader(io.StringIO(report.dumps_csv(result))))
    assert len(rows) == 3 * (1 + len(BASELINES))
    assert {row["part"] for row in rows} == set("RGB")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"x.png": {"std_by_level": {}}}, "_real"),
        ({"x_real.png": {"std_by_level": {"R": [[1]]}}}, "level and sigma"),
        ({"x_real.png": {"std_by_level": {"R": [[8, 0]]}}}, "a sigma of 0"),
        ({"x_real.png": {"std_by_level": [1]}}, "no JSON object"),
    ],
)
def test_malformed_truths_are_usage_errors(tmp_path: Path, files: object, message: str) -> None:
    write(tmp_path, files)
    with pytest.raises(UsageError, match=message):
        read_truth(tmp_path)


@pytest.mark.skipif(not (SHARED / FILE).is_file(), reason="shared data are not here")
def test_shared_pairs_agree_with_what_is_stated_of_them(make_plane, make_footprint) -> None:
    from noisediag.benchmark.real import pairs as real_pairs

    model = type("Model", (), {"estimate": lambda self, image: make_footprint(planes=(make_plane("luma"),))})()
    pairs = read_truth(SHARED).pairs
    assert len(pairs) == 6
    for pair in pairs[:2]:
        score = real_pairs.score(False, {"noisediag": model}, pair)
        assert (score.failure, score.doubt) == ("", "")
        assert score.readings[1].lag1_h_true == pytest.approx(0.55, abs=0.1)
