"""Kinds by name: a function that makes one trap, and what its first line says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from noisediag.genome.cases import named_seed
from noisediag.genome.traps.scenes import Scenes
from noisediag.genome.traps.truth import Trap

Make = Callable[[Scenes, Generator], Trap]


@dataclass(frozen=True)
class Kind:
    """One ordinary situation. `control`: the noise model does hold, and an answer that doubts that is wrong."""

    name: str
    text: str
    make: Make
    control: bool

    def trap(self, scenes: Scenes, seed: int, draw: int) -> Trap:
        """Number `draw` of this kind: the same for the same scenes, whatever other kinds are made beside it."""
        return self.make(scenes, np.random.default_rng(named_seed(f"{seed}/traps/{self.name}/{draw}")))


REGISTERED: dict[str, Kind] = {}


def kind(make: Make) -> Make:
    """Decorator: a situation outside of the noise model, by the function's own name."""
    return _register(make, control=False)


def control(make: Make) -> Make:
    """Decorator: a calm picture of an ordinary law."""
    return _register(make, control=True)


def _register(make: Make, *, control: bool) -> Make:
    name = make.__name__
    assert name not in REGISTERED, name
    text = (make.__doc__ or "").strip().splitlines()[0]
    REGISTERED[name] = Kind(name, text, make, control)
    return make
