"""noisediag reads the noise in a picture: how much of each kind, in physical units, from one ordinary image."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisediag.errors import NoisediagError
    from noisediag.estimator import estimate
    from noisediag.footprint.file import Footprint

__version__ = "0.1.0"
__all__ = ["Footprint", "NoisediagError", "__version__", "estimate"]

_HOMES = {
    "Footprint": "noisediag.footprint.file",
    "NoisediagError": "noisediag.errors",
    "estimate": "noisediag.estimator",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use (PEP 562): `import noisediag` and `--help` load neither numpy nor torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'noisediag' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
