"""The footprint of one file: its planes, where they come from, and what processing has left in a rendered picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from noisediag.footprint.derived import Derived, Structure, arrange, derive, noise_profile
from noisediag.footprint.plane import CurvePoint, Estimate, PlaneFootprint, VarianceLaw
from noisediag.footprint.values import Quantity

LUMA_PLANE = "luma"


@dataclass(frozen=True)
class Spatial:
    """How the noise of one plane of a rendered picture is spread, whatever processing did it.

    `lag1_h`, `lag1_v`: correlation with the next pixel to the right and below. `equivalent_blur_px`: width of the
    kernel exp(-d^2/(2 rho^2)) that correlates white noise as much. `sigma_after_area`: standard deviation after
    averaging squares of AREAS pixels a side, normalised.
    """

    name: str
    lag1_h: float
    lag1_v: float
    equivalent_blur_px: float
    sigma_after_area: tuple[float, ...]


@dataclass(frozen=True)
class Rendered:
    """What a picture shows of its processing. Probabilities lie in 0..1; None: unknown or meaningless.

    `processed`: probability that the noise went through more than rounding to codes. `channel_correlation`: of the
    noise in R and G, G and B, R and B. `block_strength`: see `jpeg.block_strength`.
    """

    planes: tuple[Spatial, ...]  # as the file's planes; the last one is luma, or the only plane
    processed: float
    denoised: float
    upscaled: float
    channel_correlation: tuple[float, float, float] | None
    jpeg_quality: int | None
    jpeg_standard: bool | None  # its quantisation tables are libjpeg's, not a camera's
    block_strength: float | None
    resaved: bool | None
    flags: frozenset[str] = frozenset()  # of the closed list: beyond what pictures without them reach
    noise_processed: bool = True  # False: the noise is as a sensor gives it, in the file's codes
    thresholds: Mapping[str, float] = field(default_factory=dict)  # of each probability: above it it is a flag


@dataclass(frozen=True)
class CheckpointId:
    """Which trained model an estimate comes from."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Rejected:
    """What a measurement left out, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class Measurement:
    """How a footprint was measured. `route`: repeats, flats or pairs; `quantities`: what else was found on the way."""

    route: str
    files: tuple[str, ...]
    frames: int
    frames_used: int
    rejected: tuple[Rejected, ...] = ()
    quantities: tuple[Quantity, ...] = ()


@dataclass(frozen=True)
class Footprint:
    """The noise of one file. `planes[-1]` is the file's own footprint (`all`, or `luma` for rendered colour).

    `measurement`: how it was measured; None: it is an estimate, of a model, the `checkpoint`. `measured`: beside an
    estimate, what the frames of the same stack show by their differences.
    """

    planes: tuple[PlaneFootprint, ...]
    domain: str
    reader: str
    checkpoint: CheckpointId | None
    path: str | None = None
    sha256: str | None = None
    acquisition: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    cfa_plane_colors: tuple[str, ...] = ()  # order of the NoiseProfile's pairs; empty: one pair
    uneven: tuple[float, float] | None = None  # sigma in parts of the picture over the curve's: least, greatest
    rendered: Rendered | None = None  # of pictures whose domain is "rendered"
    measurement: Measurement | None = None
    measured: Footprint | None = None

    def __getitem__(self, name: str) -> Estimate:
        """The file's own estimate called `name`. Raises KeyError, naming what there is."""
        return self.planes[-1][name]

    @overload
    def sigma(self, x: float) -> float: ...

    @overload
    def sigma(self, x: NDArray[np.float64]) -> NDArray[np.float64]: ...

    def sigma(self, x: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Standard deviation of the pixel noise at clean signal `x` (a number or an array); all normalised."""
        return self.planes[-1].law.sigma(x)

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """What the measurement left out; nothing of an estimate."""
        return () if self.measurement is None else self.measurement.rejected

    @property
    def curve(self) -> tuple[CurvePoint, ...]:
        """The file's own noise curve."""
        return self.planes[-1].curve

    @property
    def derived(self) -> Derived:
        """What follows from the file's own footprint, with the DNG NoiseProfile of its colours."""
        mixed = self.planes[-1].name == LUMA_PLANE  # of three colours: no electrons are counted in it
        return derive(self.planes[-1], domain="rendered" if mixed else self.domain, noise_profile=self._noise_profile())

    @property
    def structure(self) -> Structure:
        """How the noise of the file's own footprint is arranged."""
        return arrange(self.planes[-1])

    def to_dict(self) -> dict[str, Any]:
        """The `images[i]` object of `noisediag.report/1`: plain types, no NaN, 6 significant digits, unknown None."""
        from noisediag.reports.document import (
            image_dict,  # a footprint shows itself; nothing else here knows of reports
        )

        return image_dict(self)

    def _noise_profile(self) -> tuple[tuple[float, float], ...] | None:
        main = self.planes[-1]
        if self.domain == "rendered" or main.name == LUMA_PLANE or not main.offset_known:
            return None
        if any(plane.says_nothing or not isinstance(plane.law, VarianceLaw) for plane in self.planes):
            return None
        shot = main["shot_gain"]
        if shot.value is None and shot.flag != "planes_differ":  # nothing that grows with the light
            return None
        if not self.cfa_plane_colors:
            return (noise_profile(self.planes[-1:]),)
        by_colour = [
            [plane for plane in self.planes[:-1] if plane.name.rstrip("0123456789") == colour]
            for colour in self.cfa_plane_colors
        ]
        # A colour that was not measured (another plane was selected) leaves no valid tag.
        return tuple(noise_profile(planes) for planes in by_colour) if all(by_colour) else None
