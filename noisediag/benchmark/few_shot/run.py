"""`noisediag benchmark few-shot`: a hundred labels on a label-free encoder against many labels from scratch.

The genome `paper` on the domains of `--data`. Every arm is a number of labels: a head on the frozen encoder, learned as
`finetune` learns it (`cop`; from words `dominant` and `pure`), over disjoint sets of labels, or the same network
trained on them alone (`scratch`), searched over learning rate and weight decay with early stopping on a fifth of its
labels.

Label-free means that no label is used in the encoder's loss. The simulator, which of course knows them, arranges what
it learns from: which noise is a step from which others, and what a picture's noise looks like over a chart, without
the scene. Scenes are its own, and noise of this genome is what it has seen; the domains are not.

Finished arms stand in a journal, one line each, so that hours of training can be stopped and continued; descriptions of
pictures, and evidence of many, lie beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag.batch.journal import Journal, Place
from noisediag.benchmark import bound
from noisediag.benchmark.few_shot import cop, data, evidence, scratch
from noisediag.benchmark.few_shot.data import EvaluationPictures, labelled, labelled_pictures
from noisediag.benchmark.few_shot.described import Described, Networks, described
from noisediag.benchmark.few_shot.formats import FORMATS, PLAIN
from noisediag.benchmark.few_shot.result import (
    ARMS,
    DOMINANT,
    FORMAT_ARMS,
    KIND_ARMS,
    MEAN,
    ONE_SEED_FROM,
    PURE,
    SCHEMA,
    SCRATCH,
    STRENGTH_ARMS,
    VIT,
    VIT_ARMS,
    Arm,
    ArmScore,
    FewShotOptions,
    FewShotResult,
    KindScore,
    Probe,
    Truth,
    bound_score,
    format_arms,
    kind_row_of,
    row_of,
    score,
)
from noisediag.cop import checkpoint as store
from noisediag.cop.models import load_any_encoder
from noisediag.cop.near_encoder import NearEncoder, NearEncoderConfig
from noisediag.errors import UsageError
from noisediag.estimator import Estimator, choose_device
from noisediag.footprint.file import CheckpointId
from noisediag.genome import paper
from noisediag.reports.progress import Progress

Floats = NDArray[np.float64]

ENCODER = "paper-encoder"
PURE_DRAWS = 2  # of each picture that kinds are asked of, at most
PROBE_RIDGE = 1e-2
PROBE_FOLDS = 5


def run(options: FewShotOptions, progress: Progress) -> FewShotResult:
    """All arms that the journal does not hold yet, then the table of those it holds.

    Raises UsageError for arms or formats that are not known, a ViT without a GPU, and arms from scratch beside an
    encoder of another kind than that of near genomes.
    """
    chosen = _arms_of(options)
    found = store.read(options.checkpoint if options.checkpoint is not None else store.shipped(ENCODER))
    encoder = load_any_encoder(found)
    if any(arm.kind == SCRATCH for arm in chosen) and not isinstance(encoder, NearEncoder):
        raise UsageError(f"{found.name}: arms from scratch train the network of near genomes, and this is another one")
    estimator = Estimator(device=options.device)
    network = encoder.config if isinstance(encoder, NearEncoder) else NearEncoderConfig()
    with contextlib.closing(_Arms(options, found.sha256, estimator.checkpoint.sha256, network)) as arms:
        bench = _Bench(options, Networks(estimator, encoder.to(estimator.device), arms.key))
        asked = bench.asked(PLAIN, progress=progress)
        todo = _todo(chosen, options, arms)
        for arm, seed in progress(iter(todo), len(todo)):
            arms.add(bench.score(arm, seed, arms.choices))
    rows = [
        row_of(arm.name, scores)
        for arm in (*STRENGTH_ARMS, *FORMAT_ARMS, *VIT_ARMS)
        if (scores := [one for one in arms.scores if one.arm == arm.name])
    ]
    kinds = [
        kind_row_of(arm.name, words)
        for arm in KIND_ARMS
        if (words := [one for one in arms.kind_scores if one.arm == arm.name])
    ]
    there = {row.arm for row in rows} | {row.arm for row in kinds}
    return FewShotResult(
        options=options,
        checkpoint=CheckpointId(found.name, found.sha256),
        model=estimator.checkpoint,
        pictures=len(asked),
        domains=len(np.unique(asked.domain)),
        rows=(*rows, *(row_of(one.arm, [one]) for one in _references(asked, options.seed))),
        kinds=tuple(kinds),
        probe=probe(asked.parts["seen"].numpy(), asked.strengths, asked.domain, _numbers(asked.picture)),
        scores=tuple(arms.scores),
        kind_scores=tuple(arms.kind_scores),
        missing=tuple(name for name in (*ARMS, *(arm.name for arm in FORMAT_ARMS)) if name not in there),
    )


def _arms_of(options: FewShotOptions) -> tuple[Arm, ...]:
    """The arms that are asked for. Raises UsageError where there are none such."""
    known = {arm.name: arm for arm in (*STRENGTH_ARMS, *KIND_ARMS, *VIT_ARMS)}
    unknown = sorted(set(options.arms) - set(known))
    if unknown:
        raise UsageError(f"no arm is called {', '.join(unknown)}; there are: {', '.join(known)}")
    formats = sorted(set(options.formats) - set(FORMATS))
    if formats:
        raise UsageError(f"no format is called {', '.join(formats)}; there are: {', '.join(FORMATS)}")
    if min(options.seeds, options.label_sets, options.draws) < 1:
        raise UsageError("--label-sets, --seeds and --draws are at least 1")
    arms = [known[name] for name in dict.fromkeys(options.arms)]
    if any(arm.kind == VIT for arm in arms) and choose_device(options.device).type != "cuda":
        raise UsageError("a ViT-B/16 from scratch needs a GPU")
    return (*arms, *format_arms(options.formats))


def _todo(chosen: Sequence[Arm], options: FewShotOptions, arms: _Arms) -> list[tuple[Arm, int]]:
    """Arms with seeds that the journal does not hold: one set of labels after the other, then those from scratch."""
    done = {(one.arm, one.seed) for one in arms.scores} | {(one.arm, one.seed) for one in arms.kind_scores}
    frozen = [arm for arm in chosen if arm.kind not in (SCRATCH, VIT)]
    wanted = [(arm, seed) for seed in range(options.label_sets) for arm in frozen]
    for arm in chosen:
        if arm not in frozen:
            wanted += [(arm, seed) for seed in range(1 if arm.labels >= ONE_SEED_FROM else options.seeds)]
    return [(arm, seed) for arm, seed in wanted if (arm.name, seed) not in done]


class _Bench:
    """Runs arms; holds what several of them share."""

    def __init__(self, options: FewShotOptions, networks: Networks):
        self.options, self.networks = options, networks
        self.folder = None if options.journal is None else options.journal.parent
        self._asked: dict[tuple[str, str], Described] = {}
        self._taught: dict[tuple[str, str], tuple[int, Described]] = {}

    def score(self, arm: Arm, seed: int, choices: dict[str, dict[str, Any]]) -> ArmScore | KindScore:
        """One arm with one seed."""
        if arm.kind in (SCRATCH, VIT):
            return self._from_scratch(arm, seed, choices)
        law = data.PURE if arm.kind == PURE else data.LAW
        asked = self.asked(arm.shown, law)
        taught = self._labels(arm, seed, law)
        if arm.kind in (DOMINANT, PURE):
            words = cop.kinds_of(asked.strengths)
            said = cop.read_kinds(taught, asked, self.networks)
            return KindScore(
                arm=arm.name,
                labels=arm.labels,
                seed=seed,
                right=float((said.words == words).mean()),
                most_frequent=float(np.unique(words, return_counts=True)[1].max() / len(words)),
                settings={"reads": said.reads},
            )
        read = cop.read_strengths(taught, asked, self.networks)
        return score(
            arm.name,
            arm.labels,
            seed,
            read.values,
            Truth(asked.strengths, asked.domain),
            {"reads": read.reads},
            ends=(read.low, read.high),
            left_out=read.left_out,
        )

    def asked(self, shown: str, law: str = data.LAW, progress: Progress | None = None) -> Described:
        """The pictures of the domains as files of the format `shown`."""
        if (shown, law) not in self._asked:
            pictures = self._pictures(FORMATS[shown].channels, law)
            self._asked[shown, law] = described(
                pictures if progress is None else progress(iter(pictures), len(pictures)),
                FORMATS[shown],
                self.networks,
                folder=self.folder,
                name=f"asked/{law}/{pictures.draws}",
            )
        return self._asked[shown, law]

    def _pictures(self, channels: int, law: str) -> EvaluationPictures:
        options = self.options
        draws = options.draws if law == data.LAW else min(options.draws, PURE_DRAWS)
        return EvaluationPictures(
            options.data, options.split, draws, options.seed, options.limit_per_domain, law, channels
        )

    def _labels(self, arm: Arm, seed: int, law: str) -> Described:
        """The labelled pictures of one set, as many as any of its arms takes; those of the last set go."""
        most = max(
            one.labels
            for one in _arms_of(self.options)
            if one.kind not in (SCRATCH, VIT) and one.taught == arm.taught and (one.kind == PURE) == (law == data.PURE)
        )
        if self._taught.get((arm.taught, law), (-1, None))[0] != seed:
            pictures = labelled_pictures(
                most, seed, self.options.images, law=law, channels=FORMATS[arm.taught].channels
            )
            found = described(
                pictures,
                FORMATS[arm.taught],
                self.networks,
                folder=self.folder,
                name=f"labelled/{law}/{seed}/{most}/{data.LABELLED_PX}/{data.SCENES}",
            )
            self._taught[arm.taught, law] = seed, found
        return self._taught[arm.taught, law][1].first(arm.labels)

    def _from_scratch(self, arm: Arm, seed: int, choices: dict[str, dict[str, Any]]) -> ArmScore:
        options, encoder = self.options, self.networks.encoder
        plan = scratch.Plan(arm.kind, arm.name, seed, self.folder, options.device, options.effort)
        examples: scratch.Examples
        if arm.kind == VIT:
            examples = scratch.PixelExamples(labelled(arm.labels, seed, self.folder, options.images))
        else:
            assert isinstance(encoder, NearEncoder)
            plan = replace(plan, network=encoder.config)
            examples = scratch.SeenExamples(evidence.store(arm.labels, seed, self.folder, options.images))
        pictures = self._pictures(1, data.LAW)
        predicted, settings = scratch.train_and_predict(examples, pictures, plan, choices)
        asked = self.asked(PLAIN)
        return score(arm.name, arm.labels, seed, predicted, Truth(asked.strengths, asked.domain), settings)


def _references(asked: Described, seed: int) -> Iterator[ArmScore]:
    """What the arms lie between: always the mean of the law, and the bound."""
    truth = Truth(asked.strengths, asked.domain)
    yield replace(score(MEAN, 0, 0, np.full_like(asked.strengths, 1 / len(paper.NAMES)), truth, {}), dominant=None)
    _, first, back = np.unique(asked.picture, return_index=True, return_inverse=True)
    yield bound_score(bound.least_errors(asked.levels[first], seed=seed)[back], truth)


def _numbers(pictures: NDArray[np.str_]) -> NDArray[np.int64]:
    return np.unique(pictures, return_inverse=True)[1].astype(np.int64)


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


def _digest(run: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()


class _Arms:
    """Finished arms, in a journal where one is asked for, and what the search of an arm chose.

    Arms from scratch cost hours and are the same beside every encoder of their size, `network`; those of another size,
    and those on another encoder, are passed over. Raises UsageError where the file is of a run with other options, or
    no journal.
    """

    def __init__(self, options: FewShotOptions, encoder: str, model: str, network: NearEncoderConfig):
        self.scores: list[ArmScore] = []
        self.kind_scores: list[KindScore] = []
        self.choices: dict[str, dict[str, Any]] = {}
        kept = ("draws", "seed", "split", "limit_per_domain", "effort")
        run: dict[str, Any] = {"schema": SCHEMA, **{name: getattr(options, name) for name in kept}}
        run |= {"data": options.data.name, "images": options.images and options.images.name}
        self.key = _digest({**run, "encoder": encoder, "model": model})
        self._of_scratch = _digest({**run, "network": asdict(network)})
        self._journal: Journal | None = None
        if options.journal is not None:
            self._journal = Journal(options.journal, run, resume=True, entry=self._read)

    def add(self, found: ArmScore | KindScore) -> None:
        if self._journal is not None:
            self._journal.append([{**asdict(found), "key": self._key_of(found.arm)}])
        self._keep(found)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _key_of(self, arm: str) -> str:
        """What an arm belongs to beside the run: those on an encoder to it, those from scratch to its size."""
        return self._of_scratch if arm.startswith((SCRATCH, VIT)) else self.key

    def _read(self, _: Place, entry: dict[str, Any]) -> None:
        key = entry.pop("key")
        if key != self._key_of(entry["arm"]):  # it may be asked of again
            return
        if "right" in entry:
            self._keep(KindScore(**entry))
            return
        tuples = ("per_output", "rmse_per_output", "mae_per_output", "left_out")
        self._keep(ArmScore(**{**entry, **{name: tuple(entry[name]) for name in tuples}}))

    def _keep(self, found: ArmScore | KindScore) -> None:
        if isinstance(found, KindScore):
            self.kind_scores.append(found)
            return
        self.scores.append(found)
        if "learning_rate" in found.settings:
            self.choices.setdefault(found.arm, dict(found.settings))
