"""Reads the noise in a picture: how much of each kind, in physical units, from one ordinary image.

    >>> import numpy as np
    >>> import noisediag
    >>> light = np.linspace(50, 2000, 256 * 256).reshape(256, 256)  # electrons
    >>> picture = np.random.default_rng(1).poisson(light) * 2 + 100  # 2 DN/e-, black at 100 DN

    >>> fp = noisediag.estimate(picture.astype(np.uint16), black=100, white=4095)  # or estimate("photo.dng")
    >>> gain = fp.derived.K  # with its 90 % interval
    >>> gain.low < 2.0 < gain.high, gain.unit
    (True, 'DN/e-')
    >>> fp["row_noise"].value is None, fp["row_noise"].flag
    (True, 'below_floor')
    >>> fp.sigma([0.1, 0.5]).round(3)  # at 10 % and 50 % of white - black, in the same scale
    array([0.007, 0.016])

estimate        the noise of one picture: a file, an array, a picture of PIL, a tensor, bytes
estimate_many   of many, one after the other or side by side
measure         noise measured from repeats, flats and darks, or pairs: no model guesses
measure_many    of a folder of such
read            a picture as `estimate` sees it
simulate        a known noise on a clean picture
finetune        a model that reads your own noise, from about 100 labels
advise          what a stack says of the next acquisition
profile         the noise profile of a camera, per ISO and colour
check           what files state of their noise against what their pixels show
Footprint       what estimate and measure give
Failure         what stands in its place for a picture that cannot be estimated
NoisediagError  base of all errors; UsageError, InputError and CheckpointError say whose fault it was

The handbook: `noisediag guide python` in a terminal.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisediag.api.estimating import estimate, estimate_many, read
    from noisediag.api.making import finetune, simulate
    from noisediag.api.measuring import measure, measure_many
    from noisediag.api.planning import advise, check, profile
    from noisediag.errors import CheckpointError, InputError, NoisediagError, UsageError
    from noisediag.footprint.file import Footprint
    from noisediag.reports import Failure

__version__ = "0.1.0"
__all__ = [
    "CheckpointError",
    "Failure",
    "Footprint",
    "InputError",
    "NoisediagError",
    "UsageError",
    "__version__",
    "advise",
    "check",
    "estimate",
    "estimate_many",
    "finetune",
    "measure",
    "measure_many",
    "profile",
    "read",
    "simulate",
]

_HOMES = {
    "CheckpointError": "noisediag.errors",
    "Failure": "noisediag.reports",
    "Footprint": "noisediag.footprint.file",
    "InputError": "noisediag.errors",
    "NoisediagError": "noisediag.errors",
    "UsageError": "noisediag.errors",
    "advise": "noisediag.api.planning",
    "check": "noisediag.api.planning",
    "estimate": "noisediag.api.estimating",
    "estimate_many": "noisediag.api.estimating",
    "finetune": "noisediag.api.making",
    "measure": "noisediag.api.measuring",
    "measure_many": "noisediag.api.measuring",
    "profile": "noisediag.api.planning",
    "read": "noisediag.api.estimating",
    "simulate": "noisediag.api.making",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use (PEP 562): `import noisediag` and `--help` load neither numpy nor torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'noisediag' has no attribute {name!r}; there are: {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
