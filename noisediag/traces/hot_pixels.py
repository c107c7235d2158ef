"""Hot pixels: single pixels of a dark picture that stand far above all others, as long exposures show them.

Told apart from stars, glints and beads, which reach into the pixels beside them, lie in clusters or shine in all
colours, and from the tail of the noise itself. What cannot be told from these is not called hot: in a picture of
light, a lone bright pixel may be light.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noisediag.engine.orders import distinct, median, quantile

Tiles = NDArray[np.float32]  # (T, H, W), normalised
Numbers = NDArray[np.float64]

AREA_PX = 16  # side of the areas whose median and scatter a pixel is compared with
FAR_SD = 10.0  # standard deviations of the area beyond which a pixel is no noise
NEAR_SD = 5.0  # where the tail of heavy-tailed noise lies that reaches FAR_SD
MAD_TO_SD = 1.4826  # of normal values
MIN_SHARE, MAX_SHARE = 1e-4, 0.02  # of the pixels: fewer are chance, more are a noise or a picture
MIN_COUNT = 12  # of them, to judge them by
MAX_BELOW = 0.05  # of their number, that may stand as far below: hot pixels have no counterpart
MAX_NEAR = 2.0  # times their number, between NEAR_SD and FAR_SD
MAX_LEAK = 0.05  # of its excess, that the pixels around one may have, beside their noise; 0.09 for a star 1 px wide
MAX_MEDIAN_LEAK = 0.03  # of all of them; its error is 0.013 for MIN_COUNT of the weakest
MIN_ALONE = 0.5  # of the far pixels that stand alone: a picture of stars has many that do not
MIN_TAIL = 2.0  # 90 % over 50 % quantile of the excess beyond FAR_SD; 3.3 of exponential, 1.8 of uniform values
MAX_DISPERSION_SD = 5.0  # standard deviations of their counts in areas beyond those of places drawn by chance
PLACES_PX = 64  # side of these areas
MAX_TOGETHER = 0.1  # of them, beyond chance, that shine in another colour, too
MAX_WHITE = 0.3  # of them at white, where impulses lie, and light
WHITE = 0.98
MIN_SEEN = 0.5  # of the areas, that must have a scatter
MOST_TILES = 8  # that are looked at: more cost time and change little
TINY = 1e-12
REACH = np.arange(-2, 3)
OUTER = np.maximum(np.abs(REACH[:, None]), np.abs(REACH)) == 2  # of 5 x 5 pixels: those two from the middle
INNER = np.maximum(np.abs(REACH[:, None]), np.abs(REACH)) == 1


@dataclass(frozen=True)
class HotPixels:
    """Share of the pixels that stand alone far above those around them, and by how much (DN): mean and median."""

    share: float
    mean_excess_dn: float
    median_excess_dn: float


@dataclass(frozen=True)
class _Far:
    """Pixels of a plane far from their area's median, and of these the ones that stand alone: place and excess.

    `leak`: mean excess of the pixels around, but for the brightest, over its own. `near`, `below`: numbers of pixels,
    see NEAR_SD and MAX_BELOW.
    """

    far: int
    near: int
    below: int
    at: NDArray[np.intp]  # (N, 3) tile, row, column
    excess: Numbers  # (N,) over the pixels around
    threshold: Numbers  # (N,)
    leak: Numbers  # (N,)
    value: Numbers  # (N,)


def hot_pixels(planes: Sequence[tuple[Tiles, float]], *, colours: bool = False) -> HotPixels | None:
    """The hot pixels of `planes`, each its tiles and its white - black in DN; None: none that are known to be hot.

    `colours`: the planes are colours of one mosaic, their tiles lie at the same places; what shines in two of them at
    the same place is light.
    """
    most = max(1, MOST_TILES // len(planes))
    seen = [
        tiles[distinct(np.linspace(0, len(tiles) - 1, min(most, len(tiles))).round().astype(int))]
        for tiles, _ in planes
    ]
    found = [one for one in map(_alone, seen) if one is not None]
    if len(found) < len(planes):
        return None
    count = sum(len(one.at) for one in found)
    far, near, below = (sum(getattr(one, name) for one in found) for name in ("far", "near", "below"))
    share = count / sum(tiles.size for tiles in seen)
    if count < max(MIN_COUNT, MIN_ALONE * far) or not MIN_SHARE <= share <= MAX_SHARE:
        return None
    if near > MAX_NEAR * far or below > MAX_BELOW * far or (colours and _together(found, share) > MAX_TOGETHER):
        return None
    leak, value = (np.concatenate([getattr(one, name) for one in found]) for name in ("leak", "value"))
    beyond = np.concatenate([(one.excess - one.threshold) for one in found])
    middle, high = quantile(beyond, (0.5, 0.9))
    if median(leak) > MAX_MEDIAN_LEAK or high < MIN_TAIL * middle or (value >= WHITE).mean() > MAX_WHITE:
        return None
    if _clustered(np.concatenate([_counts(one.at, tiles.shape) for one, tiles in zip(found, seen, strict=True)])):
        return None
    in_dn = np.concatenate([one.excess * span for one, (_, span) in zip(found, planes, strict=True)])
    return HotPixels(share, float(in_dn.mean()), float(median(in_dn)))


def far_pixels(tiles: Tiles) -> NDArray[np.bool_]:
    """Which pixels of `tiles` (T, H, W) lie so far above those around them that they are no noise, same shape."""
    mask = np.zeros(tiles.shape, bool)
    scored = _scored(tiles)
    if scored is not None:
        score, _, (height, width) = scored
        rows, columns = height // AREA_PX, width // AREA_PX
        far = (score > FAR_SD).reshape(len(tiles), rows, columns, AREA_PX, AREA_PX).transpose(0, 1, 3, 2, 4)
        mask[:, :height, :width] = far.reshape(len(tiles), height, width)
    return mask


def _scored(tiles: Tiles) -> tuple[NDArray[np.floating], NDArray[np.floating], tuple[int, int]] | None:
    """Of every area: its pixels' distance from its median in scatters, (T, ny, nx, AREA_PX^2), its scatter, and the
    height and width that whole areas cover. None where most areas have no scatter.
    """
    height, width = (side // AREA_PX * AREA_PX for side in tiles.shape[1:])
    if min(height, width) < AREA_PX:
        return None
    tiles = tiles[:, :height, :width]
    areas = tiles.reshape(len(tiles), height // AREA_PX, AREA_PX, width // AREA_PX, AREA_PX).transpose(0, 1, 3, 2, 4)
    flat = areas.reshape(*areas.shape[:3], -1)
    middle = flat.shape[-1] // 2
    score = flat - np.partition(flat, middle, axis=-1)[..., middle, None]
    scatter = MAD_TO_SD * np.partition(np.abs(score), middle, axis=-1)[..., middle]
    if (scatter > 0).mean() < MIN_SEEN:  # in the others more than half of the pixels are of one code
        return None
    scatter = np.where(scatter > 0, scatter, np.float32(np.inf))
    score /= scatter[..., None]
    return score, scatter, (height, width)


def _alone(tiles: Tiles) -> _Far | None:
    """The lone bright pixels of a plane; None where they are too many, or what is noise is not known."""
    scored = _scored(tiles)
    if scored is None:
        return None
    score, scatter, (height, width) = scored
    tiles = tiles[:, :height, :width]
    bright = score > FAR_SD
    far, near, below = (int(one.sum()) for one in (bright, score > NEAR_SD, score < -FAR_SD))
    if far > MAX_SHARE / MIN_ALONE * score.size:
        return None
    tile, row, column, inside = np.nonzero(bright)
    sd = scatter[tile, row, column].astype(np.float64)
    row, column = row * AREA_PX + inside // AREA_PX, column * AREA_PX + inside % AREA_PX
    whole = (row >= 2) & (row < height - 2) & (column >= 2) & (column < width - 2)
    at, sd = np.stack([tile, row, column], axis=1)[whole], sd[whole]
    patch = tiles[at[:, 0, None, None], at[:, 1, None, None] + REACH[:, None], at[:, 2, None, None] + REACH]
    patch = patch.astype(np.float64)
    ground, around, own = median(patch[:, OUTER], axis=1), patch[:, INNER], patch[:, 2, 2]
    excess = own - median(around, axis=1)
    others = (around.sum(axis=1) - around.max(axis=1)) / 7  # without the brightest, which may be hot itself
    leak = (others - ground) / np.maximum(own - ground, TINY)
    alone = (excess > FAR_SD * sd) & (leak < MAX_LEAK + 3 * sd / (math.sqrt(7) * np.maximum(excess, TINY)))
    return _Far(len(at), near - far, below, at[alone], excess[alone], FAR_SD * sd[alone], leak[alone], own[alone])


def _together(planes: Sequence[_Far], share: float) -> float:
    """Share of the lone pixels that have one of another colour within a pixel of their place, beyond chance.

    `share`: of the pixels, that stand alone.
    """
    from scipy.spatial import cKDTree  # a quarter of a second, for few pictures

    places = np.concatenate([one.at for one in planes])
    colour = np.repeat(np.arange(len(planes)), [len(one.at) for one in planes])
    near = cKDTree(places * np.array([3, 1, 1])).query_pairs(1, p=np.inf, output_type="ndarray")  # tiles lie apart
    pairs = near[colour[near[:, 0]] != colour[near[:, 1]]]
    chance = 1 - (1 - share) ** (9 * (len(planes) - 1))
    return len(distinct(pairs)) / len(places) - chance


def _counts(at: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.int_]:
    """Lone pixels in each whole area of PLACES_PX, over all tiles of `shape`."""
    down, across = shape[1] // PLACES_PX, shape[2] // PLACES_PX
    row, column = at[:, 1] // PLACES_PX, at[:, 2] // PLACES_PX
    whole = (row < down) & (column < across)
    index = ((at[:, 0] * down + row) * across + column)[whole]
    return np.bincount(index, minlength=shape[0] * down * across)


def _clustered(counts: NDArray[np.int_]) -> bool:
    """Whether places lie in clusters: the variance of their `counts` is beyond the mean, as it is by chance."""
    if len(counts) < 2 or not counts.any():
        return False
    return bool(counts.var(ddof=1) / counts.mean() > 1 + MAX_DISPERSION_SD * math.sqrt(2 / (len(counts) - 1)))
