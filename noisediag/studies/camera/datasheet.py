"""A camera's data sheet against a picture: the noise curve that gain, full well, read noise and dark current imply.

    sigma^2(x) = K * x + K^2 * (r^2 + D * t) + q^2 / 12    (DN^2; x: DN above black)

K is the gain in DN/e-, r the read noise in e-, D the dark current in e-/s and t the exposure. Black is taken to hold
the dark signal, as where it comes from masked pixels: only the noise of the dark current is left in the picture then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from noisediag.errors import UsageError
from noisediag.footprint.file import Footprint
from noisediag.footprint.plane import CurvePoint
from noisediag.footprint.values import Bounded
from noisediag.studies.camera.comparison import Comparison, Verdict, comparison
from noisediag.studies.camera.profile import gain_of

TAG = "sheet"
NEAR_RATIO = 1.15  # of sheet's to picture's sigma, or its inverse, that still agrees: 9 in 10 curves are nearer
FAR_RATIO = 1.25  # beyond which the whole interval lies where they differ ...
TEXTURE_RATIO = (
    1.5  # ... and where the picture is the noisier one: in 3 % of pictures texture passes for 1.4 times as much
)
DOUBLING_C = (9.0, 7.0, 5.0)  # degrees that double the dark current of silicon: slow, usual, fast


@dataclass(frozen=True)
class DataSheet:
    """What a data sheet states; None: it does not. `temperature`: of the dark current, degrees Celsius."""

    gain: float | None = None  # DN/e-
    full_well: float | None = None  # e-
    read_noise: float | None = None  # e-
    dark: float | None = None  # e-/s
    temperature: float | None = None

    @classmethod
    def parse(cls, text: str) -> DataSheet:
        """Of `name=number,...`. Raises UsageError for other names, numbers below 0, and sheets without a gain."""
        names = [entry.name for entry in fields(cls)]
        found: dict[str, float] = {}
        for part in text.split(","):
            name, _, number = part.partition("=")
            name = name.strip().replace("-", "_")
            try:
                found[name] = float(number)
            except ValueError:
                raise UsageError(f"--datasheet {part}: a number is needed, as in gain=0.5,read_noise=3") from None
            least = -273.15 if name == "temperature" else 0.0
            if name not in names or not (math.isfinite(found[name]) and found[name] >= least):
                raise UsageError(f"--datasheet {part}: {', '.join(names)}, none of them negative")
        sheet = cls(**found)
        if not (sheet.gain or sheet.full_well):
            raise UsageError("--datasheet: gain (DN/e-) or full_well (e-) is needed")
        return sheet


@dataclass(frozen=True)
class _Dark:
    """Electrons of the dark current in one exposure: usual, least, most; `words`: how they are known."""

    electrons: tuple[float, float, float]
    words: str


def against(sheet: DataSheet, footprint: Footprint) -> tuple[list[Comparison], list[str]]:
    """The comparisons of a file's footprint with `sheet`, and what is to be said about its dark current.

    Nothing for rendered pictures, whose codes are no measure of light.
    """
    levels = _levels(footprint)
    if footprint.domain == "rendered" or levels is None:
        return [], []
    own, path = footprint.planes[-1], str(footprint.path)
    span, step = levels
    gain = sheet.gain or (span / sheet.full_well if sheet.full_well and own.white_known else None)
    if gain is None:
        return [], ["the white level is unknown, so the full well gives no gain: state the gain"]
    inverse = gain_of(own)
    rows = [comparison(path, TAG, "gain", "DN/e-", gain, _inverse(inverse))] if sheet.gain else []
    if sheet.full_well and own.white_known:
        wells = Bounded(*(None if one is None else one * span for one in (inverse.value, inverse.low, inverse.high)))
        rows.append(comparison(path, TAG, "full well", "e-", sheet.full_well, wells))
    if sheet.read_noise is None or not own.offset_known:
        what = "a read noise" if sheet.read_noise is None else "the black level"
        return rows, [f"without {what} the data sheet implies no curve"]
    dark = _dark(sheet, footprint)
    constant = sheet.read_noise**2 + (0.0 if dark is None else dark.electrons[0])
    rows += _curves(path, own.curve, gain / span, constant, step)
    if constant > 0:
        rows.append(comparison(path, TAG, "dark noise", "e-", math.sqrt(constant), footprint.derived.sigma_d))
    return rows, [_share(dark, sheet.read_noise, footprint.derived.sigma_d)] if dark is not None else []


def _levels(footprint: Footprint) -> tuple[float, float] | None:
    """White - black, DN, of the file or the mean of its planes', and its quantisation over that; None: not known."""
    spans = [p.white_dn - p.black_dn for p in footprint.planes if p.black_dn is not None and p.white_dn is not None]
    if not spans:
        return None
    return float(np.mean(spans)), footprint["quantisation"].value or 0.0


def _inverse(value: Bounded) -> Bounded:
    if not value.value or not value.low or not value.high:
        return Bounded(None)
    return Bounded(1 / value.value, 1 / value.high, 1 / value.low)


def _curves(path: str, curve: Sequence[CurvePoint], shot: float, constant: float, step: float) -> list[Comparison]:
    """The sheet's sigma beside the picture's: in its darkest and brightest places, and the mean over its signals."""
    points = [point for point in curve if point.sigma > 0 and point.low > 0]
    if not points:
        return []
    stated = [math.sqrt(shot * max(point.signal, 0.0) + shot**2 * constant + step**2 / 12) for point in points]
    ends = {
        "sigma dark": (stated[:1], points[:1]),
        "sigma bright": (stated[-1:], points[-1:]),
        "sigma mean": (stated, points),
    }
    rows = []
    for name, (sheet, found) in ends.items():
        low, value, high = (_mean([getattr(point, key) for point in found]) for key in ("low", "sigma", "high"))
        ratios = (_mean(sheet) / value, _mean(sheet) / high, _mean(sheet) / low)
        rows.append(Comparison(path, TAG, name, "", _mean(sheet), value, low, high, *ratios, _verdict(*ratios)))
    return rows


def _mean(values: Sequence[float]) -> float:
    """The geometric mean of positive numbers."""
    return float(np.exp(np.mean(np.log(np.maximum(values, 1e-300)))))


def _verdict(ratio: float, low: float, high: float) -> Verdict:
    """Differs where the whole interval lies beyond the ratios; agrees where the ratio is near and its ends not far."""
    if low > FAR_RATIO or high < 1 / TEXTURE_RATIO:
        return "differs"
    near = max(ratio, 1 / ratio) <= NEAR_RATIO and max(high, 1 / low) <= FAR_RATIO
    return "agrees" if near else "cannot tell"


def _dark(sheet: DataSheet, footprint: Footprint) -> _Dark | None:
    """From exposure and temperature; None where sheet or file do not say enough."""
    exposure, celsius = footprint.acquisition.get("ExposureTime"), footprint.acquisition.get("CCD-TEMP")
    if sheet.dark is None or not isinstance(exposure, int | float) or not exposure > 0:
        return None
    usual = sheet.dark * float(exposure)
    if sheet.temperature is None or not isinstance(celsius, int | float):
        return _Dark((usual, usual, usual), f"in {exposure:g} s")
    warmer = float(celsius) - sheet.temperature
    slow, middle, fast = (usual * 2 ** (warmer / doubling) for doubling in DOUBLING_C)
    return _Dark((middle, min(slow, fast), max(slow, fast)), f"in {exposure:g} s at {celsius:g} C")


def _share(dark: _Dark, read_noise: float, found: Bounded) -> str:
    """How much of the constant part of the noise is dark current, by the sheet and by the picture."""
    usual, least, most = (100 * one / max(one + read_noise**2, 1e-300) for one in dark.electrons)
    bounds = f" ({least:.2g} .. {most:.2g})" if most > least else ""
    words = f"dark current: {dark.electrons[0]:.3g} e- {dark.words}, {usual:.2g}{bounds} % of the constant part of the "
    words += "noise by the data sheet"
    if not found.value or found.low is None or not found.high:
        return f"{words}; the picture does not show that part"
    shares = [
        100 * max(1 - (read_noise / one) ** 2, 0.0) if one > 0 else 0.0 for one in (found.value, found.low, found.high)
    ]
    return f"{words}, {shares[0]:.2g} ({shares[1]:.2g} .. {shares[2]:.2g}) % by the picture"
