"""What the networks compute with: torch, or numpy under torch's names. Chosen once a process.

Training, CUDA and the reference need torch; an estimate on a processor does not, and is there before torch would be
imported. `from noisediag.engine import Tensor, functional, nn, torch` gives the chosen one's: the source of a network
is the same for both. The environment variable NOISEDIAG_ENGINE (torch or numpy) chooses, else the first call of `use`,
else this module when a network is first imported: numpy, but torch where there is a CUDA device and a torch for it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

from noisediag.engine.threads import one_thread
from noisediag.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional

__all__ = ["NAMES", "Tensor", "cuda_is_usable", "functional", "name", "nn", "one_thread", "torch", "use"]

VARIABLE = "NOISEDIAG_ENGINE"
NAMES = ("torch", "numpy")
_HOMES = {
    "torch": {"torch": "torch", "nn": "torch.nn", "functional": "torch.nn.functional"},
    "numpy": {
        "torch": "noisediag.engine.functions",
        "nn": "noisediag.engine.modules",
        "functional": "noisediag.engine.operations",
    },
}
_chosen: list[str] = []


def use(wanted: str) -> None:
    """Choose `wanted`, torch or numpy. Raises UsageError where the process computes with the other one already."""
    if wanted not in NAMES:
        raise UsageError(f"{VARIABLE} {wanted!r}: {' or '.join(NAMES)}")
    if wanted == "torch" and not _torch_is_installed():
        raise UsageError("this needs torch, which is not installed: python -m pip install torch")
    if name(wanted) != wanted:
        raise UsageError(
            f"this needs {wanted}, but the process computes with {name()}: set the environment variable "
            f"{VARIABLE}={wanted} before it starts"
        )


def _torch_is_installed() -> bool:
    return "torch" in sys.modules or importlib.util.find_spec("torch") is not None


def name(otherwise: str | None = None) -> str:
    """The engine of this process; where none was chosen yet, it is `otherwise`, or what suits the machine."""
    if not _chosen:
        asked = os.environ.get(VARIABLE) or otherwise or ("torch" if cuda_is_usable() else "numpy")
        if asked not in NAMES:
            raise UsageError(f"{VARIABLE} {asked!r}: {' or '.join(NAMES)}")
        _chosen.append(asked)
    return _chosen[0]


def cuda_is_usable() -> bool:
    """Whether a CUDA device and a torch that was built for one are here; torch is not imported to tell."""
    from noisediag.engine import cuda

    return cuda.devices() > 0 and cuda.torch_is_built_for_it()


def __getattr__(wanted: str) -> Any:
    if wanted == "Tensor":
        return importlib.import_module("torch" if name() == "torch" else "noisediag.engine.tensor").Tensor
    if wanted not in _HOMES["numpy"]:
        raise AttributeError(f"module 'noisediag.engine' has no attribute {wanted!r}")
    return importlib.import_module(_HOMES[name()][wanted])
