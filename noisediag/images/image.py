"""What a file becomes: an `Image` of planes, each with its own scale.

Single pictures are decoded once, when the file is read; the pages of a stack only at `load`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from noisediag.errors import printable

Codes = NDArray[Any]  # code values (DN) in the file's own dtype: integers or floats
Domain = Literal["raw-linear", "linear", "rendered"]
ScaleSource = Literal["file", "override", "assumed"]

SPANS_ALIKE = 0.01  # relative difference of white - black up to which one scale stands for several planes

DEPTH = "Z"  # the axis of the frames of a focus series

LUMA = {"R": 0.299, "G": 0.587, "B": 0.114}  # ITU-R BT.601, as in JPEG


@dataclass(frozen=True)
class Lattice:
    """Where a CFA plane's pixels lie in the visible mosaic: `mosaic[row::row_step, column::column_step]`."""

    row: int
    column: int
    row_step: int
    column_step: int


@dataclass(frozen=True)
class Masked:
    """What pixels that no light reaches show of one plane, DN.

    `noise_dn`: their standard deviation; `stated_dn`: the black that the file, or the user, states for the plane;
    `step_dn`: the distance of its codes.
    """

    black_dn: float
    noise_dn: float
    stated_dn: float
    step_dn: float = 1.0

    @property
    def contradicts(self) -> bool:
        """Whether the stated black is another one, by more than a sensor's border differs from its picture."""
        return abs(self.black_dn - self.stated_dn) > max(2 * self.step_dn, 0.5 * self.noise_dn)


@dataclass(frozen=True)
class Plane:
    """One colour-filter position of a RAW file, or one channel of one frame.

    `load()` returns the stored code values (DN), shape `(height, width)`, in the file's own dtype; it may decode
    anew at each call. `black_dn` and `white_dn` define x = (DN - black) / (white - black).

    Planes of one image that share `name` and `frame` (the 36 positions of an X-Trans mosaic) are one bag.
    """

    name: str
    shape: tuple[int, int]
    load: Callable[[], Codes]
    black_dn: float
    white_dn: float
    scale_source: ScaleSource
    offset_known: bool  # False: black is an assumption, flag `assumed_scale`
    white_known: bool  # False: white is the container's maximum, not the sensor's
    bit_depth: int | None = None
    step_dn: float | None = None  # distance between the codes really used (16 for 12 bits << 4); None: no lattice
    channel: str | None = None
    frame: int | None = None
    lattice: Lattice | None = None
    masked: Masked | None = None  # None: the file has no masked pixels, or none that tell a black
    missing_code: float | None = None  # DN that stands for "no pixel here", see `images.missing`; None: no such code


@dataclass(frozen=True)
class JpegTables:
    """How a JPEG file is compressed: quantiser steps (64,), rows from low to high vertical frequency.

    `chroma`: of the first colour difference, None in gray files.
    """

    luma: tuple[int, ...]
    chroma: tuple[int, ...] | None


@dataclass(frozen=True, repr=False)
class Image:
    """A file, or an array, as the estimator sees it."""

    planes: tuple[Plane, ...]
    domain: Domain
    reader: str
    path: str | None = None
    sha256: str | None = None
    acquisition: Mapping[str, Any] = field(default_factory=dict)  # ExifTool tag names
    cfa_plane_colors: tuple[str, ...] = ()  # colours in the order of DNG CFAPlaneColor, e.g. ("R", "G", "B")
    frames: int = 1
    frame_axes: tuple[tuple[str, int], ...] = ()  # letter and length of each, the last one fastest; (): not said
    jpeg: JpegTables | None = None
    frame_at: Callable[[int], tuple[Plane, ...]] | None = None  # planes of any frame, where `planes` has but some
    repeats: bool = True  # whether its frames may be such: a codec predicts frames from each other, noise and all
    luma_only: bool = False  # of a rendered colour picture: its planes are there, but their luma alone is asked for
    warnings: tuple[str, ...] = ()
    siblings: tuple[Path, ...] = ()  # other files that planes of it stand in; `sha256` counts them in

    def __repr__(self) -> str:
        names = list(dict.fromkeys(plane.name for plane in self.planes))
        shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        height, width = self.planes[0].shape if self.planes else (0, 0)
        frames = f", {self.frames} frames" if self.frames > 1 else ""
        of = "an array" if self.path is None else printable(self.path)
        return f"<Image of {of}: {self.domain}, planes {printable(shown)} of {width} x {height} px{frames}>"
