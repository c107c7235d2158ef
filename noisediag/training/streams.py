"""Random numbers of training that must have nothing in common, each told apart by what it is for."""

from __future__ import annotations

import torch

from noisediag.genome.cases import named_seed


def drawing(purpose: str, seed: int, *numbers: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that no other `purpose`, `seed` and `numbers` share, whatever the numbers are.

    The batches of `fit` and the scenes of `clean_pool` have streams of their own, see `genome.seeds`.
    """
    name = "/".join(["pretrain", purpose, str(seed), *map(str, numbers)])
    return torch.Generator(device=device).manual_seed(named_seed(name))
