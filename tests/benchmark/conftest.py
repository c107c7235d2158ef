"""What several tests of the benchmark make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisediag.benchmark.few_shot import data as few_shot_data
from noisediag.cop import few_shot_learning
from noisediag.cop.models import save_encoder
from noisediag.cop.near_encoder import NearEncoder, NearEncoderConfig
from noisediag.genome import scenes

SMALL = NearEncoderConfig(width=16, hidden=24, embedding=32)


@pytest.fixture
def small(monkeypatch) -> None:
    """Toys in the place of thousands of pictures, and short searches."""
    monkeypatch.setattr(few_shot_data, "SCENES", 8)
    monkeypatch.setattr(few_shot_data, "LABELLED_PX", 64)
    for name, steps in (("SEARCH_STEPS", 8), ("CHOICE_STEPS", 2)):
        monkeypatch.setattr(few_shot_learning, name, steps)
    few_shot_data._pool.cache_clear()
    yield
    few_shot_data._pool.cache_clear()


@pytest.fixture(scope="session")
def domains(tmp_path_factory) -> Path:
    """Two domains with six pictures of 64 px each, every third one in colour."""
    root = tmp_path_factory.mktemp("domains")
    for number, kinds in enumerate((("photo",), ("stars",))):
        (root / kinds[0]).mkdir()
        drawn = scenes.make(6, 64, torch.Generator().manual_seed(number), kinds=kinds).numpy()
        for i, scene in enumerate(drawn):
            codes = (scene * 255).round().astype(np.uint8)
            codes = np.stack([codes, codes // 2, 255 - codes], 2) if i % 3 == 0 else codes
            Image.fromarray(codes).save(root / kinds[0] / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def near(tmp_path_factory) -> Path:
    """A small encoder of near genomes, with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("near") / "near.safetensors"
    save_encoder(path, NearEncoder(SMALL).eval(), {"recipe": {}})
    return path
