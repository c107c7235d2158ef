"""The physical limit, with a stand-in whose error is known."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from noisediag.benchmark import limit
from noisediag.benchmark.limit import NOISES, STANDARD_DEVIATION, FlatJob, LimitOptions, LimitResult
from noisediag.errors import UsageError
from noisediag.footprint.plane import VarianceLaw
from noisediag.genome.cases import CONTAINER_STEP

OFF = 1.1


@pytest.fixture
def models(make_plane, make_footprint):
    """The standard deviation of all pixels, 10 % too large; none at all where the noise is strong."""

    class Model:
        def estimate(self, image):
            plane = image.planes[0]
            assert (plane.black_dn, plane.white_dn, image.domain) == (0, 65535, "linear")
            sigma = OFF * plane.load().std() / 65535
            law = VarianceLaw(shot=0.0, intercept=sigma**2 if sigma < 0.017 else 0.0, square=0.0, floor=0.0)
            return make_footprint(planes=(make_plane(law=law),))

    return lambda: {"noisediag": Model()}


@pytest.fixture
def result(models) -> LimitResult:
    options = LimitOptions(draws=12, sizes_px=(32,), large_px=64, baselines=False)
    return limit.run(options, models=models)


def test_a_planted_error_is_reported_as_bias(result: LimitResult) -> None:
    rows = {(r.method, r.size_px, r.sigma, r.step): r for r in result.rows}
    weak = NOISES[1]
    for size in (32, 64):
        model, ideal = (rows[m, size, weak.sigma, weak.step] for m in ("noisediag", STANDARD_DEVIATION))
        assert model.n == ideal.n == 12
        assert model.bias == pytest.approx(ideal.bias + math.log(OFF), abs=1e-3)  # 1/(2 N) between the two divisors
        assert abs(ideal.bias) < 4 / math.sqrt(2 * size**2 * 12)
        assert ideal.over_bound == pytest.approx(1, abs=0.7)  # 12 draws: 3 standard errors
        assert model.over_bound == pytest.approx(model.rms * math.sqrt(2) * size)


def test_a_picture_without_an_answer_counts_as_such(result: LimitResult) -> None:
    strong = NOISES[-1]
    row = next(r for r in result.rows if (r.method, r.sigma, r.size_px) == ("noisediag", strong.sigma, 32))
    assert row.answered == 0
    assert math.isnan(row.bias)
    assert "nan" not in limit.dumps_csv(result)
    assert json.loads(limit.dumps(result))["rows"][-2]["rms"] is None


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.label)
def test_flat_fields_hold_the_noise_they_say_on_the_lattice_they_say(noise: limit.Noise) -> None:
    for draw in range(3):
        codes, level = limit.flat_field(FlatJob(noise, 256, draw), seed=0)
        x = codes / 65535
        assert max(0.1, 5 * noise.total) <= level <= min(0.9, 1 - 5 * noise.total)
        assert x.mean() == pytest.approx(level, abs=5 * noise.total / 256 + noise.step / 500)
        # half a step of sigma leaves 1.2 % to the level's place between two codes
        assert x.std() == pytest.approx(noise.total, rel=5 / math.sqrt(2 * x.size) + 0.012 * (noise.sigma < noise.step))
        steps = np.rint(noise.step / CONTAINER_STEP)
        assert not (codes % steps).any()
        again, _ = limit.flat_field(FlatJob(noise, 256, draw), seed=0)
        other, _ = limit.flat_field(FlatJob(noise, 256, draw), seed=1)
        assert (again == codes).all()
        assert (other != codes).any()


def test_baselines_are_asked_at_256_only(models) -> None:
    result = limit.run(LimitOptions(draws=1, sizes_px=(32, 256), large_px=None), models=models)
    assert {r.size_px for r in result.rows if r.method == "Immerkaer"} == {256}
    assert all(abs(r.bias) < 0.1 for r in result.rows if r.method == "Immerkaer")


def test_large_pictures_have_fewer_draws() -> None:
    jobs = limit._jobs(LimitOptions())
    counts = {size: sum(job.size_px == size for job in jobs) for size in (256, 1024, 2048)}
    assert counts == {256: 200 * len(NOISES), 1024: 200 * len(NOISES), 2048: 20 * len(NOISES)}
    assert sum(job.size_px == 2048 for job in limit._jobs(LimitOptions(draws=3))) == 3 * len(NOISES)


def test_tables_fit_80_columns(result: LimitResult) -> None:
    stream = io.StringIO()
    Console(width=80, file=stream).print(limit.render(result))
    assert "sigma 0.5 q" in stream.getvalue()
    assert "…" not in stream.getvalue()
    rows = list(csv.DictReader(io.StringIO(limit.dumps_csv(result))))
    assert len(rows) == len(result.rows)
    assert json.loads(limit.dumps(result))["schema"] == "noisediag.limit/1"


def test_no_draws_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--draws"):
        limit.run(LimitOptions(draws=0), models=dict)
