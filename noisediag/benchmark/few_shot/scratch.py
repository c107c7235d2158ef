"""The arms from scratch: searched, stopped early on labelled validation, run to their plateau, resumable."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from noisediag.benchmark.few_shot import vit
from noisediag.benchmark.few_shot.data import EvaluationPictures, LabelledPictures
from noisediag.cop.encoder import EncoderConfig
from noisediag.cop.models import PaperModel
from noisediag.cop.tokens import BLOCK, tokenize
from noisediag.estimator import choose_device
from noisediag.training.fit import FitConfig, Objective, fit
from noisediag.training.pictures import CROP

Floats = NDArray[np.float64]

LEARNING_RATES = {"scratch": (3e-4, 1e-3, 3e-3), "vit": (1e-4, 3e-4, 1e-3)}
WEIGHT_DECAYS = (1e-4, 1e-1)
VALIDATION_SHARE = 0.2
BATCH = 32
STEPS = {100: 600, 1000: 2500, 10_000: 10_000, 100_000: 24_000}  # the most; the plateau comes before
CHECKS = 20  # looks at the validation labels, evenly over the steps
PATIENCE = 6  # looks without anything better: the plateau
SEARCH_SHARE = 0.25  # of the steps that each setting gets before the best one goes on to the end
MOST_SEARCHED = 2500  # steps of each setting
MOST_VALIDATED = 500


@dataclass(frozen=True)
class Plan:
    """One arm with one seed. `folder`: where its states are kept (None: nowhere)."""

    kind: str
    arm: str
    seed: int
    folder: Path | None
    device: str
    effort: float = 1.0

    def state(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{self.arm}-{self.seed}.{name}"


class _PlateauError(Exception):
    """Validation has stopped falling."""


def train_and_predict(
    data: LabelledPictures, evaluated: EvaluationPictures, plan: Plan, choices: Mapping[str, Mapping[str, float]]
) -> tuple[Floats, dict[str, float]]:
    """Strengths of every evaluated picture, and the settings: those of `choices`, found by the arm's first seed, or the
    best of a search of 3 learning rates and 2 weight decays.
    """
    chosen = dict(choices.get(plan.arm, {})) or _search(data, plan)
    model, best = _train(data, plan, chosen, 1.0, "final")
    device = choose_device(plan.device)
    model = model.to(device).eval()
    with torch.inference_mode():
        predicted = [_strengths(model, noisy[None].to(device))[0].double().cpu().numpy() for noisy, *_ in evaluated]
    return np.stack(predicted), {**chosen, "validation_rmse": best}


def _search(data: LabelledPictures, plan: Plan) -> dict[str, float]:
    found = []
    for number, (rate, decay) in enumerate(itertools.product(LEARNING_RATES[plan.kind], WEIGHT_DECAYS)):
        settings = {"learning_rate": rate, "weight_decay": decay}
        _, best = _train(data, plan, settings, SEARCH_SHARE, f"search{number}")
        found.append((best, settings))
    return min(found, key=lambda entry: entry[0])[1]


def _train(
    data: LabelledPictures, plan: Plan, settings: Mapping[str, float], share: float, name: str
) -> tuple[nn.Module, float]:
    """The network as it was at its best validation error, and that error."""
    count = len(data.codes)
    order = np.random.default_rng(plan.seed).permutation(count)
    validated = max(int(VALIDATION_SHARE * count), 1)
    held, learned = order[:validated][:MOST_VALIDATED], order[validated:]
    device = choose_device(plan.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        model: nn.Module = vit.ViT(vit.ViTConfig()) if plan.kind == "vit" else PaperModel(EncoderConfig())
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


def _strengths(model: nn.Module, pictures: Tensor) -> Tensor:
    """What `model` predicts for pictures (n, H, W), `(n, 6)`; our network by one grid of blocks, as with few labels."""
    if isinstance(model, PaperModel):
        predicted: Tensor = model.head(model.encoder(tokenize(pictures[:, None], grids=1)))
        return predicted
    return torch.as_tensor(model(pictures[:, None]))


def _objective(model: nn.Module, data: LabelledPictures, learned: NDArray[np.int64]) -> Objective:
    """Squared error over turned and mirrored pictures; of our network, which takes any size, over crops of CROP px."""
    crops = isinstance(model, PaperModel) and data.codes.shape[1] > CROP

    def objective(generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        device = generator.device
        drawn = torch.randint(len(learned), (BATCH,), generator=generator, device=device).cpu().numpy()
        turn, mirror = torch.randint(4, (2,), generator=generator, device=device).tolist()
        pictures = torch.rot90(data.pictures(learned[drawn]), turn, (1, 2))
        pictures = pictures.flip(2) if mirror % 2 else pictures
        if crops:
            top, left = (
                BLOCK
                * torch.randint((data.codes.shape[1] - CROP) // BLOCK + 1, (2,), generator=generator, device=device)
            ).tolist()
            pictures = pictures[:, top : top + CROP, left : left + CROP]
        predicted = _strengths(model, pictures.to(device))
        error = (predicted - data.strengths[learned[drawn]].to(device)).square().mean()
        return 100 * error, {}

    return objective


class _EarlyStopping:
    """Keeps the weights of the lowest validation error; ends a training that no longer gets better."""

    def __init__(self, model: nn.Module, data: LabelledPictures, held: NDArray[np.int64], file: Path | None):
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
                (_strengths(self.model, self.data.pictures(part).to(device)).cpu() - self.data.strengths[part]).square()
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
