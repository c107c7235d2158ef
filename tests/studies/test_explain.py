"""`explain` on a simulated phone fleet whose laws are known, on reports, and on the command line."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from noisediag.cli import app
from noisediag.errors import UnreadableError, UsageError
from noisediag.footprint.file import CheckpointId
from noisediag.footprint.values import Known
from noisediag.images import dng_writing as dng
from noisediag.reports import Failure
from noisediag.reports import csv as csv_report
from noisediag.reports import json as json_report
from noisediag.studies import simulate
from noisediag.studies.explain import model as explain_model
from noisediag.studies.explain import report as explain_report
from noisediag.studies.explain.data import Record, read_report, tags_of
from noisediag.studies.explain.plots import PLOTS
from noisediag.studies.explain.study import ExplainOptions, ExplainResult, Explanation, run
from noisediag.studies.simulate import NoiseOptions, SimulateOptions

GAINS = (2e-5, 3e-5, 5e-5)  # 1/e- at ISO 100, of three sensors
READ_E, DARK_E_PER_S = (3.0, 2.0, 4.0), (200.0, 100.0, 400.0)
OPTIONS = ExplainOptions("fleet", permutations=39)


def sensor_noise(camera: int, iso: float, exposure_s: float) -> tuple[float, float]:
    """Shot gain and read noise, normalised: the gain follows ISO, the dark current's electrons the exposure time."""
    gain = GAINS[camera] * iso / 100
    return gain, gain * math.sqrt(READ_E[camera] ** 2 + DARK_E_PER_S[camera] * exposure_s)


def fleet(files: int, seed: int, *, confounded: bool = False) -> list[Record]:
    """Records of a fleet with estimation errors of 7 % (gain) and 15 % (read noise).

    `confounded`: the exposure follows ISO as an automatic exposure makes it.
    """
    generator = np.random.default_rng(seed)
    records = []
    for number in range(files):
        camera, iso = int(generator.integers(3)), float(generator.choice([100, 200, 400, 800]))
        exposure = 10 ** generator.uniform(-2, 1.8)
        if confounded:
            exposure = 1000 / iso * math.exp(0.1 * generator.standard_normal())
        gain, read = sensor_noise(camera, iso, exposure)
        tags: dict[str, float | str] = {
            "ISO": iso,
            "ExposureTime": exposure,
            "FNumber": float(generator.choice([1.8, 2.2, 2.8])),
            "Date": generator.uniform(20000, 20300),
            "Camera": f"Phone {'ABC'[camera]}",
        }
        values = {}
        for name, value, error in (("shot_gain", gain, 0.03), ("read_noise", read, 0.06)):
            value *= 10 ** (error * generator.standard_normal())
            values[name] = Known(value, value / 10 ** (1.645 * error), value * 10 ** (1.645 * error))
        values["sigma_at_18pct"] = Known(math.sqrt(gain * 0.18 + read**2))
        records.append(Record(f"{number}.dng", tags, values))
    return records


@pytest.fixture(scope="module")
def result() -> ExplainResult:
    return run(fleet(120, 0), OPTIONS)


def of(result: ExplainResult, target: str) -> Explanation:
    return next(explanation for explanation in result.explanations if explanation.target == target)


class TestFleet:
    def test_iso_drives_the_shot_gain_and_exposure_the_read_noise(self, result: ExplainResult) -> None:
        shot, read = of(result, "shot_gain"), of(result, "read_noise")
        assert [effect.tag for effect in shot.effects[:2]] == ["ISO", "Camera"]
        assert [effect.tag for effect in read.effects[:3]] == ["ExposureTime", "ISO", "Camera"]
        assert min(shot.r2, read.r2) > 0.95
        for explanation, drivers in ((shot, {"ISO", "Camera"}), (read, {"ISO", "Camera", "ExposureTime"})):
            assert drivers <= {effect.tag for effect in explanation.effects if effect.beyond_chance}

    def test_the_gain_doubles_with_iso(self, result: ExplainResult) -> None:
        names = [tag.name for tag in result.tags]
        explanation = of(result, "shot_gain")
        iso = result.tags[names.index("ISO")].values[explanation.rows]
        effect = explanation.shapley[:, names.index("ISO")]
        steps = np.diff([effect[iso == level].mean() for level in np.unique(iso)])
        assert steps == pytest.approx(math.log10(2), abs=0.02)

    def test_shapley_values_add_up_to_the_prediction(self, result: ExplainResult) -> None:
        for explanation in result.explanations:
            total = explanation.base + explanation.shapley.sum(axis=1)
            np.testing.assert_allclose(total, explanation.prediction, atol=1e-9)
        rows = csv.DictReader(io.StringIO(explain_report.dumps_csv(result)))
        for row in rows:
            parts = [float(cell) for key, cell in row.items() if key == "base" or key.startswith("shapley_")]
            assert sum(parts) == pytest.approx(float(row["prediction"]), abs=1e-6)

    def test_planted_confounding_is_reported(self) -> None:
        together = run(fleet(60, 1, confounded=True), OPTIONS)
        assert [(pair.a, pair.b) for pair in together.together] == [("ISO", "ExposureTime")]
        assert "ISO and ExposureTime move together" in explain_report.warnings(together)[0]

    def test_independent_tags_are_not(self, result: ExplainResult) -> None:
        assert result.together == ()

    def test_the_same_seed_gives_the_same_bytes(self, result: ExplainResult) -> None:
        assert explain_report.dumps(run(fleet(120, 0), OPTIONS)) == explain_report.dumps(result)


class TestModel:
    @pytest.fixture
    def interacting(self) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(3)
        table = np.stack(
            [generator.choice([0.0, 1.0, 2.0, 3.0], 80), generator.uniform(0, 1, 80), generator.integers(0, 3, 80)], 1
        )
        y = table[:, 0] + np.sin(4 * table[:, 1]) * (1 + table[:, 0]) + 0.5 * (table[:, 2] == 1)
        return table, y + 0.02 * generator.standard_normal(80)

    def test_shapley_values_are_those_of_the_definition(self, interacting: tuple[np.ndarray, np.ndarray]) -> None:
        """All coalitions, the absent tags taken from each file in turn."""
        table, y = interacting
        model = explain_model.fit(table, [False, False, True], y, np.ones(80))
        assert model.weight > 0
        found = explain_model.explain(model, table)

        def value(i: int, coalition: tuple[int, ...]) -> float:
            mixed = table.copy()
            mixed[:, list(coalition)] = table[i, list(coalition)]
            return float(model.predict(mixed).mean())

        assert found.base == pytest.approx(value(0, ()), abs=1e-9)
        for i in (0, 17, 51):
            for j in range(3):
                others = [k for k in range(3) if k != j]
                expected = 0.0
                for size in range(3):
                    share = math.factorial(size) * math.factorial(2 - size) / math.factorial(3)
                    for members in itertools.combinations(others, size):
                        expected += share * (value(i, (*members, j)) - value(i, members))
                assert found.shapley[i, j] == pytest.approx(expected, abs=1e-9)
        pair = [value(i, (0, 1)) - value(i, (0,)) - value(i, (1,)) + value(i, ()) for i in range(80)]
        assert found.interaction[0, 1] == pytest.approx(np.mean(np.abs(pair)), abs=1e-9)
        assert max(found.interaction, key=lambda key: found.interaction[key]) == (0, 1)

    def test_our_ridge_is_scikit_learn_s(self, interacting: tuple[np.ndarray, np.ndarray]) -> None:
        table, y = interacting
        weights = np.linspace(0.5, 1.5, 80)
        model = explain_model.fit(table, [False, False, True], y, weights)
        x = model.design(table).matrix(model.weight)
        coefficients, intercept = explain_model.ridge_regression(x, y, weights, model.alpha)
        np.testing.assert_allclose(coefficients, model.ridge.coef_, atol=1e-7)
        assert intercept == pytest.approx(model.ridge.intercept_, abs=1e-7)

    @pytest.mark.acceptance
    @pytest.mark.parametrize("parameter", ["shot_gain", "read_noise"])
    def test_a_shuffled_tag_stays_in_its_band(self, say: Callable[[str], None], parameter: str) -> None:
        """100 runs, each with a tag of its own that was shuffled: 95 are expected in, 90 have probability 0.97."""
        records = fleet(60, 4)
        y = np.log10([record.values[parameter].value for record in records])
        iso = np.log2([float(record.tags["ISO"]) for record in records])
        exposure = np.log2([float(record.tags["ExposureTime"]) for record in records])
        inside = 0
        for number in range(100):
            generator = np.random.default_rng(number)
            table = np.stack([iso, generator.permutation(exposure)], axis=1)
            model = explain_model.fit(table, [False, False], y, np.ones(60))
            null = explain_model.shuffled(model, table, y, np.ones(60), 1, 39, generator)
            inside += bool(explain_model.explain(model, table).importance[1] <= explain_model.band(null))
        say(f"explain: a shuffled tag stays in the band of {parameter} in {inside} of 100 runs")
        assert inside >= 90

    @pytest.mark.parametrize(("draws", "place"), [(39, 38), (199, 190), (200, 191)])
    def test_the_band_is_an_order_statistic(self, draws: int, place: int) -> None:
        assert explain_model.band(np.arange(1.0, draws + 1)) == place

    def test_r2_is_of_files_that_were_held_out(self) -> None:
        generator = np.random.default_rng(0)
        table, y = generator.standard_normal((60, 4)), generator.standard_normal(60)
        assert explain_model.cross_validated_r2(table, [False] * 4, y, np.ones(60), generator) < 0.1

    def test_association(self) -> None:
        generator = np.random.default_rng(1)
        x, camera = generator.standard_normal(300), generator.integers(0, 3, 300).astype(float)
        assert explain_model.association(x, False, np.exp(-x), False) == pytest.approx(1)
        assert explain_model.association(x, False, generator.standard_normal(300), False) < 0.2
        assert explain_model.association(camera, True, 10 * camera + x, False) > 0.9
        assert explain_model.association(x, False, camera, True) < 0.2


class TestWhatIsUsed:
    def test_fewer_than_50_files_are_refused(self) -> None:
        with pytest.raises(UsageError, match="49 files; at least 50"):
            run(fleet(49, 0), OPTIONS)

    def test_tags_that_do_not_vary_are_refused(self) -> None:
        same = [replace(record, tags={"ISO": 100.0, "Camera": "Phone A"}) for record in fleet(50, 0)]
        with pytest.raises(UsageError, match="no acquisition tag varies"):
            run(same, OPTIONS)

    def test_too_few_values_and_rare_tags_are_said(self) -> None:
        records = fleet(60, 0)
        few = [replace(r, values={"shot_gain": r.values["shot_gain"]}) for r in records]
        few = [replace(r, tags={**r.tags, "Temperature": 20.0}) if i < 20 else r for i, r in enumerate(few)]
        few[0] = replace(few[0], tags={k: v for k, v in few[0].tags.items() if k != "ISO"})
        found = run(few, OPTIONS)
        assert [explanation.target for explanation in found.explanations] == ["shot_gain"]
        assert "Temperature is not used: only 20 of 60 files have it" in found.notes
        assert "1 files are left out: they lack a tag that the others have" in found.notes
        assert "read noise is not explained: 0 files have a value, 50 are needed" in found.notes
        assert len(found.paths) == 59

    def test_files_that_all_lack_one_tag_or_another_are_refused(self) -> None:
        records = fleet(60, 0)
        for i, record in enumerate(records):
            lost = ("ISO", "FNumber", "Date")[i % 3] if i < 30 else ""
            records[i] = replace(record, tags={k: v for k, v in record.tags.items() if k != lost})
        with pytest.raises(UsageError, match="only 30 files have all of ISO"):
            run(records, OPTIONS)

    def test_rare_cameras_count_as_one(self) -> None:
        records = [replace(r, tags={**r.tags, "Camera": f"Cam {i % 20:02}"}) for i, r in enumerate(fleet(60, 0))]
        (camera,) = (tag for tag in run(records, OPTIONS).tags if tag.category)
        assert len(camera.levels) == 12
        assert camera.levels[-1] == "other"

    def test_tags(self) -> None:
        tags = tags_of({
            "ISO": 400, "ExposureTime": 0, "FNumber": "", "DateTimeOriginal": "2026:01:02 12:00:00",
            "Make": "Maker", "Model": "One", "CCD-TEMP": -10.0, "FocalLength": "no number",
        })  # fmt: skip
        assert tags == {"ISO": 400.0, "Date": 20455.5, "Camera": "Maker One", "Temperature": -10.0}
        assert tags_of({"DateTimeOriginal": "2026-01-02T12:00:00Z"}) == {"Date": 20455.5}
        assert tags_of({"DateTimeOriginal": "0000:00:00 00:00:00"}) == {}


CHECKPOINT = CheckpointId("sensor", "0" * 64)


class TestReports:
    @pytest.fixture
    def reports(self, make_footprint, tmp_path: Path) -> list[Path]:
        outcomes = [
            make_footprint(path="a.dng"),
            Failure("b.dng", "unreadable", "no picture"),
            make_footprint(path="c\x85d.dng", acquisition={"ISO": 800, "Model": "=One"}),
        ]
        paths = [tmp_path / f"report.{suffix}" for suffix in ("json", "csv", "jsonl")]
        paths[0].write_text(json_report.dumps(outcomes, CHECKPOINT), encoding="utf-8")
        paths[1].write_text(csv_report.dumps(outcomes, CHECKPOINT), encoding="utf-8")
        lines = (json.dumps(json_report.image(outcome), ensure_ascii=False) + "\n" for outcome in outcomes)
        paths[2].write_text("".join(lines), encoding="utf-8")
        return paths

    def test_all_formats_say_the_same(self, reports: list[Path]) -> None:
        for path in reports:
            first, second = read_report(path)
            assert (first.path, second.path) == ("a.dng", "c\x85d.dng")
            assert first.tags == {"ISO": 400.0, "ExposureTime": 0.01, "FNumber": 1.8, "Camera": "Maker One"}
            assert second.tags["ISO"] == 800
            assert set(first.values) == {"sigma_at_18pct", "shot_gain", "read_noise", "row_noise"}
            assert first.values["shot_gain"] == Known(2.1e-5, 1.89e-5, 2.31e-5)

    @pytest.mark.parametrize(
        ("name", "content"),
        [("a.json", "{"), ("a.json", "[]"), ("a.jsonl", "1\n"), ("a.csv", "path,ISO\nx,1\n"), ("a.csv", b"\xff\xfe")],
    )
    def test_anything_else_is_unreadable(self, tmp_path: Path, name: str, content: str | bytes) -> None:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(UnreadableError, match="is no noisediag report"):
            read_report(path)

    def test_table(self, result: ExplainResult) -> None:
        console = Console(width=80, file=io.StringIO())
        console.print(explain_report.render(result))
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        assert "read noise: 120 files, cross-validated R2 0.9" in shown
        assert "no more than chance" in shown

    def test_json(self, result: ExplainResult) -> None:
        document = json.loads(explain_report.dumps(result))
        assert document["schema"] == "noisediag.explain/1"
        read = next(entry for entry in document["explanations"] if entry["parameter"] == "read_noise")
        assert read["tags"][0]["tag"] == "ExposureTime"
        row = read["rows"][5]
        assert read["base"] + sum(row["shapley"].values()) == pytest.approx(row["prediction"], abs=1e-6)

    def test_plots(self, result: ExplainResult, tmp_path: Path) -> None:
        for name, draw in PLOTS.items():
            draw(result, tmp_path / name)
            with Image.open(tmp_path / name) as image:
                assert len(image.convert("RGB").getcolors(1 << 24)) > 50


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


class TestCommand:
    @pytest.fixture
    def report(self, make_footprint, make_plane, tmp_path: Path) -> Path:
        footprints = [
            make_footprint(
                path=record.path,
                planes=(make_plane(values={name: value.value for name, value in record.values.items()}),),
                acquisition={key: record.tags[key] for key in ("ISO", "ExposureTime", "FNumber")},
            )
            for record in fleet(60, 2)
        ]
        path = tmp_path / "report.csv"
        path.write_text(csv_report.dumps(footprints, CHECKPOINT), encoding="utf-8")
        return path

    def test_table_files_and_plots(self, report: Path, tmp_path: Path) -> None:
        out, plots = tmp_path / "out.json", tmp_path / "plots"
        done = invoke(report, "-o", out, "--plots", plots, "--permutations", 39)
        assert (done.exit_code, done.stdout) == (0, ""), done.output
        assert json.loads(out.read_text("utf-8"))["files"] == 60
        assert sorted(path.name for path in plots.iterdir()) == sorted(PLOTS)
        again = invoke(report, "--plots", plots)
        assert again.exit_code == 2
        assert "--force" in again.stderr
        shown = invoke(report, "--permutations", 39)
        assert shown.exit_code == 0
        assert all(len(line) <= 80 for line in shown.stdout.splitlines())
        assert "shot gain: 60 files" in shown.stdout

    def test_refused(self, report: Path, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("no report")
        for arguments, words, code in (
            ((tmp_path / "none.csv",), "no such file", 3),
            ((tmp_path / "notes.txt",), "neither a folder nor a report", 2),
            ((report, "--json", "--csv"), "exclude each other", 2),
            ((report, "--plots", report), "is no folder", 2),
            ((report, "-o", report), "never overwritten", 2),
            ((report, "--permutations", 5), "39", 2),
        ):
            result = invoke(*arguments)
            assert (result.exit_code, result.stdout) == (code, ""), result.output
            assert words in result.stderr

    @pytest.mark.acceptance
    def test_a_folder_of_raw_files(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        sized: Callable[[Any, Any], Any],
        say: Callable[[str], None],
    ) -> None:
        """The whole way: a phone fleet's files, estimated one by one. Small files rarely show their read noise."""
        photos = tmp_path / "photos"
        photos.mkdir()
        generator = np.random.default_rng(0)
        for number in range(sized(56, 180)):
            camera, iso = number % 3, float(generator.choice(sized((400, 1600, 6400), (800, 1600, 3200))))
            exposure = 10 ** generator.uniform(-2, sized(0, 1))
            gain, read = sensor_noise(camera, iso, exposure)
            read = sized(5e-4 * math.sqrt(1 + exposure), read)
            monkeypatch.setattr(dng, "MODEL", f"phone {camera}")
            _write(photos / f"{number}.dng", gain, read, iso, exposure, number, sized(192, 512))
        (photos / "broken.dng").write_bytes(b"II*\0")
        done = invoke(photos, "--json", "--permutations", 39)
        assert done.exit_code == 3, done.output
        assert "broken.dng: the TIFF header is cut off" in done.stderr
        document = json.loads(done.stdout)
        assert {tag["name"] for tag in document["tags"]} == {"ISO", "ExposureTime", "Camera"}
        found = {entry["parameter"]: entry for entry in document["explanations"]}
        for name, first in (("shot_gain", "ISO"), ("read_noise", "ExposureTime")):
            if name not in found and sized(1, 0):
                continue
            order = [f"{tag['tag']} {tag['importance']:.3f}" for tag in found[name]["tags"]]
            say(f"explain: {name} by {', '.join(order)}; R2 {found[name]['r2_cross_validated']:.2f}")
            assert found[name]["tags"][0]["tag"] == first
        assert found["shot_gain"]["r2_cross_validated"] > 0.9


def _write(path: Path, gain: float, read: float, iso: float, exposure_s: float, seed: int, side: int) -> None:
    """A small RAW file of a scene that is dark in part, with these tags."""
    written: list[dng.DngTags] = []
    original = dng.write_dng

    def tagged(part: Path, mosaic: np.ndarray, tags: dng.DngTags) -> None:
        written.append(replace(tags, iso=int(iso), exposure_s=exposure_s))
        original(part, mosaic, written[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "write_dng", tagged)
        noise = NoiseOptions(shot_gain=gain, read_noise=read)
        simulate.run(
            SimulateOptions(
                path, scene="gradient", size=(side, side), noise=noise, seed=seed, bit_depth=14, black_dn=1024
            )
        )
    assert written
