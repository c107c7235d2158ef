"""The one training loop: it learns, and a resumed run ends with the bytes of an undisturbed one."""

import os
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing, nn

from noisediag.errors import CheckpointError
from noisediag.training.fit import FitConfig, fit


def line() -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Linear(2, 1)


def objective_of(module: nn.Linear, stop_at: int | None = None):
    calls = 0

    def objective(generator: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(64, 2, generator=generator)
        return (module(x)[:, 0] - x @ torch.tensor([2.0, -1.0])).square().mean(), {}

    return objective


def test_it_learns() -> None:
    module = line()
    fit(module, objective_of(module), FitConfig(steps=400, learning_rate=0.05, warm_up=10, average=0.9))
    assert torch.allclose(module.weight[0], torch.tensor([2.0, -1.0]), atol=0.02)


def test_a_resumed_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    config = FitConfig(steps=30, warm_up=5, log_every=10)
    said: dict[str, list[tuple[int, dict[str, float]]]] = {"whole": [], "parts": []}
    whole = line()
    fit(whole, objective_of(whole), config, report=lambda *one: said["whole"].append(one))
    state = tmp_path / "state"
    broken, report = line(), lambda *one: said["parts"].append(one)
    with pytest.raises(KeyboardInterrupt):
        fit(broken, objective_of(broken, stop_at=13), config, state_path=state, report=report, save_every_s=0.0)
    resumed = line()
    fit(resumed, objective_of(resumed), config, state_path=state, resume=True, report=report)
    assert torch.equal(whole.weight, resumed.weight)
    assert torch.equal(whole.bias, resumed.bias)
    assert said["parts"] == said["whole"]  # the mean over steps 11 to 20 too, of which the first two were before


def test_a_damaged_state_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"no state")
    with pytest.raises(CheckpointError, match="no state to continue from"):
        fit(line(), objective_of(line()), FitConfig(steps=3), state_path=tmp_path / "state", resume=True)


def test_one_huge_gradient_does_not_carry_the_weights_away() -> None:
    """Without clipping, AdamW's moments would hold a gradient of 1e6 for many steps and go on in its direction."""
    weight = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(weight.weight)
    calls = 0

    def objective(generator: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        nonlocal calls
        calls += 1
        return (-1e6 if calls == 10 else 1.0) * weight.weight.sum(), {}

    rate, steps = 1e-2, 30
    fit(weight, objective, FitConfig(steps=steps, learning_rate=rate, warm_up=1, average=0.0, weight_decay=0.0))
    # every clipped step is one of the rate, all but one downwards; the cosine leaves half of them
    assert float(weight.weight.detach()) < -0.8 * 0.5 * rate * steps


def test_other_settings_do_not_resume(tmp_path: Path) -> None:
    module = line()
    fit(module, objective_of(module), FitConfig(steps=3), state_path=tmp_path / "state")
    with pytest.raises(CheckpointError, match="other settings"):
        fit(module, objective_of(module), FitConfig(steps=4), state_path=tmp_path / "state", resume=True)


def test_a_step_without_finite_gradient_changes_nothing() -> None:
    module = line()
    before = module.weight.detach().clone()
    seen: list[dict[str, float]] = []

    def objective(generator: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        return module.weight.sum() * torch.nan, {}

    fit(module, objective, FitConfig(steps=2, log_every=1), report=lambda step, numbers: seen.append(numbers))
    assert torch.equal(module.weight, before)
    assert [numbers["skipped"] for numbers in seen] == [1.0, 1.0]


def train_beside_another(rank: int, folder: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    module = line()
    fit(module, objective_of(module), FitConfig(steps=5, processes=2), state_path=folder / "state")
    torch.save(module.state_dict(), folder / f"{rank}.pt")
    distributed.destroy_process_group()
    os._exit(0)  # seen once: aborted as the interpreter shut down, all work done; a thread of gloo's is the suspect


def test_processes_that_train_together_end_alike(tmp_path: Path) -> None:
    multiprocessing.spawn(train_beside_another, (tmp_path,), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    alone = line()
    fit(alone, objective_of(alone), FitConfig(steps=5))
    assert torch.equal(first["weight"], second["weight"])
    assert not torch.equal(first["weight"], alone.weight)
    assert (tmp_path / "state").exists()
