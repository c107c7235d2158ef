"""Arrays, in memory or in .npy files."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from noisediag.errors import TruncatedError, UnsupportedError, UsageError
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Domain, Image, Plane
from noisediag.images.limits import check_planes
from noisediag.images.source import LinearScale, check_dtype, check_size, rendered_planes, sampled
from noisediag.images.stack import MIN_SIDE_PX, Stack

_COLOURS = frozenset("CS")  # the letters of axes of channels (C) and of a pixel's colours (S)

DECLARED = (Declaration("NumPy", "npy", "two axes; of three the first one as frames, or three colours", "NumPy"),)


def read(path: Path) -> Image:
    """A .npy file, memory-mapped. Pickled objects are refused."""
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
        present = path.stat().st_size - file.tell()
    if dtype.hasobject:
        raise UnsupportedError("a pickled array is never loaded")
    if present < needed:
        raise TruncatedError(f"{needed} bytes of pixels announced, {present} there")
    return image(np.load(path, mmap_mode="r", allow_pickle=False), domain=None, reader="npy")


def image(
    values: Codes,
    *,
    domain: Domain | None,
    reader: str,
    axes: str | None = None,
    missing_code: float | None = None,
) -> Image:
    """`values` as an image; see `noisediag.images.from_array`. `missing_code` as in `Plane`."""
    check_dtype(values.dtype)
    letters = _letters(axes, values.shape) if axes is not None else _by_shape(values.shape)
    if 0 in values.shape:
        raise UnsupportedError(f"an array of shape {values.shape} holds no picture")
    colours, lengths = _COLOURS.intersection(letters), dict(zip(letters, values.shape, strict=True))
    colour = any(lengths[letter] in (3, 4) for letter in colours)
    chosen = domain or ("rendered" if colour and values.dtype == np.uint8 else "linear")
    if chosen == "rendered" and values.dtype.kind == "u" and not {*lengths} - {"Y", "X", *colours}:
        return _rendered(values, letters, reader, missing_code)
    return _stack(values, letters, chosen, reader, missing_code)


def _letters(axes: str, shape: tuple[int, ...]) -> str:
    """The letters of `axes`, rows as Y and columns as X. Raises UsageError where they do not fit `shape`."""
    letters = axes.upper()
    if not {"Y", "X"} & set(letters):
        letters = letters.replace("H", "Y").replace("W", "X")
    fits = letters.isascii() and letters.isalpha() and len(set(letters)) == len(letters) == len(shape)
    if not fits or not {"Y", "X"} <= set(letters) or set(letters) >= _COLOURS:
        raise UsageError(
            f"axes {axes!r} of an array of shape {shape}: one letter an axis, Y and X (or H and W) among them, C or S "
            "for channels or colours, any other for frames, as in 'CYX' or 'THWC'"
        )
    return letters


def _by_shape(shape: tuple[int, ...]) -> str:
    """The axes of an array that nothing names. Raises UnsupportedError where its shape does not tell them."""
    if len(shape) == 2:
        return "YX"
    if len(shape) == 3:
        return "YXS" if shape[-1] in (3, 4) or (shape[-1] == 1 and min(shape[:2]) >= MIN_SIDE_PX) else "TYX"
    raise UnsupportedError(
        f"an array of shape {shape} is neither a picture nor a stack of pictures, unless axes= says what its axes are"
    )


def _rendered(values: Codes, letters: str, reader: str, missing_code: float | None) -> Image:
    """A single gray or colour picture whose codes are those of a display."""
    order = ["Y", "X", *_COLOURS.intersection(letters)]
    pixels = values.transpose([letters.index(letter) for letter in order])
    check_size(*pixels.shape[:2])
    if pixels.ndim == 3:
        if pixels.shape[2] not in (1, 3, 4):
            raise UnsupportedError(f"{pixels.shape[2]} colours: a rendered picture is gray or has three")
        pixels = pixels[..., :3] if pixels.shape[2] > 1 else pixels[..., 0]
    planes = rendered_planes(np.asarray(pixels))
    return Image(tuple(replace(plane, missing_code=missing_code) for plane in planes), "rendered", reader)


def _stack(values: Codes, letters: str, domain: Domain, reader: str, missing_code: float | None) -> Image:
    """Pictures along any axes; the fourth colour, opacity, is no light."""
    sizes = dict(zip(letters, values.shape, strict=True))
    if sizes.get("S") == 4 or (domain == "rendered" and sizes.get("C") == 4):
        axis = "S" if "S" in sizes else "C"
        values, sizes = np.moveaxis(values, letters.index(axis), 0)[:3], {axis: 3, **_without(sizes, axis)}
        letters = "".join(sizes)
    coloured = sizes.get("S") == 3 or (domain == "rendered" and sizes.get("C") == 3)
    codes = domain == "rendered" and values.dtype.kind == "u"
    black, white = (0.0, float(np.iinfo(values.dtype).max)) if codes else (None, None)

    def fetch(place: dict[str, int]) -> Codes:
        found = values[tuple(place.get(letter, slice(None)) for letter in letters)]
        return np.array(found if letters.index("Y") < letters.index("X") else found.T)

    laid_out = Stack(sizes=sizes, dtype=values.dtype, fetch=fetch, reader=reader)
    check_size(sizes["Y"], sizes["X"])
    channels, frames = sizes.get(laid_out.channel_axis, 1), math.prod(laid_out.loop.values())
    check_planes(frames, channels)
    # Colours are parts of one picture and share a scale, which channels of a microscope do not.
    together = [range(channels)] if coloured else [range(channel, channel + 1) for channel in range(channels)]
    planes: list[Plane] = []
    warnings: list[str] = []
    for members in together:
        samples = [np.stack([laid_out.load(one, frame) for one in members]) for frame in sampled(frames)]
        scale = LinearScale(samples, declared_black=black, declared_white=white, missing_code=missing_code)
        warnings += scale.warnings
        for channel in members:
            name = "RGB"[channel] if coloured else f"channel{channel}" if channels > 1 else "gray"
            planes += [
                scale.plane(
                    name,
                    (sizes["Y"], sizes["X"]),
                    functools.partial(laid_out.load, channel, frame),
                    channel=name if channels > 1 and domain != "rendered" else None,
                    frame=frame if frames > 1 else None,
                )
                for frame in range(frames)
            ]
    axes = tuple((letter, length) for letter, length in laid_out.loop.items() if length > 1)
    return Image(
        planes=tuple(planes),
        domain=domain,
        reader=reader,
        frames=frames,
        frame_axes=axes,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _without(sizes: dict[str, int], axis: str) -> dict[str, int]:
    return {letter: length for letter, length in sizes.items() if letter != axis}
