"""Movies through PyAV (extra `video`): AVI, MP4 and QuickTime, Matroska and WebM, YUV4MPEG2; known by their content.

A codec's planes are read as it stores them: luma Y and the colour differences Cb and Cr, each with levels of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image, Plane
from noisediag.images.levels import code_step, effective_bits
from noisediag.images.movie_frames import Movie, opened
from noisediag.images.movie_pixels import Channel, Layout, check_palette, layout
from noisediag.images.source import LinearScale, check_size, sampled

SAMPLED_FRAMES = 8
MAX_LISTED = 1 << 14  # frames of a movie of measured light
KEPT_BYTES = 1 << 28  # of decoded frames
# Codecs that give back what they were given; in others frames are predicted from each other, and lose noise.
_LOSSLESS = frozenset(
    "rawvideo ffv1 huffyuv ffvhuff utvideo magicyuv lagarith png tiff bmp qtrle msrle v210 v410 r210 cscd zmbv yuv4 "
    "targa wrapped_avframe".split()
)

DECLARED = (
    Declaration(
        "movies: AVI, MP4 and QuickTime, Matroska and WebM, YUV4MPEG2",
        "",
        "Y, Cb and Cr (or R, G and B) of 8 frames evenly spread, or the one of --frame, rendered; gray without loss: "
        "every frame, linear",
        "PyAV (FFmpeg)",
        "video",
        black="16, or 0 of full range",
        white="235, 240 of Cb and Cr, or 255 of full range, on 8 bits",
        time="frame rate",
    ),
)

Fetch = Callable[[int], tuple[Codes, ...]]  # from the number of a frame to the codes of its channels


def read(path: Path) -> Image:
    """A movie. Gray frames of a lossless codec are linear light, each of them a plane. Of others some frames are looked
    at, `rendered`, as Cb, Cr and Y (or R, G and B, or gray); `Image.frame_at` reads any other.
    """
    movie = opened(path)
    lossless = movie.codec in _LOSSLESS
    first = movie.decode(0)
    check_palette(first)
    found = _layout(movie, first, lossless)
    check_size(int(first.height), int(first.width), len(found.channels))
    size = sum(one.height * one.width for one in found.channels) * found.dtype.itemsize
    kept = functools.lru_cache(maxsize=max(1, min(SAMPLED_FRAMES, KEPT_BYTES // size)))
    fetch = kept(functools.partial(_channels, movie, found, lossless))
    if len(found.channels) == 1 and lossless:
        return _measured(movie, fetch, found)
    chosen = sampled(movie.frames, SAMPLED_FRAMES)
    warnings = []
    # Gray movies are stored with colours that are none: of all equal codes.
    if any(one.name == "Y" for one in found.channels) and all(
        np.ptp(fetch(frame)[n]) == 0 for frame in chosen for n in (1, 2)
    ):
        found = replace(found, channels=(replace(found.channels[0], name="gray"),))
        warnings.append("a movie without colour: its luma is read")
    if movie.frames > len(chosen):
        begin, end = movie.seconds(chosen[0]), movie.seconds(chosen[-1])
        span = "" if begin is None or end is None else f", from {begin:.3g} to {end:.3g} s"
        warnings.append(f"{len(chosen)} of {movie.frames} frames are looked at{span}: --frame picks another")
    planes = functools.partial(_rendered, fetch, found, movie.frames > 1)
    return Image(
        planes(chosen),
        "rendered",
        "pyav",
        acquisition=movie.acquisition,
        frames=movie.frames,
        frame_axes=(("T", movie.frames),) if movie.frames > 1 else (),
        frame_at=lambda frame: planes((frame,)),
        repeats=False,
        warnings=tuple(warnings),
    )


def _layout(movie: Movie, frame: Any, lossless: bool) -> Layout:
    found = layout(frame, lossless=lossless)
    return replace(found, dtype=found.dtype.newbyteorder()) if movie.swapped else found


def _channels(movie: Movie, found: Layout, lossless: bool, frame: int) -> tuple[Codes, ...]:
    decoded = movie.decode(frame)
    movie.check_same(_layout(movie, decoded, lossless) == found, frame)
    return tuple(found.codes(decoded, channel) for channel in found.channels)


def _codes(fetch: Fetch, channel: int, frame: int) -> Codes:
    return fetch(frame)[channel]


def _measured(movie: Movie, fetch: Fetch, found: Layout) -> Image:
    """Light as a microscope's program stored it: nobody says black, and white only where the codes have fewer bits
    than their container.
    """
    listed = min(movie.frames, MAX_LISTED)
    white = float(2**found.bits - 1) if found.bits % 8 else None
    scale = LinearScale([_codes(fetch, 0, frame) for frame in sampled(listed)], declared_white=white)
    warnings = [*scale.warnings]
    if listed < movie.frames:
        warnings.append(f"only the first {listed} of {movie.frames} frames are read")
    planes = tuple(
        scale.plane(
            "gray",
            found.channels[0].shape,
            functools.partial(_codes, fetch, 0, frame),
            frame=frame if listed > 1 else None,
        )
        for frame in range(listed)
    )
    return Image(
        planes,
        "linear",
        "pyav",
        acquisition=movie.acquisition,
        frames=listed,
        frame_axes=(("T", listed),) if listed > 1 else (),
        warnings=tuple(warnings),
    )


def _rendered(fetch: Fetch, found: Layout, several: bool, frames: tuple[int, ...]) -> tuple[Plane, ...]:
    """Planes of some frames, colour differences before the luma: the last one is that of the file's own noise."""
    numbers = range(len(found.channels))
    order = [*numbers[1:], 0] if found.channels[0].name == "Y" else [*numbers]
    planes = []
    for number in order:
        loads = [functools.partial(_codes, fetch, number, frame) for frame in frames]
        step = code_step(np.stack([load() for load in loads]))
        planes += [
            _plane(found, found.channels[number], load, step, frame if several else None)
            for load, frame in zip(loads, frames, strict=True)
        ]
    return tuple(planes)


def _plane(found: Layout, channel: Channel, load: Callable[[], Codes], step: float | None, frame: int | None) -> Plane:
    black, white = found.levels(channel)
    return Plane(
        name=channel.name,
        shape=channel.shape,
        load=load,
        black_dn=black,
        white_dn=white,
        scale_source="file",
        offset_known=True,
        white_known=True,
        bit_depth=effective_bits(float(2**found.bits - 1), step),
        step_dn=step,
        channel=channel.name if channel.name in ("Y", "Cb", "Cr") else None,
        frame=frame,
    )
