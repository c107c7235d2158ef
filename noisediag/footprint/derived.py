"""What follows from an estimated plane: electrons, decibels, stops, DNG and EMVA 1288 quantities, structure.

Pure functions of the plane; nothing here is predicted by a model. Signals and sigmas are normalised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from noisediag.footprint.plane import PRESENT, Estimate, PlaneFootprint, VarianceLaw, counts_as_found
from noisediag.footprint.values import Quantity
from noisediag.genome.correlation import autocorrelation, kernel
from noisediag.traces.lines_and_waves import Arrangement

SURELY_SHARED = 0.75  # probability of correlation from which no electrons are counted
PERHAPS_SHARED = 0.1  # from here on nobody says that the noise is independent
MID_GREY = 0.18  # signal at which sigma and SNR are quoted


@dataclass(frozen=True)
class Derived:
    """What follows from one plane. None: unknown, unidentified, or meaningless (no electrons in rendered pictures)."""

    sigma_at_18pct: float  # normalised
    snr_db_at_18pct: float | None
    read_noise_e: float | None
    electrons_at_white: float | None  # at the measured saturation, where that is another level
    dynamic_range_stops: float | None
    dng_noise_profile: tuple[tuple[float, float], ...] | None  # (S, O) of DNG tag 51041; one pair, or one per colour
    K: Quantity  # EMVA 1288 system gain, DN/e-
    conversion_gain: Quantity  # its inverse, e-/DN
    sigma_d: Quantity  # EMVA 1288 temporal dark noise: the read noise in electrons
    PRNU1288: Quantity
    DSNU1288: Quantity  # one picture cannot tell a fixed dark pattern from a temporal one: known of dark frames only
    signal_median: float  # normalised
    sigma_at_median: float  # normalised
    snr_db_at_median: float | None
    sigma_effective: float  # normalised; square root of the mean of sigma^2 over the signal histogram


@dataclass(frozen=True)
class Structure:
    """How the noise lies. Shares are of sigma_total^2 at the median signal; lags are of the pixel noise alone.

    `correlated_share`: what a pixel has from the noise of its neighbours; `periodic_share`: one wave over the picture.
    Only what the parameters show as found has a share above 0. `noise_found`: False where there is nothing to arrange:
    all else is None then. `pixel_independent`: none of the four was found; None: not all of them can be told here.
    """

    row_share: float | None
    column_share: float | None
    lag1_h: float | None
    lag1_v: float | None
    correlated_share: float | None
    periodic_share: float | None
    pixel_independent: bool | None
    noise_found: bool = True

    @property
    def verdict(self) -> str:
        """One sentence on what Noise2Void and its kind assume: noise that is independent from pixel to pixel."""
        if not self.noise_found:
            return "No noise was found: whether it is independent from pixel to pixel cannot be told."
        shares = {
            "row": self.row_share,
            "column": self.column_share,
            "correlated": self.correlated_share,
            "periodic": self.periodic_share,
        }
        if self.pixel_independent is None:
            unknown = ", ".join(name for name, value in shares.items() if value is None)
            return f"It is not known whether the noise is independent from pixel to pixel: {unknown} noise is not seen."
        if self.pixel_independent:
            return (
                "No row, column, correlated or periodic noise was found: the noise is independent from pixel to pixel, "
                "as Noise2Void and its kind assume."
            )
        found = ", ".join(f"{100 * value:.2g} % {name}" for name, value in shares.items() if value)
        return (
            f"The noise is not independent from pixel to pixel ({found}): Noise2Void and its kind would take that for "
            "picture."
        )


def derive(
    plane: PlaneFootprint, *, domain: str, noise_profile: tuple[tuple[float, float], ...] | None = None
) -> Derived:
    """What follows from `plane` in physical units.

    Electrons need a linear domain and noise that neighbouring pixels do not share, values relative to white a known
    black and white, and an SNR a known black. White is where the pixels saturate, if that was measured. The interval of
    read noise in electrons joins the ends of both intervals, so it is at least as wide as its level says.
    """
    linear = domain != "rendered"
    full = _saturation(plane) if linear and plane.offset_known else None
    shot, read, multiplicative = plane["shot_gain"], plane["read_noise"], plane["multiplicative"]
    shot_value = shot.value if linear and not neighbours_share(plane) else None

    system_gain = Quantity(None, symbol="K", unit="DN/e-")
    if shot_value is not None:
        system_gain = Quantity(shot.value_dn, shot.low_dn, shot.high_dn, "K", "DN/e-")
    inverse_gain = Quantity(
        _ratio(1.0, system_gain.value), _ratio(1.0, system_gain.high), _ratio(1.0, system_gain.low), "1/K", "e-/DN"
    )
    dark_noise = Quantity(None, symbol="sigma_d", unit="e-")
    if shot_value is not None:
        dark_noise = Quantity(
            _ratio(read.value, shot_value), _ratio(read.low, shot.high), _ratio(read.high, shot.low), "sigma_d", "e-"
        )
    uniformity = Quantity(None, symbol="PRNU1288", unit="%")
    if linear:
        fractions = (multiplicative.value, multiplicative.low, multiplicative.high)
        value, low, high = (None if fraction is None else 100.0 * fraction for fraction in fractions)
        uniformity = Quantity(value, low, high, "PRNU1288", "%")
    return Derived(
        sigma_at_18pct=plane.law.sigma(MID_GREY),
        snr_db_at_18pct=_snr_db(plane, MID_GREY),
        read_noise_e=dark_noise.value,
        electrons_at_white=_ratio(full, shot_value),
        dynamic_range_stops=math.log2(full / read.value) if full is not None and read.value else None,
        dng_noise_profile=noise_profile if shot_value is not None else None,  # the tag's S is a shot gain
        K=system_gain,
        conversion_gain=inverse_gain,
        sigma_d=dark_noise,
        PRNU1288=uniformity,
        DSNU1288=plane.dark_pattern or Quantity(None, symbol="DSNU1288", unit="e-"),
        signal_median=plane.signal_median,
        sigma_at_median=plane.law.sigma(plane.signal_median),
        snr_db_at_median=_snr_db(plane, plane.signal_median),
        sigma_effective=plane.effective_sigma,
    )


def neighbours_share(plane: PlaneFootprint) -> bool:
    """Whether neighbouring pixels surely share noise: the variance of a pixel then no longer counts electrons."""
    shared = plane["correlation"]
    return counts_as_found(shared.value, shared.present) and (shared.present or 0.0) >= SURELY_SHARED


def arrange(plane: PlaneFootprint) -> Structure:
    """Row, column, correlated and periodic noise as shares of sigma_total^2 at the median signal, and the lag-1
    correlation of the pixel noise.

    What the parameters do not show as found has no share: the sentence must not contradict the table. The amount of
    row and column offsets is that measured on the pixels where these were looked at and found, else the model's.
    """
    seen = plane.arrangement or Arrangement(None, None, None)
    if not _noise_found(plane, seen):
        return Structure(None, None, None, None, None, None, None, noise_found=False)
    offsets = [
        _offsets(measured, plane[name]) for name, measured in (("row_noise", seen.row), ("column_noise", seen.column))
    ]
    pixel = plane.law.sigma(plane.signal_median) ** 2
    known = [value for value in offsets if value is not None]
    total = pixel + sum(value**2 for value in known) if len(known) == len(offsets) else 0.0

    def share(part: float | None) -> float | None:
        return part / total if part is not None and total > 0 else None

    rho = _amount(plane["correlation"])
    if rho == 0 and (plane["correlation"].present or 0.0) >= PERHAPS_SHARED:
        rho = None
    shaped = 1.0 if plane.correlated_share is None else plane.correlated_share  # the rest is white
    lag1 = None if rho is None else shaped * float(autocorrelation(rho, 1)[0, 1])  # the kernel is isotropic
    own = 1.0 if not rho else float(kernel(rho).max()) ** 2  # of a pixel's shaped noise that is its own
    rows, columns = (share(None if value is None else value**2) for value in offsets)
    correlated = None if rho is None else share(shaped * (1 - own) * pixel)
    parts = (rows, columns, correlated, seen.periodic_share)
    independent = False if any(parts) else None if None in parts else True
    return Structure(rows, columns, lag1, lag1, correlated, seen.periodic_share, independent)


def _noise_found(plane: PlaneFootprint, seen: Arrangement) -> bool:
    """Whether there is noise to speak of: a curve that does not reach down to 0, or another kind that was found."""
    if "empty" in plane.flags:
        return False
    others = (plane[name] for name in ("impulse", "row_noise", "column_noise"))
    return (
        not plane.curve
        or any(point.low > 0 for point in plane.curve)
        or any(one.value and counts_as_found(one.value, one.present) for one in others)
        or bool(seen.periodic_share)
    )


def _offsets(measured: float | None, estimate: Estimate) -> float | None:
    """Standard deviation of the offsets of rows or columns; 0: none found; None: not known.

    Offsets on the pixels beyond the limit of a noise that the parameters call absent: one of the two is wrong.
    """
    amount = _amount(estimate)
    if amount is None:
        shown = estimate.present is not None and estimate.present >= PRESENT  # where only its amount is not known
        return measured if shown or not measured else None
    if amount == 0 and measured:
        return 0.0 if estimate.high is None or measured <= estimate.high else None
    return measured or amount


def noise_profile(planes: Sequence[PlaneFootprint]) -> tuple[float, float]:
    """The pair (S, O) of DNG 1.4, tag 51041: N(x) = sqrt(S*x + O), pooled over `planes` of one colour.

    Without a multiplicative term it is the mean law itself, (S, O + q^2/12). With one, or where a given gain has left
    a negative O, which the tag cannot hold, it is the straight line nearest to the law at the curve's signals, by least
    squares of the relative error of the variance, with O held at the law's floor and S at 0 where the free line would
    fall below. Raises ValueError for planes whose curve has no law (processed pictures).
    """
    count = len(planes)
    laws = [plane.law for plane in planes if isinstance(plane.law, VarianceLaw)]
    if len(laws) < count:
        raise ValueError("a noise curve without a law has no shot and read noise")
    shot = sum(law.shot for law in laws) / count
    intercept = sum(law.intercept for law in laws) / count
    square = sum(law.square for law in laws) / count
    if square == 0 and intercept >= 0:
        return shot, intercept
    floor = sum(law.floor for law in laws) / count
    signals = np.array([point.signal for plane in planes for point in plane.curve])
    variances = np.maximum(shot * signals + intercept + square * signals**2, floor)
    if not variances.max(initial=0.0) > 0:
        return shot, intercept
    weight = 1.0 / np.maximum(variances, 1e-9 * variances.max())
    system = np.stack([signals * weight, weight], axis=1)
    slope, offset = (float(v) for v in np.linalg.lstsq(system, np.ones(len(signals)), rcond=None)[0])
    if offset < floor:
        direction = signals * weight
        slope, offset = float(direction @ (1.0 - floor * weight) / (direction @ direction)), floor
    if slope < 0:  # signals around black, where the squared term falls and rises again
        slope, offset = 0.0, float(weight.sum() / (weight @ weight))
    return slope, offset


def _saturation(plane: PlaneFootprint) -> float | None:
    """The signal at which pixels saturate: as measured, else the stated white, 1; None where neither is known."""
    if plane.saturation is None or "saturation_measured" not in plane.flags or plane.black_dn is None:
        return 1.0 if plane.white_known else None
    return (plane.saturation.level_dn - plane.black_dn) / (plane.saturation.stated_white_dn - plane.black_dn)


def _snr_db(plane: PlaneFootprint, signal: float) -> float | None:
    sigma = plane.law.sigma(signal)
    if not plane.offset_known or signal <= 0 or sigma <= 0:
        return None
    return 20.0 * math.log10(signal / sigma)


def _ratio(numerator: float | None, denominator: float | None) -> float | None:
    return None if numerator is None or not denominator else numerator / denominator


def _amount(estimate: Estimate) -> float | None:
    """The value; 0 where the noise was looked for and is absent; None where it is unknown."""
    if estimate.value is not None:
        return estimate.value if counts_as_found(estimate.value, estimate.present) else 0.0
    absent = estimate.flag == "below_floor" if estimate.present is None else estimate.present < PRESENT
    return 0.0 if absent else None
