"""The TIFF family (TIFF, BigTIFF, OME-TIFF, ImageJ, LSM) through tifffile, one page at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from noisediag.errors import TruncatedError, UnreadableError, UnsupportedError
from noisediag.images import geotiff, limits, metadata, ome, siblings, tiff_levels
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image, Plane
from noisediag.images.source import LinearScale, check_dtype, check_size, chosen, rendered_planes, sampled

_ICC = 34675
_OPACITY = (1, 2)  # ExtraSamples: associated and unassociated alpha
_MAKE = 271
# Words in the description of ICC profiles whose codes are gamma-encoded for a display or a print.
_DISPLAY_PROFILES = (b"srgb", b"adobe rgb", b"display p3", b"prophoto", b"gamma", b"dot gain", b"rec709", b"bt.709")


@dataclass(frozen=True)
class _Layout:
    """How the axes of a series become channels and frames; `loop` are the lengths of all but the picture axes."""

    height: int
    width: int
    samples: int  # 1, or the colours stored with each pixel
    samples_first: bool  # planar colour: S before Y
    loop: tuple[int, ...]
    channel_axis: int | None  # within `loop`
    letters: str  # of `loop`, as tifffile calls axes: T time, Z depth

    @property
    def channels(self) -> int:
        return 1 if self.channel_axis is None else self.loop[self.channel_axis]

    @property
    def frames(self) -> int:
        return int(np.prod(self.loop, dtype=int)) // self.channels

    @property
    def frame_axes(self) -> tuple[tuple[str, int], ...]:
        """Letter and length of the axes that frames are counted over, the last one fastest."""
        axes = enumerate(zip(self.letters, self.loop, strict=True))
        return tuple((letter, length) for place, (letter, length) in axes if place != self.channel_axis and length > 1)

    def page(self, channel: int, frame: int) -> int:
        """Index of a (channel, frame) in the order in which the pages are stored."""
        index = 0
        others = [length for axis, length in enumerate(self.loop) if axis != self.channel_axis]
        place = [int(position) for position in np.unravel_index(frame, others)] if others else []
        if self.channel_axis is not None:
            place.insert(self.channel_axis, channel)
        for position, length in zip(place, self.loop, strict=True):
            index = index * length + position
        return index


DECLARED = (
    Declaration(
        "TIFF, BigTIFF, OME-TIFF, ImageJ, LSM",
        "tif tiff btf lsm",
        "the first picture or --series; C and the colours of a pixel as channels, other axes as frames",
        "tifffile",
        black="BlackLevel",
        white="WhiteLevel, SignificantBits, MaxSampleValue",
        time="ExposureTime",
    ),
    Declaration("GeoTIFF", "tif tiff", "bands as channels; pixels of GDAL's no-data value are left out", "tifffile"),
)


def read(path: Path, *, series: str | int | None = None) -> Image:
    """A picture or stack; every (channel, frame) is a plane that reads its own page at `load`.

    Of a file of several pictures the first one, or `series`, by name or number. Refused: 1-bit, inverted gray
    (WhiteIsZero), CMYK and Lab colour, complex and 64-bit integer pixels.
    """
    warnings: list[str] = []
    limits.check_chain(path)
    with metadata.TifffileLog() as log, tifffile.TiffFile(path) as tiff:
        limits.check_pages(tiff)
        siblings.check(tiff)
        stack = _series(tiff, log, series)
        page = stack.keyframe
        _refuse(page)
        check_dtype(stack.dtype)
        layout = _layout(stack)
        check_size(layout.height, layout.width, layout.samples)
        limits.check_planes(layout.frames, layout.channels * layout.samples)
        others_read = siblings.read_from(path, stack)
        fetch = _fetcher(path, tiff, stack, layout)
        if series is None and stack is not tiff.series[0]:
            warnings.append("the first directory is a thumbnail: the picture behind it is read")
        if page.is_reduced:
            warnings.append("the file holds nothing but a reduced picture (a thumbnail): that is read")
        others = len(_pictures(tiff.series))
        if series is None and others > 1 and not _from_a_camera(tiff):
            warnings.append(f"only the first of {others} series is read")
        if any(one.keyframe.is_mask and one is not stack for one in tiff.series):
            warnings.append("its mask of pixels without a value is not read: they count as pixels")
        found = ome.read(tiff, warnings, list(tiff.series).index(stack))
        bands = geotiff.read(page, warnings)
        acquisition = metadata.exif(path, warnings) | found.acquisition | bands.acquisition
        names = _channel_names(tiff, layout, found)
        black, no_data = tiff_levels.declared_black(page, warnings), tiff_levels.no_data(page, warnings)
        white = tiff_levels.declared_white(page, found.significant_bits, warnings)
        warnings += [
            f"TIFF tag {name} unreadable: levels it may state are unknown" for name in log.damaged_level_tags()
        ]
        rendered = _is_rendered(page, layout)
        if rendered and stack.dtype.kind == "u":  # codes as they are, in a stack as in a single picture
            black, white = 0.0, float(np.iinfo(stack.dtype).max)
    if rendered and layout.frames == 1 and layout.channels == 1:
        pixels = fetch(0) if layout.samples == 1 else fetch(0)[..., :3]
        planes = tuple(replace(plane, missing_code=no_data) for plane in rendered_planes(pixels))
        return Image(
            planes,
            "rendered",
            "tifffile",
            acquisition=acquisition,
            warnings=tuple(warnings),
            siblings=others_read,
        )
    colours = _colours(page, layout, bands.names)
    planes_, notes = _planes(layout, names, colours, fetch, black, white, no_data)
    return Image(
        planes=planes_,
        domain="rendered" if rendered else "linear",
        reader="tifffile",
        acquisition=acquisition,
        frames=layout.frames,
        frame_axes=layout.frame_axes,
        warnings=tuple(dict.fromkeys(warnings + notes)),
        siblings=others_read,
    )


def _planes(
    layout: _Layout,
    names: list[str | None],
    colours: dict[int | None, str | None],
    fetch: Callable[[int], Codes],
    black: float | None,
    white: float | None,
    no_data: float | None,
) -> tuple[tuple[Plane, ...], list[str]]:
    """One scale a channel, measured on a sample of its frames; all frames of a channel share it."""
    shape = (layout.height, layout.width)
    planes: list[Plane] = []
    warnings: list[str] = []
    for channel in range(layout.channels):
        for colour, name in colours.items():
            values_of = functools.partial(_plane_values, fetch, layout, colour, channel)
            samples = [values_of(frame) for frame in sampled(layout.frames)]
            scale = LinearScale(samples, declared_white=white, declared_black=black, missing_code=no_data)
            warnings += scale.warnings
            label = names[channel] if name is None else name
            planes += [
                scale.plane(
                    label or "gray",
                    shape,
                    functools.partial(values_of, frame),
                    channel=label if layout.channels > 1 or layout.samples > 1 else None,
                    frame=frame if layout.frames > 1 else None,
                )
                for frame in range(layout.frames)
            ]
    return tuple(planes), warnings


def _colours(page: Any, layout: _Layout, described: dict[int, str]) -> dict[int | None, str | None]:
    """Which of the samples of a pixel are read, with their names; {None: None}: there is one sample, without a name.

    Three of a colour picture; of others, as GeoTIFF has them, all bands. Opacity is no light.
    """
    if layout.samples == 1:
        return {None: None}
    colour = page.photometric != tifffile.PHOTOMETRIC.MINISBLACK
    own = 3 if colour else 1
    opaque = {own + place for place, kind in enumerate(page.extrasamples) if kind in _OPACITY}
    read_ = [sample for sample in range(layout.samples) if sample not in opaque]
    if colour and geotiff.GEO_KEYS not in page.tags:
        read_ = read_[:3]
    names = {sample: described.get(sample) or f"band{sample + 1}" for sample in read_}
    if len(set(names.values())) < len(names):
        names = {sample: f"band{sample + 1}" for sample in read_}
    if colour:
        names |= dict(zip(read_, "RGB", strict=False))
    return {sample: names[sample] for sample in read_} if len(names) > 1 else {read_[0]: "gray"}


def _plane_values(
    fetch: Callable[[int], Codes], layout: _Layout, colour: int | None, channel: int, frame: int
) -> Codes:
    values = fetch(layout.page(channel, frame))
    return np.ascontiguousarray(values if colour is None else values[..., colour])


def _layout(series: Any) -> _Layout:
    axes, shape = series.get_axes(False), series.get_shape(False)
    if "Y" not in axes or "X" not in axes or 0 in shape:
        raise UnsupportedError(f"axes {axes} of shape {shape} are no picture")
    loop = [axis for axis, letter in enumerate(axes) if letter not in "YXS"]
    y, x, s = axes.index("Y"), axes.index("X"), axes.find("S")
    if x < y or any(axis > y for axis in loop) or (s >= 0 and s != x + 1 and s != y - 1):
        raise UnsupportedError(f"axes {axes}: the picture's rows are not stored together")
    channel = axes.find("C")
    return _Layout(
        height=shape[y],
        width=shape[x],
        samples=shape[s] if s >= 0 else 1,
        samples_first=0 <= s < y and shape[s] > 1,
        loop=tuple(shape[axis] for axis in loop),
        channel_axis=loop.index(channel) if channel >= 0 and shape[channel] > 1 else None,
        letters="".join(axes[axis] for axis in loop),
    )


def _fetcher(path: Path, tiff: tifffile.TiffFile, series: Any, layout: _Layout) -> Callable[[int], Codes]:
    """A function from page index to its pixels, (height, width) or (height, width, samples)."""
    stored: tuple[int, ...] = (layout.height, layout.width)
    if layout.samples > 1:
        stored = (layout.samples, *stored) if layout.samples_first else (*stored, layout.samples)
    contiguous = series.dataoffset
    if contiguous is not None and (not series.is_multifile or len(series.pages) == 1):
        # Uncompressed and in one piece: also ImageJ's stacks beyond 4 GB, which have one directory for all pages.
        dtype = np.dtype(tiff.byteorder + series.dtype.char)
        count = int(np.prod(layout.loop, dtype=int))
        page_bytes = int(np.prod(stored, dtype=int)) * dtype.itemsize
        size = path.stat().st_size
        if contiguous + count * page_bytes > size:
            raise TruncatedError(f"{count * page_bytes} bytes of pixels announced, {size - contiguous} there")

        def mapped(index: int) -> Codes:
            offset = contiguous + index * page_bytes
            values = np.fromfile(path, dtype=dtype, count=page_bytes // dtype.itemsize, offset=offset)
            return _last_axis(values.reshape(stored).astype(series_dtype, copy=False), layout)

        series_dtype = series.dtype
        return mapped
    if len(series.pages) != int(np.prod(layout.loop, dtype=int)):
        raise UnsupportedError("the pages of the stack do not match its axes")
    numbers = tuple(
        None if page is None else (page.parent.filehandle.path, _number_of(tiff, page)) for page in series.pages
    )
    return functools.lru_cache(maxsize=1)(functools.partial(_decoded, path, numbers, stored, layout))


def _number_of(tiff: tifffile.TiffFile, page: Any) -> int | tuple[int, int]:
    """Where `page` is found again: its number, or those of its first directory and of the sub-directory in it."""
    first = tiff.pages.first
    for number, below in enumerate(first.pages or ()):
        if below.offset == page.offset:
            return 0, number
    return int(page.index)


def _decoded(
    path: Path,
    numbers: tuple[tuple[str, int | tuple[int, int]] | None, ...],
    stored: tuple[int, ...],
    layout: _Layout,
    index: int,
) -> Codes:
    where = numbers[index]
    if where is None:
        raise TruncatedError(f"page {index} of the stack is missing")
    file, number = where
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[number] if isinstance(number, int) else list(metadata.directories(tiff))[1 + number[1]]
        page = page.aspage() if hasattr(page, "aspage") else page
        size = Path(file).stat().st_size
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
            if count == 0:
                raise TruncatedError(f"page {index} has pixels that were never written")
            if offset + count > size:
                raise TruncatedError(f"the pixel data of page {index} end beyond the file")
        values = page.asarray()
    return _last_axis(np.asarray(values).reshape(stored), layout)


def _last_axis(values: Codes, layout: _Layout) -> Codes:
    return np.moveaxis(values, 0, -1) if layout.samples_first else values


def _pictures(series: Sequence[Any]) -> list[Any]:
    """Those that are neither masks nor reduced copies of another, thumbnails and previews; all where all are."""
    return [one for one in series if not one.keyframe.is_reduced and not one.keyframe.is_mask] or list(series)


def _from_a_camera(tiff: tifffile.TiffFile) -> bool:
    """Whether the file names its maker: cameras and scanners put previews beside their picture."""
    return bool(str(tiff.pages.first.tags.valueof(_MAKE, default="")).strip("\0 "))


def _largest(series: Sequence[Any]) -> Any:
    """That of most pixels, the first one of several."""
    return max(series, key=lambda one: int(one.keyframe.imagelength) * int(one.keyframe.imagewidth))


def _series(tiff: tifffile.TiffFile, log: metadata.TifffileLog, wanted: str | int | None) -> Any:
    """The first series that is no reduced copy of another; the largest one in the files of cameras and scanners.

    Raises TruncatedError if the chain of directories leads out of the file.

    tifffile only logs that, and goes on with the pages it has.
    """
    all_series = tiff.series
    if any("invalid page offset" in line for line in log.lines):
        raise TruncatedError("the next page lies beyond the end of the file")
    if not all_series:
        raise UnreadableError("holds no picture")
    found = _pictures(all_series)
    if wanted is not None:
        return found[chosen("series", wanted, [str(one.name) for one in found])]
    return _largest(found) if _from_a_camera(tiff) else found[0]


def _refuse(page: Any) -> None:
    if page.bitspersample == 1:
        raise UnsupportedError("a 1-bit picture has no noise to read")
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        raise UnsupportedError("inverted gray (WhiteIsZero) is not read: invert the picture first")
    if page.photometric in (
        tifffile.PHOTOMETRIC.SEPARATED,
        tifffile.PHOTOMETRIC.CIELAB,
        tifffile.PHOTOMETRIC.ICCLAB,
        tifffile.PHOTOMETRIC.MASK,
    ):
        raise UnsupportedError(f"colour space {page.photometric.name} is not read: convert to gray or RGB")


def _is_rendered(page: Any, layout: _Layout) -> bool:
    """8-bit colour, or any picture whose ICC profile is that of a display."""
    profile = page.tags.valueof(_ICC)
    if isinstance(profile, bytes):
        text = profile.replace(b"\0", b"").lower()  # also finds UTF-16 descriptions
        if any(word in text for word in _DISPLAY_PROFILES):
            return True
    colour = page.photometric != tifffile.PHOTOMETRIC.MINISBLACK
    return bool(layout.samples >= 3 and colour and page.dtype == np.uint8)


def _channel_names(tiff: tifffile.TiffFile, layout: _Layout, described: ome.Ome) -> list[str | None]:
    """A name for every channel, unique; [None] where the file has one channel without a name."""
    names: tuple[str, ...] = described.channels
    if tiff.is_lsm and tiff.lsm_metadata:
        names = tuple((tiff.lsm_metadata.get("ChannelColors") or {}).get("ColorNames") or ())
    if len(names) != layout.channels or len(set(names)) != len(names) or not all(names):
        names = tuple(f"channel{index}" for index in range(layout.channels)) if layout.channels > 1 else ()
    return list(names) or [None]
