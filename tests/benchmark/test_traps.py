"""`noisediag benchmark traps`: the judge on hand-made answers, and the run with a stand-in for the model."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from noisediag.benchmark import running
from noisediag.benchmark.traps import run as study
from noisediag.benchmark.traps.judging import judge, judge_advice
from noisediag.benchmark.traps.result import TrapOptions
from noisediag.cli import app
from noisediag.errors import UnsupportedError, UsageError
from noisediag.footprint.plane import CurvePoint
from noisediag.footprint.values import Bounded
from noisediag.genome.traps.kinds import KINDS
from noisediag.genome.traps.truth import NoiseAt, Truth

BLACK_DN, SPAN_DN = 512.0, 15871.0  # of the hand-made planes
LEVEL_DN = BLACK_DN + 0.1 * SPAN_DN


@pytest.fixture
def answer(make_plane, make_footprint):
    """`answer(sigma, low, high, flags, warnings, values, uneven)`: constant noise in DN."""

    def make(sigma=10.0, low=9.0, high=11.0, *, values=None, **fields):
        curve = tuple(
            CurvePoint(x, sigma / SPAN_DN, low / SPAN_DN, high / SPAN_DN) for x in (0.01, 0.05, 0.1, 0.2, 0.3)
        )
        return make_footprint(planes=(make_plane(values=values, curve=curve),), **fields)

    return make


def noise(sigma_dn, parts_dn=None):
    return (Truth(noise=(NoiseAt(LEVEL_DN, sigma_dn, parts_dn),)),)


@pytest.mark.parametrize(
    ("truth_dn", "low", "high", "verdict"),
    [
        (11.5, 9.9, 10.1, "right"),  # within 20 %
        (14.0, 8.0, 15.0, "right"),  # in an interval that is narrow
        (14.0, 4.0, 15.0, "honest"),  # in a wide one
        (14.0, 9.0, 11.0, "wrong"),
    ],
)
def test_sigma(answer, truth_dn, low, high, verdict) -> None:
    assert judge(noise(truth_dn), answer(10.0, low, high)).verdict == verdict


def test_levels_beyond_the_curve_are_not_asked_for(answer) -> None:
    far = (Truth(noise=(NoiseAt(BLACK_DN + 0.9 * SPAN_DN, 99.0),)),)
    assert judge(far, answer()).verdict == "right"


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({}, "wrong"),
        ({"flags": ("rendered", "clipped", "assumed_scale")}, "wrong"),
        ({"flags": ("misfit",)}, "honest"),
        ({"flags": ("out_of_domain",)}, "honest"),
        ({"warnings": ("the law does not explain the picture",)}, "honest"),
    ],
)
def test_what_was_said_excuses_what_is_wrong(answer, said, verdict) -> None:
    judgement = judge(noise(30.0), answer(**said))
    assert judgement.verdict == verdict
    assert judgement.wrong == ("sigma at 2099 DN 10 (9 .. 11) DN, true 30",)


def test_noise_that_differs_between_parts(answer) -> None:
    parts = noise(14.0, (10.0, 20.0))
    assert judge(parts, answer(10.0)).verdict == "wrong"  # one part is told, nothing of the other
    assert judge(parts, answer(10.0, flags=("uneven",))).verdict == "honest"
    assert judge(parts, answer(10.0, flags=("uneven",), uneven=(1.0, 2.0))).verdict == "right"
    assert judge(parts, answer(10.0, uneven=(1.0, 4.0))).verdict == "wrong"
    assert judge(noise(11.0, (10.0, 11.9)), answer(10.5)).verdict == "right"  # both are near


def test_gain(answer) -> None:
    claimed = answer(values={"shot_gain": 1 / SPAN_DN})  # 1 DN/e-, 0.9 to 1.1
    withheld = answer(values={"shot_gain": None})
    assert judge([Truth(gain_dn=1.2)], claimed).verdict == "right"
    assert judge([Truth(gain_dn=2.0)], claimed).verdict == "wrong"
    assert judge([Truth(gain_dn=2.0)], withheld).verdict == "honest"
    assert judge([Truth(no_electrons=True)], withheld).verdict == "right"
    assert judge([Truth(no_electrons=True)], claimed).verdict == "wrong"
    assert judge([Truth(no_electrons=True)], replace(claimed, flags=("smoothed",))).verdict == "honest"


def test_structure(answer, make_plane, make_footprint) -> None:
    correlated = answer(values={"correlation": 1.0, "row_noise": None})
    assert judge([Truth(independent=False)], correlated).verdict == "right"
    assert judge([Truth(independent=True)], correlated).verdict == "wrong"
    assert judge([Truth(no_verdict=True)], correlated).verdict == "wrong"
    assert judge([Truth(absent=("correlation",))], correlated).verdict == "wrong"
    assert judge([Truth(absent=("row_noise",))], correlated).verdict == "right"
    truths = (Truth(absent=("row_noise",), channel="a"), Truth(absent=("row_noise",), channel="b"))
    planes = [make_plane(channel="a", values={"row_noise": None}), make_plane(channel="b")]
    assert judge(truths[:1], make_footprint(planes=tuple(planes))).verdict == "right"
    assert judge(truths, make_footprint(planes=tuple(planes))).verdict == "wrong"


def test_sigma_of_a_channel(make_plane, make_footprint) -> None:
    footprint = make_footprint(planes=(make_plane(effective_sigma=20 / 255),))
    assert judge([Truth(channel_sigma=21.0)], footprint).verdict == "right"
    assert judge([Truth(channel_sigma=30.0)], footprint).verdict == "wrong"


@pytest.mark.parametrize("flag", ["misfit", "uneven", "black_doubtful", "smoothed", "saturation_measured"])
def test_a_calm_picture_may_not_be_doubted(answer, flag) -> None:
    assert judge(noise(10.0), answer(flags=(flag,)), control=True).verdict == "wrong"
    assert judge(noise(10.0), answer(flags=(flag,))).verdict == "right"
    assert judge(noise(10.0), answer(flags=("clipped",)), control=True).verdict == "right"


def test_advice() -> None:
    class Advice:
        def __init__(self, gain, warnings=()):
            self.gain, self.warnings = gain, warnings

    verdicts = [
        judge_advice(Truth(gain_dn=2.0), Advice(Bounded(2.1, 2.0, 2.2))),
        judge_advice(Truth(gain_dn=2.0), Advice(Bounded(5.0, 4.0, 6.0))),
        judge_advice(Truth(gain_dn=2.0), Advice(Bounded(5.0, 4.0, 6.0), ("frames are correlated",))),
        judge_advice(Truth(gain_dn=2.0), Advice(Bounded(None))),
        judge_advice(Truth(no_electrons=True), Advice(Bounded(5.0, 4.0, 6.0))),
        judge_advice(Truth(no_electrons=True), Advice(None)),
    ]
    assert [found.verdict for found in verdicts] == ["right", "wrong", "honest", "honest", "wrong", "right"]


@pytest.fixture
def model(answer, monkeypatch):
    """A model that says 10 DN of anything, and refuses floats."""

    class Model:
        def estimate(self, image):
            if image.planes[0].step_dn is None:
                raise UnsupportedError("floats")
            return answer(values={"shot_gain": None})

    monkeypatch.setattr(running.ShippedModels, "__call__", lambda self: {"noisediag": Model()})


@pytest.mark.usefixtures("model")
def test_run() -> None:
    kinds = ("pixels_missing", "hot_pixels", "calm_additive")
    result = study.run(TrapOptions(kinds=kinds, per_kind=2, seed=1))
    rows = {row.kind: (row.n, row.right, row.honest, row.wrong) for row in (*result.rows, *result.totals)}
    assert [row.kind for row in result.rows] == ["hot_pixels", "pixels_missing", "calm_additive"]
    assert rows["pixels_missing"] == (2, 0, 2, 0)
    assert rows["calm_additive"][0] == 2
    assert rows["all"][0] == 6
    assert rows["all traps"][0] == 4
    assert {answer.file for answer in result.answers if answer.kind == "hot_pixels"} == {
        "hot_pixels-0.dng",
        "hot_pixels-1.dng",
    }
    assert study.run(TrapOptions(kinds=kinds[:1], per_kind=2, seed=1)).answers == tuple(
        answer for answer in result.answers if answer.kind == "pixels_missing"
    )


def test_kinds_that_do_not_exist_are_named_with_those_that_do() -> None:
    with pytest.raises(UsageError, match=r"--kinds mirages: there are soft_ceiling, .*calm_additive"):
        study.run(TrapOptions(kinds=("mirages", "calm_raw")))


@pytest.mark.usefixtures("model")
def test_command(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    words = ["benchmark", "traps", "--kinds", "hot_pixels, third_missing", "--per-kind", "1", "--keep", str(keep)]
    outcome = CliRunner().invoke(app, [*words, "--verbose", "-o", str(tmp_path / "x.json")])
    assert outcome.exit_code == 0, outcome.output
    assert "honest third_missing-0.tif\n  withheld: refused" in outcome.stdout
    assert max(map(len, outcome.stdout.splitlines())) <= 80
    assert {path.name for path in keep.iterdir()} == {"hot_pixels-0.dng", "third_missing-0.tif"}
    document = json.loads((tmp_path / "x.json").read_text())
    assert document["schema"] == "noisediag.traps/1"
    assert document["options"].keys() == {"kinds", "per_kind", "seed", "data", "split", "limit_per_domain"}
    assert document["answers"][1]["judgement"]["verdict"] == "honest"
    assert CliRunner().invoke(app, words).exit_code == 2  # the folder is not empty
    again = CliRunner().invoke(app, [*words, "--force", "--csv"])
    rows = list(csv.DictReader(io.StringIO(again.stdout)))
    assert [row["kind"] for row in rows] == ["hot_pixels", "third_missing", "all traps", "all"]


def test_every_kind_says_what_it_is() -> None:
    assert all(kind.text.endswith(".") for kind in KINDS.values())
    assert sum(kind.control for kind in KINDS.values()) == 3
