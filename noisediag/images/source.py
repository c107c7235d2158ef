"""What every reader hands to `read`: the picture before overrides and selection, and helpers they share."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from noisediag.errors import TooLargeError, UnsupportedError, UsageError, printable
from noisediag.images.image import Codes, Lattice, Plane, ScaleSource
from noisediag.images.levels import code_step, effective_bits, power_of_two_above
from noisediag.images.missing import BEYOND

MAX_PIXELS = 1 << 28  # samples of one frame; the largest cameras have 2e8
SMALLEST_DN, LARGEST_DN = 1e-30, 1e30  # of white - black, whose square DN^2 is
SAMPLED_FRAMES = 5
MAX_LISTED = 12  # names in one line of an error
_TYPICAL = 1 << 12  # values looked at for the usual size


def check_size(*shape: int) -> None:
    """Raise TooLargeError if one frame of `shape` exceeds `MAX_PIXELS` samples, before anything is allocated."""
    samples = 1
    for length in shape:
        samples *= int(length)
    if samples > MAX_PIXELS:
        raise TooLargeError(f"{' x '.join(map(str, shape))} samples in one frame, more than {MAX_PIXELS} (a bomb?)")


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Raise UnsupportedError for pixel types that are not grey levels."""
    if dtype.kind == "b":
        raise UnsupportedError("a 1-bit picture has no noise to read")
    if dtype.kind not in "iuf" or (dtype.kind in "iu" and dtype.itemsize > 4):
        raise UnsupportedError(f"pixels of type {dtype} are not read")


def check_span(span_dn: float) -> None:
    """Raise UnsupportedError for a size of the codes, DN, in which single precision has no room for noise.

    0 passes: a picture of zeros has a scale of 1.
    """
    if span_dn != 0 and not SMALLEST_DN <= span_dn <= LARGEST_DN:
        raise UnsupportedError(
            f"values of the size of {span_dn:.3g} cannot be computed with: bring them between {SMALLEST_DN:g} and "
            f"{LARGEST_DN:g}, by a power of two"
        )


def optional(module: str, extra: str) -> ModuleType:
    """A module of an optional extra. Raises UnsupportedError naming the extra where it is not installed."""
    try:
        found = importlib.import_module(module)
    except ImportError:
        raise UnsupportedError(f"this format needs an extra: pip install 'noisediag[{extra}]'") from None
    # Libraries report oddities through logging; without a handler Python would print them to stderr. Not before the
    # import: astropy makes its logger itself.
    log = logging.getLogger(module.partition(".")[0])
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    return found


def chosen(what: str, wanted: str | int, names: Sequence[str]) -> int:
    """The place in `names` of what an option asks for, by name or number. Raises UsageError, naming what there is."""
    # A name wins over an index: channels of microscopes are often called "1" or "488".
    if str(wanted) in names:
        return list(names).index(str(wanted))
    if str(wanted).isdecimal() and int(wanted) < len(names):
        return int(wanted)
    raise UsageError(f"there is no {what} {str(wanted)!r}: the file has {listed(names)}")


def listed(names: Sequence[str]) -> str:
    """`names` in a line, the first ones of many."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return printable(", ".join(names[:MAX_LISTED])) + more


def sampled(frames: int, count: int = SAMPLED_FRAMES) -> tuple[int, ...]:
    """Indices of at most `count` frames, evenly spread."""
    return tuple(sorted({round(index) for index in np.linspace(0, frames - 1, min(count, frames))}))


class LinearScale:
    """Scale of one channel of a file without a black level: black 0 (assumed), white declared or of the container."""

    def __init__(
        self,
        samples: list[Codes],
        *,
        declared_white: float | None = None,
        declared_black: float | None = None,
        missing_code: float | None = None,
    ) -> None:
        """`samples`: frames looked at for the step, and for the maximum of floats and 32-bit integers.

        `missing_code`: the code of pixels that hold no value, which say nothing of the scale.
        """
        dtype = samples[0].dtype
        self.warnings: list[str] = []
        self.missing_code = missing_code
        present = samples if missing_code is None else [sample[sample != missing_code] for sample in samples]
        finite = [_plausible(sample) for sample in present] if dtype.kind == "f" else present
        for sample in finite if dtype.kind == "f" else ():
            check_span(max(float(sample.max()), -float(sample.min())) if sample.size else 1.0)
        self.step = code_step(finite[len(finite) // 2])
        if any(kept.size < sample.size for kept, sample in zip(finite, samples, strict=True)):
            self.warnings.append("some pixels hold no value: they are left out")
        maximum = max((float(sample.max()) for sample in finite if sample.size), default=0.0)
        self.white_known = declared_white is not None
        if declared_white is not None and maximum > declared_white:
            self.warnings.append(
                f"values up to {maximum:g} exceed the declared white level {declared_white:g}: ignored"
            )
            self.white_known = False
        if self.white_known and declared_white is not None:
            self.white = declared_white
        elif dtype.kind == "f" or dtype.itemsize > 2:
            # Pictures without any positive value (an offset taken off) still need a scale of their own size.
            lowest = min((float(sample.min()) for sample in finite if sample.size), default=0.0)
            self.white = power_of_two_above(maximum if maximum > 0 else -lowest)
            self.warnings.append(
                f"white level {self.white:g} assumed from the maximum of {len(samples)} sampled frame(s)"
            )
        else:
            self.white = float(np.iinfo(dtype).max)
        self.black = 0.0 if declared_black is None else declared_black
        self.offset_known = declared_black is not None
        self.bit_depth = None if dtype.kind == "f" else effective_bits(self.white, self.step)

    def plane(
        self,
        name: str,
        shape: tuple[int, int],
        load: Callable[[], Codes],
        *,
        channel: str | None = None,
        frame: int | None = None,
    ) -> Plane:
        source: ScaleSource = "file" if self.offset_known and self.white_known else "assumed"
        return Plane(
            name=name,
            shape=shape,
            load=load,
            black_dn=self.black,
            white_dn=self.white,
            scale_source=source,
            offset_known=self.offset_known,
            white_known=self.white_known,
            bit_depth=self.bit_depth,
            step_dn=self.step,
            channel=channel,
            frame=frame,
            missing_code=self.missing_code,
        )


def rendered_planes(pixels: Codes, *, black: float = 0.0, white: float | None = None) -> tuple[Plane, ...]:
    """Planes R, G, B, or one "gray", of a rendered picture held in memory.

    `pixels`: (height, width) or (height, width, 3), unsigned integers. Three equal channels are one gray picture
    stored three times: kept once, or their "difference" would show the noise of nothing.
    """
    top = float(np.iinfo(pixels.dtype).max) if white is None else white
    if pixels.ndim == 3 and _equal_channels(pixels):
        pixels = pixels[..., 0]
    channels = [("gray", pixels)] if pixels.ndim == 2 else [(c, pixels[..., i]) for i, c in enumerate("RGB")]
    planes = []
    for name, values in channels:
        step = code_step(values)
        planes.append(
            Plane(
                name=name,
                shape=(values.shape[0], values.shape[1]),
                load=loader(values),
                black_dn=black,
                white_dn=top,
                scale_source="file",
                offset_known=True,
                white_known=True,
                bit_depth=effective_bits(top, step),
                step_dn=step,
            )
        )
    return tuple(planes)


def loader(values: Codes, lattice: Lattice | None = None) -> Callable[[], Codes]:
    """A `load` that hands out values already in memory, or one CFA position of them."""

    def load() -> Codes:
        if lattice is None:
            return np.ascontiguousarray(values)
        return np.ascontiguousarray(values[lattice.row :: lattice.row_step, lattice.column :: lattice.column_step])

    return load


def _plausible(values: Codes) -> Codes:
    """The finite ones of float `values` that are not a million times the usual one: these mean "no value"."""
    finite = values[np.isfinite(values)]
    sizes = np.abs(finite[:: max(1, -(-finite.size // _TYPICAL))].astype(np.float64))
    sizes = sizes[sizes > 0]
    if not sizes.size:
        return finite
    limit = BEYOND * float(np.quantile(sizes, 0.5, method="lower"))  # no mean of two, which may overflow
    highest = max(float(finite.max()), -float(finite.min()))  # of half precision, in which no limit would fit
    return finite if highest <= limit else finite[np.abs(finite.astype(np.float64)) <= limit]


def _equal_channels(pixels: Codes) -> bool:
    # Most colour pictures differ within the first rows; only gray ones are compared whole.
    head = pixels[: max(1, pixels.shape[0] // 16)]
    return all(
        np.array_equal(part[..., 0], part[..., 1]) and np.array_equal(part[..., 0], part[..., 2])
        for part in (head, pixels)
    )
