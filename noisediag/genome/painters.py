"""The painters of `scenes`: each draws one kind of clean picture, (size, size) float32, not yet clipped to [0, 1].

A kind imitates the statistics of one sort of picture (share of flat blocks, fine texture, exact levels, black
surrounds), not its meaning. Lengths are in px of the finished picture; edges are antialiased by drawing `SUPER` times
larger and averaging, exactly for powers of two, so that flat colours keep their level.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

SUPER = 4
Picture = np.ndarray  # (size, size) float32
Points = np.ndarray  # (n, 2) px: x, y


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns x (1, size) and rows y (size, 1), in px."""
    axis = np.arange(size, dtype=np.float32)
    return axis[None, :], axis[:, None]


def _log_uniform(rng: Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.random())


def _power_law(rng: Generator, low: float, high: float, exponent: float, n: int) -> np.ndarray:
    """`n` draws of density ~ value^-exponent in low..high (exponent != 1)."""
    a, b = low ** (1 - exponent), high ** (1 - exponent)
    return np.asarray((a + (b - a) * rng.random(n)) ** (1 / (1 - exponent)))


def _unit(field: Picture) -> Picture:
    """Mean 0, standard deviation 1."""
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6))


def _texture(size: int, rng: Generator, slope: float, *, stretch: float = 1.0, angle: float = 0.0) -> Picture:
    """Gaussian texture of amplitude spectrum 1/f^slope, mean 0, SD 1; `stretch` > 1 elongates it along `angle`."""
    fx, fy = np.fft.rfftfreq(size)[None, :], np.fft.fftfreq(size)[:, None]
    along, across = fx * math.cos(angle) + fy * math.sin(angle), fy * math.cos(angle) - fx * math.sin(angle)
    square = ((along * stretch) ** 2 + across**2).astype(np.float32)
    square[0, 0] = np.inf
    white = rng.standard_normal((size, size), dtype=np.float32)
    return _unit(np.fft.irfft2(np.fft.rfft2(white) * square ** (-slope / 2), s=(size, size)).astype(np.float32))


def _smooth(size: int, rng: Generator, cells: int) -> Picture:
    """Smooth random field with about `cells` bumps a side, SD about 1."""
    knots = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    span = (cells + 3) / (cells + 1)  # cut the border, where the interpolation has no neighbours
    wide = np.asarray(Image.fromarray(knots).resize((math.ceil(size * span),) * 2, Image.Resampling.BICUBIC))
    inset = (len(wide) - size) // 2
    return wide[inset : inset + size, inset : inset + size]


def _blur(picture: Picture, sigma: float) -> Picture:
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


def _edge(distance: Picture, softness: float = 1.0) -> Picture:
    """Coverage 0..1 from a signed distance in px: an antialiased edge, exactly 0 and 1 away from it."""
    return np.clip(distance / softness + 0.5, 0, 1)


def _mask(size: int, rng: Generator, cells: int, share: float) -> Picture:
    """Random regions that cover about `share` of the picture; their borders are smooth or ragged."""
    field = _smooth(size, rng, cells)
    if rng.random() < 0.6:
        field = field + rng.uniform(0.05, 0.5) * _texture(size, rng, rng.uniform(1.3, 1.8))
    return _edge((field - np.quantile(field[::4, ::4], 1 - share)) * size / cells / 2)


def _tone(picture: Picture, rng: Generator, level: tuple[float, float], contrast: tuple[float, float]) -> Picture:
    """Mean and standard deviation drawn from the two ranges."""
    return _unit(picture) * rng.uniform(*contrast) + rng.uniform(*level)


def _blend(below: Picture, above: Picture | float, mask: Picture) -> Picture:
    return np.asarray(below + (above - below) * mask, dtype=np.float32)


class _Sheet:
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


def _curve(rng: Generator, start: np.ndarray, angle: float, length: float, bend: float, step: float = 4.0) -> Points:
    """A wandering line: its direction turns by about `bend` rad a step."""
    n = max(2, int(length / step))
    curl = rng.normal(0, bend / 2)
    angles = angle + np.cumsum(rng.normal(0, bend / 2, n) + curl)
    steps = step * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([start[None], start + np.cumsum(steps, axis=0)])


def _outline(rng: Generator, centre: np.ndarray, radius: float, aspect: float, rough: float, corners: int) -> Points:
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


def _scatter_leaves(
    sheet: _Sheet, size: int, rng: Generator, count: int, radius: tuple[float, float], exponent: float
) -> np.ndarray:
    """Draw `count` shapes over each other, numbered from 1; radii follow a power law.

    Returns x, y and radius (count+1, 3); number 0 is the ground.
    """
    radii = _power_law(rng, *radius, exponent, count)
    centres = rng.uniform(-0.05 * size, 1.05 * size, (count, 2))
    style = rng.integers(4)  # discs; ellipses; polygons; all of these
    for number, (centre, r) in enumerate(zip(centres, radii, strict=True), start=1):
        shape = style if style < 3 else rng.integers(3)
        if shape == 0:
            sheet.disc(centre[0], centre[1], r, number)
        elif shape == 1:
            corners = 12 if r < 8 else 40
            sheet.polygon(_outline(rng, centre, r, rng.uniform(0.3, 1), rng.choice([0, 0.2]), corners), number)
        else:
            sheet.polygon(_outline(rng, centre, r, rng.uniform(0.2, 1), 0, int(rng.integers(3, 7))), number)
    whole = np.array([[size / 2, size / 2, size]])
    return np.concatenate([whole, np.column_stack([centres, radii])])


def _points(size: int, rng: Generator, positions: Points, amplitudes: np.ndarray) -> Picture:
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


# --- the kinds -------------------------------------------------------------------------------------------------------


def _leaves(size: int, rng: Generator) -> Picture:
    """Dead leaves: occluding shapes of power-law size; flat, shaded or textured inside."""
    count = int(_log_uniform(rng, 30, 1200))
    sheet = _Sheet(size, 0)
    shapes = _scatter_leaves(
        sheet, size, rng, count, (_log_uniform(rng, 1, 8), size * rng.uniform(0.1, 0.5)), rng.uniform(2, 3.2)
    )
    values = rng.uniform(0, 1, count + 1) if rng.random() < 0.7 else rng.beta(0.5, 0.5, count + 1)
    picture = sheet.coloured(values)
    style = rng.integers(4)  # flat; shaded; textured; shaded and textured
    if style == 0:
        return picture
    labels = sheet.labels()
    if style in (1, 3):
        slopes = rng.normal(0, 0.15, (count + 1, 2)).astype(np.float32)
        x, y = _grid(size)
        reach = shapes[:, 2].astype(np.float32)[labels]
        picture += slopes[labels, 0] * (x - shapes[:, 0].astype(np.float32)[labels]) / reach
        picture += slopes[labels, 1] * (y - shapes[:, 1].astype(np.float32)[labels]) / reach
    if style in (2, 3):
        picture += _leaf_textures(size, rng, labels, count + 1)
    return picture


def _leaf_textures(size: int, rng: Generator, labels: np.ndarray, count: int) -> Picture:
    """For every shape one of three textures, with its own strength; some of the shapes stay plain."""
    textures = np.stack([_any_texture(size, rng) for _ in range(3)])
    strength = 0.002 * 100 ** rng.random(count) * (rng.random(count) > rng.choice([0.0, 0.1, 0.5]))
    which = rng.integers(3, size=count)[labels]
    return np.asarray(np.take_along_axis(textures, which[None], axis=0)[0] * strength.astype(np.float32)[labels])


def _any_texture(size: int, rng: Generator) -> Picture:
    """Mean 0, SD 1: of any slope, isotropic or directed; mostly not Gaussian, as surfaces are and noise is not."""
    stretch = 1.0 if rng.random() < 0.6 else _log_uniform(rng, 1.5, 12)
    field = _texture(size, rng, rng.triangular(0.5, 1.1, 3), stretch=stretch, angle=rng.uniform(0, math.pi))
    kind = rng.integers(7)
    if kind == 1:  # ridges
        field = -np.abs(field)
    elif kind == 2:  # rare bright grains
        field = np.exp(field)
    elif kind == 3:  # strong here, weak there
        field = field * np.exp(_smooth(size, rng, int(rng.integers(1, 6))))
    elif kind == 4:  # patches of two shades
        field = np.tanh(field * rng.uniform(1, 6))
    elif kind == 5:  # bands, as in wood or marble
        field = np.sin(field * _log_uniform(rng, 1, 12))
    elif kind == 6:  # overlapping strands
        field = np.maximum(field, field[::-1].T)
    return _unit(field)


def _texture_only(size: int, rng: Generator) -> Picture:
    return _tone(_any_texture(size, rng), rng, (0.2, 0.8), (0.02, 0.3))


def _gradient(size: int, rng: Generator) -> Picture:
    """Skies: linear and radial ramps, at times with clouds."""
    x, y = (axis / size - 0.5 for axis in _grid(size))
    angle = rng.uniform(0, 2 * math.pi)
    ramp = x * math.cos(angle) + y * math.sin(angle)
    if rng.random() < 0.4:
        cx, cy = rng.uniform(-0.6, 0.6, 2)
        ramp = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
    picture = rng.uniform(0.1, 0.9) + rng.normal(0, 0.5) * ramp
    if rng.random() < 0.5:
        clouds = _texture(size, rng, rng.uniform(1.6, 2.6), stretch=rng.uniform(1, 3))
        picture = picture + rng.uniform(0.02, 0.2) * (np.maximum(clouds, 0) if rng.random() < 0.5 else clouds)
    return np.asarray(picture, dtype=np.float32)


def _strokes(sheet: _Sheet, size: int, rng: Generator, count: int, ink: float) -> None:
    width = _log_uniform(rng, 0.5, 2.5)
    for _ in range(count):
        start, length = rng.uniform(0, size, 2), _log_uniform(rng, 8, size)
        sheet.line(
            _curve(rng, start, rng.uniform(0, 2 * math.pi), length, rng.uniform(0, 0.3)),
            width * rng.uniform(0.6, 1.5),
            ink,
        )


def _hair(sheet: _Sheet, size: int, rng: Generator, ink: float) -> None:
    """Bundles of nearly parallel fine lines."""
    for _ in range(rng.integers(1, 12)):
        guide = _curve(
            rng, rng.uniform(0, size, 2), rng.uniform(0, 7), _log_uniform(rng, 20, size), rng.uniform(0.02, 0.15)
        )
        spread, width = rng.uniform(1.5, 8), _log_uniform(rng, 0.4, 1.5)
        growth = np.linspace(0.3, 1, len(guide))[:, None]
        for offset in rng.normal(0, spread, (rng.integers(3, 25), 2)):
            sheet.line(guide + offset * growth, width, ink)


def _text(sheet: _Sheet, size: int, rng: Generator, ink: float) -> None:
    """Lines of marks of letter size: one to three strokes between nine nodes."""
    height = _log_uniform(rng, 5, 20)
    width = height / 10 * rng.uniform(0.8, 1.6)
    left, top, right, bottom = size * rng.uniform((0, 0, 0.5, 0.4), (0.4, 0.5, 1, 1))
    for y in np.arange(top, bottom, height * 1.6):
        x = left
        while x < right:
            if rng.random() < 0.82:
                nodes = rng.integers(0, 3, (rng.integers(3, 6), 2)) * (height * 0.3, height * 0.5)
                sheet.line(nodes + np.array([x, y]), width, ink)
            x += height * 0.75


def _line_art(size: int, rng: Generator) -> Picture:
    """Ink or pencil on paper: exact 0 and 1, or grey; strokes, hatching, black areas, text."""
    paper = 1.0 if rng.random() < 0.7 else rng.uniform(0.85, 1)
    sheet = _Sheet(size, paper)
    ink = 0.0 if rng.random() < 0.7 else rng.uniform(0, 0.5)
    for _ in range(rng.integers(0, 4)):
        sheet.polygon(
            _outline(rng, rng.uniform(0, size, 2), _log_uniform(rng, 4, size / 5), rng.uniform(0.2, 1), 0.25, 40), ink
        )
    _strokes(sheet, size, rng, int(_log_uniform(rng, 15, 250)), ink)
    if rng.random() < 0.7:
        _hair(sheet, size, rng, ink)
    for _ in range(rng.integers(0, 4)):  # hatching
        pitch, length, angle = rng.uniform(2, 6), rng.uniform(10, size / 3), rng.uniform(0, math.pi)
        along = np.array([math.cos(angle), math.sin(angle)])
        start = rng.uniform(0, size, 2)
        for k in range(rng.integers(6, 40)):
            begin = start + along[::-1] * (1, -1) * k * pitch
            sheet.line(np.stack([begin, begin + along * length * rng.uniform(0.7, 1)]), rng.uniform(0.5, 1.2), ink)
    if rng.random() < 0.5:
        _text(sheet, size, rng, ink)
    picture = sheet.picture()
    if rng.random() < 0.3:  # pencil: the grain of the paper shows in the strokes
        grain = rng.uniform(0.1, 0.6) * np.abs(_any_texture(size, rng))
        picture = picture + (paper - picture) * np.clip(grain, 0, 1)
    if rng.random() < 0.3:  # soft shading that leaves most of the paper white
        picture = picture - rng.uniform(0.05, 0.4) * _mask(size, rng, int(rng.integers(2, 8)), rng.uniform(0.02, 0.3))
    return np.asarray(1 - picture if rng.random() < 0.15 else picture, dtype=np.float32)


def _screen(size: int, rng: Generator, tone: Picture) -> Picture:
    """Halftone dots or lines, exactly 0 and 1 but for the antialiased edges, that cover more where `tone` is darker."""
    x, y = _grid(size)
    pitch, angle = _log_uniform(rng, 3, 12), rng.uniform(0, math.pi)
    u = 2 * math.pi / pitch * (x * math.cos(angle) + y * math.sin(angle))
    v = 2 * math.pi / pitch * (y * math.cos(angle) - x * math.sin(angle))
    wave = (np.cos(u) + np.cos(v)) / 2 if rng.random() < 0.8 else np.cos(u)
    return _edge((wave - 1 + 2 * tone) * pitch / 4).astype(np.float32)


def _graphic(size: int, rng: Generator) -> Picture:
    """Comics and posters: few exact 8-bit levels, screentone, soft shading, outlines, text."""
    count = int(_log_uniform(rng, 5, 120))
    levels = np.concatenate([[0, 255], rng.integers(0, 256, rng.integers(2, 8))]) / 255
    sheet = _Sheet(size, 0)
    _scatter_leaves(sheet, size, rng, count, (3, size * 0.4), rng.uniform(1.5, 2.5))
    values = rng.choice(levels, count + 1)
    picture = sheet.coloured(values)
    labels = sheet.labels()
    if rng.random() < 0.5:
        toned = (rng.random(count + 1) < 0.3)[labels]
        picture = np.where(toned, _screen(size, rng, np.clip(0.5 + 0.3 * _smooth(size, rng, 2), 0.05, 0.95)), picture)
    if rng.random() < 0.7:
        shaded = (rng.random(count + 1) < 0.5)[labels]
        picture = np.where(
            shaded, picture + rng.uniform(0.05, 0.2) * _smooth(size, rng, int(rng.integers(2, 8))), picture
        )
    if rng.random() < 0.6:
        ink = _Sheet(size, 0.0)
        _strokes(ink, size, rng, int(_log_uniform(rng, 5, 80)), 1.0)
        if rng.random() < 0.6:
            _hair(ink, size, rng, 1.0)
        if rng.random() < 0.5:
            _text(ink, size, rng, 1.0)
        picture = _blend(picture, float(rng.choice([0.0, 0.0, 1.0])), ink.picture())
    return picture


def _fluorescence(size: int, rng: Generator) -> Picture:
    """Nuclei, spots and filaments that glow on a dark background, blurred by a point spread function."""
    picture = np.zeros((size, size), dtype=np.float32)
    parts = rng.random(3) < 0.6
    if parts[0] or not parts.any():
        count, radius = int(_log_uniform(rng, 5, 250)), _log_uniform(rng, 3, 25)
        cells, rims = _Sheet(size, 0.0), _Sheet(size, 0.0)
        for centre in rng.uniform(0, size, (count, 2)):
            outline = _outline(rng, centre, radius * rng.uniform(0.6, 1.3), rng.uniform(0.6, 1), 0.08, 24)
            cells.polygon(outline, rng.uniform(0.2, 1))
            rims.line(np.concatenate([outline, outline[:1]]), 1.5, 1.0)
        body = cells.picture()
        rim = rng.uniform(-0.3, 0.8) * rims.picture()
        picture += np.maximum(
            body * (1 + rng.uniform(0, 0.5) * _texture(size, rng, rng.uniform(0.7, 1.8))) + rim * (body > 0), 0
        )
    if parts[1]:
        count = int(_log_uniform(rng, 10, 1500))
        spots = _points(size, rng, rng.uniform(0, size, (count, 2)), _power_law(rng, 1, 30, 2, count))
        picture += _blur(spots, rng.uniform(0.6, 1.5)) * rng.uniform(0.1, 1)
    if parts[2]:
        sheet, bend = _Sheet(size, 0.0), rng.uniform(0.02, 0.25)
        for _ in range(int(_log_uniform(rng, 5, 120))):
            curve = _curve(rng, rng.uniform(0, size, 2), rng.uniform(0, 7), rng.uniform(20, size), bend)
            sheet.line(curve, rng.uniform(0.5, 2), rng.uniform(0.2, 1))
        picture += sheet.picture()
    picture = _blur(picture, rng.uniform(0.3, 1.5))
    glow = _blur(picture, rng.uniform(6, 20)) * rng.uniform(0, 0.4) if rng.random() < 0.5 else 0.0
    picture = (picture + glow) * rng.uniform(0.3, 1.1) / max(float(np.quantile(picture[::3, ::3], 0.995)), 0.05)
    if rng.random() < 0.5:  # what glows out of focus
        picture = picture + _log_uniform(rng, 0.001, 0.05) * np.abs(_texture(size, rng, rng.uniform(0.8, 2)))
    return np.asarray(np.maximum(picture, 0) + rng.choice([0.0, rng.uniform(0, 0.1)]), dtype=np.float32)


def _stars(size: int, rng: Generator) -> Picture:
    """Star fields over nothing, a nebula or a galaxy; dense fields of sharp stars look like impulses."""
    count = int(_log_uniform(rng, 50, 30_000) * (size / 256) ** 2) + 1
    faintest = _log_uniform(rng, 0.003, 0.03)  # crowds of unresolved stars are the hardest ground
    amplitudes = _power_law(rng, faintest, rng.uniform(2, 30), rng.uniform(1.6, 2.5), count)
    positions = rng.uniform(-1, size, (count, 2))
    light = _points(size, rng, positions, amplitudes)
    seeing = rng.uniform(0.35, 1.2)
    picture = _blur(light, seeing) * (1 + 5 * seeing**2)
    bright = amplitudes > np.quantile(amplitudes, 0.97)
    halo = _points(size, rng, positions[bright], amplitudes[bright])
    picture += _blur(halo, rng.uniform(2, 5)) * rng.uniform(0, 8)
    kind = rng.integers(4)
    if kind in (1, 2):  # nebula, with dark lanes
        cloud = np.exp(rng.uniform(0.5, 1.2) * _texture(size, rng, rng.uniform(0.9, 2)))
        picture += cloud * rng.uniform(0.02, 0.25) * _mask(size, rng, 1, rng.uniform(0.3, 0.95))
    elif kind == 3:  # galaxy
        x, y = _grid(size)
        cx, cy, tilt = *rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0, math.pi)
        u, v = (
            (x - cx) * math.cos(tilt) + (y - cy) * math.sin(tilt),
            (y - cy) * math.cos(tilt) - (x - cx) * math.sin(tilt),
        )
        r = np.sqrt(u**2 + (v / rng.uniform(0.15, 1)) ** 2)
        arms = 1 + 0.4 * np.cos(2 * np.arctan2(v, u) - r / rng.uniform(5, 20)) * _edge(r - 5, 10)
        picture += rng.uniform(0.2, 1) * np.exp(-r / rng.uniform(8, 40)) * arms * np.exp(0.2 * _texture(size, rng, 1.6))
    return np.asarray(np.maximum(picture + rng.choice([0.0, rng.uniform(0, 0.1)]), 0), dtype=np.float32)


def _tissue(size: int, rng: Generator) -> Picture:
    """Stained tissue: dark, mottled nuclei in a fibrous ground with bright gaps."""
    angle, stretch = rng.uniform(0, math.pi), rng.uniform(1, 5)
    ground = 0.6 + rng.uniform(0.03, 0.12) * _texture(size, rng, rng.uniform(0.8, 1.5), stretch=stretch, angle=angle)
    sheet = _Sheet(size, 0.0)
    radius, aspect = _log_uniform(rng, 3, 12), rng.uniform(0.35, 1)
    count = int(_log_uniform(rng, 0.1, 0.6) * size**2 / (math.pi * radius**2 * aspect))
    for centre in rng.uniform(0, size, (count, 2)):
        outline = _outline(rng, centre, radius * rng.uniform(0.6, 1.4), aspect * rng.uniform(0.8, 1.2), 0.08, 16)
        sheet.polygon(outline, rng.uniform(0.4, 1))
    nuclei = _blur(sheet.picture(), rng.uniform(0.3, 1.0))
    mottle = 1 + rng.uniform(0.05, 0.4) * _texture(size, rng, rng.uniform(0.7, 1.5))
    picture = ground - rng.uniform(0.2, 0.5) * nuclei * mottle
    gaps = _mask(size, rng, int(rng.integers(4, 12)), rng.uniform(0, 0.12))
    picture = _blend(picture, rng.uniform(0.75, 0.98), gaps)
    return np.asarray(_blur(picture, rng.uniform(0, 0.8)), dtype=np.float32)


def _anatomy(size: int, rng: Generator) -> Picture:
    return _head(size, rng) if rng.random() < 0.5 else _chest(size, rng)


def _head(size: int, rng: Generator) -> Picture:
    """Slices: nested warped ellipses, folded tissue of few levels, and an exactly black surround."""
    x, y = _grid(size)
    centre = size / 2 + rng.normal(0, size / 30, 2)
    radius, aspect = size * rng.uniform(0.28, 0.48), rng.uniform(0.75, 1.2)
    r = np.sqrt((x - centre[0]) ** 2 + ((y - centre[1]) / aspect) ** 2) + size / 60 * _smooth(size, rng, 4)
    inside = radius - r
    folds = _smooth(size, rng, int(rng.integers(8, 20))) + 0.8 * _smooth(size, rng, int(rng.integers(2, 5)))
    levels = np.sort(rng.uniform(0.15, 0.85, 3))
    brain = (
        levels[0]
        + (levels[1] - levels[0]) * _edge((folds + 0.5) * 4)
        + (levels[2] - levels[1]) * _edge((folds - 0.4) * 4)
    )
    fine, shade = _log_uniform(rng, 0.003, 0.08), rng.uniform(0, 0.15)
    brain = brain * (1 + fine * _texture(size, rng, rng.uniform(0.8, 2)) + shade * _smooth(size, rng, 2))
    skull, scalp = rng.uniform(0.04, 0.1, 2) * radius
    picture = rng.uniform(0.4, 0.9) * _edge(inside)
    picture = _blend(picture, rng.uniform(0, 0.1), _edge(inside - scalp))
    picture = _blend(picture, brain, _edge(inside - scalp - skull))
    return np.asarray(_blur(picture, rng.uniform(0, 0.8)) * (inside > -3), dtype=np.float32)


def _chest(size: int, rng: Generator) -> Picture:
    """Radiographs: broad soft shadows, curved bands, faint branching; at times a black border or a marker."""
    x, y = (axis / size for axis in _grid(size))
    middle = rng.uniform(0.3, 0.7)
    picture = (
        0.35 + rng.uniform(0.2, 0.5) * np.exp(-(((x - middle) / rng.uniform(0.08, 0.2)) ** 2)) + 0.2 * rng.random() * y
    )
    pitch = rng.uniform(0.06, 0.14)
    phase = (y + rng.uniform(0.3, 1.2) * (x - middle) ** 2) / pitch + 0.2 * _smooth(size, rng, 3)
    ribs = _edge(np.cos(2 * math.pi * phase) * 1.2, rng.uniform(0.5, 2))
    picture = picture + rng.uniform(0.02, 0.12) * ribs + 0.05 * _smooth(size, rng, 3)
    picture = picture + _log_uniform(rng, 0.005, 0.06) * _texture(size, rng, rng.uniform(0.8, 1.8))
    sheet = _Sheet(size, 0.0)
    for _ in range(rng.integers(5, 60)):
        start = np.array([middle * size, rng.uniform(0.2, 0.8) * size])
        sheet.line(_curve(rng, start, rng.uniform(0, 7), size * rng.uniform(0.1, 0.4), 0.1), rng.uniform(1, 4), 1.0)
    picture = picture + rng.uniform(0, 0.1) * _blur(sheet.picture(), 1.5)
    if rng.random() < 0.3:
        picture = (
            picture * _edge(x * size - rng.uniform(0, 0.2) * size) * _edge(rng.uniform(0.85, 1.0) * size - x * size)
        )
    if rng.random() < 0.3:
        marker = _Sheet(size, 0.0)
        _text(marker, size // 3, rng, 1.0)
        picture = _blend(picture, 1.0, marker.picture())
    return np.asarray(picture, dtype=np.float32)


def _retina(size: int, rng: Generator) -> Picture:
    """Branching dark vessels on a softly shaded disc; black around it."""
    x, y = _grid(size)
    cx, cy = size / 2 + rng.normal(0, size / 30, 2)
    radius = size * rng.uniform(0.4, 0.62)
    distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
    picture = rng.uniform(0.2, 0.6) * (1 - rng.uniform(0, 0.5) * (distance / radius) ** 2) + 0.03 * _smooth(
        size, rng, 4
    )
    picture = picture + _log_uniform(rng, 0.002, 0.03) * _texture(size, rng, rng.uniform(0.7, 2))
    nerve = np.array([cx + rng.choice([-0.7, 0.7]) * radius, cy + rng.normal(0, 0.1) * radius])
    picture = picture + rng.uniform(0.1, 0.5) * np.exp(
        -(((x - nerve[0]) ** 2 + (y - nerve[1]) ** 2) / (size * 0.05) ** 2)
    )
    picture = picture - rng.uniform(0, 0.2) * np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / (size * 0.07) ** 2))
    sheet = _Sheet(size, 0.0)
    branches = [
        (nerve, rng.uniform(0, 2 * math.pi), rng.uniform(2, 4.5) * size / 256) for _ in range(rng.integers(4, 10))
    ]
    drawn = 0
    while branches and drawn < 150:
        start, angle, width = branches.pop(0)
        drawn += 1
        curve = _curve(rng, start, angle, size * rng.uniform(0.1, 0.35), 0.12)
        sheet.line(curve, width, rng.uniform(0.5, 1))
        if width > 0.8:
            heading = math.atan2(*(curve[-1] - curve[-2])[::-1])
            branches += [
                (curve[-1], heading + side * rng.uniform(0.2, 0.7), width * rng.uniform(0.6, 0.85)) for side in (-1, 1)
            ]
            branches += [(curve[len(curve) // 2], heading + rng.normal(0, 0.8), width * 0.5)]
    picture = picture * (1 - rng.uniform(0.2, 0.5) * _blur(sheet.picture(), 0.6))
    surround = rng.choice([0.0, rng.uniform(0, 0.04)])
    return _blend(np.full((size, size), surround, np.float32), picture, _edge(radius - distance, 1.5))


def _satellite(size: int, rng: Generator) -> Picture:
    """The ground from above: parcels with furrows and grain, roads, roofs, crowns of trees, water."""
    sheet = _Sheet(size, 0)
    parcels = [np.array([[-1.0, -1.0], [1, -1], [1, 1], [-1, 1]]) * size]
    for _ in range(int(rng.integers(0, 40))):  # cut a parcel in two, roughly along its sides
        index = int(rng.integers(len(parcels)))
        a, b, c, d = parcels.pop(index)
        s, t = rng.uniform(0.3, 0.7) + rng.normal(0, 0.03, 2)
        p, q = a + (b - a) * s, d + (c - d) * t
        parcels += [np.array([p, q, d, a]), np.array([c, q, p, b])]
    turn = rng.uniform(0, math.pi)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    for number, parcel in enumerate(parcels):
        sheet.polygon(parcel @ rotation.T + size / 2, number)
    count = len(parcels)
    labels = sheet.labels()
    picture = sheet.coloured(rng.uniform(0.2, 0.7, count))
    picture += _leaf_textures(size, rng, labels, count)
    picture *= 1 + _log_uniform(rng, 0.01, 0.15) * _any_texture(size, rng)
    x, y = _grid(size)
    angles, pitch = rng.uniform(0, math.pi, count), rng.uniform(3, 10, count)
    wave_x, wave_y = (2 * math.pi * f(angles) / pitch for f in (np.cos, np.sin))
    furrows = np.cos(wave_x.astype(np.float32)[labels] * x + wave_y.astype(np.float32)[labels] * y)
    picture += (rng.uniform(0, 0.06, count) * (rng.random(count) < 0.5)).astype(np.float32)[labels] * furrows
    if rng.random() < 0.5:
        grove = _mask(size, rng, int(rng.integers(2, 6)), rng.uniform(0.1, 0.6))
        picture = _blend(picture, _crowns(size, rng), grove)
    if rng.random() < 0.5:
        _add_roofs(picture, size, rng)
    roads = _Sheet(size, 0.0)
    for _ in range(rng.integers(0, 6)):
        curve = _curve(rng, rng.uniform(0, size, 2), rng.uniform(0, 7), 1.5 * size, 0.03)
        roads.line(curve, _log_uniform(rng, 1, 10), 1.0)
    picture = _blend(picture, rng.uniform(0.3, 0.9), roads.picture())
    if rng.random() < 0.25:
        picture = _blend(picture, rng.uniform(0.1, 0.4), _mask(size, rng, 2, rng.uniform(0.05, 0.4)))
    return picture


def _crowns(size: int, rng: Generator) -> Picture:
    """Foliage: crowded discs, lit from one side."""
    sheet, largest = _Sheet(size, 0), _log_uniform(rng, 3, 14)
    count = min(
        2500, int(2 * size**2 / (math.pi * 2 * largest))
    )  # about twice the area: the mean square radius is 2*largest
    shapes = _scatter_leaves(sheet, size, rng, count, (2, largest), 2.0)
    picture = sheet.coloured(rng.uniform(0.1, 0.5, count + 1))
    labels = sheet.labels()
    x, y = _grid(size)
    reach = shapes[:, 2].astype(np.float32)[labels]
    lit = (x - shapes[:, 0].astype(np.float32)[labels] + y - shapes[:, 1].astype(np.float32)[labels]) / reach
    return np.asarray(picture + rng.uniform(0, 0.15) * lit, dtype=np.float32)


def _add_roofs(picture: Picture, size: int, rng: Generator) -> None:
    turn, cover, shadow = rng.uniform(0, math.pi), _Sheet(size, 0.0), _Sheet(size, 0.0)
    tone = _Sheet(size, 0.0)
    for centre in rng.uniform(0, size, (rng.integers(5, 80), 2)):
        w, h = rng.uniform(3, 14, 2)
        box = np.array([[-w, -h], [w, -h], [w, h], [-w, h]])
        box = box @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]) + centre
        shadow.polygon(box + 2.5, 1.0)
        cover.polygon(box, 1.0)
        tone.polygon(box, rng.uniform(0.3, 1.0))
        tone.polygon(np.stack([box[0], box[1], centre]), rng.uniform(0.3, 1.0))
    picture *= 1 - 0.6 * shadow.picture()
    mask = cover.picture()
    picture *= 1 - mask
    picture += tone.picture()


def _fabric(size: int, rng: Generator) -> Picture:
    """Periodic patterns: checks, stripes, weaves, bricks, dots; straight, or warped as on a waving cloth."""
    x, y = _grid(size)
    warp = rng.uniform(0, 0.15) * size * (rng.random() < 0.4)
    u0, v0 = x + warp * _smooth(size, rng, 2), y + warp * _smooth(size, rng, 2)
    angle, pitch, ratio = rng.choice([0.0, rng.uniform(0, math.pi)]), _log_uniform(rng, 2.5, 60), rng.uniform(0.5, 2)
    u = (u0 * math.cos(angle) + v0 * math.sin(angle)) / pitch
    v = (v0 * math.cos(angle) - u0 * math.sin(angle)) / (pitch * ratio)
    sharp = pitch / math.pi if rng.random() < 0.7 else 1.0
    wave_u, wave_v = np.cos(2 * math.pi * u), np.cos(2 * math.pi * v)
    kind = rng.integers(6)
    if kind == 0:  # checks
        pattern = _edge(wave_u * sharp / 2) * _edge(wave_v * sharp / 2)
        pattern = pattern + (1 - _edge(wave_u * sharp / 2)) * (1 - _edge(wave_v * sharp / 2))
    elif kind == 1:  # stripes
        pattern = _edge((wave_u + rng.uniform(-0.7, 0.7)) * sharp / 2)
    elif kind == 2:  # weave: threads over and under
        over = np.cos(math.pi * (np.floor(u) + np.floor(v))) > 0
        pattern = np.where(over, np.abs(np.sin(math.pi * u)), np.abs(np.sin(math.pi * v)))
    elif kind == 3:  # bricks
        row = np.floor(v)
        joint = np.minimum(np.abs((u / 2 + 0.5 * (row % 2)) % 1 - 0.5) * 2 * pitch, np.abs(v % 1 - 0.5) * pitch * ratio)
        pattern = _edge(joint - 1)
        tints = rng.uniform(0.7, 1, 64).astype(np.float32)
        pattern = pattern * tints[(np.floor(u / 2 + 0.5 * (row % 2)) * 7 + row * 13).astype(int) % 64]
    elif kind == 4:  # dots
        pattern = _edge((wave_u + wave_v - rng.uniform(-1, 1)) * sharp / 2)
    else:  # soft grating
        pattern = 0.5 + 0.25 * (wave_u + rng.uniform(0, 1) * wave_v)
    low, high = np.sort(rng.uniform(0, 1, 2)) if rng.random() < 0.7 else (0.0, 1.0)
    picture = low + (high - low) * pattern
    if rng.random() < 0.4:
        picture = picture * (1 + rng.uniform(0.02, 0.2) * _any_texture(size, rng))
    if rng.random() < 0.4:
        picture = picture * (1 + 0.2 * _smooth(size, rng, 2))
    return np.asarray(picture, dtype=np.float32)


def _underwater(size: int, rng: Generator) -> Picture:
    """Murky: shapes and ground behind a veil, low contrast, soft everywhere."""
    scene = _leaves(size, rng) if rng.random() < 0.5 else _any_texture(size, rng) * 0.2
    scene = scene + 0.3 * _any_texture(size, rng)
    near = _blur(scene, rng.uniform(0.2, 1.0))
    picture = _blend(near, _blur(scene, rng.uniform(1, 6)), _mask(size, rng, 1, rng.uniform(0.1, 0.7)))
    picture = _tone(picture, rng, (0.15, 0.6), (0.02, 0.12))
    return _blend(picture, rng.uniform(0.2, 0.7), np.clip(0.5 + 0.25 * _smooth(size, rng, 1), 0, 0.9))


def _photo(size: int, rng: Generator) -> Picture:
    """A natural composition: sky over ground, objects with their textures, foliage, regular surfaces, wires, focus."""
    x, y = _grid(size)
    sky = (
        rng.uniform(0.4, 1.0)
        + rng.normal(0, 0.2) * y / size
        + 0.05 * rng.random() * _texture(size, rng, 2.0, stretch=2)
    )
    ground = _tone(_any_texture(size, rng), rng, (0.15, 0.6), (0.03, 0.25))
    horizon = rng.uniform(-0.3, 1.1) * size + rng.uniform(0, size / 20) * _smooth(size, rng, 4)
    picture = _blend(sky, ground, _edge(y - horizon))
    if rng.random() < 0.7:
        below = rng.uniform(0.1, 1.0)
        picture = _blend(
            picture, _crowns(size, rng) * rng.uniform(0.5, 1.6), _mask(size, rng, int(rng.integers(1, 5)), below)
        )
    count = int(_log_uniform(rng, 3, 500))
    sheet = _Sheet(size, 0)
    shapes = _scatter_leaves(
        sheet, size, rng, count, (_log_uniform(rng, 2, 10), size * rng.uniform(0.1, 0.45)), rng.uniform(1.5, 3)
    )
    labels = sheet.labels()
    objects = sheet.coloured(rng.uniform(0, 1, count + 1)) + _leaf_textures(size, rng, labels, count + 1)
    slopes = rng.normal(0, 0.15, count + 1).astype(np.float32)
    objects += slopes[labels] * (x - shapes[:, 0].astype(np.float32)[labels]) / shapes[:, 2].astype(np.float32)[labels]
    if rng.random() < 0.4:
        surface = (rng.random(count + 1) < 0.3)[labels]
        objects = np.where(surface, _fabric(size, rng), objects)
    cover = np.ones(count + 1)
    cover[0] = 0
    picture = _blend(picture, objects, sheet.coloured(cover))
    if rng.random() < 0.3:
        wires = _Sheet(size, 0.0)
        _strokes(wires, size, rng, int(rng.integers(1, 20)), 1.0)
        picture = _blend(picture, rng.uniform(0, 1), wires.picture())
    if rng.random() < 0.5:  # depth of field
        picture = _blend(picture, _blur(picture, rng.uniform(1, 6)), _mask(size, rng, 1, rng.uniform(0.2, 0.8)))
    if rng.random() < 0.3:  # cast shadows
        picture = picture * (1 - rng.uniform(0.3, 0.8) * _mask(size, rng, 3, rng.uniform(0.1, 0.5)))
    return np.asarray(picture, dtype=np.float32)


def _grain(size: int, rng: Generator) -> Picture:
    """Sand, carpet, frost, bark: detail as fine as the pixels in some regions, smooth shades in others."""
    picture = np.full((size, size), rng.uniform(0.1, 0.8), np.float32) + 0.1 * _smooth(size, rng, 3)
    for _ in range(rng.integers(1, 5)):
        rough = rng.standard_normal((size, size), dtype=np.float32)
        kind = rng.integers(5)
        if kind == 0:  # crystals: rare, bright
            rough = np.maximum(rough - rng.uniform(0.5, 2), 0)
        elif kind == 1:  # crevices
            rough = -np.abs(rough)
        elif kind == 2:  # fibres
            stretch, slope = _log_uniform(rng, 2, 10), rng.uniform(0.2, 1)
            rough = _texture(size, rng, slope, stretch=stretch, angle=rng.uniform(0, math.pi))
        elif kind == 3:  # loops, as in knitwear
            x, y = _grid(size)
            pitch, lean = _log_uniform(rng, 2.5, 12), rng.uniform(0.2, 1)
            phase = x / pitch + lean * np.abs(y / pitch % 2 - 1)
            rough = np.cos(2 * math.pi * phase).astype(np.float32) + rng.uniform(0, 0.7) * rough
        rough = _unit(_blur(rough, rng.uniform(0.3, 1.2)))
        region = _mask(size, rng, int(rng.integers(1, 6)), rng.uniform(0.1, 0.9))
        level = rng.uniform(-0.3, 0.3)
        picture = picture + region * (level + _log_uniform(rng, 0.01, 0.2) * rough)
    if rng.random() < 0.4:  # lines covered with it: webs, twigs
        web = _Sheet(size, 0.0)
        _strokes(web, size, rng, int(_log_uniform(rng, 10, 80)), 1.0)
        sparkle = 1 + rng.uniform(0.2, 0.8) * rng.standard_normal((size, size), dtype=np.float32)
        picture = picture + rng.uniform(0.1, 0.5) * web.picture() * sparkle
    return np.asarray(picture, dtype=np.float32)


def _flat(size: int, rng: Generator) -> Picture:
    """Flat fields: exactly constant, vignetted, or a step chart."""
    level = rng.uniform(0, 1)
    picture = np.full((size, size), level, np.float32)
    kind = rng.integers(4)
    if kind in (1, 2):
        x, y = _grid(size)
        cx, cy = size * rng.uniform(0.2, 0.8, 2)
        picture = picture * (1 - rng.uniform(0, 0.6) * ((x - cx) ** 2 + (y - cy) ** 2) / size**2)
        picture = picture * (1 + rng.uniform(0, 0.03) * _smooth(size, rng, int(rng.integers(1, 5))))
    elif kind == 3:
        steps = int(rng.integers(2, 13))
        picture = np.broadcast_to(np.sort(rng.uniform(0, 1, steps))[np.arange(size) * steps // size], (size, size))
    return np.asarray(picture, dtype=np.float32)


PAINTERS: dict[str, Callable[[int, Generator], Picture]] = {
    "photo": _photo,
    "leaves": _leaves,
    "texture": _texture_only,
    "gradient": _gradient,
    "line_art": _line_art,
    "graphic": _graphic,
    "fluorescence": _fluorescence,
    "stars": _stars,
    "tissue": _tissue,
    "anatomy": _anatomy,
    "retina": _retina,
    "satellite": _satellite,
    "fabric": _fabric,
    "underwater": _underwater,
    "grain": _grain,
    "flat": _flat,
}
