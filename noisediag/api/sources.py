"""What a Python program has becomes an `Image`: files, arrays, pictures of other libraries, content in memory."""

from __future__ import annotations

import contextlib
import operator
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard, get_args

import numpy as np
from numpy.typing import NDArray

from noisediag import images
from noisediag.api.arrays import converted
from noisediag.api.signatures import check_choice, check_number
from noisediag.errors import UnreadableError, UnsupportedError, UsageError, WrongTypeError
from noisediag.images.image import Domain, Image
from noisediag.images.reading import Selection, read_content
from noisediag.images.selection import as_linear, override, select

if TYPE_CHECKING:
    import PIL.Image

    from noisediag.footprint.file import Footprint

Source: TypeAlias = "str | os.PathLike[str] | NDArray[Any] | PIL.Image.Image | bytes | IO[bytes] | Image | Any"
TAKEN = (
    "a path, an array (H, W), (H, W, 3) or (frames, H, W), a picture of PIL, a tensor of torch, bytes, a file object "
    "opened for reading bytes, or what noisediag.read gives"
)
DOMAINS = get_args(Domain)
_READ = ("black", "white", "domain", "axes", "channel", "frame", "roi", "linear", "series", "z", "dataset")
_EIGHT_BITS = frozenset({"1", "L", "LA", "RGB", "RGBA", "RGBX", "P", "PA"})
_ARRAY_MODES = ("I", "F")  # of PIL: 32-bit integers, 16-bit ones (I;16, I;16B, ...) and floats


@dataclass(frozen=True)
class Reading:
    """How a source is read: the options of `images.read`, and for arrays `domain` and `axes`."""

    selection: Selection = field(default_factory=Selection)
    domain: Domain | None = None
    axes: str | None = None


@dataclass(frozen=True)
class FromFile:
    """Reads the picture of a footprint again. Raises UsageError where the file has changed since, beside its errors."""

    path: str
    reading: Reading
    sha256: str | None

    def __call__(self) -> Image:
        image = image_of(self.path, self.reading)
        if image.sha256 != self.sha256:
            raise UsageError(f"{self.path}: is another file by now than the one that was estimated")
        return image


@dataclass(frozen=True, eq=False)
class InMemory:
    """Hands out the picture of a footprint, which is not in a file. Pixels are not pickled: None is left of it."""

    image: Image

    def __call__(self) -> Image:
        return self.image

    def __copy__(self) -> InMemory:
        return self

    def __deepcopy__(self, _: object) -> InMemory:
        return self

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


def reading_of(
    *,
    black: float | None = None,
    white: float | None = None,
    domain: Literal["raw-linear", "linear", "rendered"] | None = None,
    axes: str | None = None,
    channel: str | int | None = None,
    frame: int | None = None,
    roi: tuple[int, int, int, int] | None = None,
    linear: bool = False,
    series: str | int | None = None,
    z: int | None = None,
    dataset: str | None = None,
) -> Reading:
    """The keywords of the public functions, checked. Raises WrongTypeError and UsageError, naming what there is."""
    check_choice("domain", domain, DOMAINS)
    check_number("black", black)
    check_number("white", white)
    if linear and domain == "rendered":
        raise UsageError("a picture is either linear or rendered")
    if axes is not None and not isinstance(axes, str):
        raise WrongTypeError(f"axes is a text with a letter an axis, as 'THW', not {axes!r:.60}")
    for name, value in (("channel", channel), ("series", series)):
        if value is not None and not isinstance(value, (str, int, np.integer)):
            raise WrongTypeError(f"{name} is a name or a number, not {value!r:.60}")
    selection = Selection(
        black=None if black is None else float(black),
        white=None if white is None else float(white),
        channel=channel,
        frame=None if frame is None else _whole("frame", frame),
        roi=None if roi is None else _region(roi),
        linear=bool(linear) or domain == "linear",
        series=series,
        z=None if z is None else _whole("z", z),
        dataset=dataset,
    )
    return Reading(selection, domain, axes)


def is_path(source: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether `source` names a file."""
    return isinstance(source, (str, os.PathLike))


def image_of(source: Source, reading: Reading) -> Image:
    """`source` as an image.

    Raises WrongTypeError, which says what is taken, UsageError for options that do not fit it, InputErrors for what
    cannot be read.
    """
    if isinstance(source, Image):
        return _selected(source, reading)
    if is_path(source):
        return _of_file(partial(_read_file, source), reading)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _of_file(lambda selection: read_content(bytes(source), selection), reading)
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(source, pil.Image):
        return _of_pil(source, reading)
    if (found := converted(source, reading.axes)) is not None:
        _check_whole(reading, "an array: slice it instead")
        selection, axes = reading.selection, found.axes if reading.axes is None else reading.axes
        return images.from_array(
            found.values,
            black=selection.black,
            white=selection.white,
            domain=None if selection.linear else reading.domain,
            linear=selection.linear,
            axes=axes,
            missing_code=found.missing_code,
        )
    if callable(getattr(source, "read", None)) and not isinstance(source, type):
        content, name = _content_of(source)
        return _of_file(lambda selection: read_content(content, selection, name=name), reading)
    raise WrongTypeError(_refusal(source))


def kept(source: Source, image: Image, reading: Reading) -> Callable[[], Image]:
    """What reads `image`, which `source` became, again."""
    if is_path(source):
        return FromFile(os.path.abspath(os.fspath(source)), reading, image.sha256)  # noqa: PTH100 - no link is followed
    return InMemory(image)


def picture_of(footprint: Footprint, picture: Source | None, options: dict[str, Any]) -> Image:
    """The picture of `footprint`, or `picture`, read with `options`, which stand for it.

    Raises UsageError where there is none, or where it has other planes; WrongTypeError for unknown options.
    """
    for name in options:
        check_choice("keyword", name, _READ)
    if picture is None:
        if footprint.picture is None:
            raise UsageError("the footprint does not hold its picture: hand it over, fp.sigma_map(picture)")
        if options:
            raise WrongTypeError(f"{', '.join(options)} go with a picture that is handed over")
        return footprint.picture()
    image = image_of(picture, reading_of(**{**dict.fromkeys(_READ), "linear": False, **options}))
    if not set(_shapes(image)) <= {plane.shape for plane in footprint.planes}:
        raise UsageError(f"the picture has {_sides(image)} px, and the footprint is of another one")
    return image


def _shapes(image: Image) -> list[tuple[int, int]]:
    return [plane.shape for plane in image.planes]


def _sides(image: Image) -> str:
    height, width = image.planes[0].shape
    return f"{width} x {height}"


def named(source: Source, place: int) -> str:
    """What a source is called in messages: its path, or its place among others."""
    return str(Path(source)) if is_path(source) else f"item {place}"


def _read_file(path: str | os.PathLike[str], selection: Selection) -> Image:
    return images.read(path, **vars(selection))


def _of_file(read: Callable[[Selection], Image], reading: Reading) -> Image:
    if reading.axes is not None:
        raise UsageError("axes= is for arrays: a file says itself what its axes are")
    image = read(reading.selection)
    if reading.domain not in (None, "linear", image.domain):
        raise UsageError(
            f"domain={reading.domain!r} is for arrays: the file is read as {image.domain!r} (linear=True: its codes "
            "are proportional to light)"
        )
    return image


def _selected(image: Image, reading: Reading) -> Image:
    """What `read` gave, with the options that are left to apply."""
    selection = reading.selection
    if selection.series is not None or selection.dataset is not None or reading.axes is not None:
        raise UsageError("series, dataset and axes are options of reading: give them to noisediag.read")
    if reading.domain not in (None, "linear", image.domain):
        raise UsageError(f"domain={reading.domain!r}: the picture was read as {image.domain!r}")
    image = as_linear(image) if selection.linear else image
    return select(
        override(image, black=selection.black, white=selection.white),
        channel=selection.channel,
        frame=selection.frame,
        z=selection.z,
        roi=selection.roi,
    )


def _of_pil(picture: Any, reading: Reading) -> Image:
    from noisediag.images import picture as pictures
    from noisediag.images.source import rendered_planes

    _check_whole(reading, "a picture of PIL: crop it instead")
    if reading.axes is not None:
        raise UsageError("axes= is for arrays: a picture of PIL says itself what its axes are")
    try:
        picture.load()
    except (OSError, ValueError) as error:
        raise UnreadableError(f"the picture cannot be decoded: {error}") from None
    selection, warnings = reading.selection, list[str]()
    if getattr(picture, "n_frames", 1) > 1:
        warnings.append("only the present one of several frames is read")
    if picture.mode.partition(";")[0] in _ARRAY_MODES:
        image = images.from_array(np.asarray(picture), domain=reading.domain, reader="PIL")
        image = replace(image, warnings=(*warnings, *image.warnings))
    else:
        if picture.mode not in _EIGHT_BITS:
            raise UnsupportedError(f"colour mode {picture.mode} is not read: convert to gray or RGB")
        pixels, notes = pictures.to_pixels(picture)
        if reading.domain == "raw-linear":
            raise UsageError("domain='raw-linear': a picture of PIL is linear or rendered")
        image = Image(rendered_planes(pixels), "rendered", "PIL", jpeg=pictures.jpeg_tables(picture))
        image = replace(image, acquisition=pictures.exif(picture, warnings), warnings=(*warnings, *notes))
    image = as_linear(image) if selection.linear else image
    return override(image, black=selection.black, white=selection.white)


def _content_of(file: Any) -> tuple[bytes, str | None]:
    """The bytes of a file object, from its beginning where it can be wound back to it, and its name."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        file.seek(0)
    try:
        content = file.read()
    except (OSError, ValueError, TypeError) as error:
        raise UnreadableError(f"the file object cannot be read: {error}") from None
    if isinstance(content, str):
        raise WrongTypeError("the file object was opened as text: open it with mode 'rb'")
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise WrongTypeError(_refusal(file))
    name = getattr(file, "name", None)
    return bytes(content), name if isinstance(name, str) and name else None


def _check_whole(reading: Reading, instead: str) -> None:
    selection = reading.selection
    if any(
        part is not None
        for part in (
            selection.channel,
            selection.frame,
            selection.roi,
            selection.series,
            selection.z,
            selection.dataset,
        )
    ):
        raise UsageError(f"channel, frame, roi, series, z and dataset select from a file; this is {instead}")


def _refusal(source: object) -> str:
    kind = type(source)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    several = isinstance(source, (list, tuple, set, frozenset, dict)) or hasattr(source, "__next__")
    hint = "; for several pictures there is noisediag.estimate_many" if several else ""
    return f"taken is {TAKEN}; not {module}{kind.__qualname__}{hint}"


def _whole(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise WrongTypeError(f"{name} is a whole number, not {value!r:.60}") from None


def _region(roi: Any) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = roi
    except (TypeError, ValueError):
        raise WrongTypeError(f"roi is four whole numbers, x, y, width and height, not {roi!r:.60}") from None
    return _whole("roi", x), _whole("roi", y), _whole("roi", width), _whole("roi", height)
