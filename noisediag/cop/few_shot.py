"""A head from about a hundred labels: Gaussian processes on what the frozen networks say of a picture.

A mean of zero about the labels' own, a covariance that is linear and squared-exponential in each group of inputs, and
its ten or so hyper-parameters by marginal likelihood in closed form: nothing can over-fit that a hundred labels do not
carry. Intervals are CV+ (Barber, Candes, Ramdas, Tibshirani 2021): every fold's own process and its own errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from noisediag.engine import Tensor, nn, torch
from noisediag.errors import CheckpointError, UsageError, is_name

FOLDS = 10  # of CV+
TAIL = 0.05  # at each end of an interval
MIN_SHOTS_FOR_INTERVALS = 19  # below, TAIL of the folds' errors is less than one of them
SEARCH_SHOTS = 300  # that the hyper-parameters are fitted to, evenly taken
SEARCH_STEPS = 80
SEARCH_RATE = 0.15
NOISE_FLOOR = 1e-3  # of the labels' variance
START = {"linear": -2.0, "smooth": -0.5, "length": 0.0, "noise": -1.5}  # logarithms, the centre of their priors
PRIOR_SPREAD = {"linear": 2.0, "smooth": 1.5, "length": 0.7, "noise": 1.5}
TEMPERATURES = tuple(0.05 * 1.25**i for i in range(16))
MAX_SIZE = 1_000_000  # of anything in a head that is loaded
MAX_DEVIATIONS = 8.0  # at which inputs are cut: one odd number must not run away with a linear term


@dataclass(frozen=True)
class Column:
    """What is learned of one name. `log`: by its logarithm; `words` of a class, in the order of its outputs."""

    name: str
    unit: str
    scale: Literal["log", "linear", "class"]
    words: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        return len(self.words) if self.scale == "class" else 1

    def encode(self, value: float | str) -> list[float]:
        """A label as the process sees it."""
        if isinstance(value, str):
            return [float(word == value) for word in self.words]
        return [math.log(value) if self.scale == "log" else value]


@dataclass(frozen=True)
class Labels:
    """Encoded labels of one column: `values` (n, outputs), meaningless where not `known` (n,)."""

    values: Tensor
    known: Tensor


@dataclass(frozen=True)
class FewShotConfig:
    """Sizes of a head; travels in the checkpoint. `groups`: widths of the inputs that share a length."""

    columns: tuple[Column, ...]
    groups: tuple[int, ...]
    shots: int
    models: int  # the one of all shots, and those of the folds
    judged: int  # pictures whose errors give the intervals: the shots themselves, each by its own fold

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the buffers of a head of these sizes."""
        total = sum(self.groups)
        found: dict[str, tuple[int, ...]] = {"shift": (total,), "scale": (total,), "inputs": (self.shots, total)}
        for i, column in enumerate(self.columns):
            found |= {
                f"hyper_{i}": (self.models, 3 * len(self.groups) + 1),
                f"coefficients_{i}": (self.models, self.shots, column.outputs),
                f"centre_{i}": (self.models, column.outputs),
                f"error_{i}": (self.judged, column.outputs),
                f"judge_{i}": (self.judged,),
                f"temperature_{i}": (),
            }
        return found

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> FewShotConfig:
        """The inverse of `plain`, after JSON. Raises CheckpointError where it is none."""
        try:
            columns = tuple(Column(**{**c, "words": tuple(c["words"])}) for c in plain["columns"])
            found = cls(columns, tuple(plain["groups"]), plain["shots"], plain["models"], plain["judged"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError("the checkpoint holds no usable configuration for its own head") from error
        sizes = (*found.groups, found.shots, found.models, found.judged)
        if not (
            columns
            and found.groups
            and all(type(size) is int and 1 <= size <= MAX_SIZE for size in sizes)
            and len({column.name for column in columns}) == len(columns)
            and all(map(_is_column, columns))
        ):
            raise CheckpointError("the checkpoint's own head has sizes or names that cannot be")
        return found


def _is_column(column: Column) -> bool:
    words = column.words
    return (
        is_name(column.name)
        and (column.unit == "" or is_name(column.unit))
        and column.scale in ("log", "linear", "class")
        and (column.scale == "class") == bool(words)
        and all(map(is_name, words))
        and len(set(words)) == len(words)
    )


@dataclass(frozen=True)
class Reading:
    """What a head says of one column: a number with its 90 % interval (None below 19 shots), or a word."""

    column: Column
    value: float | str
    low: float | None
    high: float | None
    share: float | None  # calibrated probability of the word


class FewShotHead(nn.Module):
    """One process for all shots and one for each fold, a column at a time. All in double precision."""

    shift: Tensor
    scale: Tensor
    inputs: Tensor

    def __init__(self, config: FewShotConfig):
        super().__init__()
        self.config = config
        for name, shape in config.shapes.items():
            start = 1.0 if name.startswith(("scale", "temperature")) else 0.0
            if name.startswith("judge_"):  # the process that each error is of; -1: this label is not known
                self.register_buffer(name, torch.full(shape, -1))
            else:
                self.register_buffer(name, torch.full(shape, start, dtype=torch.float64))

    def check(self) -> None:
        """Raise CheckpointError where numbers that were loaded cannot be those of a head."""
        for i in range(len(self.config.columns)):
            judge = self.part("judge", i)
            if not (int(judge.min()) >= -1 and int(judge.max()) < self.config.models):
                raise CheckpointError("the checkpoint's own head names a process that it does not have")
            if not float(self.part("temperature", i)) > 0:
                raise CheckpointError("the checkpoint's own head has a temperature that cannot be")
        if not bool((self.scale > 0).all()):
            raise CheckpointError("the checkpoint's own head has a scale that cannot be")

    def part(self, name: str, column: int) -> Tensor:
        """The buffer `name` of a column."""
        return self.get_buffer(f"{name}_{column}")

    def judge(self, column: int, error: Tensor, by: Tensor) -> None:
        """The errors (judged, outputs) that intervals come from, and the process (judged,) each is of; -1: none."""
        self.part("error", column).copy_(torch.where(by[:, None] >= 0, error, 0.0))
        self.part("judge", column).copy_(by)

    def standardised(self, inputs: Tensor) -> Tensor:
        return ((inputs.double() - self.shift) / self.scale).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)

    def outputs(self, inputs: Tensor, column: int) -> Tensor:
        """What every process says, `(models, B, outputs)`, of inputs `(B, sum(groups))`."""
        terms = Terms.between(self.standardised(inputs), self.inputs, self.config.groups)
        predictions = []
        for hyper, coefficients, centre in zip(
            self.part("hyper", column), self.part("coefficients", column), self.part("centre", column), strict=True
        ):
            predictions.append(centre + terms.covariance(hyper) @ coefficients)
        return torch.stack(predictions)

    def read(self, inputs: Tensor) -> list[list[Reading]]:
        """For each of B pictures the readings of all columns."""
        by_column = [self._readings(inputs, i) for i in range(len(self.config.columns))]
        return [list(readings) for readings in zip(*by_column, strict=True)]

    def _readings(self, inputs: Tensor, number: int) -> list[Reading]:
        column, predicted = self.config.columns[number], self.outputs(inputs, number)
        if column.scale == "class":
            shares = (predicted[0] / self.part("temperature", number)).softmax(1)
            best = shares.argmax(1)
            return [
                Reading(column, column.words[int(b)], None, None, float(s[b]))
                for b, s in zip(best, shares, strict=True)
            ]
        native = torch.exp if column.scale == "log" else torch.clone
        values = native(predicted[0, :, 0])
        judge = self.part("judge", number)
        known = judge >= 0
        rank = math.floor(TAIL * (int(known.sum()) + 1))
        if int(known.sum()) < MIN_SHOTS_FOR_INTERVALS:
            return [Reading(column, float(v), None, None, None) for v in values]
        others, error = predicted[judge[known], :, 0], self.part("error", number)[known].abs()
        low = native((others - error).sort(0).values[rank - 1])
        high = native((others + error).sort(0).values[-rank])
        low, high = torch.minimum(low, values), torch.maximum(high, values)
        return [Reading(column, float(v), float(a), float(b), None) for v, a, b in zip(values, low, high, strict=True)]


@dataclass(frozen=True)
class Terms:
    """What the covariance of two sets of inputs is made of: per group products and squared distances, per dimension."""

    products: Tensor  # (G, n, m)
    distances: Tensor  # (G, n, m)

    @classmethod
    def between(cls, a: Tensor, b: Tensor, groups: Sequence[int]) -> Terms:
        products, distances = [], []
        for x, y in zip(torch.split(a, list(groups), 1), torch.split(b, list(groups), 1), strict=True):
            product = x @ y.T
            square = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * product
            products.append(product / x.shape[1])
            distances.append(square.clamp(min=0) / x.shape[1])
        return cls(torch.stack(products), torch.stack(distances))

    def rows(self, index: Tensor) -> Terms:
        """Between the chosen ones alone."""
        return Terms(self.products[:, index][:, :, index], self.distances[:, index][:, :, index])

    def covariance(self, hyper: Tensor) -> Tensor:
        """`(n, m)`; `hyper` holds logarithms: linear and smooth variances, lengths of every group, noise."""
        linear, smooth, length = hyper[:-1].exp().view(3, -1, 1, 1)
        of_groups: Tensor = linear * self.products + smooth * torch.exp(-0.5 * self.distances / length.square())
        return of_groups.sum(0)


def learn(
    inputs: Tensor, groups: Sequence[int], columns: Sequence[Column], labels: Sequence[Labels], fold: Tensor | None
) -> FewShotHead:
    """The head of shots with `inputs` (n, sum(groups)).

    `fold` (n,) numbers the part of CV+ of each, from 0; shots of one acquisition belong in one. None: no intervals.
    Inputs and labels are standardised by the shots themselves.
    """
    n, models = len(inputs), 1 if fold is None else int(fold.max()) + 2
    judge = torch.full((n,), -1) if fold is None else fold + 1
    head = FewShotHead(FewShotConfig(tuple(columns), tuple(groups), n, models, n))
    inputs = inputs.double()
    head.shift.copy_(inputs.mean(0))
    head.scale.copy_(inputs.std(0, correction=0).clamp(min=1e-9))
    head.inputs.copy_(head.standardised(inputs))
    terms = Terms.between(head.inputs, head.inputs, groups)
    for number, (column, label) in enumerate(zip(columns, labels, strict=True)):
        predicted = torch.zeros_like(label.values)
        for model in range(models):
            out = label.known & (judge == model) & (model > 0)
            used = label.known & ~out
            if int(used.sum()) < 2:
                raise UsageError(f"{column.name}: too few of its labels are outside one acquisition")
            index = used.nonzero()[:, 0]
            hyper, coefficients, centre = _process(terms.rows(index), label.values[index])
            head.part("hyper", number)[model] = hyper
            head.part("coefficients", number)[model, index] = coefficients
            head.part("centre", number)[model] = centre
            if bool(out.any()):
                between = Terms(terms.products[:, out], terms.distances[:, out])
                predicted[out] = centre + between.covariance(hyper) @ head.part("coefficients", number)[model]
        if fold is not None:
            head.judge(number, label.values - predicted, torch.where(label.known, judge, -1))
            if column.scale == "class":
                temperature = _temperature(predicted[label.known], label.values[label.known])
                head.part("temperature", number).copy_(temperature)
    return head


def _process(terms: Terms, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hyper-parameters, coefficients (n, outputs) and centre (outputs,) of one process; outputs share the first."""
    centre = values.mean(0)
    spread = (values - centre).square().mean().sqrt().clamp(min=1e-12)
    target = (values - centre) / spread
    n = len(values)
    index = torch.linspace(0, n - 1, min(n, SEARCH_SHOTS)).round().long()
    hyper = _search(terms.rows(index), target[index])
    noise = hyper[-1].exp() + NOISE_FLOOR
    solved = torch.linalg.solve(terms.covariance(hyper) + noise * torch.eye(n, dtype=torch.float64), target)
    return hyper, solved * spread, centre


def _search(terms: Terms, target: Tensor) -> Tensor:
    """The hyper-parameters of the largest marginal likelihood times prior."""
    groups, n = len(terms.products), len(target)
    start = torch.tensor([START[k] for k in ("linear", "smooth", "length") for _ in range(groups)] + [START["noise"]])
    spread = [PRIOR_SPREAD[k] for k in ("linear", "smooth", "length") for _ in range(groups)] + [PRIOR_SPREAD["noise"]]
    start, width = start.double(), torch.tensor(spread).double()
    hyper = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([hyper], lr=SEARCH_RATE)
    eye = torch.eye(n, dtype=torch.float64)
    with torch.enable_grad():
        for _ in range(SEARCH_STEPS):
            lower = torch.linalg.cholesky(terms.covariance(hyper) + (hyper[-1].exp() + NOISE_FLOOR) * eye)
            white = torch.linalg.solve_triangular(lower, target, upper=False)
            value = 0.5 * white.square().sum() + target.shape[1] * lower.diagonal().log().sum()
            value = value + 0.5 * ((hyper - start) / width).square().sum()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return hyper.detach()


def _temperature(predicted: Tensor, truth: Tensor) -> Tensor:
    """What makes a softmax of the folds' answers `(n, words)` the most likely about the words they did not see."""
    temperatures = torch.tensor(TEMPERATURES, dtype=torch.float64)
    losses = torch.stack([-(truth * (predicted / t).log_softmax(1)).sum(1).mean() for t in temperatures])
    return temperatures[losses.argmin()]
