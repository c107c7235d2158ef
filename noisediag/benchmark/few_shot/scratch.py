"""The arms from scratch: searched, stopped early on labelled validation, run to their plateau, resumable.

The network is that of the encoder with a head of six strengths, trained from random weights on labels alone. What it
reads of a picture is computed once, see `evidence`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from noisediag.benchmark.few_shot import vit
from noisediag.benchmark.few_shot.data import EvaluationPictures, LabelledPictures, in_codes
from noisediag.benchmark.few_shot.evidence import EvidenceStore, evidence_of
from noisediag.cop.heads import PaperHead
from noisediag.cop.near_encoder import NearEncoder, NearEncoderConfig, NearEvidence
from noisediag.cop.tokens import BLOCK
from noisediag.estimator import choose_device
from noisediag.genome import paper
from noisediag.training.fit import FitConfig, Objective, fit
from noisediag.training.pictures import CROP

Floats = NDArray[np.float64]

LEARNING_RATES = {"scratch": (3e-4, 1e-3, 3e-3), "vit": (1e-4, 3e-4, 1e-3)}
WEIGHT_DECAYS = (1e-4, 1e-1)
VALIDATION_SHARE = 0.2
BATCH = 32
STEPS = {100: 800, 1000: 4000, 10_000: 16_000, 100_000: 48_000}  # the most; the plateau may come before
CHECKS = 20  # looks at the validation labels, evenly over the steps
PATIENCE = 10  # looks without anything better: the plateau, even at the first and highest rates
SEARCH_SHARE = 0.25  # of the steps that each setting gets before the best one goes on to the end
MOST_SEARCHED = 2500  # steps of each setting
MOST_VALIDATED = 500


@dataclass(frozen=True)
class Plan:
    """One arm with one seed. `folder`: where its states are kept (None: nowhere); `network`: its size."""

    kind: str
    arm: str
    seed: int
    folder: Path | None
    device: str
    effort: float = 1.0
    network: NearEncoderConfig = field(default_factory=NearEncoderConfig)

    def state(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{self.arm}-{self.seed}.{name}"


class ScratchNet(nn.Module):
    """The encoder's network with a head: evidence of B pictures to their strengths `(B, 6)`."""

    def __init__(self, config: NearEncoderConfig):
        super().__init__()
        self.encoder = NearEncoder(config)
        self.head = PaperHead(config.embedding, len(paper.NAMES))

    def forward(self, *parts: Tensor) -> Tensor:
        strengths: Tensor = self.head(self.encoder.embed(NearEvidence(*parts)))
        return strengths


class Examples(Protocol):
    """Labelled pictures as a network takes them."""

    @property
    def strengths(self) -> Tensor:
        """Their labels, (n, 6)."""

    def inputs(self, index: NDArray[np.int64], generator: torch.Generator | None) -> tuple[Tensor, ...]:
        """Of the pictures `index`; with a `generator` varied, as in training."""


@dataclass(frozen=True)
class SeenExamples:
    """Evidence; in training that of a random part of each batch's pictures, CROP px wide and high."""

    store: EvidenceStore

    @property
    def strengths(self) -> Tensor:
        return self.store.strengths

    def inputs(self, index: NDArray[np.int64], generator: torch.Generator | None) -> tuple[Tensor, ...]:
        side = CROP // BLOCK
        window = None
        if generator is not None and min(self.store.rows, self.store.columns) > side:
            top, left = (
                int(torch.randint(blocks - side + 1, (), generator=generator, device=generator.device))
                for blocks in (self.store.rows, self.store.columns)
            )
            window = slice(top, top + side), slice(left, left + side)
        return self.store.take(index, window).parts()


@dataclass(frozen=True)
class PixelExamples:
    """Pictures for a ViT; in training turned and mirrored."""

    pictures: LabelledPictures

    @property
    def strengths(self) -> Tensor:
        return self.pictures.strengths

    def inputs(self, index: NDArray[np.int64], generator: torch.Generator | None) -> tuple[Tensor, ...]:
        found = self.pictures.pictures(index)
        if generator is not None:
            turn, mirror = torch.randint(4, (2,), generator=generator, device=generator.device).tolist()
            found = torch.rot90(found, turn, (1, 2))
            found = found.flip(2) if mirror % 2 else found
        return (found[:, None],)


class _PlateauError(Exception):
    """Validation has stopped falling."""


def train_and_predict(
    data: Examples, evaluated: EvaluationPictures, plan: Plan, choices: Mapping[str, Mapping[str, float]]
) -> tuple[Floats, dict[str, float]]:
    """Strengths of every evaluated picture, and the settings: those of `choices`, found by the arm's first seed, or the
    best of a search of 3 learning rates and 2 weight decays.
    """
    chosen = dict(choices.get(plan.arm, {})) or _search(data, plan)
    chosen = {name: chosen[name] for name in ("learning_rate", "weight_decay")}
    model, best = _train(data, plan, chosen, 1.0, "final")
    for number in range(len(LEARNING_RATES[plan.kind]) * len(WEIGHT_DECAYS)):
        done = plan.state(f"search{number}.done")
        if done is not None:
            done.unlink(missing_ok=True)
    device = choose_device(plan.device)
    model = model.to(device).eval()
    predicted = []
    with torch.inference_mode():
        for noisy in evaluated:
            height, width = (side // BLOCK * BLOCK for side in noisy.channels.shape[1:])
            plane = noisy.channels[:1, :height, :width]
            inputs = (in_codes(plane)[None],) if plan.kind == "vit" else evidence_of(plane).parts()
            predicted.append(model(*(part.to(device) for part in inputs))[0].double().cpu().numpy())
    return np.stack(predicted), {**chosen, "validation_rmse": best}


def _search(data: Examples, plan: Plan) -> dict[str, float]:
    found = []
    for number, (rate, decay) in enumerate(itertools.product(LEARNING_RATES[plan.kind], WEIGHT_DECAYS)):
        settings = {"learning_rate": rate, "weight_decay": decay}
        done = plan.state(f"search{number}.done")  # of a run that was stopped after it
        if done is not None and done.exists():
            best = float(done.read_text())
        else:
            _, best = _train(data, plan, settings, SEARCH_SHARE, f"search{number}")
            if done is not None:
                done.write_text(repr(best))
        found.append((best, settings))
    return min(found, key=lambda entry: entry[0])[1]


def _train(
    data: Examples, plan: Plan, settings: Mapping[str, float], share: float, name: str
) -> tuple[nn.Module, float]:
    """The network as it was at its best validation error, and that error."""
    count = len(data.strengths)
    order = np.random.default_rng(plan.seed).permutation(count)
    validated = max(int(VALIDATION_SHARE * count), 1)
    held, learned = order[:validated][:MOST_VALIDATED], order[validated:]
    device = choose_device(plan.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        model: nn.Module = vit.ViT(vit.ViTConfig()) if plan.kind == "vit" else ScratchNet(plan.network)
    model.to(device)
    steps = max(int(STEPS[count] * share * plan.effort), CHECKS)
    if share < 1:
        steps = min(steps, MOST_SEARCHED)
    watch = _EarlyStopping(model, data, held, plan.state(f"{name}.best"))
    config = FitConfig(
        steps=steps,
        learning_rate=settings["learning_rate"],
        weight_decay=settings["weight_decay"],
        warm_up=min(100, steps // 10),
        seed=plan.seed,
        log_every=max(steps // CHECKS, 1),
    )
    state = plan.state(f"{name}.state")
    try:
        fit(model, _objective(model, data, learned), config, device=device, state_path=state, resume=True, report=watch)
    except _PlateauError:
        pass
    else:
        watch.look()  # the averaged weights of the end
    for file in (state, plan.state(f"{name}.best")):
        if file is not None:
            file.unlink(missing_ok=True)
    model.load_state_dict(watch.weights)
    return model, watch.best


def _objective(model: nn.Module, data: Examples, learned: NDArray[np.int64]) -> Objective:
    """Squared error of a batch of the pictures `learned`."""

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        device = generator.device
        drawn = learned[torch.randint(len(learned), (BATCH,), generator=generator, device=device).cpu().numpy()]
        predicted = model(*(part.to(device) for part in data.inputs(drawn, generator)))
        error = (predicted - data.strengths[drawn].to(device)).square().mean()
        return 100 * error, {}

    return objective


class _EarlyStopping:
    """Keeps the weights of the lowest validation error; ends a training that no longer gets better."""

    def __init__(self, model: nn.Module, data: Examples, held: NDArray[np.int64], file: Path | None):
        self.model, self.data, self.held, self.file = model, data, held, file
        self.best, self.since, self.step = float("inf"), 0, 0
        self.weights: dict[str, Tensor] = {}
        if file is not None and file.exists():
            self._resume(file)

    def __call__(self, step: int, numbers: dict[str, float]) -> None:
        if step <= self.step:  # a continued run takes the steps since its last state once more, to the same weights
            return
        self.step = step
        self.look()
        if self.since >= PATIENCE:
            raise _PlateauError

    def look(self) -> None:
        device = next(self.model.parameters()).device
        self.model.eval()
        with torch.inference_mode():
            errors = [
                (
                    self.model(*(values.to(device) for values in self.data.inputs(part, None))).cpu()
                    - self.data.strengths[part]
                ).square()
                for part in np.array_split(self.held, -(-len(self.held) // BATCH))
            ]
        self.model.train()
        rmse = float(torch.cat(errors).mean().sqrt())
        self.since += 1
        if rmse < self.best:
            self.best, self.since = rmse, 0
            self.weights = {key: value.detach().cpu().clone() for key, value in self.model.state_dict().items()}
        if self.file is not None:
            self._keep(self.file)

    def _keep(self, file: Path) -> None:
        from safetensors.torch import save_file

        part = file.with_name(f"{file.name}.part")
        notes = {"watch": json.dumps({"best": self.best, "since": self.since, "step": self.step})}
        save_file({k: v.contiguous() for k, v in self.weights.items()}, part, metadata=notes)
        part.replace(file)

    def _resume(self, file: Path) -> None:
        from safetensors import safe_open

        with safe_open(file, framework="pt") as found:
            notes = json.loads((found.metadata() or {})["watch"])
            self.best, self.since, self.step = notes["best"], notes["since"], notes["step"]
            self.weights = {key: found.get_tensor(key) for key in found.keys()}  # noqa: SIM118 - not a mapping
