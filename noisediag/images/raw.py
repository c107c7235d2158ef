"""Camera RAW through LibRaw: the colour-filter planes of the visible area, never demosaiced."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import rawpy
from numpy.typing import NDArray

from noisediag.errors import TruncatedError, UnreadableError, UnsupportedError
from noisediag.images import metadata
from noisediag.images.image import Codes, Image, Lattice, Plane
from noisediag.images.levels import code_step, effective_bits
from noisediag.images.source import check_size, loader, rendered_planes

Pattern = NDArray[np.int_]  # colour indices of one period of the colour-filter array

_VC5 = 9  # DNG Compression of GoPro .GPR


def read(path: Path) -> Image:
    """A RAW file as planes R, G1, G2, B (G1 on the rows of red); X-Trans as the 36 positions of its pattern, named by
    colour; a monochrome sensor as one plane "gray".

    Pixels that LibRaw hands out already demosaiced (linear DNG, sRAW) are `rendered`, with a warning.
    """
    tags = metadata.dng_tags(path)
    if tags is not None and tags.compression == _VC5:
        raise UnsupportedError("GoPro GPR (VC-5 compressed DNG) is not read: convert it to a plain DNG")
    try:
        with path.open("rb") as stream:  # LibRaw itself opens only names that are UTF-8
            raw = rawpy.imread(stream)
    except rawpy.LibRawFileUnsupportedError:
        raise UnsupportedError("a RAW format or compression that LibRaw does not know") from None
    with raw:
        check_size(raw.sizes.raw_height, raw.sizes.raw_width)
        try:
            visible = raw.raw_image_visible.copy()
        except (rawpy.LibRawIOError, rawpy.LibRawUnspecifiedError, rawpy.LibRawDataError):
            raise TruncatedError("the pixel data are cut off or damaged") from None
        if visible.size == 0:
            raise UnreadableError("has no visible pixels")
        warnings: list[str] = []
        acquisition = _acquisition(path, raw, tags, warnings)
        colors = tags.cfa_plane_colors if tags is not None else ()
        if raw.raw_type == rawpy.RawType.Stack:
            return _demosaiced(visible[..., : raw.num_colors], float(raw.white_level), acquisition, colors, warnings)
        pattern = _pattern(raw)
        names = _names(pattern, raw.color_desc.decode("ascii"))
        blacks, white = _levels(raw, tags, pattern, warnings)
    offset_known = bool(np.all(blacks < white))
    if not offset_known:
        warnings.append(f"black level {blacks.max():g} is not below white {white:g}: black 0 assumed")
        blacks = np.zeros_like(blacks)
    planes = []
    rows, columns = pattern.shape
    for row in range(rows):
        for column in range(columns):
            lattice = Lattice(row, column, rows, columns)
            load = loader(visible, lattice)
            values = load()
            step = code_step(values)
            planes.append(
                Plane(
                    name=names[row][column],
                    shape=(values.shape[0], values.shape[1]),
                    load=load,
                    black_dn=float(blacks[row, column]),
                    white_dn=white,
                    scale_source="file" if offset_known else "assumed",
                    offset_known=offset_known,
                    white_known=True,
                    bit_depth=effective_bits(white, step),
                    step_dn=step,
                    lattice=lattice if pattern.size > 1 else None,
                )
            )
    return Image(
        planes=tuple(sorted(planes, key=lambda plane: _ORDER.get(plane.name, len(_ORDER)))),
        domain="raw-linear",
        reader="rawpy",
        acquisition=acquisition,
        cfa_plane_colors=colors or (("R", "G", "B") if pattern.size > 1 else ()),
        warnings=tuple(warnings),
    )


_ORDER = {name: order for order, name in enumerate(("R", "G1", "G", "G2", "B"))}


def _pattern(raw: rawpy.RawPy) -> Pattern:
    """Colour indices of one period of the filter pattern, anchored at the visible area's top left pixel."""
    if raw.raw_pattern is None or raw.num_colors == 1:
        return np.zeros((1, 1), dtype=int)
    rows, columns = raw.raw_pattern.shape
    # raw_pattern itself starts elsewhere in X-Trans files with margins; the colours of the visible pixels do not.
    return np.array(raw.raw_colors_visible[:rows, :columns], dtype=int)


def _names(pattern: Pattern, colors: str) -> list[list[str]]:
    """A name for each position: the filter's colour; in a Bayer pattern G1 shares its row with red, G2 with blue."""
    if pattern.size == 1:
        return [["gray"]]
    letters = [[colors[index] for index in row] for row in pattern]
    bayer = pattern.shape == (2, 2) and sorted("".join(map("".join, letters))) == ["B", "G", "G", "R"]
    if not bayer:
        return letters
    return [[("G1" if "R" in row else "G2") if letter == "G" else letter for letter in row] for row in letters]


def _levels(
    raw: rawpy.RawPy, tags: metadata.DngTags | None, pattern: Pattern, warnings: list[str]
) -> tuple[NDArray[np.float64], float]:
    """Black of every position of `pattern`, and white, in DN of the visible pixels.

    DNG: the tags as they stand, for LibRaw rounds fractions and anchors the pattern of blacks at its own crop. Others:
    LibRaw's black of each colour and its saturation level; the per-channel white of maker notes limits linearity.
    `warnings` is told of DNG tags that cannot be used, for which LibRaw's levels stand.
    """
    by_color = np.array(raw.black_level_per_channel, dtype=float)
    blacks = by_color[pattern] if pattern.size > 1 else by_color[:1].reshape(1, 1)
    white = float(raw.white_level)
    if tags is None or tags.float_data:
        return blacks, white
    warnings += [f"DNG tag {name} unreadable: LibRaw's levels used" for name in tags.damaged]
    if tags.white is not None:
        if math.isfinite(tags.white[0]) and tags.white[0] > 0:
            white = float(tags.white[0])
        else:
            warnings.append(f"DNG WhiteLevel {tags.white[0]:g} cannot be one: LibRaw's {white:g} used")
    if tags.black is not None:
        stated, reason = _stated_blacks(raw, tags, pattern)
        if stated is not None and bool(np.all(stated < white)):  # False for not-a-number too
            return stated, white
        reason = reason or f"not below the white level {white:g}"
        warnings.append(
            f"DNG BlackLevel {', '.join(f'{b:g}' for b in tags.black[:4])} {reason}: "
            f"LibRaw's {', '.join(f'{b:g}' for b in sorted(set(blacks.ravel().tolist())))} used"
        )
    return blacks, white


def _stated_blacks(
    raw: rawpy.RawPy, tags: metadata.DngTags, pattern: Pattern
) -> tuple[NDArray[np.float64] | None, str | None]:
    """The blacks of a DNG's own tags for every position of `pattern`; None and the reason where they fit none."""
    assert tags.black is not None
    repeat_rows, repeat_columns = tags.black_repeat
    repeat = f"BlackLevelRepeatDim {repeat_rows}x{repeat_columns}"
    if len(tags.black) != repeat_rows * repeat_columns:
        return None, f"and {repeat} do not belong together"
    if len(set(tags.black)) == 1:
        return np.full(pattern.shape, tags.black[0]), None
    if pattern.shape[0] % repeat_rows or pattern.shape[1] % repeat_columns:
        return None, f"repeats by {repeat}, more positions than the colour-filter pattern has"
    top, left = tags.active_area[:2] if tags.active_area is not None else (0, 0)
    grid = np.array(tags.black).reshape(tags.black_repeat)
    rows = (np.arange(pattern.shape[0]) + raw.sizes.top_margin - top) % repeat_rows
    columns = (np.arange(pattern.shape[1]) + raw.sizes.left_margin - left) % repeat_columns
    return grid[np.ix_(rows, columns)], None


def _demosaiced(
    pixels: Codes, white: float, acquisition: dict[str, object], colors: tuple[str, ...], warnings: list[str]
) -> Image:
    return Image(
        planes=rendered_planes(np.ascontiguousarray(pixels), white=white),
        domain="rendered",
        reader="rawpy",
        acquisition=acquisition,
        cfa_plane_colors=colors,
        warnings=(
            "already demosaiced (linear DNG or reduced RAW): read as a rendered picture, not as sensor data",
            *warnings,
        ),
    )


def _acquisition(path: Path, raw: rawpy.RawPy, tags: metadata.DngTags | None, warnings: list[str]) -> dict[str, object]:
    """EXIF first, then what LibRaw worked out from maker notes, then the DNG tags."""
    found: dict[str, object] = dict(metadata.exif(path, warnings))
    for name, number in (
        ("ISO", raw.other.iso_speed),
        ("ExposureTime", raw.other.shutter_speed),
        ("FNumber", raw.other.aperture),
        ("FocalLength", raw.other.focal_length),
    ):
        if name not in found and number and number > 0:
            found[name] = float(number)
    return found | (tags.acquisition if tags is not None else {})
