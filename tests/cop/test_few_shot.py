"""The few-shot head on points of a known law."""

from __future__ import annotations

import pytest
import torch

from noisediag.cop import few_shot_learning as learning
from noisediag.cop.few_shot import Column, FewShotConfig, FewShotHead, Labels, Terms, of_a_whole
from noisediag.cop.few_shot_learning import Inputs
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


NAMES = ("near", "far")


def learn(x: torch.Tensor, columns: list[Column], labels: list[Labels], fold: torch.Tensor | None) -> FewShotHead:
    return learning.learn(Inputs(x, GROUPS, NAMES), columns, labels, fold)


def fit(n: int, *, folds: int = 10) -> FewShotHead:
    x, y = points(n)
    column = Column("bend", "mm", "linear")
    return learn(x, [column], [everything(y[:, None])], torch.arange(n) % folds)


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
    masked = learn(x, columns, [Labels(wild[:, None], known)], torch.arange(40) % 5)
    readings = masked.read(x)
    assert all(0 < float(row[0].value) < 100 for row in readings)


def test_classes_with_a_calibrated_share() -> None:
    x, y = points(90)
    words = Column("kind", "", "class", ("high", "low"))
    encoded = torch.tensor([words.encode("high" if v > 0 else "low") for v in y], dtype=torch.float64)
    made = learn(x, [words], [everything(encoded)], torch.arange(90) % 10)
    asked, truth = points(300, seed=3)
    readings = [row[0] for row in made.read(asked)]
    right = [r.value == ("high" if v > 0 else "low") for r, v in zip(readings, truth, strict=True)]
    shares = [float(r.share or 0) for r in readings]
    assert sum(right) / len(right) > 0.88
    assert abs(sum(shares) / len(shares) - sum(right) / len(right)) < 0.1
    assert all(r.low is None and r.high is None for r in readings)


def test_the_configuration_survives_and_a_damaged_one_is_refused() -> None:
    config = FewShotConfig((Column("a", "px", "class", ("x", "y"), reads=("far",)),), GROUPS, 5, 3, 5, NAMES)
    assert FewShotConfig.of(config.plain()) == config
    with pytest.raises(CheckpointError, match="no usable configuration"):
        FewShotConfig.of({"columns": []})


class TestWhole:
    def test_parts_are_none_below_0_and_sum_to_the_whole(self) -> None:
        generator = torch.Generator().manual_seed(4)
        values = torch.randn(3, 200, 6, generator=generator, dtype=torch.float64)
        shares = of_a_whole(values, 1.0, whole=True)
        assert float(shares.min()) >= 0
        assert torch.allclose(shares.sum(-1), torch.ones(3, 200, dtype=torch.float64))
        # The nearest one: no other set of shares lies nearer.
        other = torch.softmax(torch.randn(500, 6, generator=generator, dtype=torch.float64), 1)
        nearest = (values[0, :, None] - other).square().sum(-1).min(1).values
        assert bool(((values[0] - shares[0]).square().sum(-1) <= nearest + 1e-12).all())

    def test_what_is_one_already_stays(self) -> None:
        shares = torch.softmax(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).double(), 1)
        assert torch.allclose(of_a_whole(shares, 1.0, whole=True), shares)

    def test_some_of_the_parts_may_sum_to_less(self) -> None:
        values = torch.tensor([[0.2, 0.3], [0.9, 0.5], [-0.1, 0.4]], dtype=torch.float64)
        expected = torch.tensor([[0.2, 0.3], [0.7, 0.3], [0.0, 0.4]], dtype=torch.float64)
        assert torch.allclose(of_a_whole(values, 1.0, whole=False), expected)

    def test_a_head_of_parts(self) -> None:
        x, y = points(60)
        share = torch.sigmoid(2 * y)[:, None]
        columns = [Column(name, "", "linear", low=0.0, high=1.0, part=True, joint=True) for name in ("one", "rest")]
        labels = [everything(share), everything(1 - share)]
        head = learning.learn(Inputs(x, GROUPS, NAMES), columns, labels, torch.arange(60) % 10, 1.0)
        assert head.config.whole
        assert torch.equal(head.part("hyper", 0), head.part("hyper", 1))  # one process
        for one, rest in head.read(3 * points(200, seed=5)[0]):
            assert float(one.value) + float(rest.value) == pytest.approx(1)
            assert 0 <= (one.low or 0) <= float(one.value) <= (one.high or 1) <= 1
        alone = learning.learn(Inputs(x, GROUPS, NAMES), columns[:1], labels[:1], None, 1.0)
        assert not alone.config.whole


class TestChoice:
    """What is chosen of candidates on points, by evidence."""

    def choose(self, x: torch.Tensor, candidates: list[Column], labels: list[Labels]) -> Column:
        views = [("near",), ("far",), NAMES]
        return learning.choose(Inputs(x, GROUPS, NAMES), [candidates], [labels], views, torch.arange(len(x)))[0]

    def test_the_inputs_that_know_the_label(self) -> None:
        x, y = points(60)
        assert self.choose(x, [Column("bend", "", "linear")], [everything(y[:, None])]).reads == ("near",)
        other = x[:, 6] - x[:, 9] + 0.1 * x[:, 0]
        assert self.choose(x, [Column("far", "", "linear")], [everything(other[:, None])]).reads != ("near",)

    def test_a_ridge_for_a_line_and_a_process_for_a_bend(self) -> None:
        x, _ = points(60)
        noise = 0.1 * points(60, seed=8)[1][:, None]
        line, bend = x[:, :1] + 0.5 * x[:, 1:2], torch.cos(2 * x[:, :1]) + x[:, 1:2].abs()
        assert self.choose(x, [Column("line", "", "linear")], [everything(line + noise)]).by == "ridge"
        assert self.choose(x, [Column("bend", "", "linear")], [everything(bend + noise)]).by == "process"

    def test_a_logarithm_where_the_logarithm_is_what_is_known(self) -> None:
        x, y = points(80)
        both = [Column("y", "", "linear", low=0.0), Column("y", "", "log")]
        wide = (2 * y).exp()[:, None]
        assert self.choose(x, both, [everything(wide), everything(wide.log())]).scale == "log"
        even = (y - y.min() + 0.5)[:, None]
        assert self.choose(x, both, [everything(even), everything(even.log())]).scale == "linear"

    def test_a_fraction_is_linear_unless_beyond_doubt(self) -> None:
        x, y = points(80)
        both = [Column("y", "", "linear", low=0.0, high=1.0), Column("y", "", "log", high=1.0)]
        share = ((y - y.min()) / (y.max() - y.min()) * 0.9 + 0.02)[:, None]
        assert self.choose(x, both, [everything(share), everything(share.log())]).scale == "linear"

    def test_inputs_that_are_not_read_change_nothing(self) -> None:
        x, y = points(60)
        head = learn(x, [Column("bend", "", "linear", reads=("near",))], [everything(y[:, None])], None)
        asked = points(20, seed=9)[0]
        moved = torch.cat([asked[:, :4], asked[:, 4:] + 5], 1)
        assert torch.allclose(head.outputs(asked)[0], head.outputs(moved)[0])


def test_it_knows_what_looks_like_its_shots() -> None:
    x, y = points(60)
    head = learning.learn(
        Inputs(x, GROUPS, ("places", "embedding")), [Column("bend", "", "linear")], [everything(y[:, None])], None
    )
    assert head.knows(x[:1])
    assert sum(head.knows(one[None]) for one in points(100, seed=6)[0]) > 90
    assert not head.knows(torch.cat([x[:1, :4], x[:1, 4:] + 20], 1))
    assert not fit(60).knows(x[:1])  # it does not hold the model's own embedding


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": ("near",)},
        {"inputs": ("near", "near")},
        {"total": float("nan")},
        {"total": "1"},
        {"whole": 1},
        {"columns": ({"name": "a", "unit": "", "scale": "linear", "words": (), "reads": (), "part": True},)},
        {"columns": ({"name": "a", "unit": "", "scale": "linear", "words": (), "reads": (), "low": 1.0, "high": 0.0},)},
        {"columns": ({"name": "a", "unit": "", "scale": "linear", "words": (), "reads": (), "by": "magic"},)},
    ],
)
def test_a_configuration_that_cannot_be(wrong: dict) -> None:
    plain = FewShotConfig((Column("a", "px", "linear"),), GROUPS, 5, 3, 5, NAMES).plain()
    with pytest.raises(CheckpointError):
        FewShotConfig.of({**plain, **wrong})


@pytest.mark.parametrize("bent", [True, False])
def test_the_slope_of_the_likelihood_is_that_of_its_formula(bent: bool) -> None:
    x, y = points(30)
    target = torch.stack([y, y.flip(0)], 1)
    terms = Terms.between(x, x, GROUPS)
    hyper = 0.5 * torch.randn(7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if not bent:
        hyper[2:4] = learning.OFF
    hyper.requires_grad_()
    kernel = learning._kernel(terms, hyper)
    cost = 0.5 * (target * torch.linalg.solve(kernel, target)).sum() + torch.logdet(kernel)  # two outputs
    (expected,) = torch.autograd.grad(cost, hyper)
    found = learning._likelihood_slope(terms, target, hyper.detach(), bent=bent)
    assert torch.allclose(found, expected, rtol=1e-8, atol=1e-10)
