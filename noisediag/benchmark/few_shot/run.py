"""`noisediag benchmark few-shot`: 100 labels on a label-free encoder against many labels from scratch.

The genome `paper` on the domains of `--data`. Every arm is a number of labels: a Gaussian process on the frozen
embedding (`cop`), or the same network trained on them alone (`scratch`), searched over learning rate and weight decay
with early stopping on a fifth of its labels. Finished arms stand in a journal, one line each, so that hours of
training can be stopped and continued.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisediag.batch.journal import Journal, Place
from noisediag.benchmark import oracle
from noisediag.benchmark.few_shot import scratch as few_shot_scratch
from noisediag.benchmark.few_shot.data import EvaluationPictures, LabelledPictures, labelled
from noisediag.cop import checkpoint as store
from noisediag.cop import few_shot_learning
from noisediag.cop.encoder import Encoder
from noisediag.cop.few_shot import Column, Labels
from noisediag.cop.models import Familiarity, load_encoder
from noisediag.cop.tokens import tokenize
from noisediag.errors import UsageError
from noisediag.estimator import choose_device
from noisediag.footprint.file import CheckpointId
from noisediag.genome import paper
from noisediag.reports.progress import Progress
from noisediag.training.sensor_head import learn_familiarity

Floats = NDArray[np.float64]

SCHEMA = "noisediag.few-shot/1"
ENCODER = "paper-encoder"
COP, SCRATCH, VIT = "cop", "scratch", "vit"
LABELS = {COP: (10, 25, 50, 100, 1000), SCRATCH: (100, 1000, 10_000, 100_000), VIT: (100, 100_000)}
ARMS = tuple(f"{kind}-{count}" for kind in (COP, SCRATCH) for count in LABELS[kind])
VIT_ARMS = tuple(f"{VIT}-{count}" for count in LABELS[VIT])
SEEDS = 3
PARITY = 0.844  # R2 of the paper's 100 labels
TRAINED = 0.70  # R2 that a scratch on 100,000 labels must reach to count as trained
UNLABELLED = 1000  # pictures of the law, without their strengths, that the embedding is whitened by
UNLABELLED_SEED = 1_000_003
PROBE_RIDGE = 1e-2
PROBE_FOLDS = 5


@dataclass(frozen=True)
class FewShotOptions:
    """`journal`: the file of finished arms, and the folder of the states of unfinished ones."""

    data: Path
    arms: tuple[str, ...] = ARMS
    seeds: int = SEEDS
    draws: int = 10
    seed: int = 0
    split: str = "odd"
    limit_per_domain: int | None = None
    images: Path | None = None
    checkpoint: Path | None = None
    device: str = "auto"
    journal: Path | None = None
    effort: float = 1.0  # times the steps of scratch arms


@dataclass(frozen=True)
class ArmScore:
    """One arm with one seed. `r2` pooled over pictures and outputs against the global mean; `per_output` R2 of each."""

    arm: str
    labels: int
    seed: int
    r2: float
    rmse: float
    per_output: tuple[float, ...]
    settings: Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """One arm over its seeds: mean and standard deviation (null for one seed). `void`: under-trained."""

    arm: str
    labels: int | None
    seeds: int
    r2: float
    r2_spread: float | None
    rmse: float
    rmse_spread: float | None
    per_output: tuple[float, ...]
    void: bool


@dataclass(frozen=True)
class Probe:
    """Linear probes of the embedding, on files they did not see: what it tells of content, and of the noise."""

    domain_accuracy: float
    domain_chance: float  # the most frequent domain's share
    noise_r2: float


@dataclass(frozen=True)
class FewShotResult:
    """`missing`: arms of the full table that were not run."""

    options: FewShotOptions
    checkpoint: CheckpointId
    pictures: int
    domains: int
    rows: tuple[Row, ...]
    probe: Probe
    scores: tuple[ArmScore, ...]
    missing: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class EvaluationSet:
    """What the arms are judged on: strengths, embeddings, features of the oracle, domain and picture of each case."""

    strengths: Floats  # (n, 6)
    embedding: Tensor  # (n, E)
    oracle_features: Floats
    domain: NDArray[np.str_]
    picture: NDArray[np.int64]


def run(options: FewShotOptions, progress: Progress) -> FewShotResult:
    """All arms that the journal does not hold yet, then the table of those it holds.

    Raises UsageError for arms that are not known, or a ViT without a GPU.
    """
    _check(options)
    found = store.read(options.checkpoint if options.checkpoint is not None else store.shipped(ENCODER))
    encoder = load_encoder(found)
    evaluated = EvaluationPictures(options.data, options.split, options.draws, options.seed, options.limit_per_domain)
    test = _evaluation_set(encoder, evaluated, progress)
    with contextlib.closing(_Arms(options, found.sha256)) as arms:
        _run_arms(arms, options, encoder, evaluated, test, progress)
    scores = arms.scores
    rows = [
        _row(arm, [s for s in scores if s.arm == arm])
        for arm in (*ARMS, *VIT_ARMS)
        if any(s.arm == arm for s in scores)
    ]
    return FewShotResult(
        options=options,
        checkpoint=CheckpointId(found.name, found.sha256),
        pictures=len(test.strengths),
        domains=len(np.unique(test.domain)),
        rows=(*rows, *_references(test, options.seed)),
        probe=probe(test.embedding.double().numpy(), test.strengths, test.domain, test.picture),
        scores=tuple(scores),
        missing=tuple(arm for arm in ARMS if all(s.arm != arm for s in scores)),
    )


def _run_arms(
    arms: _Arms,
    options: FewShotOptions,
    encoder: Encoder,
    evaluated: EvaluationPictures,
    test: EvaluationSet,
    progress: Progress,
) -> None:
    """Add the scores of the arms that are not there yet."""
    done = {(score.arm, score.seed) for score in arms.scores}
    todo = [(arm, seed) for arm in options.arms for seed in range(options.seeds) if (arm, seed) not in done]
    inputs = (
        Inputs(encoder, whitening(encoder, options.images)) if any(arm.startswith(COP) for arm, _ in todo) else None
    )
    for arm, seed in progress(todo, len(todo)):
        kind, count = arm.split("-")[0], int(arm.split("-")[1])
        data = labelled(count, seed, arms.folder, options.images)
        if kind == COP and inputs is not None:
            settings: dict[str, float] = {}
            predicted = _cop(inputs, data, test)
        else:
            plan = few_shot_scratch.Plan(kind, arm, seed, arms.folder, options.device, options.effort)
            predicted, settings = few_shot_scratch.train_and_predict(data, evaluated, plan, arms.choices)
        arms.add(_score(arm, count, seed, predicted, test.strengths, settings))


def _check(options: FewShotOptions) -> None:
    unknown = set(options.arms) - {*ARMS, *VIT_ARMS}
    if unknown:
        raise UsageError(f"no arm is called {', '.join(sorted(unknown))}; there are: {', '.join((*ARMS, *VIT_ARMS))}")
    if options.seeds < 1 or options.draws < 1:
        raise UsageError("--seeds and --draws are at least 1")
    if any(arm in VIT_ARMS for arm in options.arms) and choose_device(options.device).type != "cuda":
        raise UsageError("a ViT-B/16 from scratch needs a GPU")


@dataclass(frozen=True)
class Inputs:
    """What the process reads of an embedding: where it lies, if the encoder says so, and its leading components."""

    encoder: Encoder
    components: Familiarity

    def __call__(self, embedding: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Numbers `(n, sum(groups))` in double precision, and the groups' widths."""
        groups = [(embedding - self.components.mean) @ self.components.whiten]
        if self.encoder.config.near:
            with torch.inference_mode():
                groups.insert(0, self.encoder.locate(embedding)[0])
        return torch.cat(groups, 1).double(), tuple(group.shape[1] for group in groups)


def embed(encoder: Encoder, pictures: Tensor) -> Tensor:
    """Embeddings `(n, E)` of pictures (n, H, W); one grid, as the sensor model asks it."""
    with torch.inference_mode():
        return torch.cat([encoder(tokenize(part[:, None], grids=1)) for part in torch.split(pictures, 16)])


def _evaluation_set(encoder: Encoder, evaluated: EvaluationPictures, progress: Progress) -> EvaluationSet:
    rows = [
        (strengths, embed(encoder, noisy[None])[0], shown, domain, f"{domain}/{picture}")
        for noisy, strengths, shown, domain, picture in progress(evaluated, len(evaluated))
    ]
    strengths, embeddings, shown, domains, names = zip(*rows, strict=True)
    _, picture = np.unique(names, return_inverse=True)
    return EvaluationSet(np.stack(strengths), torch.stack(embeddings), np.stack(shown), np.array(domains), picture)


def whitening(encoder: Encoder, images: Path | None) -> Familiarity:
    """The leading components of the embedding over the law's own pictures; no strength is looked at."""
    shown = labelled(UNLABELLED, UNLABELLED_SEED, None, images)
    embeddings = embed(encoder, shown.pictures(np.arange(UNLABELLED)))
    components = Familiarity(encoder.config.embedding)
    learn_familiarity(components, embeddings, quantile=1.0)
    return components


def _cop(inputs: Inputs, data: LabelledPictures, test: EvaluationSet) -> Floats:
    """The strengths of the test's pictures by a process on what the frozen encoder says of the labelled ones."""
    shots, groups = inputs(embed(inputs.encoder, data.pictures(np.arange(len(data.codes)))))
    columns = [Column(name, "", "linear") for name in paper.NAMES]
    known = torch.ones(len(shots), dtype=torch.bool)
    labels = [Labels(column[:, None].double(), known) for column in data.strengths.T]
    names = ("places", "components")[-len(groups) :]
    head = few_shot_learning.learn(few_shot_learning.Inputs(shots, groups, names), columns, labels, None)
    asked, _ = inputs(test.embedding)
    predicted = torch.cat([said[0] for said in head.outputs(asked)], 1)
    return simplex(predicted.numpy())


def simplex(predicted: Floats) -> Floats:
    """Strengths that are none below 0 and sum to 1, as the law says."""
    positive = np.maximum(predicted, 1e-6)
    return np.asarray(positive / positive.sum(1, keepdims=True))


def _score(
    arm: str, labels: int, seed: int, predicted: Floats, truth: Floats, settings: Mapping[str, float]
) -> ArmScore:
    error = np.square(predicted - truth)
    return ArmScore(
        arm=arm,
        labels=labels,
        seed=seed,
        r2=float(1 - error.mean() / truth.var()),
        rmse=float(np.sqrt(error.mean())),
        per_output=tuple(float(v) for v in 1 - error.mean(0) / truth.var(0)),
        settings=settings,
    )


def _row(arm: str, scores: Sequence[ArmScore]) -> Row:
    r2, rmse = np.array([s.r2 for s in scores]), np.array([s.rmse for s in scores])
    several = len(scores) > 1
    return Row(
        arm=arm,
        labels=scores[0].labels or None,
        seeds=len(scores),
        r2=float(r2.mean()),
        r2_spread=float(r2.std(ddof=1)) if several else None,
        rmse=float(rmse.mean()),
        rmse_spread=float(rmse.std(ddof=1)) if several else None,
        per_output=tuple(float(v) for v in np.mean([s.per_output for s in scores], axis=0)),
        void=arm == f"{SCRATCH}-100000" and float(r2.mean()) < TRAINED,
    )


def _references(test: EvaluationSet, seed: int) -> Iterator[Row]:
    mean = np.full_like(test.strengths, 1 / len(paper.NAMES))
    yield _row("mean predictor", [_score("mean predictor", 0, 0, mean, test.strengths, {})])
    oracle_strengths = oracle.predict(test.oracle_features, test.strengths, test.picture, seed=seed)
    if oracle_strengths is not None:
        yield _row("oracle", [_score("oracle", 0, 0, oracle_strengths, test.strengths, {})])


def probe(embedding: Floats, strengths: Floats, domain: NDArray[np.str_], picture: NDArray[np.int64]) -> Probe:
    """Ridge regressions of the domain (the largest of its indicators) and of the strengths, in folds of files."""
    words, index = np.unique(domain, return_inverse=True)
    scaled = (embedding - embedding.mean(0)) / np.maximum(embedding.std(0), 1e-9)
    design = np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)
    target = np.concatenate([np.eye(len(words))[index], strengths], axis=1)
    predicted = np.empty_like(target)
    for fold in range(PROBE_FOLDS):
        out = picture % PROBE_FOLDS == fold
        known = design[~out]
        normal = known.T @ known + PROBE_RIDGE * len(known) * np.eye(known.shape[1])
        predicted[out] = design[out] @ np.linalg.solve(normal, known.T @ target[~out])
    read = predicted[:, len(words) :]
    return Probe(
        domain_accuracy=float((predicted[:, : len(words)].argmax(1) == index).mean()),
        domain_chance=float(np.bincount(index).max() / len(index)),
        noise_r2=float(1 - np.square(read - strengths).mean() / strengths.var()),
    )


class _Arms:
    """Finished arms, in a journal where one is asked for, and what the search of an arm chose.

    Raises UsageError where the file is of a run with other options, or no journal.
    """

    def __init__(self, options: FewShotOptions, encoder: str):
        self.folder = None if options.journal is None else options.journal.parent
        self.scores: list[ArmScore] = []
        self.choices: dict[str, dict[str, float]] = {}
        self._journal: Journal | None = None
        if options.journal is not None:
            kept = ("draws", "seed", "split", "limit_per_domain", "effort")
            run = {"schema": SCHEMA, "encoder": encoder, **{name: getattr(options, name) for name in kept}}
            run |= {"data": options.data.name, "images": options.images and options.images.name}
            self._journal = Journal(options.journal, run, resume=True, entry=self._read)

    def add(self, score: ArmScore) -> None:
        if self._journal is not None:
            self._journal.append([asdict(score)])
        self._keep(score)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _read(self, _: Place, entry: dict[str, Any]) -> None:
        self._keep(ArmScore(**{**entry, "per_output": tuple(entry["per_output"])}))

    def _keep(self, score: ArmScore) -> None:
        self.scores.append(score)
        self.choices.setdefault(score.arm, dict(score.settings))
