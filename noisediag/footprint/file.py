"""The footprint of one file: its planes, where they come from, and what processing has left in a rendered picture."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noisediag.errors import UsageError
from noisediag.footprint.derived import Derived, Structure, arrange, derive, noise_profile
from noisediag.footprint.plane import CurvePoint, Estimate, PlaneFootprint, VarianceLaw
from noisediag.footprint.values import Quantity

if TYPE_CHECKING:
    from noisediag.images.image import Image

# What a footprint shows of itself, as text, table, picture or map, is made elsewhere: its methods hand over.

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
    # Of each probability: above it it is a flag. The model's, so that nothing of the picture differs by them.
    thresholds: Mapping[str, float] = field(default_factory=dict, compare=False)


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


@dataclass(frozen=True, eq=False, repr=False)
class Footprint:
    """The noise of one picture, estimated or measured: which kinds, how much of each, and its noise curve.

    It is a mapping of names to estimates, those of the picture as a whole: `fp["shot_gain"].value`, `.low`, `.high`,
    `.unit`, `.flag`; `"row_noise" in fp`; `for name in fp`; `fp.keys()`. Signals and sigmas are fractions of white -
    black: 0 is black, 1 is white. Two footprints are equal where all that they say is equal; they can be hashed,
    copied and pickled. In a notebook, a footprint shows its curve and its table.

    planes: of each colour, channel or frame; `planes[-1]` is the picture's own (`all`, or `luma` of rendered colour).
    domain: raw-linear, linear or rendered.
    reader: what read the file; path and sha256 of it; None of arrays.
    checkpoint: the model that estimated; None of a measurement.
    acquisition: tags by ExifTool's names, as ISO, Model, ExposureTime.
    flags, warnings: what is to be known before the numbers are used.
    uneven: sigma in parts of the picture over the curve's, least and greatest; None: not uneven.
    rendered: what processing left, of rendered pictures.
    measurement: how it was measured; None: it is an estimate.
    measured: beside the estimate of a stack, what its frames show by their differences.
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
    uneven: tuple[float, float] | None = None
    rendered: Rendered | None = None
    measurement: Measurement | None = None
    measured: Footprint | None = None
    picture: Callable[[], Image] | None = field(default=None, compare=False)  # reads the picture again, for sigma_map

    def __getitem__(self, name: str) -> Estimate:
        """The picture's own estimate called `name`. Raises KeyError, naming what there is."""
        return self.planes[-1][name]

    def __contains__(self, name: object) -> bool:
        return any(estimate.name == name for estimate in self.planes[-1].parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.planes[-1].parameters)

    def __bool__(self) -> bool:
        return True  # also without a parameter

    def keys(self) -> tuple[str, ...]:
        """The names of the parameters, in the order of the report."""
        return tuple(estimate.name for estimate in self.planes[-1].parameters)

    def values(self) -> tuple[Estimate, ...]:
        """The picture's own estimates."""
        return self.planes[-1].parameters

    def items(self) -> tuple[tuple[str, Estimate], ...]:
        """Names with their estimates."""
        return tuple((estimate.name, estimate) for estimate in self.planes[-1].parameters)

    def get(self, name: str, default: Estimate | None = None) -> Estimate | None:
        """The estimate called `name`, or `default` where there is none."""
        return next((estimate for estimate in self.values() if estimate.name == name), default)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.keys())

    def __eq__(self, other: object) -> bool:
        return self._compared() == other._compared() if isinstance(other, Footprint) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._compared())

    def _compared(self) -> tuple[Any, ...]:
        return tuple(_frozen(getattr(self, one.name)) for one in fields(self) if one.compare)

    def __repr__(self) -> str:
        from noisediag.reports.notebook import line

        return line(self)

    def _repr_html_(self) -> str:
        from noisediag.reports.notebook import html

        return html(self)

    @overload
    def sigma(self, x: float) -> float: ...

    @overload
    def sigma(self, x: ArrayLike) -> NDArray[np.float64]: ...

    def sigma(self, x: ArrayLike) -> float | NDArray[np.float64]:
        """Standard deviation of the pixel noise at clean signal `x`, a number or an array: so is the answer.

        Both are fractions of white - black: 0 is black, 1 is white. `sigma_dn` has both in DN.
        """
        law = self.planes[-1].law
        return law.sigma(float(x)) if isinstance(x, (int, float)) else law.sigma(np.asarray(x, np.float64))[()]

    @overload
    def sigma_dn(self, codes: float) -> float: ...

    @overload
    def sigma_dn(self, codes: ArrayLike) -> NDArray[np.float64]: ...

    def sigma_dn(self, codes: ArrayLike) -> float | NDArray[np.float64]:
        """Standard deviation in DN at clean code values `codes` in DN, a number or an array: so is the answer.

        Raises UsageError where the planes have no scale in common.
        """
        main = self.planes[-1]
        if main.span_dn is None or main.black_dn is None:
            raise UsageError("the planes differ in black or white: ask a plane, fp.planes[0], for its own")
        sigma = self.sigma((np.asarray(codes, np.float64) - main.black_dn) / main.span_dn) * main.span_dn
        return float(sigma) if isinstance(codes, (int, float)) else sigma

    def sigma_map(self, picture: Any = None, *, scale: float | None = None, **options: Any) -> NDArray[np.float32]:
        """The standard deviation of the noise at every pixel, float32, `(H, W)`, or `(planes, H, W)` of several.

        `scale`: what white - black counts, as 1 or 255 for a denoiser; None: DN. `picture`: what `estimate` took, with
        the `options` that go with it, as black, white or axes. It can be left out for files, which are read again, and
        for arrays that `estimate` was given; not for those of `estimate_many`, and not after pickling.

        Raises UsageError where there is no picture, or where the file is another one by now.
        """
        from noisediag.api.signatures import check_number
        from noisediag.api.sources import picture_of
        from noisediag.readout.sigma_map import sigma_map

        check_number("scale", scale, positive=True)
        return sigma_map(picture_of(self, picture, options), self, scale)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the noise curve of every plane with its 90 % band, on log-log axes; the axes are returned.

        `ax`: axes of matplotlib; None: those of a new figure. `options` go to `plt.subplots` then, as figsize. Raises
        UsageError where matplotlib is not installed (extra `plot`).
        """
        from noisediag.reports.notebook import plot

        return plot(self, ax, **options)

    def to_dict(self) -> dict[str, Any]:
        """The `images[i]` object of `noisediag.report/1`: plain types, no NaN, 6 significant digits, unknown None."""
        from noisediag.reports.document import image_dict

        return image_dict(self)

    def to_json(self) -> str:
        """The report `noisediag.report/1` of this one picture, as `noisediag estimate --json` prints it."""
        from noisediag.reports.json import dumps

        return dumps([self], self.checkpoint)

    def to_frame(self, *, planes: bool = False) -> Any:
        """A DataFrame of pandas, a row a parameter: path, plane, name, symbol, unit, value, low, high, value_dn, ...

        `planes`: rows of every plane, not those of the picture as a whole alone. The numbers are those of `to_dict`.
        Raises UsageError where pandas is not installed.
        """
        from noisediag.reports.notebook import frame

        return frame(self, planes=planes)

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """What the measurement left out; nothing of an estimate."""
        return () if self.measurement is None else self.measurement.rejected

    @property
    def curve(self) -> tuple[CurvePoint, ...]:
        """The picture's own noise curve."""
        return self.planes[-1].curve

    @property
    def derived(self) -> Derived:
        """What follows from the picture's own footprint, with the DNG NoiseProfile of its colours."""
        mixed = self.planes[-1].name == LUMA_PLANE  # of three colours: no electrons are counted in it
        return derive(self.planes[-1], domain="rendered" if mixed else self.domain, noise_profile=self._noise_profile())

    @property
    def structure(self) -> Structure:
        """How the noise of the picture's own footprint is arranged."""
        return arrange(self.planes[-1])

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


def _frozen(value: Any) -> Any:
    """`value` in a form that can be hashed and compared: of mappings the items, of arrays shape, type and bytes."""
    if isinstance(value, Mapping):
        return frozenset((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, float) and value != value:  # not-a-number, which no number equals
        return "not-a-number"
    return value if isinstance(value, Hashable) else repr(value)
