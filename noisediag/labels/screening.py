"""Whether two frames show one and the same scene: what changes between them beside the noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]

COARSE_PX = 16  # blocks on which the frames' brightness is compared
MIN_BLOCKS = 9  # from which a change of contrast is told from one of brightness
GAIN_CHANCE = 3.0  # standard errors from which a change of contrast is no chance
MOVED_SHARE = 0.003  # of a difference's variance that a shift of the scene may explain
MOVED_CHANCE = 10.0  # times what it explains by chance
CHANGED_SHARE = 0.3  # of a difference's variance in coarse blocks; noise as correlated as rho 2 puts 0.2 there
SOBEL = 8.0  # sum of the positive weights of Sobel's filter: divided by it, the response is a slope per pixel
SOBEL_NOISE = 12 / SOBEL**2  # variance of a gradient per variance of its pixels: 12 is the sum of its squared weights
MAX_BRIGHTNESS_CHANGE = 0.3  # relative, from one frame to the next
MAX_SATURATED_SHARE = 0.5  # of the pixels
MIN_VARIANCE_RATIO, MAX_VARIANCE_RATIO = 0.5, 2.0  # of a pair's variance to that of the median pair
NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]]) / 8  # the weights of their mean


@dataclass(frozen=True)
class FramePair:
    """Two successive frames compared. `variance`: of the noise of one of them, DN^2.

    `shift_px`: of the scene, down and right; `moved`, `changed`: shares of the difference's variance that a shift
    explains, and that lies in coarse blocks; `brightness`: relative change; `saturated`: share of the pixels at white.
    """

    variance: float
    shift_px: tuple[float, float]
    moved: float
    moved_by_chance: float
    changed: float
    brightness: float
    saturated: float


def compare_frames(first: Floats, second: Floats, *, black_dn: float, top_dn: float) -> FramePair:
    """Compare two frames (H, W), DN. `top_dn`: the level from which a pixel is saturated."""
    level = (first + second) / 2
    difference = without_trend(second - first, level)
    squared = float(np.mean(difference**2))
    shift, moved, chance = _shift(difference, level)
    light = float(level.mean()) - black_dn
    return FramePair(
        variance=squared / 2,
        shift_px=shift,
        moved=moved / squared if squared > 0 else 0.0,
        moved_by_chance=chance,
        changed=_coarse_share(difference, squared),
        brightness=float((second - first).mean()) / light if light > 0 else 0.0,
        saturated=float(np.mean((first >= top_dn) | (second >= top_dn))),
    )


def faults(pairs: Sequence[FramePair]) -> Mapping[int, str]:
    """Why pairs cannot be used, by their place in `pairs`."""
    reasons: dict[int, str] = {}
    for place, pair in enumerate(pairs):
        reason = pair_fault(pair)
        if reason is not None:
            reasons[place] = reason
    kept = [pair.variance for place, pair in enumerate(pairs) if place not in reasons]
    usual = float(np.median(kept)) if kept else 0.0
    for place, pair in enumerate(pairs):
        if place in reasons or len(kept) < 3 or not usual > 0:
            continue
        ratio = pair.variance / usual
        if ratio < MIN_VARIANCE_RATIO:
            reasons[place] = (
                f"only {ratio:.2f} times the noise variance of the other pairs: repeated or averaged frames"
            )
        elif ratio > MAX_VARIANCE_RATIO:
            reasons[place] = f"{ratio:.3g} times the noise variance of the other pairs"
    return reasons


def pair_fault(pair: FramePair, *, moved_share: float = MOVED_SHARE) -> str | None:
    """Why a pair cannot be used, whatever the others are like; None: it can.

    `moved_share`: of the difference's variance that a shift may explain.
    """
    if pair.variance == 0:
        return "identical"
    if pair.saturated > MAX_SATURATED_SHARE:
        return f"saturated: {100 * pair.saturated:.0f} % of the pixels"
    if abs(pair.brightness) > MAX_BRIGHTNESS_CHANGE:
        return f"the brightness changes by {100 * pair.brightness:+.0f} %"
    if pair.moved > max(moved_share, MOVED_CHANCE * pair.moved_by_chance):
        return f"the scene moves, by about {np.hypot(*pair.shift_px):.2g} px"
    if pair.changed > CHANGED_SHARE:
        return "the scene changes"
    return None


def without_trend(difference: Floats, level: Floats) -> Floats:
    """`difference` of two frames less what all pixels do together: an affine function of their mean, `level`.

    It is fitted to coarse blocks; the noise of a difference is independent of that of the mean.
    """
    levels, change = coarse(level).ravel(), coarse(difference).ravel()
    if len(levels) < MIN_BLOCKS:
        return np.asarray(difference - difference.mean())
    centred = levels - levels.mean()
    spread = float(centred @ centred)
    gain = float(centred @ change) / spread if spread > 0 else 0.0
    rest = change - change.mean() - gain * centred
    # On a flat field the gain is nothing but the noise of the blocks, which it would carry to every pixel.
    chance = math.sqrt(float(rest @ rest) / (len(levels) - 2) / spread) if spread > 0 else 0.0
    if abs(gain) < GAIN_CHANCE * chance:
        gain = 0.0
    return np.asarray(difference - change.mean() - gain * (level - levels.mean()))


def smooth(values: Floats) -> Floats:
    """The mean of the eight neighbours, (H - 2, W - 2)."""
    return np.asarray(ndimage.correlate(values, NEIGHBOURS)[1:-1, 1:-1])


def coarse(values: Floats) -> Floats:
    """Means of blocks of COARSE_PX; empty for smaller pictures."""
    height, width = (side // COARSE_PX * COARSE_PX for side in values.shape)
    blocks = values[:height, :width].reshape(height // COARSE_PX, COARSE_PX, width // COARSE_PX, COARSE_PX)
    return np.asarray(blocks.mean(axis=(1, 3))) if blocks.size else np.empty((0, 0))


def _coarse_share(difference: Floats, squared: float) -> float:
    """Share of a difference's variance in coarse blocks beyond that of white noise and of rows and columns."""
    blocks = coarse(difference)
    if min(blocks.shape) < 2 or not squared > 0:
        return 0.0
    blocks = blocks - blocks.mean(axis=0, keepdims=True)
    blocks -= blocks.mean(axis=1, keepdims=True)
    freedom = (blocks.shape[0] - 1) * (blocks.shape[1] - 1)
    return float(max(float((blocks**2).sum()) / freedom / squared - 1 / COARSE_PX**2, 0.0))


def _shift(difference: Floats, level: Floats) -> tuple[tuple[float, float], float, float]:
    """The shift that explains most of `difference`, px down and right; mean square explained; its share by chance.

    Least squares on Sobel's gradients of the mean of both frames, whose noise is independent of the difference's.
    """
    inner = difference[1:-1, 1:-1]
    if inner.size < 16:
        return (0.0, 0.0), 0.0, 1.0
    gradients = np.stack([(ndimage.sobel(level, axis) / SOBEL)[1:-1, 1:-1].ravel() for axis in (0, 1)])
    normal = gradients @ gradients.T
    right = gradients @ inner.ravel()
    if not np.linalg.det(normal) > 0:
        return (0.0, 0.0), 0.0, 2 / inner.size
    explained = float(np.linalg.solve(normal, right) @ right) / inner.size
    # Noise in the gradients makes the shift look smaller than it is.
    clean = normal - SOBEL_NOISE * float((inner**2).sum()) / 4 * np.eye(2)
    motion = np.linalg.solve(clean if np.linalg.eigvalsh(clean)[0] > 0.1 * np.trace(normal) else normal, right)
    # The scene at x becomes that at x - s: the difference is -s times the gradient.
    return (-float(motion[0]), -float(motion[1])), explained, 2 / inner.size
