"""The shipped model of the genome `paper`, as the benchmark asks it."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisediag.cop import checkpoint as store
from noisediag.cop.models import PaperModel, randomised
from noisediag.engine import torch
from noisediag.estimator import choose_device
from noisediag.footprint.file import CheckpointId

DEFAULT_CHECKPOINT = "paper"
BLOCK_PX = 8


class PaperEstimator:
    """A loaded model. Raises CheckpointError where the checkpoint is missing or no paper model, UsageError for the
    device.
    """

    def __init__(self, checkpoint: Path | None = None, device: str = "auto"):
        found = store.read(checkpoint if checkpoint is not None else store.shipped(DEFAULT_CHECKPOINT))
        self.checkpoint = CheckpointId(found.name, found.sha256)
        self.device = choose_device(device)
        self.model = PaperModel.load(found).to(self.device)

    def randomised(self, seed: int) -> PaperEstimator:
        """The same with the encoder's weights drawn anew."""
        other = copy.copy(self)
        other.model = randomised(self.model, seed)
        return other

    def predict(self, noisy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Strengths (6,) of a noisy picture (H, W) in [0, 1]; sides are cut to whole blocks of 8 px."""
        height, width = (side // BLOCK_PX * BLOCK_PX for side in noisy.shape)
        bag = torch.from_numpy(np.ascontiguousarray(noisy[:height, :width]))[None, None].to(self.device)
        with torch.inference_mode():
            return np.asarray(self.model(bag)[0].cpu().numpy())
