"""The one table of noise parameters; head width, prior, JSON, CSV, table and handbook rows derive from it.

Definitions and ranges: the noise model sigma2(x) = S*x + O + M^2*x^2 + q^2/12 with O = read_noise^2, plus row and
column offsets, impulses and the spatial correlation of the pixel noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Parameter:
    """One measured quantity. `low` and `high` bound the range the simulator and the heads cover."""

    name: str
    symbol: str
    unit: str
    low: float
    high: float
    spacing: Literal["log", "uniform"]
    scales_with_dn: bool  # True: value_dn = value * (white - black)
    text: str


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("shot_gain", "S", "1/e-", 1e-6, 0.2, "log", True, "normalised signal per electron; shot variance is S*x"),
    Parameter(
        "read_noise", "sigma_r", "normalised", 1e-5, 0.2, "log", True, "signal-independent Gaussian standard deviation"
    ),
    Parameter(
        "multiplicative",
        "M",
        "fraction",
        1e-3,
        1.0,
        "log",
        False,
        "standard deviation of a gain of mean 1 (PRNU, speckle)",
    ),
    Parameter(
        "impulse", "p", "fraction", 1e-5, 0.3, "log", False, "share of pixels visibly replaced by black or white"
    ),
    Parameter(
        "quantisation", "q", "normalised", 2.0**-16, 0.1, "log", True, "step between adjacent levels actually used"
    ),
    Parameter(
        "row_noise",
        "sigma_row",
        "normalised",
        1e-6,
        0.05,
        "log",
        True,
        "standard deviation of an offset shared by a row",
    ),
    Parameter(
        "column_noise",
        "sigma_col",
        "normalised",
        1e-6,
        0.05,
        "log",
        True,
        "standard deviation of an offset shared by a column",
    ),
    Parameter(
        "correlation",
        "rho",
        "px",
        0.4,
        2.0,
        "uniform",
        False,
        "width of the kernel exp(-d^2/(2 rho^2)) that filters the pixel noise",
    ),
)

NAMES: tuple[str, ...] = tuple(parameter.name for parameter in PARAMETERS)


def parameter(name: str) -> Parameter:
    """The declaration of `name`. Raises KeyError for a name that is not declared."""
    for declared in PARAMETERS:
        if declared.name == name:
            return declared
    raise KeyError(f"no noise parameter is called {name!r}; declared: {', '.join(NAMES)}")
