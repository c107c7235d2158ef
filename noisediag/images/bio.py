"""CZI and ND2 through bioio, LIF through liffile (extra `bioio`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from noisediag.images import stack
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Image
from noisediag.images.source import chosen, optional
from noisediag.images.stack import Stack

_CZI, _ND2 = b"ZISRAWFILE", b"\xda\xce\xbe\x0a"


DECLARED = (
    Declaration("CZI", "czi", "first scene, or --series; C channels, other axes frames", "bioio-czi", "bioio"),
    Declaration("ND2", "nd2", "first position, or --series; C channels, other axes frames", "bioio-nd2", "bioio"),
    Declaration("LIF", "lif", "first picture, or --series; C channels, other axes frames", "liffile", "bioio"),
)


def read(path: Path, *, series: str | int | None = None) -> Image:
    """One scene, by name or number, else the first; every (channel, frame) is a plane.

    Frames are counted over all other axes, the last one fastest.
    """
    with open(path, "rb") as file:
        head = file.read(16)
    if head.startswith(_CZI):
        return _bioio(path, "bioio_czi", series)
    if head.startswith(_ND2):
        return _bioio(path, "bioio_nd2", series)
    return _lif(path, series)


def _bioio(path: Path, module: str, series: str | int | None) -> Image:
    optional("bioio", "bioio")
    reader = optional(module, "bioio").Reader(str(path))
    scenes = [str(name) for name in reader.scenes]
    reader.set_scene(0 if series is None else chosen("series", series, scenes))
    data = reader.xarray_dask_data  # lazy: a chunk is read when its frame is asked for
    sizes = {str(axis): int(length) for axis, length in data.sizes.items()}

    def fetch(place: dict[str, int]) -> Codes:
        picture: Codes = data.isel(place).transpose("Y", "X").to_numpy()
        return picture

    names = [str(name) for name in reader.channel_names or ()]
    return stack.image(Stack(sizes, data.dtype, fetch, "bioio", names=names, warnings=_left_out(reader.scenes, series)))


def _lif(path: Path, series: str | int | None) -> Image:
    liffile = optional("liffile", "bioio")
    with liffile.LifFile(path) as file:
        scenes = [str(one.name) for one in file.images]
        number = 0 if series is None else chosen("series", series, scenes)
        picture = file.images[number]
        sizes = {str(axis): int(length) for axis, length in picture.sizes.items()}
        names = [str(name) for name in picture.coords.get("C", ())]
        dtype = picture.dtype

    def fetch(place: dict[str, int]) -> Codes:
        colour = place.pop("S", None)
        with liffile.LifFile(path) as file:
            frame = np.asarray(file.images[number].frame(**place))
        return frame if colour is None else frame[..., colour]

    rows, columns = [axis for axis in sizes if axis != "S"][-2:]  # (Y, X), or (Z, X) of a section along the light
    return stack.image(
        Stack(sizes, dtype, fetch, "liffile", picture=(rows, columns), names=names, warnings=_left_out(scenes, series))
    )


def _left_out(scenes: Sequence[str], series: str | int | None) -> tuple[str, ...]:
    return (f"only the first of {len(scenes)} scenes is read",) if series is None and len(scenes) > 1 else ()
