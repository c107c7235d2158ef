"""The few-shot head on points of a known law."""

from __future__ import annotations

import pytest
import torch

from noisediag.cop import few_shot
from noisediag.cop.few_shot import Column, FewShotConfig, FewShotHead, Labels
from noisediag.errors import CheckpointError

GROUPS = (4, 8)


def points(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs `(n, 12)` and what a smooth law of two of them gives, with a noise of 0.1."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, sum(GROUPS), generator=generator, dtype=torch.float64)
    y = x[:, 0] + torch.sin(x[:, 1]) + 0.1 * torch.randn(n, generator=generator, dtype=torch.float64)
    return x, y


def everything(values: torch.Tensor) -> Labels:
    return Labels(values, torch.ones(len(values), dtype=torch.bool))


def fit(n: int, *, folds: int = 10) -> FewShotHead:
    x, y = points(n)
    column = Column("bend", "mm", "linear")
    return few_shot.learn(x, GROUPS, [column], [everything(y[:, None])], torch.arange(n) % folds)


@pytest.fixture(scope="module")
def head() -> FewShotHead:
    return fit(60)


def test_it_finds_the_law_and_its_intervals_cover(head: FewShotHead) -> None:
    x, y = points(400, seed=1)
    readings = [row[0] for row in head.read(x)]
    said = torch.tensor([float(r.value) for r in readings], dtype=torch.float64)
    assert float((said - y).square().mean() / y.var()) < 0.15
    inside = [r.low <= float(t) <= r.high for r, t in zip(readings, y, strict=True)]  # type: ignore[operator]
    assert 0.82 < sum(inside) / len(inside) <= 1  # 90 % promised; 60 shots, three standard errors


def test_no_interval_below_19_shots() -> None:
    x, _ = points(3, seed=2)
    assert all(row[0].low is None and row[0].high is None for row in fit(18).read(x))
    assert all(row[0].low is not None for row in fit(19).read(x))


def test_the_same_labels_give_the_same_head(head: FewShotHead) -> None:
    again = fit(60).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in head.state_dict().items())


def test_unknown_labels_are_not_learned_from() -> None:
    x, y = points(40)
    known = torch.arange(40) % 2 == 0
    columns = [Column("bend", "", "log")]
    wild = torch.where(known, y.exp().log(), torch.tensor(1e6, dtype=torch.float64))
    masked = few_shot.learn(x, GROUPS, columns, [Labels(wild[:, None], known)], torch.arange(40) % 5)
    readings = masked.read(x)
    assert all(0 < float(row[0].value) < 100 for row in readings)


def test_classes_with_a_calibrated_share() -> None:
    x, y = points(90)
    words = Column("kind", "", "class", ("high", "low"))
    encoded = torch.tensor([words.encode("high" if v > 0 else "low") for v in y], dtype=torch.float64)
    made = few_shot.learn(x, GROUPS, [words], [everything(encoded)], torch.arange(90) % 10)
    asked, truth = points(300, seed=3)
    readings = [row[0] for row in made.read(asked)]
    right = [r.value == ("high" if v > 0 else "low") for r, v in zip(readings, truth, strict=True)]
    shares = [float(r.share or 0) for r in readings]
    assert sum(right) / len(right) > 0.88
    assert abs(sum(shares) / len(shares) - sum(right) / len(right)) < 0.1
    assert all(r.low is None and r.high is None for r in readings)


def test_the_configuration_survives_and_a_damaged_one_is_refused() -> None:
    config = FewShotConfig((Column("a", "px", "class", ("x", "y")),), GROUPS, 5, 3, 5)
    assert FewShotConfig.of(config.plain()) == config
    with pytest.raises(CheckpointError, match="no usable configuration"):
        FewShotConfig.of({"columns": []})
