"""The one training loop: pretraining, curve, heads and few-shot all run through `fit`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, distributed, nn

from noisediag.errors import CheckpointError
from noisediag.genome.seeds import stream

Objective = Callable[
    [torch.Generator], tuple[Tensor, dict[str, float]]
]  # draws its own batch; value and numbers to log
Report = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class FitConfig:
    """`steps` of AdamW with linear warm-up and cosine decay to zero.

    The result is the running average of the weights.
    """

    steps: int
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warm_up: int = 100
    average: float = 0.998
    clip_norm: float = 1.0
    seed: int = 0
    processes: int = 1  # that take every step together, each on batches of its own (`torchrun`)
    log_every: int = 50
    save_every_s: float = 180.0


def fit(
    module: nn.Module,
    objective: Objective,
    config: FitConfig,
    *,
    device: torch.device | str = "cpu",
    state_path: Path | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> None:
    """Train `module` in place; at the end it holds the averaged weights.

    Every step draws from a generator seeded by (seed, step, process) alone, so a run continued with `resume` from
    `state_path` ends with the bytes of an undisturbed one (same device). Raises CheckpointError where the state to
    resume from does not match.

    With several `processes` all take the same step, on the mean of their gradients; the first one reports and saves.
    """
    rank = distributed.get_rank() if config.processes > 1 else 0
    if rank > 0:
        report = None
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    average = [p.detach().clone() for p in parameters]
    step = 0
    if resume and state_path is not None and state_path.exists():
        step = _load_state(state_path, parameters, average, optimizer, config)
    saved = time.monotonic()
    sums: dict[str, float] = {}
    counted = 0
    while step < config.steps:
        generator = torch.Generator(device=device).manual_seed(stream(config.seed, step, rank))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, config)
        value, numbers = objective(generator)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        if config.processes > 1:
            _average_gradients(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        if torch.isfinite(norm):  # one impossible picture must not end hours of training; the count is in the log
            optimizer.step()
        else:
            numbers["skipped"] = 1.0
        step += 1
        decay = min(config.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, p in zip(average, parameters, strict=True):
                a.lerp_(p, 1 - decay)
        for name, number in {"loss": float(value.detach()), **numbers}.items():
            sums[name] = sums.get(name, 0.0) + number
        counted += 1
        if step % config.log_every == 0 or step == config.steps:
            if report is not None:
                report(step, {name: total / counted for name, total in sums.items()})
            sums, counted = {}, 0
        if (
            state_path is not None
            and rank == 0
            and (time.monotonic() - saved > config.save_every_s or step == config.steps)
        ):
            _save_state(state_path, step, parameters, average, optimizer, config)
            saved = time.monotonic()
    with torch.no_grad():
        for a, p in zip(average, parameters, strict=True):
            p.copy_(a)


def _average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace the gradients of this process by the mean over all processes, in one exchange."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    together = torch.cat([g.flatten() for g in gradients])
    distributed.all_reduce(together)
    together /= distributed.get_world_size()
    for gradient, mean in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _schedule(step: int, config: FitConfig) -> float:
    warm = min(1.0, (step + 1) / max(config.warm_up, 1))
    return warm * 0.5 * (1 + math.cos(math.pi * step / config.steps))


def _save_state(
    path: Path,
    step: int,
    parameters: list[nn.Parameter],
    average: list[Tensor],
    optimizer: torch.optim.AdamW,
    config: FitConfig,
) -> None:
    tensors = {}
    for i, (p, a) in enumerate(zip(parameters, average, strict=True)):
        moments = optimizer.state.get(p, {})
        tensors[f"{i}.weight"], tensors[f"{i}.average"] = p.detach().contiguous(), a.contiguous()
        for name in ("exp_avg", "exp_avg_sq", "step"):
            if name in moments:
                tensors[f"{i}.{name}"] = moments[name].contiguous()
    temporary = path.with_name(path.name + ".tmp")
    save_file(tensors, temporary, metadata={"step": str(step), "fit": json.dumps(asdict(config), sort_keys=True)})
    temporary.replace(path)


def _load_state(
    path: Path, parameters: list[nn.Parameter], average: list[Tensor], optimizer: torch.optim.AdamW, config: FitConfig
) -> int:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("fit") != json.dumps(asdict(config), sort_keys=True):
            raise CheckpointError(
                f"{path}: was written by a run with other settings; start anew or use the same settings"
            )
        names = set(file.keys())
        with torch.no_grad():
            for i, (p, a) in enumerate(zip(parameters, average, strict=True)):
                weight = file.get_tensor(f"{i}.weight")
                if weight.shape != p.shape:
                    raise CheckpointError(
                        f"{path}: weight {i} has shape {tuple(weight.shape)}, the model {tuple(p.shape)}"
                    )
                p.copy_(weight)
                a.copy_(file.get_tensor(f"{i}.average"))
                if f"{i}.step" in names:
                    optimizer.state[p] = {
                        n: file.get_tensor(f"{i}.{n}").to(p.device if n != "step" else "cpu")
                        for n in ("exp_avg", "exp_avg_sq", "step")
                    }
    return int(metadata["step"])
