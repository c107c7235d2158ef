"""Camera RAW through LibRaw: the colour-filter planes of the visible area, never demosaiced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rawpy

from noisediag.errors import TruncatedError, UnreadableError, UnsupportedError
from noisediag.images import metadata, raw_files, raw_levels
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image, Lattice, Masked, Plane
from noisediag.images.levels import code_step, effective_bits
from noisediag.images.masked import Border, border
from noisediag.images.raw_levels import Levels, Pattern
from noisediag.images.source import check_size, loader, rendered_planes

_VC5 = 9  # DNG Compression of GoPro .GPR
_UNKNOWN = "a RAW format or compression that LibRaw does not know"
_CUT_OFF = "the pixel data are cut off or damaged"
_LOSSY = 34892  # DNG Compression: JPEG of codes that a curve has bent


DECLARED = (
    Declaration(
        "RAW of cameras, DNG",
        "3fr arw cr2 cr3 crw dcr dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f",
        "the mosaic, each position of the colour filter as a plane",
        "rawpy (LibRaw), tifffile",
        black="the file's tags, masked pixels",
        white="the file's tags",
        time="EXIF",
    ),
)


def read(path: Path) -> Image:
    """A RAW file as planes R, G1, G2, B (G1 on the rows of red); X-Trans as the 36 positions of its pattern, named by
    colour; a monochrome sensor as one plane "gray".

    Pixels that are stored demosaiced are planes of a `linear` picture where a DNG says so and states their levels,
    else (sRAW, lossy DNG) `rendered`; both with a warning.
    """
    tags = metadata.dng_tags(path)
    if tags is not None and tags.compression == _VC5:
        raise UnsupportedError("GoPro GPR (VC-5 compressed DNG) is not read: convert it to a plain DNG")
    raw_files.check_complete(path)
    warnings: list[str] = []
    try:
        with path.open("rb") as stream, raw_files.silence():  # LibRaw itself opens only names that are UTF-8
            raw = rawpy.imread(stream)
    except rawpy.LibRawFileUnsupportedError:
        raise UnsupportedError(_UNKNOWN) from None
    except rawpy.LibRawIOError:
        raise TruncatedError(_CUT_OFF) from None
    with raw:
        check_size(raw.sizes.raw_height, raw.sizes.raw_width)
        try:
            with raw_files.silence():
                visible = raw.raw_image_visible.copy()
        except rawpy.LibRawFileUnsupportedError:
            if tags is None or not tags.linear or tags.compression not in raw_files.JPEG_XL:
                raise UnsupportedError(_UNKNOWN) from None
            visible = raw_files.linear_pixels(path)
            return _linear(visible, None, tags, _acquisition(path, None, tags, warnings), warnings)
        except (rawpy.LibRawIOError, rawpy.LibRawUnspecifiedError, rawpy.LibRawDataError):
            raise TruncatedError(_CUT_OFF) from None
        if visible.size == 0:
            raise UnreadableError("has no visible pixels")
        if not visible.any() and (tags is None or tags.compression != 1):
            raise TruncatedError(f"{_CUT_OFF}: LibRaw decodes nothing but 0")
        acquisition = _acquisition(path, raw, tags, warnings)
        colors = tags.cfa_plane_colors if tags is not None else ()
        if raw.raw_type == rawpy.RawType.Stack:
            stored = np.ascontiguousarray(visible[..., : raw.num_colors])
            if tags is not None and tags.linear and tags.compression != _LOSSY and not tags.float_data:
                return _linear(stored, raw, tags, acquisition, warnings)
            return _demosaiced(stored, float(raw.white_level), acquisition, colors, warnings)
        pattern = _pattern(raw)
        names = _names(pattern, raw.color_desc.decode("ascii"))
        levels = raw_levels.levels(raw, tags, pattern, visible, warnings)
        sizes = raw.sizes
        top, left = sizes.top_margin, sizes.left_margin
        area = (top, left, top + visible.shape[0], left + visible.shape[1])
        dark = border(raw.raw_image, area, tags.masked_areas if tags is not None else (), pattern.shape)
    note = raw_levels.differing(levels)
    return Image(
        planes=_planes(visible, pattern, names, levels, dark),
        domain="raw-linear",
        reader="rawpy",
        acquisition=acquisition,
        cfa_plane_colors=colors or (("R", "G", "B") if pattern.size > 1 else ()),
        warnings=(*warnings, *(() if note is None else (note,))),
    )


def _planes(
    visible: Codes, pattern: Pattern, names: list[list[str]], levels: Levels, dark: Border | None
) -> tuple[Plane, ...]:
    """A plane a position of the filter pattern; masked pixels that contradict the stated black say what it is."""
    planes = []
    rows, columns = pattern.shape
    for row, column in np.ndindex(rows, columns):
        lattice = Lattice(row, column, rows, columns)
        load = loader(visible, lattice)
        values = load()
        step = code_step(values)
        stated = float(levels.blacks[row, column])
        masked = None
        if dark is not None and dark.mean_dn[row, column] < levels.white:
            masked = Masked(float(dark.mean_dn[row, column]), float(dark.noise_dn[row, column]), stated, step or 1.0)
        measured = masked is not None and (masked.contradicts or not levels.offset_known)
        planes.append(
            Plane(
                name=names[row][column],
                shape=(values.shape[0], values.shape[1]),
                load=load,
                black_dn=masked.black_dn if masked is not None and measured else stated,
                white_dn=levels.white,
                scale_source="file" if levels.white_known and (levels.offset_known or measured) else "assumed",
                offset_known=levels.offset_known or measured,
                white_known=levels.white_known,
                bit_depth=effective_bits(levels.white, step),
                step_dn=step,
                lattice=lattice if pattern.size > 1 else None,
                masked=masked,
            )
        )
    return tuple(sorted(planes, key=lambda plane: _ORDER.get(plane.name, len(_ORDER))))


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


def _linear(
    pixels: Codes, raw: rawpy.RawPy | None, tags: metadata.DngTags, acquisition: dict[str, object], warnings: list[str]
) -> Image:
    """A linear DNG: every colour is a channel of its own, with the levels of its tags."""
    names = tags.cfa_plane_colors if len(tags.cfa_plane_colors) == pixels.shape[2] else tuple("RGBE"[: pixels.shape[2]])
    levels = raw_levels.levels_of_samples(raw, tags, pixels, warnings)
    planes = []
    for number, name in enumerate(names):
        values = pixels[..., number]
        step = code_step(values)
        planes.append(
            Plane(
                name=name,
                shape=(values.shape[0], values.shape[1]),
                load=loader(values),
                black_dn=float(levels.blacks[0, number]),
                white_dn=levels.white,
                scale_source="file" if levels.white_known and levels.offset_known else "assumed",
                offset_known=levels.offset_known,
                white_known=levels.white_known,
                bit_depth=effective_bits(levels.white, step),
                step_dn=step,
                channel=name,
            )
        )
    return Image(
        planes=tuple(planes),
        domain="linear",
        reader="rawpy" if raw is not None else "tifffile",
        acquisition=acquisition,
        cfa_plane_colors=names,
        warnings=("already demosaiced (linear DNG): the noise is what demosaicing has left", *warnings),
    )


def _demosaiced(
    pixels: Codes, white: float, acquisition: dict[str, object], colors: tuple[str, ...], warnings: list[str]
) -> Image:
    return Image(
        planes=rendered_planes(pixels, white=white),
        domain="rendered",
        reader="rawpy",
        acquisition=acquisition,
        cfa_plane_colors=colors,
        warnings=(
            "already demosaiced (reduced RAW or lossy DNG): read as a rendered picture, not as sensor data",
            *warnings,
        ),
    )


def _acquisition(
    path: Path, raw: rawpy.RawPy | None, tags: metadata.DngTags | None, warnings: list[str]
) -> dict[str, object]:
    """EXIF first, then what LibRaw worked out from maker notes, then the DNG tags."""
    found: dict[str, object] = dict(metadata.exif(path, warnings))
    other = None if raw is None else raw.other
    for name, key in (
        ("ISO", "iso_speed"),
        ("ExposureTime", "shutter_speed"),
        ("FNumber", "aperture"),
        ("FocalLength", "focal_length"),
    ):
        number = getattr(other, key, None)
        if name not in found and number and number > 0:
            found[name] = int(number) if number == int(number) else float(number)
    return found | (tags.acquisition if tags is not None else {})
