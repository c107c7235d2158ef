"""The one training loop: pretraining, curve, heads and few-shot all run through `fit`."""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, distributed, nn

from noisediag.errors import CheckpointError
from noisediag.genome.seeds import stream

# Draws its own batch from the generator; the loss, and numbers to log.
Objective = Callable[[torch.Generator], tuple[Tensor, dict[str, float]]]
Report = Callable[[int, dict[str, float]], None]  # of the step, and means over the steps since the last report

MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # of AdamW, for each weight
SAVE_EVERY_S = 180.0  # s; what an interrupted run loses at most, at a cost far below 1 % of the time


class SteppedObjective(ABC):
    """An objective whose batches depend on the number of the step, too."""

    @abstractmethod
    def at_step(self, generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, float]]:
        """As an `Objective`; `step` from 0."""


@dataclass(frozen=True)
class FitConfig:
    """`steps` of AdamW (Loshchilov & Hutter 2019) with linear warm-up and cosine decay to zero.

    The result is the running average of the weights.
    """

    steps: int
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warm_up: int = 100  # steps
    average: float = 0.998  # of the running average, what is kept in each step
    clip_norm: float = 1.0  # of the gradient of all weights: one odd batch must not undo many
    seed: int = 0
    processes: int = 1  # that take every step together, each on batches of its own (`torchrun`)
    log_every: int = 50  # steps


@dataclass
class _Progress:
    """Where a run stands: what is trained, what the optimiser holds of it, and the numbers not yet reported."""

    parameters: list[nn.Parameter]
    average: list[Tensor]
    optimizer: torch.optim.AdamW
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0


def fit(
    module: nn.Module,
    objective: Objective | SteppedObjective,
    config: FitConfig,
    *,
    device: torch.device | str = "cpu",
    state_path: Path | None = None,
    resume: bool = False,
    report: Report | None = None,
    save_every_s: float = SAVE_EVERY_S,
) -> None:
    """Train `module` in place; at the end it holds the averaged weights.

    Every step draws from a generator seeded by (seed, step, process) alone, so a run continued with `resume` from
    `state_path` ends with the bytes of an undisturbed one (same device), and reports the same numbers. Raises
    CheckpointError where the state to resume from does not match.

    With several `processes` all take the same step, on the mean of their gradients; the first one reports and saves.
    """
    rank = distributed.get_rank() if config.processes > 1 else 0
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    now = _Progress(parameters, [p.detach().clone() for p in parameters], optimizer)
    if resume and state_path is not None and state_path.exists():
        _load_state(state_path, now, config)
    saved = time.monotonic()
    while now.step < config.steps:
        generator = torch.Generator(device=device).manual_seed(stream(config.seed, now.step, rank))
        _take_step(now, objective, config, generator)
        last = now.step == config.steps
        if now.step % config.log_every == 0 or last:
            if report is not None and rank == 0:
                report(now.step, {name: total / now.counted for name, total in now.sums.items()})
            now.sums, now.counted = {}, 0
        if state_path is not None and rank == 0 and (last or time.monotonic() - saved > save_every_s):
            _save_state(state_path, now, config)
            saved = time.monotonic()
    with torch.no_grad():
        for a, p in zip(now.average, parameters, strict=True):
            p.copy_(a)


def _take_step(
    now: _Progress, objective: Objective | SteppedObjective, config: FitConfig, generator: torch.Generator
) -> None:
    for group in now.optimizer.param_groups:
        group["lr"] = config.learning_rate * _schedule(now.step, config)
    if isinstance(objective, SteppedObjective):
        value, numbers = objective.at_step(generator, now.step)
    else:
        value, numbers = objective(generator)
    now.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(value)
    if config.processes > 1:
        _average_gradients(now.parameters)
    norm = nn.utils.clip_grad_norm_(now.parameters, config.clip_norm)
    if torch.isfinite(norm):  # one impossible picture must not end hours of training; the count is in the log
        now.optimizer.step()
    else:
        numbers["skipped"] = 1.0
    now.step += 1
    decay = min(config.average, (1 + now.step) / (10 + now.step))
    with torch.no_grad():
        for a, p in zip(now.average, now.parameters, strict=True):
            a.lerp_(p, 1 - decay)
    for name, number in {"loss": float(value.detach()), **numbers}.items():
        now.sums[name] = now.sums.get(name, 0.0) + number
    now.counted += 1


def _average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace the gradients of this process by the mean over all processes, in one exchange."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    together = torch.cat([g.flatten() for g in gradients])
    distributed.all_reduce(together)
    together /= distributed.get_world_size()
    for gradient, mean in zip(gradients, torch.split(together, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _schedule(step: int, config: FitConfig) -> float:
    warm = min(1.0, (step + 1) / max(config.warm_up, 1))
    return warm * 0.5 * (1 + math.cos(math.pi * step / config.steps))


def _save_state(path: Path, now: _Progress, config: FitConfig) -> None:
    tensors = {}
    for i, (p, a) in enumerate(zip(now.parameters, now.average, strict=True)):
        moments = now.optimizer.state.get(p, {})
        tensors[f"{i}.weight"], tensors[f"{i}.average"] = p.detach().contiguous(), a.contiguous()
        for name in MOMENTS:
            if name in moments:
                tensors[f"{i}.{name}"] = moments[name].contiguous()
    temporary = path.with_name(path.name + ".tmp")
    metadata = {"step": now.step, "fit": asdict(config), "sums": now.sums, "counted": now.counted}
    save_file(
        tensors, temporary, metadata={name: json.dumps(value, sort_keys=True) for name, value in metadata.items()}
    )
    temporary.replace(path)


def _load_state(path: Path, now: _Progress, config: FitConfig) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
            if metadata.get("fit") != asdict(config):
                raise CheckpointError(
                    f"{path}: was written by a run with other settings; start anew or use the same settings"
                )
            names = set(file.keys())
            with torch.no_grad():
                for i, (p, a) in enumerate(zip(now.parameters, now.average, strict=True)):
                    weight = file.get_tensor(f"{i}.weight")
                    if weight.shape != p.shape:
                        raise CheckpointError(
                            f"{path}: weight {i} has shape {tuple(weight.shape)}, the model {tuple(p.shape)}"
                        )
                    p.copy_(weight)
                    a.copy_(file.get_tensor(f"{i}.average"))
                    if f"{i}.step" in names:
                        now.optimizer.state[p] = {
                            n: file.get_tensor(f"{i}.{n}").to(p.device if n != "step" else "cpu") for n in MOMENTS
                        }
        now.step, now.sums, now.counted = metadata["step"], metadata["sums"], metadata["counted"]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: is no state to continue from ({type(error).__name__}); start anew") from error
