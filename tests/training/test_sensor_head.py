"""Calibration of the sensor head: every picture's intervals by the errors of its own group, judged as they are used."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from noisediag.cop.calibration import EVERYTHING
from noisediag.cop.heads import CURVE_QUANTILES, LEARNED, Evidence, SensorHead, SensorReading
from noisediag.cop.models import Familiarity, SensorModel
from noisediag.training.sensor_head import HeadSet, calibration_of, groups_of, join_head_sets, learn_familiarity
from noisediag.training.validation import validate_head

COUNT = 3_000
SMALL, LARGE = 100, 50_000  # blocks
WIDER = 3.0  # errors in the group of large pictures over those in the other


class StandardHead:
    """Says of everything: present, 0 +- 1 (the 5 % and the 95 % quantile)."""

    def __call__(self, evidence: Evidence, embedding: torch.Tensor) -> SensorReading:
        count = len(embedding)
        quantiles = torch.tensor([-1.0, 0.0, 1.0])
        return SensorReading(
            quantiles=quantiles.expand(count, len(LEARNED), 3),
            limit=torch.zeros(count, len(LEARNED)),
            present=torch.ones(count, len(LEARNED)),
            curve=quantiles.expand(count, len(CURVE_QUANTILES), 3),
        )


def pictures(seed: int, count: int = COUNT) -> HeadSet:
    """Half of them small with errors of SD 1, half large with WIDER; nothing is clean."""
    generator = torch.Generator().manual_seed(seed)
    large = torch.arange(count) % 2 == 1
    spread = torch.where(large, WIDER, 1.0)[:, None]
    flat = torch.zeros(count, 1)
    signal = torch.tensor([0.2, 0.5, 0.8]).expand(count, 3)
    everywhere = torch.ones(count, len(LEARNED), dtype=torch.bool)
    return HeadSet(
        evidence=Evidence(flat, flat, torch.zeros(count, len(LEARNED)), signal, signal, torch.full((count,), 0.9)),
        embedding=flat,
        truth=spread * torch.randn(count, len(LEARNED), generator=generator),
        scored=everywhere,
        absent=~everywhere,
        curve_truth=spread * torch.randn(count, len(CURVE_QUANTILES), generator=generator),
        curve_scored=torch.ones(count, len(CURVE_QUANTILES), dtype=torch.bool),
        blocks=torch.where(large, LARGE, SMALL),
        clean=torch.zeros(count, dtype=torch.bool),
    )


def test_curve_and_parameters_are_stretched_by_the_errors_of_each_group() -> None:
    data = pictures(1)
    small, large = groups_of(data, raw=False)[:2]
    raw_small, raw_large = groups_of(data, raw=True)[:2]
    tables = calibration_of(cast(SensorHead, StandardHead()), data, data)
    for name in ("curve", *LEARNED):
        table = tables["intervals"][name]
        assert set(table) == {EVERYTHING, small, large, raw_small, raw_large}, name
        for side in (0, 1):
            assert table[small][side] == pytest.approx(1.645, rel=0.15), name
            assert table[large][side] == pytest.approx(WIDER * 1.645, rel=0.15), name
            assert table[small][side] < table[EVERYTHING][side] < table[large][side], name
            assert table[raw_large][side] > 2 * table[raw_small][side], name
            assert table[raw_small][side] > table[small][side], name  # the same errors, a smaller tail


def test_coverage_is_that_of_calibrated_intervals_by_group() -> None:
    head = cast(SensorHead, StandardHead())
    calibration = calibration_of(head, pictures(1), pictures(2))
    model = cast(SensorModel, SimpleNamespace(head=head, calibration=calibration))
    fresh = pictures(3)
    large = replace(fresh, curve_scored=fresh.curve_scored & (fresh.blocks == LARGE)[:, None])
    for data in (fresh, large):
        figures = validate_head(model, data)
        assert figures["coverage_percent"] == pytest.approx(90, abs=2)
        assert figures["curve_coverage_percent"] == pytest.approx(90, abs=2)  # of all; and of the large ones alone
        assert "false_alarms_percent" not in figures  # nothing is clean
    narrow = {name: {EVERYTHING: (1.0, 1.0)} for name in ("curve", *LEARNED)}
    uncalibrated = SimpleNamespace(head=head, calibration={**calibration, "intervals": narrow})
    figures = validate_head(cast(SensorModel, uncalibrated), fresh)
    # a standard normal is within 1 in 68.3 %, one of SD 3 in 26.1 %
    assert figures["curve_coverage_percent"] == pytest.approx((68.3 + 26.1) / 2, abs=2)


def test_false_alarms_are_counted_on_clean_pictures() -> None:
    head = cast(SensorHead, StandardHead())
    data = pictures(4, 200)
    calibration = calibration_of(head, data, data)
    model = cast(SensorModel, SimpleNamespace(head=head, calibration=calibration))
    clean = replace(data, clean=torch.arange(200) < 50)
    assert validate_head(model, clean)["false_alarms_percent"] == 100
    silent = {**calibration, "alarms": dict.fromkeys(LEARNED, 2.0)}
    quiet = cast(SensorModel, SimpleNamespace(head=head, calibration=silent))
    assert validate_head(quiet, clean)["false_alarms_percent"] == 0


def test_sets_are_joined_in_order() -> None:
    first, second = pictures(5, 4), pictures(6, 6)
    both = join_head_sets([first, second])
    assert torch.equal(both.truth, torch.cat([first.truth, second.truth]))
    assert torch.equal(both.evidence.signal, torch.cat([first.evidence.signal, second.evidence.signal]))


def test_what_lies_farther_than_training_is_unfamiliar() -> None:
    generator = torch.Generator().manual_seed(7)
    mixing = torch.randn(8, 8, generator=generator)
    seen = torch.randn(4_000, 8, generator=generator) @ mixing + 3
    familiarity = Familiarity(8, 4)
    learn_familiarity(familiarity, seen, quantile=0.99)
    fresh = torch.randn(4_000, 8, generator=generator) @ mixing + 3
    assert float((familiarity(fresh) > familiarity.threshold).float().mean()) == pytest.approx(0.01, abs=0.008)
    assert float(familiarity(seen).square().mean()) == pytest.approx(1, rel=0.02)
    assert (familiarity(fresh + 20) > familiarity.threshold).float().mean() > 0.95
