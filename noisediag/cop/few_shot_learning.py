"""How a head of few labels is learned: its hyper-parameters, and by evidence what each name is read from.

Hyper-parameters are those of the largest marginal likelihood times their prior. The evidence for inputs, for a process
or a ridge, for a logarithm or none, is how likely the labels of an acquisition are to a process that has not seen it,
in closed form (Rasmussen and Williams 2006, 5.4.2, with an unknown mean). The marginal likelihood itself would not do:
frames of one burst know each other's labels, so it votes for whatever tells scenes apart.
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
CHOICE_SHOTS = 300  # that choices are made by, evenly taken
SEARCH_RATE = 0.15
NOISE_FLOOR = 1e-3  # of the labels' variance
START = {"linear": -2.0, "smooth": -0.5, "length": 0.0, "noise": -1.5}  # logarithms, the centre of their priors
START_OF_RIDGE = 0.0  # of "linear", where nothing else explains anything
PRIOR_SPREAD = {"linear": 2.0, "smooth": 1.5, "length": 0.7, "noise": 1.5}
OFF = -80.0  # the logarithm of a variance that is none
FEW = 50  # acquisitions
ERRORS = 2.0  # standard errors by which other inputs have to be better
ALIKE = 0.1  # nats a label: sets of inputs of parts of a whole that say the same
UNKNOWN_MEAN = 10.0  # variance of the mean, in that of the labels, where one is left out
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


@dataclass(frozen=True)
class LeftOut:
    """Labels of acquisitions that are left out, one at a time; of each `(acquisitions,)` the mean of its shots.

    `surprise`: negative log density of the labels as they are learned; `error`: squared. Both of all outputs.
    """

    surprise: Tensor
    error: Tensor


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
    places = _places(names, column)
    chosen = _read(terms, names, column)
    centre = values.mean(0)
    spread = (values - centre).square().mean().sqrt().clamp(min=1e-12)
    target = (values - centre) / spread
    n = len(values)
    if hyper is None:
        index = torch.linspace(0, n - 1, min(n, SEARCH_SHOTS)).round().long()
        hyper = torch.full((3 * groups + 1,), OFF, dtype=torch.float64)
        hyper[2 * groups : 3 * groups] = 0.0
        hyper[places] = _search(chosen.rows(index), target[index], steps or SEARCH_STEPS, ridge=column.by == "ridge")
    solved = torch.linalg.solve(_kernel(chosen, hyper[places]), target)
    return Fitted(hyper, solved * spread, centre)


def _read(terms: Terms, names: Sequence[str], column: Column) -> Terms:
    """Of the groups that `column` reads."""
    active = torch.tensor([not column.reads or name in column.reads for name in names]).nonzero()[:, 0]
    return Terms(terms.products[active], terms.distances[active])


def _places(names: Sequence[str], column: Column) -> Tensor:
    """Where the hyper-parameters of the groups that `column` reads stand among those of all."""
    active = torch.tensor([not column.reads or name in column.reads for name in names]).nonzero()[:, 0]
    return torch.cat([*(active + len(names) * kind for kind in range(3)), torch.tensor([3 * len(names)])])


def _kernel(terms: Terms, hyper: Tensor) -> Tensor:
    """The covariance of shots, noise included."""
    return terms.covariance(hyper) + (hyper[-1].exp() + NOISE_FLOOR) * torch.eye(terms.products.shape[1]).double()


def left_out(terms: Terms, values: Tensor, names: Sequence[str], column: Column, of: Tensor) -> LeftOut:
    """What a process that has not seen an acquisition says of its labels, summed over outputs; `of` (n,) numbers them.

    The hyper-parameters have seen all labels: a dozen numbers that are the same for everyone.
    """
    found = fit(terms, values, names, column, steps=CHOICE_STEPS)
    spread = (values - found.centre).square().mean().sqrt().clamp(min=1e-12)
    kernel = _kernel(_read(terms, names, column), found.hyper[_places(names, column)]) + UNKNOWN_MEAN
    inverse = torch.linalg.inv(kernel)
    solved = inverse @ ((values - found.centre) / spread)
    error, variance = torch.zeros_like(solved), torch.zeros(len(values), dtype=torch.float64)
    shared = _members(of)
    counts = shared.sum(1)
    alone = shared[counts == 1].any(0)
    variance[alone] = 1 / inverse.diagonal()[alone]
    error[alone] = solved[alone] * variance[alone, None]
    for members in shared[counts > 1]:
        own = members.nonzero()[:, 0]
        block = torch.linalg.inv(inverse[own][:, own])
        error[own], variance[own] = block @ solved[own], block.diagonal()
    surprise = 0.5 * ((2 * math.pi * variance[:, None]).log() + error.square() / variance[:, None]) + spread.log()
    mean = shared.double() / counts[:, None]
    return LeftOut((mean @ surprise).sum(1), (mean @ (error * spread).square()).sum(1))


def _members(of: Tensor) -> Tensor:
    """Which shots (n,) each acquisition (a,) holds, of those that hold any."""
    held = torch.arange(int(of.max()) + 1)[:, None] == of
    return held[held.any(1)]


def _search(terms: Terms, target: Tensor, steps: int, *, ridge: bool) -> Tensor:
    """The hyper-parameters of the largest marginal likelihood times prior."""
    groups = len(terms.products)
    kinds = [kind for kind in ("linear", "smooth", "length") for _ in range(groups)] + ["noise"]
    start = torch.tensor([START[kind] for kind in kinds], dtype=torch.float64)
    width = torch.tensor([PRIOR_SPREAD[kind] for kind in kinds], dtype=torch.float64)
    fixed = torch.zeros_like(start)
    if ridge:
        start[:groups] = START_OF_RIDGE
        fixed[groups : 2 * groups] = OFF
    hyper = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([hyper], lr=SEARCH_RATE)
    for _ in range(steps):
        with torch.no_grad():
            slope = _likelihood_slope(terms, target, hyper + fixed, bent=not ridge)
            hyper.grad = slope + (hyper - start) / width.square()
        optimizer.step()
    return (hyper + fixed).detach()


def _likelihood_slope(terms: Terms, target: Tensor, hyper: Tensor, *, bent: bool) -> Tensor:
    """The gradient of the negative log marginal likelihood by `hyper`, in closed form (Rasmussen and Williams, 5.9).

    Not `bent`: without the squared-exponential terms, whose slopes are 0.
    """
    groups, n = terms.products.shape[:2]
    linear, smooth, length = hyper[:-1].exp().reshape(3, groups)
    products, distances = terms.products.flatten(1), terms.distances.flatten(1)
    kernel = linear @ products
    if bent:
        bends = smooth[:, None] * torch.exp(distances * (-0.5 / length.square())[:, None])
        kernel = kernel + bends.sum(0)
    noise = hyper[-1].exp()
    kernel = kernel.reshape(n, n) + (noise + NOISE_FLOOR) * torch.eye(n, dtype=torch.float64)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel))
    solved = inverse @ target
    by_kernel = 0.5 * (target.shape[1] * inverse - solved @ solved.T)
    flat = by_kernel.flatten()
    of_bends = (bends @ flat, (bends * distances) @ flat / length.square()) if bent else (torch.zeros(groups),) * 2
    return torch.cat([linear * (products @ flat), *of_bends, (noise * by_kernel.diagonal().sum())[None]])


def choose(
    inputs: Inputs,
    candidates: Sequence[Sequence[Column]],
    labels: Sequence[Sequence[Labels]],
    views: Sequence[Sequence[str]],
    of: Tensor,
) -> tuple[Column, ...]:
    """Of each name the candidate with the most evidence, with its inputs and its kind.

    `candidates` of each name differ in scale, `labels` are theirs; `views` are sets of inputs to read, which
    stand in this order where evidence does not tell, those of parts of a whole the narrowest first; `of` (n,) numbers
    the acquisitions. Parts of a whole read the same inputs. A fraction (with a `high`) is
    linear unless a logarithm is better beyond doubt: near 0 a logarithm is dense, whatever it is worth elsewhere. Of
    many shots some, evenly spread, are asked.
    """
    n = len(inputs.values)
    index = torch.linspace(0, n - 1, min(n, CHOICE_SHOTS)).round().long()
    values = inputs.values.double()[index]
    values = (values - values.mean(0)) / values.std(0, correction=0).clamp(min=1e-9)
    values = values.clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
    terms = Terms.between(values, values, inputs.groups)
    asked = [[Labels(one.values[index], one.known[index]) for one in alternatives] for alternatives in labels]
    parts = [number for number, (column, *_) in enumerate(candidates) if column.part]
    of = of[index]
    width = dict(zip(inputs.names, inputs.groups, strict=True))
    narrow = sorted(views, key=lambda view: sum(width[name] for name in view))
    shared = _of_parts(terms, inputs.names, [candidates[i][0] for i in parts], [asked[i][0] for i in parts], narrow, of)
    found: list[Column] = []
    for number, alternatives in enumerate(candidates):
        if number in parts:
            found.append(shared[parts.index(number)])
            continue
        costs = []
        for column, label in zip(alternatives, asked[number], strict=True):
            costs.append(_likeliest(column, views, partial(_surprise, terms, inputs.names, label, of)))
        found.append(min(costs, key=lambda pair: pair[0])[1])
    return tuple(found)


def _likeliest(
    column: Column, views: Sequence[Sequence[str]], surprise: Callable[[Column], Tensor], alike: float = math.inf
) -> tuple[float, Column]:
    """`column` by the least surprising view, as a process or as a ridge; and its surprise.

    The first of `views` is taken that none is better than by more than ERRORS, or by more than `alike` nats a label.
    Few labels do not show a bend, so a ridge is asked of every view; of many, of the one that is taken.
    """
    kinds = [replace(column, reads=tuple(view)) for view in views]
    asked = torch.stack([surprise(kind) for kind in kinds])
    if asked.shape[1] < FEW:
        ridges = [replace(kind, by="ridge") for kind in kinds]
        lines = torch.stack([surprise(ridge) for ridge in ridges])
        straight = lines.sum(1) < asked.sum(1)
        asked = torch.where(straight[:, None], lines, asked)
        kinds = [ridge if bool(one) else kind for one, ridge, kind in zip(straight, ridges, kinds, strict=True)]
    away = asked - asked[asked.sum(1).argmin()]
    close = away.mean(1) <= (ERRORS * away.std(1) / math.sqrt(away.shape[1])).clamp(max=alike)
    place = int(close.nonzero()[0, 0])
    ridge = replace(kinds[place], by="ridge")
    both = (float(asked[place].sum()), kinds[place]), (float(surprise(ridge).sum()), ridge)
    return min(both, key=lambda pair: pair[0])


def _surprise(terms: Terms, names: Sequence[str], label: Labels, of: Tensor, column: Column) -> Tensor:
    """Of labels in their own unit, whatever scale they are learned on."""
    known = label.known.nonzero()[:, 0]
    values, of = label.values[known], of[known]
    result = left_out(terms.rows(known), values, names, column, of).surprise
    if column.scale != "log":
        return result
    shared = _members(of).double()
    doubt = 0.0 if column.high is None else DOUBT[0] / len(shared) + DOUBT[1]
    return result + shared @ values[:, 0] / shared.sum(1) + doubt


def _of_parts(
    terms: Terms,
    names: Sequence[str],
    parts: Sequence[Column],
    labels: Sequence[Labels],
    views: Sequence[Sequence[str]],
    of: Tensor,
) -> list[Column]:
    """The parts of a whole by the view that is the best for all; one process where that leaves smaller errors."""
    if not parts:
        return []
    known = torch.stack([label.known for label in labels]).all(0).nonzero()[:, 0]
    terms, of = terms.rows(known), of[known]
    values = torch.cat([label.values for label in labels], 1)[known]
    errors: dict[Column, float] = {}

    def surprise(kind: Column) -> Tensor:
        each = [left_out(terms, values[:, i : i + 1], names, kind, of) for i in range(len(parts))]
        errors[kind] = sum(float(one.error.sum()) for one in each)
        return torch.stack([one.surprise for one in each]).mean(0)

    _, best = _likeliest(parts[0], views, surprise, ALIKE)
    if float(left_out(terms, values, names, best, of).error.sum()) < errors[best]:
        best = replace(best, joint=True)
    return [replace(part, reads=best.reads, by=best.by, joint=best.joint) for part in parts]


def _temperature(predicted: Tensor, truth: Tensor) -> Tensor:
    """What makes a softmax of the folds' answers `(n, words)` the most likely about the words they did not see."""
    temperatures = torch.tensor(TEMPERATURES, dtype=torch.float64)
    losses = torch.stack([-(truth * (predicted / t).log_softmax(1)).sum(1).mean() for t in temperatures])
    return temperatures[losses.argmin()]
