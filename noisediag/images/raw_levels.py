"""Black and white of a RAW file: what its tags say, and what stands where they say nothing or what cannot be.

DNG tags are taken as they stand, for LibRaw rounds fractions and anchors the pattern of blacks at its own crop. Other
files: LibRaw's black of each colour and its saturation level; the per-channel white of maker notes limits linearity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import rawpy
from numpy.typing import NDArray

from noisediag.images.image import SPANS_ALIKE, Codes
from noisediag.images.metadata import DngTags

Pattern = NDArray[np.int_]  # colour indices of one period of the colour-filter array
Blacks = NDArray[np.float64]  # DN, of every position of a pattern

_NO_WHITE = 2.0**16 - 1  # of LibRaw, that of any 16-bit container
LEAST_BITS = 8  # of data whose white nobody states: fewer are a dark picture, not a converter
BEYOND_SHARE = 0.25  # of the pixels above a stated white from which on it cannot be one
VARIES_DN = 0.5  # standard deviation of a black along rows or columns that one number no longer stands for


@dataclass(frozen=True)
class Levels:
    """Black of every position of the pattern and white, DN; whether each is stated, by the file or its camera."""

    blacks: Blacks
    white: float
    offset_known: bool = True
    white_known: bool = True


def levels(raw: rawpy.RawPy, tags: DngTags | None, pattern: Pattern, visible: Codes, warnings: list[str]) -> Levels:
    """The levels of the pixels `visible` of a mosaic; `warnings` is told of what cannot be used or is not stated."""
    by_color = np.array(raw.black_level_per_channel, dtype=float)
    blacks = by_color[pattern] if pattern.size > 1 else by_color[:1].reshape(1, 1)
    white = float(raw.white_level)
    if tags is None or tags.float_data:
        if bool(np.all(blacks < white)):
            return Levels(blacks, white)
        warnings.append(f"black level {blacks.max():g} is not below white {white:g}: black 0 assumed")
        return Levels(np.zeros_like(blacks), white, offset_known=False)
    found, reason = _stated_blacks(raw, tags, pattern) if tags.black is not None else (None, None)
    return _stated(white, tags, _usable(tags, found, reason, blacks, warnings), visible, warnings)


def levels_of_samples(raw: rawpy.RawPy | None, tags: DngTags, pixels: Codes, warnings: list[str]) -> Levels:
    """The levels of the samples (H, W, S) of a linear DNG, blacks (1, S): the mean over a pattern of them.

    `raw` None: LibRaw has decoded nothing, and says nothing of them.
    """
    samples = pixels.shape[2]
    stated = np.zeros(samples) if raw is None else np.array(raw.black_level_per_channel, dtype=float)[:samples]
    blacks = stated.reshape(1, samples)
    found = reason = None
    if tags.black is not None:
        repeats = tags.black_repeat[0] * tags.black_repeat[1]
        if len(tags.black) == repeats * samples:
            shifts = sum(float(np.mean(deltas)) for deltas in (tags.black_delta_h, tags.black_delta_v) if deltas)
            found = np.array(tags.black).reshape(repeats, samples).mean(0)[None] + shifts
        else:
            reason = "and the samples do not belong together"
    white = _NO_WHITE if raw is None else float(raw.white_level)
    return _stated(white, tags, _usable(tags, found, reason, blacks, warnings), pixels, warnings)


def _usable(tags: DngTags, found: Blacks | None, reason: str | None, blacks: Blacks, warnings: list[str]) -> Blacks:
    """Those of the tag, `found`, else LibRaw's `blacks`; `warnings` is told of tags that cannot be used."""
    warnings += [f"DNG tag {name} unreadable: LibRaw's levels used" for name in tags.damaged]
    warnings += _delta_doubts(tags)
    if tags.black is None:
        return blacks
    if found is not None and bool(np.isfinite(found).all()):
        return found
    listed = ", ".join(f"{b:g}" for b in tags.black[:4])
    used = ", ".join(f"{b:g}" for b in sorted(set(blacks.ravel().tolist())))
    warnings.append(f"DNG BlackLevel {listed} {reason or 'cannot be one'}: LibRaw's {used} used")
    return blacks


def _stated(of_libraw: float, tags: DngTags, blacks: Blacks, visible: Codes, warnings: list[str]) -> Levels:
    """The levels of a DNG with these `blacks`, with a white that the pixels allow; `of_libraw`: LibRaw's white."""
    white, doubt = _stated_white(of_libraw, tags, visible)
    if white is not None and doubt is None and bool(np.all(blacks < white)):
        said = tags.black is not None or tags.white is not None or bool(np.any(blacks > 0))
        return Levels(blacks, white, offset_known=said)
    assumed = used_white(visible)
    if white is not None and doubt is None:  # neither is believed: which of them is wrong cannot be seen
        doubt = f"DNG BlackLevel {blacks.max():g} is not below WhiteLevel {white:g}"
        blacks = np.zeros_like(blacks)
    elif not bool(np.all(blacks < assumed)):
        doubt, blacks = f"{doubt}, BlackLevel {blacks.max():g} lies above the pixels", np.zeros_like(blacks)
    nothing = tags.black is None or not bool(np.any(blacks))
    scale = f"black 0 and white {assumed:g}" if nothing else f"white {assumed:g}"
    warnings.append(f"{doubt}: {scale} assumed, the values use {round(math.log2(assumed + 1))} bits")
    return Levels(blacks, assumed, offset_known=tags.black is not None and not nothing, white_known=False)


def used_white(visible: Codes) -> float:
    """The last code of as many bits as the values use."""
    return float(2 ** max(LEAST_BITS, int(visible.max()).bit_length()) - 1)


def _stated_white(of_libraw: float, tags: DngTags, visible: Codes) -> tuple[float | None, str | None]:
    """White of a DNG, by its tag, or its default, the last code of its bits; and why it cannot be used."""
    if tags.white is None:
        if "WhiteLevel" in tags.damaged or visible.max() <= of_libraw < _NO_WHITE:
            return of_libraw, None
        if tags.bits is not None and tags.bits < 16 and visible.max() < 2**tags.bits:
            return float(2**tags.bits - 1), None
        missing = "WhiteLevel" if tags.black is not None else "BlackLevel and no WhiteLevel"
        return None, f"DNG states no {missing}"
    white = float(tags.white[0])
    if not (math.isfinite(white) and white > 0):
        return None, f"DNG WhiteLevel {white:g} cannot be one"
    beyond = float(np.mean(visible[::4, ::4] > white))
    if beyond > BEYOND_SHARE:
        return white, f"DNG WhiteLevel {white:g} lies below {100 * beyond:.0f} % of the pixels"
    return white, None


def _stated_blacks(raw: rawpy.RawPy, tags: DngTags, pattern: Pattern) -> tuple[Blacks | None, str | None]:
    """The blacks of a DNG's own tags for every position of `pattern`; None and the reason where they fit none."""
    assert tags.black is not None
    repeat_rows, repeat_columns = tags.black_repeat
    repeat = f"BlackLevelRepeatDim {repeat_rows}x{repeat_columns}"
    top, left = tags.active_area[:2] if tags.active_area is not None else (0, 0)
    top, left = raw.sizes.top_margin - top, raw.sizes.left_margin - left
    if len(tags.black) != repeat_rows * repeat_columns:
        return None, f"and {repeat} do not belong together"
    if len(set(tags.black)) == 1:
        grid = np.full(pattern.shape, tags.black[0])
    elif pattern.shape[0] % repeat_rows or pattern.shape[1] % repeat_columns:
        return None, f"repeats by {repeat}, more positions than the colour-filter pattern has"
    else:
        rows = (np.arange(pattern.shape[0]) + top) % repeat_rows
        columns = (np.arange(pattern.shape[1]) + left) % repeat_columns
        grid = np.array(tags.black).reshape(tags.black_repeat)[np.ix_(rows, columns)]
    down = _deltas(tags.black_delta_v, top, pattern.shape[0])
    across = _deltas(tags.black_delta_h, left, pattern.shape[1])
    return grid + down[:, None] + across[None, :], None


def _deltas(deltas: tuple[float, ...], first: int, period: int) -> Blacks:
    """The mean of BlackLevelDeltaV or H, one a row or column of the active area, at each place of a period."""
    seen = np.array(deltas[max(first, 0) :])
    if len(seen) < period:
        return np.zeros(period)
    return np.array([seen[place::period].mean() for place in range(period)])


def _delta_doubts(tags: DngTags) -> list[str]:
    """A warning where blacks of a DNG change along the picture by more than their means can stand for."""
    said = []
    for name, deltas in (("V", tags.black_delta_v), ("H", tags.black_delta_h)):
        spread = max(float(np.std(deltas[place::2])) for place in (0, 1)) if len(deltas) > 1 else 0.0
        if spread > VARIES_DN:
            said.append(f"DNG BlackLevelDelta{name} varies by {spread:.3g} DN: its mean is used")
    return said


def differing(levels: Levels) -> str | None:
    """A note on blacks that differ by so little that one scale stands for the whole; None where they are one."""
    least, most = float(levels.blacks.min()), float(levels.blacks.max())
    if least == most or most - least > SPANS_ALIKE * (levels.white - least):
        return None
    mean = float(levels.blacks.mean())
    return f"blacks differ by position, {least:g} .. {most:g}: levels of the whole stand above their mean {mean:g}"
