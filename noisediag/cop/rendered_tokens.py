"""What the rendered network sees of a picture: energies of blocks at three scales, and where their pixels lie."""

from __future__ import annotations

from dataclasses import dataclass

from noisediag.cop.layers import neighbourhood, sort_blocks
from noisediag.cop.tokens import (
    BANDS,
    BLOCK,
    RADIAL,
    Tokens,
    band_energies,
    band_matrix,
    block_transform,
    ring_mean,
    tokenize,
)
from noisediag.engine import Tensor, functional, torch
from noisediag.genome import display
from noisediag.genome.display import CODES, PLANES

KNOTS = 12  # Of the curve, evenly over the square root of the signal: it bends most in the shadows.
COARSE = (2, 4)  # px; areas that are averaged for the coarser scales
SMALLEST_SIDE = BLOCK * max(COARSE)  # px
LOOKED_AT = 6  # R, G, B, luma and the two colour differences, which only lend their features
PHASES = 4  # places in the 2 x 2 cell of a colour filter array
SPECTRUM = BANDS + len(COARSE) * RADIAL
QUIET = (0.02, 0.1, 0.3)  # quantiles over the blocks
MIN_VARIANCE = (0.02 / CODES) ** 2  # SD of 0.02 codes, far below the 0.29 of rounding. Keeps logarithms finite.


def interpolated(knots: Tensor, signal: Tensor) -> Tensor:
    """Values at the knots (B, P, KNOTS) read at `signal` (B, P, ...), by straight lines over sqrt(signal)."""
    position = signal.clamp(0, 1).sqrt() * (KNOTS - 1)
    low = position.floor().clamp(max=KNOTS - 2).long()
    at = low.flatten(2)
    left, right = (knots.gather(2, at + i).reshape(signal.shape) for i in (0, 1))
    return torch.lerp(left, right, position - low)


def planes_of(tiles: Tensor) -> Tensor:
    """`(B, T, 3, h, w)` to the planes looked at, (B, LOOKED_AT, T, h, w)."""
    red, green, blue = tiles.unbind(2)
    luma = display.luma(tiles)
    return torch.stack([red, green, blue, luma, (blue - luma) / 2, (red - luma) / 2], 1)


def coarse_energy(tiles: Tensor, area: int) -> Tensor:
    """Band energies of the picture averaged over squares of `area` px, for every block of the first grid.

    `(B, T, h, w)` to `(B, T * ny * nx, RADIAL)`; blocks of 8 x 8 averages cover several of the fine ones.
    """
    count, number, height, width = tiles.shape
    small = functional.avg_pool2d(tiles.reshape(count * number, 1, height, width), area)[:, 0]
    rows, columns = small.shape[1] // BLOCK, small.shape[2] // BLOCK
    cut = small[:, : rows * BLOCK, : columns * BLOCK].reshape(-1, rows, BLOCK, columns, BLOCK).transpose(2, 3)
    blocks = cut.reshape(count * number, rows, columns, BLOCK**2)
    coefficients = (blocks - blocks.mean(-1, keepdim=True)) @ block_transform().to(tiles).T
    energy = coefficients.square() @ band_matrix().to(tiles)[:, :RADIAL]
    down = (torch.arange(height // BLOCK, device=tiles.device) // area).clamp(max=rows - 1)
    across = (torch.arange(width // BLOCK, device=tiles.device) // area).clamp(max=columns - 1)
    return energy[:, down][:, :, across].reshape(count, -1, RADIAL)


@dataclass(frozen=True)
class RenderedTokens:
    """What is seen of the P planes of B pictures, as bags P * B: R, G, B and luma, or luma alone where all are gray."""

    tokens: Tokens  # of the first grid
    energy: Tensor  # (B * P, N, SPECTRUM) of all scales
    cross: Tensor  # (B * P, N, CROSS) energies of luma and colour differences, the same for every plane
    basis: Tensor  # (B * P, N, KNOTS) share of each block's pixels at each knot of the curve
    phases: Tensor  # (B * P, N, PHASES) ln of the fine detail's energy at each place of a 2 x 2 cell, about their mean
    phase: Tensor  # (B * P, PHASES) the same over the whole picture; weakest place first, in both
    quiet: Tensor  # (B * P, len(QUIET) * SPECTRUM) ln energy of each band in the quietest blocks
    pictures: int

    @property
    def planes(self) -> int:
        return len(self.energy) // self.pictures

    def by_picture(self, values: Tensor) -> Tensor:
        return torch.unflatten(values, 0, (self.pictures, self.planes))


def tokens_of(tiles: Tensor, at_hand: Tokens | None = None) -> RenderedTokens:
    """`tiles` (B, T, 3, h, w), codes / 255; h, w multiples of 8 from SMALLEST_SIDE on.

    Where every picture is gray, its planes are equal and only luma is looked at. `at_hand`: tokens of the planes'
    first grid where they are there already, as bags P * B of RenderedTokens.
    """
    count = len(tiles)
    gray = bool((tiles[:, :, 0] == tiles[:, :, 1]).all() and (tiles[:, :, 1] == tiles[:, :, 2]).all())
    looked_at = tiles[:, None, :, 0] if gray else planes_of(tiles)
    members = min(looked_at.shape[1], len(PLANES))
    mine, differences = looked_at[:, :members].flatten(0, 1), looked_at[:, members:].flatten(0, 1)
    if at_hand is not None and len(at_hand.mean) > len(mine):  # these tiles have no colour, though others have
        at_hand = at_hand.select(torch.arange(count, device=tiles.device) * len(PLANES) + len(PLANES) - 1)
    tokens = tokenize(mine, grids=1) if at_hand is None else at_hand
    thirds = _thirds(torch.unflatten(tokens.energy, 0, (count, members))[:, -1:])  # (B, 1, N, 3) of luma
    if gray:
        thirds = torch.cat([thirds, torch.zeros_like(thirds).expand(-1, 2, -1, -1)], 1)
    else:
        coloured = torch.unflatten(_thirds(band_energies(differences)), 0, (count, LOOKED_AT - members))
        thirds = torch.cat([thirds, coloured], 1)
    cross = thirds.permute(0, 2, 1, 3).flatten(2)  # (B, N, 9)
    cross = cross[:, None].expand(-1, members, -1, -1).flatten(0, 1)
    energy = torch.cat([tokens.energy, *(coarse_energy(mine, area) for area in COARSE)], -1)
    phases, phase = phase_energies(mine)
    return RenderedTokens(
        tokens=tokens,
        energy=energy,
        cross=cross,
        basis=signal_shares(mine),
        phases=phases,
        phase=phase,
        quiet=quiet_profile(energy),
        pictures=count,
    )


def _thirds(energy: Tensor) -> Tensor:
    """Mean energies `(..., 3)` along rows and columns, of the lower half and of the upper half; of (..., BANDS)."""
    return torch.stack([energy[..., part].mean(-1) for part in (slice(0, 4), slice(4, 8), slice(8, RADIAL))], -1)


def signal_shares(planes: Tensor) -> Tensor:
    """What part of each block lies at each knot of the curve, `(B, N, KNOTS)`; `planes` (B, T, h, w).

    Within a block the signal varies, and with it the noise: a curve that bends is not that of the block's mean. The
    signal is the mean of 3 x 3 pixels.
    """
    if len(planes) > 1 and planes.device.type == "cpu":  # one after the other: less memory at a time
        return torch.cat([signal_shares(plane[None]) for plane in planes])
    count, _, height, width = planes.shape
    smooth = neighbourhood(planes[..., None]).reshape(-1, height, width)
    position = smooth.clamp(0, 1).sqrt() * (KNOTS - 1)
    low = position.floor().clamp(max=KNOTS - 2)
    rows, columns = height // BLOCK, width // BLOCK
    block = torch.arange(len(smooth) * rows * columns, device=planes.device).reshape(-1, rows, 1, columns, 1)
    at = low.long().reshape(-1, rows, BLOCK, columns, BLOCK) + KNOTS * block
    above = (position - low).reshape(at.shape)
    # One pixel of every block after another: additions to one and the same place would wait for each other.
    at, above = (values.permute(2, 4, 0, 1, 3).reshape(-1) for values in (at, above))
    shares = torch.zeros(block.numel() * KNOTS, device=planes.device, dtype=planes.dtype)
    shares.index_add_(0, at, 1 - above).index_add_(0, at + 1, above)
    return (shares / BLOCK**2).reshape(count, -1, KNOTS)


def quiet_profile(energy: Tensor) -> Tensor:
    """ln energy of each band at the quantiles QUIET over the blocks: noise is everywhere, content is not."""
    ordered = sort_blocks(energy)
    at = [round(q * (energy.shape[1] - 1)) for q in QUIET]
    return (ordered[:, at] + MIN_VARIANCE / 16).log().flatten(1)


def phase_energies(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Fine detail at the four places of 2 x 2 cells, see `RenderedTokens`; `planes` (B, T, h, w).

    Where a colour was measured its noise is stronger than where demosaicing has filled it in, and no content is.
    """
    count, _, height, width = planes.shape
    tiles = planes.flatten(0, 1)
    detail = (tiles - ring_mean(tiles)).square().reshape(-1, height // BLOCK, BLOCK // 2, 2, width)
    lines = detail[:, :, 0] + detail[:, :, 1] + detail[:, :, 2] + detail[:, :, 3]
    # Two places may be as strong but for the last bit of single precision, which must not decide on their order.
    place = torch.eye(2, device=planes.device, dtype=torch.float64).repeat(BLOCK // 2, 1) / (BLOCK // 2) ** 2
    cells = torch.unflatten(lines.double(), -1, (width // BLOCK, BLOCK)) @ place
    logs = (cells + MIN_VARIANCE).log()  # (B * T, ny, 2, nx, 2)
    logs = logs.permute(0, 1, 3, 2, 4).reshape(count, -1, PHASES)
    logs = logs - logs.mean(-1, keepdim=True)
    whole = logs.mean(1)
    order = whole.argsort(dim=1, stable=True)
    ordered = logs.gather(2, order[:, None].expand_as(logs)), whole.gather(1, order)
    return ordered[0].to(planes.dtype), ordered[1].to(planes.dtype)
