"""`noisediag explain`: how much ISO, exposure time, camera and other acquisition tags explain each noise parameter."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UsageError
from noisediag.footprint.values import Known
from noisediag.genome.parameters import parameter
from noisediag.reports.progress import Progress
from noisediag.studies.explain import model
from noisediag.studies.explain.data import SIGMA, TAGS, TARGETS, Record, Tag, words

Floats = NDArray[np.float64]

MIN_FILES = 50
PERMUTATIONS = 200
TAG_SHARE = 0.8  # of the files must have a tag for it to be used
MOST_CAMERAS = 12  # the rarer ones count as one
TOGETHER = 0.7  # association from which two tags cannot be told apart by these files
NORMAL_90 = 3.2897  # width of a 90 % interval in standard deviations
OTHER = "other"


@dataclass(frozen=True)
class ExplainOptions:
    """Where the files come from, and how often tags are shuffled."""

    source: str
    permutations: int = PERMUTATIONS
    seed: int = 0


@dataclass(frozen=True)
class UsedTag:
    """A tag, and its values at the files: (N,) numbers, `log2` of those that act by their ratio, codes of `levels`."""

    tag: Tag
    values: Floats
    levels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.tag.name

    @property
    def category(self) -> bool:
        return self.tag.kind == "category"

    @property
    def distinct(self) -> int:
        return len(np.unique(self.values))

    @property
    def shown(self) -> Floats:
        """The values as people write them."""
        return np.exp2(self.values) if self.tag.kind == "log" else self.values


@dataclass(frozen=True)
class Together:
    """Two tags that move together in these files: what one explains the other would explain nearly as well."""

    a: str
    b: str
    strength: float  # 0 to 1, see `explain_model.association`


@dataclass(frozen=True)
class TagEffect:
    """What one tag does to one parameter. `importance`: mean |Shapley value|; `null_95`: what shuffled it stays below.

    Importances are in decades (log10) where the parameter counts by its ratio, else in its unit.
    """

    tag: str
    importance: float
    null_95: float
    p: float

    @property
    def beyond_chance(self) -> bool:
        return self.importance > self.null_95


@dataclass(frozen=True)
class Interaction:
    """How far, on average, two tags together are from the sum of what each does."""

    a: str
    b: str
    strength: float


@dataclass(frozen=True)
class Explanation:
    """One parameter. `rows` are the places of its files among all; prediction = base + the sum of `shapley`."""

    target: str
    log: bool
    rows: NDArray[np.intp]
    observed: Floats  # (n,) log10 where `log`
    prediction: Floats  # (n,)
    base: float
    shapley: Floats  # (n, tags), tags in the order of the result's
    r2: float  # cross-validated
    effects: tuple[TagEffect, ...]  # the most important first
    interactions: tuple[Interaction, ...]  # the strongest first


@dataclass(frozen=True)
class ExplainResult:
    """All that was found. `notes`: what was left out, and why."""

    options: ExplainOptions
    paths: tuple[str, ...]
    tags: tuple[UsedTag, ...]
    together: tuple[Together, ...]
    explanations: tuple[Explanation, ...]
    notes: tuple[str, ...]


def run(records: Sequence[Record], options: ExplainOptions, *, progress: Progress | None = None) -> ExplainResult:
    """Explain every parameter that enough of the files have.

    Raises UsageError for fewer than MIN_FILES files with tags or values, for files whose tags do not vary, and where
    scikit-learn is missing.
    """
    model.require()
    if len(records) < MIN_FILES:
        raise UsageError(f"{options.source}: {len(records)} files; at least {MIN_FILES} are needed to explain anything")
    notes: list[str] = []
    tags, kept = _usable(records, options.source, notes)
    used = [records[i] for i in kept]
    targets = [target for target in TARGETS if _explicable(target, used, notes)]
    if not targets:
        raise UsageError(f"{options.source}: no parameter varies and has a value in {MIN_FILES} files")
    found = (_explain(target, used, tags, options) for target in targets)
    explanations = tuple(progress(found, len(targets)) if progress else found)
    return ExplainResult(
        options=options,
        paths=tuple(record.path for record in used),
        tags=tags,
        together=_together(tags),
        explanations=explanations,
        notes=tuple(notes),
    )


def by_ratio(target: str) -> bool:
    """Whether a quantity counts by its ratio: then its logarithm is explained."""
    return target == SIGMA or parameter(target).spacing == "log"


def _usable(records: Sequence[Record], source: str, notes: list[str]) -> tuple[tuple[UsedTag, ...], list[int]]:
    """The tags that vary and that most files have, and the files that have all of these."""
    chosen: list[Tag] = []
    for tag in TAGS:
        given = [record.tags[tag.name] for record in records if tag.name in record.tags]
        if not given:
            continue
        if len(given) < TAG_SHARE * len(records):
            notes.append(f"{tag.name} is not used: only {len(given)} of {len(records)} files have it")
        elif len(set(given)) == 1:
            notes.append(f"{tag.name} is not used: it is {given[0]} in all files")
        else:
            chosen.append(tag)
    if not chosen:
        raise UsageError(f"{source}: no acquisition tag varies from file to file, so there is nothing to explain by")
    kept = [i for i, record in enumerate(records) if all(tag.name in record.tags for tag in chosen)]
    if len(kept) < len(records):
        notes.append(f"{len(records) - len(kept)} files are left out: they lack a tag that the others have")
    if len(kept) < MIN_FILES:
        names = ", ".join(tag.name for tag in chosen)
        raise UsageError(f"{source}: only {len(kept)} files have all of {names}; at least {MIN_FILES} are needed")
    tags = tuple(_tag(tag, [records[i].tags[tag.name] for i in kept]) for tag in chosen)
    return tuple(tag for tag in tags if tag.distinct > 1), kept


def _tag(tag: Tag, given: Sequence[float | str]) -> UsedTag:
    if tag.kind != "category":
        numbers = np.array(given, dtype=np.float64)
        return UsedTag(tag, np.log2(numbers) if tag.kind == "log" else numbers)
    common = [name for name, _ in Counter(map(str, given)).most_common(MOST_CAMERAS)]
    levels = sorted(common) if len(set(given)) <= MOST_CAMERAS else [*sorted(common[:-1]), OTHER]
    places = {name: place for place, name in enumerate(levels)}
    return UsedTag(tag, np.array([places.get(str(name), len(levels) - 1) for name in given], float), tuple(levels))


def _explicable(target: str, records: Sequence[Record], notes: list[str]) -> bool:
    values = [record.values[target].value for record in records if target in record.values]
    name = words(target)
    if len(values) < MIN_FILES:
        notes.append(f"{name} is not explained: {len(values)} files have a value, {MIN_FILES} are needed")
        return False
    if min(values) == max(values):
        notes.append(f"{name} is not explained: it is {values[0]:g} in all files")
        return False
    return True


def _explain(target: str, records: Sequence[Record], tags: Sequence[UsedTag], options: ExplainOptions) -> Explanation:
    rows = np.array([i for i, record in enumerate(records) if target in record.values])
    measured = [records[i].values[target] for i in rows]
    log = by_ratio(target)
    y = np.array([math.log10(m.value) if log else m.value for m in measured])
    weights = _weights(measured, log)
    table = np.stack([tag.values[rows] for tag in tags], axis=1)
    categories = [tag.category for tag in tags]
    generator = np.random.default_rng([options.seed, TARGETS.index(target)])
    fitted = model.fit(table, categories, y, weights)
    found = model.explain(fitted, table)
    effects = []
    for j, tag in enumerate(tags):
        null = model.shuffled(fitted, table, y, weights, j, options.permutations, generator)
        own = float(found.importance[j])
        p = (1 + np.count_nonzero(null >= own)) / (1 + len(null))
        effects.append(TagEffect(tag.name, own, model.band(null), float(p)))
    return Explanation(
        target=target,
        log=log,
        rows=rows,
        observed=y,
        prediction=fitted.predict(table),
        base=found.base,
        shapley=found.shapley,
        r2=model.cross_validated_r2(table, categories, y, weights, generator),
        effects=tuple(sorted(effects, key=lambda effect: -effect.importance)),
        interactions=tuple(
            sorted(
                (Interaction(tags[j].name, tags[k].name, value) for (j, k), value in found.interaction.items()),
                key=lambda pair: -pair.strength,
            )
        ),
    )


def _weights(measured: Sequence[Known], log: bool) -> Floats:
    """Of each file, mean 1: wide intervals count less, and none counts much more than the typical one."""
    widths = np.full(len(measured), np.nan)
    for i, m in enumerate(measured):
        if m.low is not None and m.high is not None and (m.low > 0 or not log):
            widths[i] = (math.log10(m.high / m.low) if log else m.high - m.low) / NORMAL_90
    if not (np.nan_to_num(widths) > 0).any():
        return np.ones(len(measured))
    typical = float(np.nanmedian(widths))
    weights = 1 / (np.square(np.where(np.isnan(widths), typical, widths)) + max(typical, 1e-12) ** 2)
    return np.asarray(weights / weights.mean())


def _together(tags: Sequence[UsedTag]) -> tuple[Together, ...]:
    found = []
    for a, b in combinations(tags, 2):
        strength = model.association(a.values, a.category, b.values, b.category)
        if strength >= TOGETHER:
            found.append(Together(a.name, b.name, strength))
    return tuple(sorted(found, key=lambda pair: -pair.strength))
