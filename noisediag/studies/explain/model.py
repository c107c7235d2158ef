"""The regression behind `explain`: functions of single tags and of pairs of tags, by ridge regression.

An additive model with interactions (functional ANOVA). Every function of a tag is centred over the files, so the
Shapley values of the model (Shapley 1953; interventional, as in Lundberg & Lee 2017, the files themselves being the
background) have a closed form: a tag gets its own function, and half of each function that it shares with another tag
less that function's mean. They add up to the prediction exactly. Needs scikit-learn (extra `explain`).
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UsageError

Floats = NDArray[np.float64]

KNOTS = 4  # of the splines of a numeric tag, at quantiles of its distinct values
PAIR_FUNCTIONS = 3  # of each tag that enter its interactions, at most
LEAST_DIRECTION = 0.03  # functions that vary less than this share of the largest one rest on single files
ALPHAS = tuple(10.0 ** np.linspace(-2, 3, 11))  # ridge penalties tried
PAIR_WEIGHTS = (0.0, 0.1, 0.5)  # of the interactions' functions: 0 leaves them out
FOLDS = 10
BAND = 0.95


@dataclass(frozen=True)
class Basis:
    """Centred and uncorrelated functions of one tag, of unit variance over the files they were learned from."""

    levels: Floats | None  # of a category
    spline: Any  # SplineTransformer of a number
    mean: Floats
    rotation: Floats

    def __call__(self, values: Floats) -> Floats:
        """`(N,)` values to `(N, functions)`."""
        return (_columns(values, self.levels, self.spline) - self.mean) @ self.rotation


@dataclass(frozen=True)
class Design:
    """What the functions of all tags are at N files: one `(N, r)` a tag."""

    parts: tuple[Floats, ...]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return list(combinations(range(len(self.parts)), 2))

    def pair(self, j: int, k: int) -> Floats:
        """The products of the functions of two tags."""
        a, b = (self.parts[i][:, :PAIR_FUNCTIONS] for i in (j, k))
        return np.asarray(np.einsum("na,nb->nab", a, b).reshape(len(a), -1))

    def matrix(self, weight: float) -> Floats:
        """All columns: the tags' own, then, if they have a weight, those of the pairs."""
        pairs = [math.sqrt(weight) * self.pair(j, k) for j, k in self.pairs] if weight > 0 else []
        return np.concatenate([*self.parts, *pairs], axis=1)


@dataclass(frozen=True)
class Effects:
    """`shapley` (N, tags), and `interaction` (pairs of tags): how far two tags together are from the sum of each."""

    base: float
    shapley: Floats
    interaction: dict[tuple[int, int], float]  # mean absolute value

    @property
    def importance(self) -> Floats:
        """Mean absolute Shapley value of each tag."""
        return np.asarray(np.abs(self.shapley).mean(0))


@dataclass(frozen=True)
class Model:
    """A fitted regression. `weight`: of the interactions; `alpha`: the penalty."""

    bases: tuple[Basis, ...]
    weight: float
    alpha: float
    ridge: Any

    def design(self, table: Floats) -> Design:
        return Design(tuple(basis(table[:, j]) for j, basis in enumerate(self.bases)))

    def predict(self, table: Floats) -> Floats:
        """`(N, tags)` to `(N,)`."""
        return np.asarray(self.ridge.predict(self.design(table).matrix(self.weight)))


def require() -> None:
    """Raise UsageError where scikit-learn is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise UsageError("explain needs scikit-learn: pip install 'noisediag[explain]'")


def fit(table: Floats, categories: Sequence[bool], y: Floats, weights: Floats) -> Model:
    """The model of `y` (N,) by `table` (N, tags); penalties by leave-one-out error. Categories are whole numbers."""
    from sklearn.linear_model import RidgeCV

    bases = tuple(_learn(table[:, j], category) for j, category in enumerate(categories))
    design = Design(tuple(basis(table[:, j]) for j, basis in enumerate(bases)))
    best: tuple[float, float, Any] | None = None
    for weight in PAIR_WEIGHTS if len(bases) > 1 else PAIR_WEIGHTS[:1]:
        ridge = RidgeCV(alphas=ALPHAS).fit(design.matrix(weight), y, sample_weight=weights)
        if best is None or ridge.best_score_ > best[0]:
            best = float(ridge.best_score_), weight, ridge
    assert best is not None
    return Model(bases, best[1], float(best[2].alpha_), best[2])


def effects(design: Design, coefficients: Floats, intercept: float, weight: float) -> Effects:
    """The exact Shapley values of the model with these coefficients at the files it was learned from."""
    shapley = []
    start = 0
    for part in design.parts:
        shapley.append(part @ coefficients[start : start + part.shape[1]])
        start += part.shape[1]
    base, interaction = intercept, {}
    for j, k in design.pairs if weight > 0 else ():
        columns = math.sqrt(weight) * design.pair(j, k)
        together = columns @ coefficients[start : start + columns.shape[1]]
        start += columns.shape[1]
        mean = float(together.mean())
        base += mean
        shapley[j] = shapley[j] + (together - mean) / 2
        shapley[k] = shapley[k] + (together - mean) / 2
        interaction[j, k] = float(np.abs(together + mean).mean())
    return Effects(base, np.stack(shapley, axis=1), interaction)


def explain(model: Model, table: Floats) -> Effects:
    """`effects` of a fitted model at the files it was learned from."""
    return effects(model.design(table), model.ridge.coef_, float(model.ridge.intercept_), model.weight)


def shuffled(
    model: Model, table: Floats, y: Floats, weights: Floats, tag: int, draws: int, generator: np.random.Generator
) -> Floats:
    """The importance (draws,) that `tag` gets, fitted anew with the same penalties, when its values are shuffled."""
    design = model.design(table)
    found = []
    for _ in range(draws):
        part = design.parts[tag][generator.permutation(len(y))]
        drawn = Design((*design.parts[:tag], part, *design.parts[tag + 1 :]))
        coefficients, intercept = ridge_regression(drawn.matrix(model.weight), y, weights, model.alpha)
        found.append(effects(drawn, coefficients, intercept, model.weight).importance[tag])
    return np.array(found)


def ridge_regression(x: Floats, y: Floats, weights: Floats, alpha: float) -> tuple[Floats, float]:
    """Coefficients and intercept as of scikit-learn's Ridge, without its checks: thousands of small fits."""
    x_mean, y_mean = np.average(x, axis=0, weights=weights), float(np.average(y, weights=weights))
    weighted = weights[:, None] * (x - x_mean)
    coefficients = np.linalg.solve(weighted.T @ (x - x_mean) + alpha * np.eye(x.shape[1]), weighted.T @ (y - y_mean))
    return np.asarray(coefficients, dtype=np.float64), y_mean - float(x_mean @ coefficients)


def band(null: Floats) -> float:
    """The value that a shuffled tag exceeds in 5 % of cases: an order statistic, exact for any number of draws."""
    place = math.ceil(BAND * (len(null) + 1)) - 1
    return float(np.sort(null)[min(place, len(null) - 1)])


def cross_validated_r2(
    table: Floats, categories: Sequence[bool], y: Floats, weights: Floats, generator: np.random.Generator
) -> float:
    """R2 of files that the model was not fitted to, everything learned anew in each of FOLDS folds."""
    from sklearn.metrics import r2_score

    predicted = np.empty_like(y)
    for held in _folds(len(y), generator):
        kept = np.setdiff1d(np.arange(len(y)), held)
        model = fit(table[kept], categories, y[kept], weights[kept])
        predicted[held] = model.predict(table[held])
    return float(r2_score(y, predicted, sample_weight=weights))


def association(a: Floats, a_category: bool, b: Floats, b_category: bool) -> float:
    """How much two tags move together, 0 to 1.

    |Spearman's rho| of two numbers, the correlation ratio of ranks (without its bias) for a number and a category, and
    Cramer's V (likewise) of two categories.
    """
    from scipy.stats import contingency, rankdata

    if a_category and b_category:
        return float(contingency.association(contingency.crosstab(a, b).count, method="cramer", correction=False))
    if b_category:
        a, b, a_category, b_category = b, a, b_category, a_category
    ranks = rankdata(b)
    if not a_category:
        return float(abs(np.corrcoef(rankdata(a), ranks)[0, 1]))
    levels, codes = np.unique(a, return_inverse=True)
    means = np.bincount(codes, ranks) / np.bincount(codes)
    left = np.square(ranks - means[codes]).sum() / np.square(ranks - ranks.mean()).sum()
    adjusted = 1 - left * (len(a) - 1) / max(len(a) - len(levels), 1)
    return math.sqrt(max(adjusted, 0.0))


def _learn(values: Floats, category: bool) -> Basis:
    from sklearn.preprocessing import SplineTransformer

    distinct = np.unique(values)
    levels, spline = (distinct, None) if category else (None, None)
    if not category:
        degree = min(2, max(len(distinct) - 1, 1))
        knots = np.quantile(distinct, np.linspace(0, 1, max(2, min(KNOTS, len(distinct) - 1))))
        if not knots[0] < knots[-1]:  # one value only, in a fold of few files
            knots = knots[0] + np.array([0.0, 1.0])
        spline = SplineTransformer(degree=degree, knots=knots[:, None], include_bias=False, extrapolation="constant")
        spline.fit(values[:, None])
    columns = _columns(values, levels, spline)
    mean = columns.mean(0)
    _, singular, directions = np.linalg.svd((columns - mean) / math.sqrt(len(values)), full_matrices=False)
    kept = singular > max(LEAST_DIRECTION * singular[0], 1e-9)
    return Basis(levels, spline, mean, directions[kept].T / singular[kept])


def _columns(values: Floats, levels: Floats | None, spline: Any) -> Floats:
    if levels is not None:
        return np.asarray((values[:, None] == levels).astype(np.float64))
    return np.asarray(spline.transform(values[:, None]))


def _folds(n: int, generator: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    yield from np.array_split(generator.permutation(n), FOLDS)
