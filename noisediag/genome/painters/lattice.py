"""Detail as fine as the pixels, exactly clean: closed forms sampled on a finer lattice and averaged over each pixel.

A scene is drawn by functions of the place alone. What is random in them (the tint of a thread, the place of a
pebble) comes from tables that do not know the lattice, so a finer lattice shows the same scene, only better averaged:
nothing in it is drawn anew for every pixel, as noise is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.random import Generator
from PIL import Image

from noisediag.genome.painters.brushes import Picture

TABLE = 64  # cells a side before a table of cells repeats
CACHED_ROWS = 32  # searched at a time, so that they stay in the processor's cache
Field = np.ndarray  # (size * fine, size * fine) float32, or broadcast to it


def places(size: int, fine: int) -> tuple[Field, Field]:
    """Columns x (1, n) and rows y (n, 1) of `fine` samples a pixel and side, in px of the finished picture."""
    axis = ((np.arange(size * fine, dtype=np.float32) + 0.5) / fine - 0.5).astype(np.float32)
    return axis[None, :], axis[:, None]


def turned(x: Field, y: Field, angle: float) -> tuple[Field, Field]:
    """Coordinates along `angle` and across it."""
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return x * cos + y * sin, y * cos - x * sin


def averaged(field: Field, fine: int, *, tent: bool = True) -> Picture:
    """The mean of each pixel's samples. `tent`: of two pixels' width, weighted like a tent, so that no pattern that
    the pixels can hardly resolve beats with them (the box alone lets a third of it through).
    """
    if tent:  # a box of one pixel along each axis, before the box that averages
        half = fine // 2
        weights = np.ones(2 * half + 1, np.float32)
        if fine % 2 == 0:
            weights[[0, -1]] = 0.5
        for _ in range(2):
            padded = np.pad(field, ((half, half), (0, 0)), mode="edge")
            shifted = (weight * padded[k : k + len(field)] for k, weight in enumerate(weights / fine))
            field = sum(shifted, np.zeros_like(field)).T
    return np.array(Image.fromarray(np.ascontiguousarray(field, dtype=np.float32)).reduce(fine))


def finer(picture: Picture, fine: int) -> Field:
    """`picture` on the finer lattice, interpolated."""
    side = len(picture) * fine
    return np.asarray(Image.fromarray(picture.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class Cells:
    """What `cells` finds for every sample: all (n, n) float32, in widths of a cell, but for `number`."""

    nearest: Field  # distance to the nearest centre
    second: Field  # distance to the second nearest
    along: Field  # from that centre
    across: Field
    number: np.ndarray  # intp, which cell of the TABLE * TABLE: an index of tables of that length

    @property
    def rim(self) -> Field:
        """About the distance to the border of the cell."""
        return np.asarray(self.second - self.nearest) / 2


def cells(u: Field, v: Field, rng: Generator, jitter: float = 0.9) -> Cells:
    """The cells (Worley's) around scattered centres, one in each unit square of (u, v), moved by up to `jitter`/2."""
    u, v = (np.asarray(a, dtype=np.float32) for a in np.broadcast_arrays(u, v))
    moved = (jitter * (rng.random((2, TABLE * TABLE)) - 0.5) + 0.5).astype(np.float32)
    nearest, second, along, across = (np.empty(u.shape, np.float32) for _ in range(4))
    found = Cells(nearest, second, along, across, np.empty(u.shape, np.intp))
    for start in range(0, len(u), CACHED_ROWS):
        rows = slice(start, start + CACHED_ROWS)
        _nearest(u[rows], v[rows], moved, Cells(*(getattr(found, entry.name)[rows] for entry in fields(Cells))))
    return found


def _nearest(u: Field, v: Field, moved: np.ndarray, found: Cells) -> None:
    """Fills `found` for the samples (u, v)."""
    column, row = np.floor(u), np.floor(v)
    inside_u, inside_v = u - column, v - row
    column, row = column.astype(np.intp), row.astype(np.intp)
    columns = [(column + right) % TABLE for right in (-1, 0, 1)]
    found.nearest[:] = found.second[:] = 9.0
    for down in (-1, 0, 1):
        below = (row + down) % TABLE * TABLE
        left_v = inside_v - down
        for right in (-1, 0, 1):
            which = below + columns[right + 1]
            du, dv = inside_u - right - moved[0].take(which), left_v - moved[1].take(which)
            square = du * du + dv * dv
            closer = square < found.nearest
            np.minimum(found.second, np.maximum(found.nearest, square), out=found.second)
            np.minimum(found.nearest, square, out=found.nearest)
            for kept, value in ((found.along, du), (found.across, dv), (found.number, which)):
                np.copyto(kept, value, where=closer)
    np.sqrt(found.nearest, out=found.nearest)
    np.sqrt(found.second, out=found.second)


def table(rng: Generator, low: float, high: float, n: int = TABLE * TABLE) -> np.ndarray:
    """`n` uniform numbers, float32."""
    return rng.uniform(low, high, n).astype(np.float32)


def uneven(rng: Generator, spread: float, n: int = TABLE * TABLE) -> np.ndarray:
    """`n` factors about 1, log-normal, within `spread` for two thirds of them, float32."""
    return np.exp(np.clip(rng.normal(0, spread, n), -3 * spread, 3 * spread)).astype(np.float32)
