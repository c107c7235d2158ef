"""CZI and ND2 through bioio, LIF through liffile (extra `bioio`)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.images.image import Codes, Image, Plane
from noisediag.images.limits import check_planes
from noisediag.images.source import LinearScale, check_dtype, check_size, optional, sampled

_CZI, _ND2 = b"ZISRAWFILE", b"\xda\xce\xbe\x0a"


def read(path: Path) -> Image:
    """The first scene; every (channel, frame) is a plane, frames counted over all other axes, the last one fastest."""
    with open(path, "rb") as file:
        head = file.read(16)
    if head.startswith(_CZI):
        return _bioio(path, "bioio_czi")
    if head.startswith(_ND2):
        return _bioio(path, "bioio_nd2")
    return _lif(path)


def _bioio(path: Path, module: str) -> Image:
    optional("bioio", "bioio")
    reader = optional(module, "bioio").Reader(str(path))
    reader.set_scene(0)
    data = reader.xarray_dask_data  # lazy: a chunk is read when its frame is asked for
    sizes = {str(axis): int(length) for axis, length in data.sizes.items()}

    def fetch(place: dict[str, int]) -> Codes:
        picture: Codes = data.isel(place).transpose("Y", "X").to_numpy()
        return picture

    names = [str(name) for name in reader.channel_names or ()]
    return _image(sizes, ("Y", "X"), data.dtype, names, len(reader.scenes), "bioio", fetch)


def _lif(path: Path) -> Image:
    liffile = optional("liffile", "bioio")
    with liffile.LifFile(path) as file:
        picture = file.images[0]
        sizes = {str(axis): int(length) for axis, length in picture.sizes.items()}
        names = [str(name) for name in picture.coords.get("C", ())]
        dtype, scenes = picture.dtype, len(file.images)

    def fetch(place: dict[str, int]) -> Codes:
        colour = place.pop("S", None)
        with liffile.LifFile(path) as file:
            frame = np.asarray(file.images[0].frame(**place))
        return frame if colour is None else frame[..., colour]

    axes = tuple(axis for axis in sizes if axis != "S")[-2:]  # (Y, X), or (Z, X) of a section along the light
    return _image(sizes, axes, dtype, names, scenes, "liffile", fetch)


def _image(
    sizes: dict[str, int],
    picture: tuple[str, ...],
    dtype: np.dtype[Any],
    names: list[str],
    scenes: int,
    reader: str,
    fetch: Callable[[dict[str, int]], Codes],
) -> Image:
    check_dtype(dtype)
    shape = (sizes[picture[0]], sizes[picture[1]])
    check_size(*shape)
    warnings = [f"only the first of {scenes} scenes is read"] if scenes > 1 else []
    # Colours stored with each pixel (axis S) are channels here.
    channel_axis = "S" if sizes.get("S", 1) > 1 else "C"
    channels = sizes.get(channel_axis, 1)
    if len(names) != channels or len(set(names)) != channels:
        names = [f"channel{index}" for index in range(channels)] if channels > 1 else ["gray"]
    loop = {axis: length for axis, length in sizes.items() if axis not in (*picture, channel_axis)}
    frames = int(np.prod(list(loop.values()), dtype=object))
    check_planes(frames, channels)

    def load(channel: int, frame: int) -> Codes:
        index = np.unravel_index(frame, tuple(loop.values())) if loop else ()
        place = {axis: int(position) for axis, position in zip(loop, index, strict=True)}
        if channel_axis in sizes:
            place[channel_axis] = channel
        return np.ascontiguousarray(fetch(place))

    planes: list[Plane] = []
    for channel, name in enumerate(names):
        scale = LinearScale([load(channel, frame) for frame in sampled(frames)])
        warnings += scale.warnings
        planes += [
            scale.plane(
                name,
                shape,
                functools.partial(load, channel, frame),
                channel=name if channels > 1 else None,
                frame=frame if frames > 1 else None,
            )
            for frame in range(frames)
        ]
    axes = tuple((axis, length) for axis, length in loop.items() if length > 1)
    return Image(
        tuple(planes), "linear", reader, frames=frames, frame_axes=axes, warnings=tuple(dict.fromkeys(warnings))
    )
