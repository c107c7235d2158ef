"""What is asked of `advise`, and what it says of one file."""

from __future__ import annotations

from dataclasses import dataclass

from noisediag.footprint.file import CheckpointId
from noisediag.footprint.values import Bounded


@dataclass(frozen=True)
class AdviseOptions:
    """`excess_noise`: F, the factor on the shot variance; `gain` (e-/DN) and `read_noise_e`; None: not known."""

    black: float | None = None
    white: float | None = None
    channel: str | None = None
    roi: tuple[int, int, int, int] | None = None
    gain: float | None = None
    read_noise_e: float | None = None
    detector: str | None = None
    excess_noise: float | None = None
    level: str = "peak"
    target_snr: float | None = None
    max_dose: float | None = None
    sky: bool = False
    exposure_s: float | None = None


@dataclass(frozen=True)
class PictureLevel:
    """A part of the picture. `photons` a pixel and frame; `limit`: shot, read or pattern, the largest noise.

    Without a gain `photons` and `limit` are None, and where the noise is not known either, `snr`.
    """

    name: str
    signal_dn: float
    photons: Bounded
    snr: Bounded
    limit: str | None


@dataclass(frozen=True)
class Average:
    """SNR of the mean of so many frames."""

    frames: int
    snr: Bounded


@dataclass(frozen=True)
class Route:
    """One way to the target. `factor`: frames, or times the present dwell or power; None: no factor is enough.

    `dose`: light on the sample, in present frames. `clips`: the brightest pixels would reach white.
    """

    means: str
    factor: float | None
    dose: float | None
    within_dose: bool | None
    clips: bool


@dataclass(frozen=True)
class Sky:
    """Sub-exposures of a sky. `read_share`: what read noise adds to the noise of the sky alone, now."""

    exposure_s: float
    sky_e: float
    sky_rate: float  # e-/px/s
    read_share: float
    minimal_s: tuple[tuple[float, float], ...]  # added noise, shortest exposure


@dataclass(frozen=True)
class Advice:
    """What one file says. DN/e- and photons are effective where the excess noise factor is not known.

    `gain` None: it was not identified, and `warnings` say why; no photons, no dwell and no power follow then.
    """

    path: str
    how: str  # measured (from repeats) or estimated (from one picture)
    frames: int
    effective: bool
    excess_noise: float
    gain: Bounded  # DN a photon
    offset_dn: float | None
    offset_source: str  # file, given, vanishing (the DN at which the variance vanishes) or unknown
    read_noise_e: Bounded
    levels: tuple[PictureLevel, ...]
    target_level: str
    shot_above_dn: float | None
    fixed_pattern: Bounded  # relative; value None: not found, high is the limit of detection
    change_per_frame: Bounded
    averages: tuple[Average, ...]
    pays_until: int | None  # frames
    target_snr: float | None
    max_dose: float | None
    routes: tuple[Route, ...]
    sky: Sky | None
    warnings: tuple[str, ...]
    checkpoint: CheckpointId
