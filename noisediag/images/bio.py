"""CZI, ND2 and LIF through bioio (extra `bioio`)."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from noisediag.images.image import Image, Plane
from noisediag.images.source import LinearScale, check_dtype, check_size, optional, sampled

_READERS = ((b"ZISRAWFILE", "bioio_czi"), (b"\xda\xce\xbe\x0a", "bioio_nd2"), (b"\x70\0\0\0", "bioio_lif"))


def read(path: Path) -> Image:
    """The first scene: each channel a plane a frame, frames counted over time and depth (time slowest)."""
    optional("bioio", "bioio")
    with open(path, "rb") as file:
        head = file.read(16)
    module = next(name for signature, name in _READERS if head.startswith(signature))
    reader = optional(module, "bioio").Reader(str(path))
    warnings = [f"only the first of {len(reader.scenes)} scenes is read"] if len(reader.scenes) > 1 else []
    reader.set_scene(0)
    data = reader.xarray_dask_data
    order = [axis for axis in data.dims if axis not in ("T", "C", "Z", "Y", "X", "M", "S")]
    data = data.isel({axis: 0 for axis in [*order, *(axis for axis in ("M",) if axis in data.dims)]})
    check_dtype(data.dtype)
    colours = int(data.sizes.get("S", 1))
    height, width = int(data.sizes["Y"]), int(data.sizes["X"])
    check_size(height, width, colours)
    channels = list(range(int(data.sizes.get("C", 1))))
    depth = int(data.sizes.get("Z", 1))
    frames = int(data.sizes.get("T", 1)) * depth
    planes: list[Plane] = []
    names = _names(reader, len(channels))
    for channel in channels:
        for colour in range(min(colours, 3)):
            load = functools.partial(_frame, data, channel, depth, colour if colours > 1 else None)
            scale = LinearScale([load(frame) for frame in sampled(frames)])
            warnings += scale.warnings
            name = "RGB"[colour] if colours >= 3 else names[channel]
            planes += [
                scale.plane(
                    name,
                    (height, width),
                    functools.partial(load, frame),
                    channel=name if len(channels) > 1 or colours > 1 else None,
                    frame=frame if frames > 1 else None,
                )
                for frame in range(frames)
            ]
    return Image(
        tuple(planes), "linear", "bioio", frames=frames, warnings=tuple(dict.fromkeys(warnings))
    )


def _frame(data: Any, channel: int, depth: int, colour: int | None, frame: int) -> np.ndarray:
    place = {"T": frame // depth, "Z": frame % depth, "C": channel}
    if colour is not None:
        place["S"] = colour
    picture = data.isel({axis: index for axis, index in place.items() if axis in data.dims})
    return np.ascontiguousarray(picture.transpose("Y", "X").to_numpy())


def _names(reader: Any, channels: int) -> list[str]:
    names = [str(name) for name in reader.channel_names or ()]
    if len(names) != channels or len(set(names)) != channels:
        names = [f"channel{index}" for index in range(channels)]
    return names if channels > 1 or reader.channel_names else ["gray"]
