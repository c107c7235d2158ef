"""Camera RAW through LibRaw: the colour-filter planes of the visible area, never demosaiced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rawpy

from noisediag.errors import TruncatedError, UnreadableError, UnsupportedError
from noisediag.images import metadata
from noisediag.images.image import Image, Lattice, Plane
from noisediag.images.levels import code_step, effective_bits
from noisediag.images.source import check_size, loader, rendered_planes

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
        exif = metadata.exif(path)
        acquisition = _acquisition(exif, raw, tags)
        colors = tags.cfa_plane_colors if tags is not None else ()
        if raw.raw_type == rawpy.RawType.Stack:
            pixels = visible[..., : raw.num_colors]
            return _demosaiced(pixels, float(raw.white_level), acquisition, colors, exif.warnings)
        pattern = _pattern(raw)
        names = _names(pattern, raw.color_desc.decode("ascii"))
        blacks, white = _levels(raw, tags, pattern)
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
                    scale_source="file",
                    offset_known=True,
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
        warnings=exif.warnings,
    )


_ORDER = {name: order for order, name in enumerate(("R", "G1", "G", "G2", "B"))}


def _pattern(raw: rawpy.RawPy) -> np.ndarray:
    """Colour indices of one period of the filter pattern, anchored at the visible area's top left pixel."""
    if raw.raw_pattern is None or raw.num_colors == 1:
        return np.zeros((1, 1), dtype=int)
    rows, columns = raw.raw_pattern.shape
    # raw_pattern itself starts elsewhere in X-Trans files with margins; the colours of the visible pixels do not.
    return np.array(raw.raw_colors_visible[:rows, :columns], dtype=int)


def _names(pattern: np.ndarray, colors: str) -> list[list[str]]:
    """A name for each position: the filter's colour; in a Bayer pattern G1 shares its row with red, G2 with blue."""
    if pattern.size == 1:
        return [["gray"]]
    letters = [[colors[index] for index in row] for row in pattern]
    bayer = pattern.shape == (2, 2) and sorted("".join(map("".join, letters))) == ["B", "G", "G", "R"]
    if not bayer:
        return letters
    return [[("G1" if "R" in row else "G2") if letter == "G" else letter for letter in row] for row in letters]


def _levels(raw: rawpy.RawPy, tags: metadata.DngTags | None, pattern: np.ndarray) -> tuple[np.ndarray, float]:
    """Black of every position of `pattern`, and white, in DN of the visible pixels.

    DNG: the tags as they stand, for LibRaw rounds fractions and anchors the pattern of blacks at its own crop. Others:
    LibRaw's black of each colour and its saturation level; the per-channel white of maker notes limits linearity.
    """
    by_color = np.array(raw.black_level_per_channel, dtype=float)
    blacks = by_color[pattern] if pattern.size > 1 else by_color[:1].reshape(1, 1)
    white = float(raw.white_level)
    if tags is None or tags.float_data:
        return blacks, white
    if tags.black is not None and len(tags.black) == tags.black_repeat[0] * tags.black_repeat[1]:
        top, left = tags.active_area[:2] if tags.active_area is not None else (0, 0)
        repeat_rows, repeat_columns = tags.black_repeat
        # A repeat that does not divide the pattern's period would need more planes than there are positions.
        if pattern.shape[0] % repeat_rows == 0 and pattern.shape[1] % repeat_columns == 0:
            grid = np.array(tags.black).reshape(tags.black_repeat)
            rows = (np.arange(pattern.shape[0]) + raw.sizes.top_margin - top) % repeat_rows
            columns = (np.arange(pattern.shape[1]) + raw.sizes.left_margin - left) % repeat_columns
            blacks = grid[np.ix_(rows, columns)]
    if tags.white is not None:
        white = float(tags.white[0])
    return blacks, white


def _demosaiced(
    pixels: np.ndarray, white: float, acquisition: dict[str, object], colors: tuple[str, ...], warnings: tuple[str, ...]
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


def _acquisition(exif: metadata.Exif, raw: rawpy.RawPy, tags: metadata.DngTags | None) -> dict[str, object]:
    """EXIF first, then what LibRaw worked out from maker notes, then the DNG tags."""
    found: dict[str, object] = dict(exif.tags)
    for name, number in (
        ("ISO", raw.other.iso_speed),
        ("ExposureTime", raw.other.shutter_speed),
        ("FNumber", raw.other.aperture),
        ("FocalLength", raw.other.focal_length),
    ):
        if name not in found and number and number > 0:
            found[name] = float(number)
    return found | (tags.acquisition if tags is not None else {})
