"""What the painters draw with: textures, edges, curves, leaves, points.

Lengths are in px of the finished picture; edges are antialiased by drawing `SUPER` times larger and averaging, exactly
for powers of two, so that flat colours keep their level."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

SUPER = 4
Picture = np.ndarray  # (size, size) float32
Points = np.ndarray  # (n, 2) px: x, y


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns x (1, size) and rows y (size, 1), in px."""
    axis = np.arange(size, dtype=np.float32)
    return axis[None, :], axis[:, None]


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """A number between `low` and `high`, its logarithm uniform."""
    return float(low * (high / low) ** rng.random())


def power_law(rng: Generator, low: float, high: float, exponent: float, n: int) -> np.ndarray:
    """`n` draws of density ~ value^-exponent in low..high (exponent != 1)."""
    a, b = low ** (1 - exponent), high ** (1 - exponent)
    return np.asarray((a + (b - a) * rng.random(n)) ** (1 / (1 - exponent)))


def unit(field: Picture) -> Picture:
    """Mean 0, standard deviation 1."""
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6))


def texture(size: int, rng: Generator, slope: float, *, stretch: float = 1.0, angle: float = 0.0) -> Picture:
    """Gaussian texture of amplitude spectrum 1/f^slope, mean 0, SD 1; `stretch` > 1 elongates it along `angle`."""
    fx, fy = np.fft.rfftfreq(size)[None, :], np.fft.fftfreq(size)[:, None]
    along, across = fx * math.cos(angle) + fy * math.sin(angle), fy * math.cos(angle) - fx * math.sin(angle)
    square = ((along * stretch) ** 2 + across**2).astype(np.float32)
    square[0, 0] = np.inf
    white = rng.standard_normal((size, size), dtype=np.float32)
    return unit(np.fft.irfft2(np.fft.rfft2(white) * square ** (-slope / 2), s=(size, size)).astype(np.float32))


def smooth(size: int, rng: Generator, cells: int) -> Picture:
    """Smooth random field with about `cells` bumps a side, SD about 1."""
    knots = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    span = (cells + 3) / (cells + 1)  # cut the border, where the interpolation has no neighbours
    wide = np.asarray(Image.fromarray(knots).resize((math.ceil(size * span),) * 2, Image.Resampling.BICUBIC))
    inset = (len(wide) - size) // 2
    return wide[inset : inset + size, inset : inset + size]


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur of `sigma` px; the picture is continued by its mirror image."""
    if sigma < 0.15:
        return picture
    size, margin = len(picture), min(len(picture) - 1, math.ceil(3 * sigma))
    padded = np.pad(picture, margin, mode="reflect")
    side = size + 2 * margin
    fx, fy = np.fft.rfftfreq(side), np.fft.fftfreq(side)
    gain_x, gain_y = (np.exp(-2 * (math.pi * sigma * f) ** 2).astype(np.float32) for f in (fx, fy))
    blurred = np.fft.irfft2(np.fft.rfft2(padded) * gain_x[None, :] * gain_y[:, None], s=(side, side))
    return blurred[margin : margin + size, margin : margin + size].astype(np.float32)


def edge(distance: Picture, softness: float = 1.0) -> Picture:
    """Coverage 0..1 from a signed distance in px: an antialiased edge, exactly 0 and 1 away from it."""
    return np.clip(distance / softness + 0.5, 0, 1)


def mask(size: int, rng: Generator, cells: int, share: float) -> Picture:
    """Random regions that cover about `share` of the picture; their borders are smooth or ragged."""
    field = smooth(size, rng, cells)
    if rng.random() < 0.6:
        field = field + rng.uniform(0.05, 0.5) * texture(size, rng, rng.uniform(1.3, 1.8))
    return edge((field - np.quantile(field[::4, ::4], 1 - share)) * size / cells / 2)


def tone(picture: Picture, rng: Generator, level: tuple[float, float], contrast: tuple[float, float]) -> Picture:
    """Mean and standard deviation drawn from the two ranges."""
    return unit(picture) * rng.uniform(*contrast) + rng.uniform(*level)


def blend(below: Picture, above: Picture | float, mask: Picture) -> Picture:
    """`above` where `mask` is 1, `below` where it is 0."""
    return np.asarray(below + (above - below) * mask, dtype=np.float32)


class Sheet:
    """A sheet to draw on with antialiasing; coordinates and widths in px of the finished picture."""

    def __init__(self, size: int, value: float) -> None:
        self._image = Image.new("F", (size * SUPER, size * SUPER), value)
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Points, width: float, value: float) -> None:
        self._draw.line(
            (points * SUPER).ravel().tolist(), fill=value, width=max(1, round(width * SUPER)), joint="curve"
        )

    def polygon(self, points: Points, value: float) -> None:
        self._draw.polygon((points * SUPER).ravel().tolist(), fill=value)

    def disc(self, x: float, y: float, radius: float, value: float) -> None:
        box = ((x - radius) * SUPER, (y - radius) * SUPER, (x + radius) * SUPER, (y + radius) * SUPER)
        self._draw.ellipse(box, fill=value)

    def picture(self) -> Picture:
        return np.array(self._image.reduce(SUPER))

    def labels(self) -> np.ndarray:
        """Every pixel's value at its centre, rounded: which shape lies on top there."""
        return np.asarray(self._image)[SUPER // 2 :: SUPER, SUPER // 2 :: SUPER].astype(np.intp)

    def coloured(self, values: np.ndarray) -> Picture:
        """The picture in which shape number i has the colour `values[i]`."""
        full = values.astype(np.float32)[np.asarray(self._image).astype(np.int32)]
        return np.array(Image.fromarray(full).reduce(SUPER))


def random_curve(
    rng: Generator, start: np.ndarray, angle: float, length: float, bend: float, step: float = 4.0
) -> Points:
    """A wandering line: its direction turns by about `bend` rad a step."""
    n = max(2, int(length / step))
    curl = rng.normal(0, bend / 2)
    angles = angle + np.cumsum(rng.normal(0, bend / 2, n) + curl)
    steps = step * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([start[None], start + np.cumsum(steps, axis=0)])


def random_outline(
    rng: Generator, centre: np.ndarray, radius: float, aspect: float, rough: float, corners: int
) -> Points:
    """A closed shape about `centre`: an ellipse of `aspect`, modulated by `rough`, with `corners` vertices."""
    turn, phase = rng.random(2) * 2 * math.pi
    angles = np.arange(corners) * 2 * math.pi / corners + turn
    waves = sum(rng.normal(0, rough / k) * np.cos(k * angles + phase * k) for k in (2, 3, 5)) if rough else 0.0
    reach = radius * np.maximum(1 + waves, 0.2)
    along, across = reach * np.cos(angles), reach * np.sin(angles) * aspect
    tilt = rng.random() * 2 * math.pi
    shape = np.stack(
        [along * math.cos(tilt) - across * math.sin(tilt), along * math.sin(tilt) + across * math.cos(tilt)], axis=1
    )
    return np.asarray(centre + shape)


def scatter_leaves(
    sheet: Sheet, size: int, rng: Generator, count: int, radius: tuple[float, float], exponent: float
) -> np.ndarray:
    """Draw `count` shapes over each other, numbered from 1; radii follow a power law.

    Returns x, y and radius (count+1, 3); number 0 is the ground.
    """
    radii = power_law(rng, *radius, exponent, count)
    centres = rng.uniform(-0.05 * size, 1.05 * size, (count, 2))
    style = rng.integers(4)  # discs; ellipses; polygons; all of these
    for number, (centre, r) in enumerate(zip(centres, radii, strict=True), start=1):
        shape = style if style < 3 else rng.integers(3)
        if shape == 0:
            sheet.disc(centre[0], centre[1], r, number)
        elif shape == 1:
            corners = 12 if r < 8 else 40
            sheet.polygon(random_outline(rng, centre, r, rng.uniform(0.3, 1), rng.choice([0, 0.2]), corners), number)
        else:
            sheet.polygon(random_outline(rng, centre, r, rng.uniform(0.2, 1), 0, int(rng.integers(3, 7))), number)
    whole = np.array([[size / 2, size / 2, size]])
    return np.concatenate([whole, np.column_stack([centres, radii])])


def points(size: int, rng: Generator, positions: Points, amplitudes: np.ndarray) -> Picture:
    """Light of `amplitudes` at sub-pixel `positions`, shared among the four nearest pixels."""
    picture = np.zeros((size, size), dtype=np.float32)
    corner = np.floor(positions).astype(int)
    part = positions - corner
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
        x, y = corner[:, 0] + dx, corner[:, 1] + dy
        inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
        np.add.at(picture, (y[inside], x[inside]), (amplitudes * weight)[inside])
    return picture


def any_texture(size: int, rng: Generator) -> Picture:
    """Mean 0, SD 1: of any slope, isotropic or directed; mostly not Gaussian, as surfaces are and noise is not."""
    stretch = 1.0 if rng.random() < 0.6 else log_uniform(rng, 1.5, 12)
    field = texture(size, rng, rng.triangular(0.5, 1.1, 3), stretch=stretch, angle=rng.uniform(0, math.pi))
    kind = rng.integers(7)
    if kind == 1:  # ridges
        field = -np.abs(field)
    elif kind == 2:  # rare bright grains
        field = np.exp(field)
    elif kind == 3:  # strong here, weak there
        field = field * np.exp(smooth(size, rng, int(rng.integers(1, 6))))
    elif kind == 4:  # patches of two shades
        field = np.tanh(field * rng.uniform(1, 6))
    elif kind == 5:  # bands, as in wood or marble
        field = np.sin(field * log_uniform(rng, 1, 12))
    elif kind == 6:  # overlapping strands
        field = np.maximum(field, field[::-1].T)
    return unit(field)
