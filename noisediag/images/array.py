"""Arrays, in memory or in .npy files."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from noisediag.errors import TruncatedError, UnsupportedError
from noisediag.images.declaration import Declaration
from noisediag.images.image import Codes, Domain, Image, Plane
from noisediag.images.limits import check_planes
from noisediag.images.source import LinearScale, check_dtype, check_size, loader, rendered_planes, sampled

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
    return image(np.load(path, mmap_mode="r", allow_pickle=False), domain="linear", reader="npy")


def image(values: Codes, *, domain: Domain, reader: str) -> Image:
    """`values` as an image; see `noisediag.images.from_array`."""
    check_dtype(values.dtype)
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise UnsupportedError(f"an array of shape {values.shape} is neither a picture nor a stack of pictures")
    colour = values.ndim == 3 and values.shape[-1] in (3, 4) and (values.dtype == np.uint8 or domain == "rendered")
    check_size(*values.shape[:2] if colour else values.shape[-2:])
    check_planes(1 if colour or values.ndim == 2 else values.shape[0])
    if values.dtype.kind != "f" and (colour or (domain == "rendered" and values.ndim == 2)):
        planes = rendered_planes(np.asarray(values[..., :3] if colour else values))
        return Image(planes=planes, domain="rendered", reader=reader)
    if colour:
        scale = LinearScale([np.asarray(values[..., :3])])
        planes = tuple(
            scale.plane(name, values.shape[:2], loader(values[..., index])) for index, name in enumerate("RGB")
        )
        return Image(planes=planes, domain="rendered", reader=reader, warnings=tuple(scale.warnings))
    return _stack(values if values.ndim == 3 else values[None], domain, reader)


def _stack(values: Codes, domain: Domain, reader: str) -> Image:
    frames, height, width = values.shape
    scale = LinearScale([np.asarray(values[index]) for index in sampled(frames)])

    def plane(index: int) -> Plane:
        load = functools.partial(np.array, values[index])
        return scale.plane("gray", (height, width), load, frame=index if frames > 1 else None)

    planes = tuple(plane(index) for index in range(frames))
    return Image(planes=planes, domain=domain, reader=reader, frames=frames, warnings=tuple(scale.warnings))
