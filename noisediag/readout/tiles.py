"""Which pixels are looked at: the planes that belong together, cut into tiles of one size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisediag import images
from noisediag.cop.tokens import BLOCK
from noisediag.errors import UnreadableError
from noisediag.images.image import LUMA, Image, Plane
from noisediag.readout.missing import block_limit, box, filled, fullest
from noisediag.traces.hot_pixels import HotPixels, far_pixels, hot_pixels
from noisediag.traces.saturation import Plateau, plateau

TILE_PX = 256  # largest tile
MIN_TILE_PX = 16
MAX_TILES = 24  # of one bag: 48,000 blocks put the statistical error of sigma at 0.04 %
MAX_FRAMES = 8  # of a stack's channel
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Bag:
    """Tiles of one or several planes that share one footprint, normalised: `(T, h, w)` float32."""

    tiles: NDArray[np.float32]
    step: float | None  # distance of the levels in use, normalised; None: no lattice (floats)
    container: float | None  # distance of adjacent codes of the container, normalised; None: floats
    missing: NDArray[np.bool_] | None = None  # (T, h, w) pixels that hold no value, filled in; None: there are none
    missing_share: float = 0.0  # of all pixels of the planes
    ceiling: float | None = None  # normalised; pixels at and above it are saturated. None: none is seen

    @property
    def seen(self) -> NDArray[np.float32]:
        """The tiles with all that is saturated at one level, as a hard clip would have left it."""
        return self.tiles if self.ceiling is None else np.minimum(self.tiles, np.float32(self.ceiling))


@dataclass(frozen=True)
class Part:
    """Planes that are estimated together: those of one channel, or of the whole picture.

    `groups`: the planes of one name and frame each, which share one footprint. `bags`: the planes and the tiles of each
    group and, where there are several groups, of the file's own footprint behind them.
    """

    channel: str | None
    groups: tuple[tuple[Plane, ...], ...]
    bags: tuple[tuple[tuple[Plane, ...], Bag], ...]
    saturation: Plateau | None = None  # normalised, of all planes together; None: none is seen
    hot: HotPixels | None = None  # of all planes; those pixels are filled in like missing ones. None: none is seen

    def under(self, saturation: Plateau | None) -> Part:
        """The same with this ceiling over all bags; values beyond white are saturated in any case."""
        edge = 1.0 if saturation is None else min(saturation.edge, 1.0)

        def capped(bag: Bag) -> Bag:
            return replace(bag, ceiling=edge if saturation is not None or bag.tiles.max() > 1 else None)

        bags = tuple((members, capped(bag)) for members, bag in self.bags)
        return replace(self, bags=bags, saturation=saturation)


def plan(image: Image) -> Iterator[Part]:
    """The parts of `image`, cut into tiles. Raises the errors of `cut` and of loading its pixels."""
    align = BLOCK if image.domain == "rendered" else 1  # JPEG's blocks stay whole
    for channel, groups in channels(image).items():
        # Planes that belong together are looked at where `all` looks: a part of the tiles each, not all of them.
        most = MAX_TILES if image.domain == "linear" else MAX_TILES // len(groups)
        bags: list[tuple[tuple[Plane, ...], Bag]] = []
        for members in groups:
            bag = thinned(cut([(p, p.load()) for p in members], MAX_TILES, align=align), max(1, most))
            bags.append((tuple(members), bag))
        if len(bags) > 1:
            bags.append(_together(image, groups, bags))
        part = Part(channel, tuple(tuple(members) for members in groups), tuple(bags))
        yield part if image.domain == "rendered" else _without_hot_pixels(part.under(_saturation(part)))


def _without_hot_pixels(part: Part) -> Part:
    """`part` with its hot pixels told, and left out of what the model sees."""
    hot = _hot_pixels(part)
    if hot is None:
        return part

    def mended(bag: Bag) -> Bag:
        far = far_pixels(bag.tiles)
        tiles = [filled(tile, hole, (place,)) for place, (tile, hole) in enumerate(zip(bag.tiles, far, strict=True))]
        return replace(bag, tiles=np.stack(tiles), missing=far if bag.missing is None else far | bag.missing)

    return replace(part, hot=hot, bags=tuple((members, mended(bag)) for members, bag in part.bags))


def _hot_pixels(part: Part) -> HotPixels | None:
    """Those of all planes. Colours of a mosaic whose tiles lie at other places cannot be compared: nothing is said."""
    groups = part.bags[: len(part.groups)]
    colours = len(groups) > 1 and part.groups[0][0].lattice is not None
    if colours and (len({bag.tiles.shape for _, bag in groups}) > 1 or any(len(members) > 1 for members, _ in groups)):
        return None
    planes = [(bag.tiles, members[0].white_dn - members[0].black_dn) for members, bag in groups]
    return hot_pixels(planes, colours=colours)


def _saturation(part: Part) -> Plateau | None:
    """The plateau that most pixels of any plane lie on, normalised."""
    found = [plateau(bag.tiles) for _, bag in part.bags[: len(part.groups)]]
    return max((one for one in found if one is not None), key=lambda one: one.share, default=None)


def _together(
    image: Image, groups: Sequence[Sequence[Plane]], bags: Sequence[tuple[Sequence[Plane], Bag]]
) -> tuple[tuple[Plane, ...], Bag]:
    """The file's own bag, of several: the luma of all frames of a rendered picture, else the tiles of all planes."""
    if image.domain == "rendered":
        frames = by_frame(groups)
        return tuple(members[0] for members in frames), join([luma_bag(members) for members in frames])
    return tuple(p for members in groups for p in members), join([bag for _, bag in bags])


def cut(planes: Sequence[tuple[Plane, NDArray[Any]]], limit: int, *, align: int = 1, lattice: bool = True) -> Bag:
    """At most about `limit` tiles of one size, spread evenly, normalised by each plane's own black and white.

    They begin at multiples of `align` px. `lattice`: whether the levels in use are looked for.

    Pixels that hold no value and dead borders (see `images.missing`) are left out or filled in. Raises UnreadableError
    where the pixels are too few.
    """
    height, width = (min(values.shape[axis] for _, values in planes) for axis in (0, 1))
    masks = [_without_value(plane, values, linear=align == 1) for plane, values in planes]
    missing = _together_missing(masks, (height, width))
    if missing is not None:
        inside = box(missing, align)
        missing, planes = missing[inside], [(plane, values[inside]) for plane, values in planes]
        height, width = missing.shape
    if min(height, width) < MIN_TILE_PX:
        raise UnreadableError(
            f"{width} x {height} pixels are too few to tell noise from picture (at least {MIN_TILE_PX} x {MIN_TILE_PX})"
        )
    down, across = -(-height // TILE_PX), -(-width // TILE_PX)
    side_y, side_x = (height // down) // 8 * 8, (width // across) // 8 * 8

    def window(number: int) -> tuple[slice, slice]:
        y, x = number // across * (height // down), number % across * (width // across)
        y, x = y - y % align, x - x % align
        return slice(y, y + side_y), slice(x, x + side_x)

    order = np.argsort((np.arange(down * across) * GOLDEN) % 1.0, kind="stable")
    most = max(1, limit // len(planes))
    if missing is None:
        chosen = np.sort(order[:most]).tolist()
    else:
        chosen = fullest([missing[window(number)] for number in range(down * across)], order.tolist(), most)
    raw = [values[window(number)] for _, values in planes for number in chosen]
    holes = None
    if missing is not None:
        holes = np.stack([missing[window(number)] for _ in planes for number in chosen])
        block_limit(holes)  # refuses what has hardly a block left
        raw = [filled(tile, hole, (place,)) for place, (tile, hole) in enumerate(zip(raw, holes, strict=True))]
    scales = [plane for plane, _ in planes for _ in chosen]
    stack = np.stack([_normalised(plane, tile) for plane, tile in zip(scales, raw, strict=True)])
    share = 0.0 if missing is None else float(np.mean([0.0 if mask is None else mask.mean() for mask in masks]))
    if not lattice:
        return Bag(stack, None, None, holes, share)
    first = planes[0][0]
    span = first.white_dn - first.black_dn
    codes = np.stack(raw)
    step = images.code_step(codes if holes is None else codes[~holes])
    container = _container_step(raw[0].dtype, step, span)
    return Bag(stack, None if step is None else step / span, container, holes, share)


def _without_value(plane: Plane, values: NDArray[Any], *, linear: bool) -> NDArray[np.bool_] | None:
    """Pixels without a value, and the dead border of a linear picture; None: there are none."""
    missing, border = images.missing_pixels(plane, values), images.dead_border(values) if linear else None
    if missing is None or border is None:
        return border if missing is None else missing
    return missing if (missing | border).all() else missing | border  # all that has a value is one constant


def _together_missing(masks: Sequence[NDArray[np.bool_] | None], shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Where any of several planes misses a pixel, of their common `shape`; None: nowhere."""
    some = [mask[: shape[0], : shape[1]] for mask in masks if mask is not None]
    return np.logical_or.reduce(some) if some else None


def _normalised(plane: Plane, tile: NDArray[Any]) -> NDArray[np.float32]:
    return (tile.astype(np.float32) - np.float32(plane.black_dn)) / np.float32(plane.white_dn - plane.black_dn)


def block_means(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 8 x 8 pixels of tiles `(T, h, w)`, h and w multiples of 8: `(T, h / 8, w / 8)`."""
    count, height, width = tiles.shape
    blocks: NDArray[np.float32] = tiles.reshape(count, height // BLOCK, BLOCK, width // BLOCK, BLOCK).mean((2, 4))
    return blocks


def whole_shape(planes: Sequence[Plane]) -> tuple[int, int]:
    """Height and width of the picture that `planes` are parts of: the mosaic of CFA planes, else the first plane's."""
    placed = [(plane.shape, plane.lattice) for plane in planes if plane.lattice is not None]
    if not placed:
        return planes[0].shape
    height = max(at.row + (shape[0] - 1) * at.row_step + 1 for shape, at in placed)
    width = max(at.column + (shape[1] - 1) * at.column_step + 1 for shape, at in placed)
    return height, width


def fills_mosaic(planes: Sequence[Plane]) -> bool:
    """Whether `planes` are all the CFA positions of a RAW file."""
    at = planes[0].lattice
    return at is not None and len(planes) == at.row_step * at.column_step


def join(bags: Sequence[Bag]) -> Bag:
    """One bag of the tiles of several, evenly thinned to MAX_TILES and cut to a common size."""
    per = max(1, MAX_TILES // len(bags))
    side_y, side_x = (min(b.tiles.shape[axis] for b in bags) for axis in (1, 2))
    picked = [thinned(bag, per) for bag in bags]
    tiles = [bag.tiles[:, :side_y, :side_x] for bag in picked]
    missing = None
    if any(bag.missing is not None for bag in picked):
        missing = np.concatenate(
            [
                np.zeros(tile.shape, bool) if bag.missing is None else bag.missing[:, :side_y, :side_x]
                for bag, tile in zip(picked, tiles, strict=True)
            ]
        )
    share = sum(bag.missing_share for bag in bags) / len(bags)
    return Bag(np.concatenate(tiles), bags[0].step, bags[0].container, missing, share)


def own_bags(image: Image) -> Iterator[tuple[Plane, Bag]]:
    """The bag of the file's own noise, planes and colours together, of each channel, and the first of its planes."""
    for names in channels(image).values():
        yield names[0][0], join([cut([(p, p.load()) for p in members], MAX_TILES) for members in names])


def side_by_side(bags: Sequence[Bag], most_px: int) -> list[list[Bag]]:
    """`bags` in their order, in groups of one shape that together hold at most `most_px` pixels, or of one bag."""
    groups: list[list[Bag]] = []
    for bag in bags:
        last = groups[-1] if groups else []
        alike = bool(last) and last[0].tiles.shape == bag.tiles.shape
        if alike and (len(last) + 1) * bag.tiles.size <= most_px:
            last.append(bag)
        else:
            groups.append([bag])
    return groups


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """At most so many of `count` places, evenly spread from the first to the last."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).round().astype(np.intp)


def thinned(bag: Bag, most: int) -> Bag:
    """At most so many of its tiles, evenly spread."""
    index = evenly(len(bag.tiles), most)
    return replace(bag, tiles=bag.tiles[index], missing=None if bag.missing is None else bag.missing[index])


def luma(members: Sequence[Plane]) -> NDArray[np.float32]:
    """The luma of one frame's colours, `(H, W)` in DN; not-a-number where one of them holds no value."""
    weights = np.array([LUMA.get(p.name, 1 / len(members)) for p in members], np.float32)
    values = [p.load() for p in members]
    result = np.asarray(sum(w * one.astype(np.float32) for w, one in zip(weights, values, strict=True)))
    for plane, one in zip(members, values, strict=True):
        missing = images.missing_pixels(plane, one)
        if missing is not None:
            result[missing] = np.nan
    return result


def luma_bag(members: Sequence[Plane]) -> Bag:
    """The luma of one frame's colours, in tiles."""
    # The weights' own lattice is no quantisation of the picture.
    return cut([(replace(members[0], missing_code=None), luma(members))], MAX_TILES, align=BLOCK, lattice=False)


def by_frame(groups: Sequence[Sequence[Plane]]) -> list[list[Plane]]:
    """The colours of each frame, of a rendered file's groups."""
    frames: dict[int | None, list[Plane]] = {}
    for group in groups:
        frames.setdefault(group[0].frame, []).append(group[0])
    return list(frames.values())


def channels(image: Image) -> dict[str | None, list[list[Plane]]]:
    """Per channel, the groups of planes fitted as one (same name and frame); frames of a stack are sampled."""
    stacked = image.frames > 1
    # Each channel has a gain of its own; RAW planes and R, G, B belong together, luma and colour differences do not.
    separate = image.domain == "linear" or any(plane.channel == "Y" for plane in image.planes)
    result: dict[str | None, dict[tuple[str, int | None], list[Plane]]] = {}
    for plane in image.planes:
        key = (plane.channel or (plane.name if separate and not stacked else None)) if separate else None
        result.setdefault(key, {}).setdefault((plane.name, plane.frame), []).append(plane)
    if list(result) != [None] and len(result) == 1:
        result = {None: next(iter(result.values()))}
    sampled = {}
    for channel, groups in result.items():
        frames = sorted({frame for _, frame in groups if frame is not None})
        index = np.linspace(0, len(frames) - 1, min(MAX_FRAMES, len(frames))).round().astype(int)
        kept = {frames[i] for i in index}
        sampled[channel] = [group for (_, frame), group in groups.items() if frame is None or frame in kept]
    return sampled


def _container_step(dtype: np.dtype[Any], step: float | None, span: float) -> float | None:
    """Normalised step of the codes themselves: 1 DN, or the 2^n DN of codes shifted left by n bits."""
    if dtype.kind not in "iu":
        return None
    shifted = step is not None and step > 1 and float(np.log2(step)).is_integer()
    return (step if step is not None and shifted else 1.0) / span
