"""How a head of few labels is learned: its hyper-parameters, and by evidence what each name is read from.

The evidence is the marginal likelihood of the shots times the prior of the hyper-parameters, a label at a time. It
knows what a hundred labels do not carry, so it chooses the inputs, a process or a ridge, and a logarithm or none.
Whether parts of a whole share one process is asked of the errors that each shot has where it is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from noisediag.cop.few_shot import MAX_DEVIATIONS, Column, FewShotConfig, FewShotHead, Labels, Terms
from noisediag.engine import Tensor, torch
from noisediag.errors import UsageError

FOLDS = 10  # of CV+
SEARCH_SHOTS = 300  # that the hyper-parameters are fitted to, evenly taken
SEARCH_STEPS = 80
CHOICE_STEPS = 40  # to tell which of several has more evidence
CHOICE_SHOTS = 150  # that choices are made by, evenly taken
SEARCH_RATE = 0.15
NOISE_FLOOR = 1e-3  # of the labels' variance
START = {"linear": -2.0, "smooth": -0.5, "length": 0.0, "noise": -1.5}  # logarithms, the centre of their priors
START_OF_RIDGE = 0.0  # of "linear", where nothing else explains anything
PRIOR_SPREAD = {"linear": 2.0, "smooth": 1.5, "length": 0.7, "noise": 1.5}
OFF = -80.0  # the logarithm of a variance that is none
SUM_TOLERANCE = 0.02  # of the total of labels that are rounded
DOUBT = (10.0, 0.3)  # nats, and nats a label, by which a logarithm has to be better for a fraction, see `choose`
TEMPERATURES = tuple(0.05 * 1.25**i for i in range(16))


@dataclass(frozen=True)
class Inputs:
    """Of shots: `values` (n, sum(groups)), the groups' widths and names."""

    values: Tensor
    groups: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Fitted:
    """One process: `hyper` of all groups, `coefficients` (n, outputs), `centre` (outputs,)."""

    hyper: Tensor
    coefficients: Tensor
    centre: Tensor
    evidence: float  # negative logarithm of likelihood times prior, of all labels in their own unit
    left_out: float  # sum of the squared errors of labels that are left out, each alone


def learn(
    inputs: Inputs, columns: Sequence[Column], labels: Sequence[Labels], fold: Tensor | None, total: float | None = None
) -> FewShotHead:
    """The head of shots with `inputs`.

    `fold` (n,) numbers the part of CV+ of each, from 0; shots of one acquisition belong in one. None: no intervals.
    Inputs and labels are standardised by the shots themselves. `total` of the columns that are parts.
    """
    n, models = len(inputs.values), 1 if fold is None else int(fold.max()) + 2
    judge = torch.full((n,), -1) if fold is None else fold + 1
    head = FewShotHead(
        FewShotConfig(
            tuple(columns), inputs.groups, n, models, n, inputs.names, total, _all_parts(labels, columns, total)
        )
    )
    values = inputs.values.double()
    head.shift.copy_(values.mean(0))
    head.scale.copy_(values.std(0, correction=0).clamp(min=1e-9))
    head.inputs.copy_(head.standardised(values))
    terms = Terms.between(head.inputs, head.inputs, inputs.groups)
    together = [number for number, column in enumerate(columns) if column.joint]
    alone = [[number] for number, column in enumerate(columns) if not column.joint]
    for numbers in [*alone, *([together] if together else [])]:
        _learn_together(head, terms, numbers, labels, judge)
    if fold is not None:
        _judge(head, values, labels, judge)
    return head


def _learn_together(
    head: FewShotHead, terms: Terms, numbers: Sequence[int], labels: Sequence[Labels], judge: Tensor
) -> None:
    """The columns `numbers` by one search for hyper-parameters, which are those of the folds' processes, too."""
    columns = [head.config.columns[number] for number in numbers]
    known = torch.stack([labels[number].known for number in numbers]).all(0)
    values = torch.cat([labels[number].values for number in numbers], 1)
    hyper = None
    for model in range(head.config.models):
        used = known & ~((judge == model) & (model > 0))
        if int(used.sum()) < 2:
            raise UsageError(f"{columns[0].name}: too few of its labels are outside one acquisition")
        index = used.nonzero()[:, 0]
        found = fit(terms.rows(index), values[index], head.config.inputs, columns[0], hyper)
        hyper = found.hyper
        widths = [column.outputs for column in columns]
        split = (torch.split(found.coefficients, widths, 1), torch.split(found.centre, widths))
        for number, coefficients, centre in zip(numbers, *split, strict=True):
            head.part("hyper", number)[model] = hyper
            head.part("coefficients", number)[model, index] = coefficients
            head.part("centre", number)[model] = centre


def _all_parts(labels: Sequence[Labels], columns: Sequence[Column], total: float | None) -> bool:
    """Whether the columns that are parts make up the whole."""
    parts = [label.values[:, 0] for label, column in zip(labels, columns, strict=True) if column.part]
    known = [label.known for label, column in zip(labels, columns, strict=True) if column.part]
    if total is None or not parts:
        return True
    sums = torch.stack(parts).sum(0)[torch.stack(known).all(0)]
    return bool((sums - total).abs().max() < SUM_TOLERANCE * total) if len(sums) else True


def _judge(head: FewShotHead, values: Tensor, labels: Sequence[Labels], judge: Tensor) -> None:
    """The errors of the shots, each by the process that has not seen it, and of classes their temperature."""
    everyone = torch.arange(len(values))
    for number, (said, label) in enumerate(zip(head.outputs(values), labels, strict=True)):
        unseen = said[judge, everyone]
        head.judge(number, label.values - unseen, torch.where(label.known, judge, -1))
        if head.config.columns[number].scale == "class":
            temperature = _temperature(unseen[label.known], label.values[label.known])
            head.part("temperature", number).copy_(temperature)


def fit(
    terms: Terms,
    values: Tensor,
    names: Sequence[str],
    column: Column,
    hyper: Tensor | None = None,
    *,
    steps: int | None = None,
) -> Fitted:
    """The process of `values` (n, outputs); outputs share the hyper-parameters.

    It reads the groups that `column` names, in the way it says. `hyper`: parameters that are not to be searched for.
    `steps` of the search, SEARCH_STEPS where not said.
    """
    groups = len(names)
    active = torch.tensor([not column.reads or name in column.reads for name in names]).nonzero()[:, 0]
    places = torch.cat([*(active + groups * kind for kind in range(3)), torch.tensor([3 * groups])])
    chosen = Terms(terms.products[active], terms.distances[active])
    centre = values.mean(0)
    spread = (values - centre).square().mean().sqrt().clamp(min=1e-12)
    target = (values - centre) / spread
    n, cost = len(values), 0.0
    if hyper is None:
        index = torch.linspace(0, n - 1, min(n, SEARCH_SHOTS)).round().long()
        own, cost = _search(chosen.rows(index), target[index], steps or SEARCH_STEPS, ridge=column.by == "ridge")
        cost *= n / len(index)
        hyper = torch.full((3 * groups + 1,), OFF, dtype=torch.float64)
        hyper[2 * groups : 3 * groups] = 0.0
        hyper[places] = own
    own = hyper[places]
    kernel = chosen.covariance(own) + (own[-1].exp() + NOISE_FLOOR) * torch.eye(n, dtype=torch.float64)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel))
    solved = inverse @ target
    return Fitted(
        hyper=hyper,
        coefficients=solved * spread,
        centre=centre,
        evidence=cost + values.numel() * math.log(float(spread)),
        left_out=float((spread * solved / inverse.diagonal()[:, None]).square().sum()),
    )


def _search(terms: Terms, target: Tensor, steps: int, *, ridge: bool) -> tuple[Tensor, float]:
    """The hyper-parameters of the largest marginal likelihood times prior, and its negative logarithm."""
    groups, n = len(terms.products), len(target)
    kinds = [kind for kind in ("linear", "smooth", "length") for _ in range(groups)] + ["noise"]
    start = torch.tensor([START[kind] for kind in kinds], dtype=torch.float64)
    width = torch.tensor([PRIOR_SPREAD[kind] for kind in kinds], dtype=torch.float64)
    fixed = torch.zeros_like(start)
    if ridge:
        start[:groups] = START_OF_RIDGE
        fixed[groups : 2 * groups] = OFF
    hyper = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([hyper], lr=SEARCH_RATE)
    eye = torch.eye(n, dtype=torch.float64)

    def cost() -> Tensor:
        lower = torch.linalg.cholesky(terms.covariance(hyper + fixed) + (hyper[-1].exp() + NOISE_FLOOR) * eye)
        white = torch.linalg.solve_triangular(lower, target, upper=False)
        likelihood = 0.5 * white.square().sum() + target.shape[1] * lower.diagonal().log().sum()
        total: Tensor = likelihood + 0.5 * ((hyper - start) / width).square().sum()
        return total

    with torch.enable_grad():
        for _ in range(steps):
            optimizer.zero_grad()
            cost().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.no_grad():
        return (hyper + fixed).detach(), float(cost())


def choose(
    inputs: Inputs,
    candidates: Sequence[Sequence[Column]],
    labels: Sequence[Sequence[Labels]],
    views: Sequence[Sequence[str]],
) -> tuple[Column, ...]:
    """Of each name the candidate with the most evidence, with its inputs and its kind.

    `candidates` of each name differ in scale, `labels` are theirs; `views` are sets of inputs to read. Parts of a whole
    read the same inputs. A fraction (with a `high`) is linear unless a logarithm is better beyond doubt: near 0 a
    logarithm is dense, whatever it is worth elsewhere. Of many shots some, evenly spread, are asked.
    """
    n = len(inputs.values)
    index = torch.linspace(0, n - 1, min(n, CHOICE_SHOTS)).round().long()
    values = inputs.values.double()[index]
    values = (values - values.mean(0)) / values.std(0, correction=0).clamp(min=1e-9)
    values = values.clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
    terms = Terms.between(values, values, inputs.groups)
    asked = [[Labels(one.values[index], one.known[index]) for one in alternatives] for alternatives in labels]
    parts = [number for number, (column, *_) in enumerate(candidates) if column.part]
    shared = _of_parts(terms, inputs.names, [candidates[i][0] for i in parts], [asked[i][0] for i in parts], views)
    found: list[Column] = []
    for number, alternatives in enumerate(candidates):
        if number in parts:
            found.append(shared[parts.index(number)])
            continue
        costs = []
        for column, label in zip(alternatives, asked[number], strict=True):
            costs.append(_cheapest(column, views, partial(_cost, terms, inputs.names, label)))
        found.append(min(costs, key=lambda pair: pair[0])[1])
    return tuple(found)


def _cheapest(column: Column, views: Sequence[Sequence[str]], cost: Callable[[Column], float]) -> tuple[float, Column]:
    """`column` by the view of the least cost, as a process or, of that view, as a ridge; and that cost."""
    asked = [(cost(kind), kind) for kind in (replace(column, reads=tuple(view)) for view in views)]
    least, best = min(asked, key=lambda pair: pair[0])
    ridge = replace(best, by="ridge")
    return min((least, best), (cost(ridge), ridge), key=lambda pair: pair[0])


def _cost(terms: Terms, names: Sequence[str], label: Labels, column: Column) -> float:
    """The negative evidence of labels in their own unit, whatever scale they are learned on."""
    known = label.known.nonzero()[:, 0]
    values = label.values[known]
    cost = fit(terms.rows(known), values, names, column, steps=CHOICE_STEPS).evidence
    if column.scale != "log":
        return cost
    doubt = 0.0 if column.high is None else DOUBT[0] + DOUBT[1] * len(values)
    return cost + float(values.sum()) + doubt


def _of_parts(
    terms: Terms,
    names: Sequence[str],
    parts: Sequence[Column],
    labels: Sequence[Labels],
    views: Sequence[Sequence[str]],
) -> list[Column]:
    """The parts of a whole by the view that is the best for all; one process where that leaves smaller errors."""
    if not parts:
        return []
    known = torch.stack([label.known for label in labels]).all(0).nonzero()[:, 0]
    terms = terms.rows(known)
    values = torch.cat([label.values for label in labels], 1)[known]
    apart: dict[Column, list[Fitted]] = {}

    def cost(kind: Column) -> float:
        each = [values[:, number : number + 1] for number in range(len(parts))]
        apart[kind] = [fit(terms, one, names, kind, steps=CHOICE_STEPS) for one in each]
        return sum(one.evidence for one in apart[kind])

    _, best = _cheapest(parts[0], views, cost)
    left_out = sum(one.left_out for one in apart[best])
    if fit(terms, values, names, best, steps=CHOICE_STEPS).left_out < left_out:
        best = replace(best, joint=True)
    return [replace(part, reads=best.reads, by=best.by, joint=best.joint) for part in parts]


def _temperature(predicted: Tensor, truth: Tensor) -> Tensor:
    """What makes a softmax of the folds' answers `(n, words)` the most likely about the words they did not see."""
    temperatures = torch.tensor(TEMPERATURES, dtype=torch.float64)
    losses = torch.stack([-(truth * (predicted / t).log_softmax(1)).sum(1).mean() for t in temperatures])
    return temperatures[losses.argmin()]
