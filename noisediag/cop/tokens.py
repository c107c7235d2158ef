"""Pictures to tokens.

8x8 blocks on two grids shifted by 4, their DCT energies in bands, and what happens at the extremes.

A bag is `(B, T, H, W)`: B pictures, each of T tiles of one size, H and W multiples of 8. Nothing here is learned.
Every energy is normalised so that white noise of variance v gives v in every band: dividing by the noise variance
makes a token free of scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache

from noisediag.engine import Tensor, functional, torch
from noisediag.genome.correlation import autocorrelation
from noisediag.traces.dct import dct_matrix

BLOCK = 8  # px
SHIFT = BLOCK // 2  # px of the second grid
IMPULSE_WINDOW = 5  # px; neighbourhood an extreme pixel is compared with
IMPULSE_DEVIATIONS = 3.0  # standard deviations of the window that an impulse lies off its mean
SPARSE_SHARE = 0.03  # Of the pixels: so few are faster looked at one by one; the result is the same.
OVER = 1 + 1e-5  # On a coarse lattice pixels lie exactly so many deviations off: rounding must not decide.
IMPULSE_MAX_SHARE = 0.4  # More extreme pixels than this in the window are an area or a stroke, not impulses.
MIN_CLIPPED = 4  # Pixels of a tile that share its lowest or highest value; fewer may do so by chance.
TINY_ENERGY = 1e-13  # Normalised, (3e-7)^2: far below one code of 16 bits. Keeps logarithms finite.
MIN_DEVIATION = 1e-4  # Normalised: keeps exactly flat surroundings from calling the last code an impulse.

# u is the vertical frequency, v the horizontal one. An offset shared by a row varies with u only (v = 0).
AXIS_SPLIT = 4  # axis frequencies 1..3 and 4..7 are bands of their own
SECTOR_RADII = (3.7, 5.5, 7.3)  # of sqrt(u^2 + v^2): two rings
LOG_RADII = (0.0, 3.7, 5.5, 99.0)  # groups whose mean logarithm is taken, axes included
GROUPS = len(LOG_RADII) - 1
RADII = (0.0, 2.6, 3.7, 4.6, 5.5, 6.4, 7.3, 8.3, 99.0)  # of sqrt(u^2 + v^2) for u, v >= 1


@cache
def _band_of_coefficient() -> tuple[tuple[int, ...], ...]:
    bands: list[list[int]] = [[] for _ in range(4 + len(RADII) - 1)]
    for u in range(BLOCK):
        for v in range(BLOCK):
            if u == v == 0:
                continue
            if v == 0:
                band = 0 if u < AXIS_SPLIT else 1
            elif u == 0:
                band = 2 if v < AXIS_SPLIT else 3
            else:
                radius = math.hypot(u, v)
                band = 3 + next(i for i, edge in enumerate(RADII) if radius < edge)
            bands[band].append(u * BLOCK + v)
    return tuple(tuple(band) for band in bands)


RADIAL = len(_band_of_coefficient())


@cache
def _sector_of_coefficient() -> tuple[tuple[int, ...], ...]:
    """Two rings in three directions each: steep, diagonal, flat. A texture of one direction leaves the others alone."""
    sectors: list[list[int]] = [[] for _ in range(3 * (len(SECTOR_RADII) - 1))]
    for u in range(1, BLOCK):
        for v in range(1, BLOCK):
            ring = sum(math.hypot(u, v) >= edge for edge in SECTOR_RADII) - 1
            if 0 <= ring < len(SECTOR_RADII) - 1:
                direction = 0 if 2 * v <= u else 2 if 2 * u <= v else 1
                sectors[3 * ring + direction].append(u * BLOCK + v)
    return tuple(tuple(sector) for sector in sectors)


BANDS = RADIAL + len(_sector_of_coefficient())  # of `Tokens.energy`: the radial ones first
BAND_COUNTS = tuple(len(band) for band in (*_band_of_coefficient(), *_sector_of_coefficient()))
SHARES = tuple(count / (BLOCK**2 - 1) for count in BAND_COUNTS[:RADIAL])  # of all coefficients but the mean
ROW_COEFFICIENTS = slice(BLOCK, None, BLOCK)  # those with v = 0
COLUMN_COEFFICIENTS = slice(1, BLOCK)


@cache
def block_transform() -> Tensor:
    """Orthonormal DCT-II of a flattened 8x8 block, `(64, 64)` float64: `coefficients = matrix @ pixels`."""
    rows = torch.from_numpy(dct_matrix(BLOCK))
    return torch.kron(rows, rows)


@cache
def band_matrix() -> Tensor:
    """Mean over the coefficients of each band, `(64, BANDS)`."""
    return _means((*_band_of_coefficient(), *_sector_of_coefficient()))


@cache
def group_matrix() -> Tensor:
    """Mean over the coefficients of each group of LOG_RADII, `(64, GROUPS)`."""
    groups: list[list[int]] = [[] for _ in range(GROUPS)]
    for index in range(1, BLOCK * BLOCK):
        radius = math.hypot(*divmod(index, BLOCK))
        groups[sum(radius >= edge for edge in LOG_RADII) - 1].append(index)
    return _means(tuple(tuple(group) for group in groups))


def _means(sets: tuple[tuple[int, ...], ...]) -> Tensor:
    matrix = torch.zeros(BLOCK * BLOCK, len(sets), dtype=torch.float64)
    for column, members in enumerate(sets):
        matrix[list(members), column] = 1 / len(members)
    return matrix


@cache
def band_gains(correlations: tuple[float, ...]) -> Tensor:
    """Band energies of unit-variance noise correlated by kernels of these widths in px.

    Shape `(len(correlations), BANDS)`; a width of 0 is white noise: all ones.
    """
    matrix = block_transform()
    row, column = torch.meshgrid(torch.arange(BLOCK), torch.arange(BLOCK), indexing="ij")
    down = (row.reshape(-1, 1) - row.reshape(1, -1)).abs()
    right = (column.reshape(-1, 1) - column.reshape(1, -1)).abs()
    gains = []
    for rho in correlations:
        covariance = torch.from_numpy(autocorrelation(rho, BLOCK - 1))[down, right]
        gains.append((matrix @ covariance @ matrix.T).diagonal() @ band_matrix())
    return torch.stack(gains).float()


@dataclass(frozen=True)
class Tokens:
    """Blocks of B bags. N = sum over grids of T * ny * nx; grid after grid, tile after tile, row after row."""

    mean: Tensor  # (B, N) signal
    energy: Tensor  # (B, N, BANDS)
    log_energy: Tensor  # (B, N, GROUPS) mean logarithm of the squared coefficients
    moments: Tensor  # (B, N, 3) mean square, cube and fourth power of each pixel minus the mean of its 8 neighbours
    rows: Tensor  # (B, N, 7) coefficients that an offset of a row changes
    columns: Tensor  # (B, N, 7)
    low_share: Tensor  # (B, N) pixels at the lowest value of the tile
    high_share: Tensor  # (B, N)
    low_impulses: Tensor  # (B, N) share of isolated pixels at the lowest value; replaced before the DCT
    high_impulses: Tensor  # (B, N)
    to_low: Tensor  # (B, N) distance of the mean to the lowest value of the tile
    to_high: Tensor  # (B, N)
    low_clip: Tensor  # (B, N) bool: the lowest value of the tile is where it was clipped
    high_clip: Tensor  # (B, N) bool
    pixels: Tensor  # (B, N, 64) as stored, impulses included
    grids: tuple[tuple[int, int, int], ...]  # (T, ny, nx) of each grid
    left_out: Tensor | None = None  # (B, N) bool: another block stands for it; rows and columns do without it

    def split(self, values: Tensor) -> list[Tensor]:
        """`(B, N, ...)` to one `(B, T, ny, nx, ...)` per grid."""
        parts = torch.split(values, [t * ny * nx for t, ny, nx in self.grids], dim=1)
        return [p.reshape(p.shape[0], *grid, *p.shape[2:]) for p, grid in zip(parts, self.grids, strict=True)]

    def first_grid(self) -> Tokens:
        """The blocks of the grid that starts at the corner."""
        t, ny, nx = self.grids[0]
        every = {name: values[:, : t * ny * nx] for name, values in self._every().items()}
        return replace(self._with(every), grids=self.grids[:1])

    def select(self, bags: Tensor | slice) -> Tokens:
        """Some of the bags, by their numbers."""
        return self._with({name: values[bags] for name, values in self._every().items()})

    @staticmethod
    def joined(parts: Sequence[Tokens]) -> Tokens:
        """The bags of several, one after the other; their blocks lie alike."""
        if len(parts) == 1:
            return parts[0]
        every = [part._every() for part in parts]
        names = every[0].keys()
        return parts[0]._with({name: torch.cat([one[name] for one in every]) for name in names})

    def taken(self, index: Tensor, left_out: Tensor) -> Tokens:
        """Each block replaced by the one that `index` (B, N) names, whichever is `left_out` (B, N) by another one."""
        bag = torch.arange(len(index), device=index.device)[:, None]
        return replace(self._with({name: v[bag, index] for name, v in self._every().items()}), left_out=left_out)

    def divided(self, bag: int, energy: Tensor, log_energy: Tensor, moments: Tensor) -> Tokens:
        """One bag's energies (N, BANDS) and moments (N, 3) divided, logarithms of energies (N, GROUPS) made less."""
        energies, logs, powers = self.energy.clone(), self.log_energy.clone(), self.moments.clone()
        energies[bag] /= energy
        logs[bag] -= log_energy
        powers[bag] /= moments
        return replace(self, energy=energies, log_energy=logs, moments=powers)

    def _every(self) -> dict[str, Tensor]:
        """What there is of each block, by name."""
        every = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "grids"}
        return {name: values for name, values in every.items() if values is not None}

    def _with(self, every: dict[str, Tensor]) -> Tokens:
        return Tokens(**every, grids=self.grids)

    def join(self, parts: list[Tensor]) -> Tensor:
        """The inverse of `split`."""
        return torch.cat([p.reshape(p.shape[0], -1, *p.shape[4:]) for p in parts], dim=1)


def _replace_isolated(tiles: Tensor, extreme: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels at the extreme `level` that stand out of their surroundings, and the tiles with these replaced.

    What replaces them is the local mean. `tiles` (N, H, W), `extreme` (N, H, W) bool, `level` (N, 1, 1); returns
    (replaced, isolated), of the shape of `tiles`. Sums are those of distances to the level: squares of the values
    themselves would round away a small deviation.
    """
    many = extreme.sum((1, 2)) >= SPARSE_SHARE * extreme[0].numel()  # each tile on its own, whichever lie beside it
    if bool(many.all()):
        return _replace_many(tiles, extreme, level)
    if not bool(many.any()):
        return _replace_few(tiles, extreme, level)
    replaced, isolated = torch.empty_like(tiles), torch.empty_like(extreme)
    for which, replace_ in ((many, _replace_many), (~many, _replace_few)):
        replaced[which], isolated[which] = replace_(tiles[which], extreme[which], level[which])
    return replaced, isolated


def _replace_few(tiles: Tensor, extreme: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """`_replace_isolated`, the windows one by one."""
    reach = IMPULSE_WINDOW // 2
    at = extreme.nonzero(as_tuple=True)
    height, width = tiles.shape[1:]
    steps = torch.arange(-reach, reach + 1, device=tiles.device)
    y, x = at[1][:, None, None] + steps[:, None], at[2][:, None, None] + steps
    present = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    place = (at[0][:, None, None], y.clamp(0, height - 1), x.clamp(0, width - 1))
    other = (present & ~extreme[place]).to(tiles.dtype)
    own = level[at[0]]  # (n, 1, 1)
    away = tiles[place] - own
    light = other * away
    local, isolated = _stands_out(
        other.sum((1, 2)),
        light.sum((1, 2)),
        (light * away).sum((1, 2)),
        present.to(tiles.dtype).sum((1, 2)),
    )
    mask, replaced = torch.zeros_like(extreme), tiles.clone()
    mask[at] = isolated
    replaced[at] = torch.where(isolated, own[:, 0, 0] + local, tiles[at])
    return replaced, mask


def _replace_many(tiles: Tensor, extreme: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """`_replace_isolated`, all windows at once."""
    reach = IMPULSE_WINDOW // 2
    present = functional.pad(torch.ones_like(tiles[:1]), (reach,) * 4)
    others = functional.pad((~extreme).to(tiles.dtype), (reach,) * 4)
    padded = functional.pad(tiles - level, (reach,) * 4)
    light = others * padded
    local, isolated = _stands_out(*(_box(plane) for plane in (others, light, light * padded, present)))
    isolated = isolated & extreme
    return torch.where(isolated, level + local, tiles), isolated


@dataclass(frozen=True)
class _Extremes:
    """Lowest and highest value of each tile (N, 1, 1), and (4, N, H, W) bool: pixels at them, isolated ones at them."""

    low: Tensor
    high: Tensor
    marks: Tensor


def _without_impulses(tiles: Tensor) -> tuple[Tensor, _Extremes]:
    """`tiles` (N, H, W) with isolated pixels at their extremes replaced by the local mean, and what was there."""
    low, high = tiles.amin((1, 2), keepdim=True), tiles.amax((1, 2), keepdim=True)
    at_low, at_high = (tiles <= low), (tiles >= high) & (high > low)
    clean, isolated_low = _replace_isolated(tiles, at_low, low)
    clean, isolated_high = _replace_isolated(clean, at_high, high)
    return clean, _Extremes(low, high, torch.stack([at_low, at_high, isolated_low, isolated_high]))


def _stands_out(count: Tensor, total: Tensor, square: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the other pixels, and whether the extreme is far from it and has few of its kind around it.

    All from the extreme on: `total` of the distances to it, `square` of their squares, `count` of others.
    """
    local = total / count.clamp(min=1)
    deviation = (square / count.clamp(min=1) - local.square()).clamp(min=0).sqrt().clamp(min=MIN_DEVIATION)
    few = count >= (1 - IMPULSE_MAX_SHARE) * present
    return local, few & (local.abs() > OVER * IMPULSE_DEVIATIONS * deviation)


def _box(padded: Tensor) -> Tensor:
    """Sums over IMPULSE_WINDOW: `(N, H + window - 1, W + window - 1)` to (N, H, W)."""
    extra = IMPULSE_WINDOW - 1
    height, width = padded.shape[1] - extra, padded.shape[2] - extra
    lines = padded[:, :height].clone()
    for i in range(1, IMPULSE_WINDOW):
        lines += padded[:, i : i + height]
    total = lines[..., :width].clone()
    for i in range(1, IMPULSE_WINDOW):
        total += lines[..., i : i + width]
    return total


def ring_mean(tiles: Tensor) -> Tensor:
    """Mean of the 8 neighbours, those beyond the border mirrored: `(N, H, W)` to the same shape."""
    padded = functional.pad(tiles[:, None], (1, 1, 1, 1), mode="reflect")[:, 0]
    lines = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (lines[..., :-2] + lines[..., 1:-1] + lines[..., 2:] - tiles) / 8


def _blocks(tiles: Tensor) -> Tensor:
    """`(N, H, W)` to `(N, ny, nx, 64)`."""
    n, height, width = tiles.shape
    cut = tiles.reshape(n, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return cut.transpose(2, 3).reshape(n, height // BLOCK, width // BLOCK, BLOCK * BLOCK)


def _cells(planes: Tensor) -> Tensor:
    """`(..., H, W)` to the sums over squares of SHIFT px, (..., H / SHIFT, W / SHIFT): both grids are made of them."""
    height, width = planes.shape[-2:]
    lines = planes.reshape(*planes.shape[:-2], height // SHIFT, SHIFT, width).sum(-2)  # whole lines are faster
    return torch.unflatten(lines, -1, (width // SHIFT, SHIFT)).sum(-1)


def _block_means(cells: Tensor, shift: int) -> Tensor:
    """Means of the 8x8 blocks of the grid that begins at `shift` px, (..., ny, nx), from `_cells`."""
    first = shift // SHIFT
    inside = cells[..., first : cells.shape[-2] - first, first : cells.shape[-1] - first]
    lines = inside[..., 0::2, :] + inside[..., 1::2, :]
    return (lines[..., 0::2] + lines[..., 1::2]) / BLOCK**2


def band_energies(bags: Tensor) -> Tensor:
    """`Tokens.energy` of the first grid alone, (B, N, BANDS), of bags as `tokenize` takes them."""
    clean, _ = _without_impulses(bags.flatten(0, 1))
    blocks = _blocks(clean).reshape(len(bags), -1, BLOCK * BLOCK)
    coefficients = (blocks - blocks.mean(-1, keepdim=True)) @ block_transform().to(bags).T
    return coefficients.square() @ band_matrix().to(bags)


def tokenize(bags: Tensor, *, grids: int = 2) -> Tokens:
    """Tokens of bags `(B, T, H, W)`, float32, normalised signal; H, W multiples of 8 and at least 16.

    `grids`: 1 for the blocks that start at the corner alone.

    Raises ValueError for another shape.
    """
    if bags.ndim != 4 or bags.shape[2] % BLOCK or bags.shape[3] % BLOCK or min(bags.shape[2:]) < 2 * BLOCK:
        raise ValueError(
            f"bags of tiles with sides that are multiples of {BLOCK} from {2 * BLOCK} on, not {tuple(bags.shape)}"
        )
    b, t, height, width = bags.shape
    tiles = bags.reshape(b * t, height, width)
    clean, extremes = _without_impulses(tiles)
    low, high = extremes.low, extremes.high
    transform = block_transform().to(tiles)
    bands = band_matrix().to(tiles)
    marks = torch.stack([_cells(mark.to(tiles.dtype)) for mark in extremes.marks])  # one by one: less memory at a time
    groups = group_matrix().to(tiles)
    away = clean - ring_mean(clean)
    square = away.square()
    powers = torch.stack([_cells(square), _cells(square * away), _cells(square.square())])
    # Exact sums: where blocks hold equal codes, as after JPEG, rounding must not put one before the other.
    exact = torch.stack([_cells(tile.double()) for tile in clean])
    means, energies, logs, rows, columns, shares, moments, pixels, shapes = [], [], [], [], [], [], [], [], []
    for shift in (0, SHIFT)[:grids]:
        window = slice(shift, height - shift), slice(shift, width - shift)
        blocks = _blocks(clean[:, window[0], window[1]])
        mean = _block_means(exact, shift).to(blocks)
        ny, nx = mean.shape[1:]
        coefficients = (blocks - mean[..., None]).reshape(b, -1, BLOCK * BLOCK) @ transform.T
        shapes.append((t, ny, nx))
        means.append(mean.reshape(b, -1))
        squared = coefficients.square()
        energies.append(squared @ bands)
        logs.append((squared + TINY_ENERGY).log() @ groups)
        rows.append(coefficients[..., ROW_COEFFICIENTS])
        columns.append(coefficients[..., COLUMN_COEFFICIENTS])
        shares.append(_block_means(marks, shift).reshape(4, b, -1))
        moments.append(_block_means(powers, shift).reshape(3, b, -1))
        pixels.append(_blocks(tiles[:, window[0], window[1]]).reshape(b, -1, BLOCK * BLOCK))
    mean = torch.cat(means, 1)
    share = torch.cat(shares, 2)

    def of_block(per_tile: Tensor) -> Tensor:
        per_tile = per_tile.reshape(b, t, 1)
        return torch.cat([per_tile.expand(b, t, ny * nx).flatten(1) for _, ny, nx in shapes], 1)

    def clipped(marked: Tensor) -> Tensor:
        return marked.sum((1, 2)) >= MIN_CLIPPED

    return Tokens(
        mean=mean,
        energy=torch.cat(energies, 1),
        log_energy=torch.cat(logs, 1),
        moments=torch.cat(moments, 2).permute(1, 2, 0),
        rows=torch.cat(rows, 1),
        columns=torch.cat(columns, 1),
        low_share=share[0],
        high_share=share[1],
        low_impulses=share[2],
        high_impulses=share[3],
        to_low=mean - of_block(low),
        to_high=of_block(high) - mean,
        low_clip=of_block(clipped(marks[0])),
        high_clip=of_block(clipped(marks[1])),
        pixels=torch.cat(pixels, 1),
        grids=tuple(shapes),
    )
