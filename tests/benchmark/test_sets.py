"""The benchmark with stand-ins for trained models, quick and predictable."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from rich.console import Console

from noisediag.benchmark import bound
from noisediag.benchmark.baselines import block_fit
from noisediag.benchmark.sets import report as benchmark_report
from noisediag.benchmark.sets.result import BenchmarkOptions, BenchmarkResult
from noisediag.benchmark.sets.run import run
from noisediag.errors import UsageError
from noisediag.footprint.file import CheckpointId, Footprint
from noisediag.footprint.plane import CurvePoint, Estimate, PlaneFootprint, VarianceLaw
from noisediag.genome.cases import Job, case_seed, mean_curve, paper_case, sensor_case
from noisediag.genome.clean import mosaic, pictures
from noisediag.genome.parameters import NAMES
from noisediag.images.image import Image

CHECKPOINT = CheckpointId("fake", "0" * 64)


class BlockFitEstimator:
    """The block fit in the clothes of a model: shot and read noise of the first plane, every interval a factor of 2."""

    def estimate(self, image: Image) -> Footprint:
        plane = image.planes[0]
        x = (plane.load().astype(np.float64) - plane.black_dn) / (plane.white_dn - plane.black_dn)
        at = block_fit(x)(np.array([0.0, 1.0])) ** 2
        law = VarianceLaw(shot=float(at[1] - at[0]), intercept=float(at[0]), square=0.0, floor=0.0)
        signals = np.linspace(0.05, 1, 20)
        curve = tuple(CurvePoint(s, v, v / 2, v * 2) for s, v in zip(signals, law.sigma(signals), strict=True))
        values = {"shot_gain": law.shot, "read_noise": law.intercept**0.5}
        main = PlaneFootprint(
            name="all",
            shape=plane.shape,
            bit_depth=plane.bit_depth,
            black_dn=plane.black_dn,
            white_dn=plane.white_dn,
            scale_source=plane.scale_source,
            curve=curve,
            law=law,
            parameters=tuple(_estimate(name, values.get(name, 0.0)) for name in NAMES),
            signal_median=0.5,
            effective_sigma=float(law.sigma(0.5)),
        )
        return Footprint(planes=(main,), domain=image.domain, reader=image.reader, checkpoint=CHECKPOINT)


def _estimate(name: str, value: float) -> Estimate:
    if value <= 0:
        return Estimate(name, None, 0.0, 1e-4, present=0.0, flag="below_floor")
    return Estimate(name, value, value / 2, value * 2, present=1.0)


class MeanPaper:
    """Always the mean of the paper's law."""

    checkpoint = CHECKPOINT

    def predict(self, noisy: np.ndarray) -> np.ndarray:
        assert noisy.min() >= 0
        assert noisy.max() <= 1
        return np.full(6, 1 / 6)


def fake_models() -> dict[str, object]:
    return {"noisediag": BlockFitEstimator()}


def constant_paper() -> dict[str, object]:
    return {"noisediag": MeanPaper()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two domains of four small pictures; `natural` has a stated noise of its own, `drawn` has none."""
    folder = tmp_path_factory.mktemp("data")
    y, x = np.mgrid[:96, :96] / 96
    (folder / "own_noise.csv").write_text("domain,picture,own_noise\nnatural,,2\n")
    for domain in ("drawn", "natural"):
        (folder / domain).mkdir()
        for number in range(4):
            picture = 0.2 + 0.5 * y * x + 0.1 * np.sin(3 * x + number)
            Pillow.fromarray(np.rint(255 * picture).astype(np.uint8)).save(folder / domain / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="module")
def result(data: Path) -> BenchmarkResult:
    options = BenchmarkOptions(
        data=data, sets=("gaussian", "poisson-gauss", "clean", "flat"), draws=2, scenes=2, flats=2, baselines=False
    )
    return run(options, models=fake_models)


def test_every_figure_is_of_odd_files_and_counts_its_cases(result: BenchmarkResult) -> None:
    rows = {(r.set_name, r.method, r.domain, r.apart): r for r in result.curves}
    assert rows["poisson-gauss", "noisediag", "drawn", False].n == 4  # 2 odd files, 2 draws
    assert rows["flat", "noisediag", "flat", False].n == 4
    both = [rows[k].n for k in rows if k[:3] == ("gaussian", "noisediag", "all")]
    assert sum(both) == 8
    assert all("00" not in w.picture or int(Path(w.picture).stem) % 2 for w in result.worst if w.path)


def test_the_stand_in_is_scored_as_what_it_is(result: BenchmarkResult) -> None:
    curve = next(r for r in result.curves if (r.set_name, r.method, r.domain) == ("poisson-gauss", "noisediag", "all"))
    assert curve.median < 0.1
    mean = next(
        r for r in result.curves if (r.set_name, r.method, r.domain) == ("poisson-gauss", "mean predictor", "all")
    )
    assert mean.median > curve.median
    shot = next(r for r in result.parameters if (r.set_name, r.parameter) == ("poisson-gauss", "shot_gain"))
    assert shot.median_log10 < 0.1
    assert shot.width == pytest.approx(math.log10(4))
    covered = next(c for c in result.coverage if (c.set_name, c.what) == ("poisson-gauss", "curve"))
    assert covered.coverage.share == 1
    assert covered.width == pytest.approx(math.log10(4))
    flat = next(r for r in result.flat if r.method == "noisediag")
    assert flat.rms < 0.05
    assert flat.over_bound == pytest.approx(flat.rms * math.sqrt(2 * 256 * 256))
    assert result.checkpoint == CHECKPOINT


def test_shot_and_read_noise_are_judged_on_pictures_with_a_dark_part(tmp_path: Path) -> None:
    y, x = np.mgrid[:96, :96] / 96
    for domain, low in (("bright", 0.4), ("dark", 0.0)):
        (tmp_path / domain).mkdir()
        picture = low + 0.5 * (x if low == 0 else y)
        Pillow.fromarray(np.rint(255 * picture).astype(np.uint8)).save(tmp_path / domain / "001.png")
    options = BenchmarkOptions(data=tmp_path, sets=("poisson-gauss",), draws=4, baselines=False)
    result = run(options, models=fake_models)
    shot = next(row for row in result.dark if row.parameter == "shot_gain")
    assert shot.n == 4  # of 8
    assert shot.median_relative < 0.3


def test_a_factor_of_two_is_farther_off_than_a_half(result: BenchmarkResult) -> None:
    assert all(0 <= row.twice <= row.off for row in result.curves)
    mean = next(r for r in result.curves if (r.set_name, r.method, r.domain) == ("gaussian", "mean predictor", "all"))
    assert mean.twice > 0


def test_without_data_the_pictures_are_procedural_scenes() -> None:
    options = BenchmarkOptions(sets=("poisson-gauss",), draws=2, scenes=3, baselines=False)
    result = run(options, models=fake_models)
    rows = {r.domain: r for r in result.curves if r.method == "noisediag"}
    assert rows["scenes"].n == rows["all"].n == 6


def test_clean_pictures_raise_no_alarm_where_nothing_is_found(result: BenchmarkResult) -> None:
    shares = {(r.domain, r.parameter): r.share for r in result.alarms}
    assert shares["drawn", "row_noise"] == 0
    assert {domain for domain, _ in shares} == {"scenes", "pictures", "drawn", "natural"}


def test_files_near_their_own_noise_are_scored_apart(data: Path) -> None:
    # natural: 2/255 stated, so every gaussian sigma below 4/255 goes apart: ln(4)/ln(40) = 38 % of the draws
    options = BenchmarkOptions(data=data, sets=("gaussian",), draws=20, baselines=False)
    result = run(options, models=dict)
    rows = {(r.domain, r.apart): r.n for r in result.curves if r.method == "mean predictor"}
    assert 5 <= rows["natural", True] <= 25
    assert rows["natural", True] + rows["natural", False] == 40
    assert rows["drawn", False] == 40
    assert ("drawn", True) not in rows
    assert "drawn" in result.notes[0]


def test_own_noise_is_stated_by_a_file_and_never_by_a_folders_name(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "natural").symlink_to(data / "natural")
    assert {p.own_noise for p in pictures(copy, split="all", limit_per_domain=None)} == {None}
    stated = pictures(copy, split="all", limit_per_domain=None, own_noise=data / "own_noise.csv")
    assert {p.own_noise for p in stated} == {2 / 255}
    with pytest.raises(UsageError, match="No such file"):
        pictures(copy, split="all", limit_per_domain=None, own_noise=copy / "gone.csv")
    (copy / "own_noise.csv").write_text("domain,picture,own_noise\nnatural,,5.1\nnatural,001.png,2.55\n")
    found = {p.path.name: p.own_noise for p in pictures(copy, split="all", limit_per_domain=None)}
    assert found["000.png"] == pytest.approx(0.02)
    assert found["001.png"] == pytest.approx(0.01)
    (copy / "own_noise.csv").write_text("folder,noise\nnatural,1\n")
    with pytest.raises(UsageError, match="domain,picture,own_noise"):
        pictures(copy, split="all", limit_per_domain=None)


def test_a_case_does_not_depend_on_what_runs_beside_it(data: Path) -> None:
    options = BenchmarkOptions(data=data, sets=("mixture",), draws=2, baselines=False)
    whole = run(options, models=fake_models)
    part = run(replace(options, draws=1, limit_per_domain=1), models=fake_models)
    errors = {(w.domain, w.picture, w.draw): (w.error, w.truth) for w in whole.worst}
    assert len(part.worst) == 2
    for case in part.worst:
        assert errors[case.domain, case.picture, case.draw] == (case.error, case.truth)


def test_workers_change_nothing(data: Path) -> None:
    options = BenchmarkOptions(data=data, sets=("gaussian",), draws=1, limit_per_domain=1)
    alone = run(options, models=dict)
    shared = run(replace(options, workers=2), models=dict)
    strip = [[replace(row, seconds=0.0) for row in result.curves] for result in (alone, shared)]
    assert strip[0] == strip[1]
    assert "Liu 2013" in {row.method for row in alone.curves}


def test_seeds_of_cases_differ() -> None:
    job = Job("gaussian", "drawn", "001.png", None, None, range(2))
    others = [job, replace(job, set_name="mixture"), replace(job, domain="x"), replace(job, picture="003.png")]
    seeds = {case_seed(seed, j, draw) for j in others for draw in (0, 1) for seed in (0, 1)}
    assert len(seeds) == 16
    assert max(seeds) < 2**63


def test_noise_of_a_case_is_what_its_truth_says(data: Path) -> None:
    path = data / "drawn" / "001.png"
    job = Job("poisson-gauss", "drawn", path.name, path, None, range(1))
    case = sensor_case(job, 3, seed=0)
    clean = np.asarray(Pillow.open(path)) / 255
    assert case.plane is not None
    inside = (clean > 0.3) & (clean < 0.6)
    at = dict(zip(NAMES, case.truth.values, strict=True))
    expected = np.sqrt(at["shot_gain"] * clean[inside] + at["read_noise"] ** 2)
    z = (case.plane - clean)[inside] / expected
    assert abs(z.std() - 1) < 5 / math.sqrt(2 * z.size)
    assert case.image.planes[0].white_dn == 65535


def test_raw_cases_are_bayer_files_with_known_scale() -> None:
    job = Job("raw", "scenes", "0", None, None, range(8))
    cases = [sensor_case(job, draw, seed=0) for draw in job.draws]
    assert {len(case.image.planes) for case in cases} == {4}
    blacks = {case.image.planes[0].black_dn for case in cases}
    assert 0 in blacks
    assert len(blacks) > 1
    for case in cases:
        at = dict(zip(NAMES, case.truth.values, strict=True))
        plane = case.image.planes[0]
        assert 1e-5 <= at["shot_gain"] <= 2e-2
        assert at["quantisation"] == pytest.approx(1 / (plane.white_dn - plane.black_dn))
        assert plane.load().max() <= plane.white_dn


def test_raw_set_reports_the_coverage_of_whole_files() -> None:
    options = BenchmarkOptions(sets=("raw",), raws=3, baselines=False)
    result = run(options, models=fake_models)
    assert result.cases == 3
    assert {"shot_gain", "curve", "parameters"} <= {row.what for row in result.coverage}


def test_mean_predictor_is_the_geometric_mean_of_the_law() -> None:
    x, sigma = mean_curve("gaussian")
    assert len(x) == len(sigma)
    np.testing.assert_allclose(sigma, math.sqrt(40) / 255, rtol=0.06)  # 5 standard errors of 4096 draws


def test_bayer_mosaic_takes_each_colour_from_its_place() -> None:
    clean = np.zeros((4, 6, 3))
    clean[..., 0], clean[..., 1], clean[..., 2] = 0.4, 0.6, 0.8
    raw = mosaic(clean)
    np.testing.assert_allclose(raw[:2, :2], [[0.2, 0.6], [0.6, 0.8 * 0.67]])
    assert mosaic(np.zeros((5, 7))).shape == (4, 6)


def test_the_mean_predictor_of_the_paper_genome_has_no_r2(data: Path, monkeypatch) -> None:
    monkeypatch.setattr(bound, "BINS", 256)
    result = run(BenchmarkOptions(genome="paper", data=data, draws=50), models=constant_paper)
    pooled = {r.method: r for r in result.paper if (r.domain, r.output) == ("all", "all")}
    assert pooled["noisediag"].r2 == pytest.approx(0, abs=1e-9)
    assert pooled["mean predictor"].rmse == pooled["noisediag"].rmse
    assert pooled["noisediag"].rmse == pytest.approx(0.143, abs=0.012)
    assert pooled["noisediag"].n == pooled["bound"].n == 200
    assert 0.8 < pooled["bound"].r2 < 1
    assert len(result.worst) == 10


def test_paper_cases_are_noisy_luma_in_zero_to_one(data: Path) -> None:
    path = data / "drawn" / "001.png"
    case = paper_case(Job("paper", "drawn", path.name, path, None, range(1)), 0, seed=0)
    assert case.noisy.shape == (96, 96)
    assert case.strengths.sum() == pytest.approx(1)


def test_tables_fit_80_columns_and_files_hold_no_nan(result: BenchmarkResult, data: Path, monkeypatch) -> None:
    monkeypatch.setattr(bound, "BINS", 256)
    paper = run(BenchmarkOptions(genome="paper", data=data, draws=1), models=constant_paper)
    for some in (result, paper):
        stream = io.StringIO()
        Console(width=80, file=stream).print(benchmark_report.render(some))
        assert "noisediag" in stream.getvalue()
        assert "…" not in stream.getvalue()  # nothing had to be cut to fit
        document = json.loads(benchmark_report.dumps(some))
        assert document["schema"] == "noisediag.benchmark/1"
        assert document["options"]["seed"] == 0
        assert document["laws"]
        rows = list(csv.DictReader(io.StringIO(benchmark_report.dumps_csv(some))))
        assert rows
        assert "nan" not in {row["value"] for row in rows}
    assert json.loads(benchmark_report.dumps(result))["curves"][0]["set"] == "gaussian"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sets": ("nonsense",)}, "nonsense"),
        ({"data": None, "genome": "paper"}, "--data"),
        ({"draws": 0}, "--draws"),
        ({"data": Path("/nowhere")}, "no such folder"),
    ],
)
def test_impossible_requests_are_usage_errors(data: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(replace(BenchmarkOptions(data=data), **change), models=dict)  # type: ignore[arg-type]
