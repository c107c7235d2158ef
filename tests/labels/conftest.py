"""Frames of a scene as a simulated sensor takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

from noisediag.genome import scenes, sensor
from noisediag.images import Image, from_array

BLACK, WHITE = 6000.0, 65535.0
NAMES = tuple(entry.name for entry in fields(sensor.SensorNoise))


def scene(kind: str, size: int, seed: int = 1) -> np.ndarray:
    """Clean light (size, size), 0 to 1."""
    return scenes.make(1, size, torch.Generator().manual_seed(seed), kinds=(kind,))[0].numpy()


def shots(frames: list[np.ndarray], *, seed: int = 0, black: float = BLACK, **values: float) -> np.ndarray:
    """Codes (N, H, W) of clean frames with noise of their own; S and read noise are 0.01 unless given."""
    planted = {**dict.fromkeys(NAMES, 0.0), "shot_gain": 0.01, "read_noise": 0.01, **values}
    noise = sensor.SensorNoise(**{name: torch.full((len(frames),), value) for name, value in planted.items()})
    step = 1 / (WHITE - black)
    light = torch.from_numpy(np.stack(frames).astype(np.float32))
    generator = torch.Generator().manual_seed(seed)
    noisy = sensor.corrupt(light, noise, generator, black_clip=-black * step, container_step=step).image
    return np.rint(noisy.numpy() / step + black).astype(np.uint16)


@pytest.fixture(scope="session")
def leaves() -> np.ndarray:
    """A textured scene that reaches from black to white, 512 x 512."""
    return scene("leaves", 512)


@pytest.fixture
def stack() -> Callable[..., Image]:
    """`stack(frames, **noise)`: clean frames as an image of noisy ones, levels known."""

    def make(frames: list[np.ndarray], *, black: float = BLACK, **values: Any) -> Image:
        return from_array(shots(frames, black=black, **values), black=black, white=WHITE)

    return make
