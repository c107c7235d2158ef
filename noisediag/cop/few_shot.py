"""A head from about a hundred labels: Gaussian processes on what the frozen networks say of a picture.

A mean of zero about the labels' own, a covariance that is linear and squared-exponential in each group of inputs, and
its ten or so hyper-parameters by marginal likelihood in closed form: nothing can over-fit that a hundred labels do not
carry. Intervals are CV+ (Barber, Candes, Ramdas, Tibshirani 2021): every fold's own process and its own errors, signed.
How it is learned: `few_shot_learning`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from noisediag.engine import Tensor, nn, torch
from noisediag.errors import CheckpointError, is_name

TAIL = 0.05  # at each end of an interval
MIN_SHOTS_FOR_INTERVALS = 19  # below, TAIL of the folds' errors is less than one of them
MAX_SIZE = 1_000_000  # of anything in a head that is loaded
MAX_DEVIATIONS = 8.0  # at which inputs are cut: one odd number must not run away with a linear term
BEYOND = 1e12  # farther than any two sets of inputs


@dataclass(frozen=True)
class Column:
    """What is learned of one name. `log`: by its logarithm; `words` of a class, in the order of its outputs.

    `low`, `high`: what no value is beyond. `part`: one of several that sum to the head's `total`. `reads`: the inputs
    that were chosen, () where all are read; `by` a process, or a ridge (linear in each input); `joint`: with the same
    hyper-parameters as the other parts.
    """

    name: str
    unit: str
    scale: Literal["log", "linear", "class"]
    words: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    part: bool = False
    reads: tuple[str, ...] = ()
    by: Literal["process", "ridge"] = "process"
    joint: bool = False

    @property
    def outputs(self) -> int:
        return len(self.words) if self.scale == "class" else 1

    def encode(self, value: float | str) -> list[float]:
        """A label as the process sees it."""
        if isinstance(value, str):
            return [float(word == value) for word in self.words]
        return [math.log(value) if self.scale == "log" else value]

    def within(self, values: Tensor) -> Tensor:
        """`values`, in the label's unit, cut to what is possible."""
        return values if self.low is None and self.high is None else values.clamp(self.low, self.high)


@dataclass(frozen=True)
class Labels:
    """Encoded labels of one column: `values` (n, outputs), meaningless where not `known` (n,)."""

    values: Tensor
    known: Tensor


@dataclass(frozen=True)
class FewShotConfig:
    """Sizes of a head; travels in the checkpoint. `groups`: widths of the inputs that share a length, `inputs` their
    names. `total` of the columns that are parts; not `whole`: some parts are not among the columns, so it is a bound.
    """

    columns: tuple[Column, ...]
    groups: tuple[int, ...]
    shots: int
    models: int  # the one of all shots, and those of the folds
    judged: int  # pictures whose errors give the intervals: the shots themselves, each by its own fold
    inputs: tuple[str, ...]
    total: float | None = None
    whole: bool = True

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
            columns = tuple(
                Column(**{**c, "words": tuple(c["words"]), "reads": tuple(c["reads"])}) for c in plain["columns"]
            )
            found = cls(
                columns,
                tuple(plain["groups"]),
                plain["shots"],
                plain["models"],
                plain["judged"],
                tuple(plain["inputs"]),
                plain["total"],
                plain["whole"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError("the checkpoint holds no usable configuration for its own head") from error
        sizes = (*found.groups, found.shots, found.models, found.judged)
        if not (
            columns
            and found.groups
            and all(type(size) is int and 1 <= size <= MAX_SIZE for size in sizes)
            and len({column.name for column in columns}) == len(columns)
            and len(set(found.inputs)) == len(found.inputs) == len(found.groups)
            and all(map(is_name, found.inputs))
            and type(found.whole) is bool
            and _is_bound(found.total)
            and not any(column.part and (found.total is None or column.scale != "linear") for column in columns)
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
        and _is_bound(column.low)
        and _is_bound(column.high)
        and (column.low is None or column.high is None or column.low < column.high)
        and all(map(is_name, column.reads))
        and column.by in ("process", "ridge")
        and {type(column.part), type(column.joint)} == {bool}
    )


def _is_bound(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and type(value) is not bool and math.isfinite(value))


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
                self.register_buffer(name, torch.full(shape, -1, dtype=torch.long))
            else:
                self.register_buffer(name, torch.full(shape, start, dtype=torch.float64))

    def check(self) -> None:
        """Raise CheckpointError where numbers that were loaded cannot be those of a head."""
        for i in range(len(self.config.columns)):
            judge = self.part("judge", i)
            if not bool(((judge >= -1) & (judge < self.config.models)).all()):
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

    def outputs(self, inputs: Tensor) -> list[Tensor]:
        """What every process says, `(models, B, outputs)` of each column, of inputs `(B, sum(groups))`."""
        terms = Terms.between(self.standardised(inputs), self.inputs, self.config.groups)
        said = []
        for number, column in enumerate(self.config.columns):
            predictions = torch.stack(
                [
                    centre + terms.covariance(hyper) @ coefficients
                    for hyper, coefficients, centre in zip(
                        self.part("hyper", number),
                        self.part("coefficients", number),
                        self.part("centre", number),
                        strict=True,
                    )
                ]
            )
            said.append(column.within(predictions) if column.scale == "linear" and not column.part else predictions)
        parts = [number for number, column in enumerate(self.config.columns) if column.part]
        if parts and self.config.total is not None:
            shares = torch.cat([said[number] for number in parts], -1)
            shares = of_a_whole(shares, self.config.total, whole=self.config.whole)
            for place, number in enumerate(parts):
                said[number] = shares[..., place : place + 1]
        return said

    def knows(self, inputs: Tensor) -> bool:
        """Whether inputs (1, sum(groups)) lie no farther from a shot than shots do from each other.

        By the model's own embedding. False where the head does not hold it, or has too few shots.
        """
        if "embedding" not in self.config.inputs or self.config.shots < MIN_SHOTS_FOR_INTERVALS:
            return False
        place = self.config.inputs.index("embedding")
        first = sum(self.config.groups[:place])
        own = slice(first, first + self.config.groups[place])
        shots, asked = self.inputs[:, own], self.standardised(inputs)[:, own]
        nearest = _distances(asked, shots).sort(1).values[0, 0]
        between = _distances(shots, shots) + torch.eye(len(shots), dtype=torch.float64) * BEYOND
        return bool(nearest <= between.sort(1).values[:, 0].max())

    def read(self, inputs: Tensor) -> list[list[Reading]]:
        """For each of B pictures the readings of all columns."""
        by_column = [self._readings(said, i) for i, said in enumerate(self.outputs(inputs))]
        return [list(readings) for readings in zip(*by_column, strict=True)]

    def _readings(self, predicted: Tensor, number: int) -> list[Reading]:
        column = self.config.columns[number]
        if column.scale == "class":
            shares = (predicted[0] / self.part("temperature", number)).softmax(1)
            best = shares.argmax(1)
            return [
                Reading(column, column.words[int(b)], None, None, float(s[b]))
                for b, s in zip(best, shares, strict=True)
            ]

        def native(values: Tensor) -> Tensor:
            return column.within(torch.exp(values) if column.scale == "log" else values)

        values = native(predicted[0, :, 0])
        judge = self.part("judge", number)
        known = judge >= 0
        rank = math.floor(TAIL * (int(known.sum()) + 1))
        if int(known.sum()) < MIN_SHOTS_FOR_INTERVALS:
            return [Reading(column, float(v), None, None, None) for v in values]
        # Signed: each end leaves out TAIL, where sizes of errors at both ends would leave out half as much.
        ends = (predicted[judge[known], :, 0] + self.part("error", number)[known]).sort(0).values
        low, high = native(ends[rank - 1]), native(ends[-rank])
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
            products.append(product / x.shape[1])
            distances.append(_distances(x, y) / x.shape[1])
        return cls(torch.stack(products), torch.stack(distances))

    def rows(self, index: Tensor) -> Terms:
        """Between the chosen ones alone."""
        return Terms(self.products[:, index][:, :, index], self.distances[:, index][:, :, index])

    def covariance(self, hyper: Tensor) -> Tensor:
        """`(n, m)`; `hyper` holds logarithms: linear and smooth variances, lengths of every group, noise."""
        linear, smooth, length = hyper[:-1].exp().reshape(3, -1, 1, 1)
        of_groups: Tensor = linear * self.products + smooth * torch.exp(-0.5 * self.distances / length.square())
        return of_groups.sum(0)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared, `(n, m)`."""
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * (a @ b.T)).clamp(min=0)


def of_a_whole(values: Tensor, total: float, *, whole: bool) -> Tensor:
    """The nearest `(..., m)` that are none below 0 and sum to `total`, or to no more than it if not `whole`.

    Source: Michelot 1986, a projection that leaves out what falls below 0, at most m times.
    """
    kept = torch.ones_like(values)
    result = values
    for _ in range(values.shape[-1]):
        spare = (total - (values * kept).sum(-1)) / kept.sum(-1)
        result = values + spare[..., None]
        kept = torch.where(result > 0, kept, torch.zeros_like(kept))
    result = (result * kept).clamp(min=0)
    if whole:
        return result
    fits = values.clamp(min=0)
    return torch.where((fits.sum(-1) <= total)[..., None], fits, result)
