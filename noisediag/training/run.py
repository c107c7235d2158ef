"""Where a training run writes, how it is watched, and what it shares with the processes beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import distributed, nn

from noisediag.training.fit import SAVE_EVERY_S, FitConfig, Objective, Report, SteppedObjective, fit
from noisediag.training.log import Log
from noisediag.training.recipe import Recipe, Stage

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One checkpoint in the making. `report` and `announce` are told of every step of progress, `log` keeps figures."""

    output: Path
    device: torch.device
    resume: bool = False
    report: Report | None = None
    announce: Announce | None = None
    log: Log | None = None
    save_every_s: float = SAVE_EVERY_S

    @property
    def processes(self) -> int:
        """How many train together under `torchrun`."""
        return distributed.get_world_size() if distributed.is_initialized() else 1

    @property
    def rank(self) -> int:
        """The number of this process among them."""
        return distributed.get_rank() if distributed.is_initialized() else 0

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def to(self, output: Path) -> Run:
        """The same run, another checkpoint."""
        return replace(self, output=output)

    def with_log(self, log: Log) -> Run:
        """The same run, its figures kept in `log`."""
        return replace(self, log=log)

    def state(self, part: str) -> Path:
        """The file from which a stopped run continues with the training of `part`."""
        return self.output.with_name(f"{self.output.stem}.{part}.state")

    def say(self, text: str) -> None:
        """Tell whoever watches what is being done."""
        if self.announce is not None:
            self.announce(text)

    def begin(self, stage: Stage) -> None:
        """From now on the time is the stage's."""
        if self.log is not None:
            self.log.begin(stage.value)

    def note(self, stage: Stage, part: str, step: int, numbers: dict[str, float]) -> None:
        """Put a line into the log."""
        if self.log is not None and self.leads:
            self.log.add(stage.value, part, step, numbers)

    def fit(
        self, module: nn.Module, objective: Objective | SteppedObjective, config: FitConfig, stage: Stage, part: str
    ) -> None:
        """`fit` on this run's device, resumed and reported as it is asked for."""

        def report(step: int, numbers: dict[str, float]) -> None:
            self.note(stage, part, step, numbers)
            if self.report is not None:
                self.report(step, numbers)

        fit(
            module,
            objective,
            config,
            device=self.device,
            state_path=self.state(part),
            resume=self.resume,
            report=report,
            save_every_s=self.save_every_s,
        )

    def fit_config(self, recipe: Recipe, stage: Stage) -> FitConfig:
        """The long training of `stage` as a resolved recipe wants it."""
        steps, rate, warm_up, seed = (
            getattr(recipe, f"{stage.network}_{what}") for what in ("steps", "rate", "warm_up", "seed")
        )
        return FitConfig(steps=steps, learning_rate=rate, warm_up=warm_up, seed=seed, processes=self.processes)

    def finish(self, *parts: str) -> None:
        """Remove the states of what has been written."""
        for part in parts:
            self.state(part).unlink(missing_ok=True)

    def wait(self) -> None:
        """Until the other processes are here too."""
        if self.processes > 1:
            distributed.barrier()
