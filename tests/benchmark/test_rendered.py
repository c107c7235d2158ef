"""The benchmark of rendered pictures, with a stand-in that is told the truth and errs by a known amount."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from noisediag.benchmark import scoring, sheet
from noisediag.benchmark.rendered import cases as rendered_cases
from noisediag.benchmark.rendered import report
from noisediag.benchmark.rendered import run as study
from noisediag.benchmark.rendered.cases import (
    GROUPS,
    HELD_OUT,
    KNOWN,
    PHONES,
    PHONES_WITHOUT_TRAINING,
    UNPROCESSED,
    camera_of,
    rendered_case,
)
from noisediag.benchmark.rendered.result import RenderedOptions, RenderedResult
from noisediag.errors import UsageError
from noisediag.footprint.file import Rendered, Spatial
from noisediag.footprint.plane import CurvePoint, SampledCurve
from noisediag.genome import camera, rendered, srgb
from noisediag.genome.cases import Job
from noisediag.genome.rendered import CODES, PLANES

SIZE = 48
OFF = 1.2
LAG_OFF, AREA_OFF = 0.04, 1.1


case_of = lru_cache(maxsize=None)(rendered_case)  # every test asks for the same ones


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two domains of two pictures, one in colour; `natural` has a stated noise of its own, `drawn` has none."""
    folder = tmp_path_factory.mktemp("data")
    y, x = np.mgrid[:64, :64] / 64
    (folder / "own_noise.csv").write_text("domain,picture,own_noise\nnatural,,2\n")
    for domain in ("drawn", "natural"):
        (folder / domain).mkdir()
        for number in range(4):
            picture = 0.4 + 0.3 * y * x + 0.1 * np.sin(3 * x + number)
            codes = np.rint(255 * picture).astype(np.uint8)
            if domain == "natural":
                codes = np.stack([codes, codes // 2 + 60, codes[::-1]], -1)
            Image.fromarray(codes).save(folder / domain / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="module", autouse=True)
def small_pictures():
    """Photographs of SIZE px, so that each takes a few milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendered_cases, "PICTURE_PX", SIZE)
        patch.setattr(rendered_cases, "TRUTH_DRAWS", 8)
        patch.setattr(study, "rendered_case", case_of)
        yield


class Told:
    """Finds in a list of cases the one whose picture it is shown; sigma OFF times too large, the rest as said above."""

    def __init__(self, make_plane, make_footprint, cases):
        self.make_plane, self.make_footprint = make_plane, make_footprint
        self.cases = {case.codes.tobytes(): case for case in cases}

    def estimate(self, image):
        codes = np.stack([plane.load() for plane in image.planes], -1)
        assert (image.domain, codes.dtype) == ("rendered", np.uint8)
        case = self.cases[np.broadcast_to(codes, (SIZE, SIZE, 3)).tobytes()]
        assert case.gray == (codes.shape[-1] == 1)
        planes, spread = [], []
        for number in case.planes:
            name = "gray" if case.gray else PLANES[number]
            order = np.argsort(case.truth.signal[number])
            signal = case.truth.signal[number][order] + 1e-9 * np.arange(case.truth.signal.shape[1])
            sigma = OFF * np.maximum(case.truth.sigma[number][order], 1e-6)
            law = SampledCurve(tuple(signal), tuple(sigma))
            points = tuple(CurvePoint(x, s, s / 1.5, s * 1.5) for x, s in zip(signal, sigma, strict=True))
            planes.append(self.make_plane(name, law=law, curve=points))
            lag_h, lag_v = case.truth.lag1[number]
            areas = tuple(AREA_OFF * case.truth.areas[number])
            spread.append(Spatial(name, lag_h + LAG_OFF, lag_v - LAG_OFF, 0.0, areas))
        flags = np.where(np.isnan(case.flags), 0.5, 0.1 + 0.8 * case.flags)
        rendered_ = Rendered(
            planes=tuple(spread),
            processed=flags[0],
            denoised=flags[1],
            upscaled=flags[2],
            channel_correlation=None if case.gray else tuple(case.truth.channels + 0.02),
            jpeg_quality=None if case.camera.jpeg is None else case.camera.jpeg - 2,
            jpeg_standard=None,
            block_strength=None,
            resaved=None,
        )
        return self.make_footprint(planes=tuple(planes), domain="rendered", rendered=rendered_)


@pytest.fixture
def told(data, make_plane, make_footprint):
    """Models that know every case of the odd files of `data`, draws 0 and 1, with seed 0."""
    from noisediag.genome.clean import pictures

    found = pictures(data, split="odd", limit_per_domain=None)
    cases = [case_of(job, draw, 0) for job in rendered_cases.jobs(found, draws=2, scenes_=0) for draw in job.draws]
    return lambda: {"noisediag": Told(make_plane, make_footprint, cases)}


@pytest.fixture
def result(data: Path, told) -> RenderedResult:
    return study.run(RenderedOptions(data=data, draws=2, baselines=False), models=told)


def test_planted_errors_come_back_in_every_group(result: RenderedResult) -> None:
    assert result.cases == len(GROUPS) * 4 * 2
    for group in GROUPS:
        rows = [r for r in result.rows if (r.set_name, r.method) == (group, "noisediag")]
        pooled = [row for row in rows if row.domain == "all"]
        assert 0 < sum(row.n for row in pooled) <= 8 * len(PLANES)
        for row in rows:
            assert row.median == pytest.approx(math.log(OFF), rel=1e-3)
            assert row.p90 == pytest.approx(math.log(OFF), rel=1e-3)
            assert row.off == 0
            assert row.covered == 1
            assert row.width == pytest.approx(2 * math.log(1.5), rel=1e-3)
            assert row.lag_h == pytest.approx(LAG_OFF)
            assert row.lag_v == pytest.approx(LAG_OFF)
            assert row.areas == pytest.approx(math.log(AREA_OFF), rel=1e-3)
        colours = [row.channels for row in rows if not math.isnan(row.channels)]
        assert colours == pytest.approx([0.02] * len(colours))


def test_flags_and_quality_are_judged_where_they_can_be_said(result: RenderedResult) -> None:
    flags = {(row.set_name, row.flag): row for row in result.flags}
    processed = flags[HELD_OUT, "processed"]
    assert (processed.negatives, processed.hits) == (0, 1)
    assert math.isnan(processed.auc)
    assert math.isnan(processed.alarms)
    raw = flags[UNPROCESSED, "denoised"]
    assert (raw.positives, raw.negatives, raw.alarms) == (0, 8, 0)
    for row in result.quality:
        assert row.alarms == 0 or row.negatives == 0
        assert row.median == 2 or row.n == 0
    assert {row.set_name: row.n for row in result.quality}[UNPROCESSED] == 0


def test_flags_that_cry_always_are_told_so(data: Path, told) -> None:
    class Always:
        def __init__(self, model):
            self.model = model

        def estimate(self, image):
            footprint = self.model.estimate(image)
            return replace(footprint, rendered=replace(footprint.rendered, denoised=0.9, jpeg_quality=None))

    models = lambda: {"noisediag": Always(told()["noisediag"])}  # noqa: E731
    result = study.run(RenderedOptions(data=data, draws=2, baselines=False), models=models)
    assert {row.set_name: row.alarms for row in result.flags if row.flag == "denoised"}[UNPROCESSED] == 1
    some = [row for row in result.quality if row.n]
    assert some
    assert all(math.isinf(row.median) for row in some)


def test_without_what_a_picture_shows_of_its_processing_only_curves_are_scored(data: Path, told) -> None:
    class CurvesOnly:
        def __init__(self, model):
            self.model = model

        def estimate(self, image):
            return replace(self.model.estimate(image), rendered=None)

    models = lambda: {"noisediag": CurvesOnly(told()["noisediag"])}  # noqa: E731
    result = study.run(RenderedOptions(data=data, baselines=False), models=models)
    ours = [row for row in result.rows if row.method == "noisediag"]
    assert all(row.median == pytest.approx(math.log(OFF), rel=1e-3) for row in ours)
    assert all(math.isnan(row.lag_h) and math.isnan(row.channels) for row in ours)
    assert (result.flags, result.quality) == ((), ())


def test_a_model_without_the_planes_is_refused(data: Path, make_plane, make_footprint) -> None:
    class One:
        def estimate(self, image):
            return make_footprint(planes=(make_plane("luma"),))

    with pytest.raises(UsageError, match="R, G, B"):
        study.run(RenderedOptions(data=data, baselines=False), models=lambda: {"noisediag": One()})


def test_pictures_near_their_own_noise_are_scored_apart(result: RenderedResult, data: Path) -> None:
    natural = {row.apart: row for row in result.rows if (row.domain, row.method) == ("natural", "noisediag")}
    assert True in natural  # 2 codes of its own: less than 4 is apart
    assert not any(row.apart for row in result.rows if row.domain == "drawn")
    assert "drawn" in result.notes[0]


def test_the_mean_predictor_knows_one_number_a_plane(result: RenderedResult) -> None:
    rows = {r.set_name: r for r in result.rows if (r.method, r.domain, r.apart) == ("mean predictor", "all", False)}
    assert all(row.median > 0.05 for row in rows.values())
    assert rows[UNPROCESSED].lag_h < 0.05  # the mean of nothing but white noise is right
    assert rows[HELD_OUT].lag_h > 0.01


def test_baselines_see_the_same_planes(data: Path) -> None:
    options = RenderedOptions(data=data, limit_per_domain=1)
    result = study.run(options, models=dict)
    medians = {(r.set_name, r.method): r.median for r in result.rows if r.domain == "all" and not r.apart}
    assert medians[UNPROCESSED, "Immerkaer"] < 0.15
    assert medians[HELD_OUT, "Immerkaer"] > medians[UNPROCESSED, "Immerkaer"]
    planes = study.planes_of(np.full((4, 5, 3), (255, 0, 51), np.uint8))
    assert [float(plane[0, 0]) for plane in planes] == pytest.approx([1, 0, 0.2, 0.299 + 0.114 * 0.2])


def test_a_case_depends_on_its_name_and_the_seed_only(data: Path) -> None:
    path = data / "natural" / "001.png"
    job = Job(HELD_OUT, "natural", path.name, path, None, range(2))
    first, again = (rendered_case(job, 1, 0) for _ in range(2))
    assert (first.codes == again.codes).all()
    assert (first.truth.sigma == again.truth.sigma).all()
    for other in (
        rendered_case(job, 0, 0),
        rendered_case(job, 1, 1),
        rendered_case(replace(job, set_name=KNOWN), 1, 0),
    ):
        assert (other.codes != first.codes).any()


def test_without_data_the_pictures_are_procedural_scenes() -> None:
    alone = study.run(RenderedOptions(scenes=1, baselines=False), models=dict)
    assert alone.cases == len(GROUPS)
    assert {row.domain for row in alone.rows} == {"all", "scenes"}


def test_unprocessed_pictures_hold_their_scene_and_white_noise(data: Path) -> None:
    path = data / "natural" / "003.png"
    for draw in range(3):
        case = rendered_case(Job(UNPROCESSED, "natural", path.name, path, None, range(3)), draw, 0)
        assert not case.camera.processed
        assert case.flags.tolist()[:2] == [0, 0]
        clean = np.asarray(Image.open(path), np.float64)[12 : 12 + SIZE, 12 : 12 + SIZE]
        if case.camera.gray:
            continue
        off = (case.clean - clean).mean((0, 1))
        assert np.abs(off).max() < 1 + 5 * CODES * case.truth.sigma.max() / SIZE


def test_groups_have_the_cameras_that_they_say() -> None:
    generator = seeded(1)
    for _ in range(20):
        assert camera_of(HELD_OUT, generator).tone == rendered.HELD_OUT["tone"]
        assert camera_of(KNOWN, generator).tone != rendered.HELD_OUT["tone"]
        raw = camera_of(UNPROCESSED, generator)
        assert (raw.tone, raw.jpeg, raw.kernel) == (None, None, None)
        assert all(camera_of(group, generator).phone is None for group in (HELD_OUT, KNOWN, UNPROCESSED))
        toned, coded, phone = (camera_of(name, generator).phone for name in (*PHONES_WITHOUT_TRAINING, PHONES))
        assert toned.local_tone == rendered.PHONE_HELD_OUT["local_tone"] != phone.local_tone
        assert toned.hevc is phone.hevc is None
        assert coded.hevc is not None


def test_groups_can_be_chosen(data: Path) -> None:
    options = RenderedOptions(data=data, limit_per_domain=1, cameras=(PHONES, KNOWN), baselines=False)
    result = study.run(options, models=dict)
    assert tuple(result.groups) == (KNOWN, PHONES)
    assert {row.set_name for row in result.rows} == {KNOWN, PHONES}
    assert result.cases == 4


def test_light_is_the_inverse_of_the_srgb_curve() -> None:
    x = torch.linspace(0, 1, 101)
    assert torch.allclose(srgb.decoded(camera.tone_srgb(x, torch.zeros(5))), x, atol=1e-5)


def test_tables_fit_80_columns_and_files_hold_no_nan(result: RenderedResult, data: Path) -> None:
    stream = io.StringIO()
    Console(width=80, file=stream).print(report.render(result))
    assert "held out: curve error" in stream.getvalue()
    assert "natural, apart" in stream.getvalue()
    assert "…" not in stream.getvalue()
    document = json.loads(report.dumps(result))
    assert document["schema"] == "noisediag.rendered-benchmark/1"
    assert document["rows"][0]["set"] == HELD_OUT
    rows = list(csv.DictReader(io.StringIO(report.dumps_csv(result))))
    assert len(rows) == len(result.rows)
    assert "nan" not in {value for row in rows for value in row.values()}


def test_the_worst_pictures_make_a_sheet(result: RenderedResult, tmp_path: Path) -> None:
    assert result.worst
    errors = [case.error for case in result.worst]
    assert errors == sorted(errors, reverse=True)
    sheet.write(replace(result, worst=result.worst[:2]), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.width > 1000
    clean, noisy = sheet.pictures(result.worst[0], 0)
    assert clean.shape == noisy.shape == (SIZE, SIZE)
    assert 0 <= clean.min() <= clean.max() <= 1


def test_nothing_scored_is_no_number() -> None:
    assert math.isnan(scoring.log_error(np.array([]), np.array([]), np.array([])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draws": 0}, "--draws"),
        ({"data": Path("/nowhere")}, "no such"),
        ({"cameras": ("known", "phone")}, "no group 'phone'; there are held out; known"),
    ],
)
def test_impossible_requests_are_usage_errors(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        study.run(replace(RenderedOptions(), **change), models=dict)  # type: ignore[arg-type]
