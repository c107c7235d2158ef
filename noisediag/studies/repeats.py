"""Noise measured from repeats of one scene: the temporal variance of each pixel against its mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noisediag.errors import UnreadableError
from noisediag.images.image import Plane
from noisediag.studies.profile import fit

Floats = NDArray[np.float64]

MAX_FRAMES = 64  # from 16 on the pixels, not the frames, decide how well the line is known
BINS = 12  # of equal count, and as many of equal width
BLOCKS = 8  # a side: the parts of the picture that are drawn anew for the intervals
DRAWS = 200
CLIPPED_SHARE = 0.01  # of a bin's pixels
MIN_BINS = 4
SMALLEST_SD = 1e-3  # of ln variance: no line is better than that
COARSE_PX = 16  # blocks on which the frames' brightness is compared


@dataclass(frozen=True)
class Repeats:
    """Frames of a scene that stands still. Variance of one frame = slope * mean + intercept, DN and DN^2, with draws.

    `mean`: (H, W) of the frames, DN; `change`: of the brightness, a frame, relative, with its 90 % interval.
    """

    frames: int
    mean: Floats
    slope: float
    intercept: float
    slopes: Floats
    intercepts: Floats
    brightness: Floats  # mean of every frame, DN


def measure(planes: Sequence[Plane], generator: np.random.Generator) -> Repeats:
    """The line through temporal variance against mean, from the differences of successive frames.

    A change of brightness from frame to frame (bleaching, flicker) is taken out first. Pixels are binned by their eight
    neighbours, whose noise is not their own, so that mean and variance of a bin are unbiased. Raises UnreadableError
    where the frames show too few levels that are not clipped.
    """
    planes = planes[:MAX_FRAMES]
    total = squares = previous = None
    clipped_low = clipped_high = np.zeros(planes[0].shape, bool)
    brightness = []
    for plane in planes:
        values = plane.load()
        lowest = np.iinfo(values.dtype).min if values.dtype.kind in "iu" else -np.inf
        clipped_low, clipped_high = clipped_low | (values <= lowest), clipped_high | (values >= plane.white_dn)
        frame = values.astype(np.float64)
        brightness.append(float(frame.mean()))
        if total is None or squares is None or previous is None:
            total, squares = frame.copy(), np.zeros_like(frame)
        else:
            total += frame
            squares += _without_trend(frame - previous, (frame + previous) / 2) ** 2 / 2
        previous = frame
    if total is None or squares is None or len(planes) < 2:
        raise UnreadableError("repeats are two frames or more")
    mean, variance = total / len(planes), squares / (len(planes) - 1)
    sums = _binned(mean, variance, clipped_low, clipped_high)
    picked = generator.integers(len(sums), size=(DRAWS, len(sums)))
    drawn = np.stack([sums[blocks].sum(axis=0) for blocks in picked])
    slope, intercept = _line(sums.sum(axis=0)[None], len(planes))
    slopes, intercepts = _line(drawn, len(planes))
    return Repeats(len(planes), mean, float(slope[0]), float(intercept[0]), slopes, intercepts, np.array(brightness))


def smooth(values: Floats) -> Floats:
    """The mean of the eight neighbours, (H - 2, W - 2)."""
    height, width = values.shape
    around = [
        values[row : row + height - 2, column : column + width - 2]
        for row in range(3)
        for column in range(3)
        if (row, column) != (1, 1)
    ]
    return np.mean(around, axis=0)


def _without_trend(difference: Floats, level: Floats) -> Floats:
    """`difference` of two frames less what all pixels do together: an affine function of their mean, `level`.

    It is fitted to coarse blocks; the noise of a difference is independent of that of the mean.
    """
    height, width = (side // COARSE_PX * COARSE_PX for side in difference.shape)
    if min(height, width) < 2 * COARSE_PX:
        return difference - difference.mean()

    def coarse(values: Floats) -> Floats:
        blocks = values[:height, :width].reshape(height // COARSE_PX, COARSE_PX, width // COARSE_PX, COARSE_PX)
        return blocks.mean(axis=(1, 3)).ravel()

    levels, change = coarse(level), coarse(difference)
    spread = float(np.var(levels))
    gain = float(np.mean((levels - levels.mean()) * (change - change.mean()))) / spread if spread > 0 else 0.0
    return difference - change.mean() - gain * (level - levels.mean())


def _binned(mean: Floats, variance: Floats, low: NDArray[np.bool_], high: NDArray[np.bool_]) -> Floats:
    """Sums over the pixels of each block and bin: count, mean, variance, clipped low and high: (blocks, bins, 5)."""
    key, inner = smooth(mean), (slice(1, -1), slice(1, -1))
    edges = np.unique(
        np.concatenate(
            [np.quantile(key, np.linspace(0, 1, BINS + 1)[1:-1]), np.linspace(key.min(), key.max(), BINS + 1)[1:-1]]
        )
    )
    bins = np.searchsorted(edges, key)
    rows = np.arange(key.shape[0]) * BLOCKS // key.shape[0]
    columns = np.arange(key.shape[1]) * BLOCKS // key.shape[1]
    place = ((rows[:, None] * BLOCKS + columns[None, :]) * (len(edges) + 1) + bins).ravel()
    size = BLOCKS**2 * (len(edges) + 1)
    parts = (np.ones_like(mean), mean, variance, low, high)
    sums = [np.bincount(place, part[inner].ravel(), size) for part in parts]
    return np.stack(sums, axis=1).astype(np.float64).reshape(BLOCKS**2, len(edges) + 1, len(parts))


def _line(sums: Floats, frames: int) -> tuple[Floats, Floats]:
    """Slope and intercept for each draw, from (draws, bins, 5)."""
    whole = sums.sum(axis=0)
    share = whole[:, 3:] / np.maximum(whole[:, :1], 1)
    used = (whole[:, 0] > 0) & (whole[:, 2] > 0) & (share[:, 1] <= CLIPPED_SHARE)
    unclipped = used & (share[:, 0] <= CLIPPED_SHARE)
    # Where nearly all of a photon-counting picture is exactly 0, that is no clipping of noise.
    used = unclipped if unclipped.sum() >= MIN_BINS else used
    if used.sum() < 2:
        raise UnreadableError("the frames show too few levels that are not clipped")
    sums, whole = sums[:, used], whole[used]
    count = np.maximum(sums[..., 0], 1e-3)
    drawn = (sums[..., 0] >= 1) & (sums[..., 2] > 0)  # a bin that a draw leaves out counts for nothing
    mean = np.where(drawn, sums[..., 1] / count, whole[:, 1] / whole[:, 0])
    variance = np.where(drawn, sums[..., 2] / count, whole[:, 2] / whole[:, 0])
    sd = np.where(drawn, np.sqrt(3 / (count * (frames - 1)) + SMALLEST_SD**2), 1e3)
    return fit(mean, np.log(variance), sd, free=True)
