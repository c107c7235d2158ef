"""Building blocks of the painters: a sheet to draw on with antialiasing, and the shapes, lines and letters on it."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from noisediag.genome.painters.fields import Floats, Picture, Points, any_texture, log_uniform, power_law

# A sheet is drawn so many times larger and averaged, exactly for powers of two: flat colours keep their level.
SUPER = 4


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

    def labels(self) -> NDArray[np.intp]:
        """Every pixel's value at its centre, rounded: which shape lies on top there."""
        return np.asarray(self._image)[SUPER // 2 :: SUPER, SUPER // 2 :: SUPER].astype(np.intp)

    def coloured(self, values: Floats) -> Picture:
        """The picture in which shape number i has the colour `values[i]`."""
        full = values.astype(np.float32)[np.asarray(self._image).astype(np.int32)]
        return np.array(Image.fromarray(full).reduce(SUPER))


def wandering_line(
    rng: Generator, start: Floats, angle: float, length: float, bend: float, step: float = 4.0
) -> Points:
    """A wandering line: its direction turns by about `bend` rad a step."""
    n = max(2, int(length / step))
    curl = rng.normal(0, bend / 2)
    angles = angle + np.cumsum(rng.normal(0, bend / 2, n) + curl)
    steps = step * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([start[None], start + np.cumsum(steps, axis=0)])


def closed_outline(rng: Generator, centre: Floats, radius: float, aspect: float, rough: float, corners: int) -> Points:
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


def scatter_shapes(
    sheet: Sheet, size: int, rng: Generator, count: int, radius: tuple[float, float], exponent: float
) -> Floats:
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
            sheet.polygon(closed_outline(rng, centre, r, rng.uniform(0.3, 1), rng.choice([0, 0.2]), corners), number)
        else:
            sheet.polygon(closed_outline(rng, centre, r, rng.uniform(0.2, 1), 0, int(rng.integers(3, 7))), number)
    whole = np.array([[size / 2, size / 2, size]])
    return np.concatenate([whole, np.column_stack([centres, radii])])


def shape_textures(size: int, rng: Generator, labels: NDArray[np.intp], count: int) -> Picture:
    """For every shape one of three textures, with its own strength; some of the shapes stay plain."""
    textures = np.stack([any_texture(size, rng) for _ in range(3)])
    strength = 0.002 * 100 ** rng.random(count) * (rng.random(count) > rng.choice([0.0, 0.1, 0.5]))
    which = rng.integers(3, size=count)[labels]
    return np.asarray(np.take_along_axis(textures, which[None], axis=0)[0] * strength.astype(np.float32)[labels])


def draw_strokes(sheet: Sheet, size: int, rng: Generator, count: int, ink: float) -> None:
    """`count` wandering lines of about one width."""
    width = log_uniform(rng, 0.5, 2.5)
    for _ in range(count):
        start, length = rng.uniform(0, size, 2), log_uniform(rng, 8, size)
        sheet.line(
            wandering_line(rng, start, rng.uniform(0, 2 * math.pi), length, rng.uniform(0, 0.3)),
            width * rng.uniform(0.6, 1.5),
            ink,
        )


def draw_hair(sheet: Sheet, size: int, rng: Generator, ink: float) -> None:
    """Bundles of nearly parallel fine lines."""
    for _ in range(rng.integers(1, 12)):
        guide = wandering_line(
            rng, rng.uniform(0, size, 2), rng.uniform(0, 7), log_uniform(rng, 20, size), rng.uniform(0.02, 0.15)
        )
        spread, width = rng.uniform(1.5, 8), log_uniform(rng, 0.4, 1.5)
        growth = np.linspace(0.3, 1, len(guide))[:, None]
        for offset in rng.normal(0, spread, (rng.integers(3, 25), 2)):
            sheet.line(guide + offset * growth, width, ink)


def draw_text(sheet: Sheet, size: int, rng: Generator, ink: float) -> None:
    """Lines of marks of letter size: one to three strokes between nine nodes."""
    height = log_uniform(rng, 5, 20)
    width = height / 10 * rng.uniform(0.8, 1.6)
    left, top, right, bottom = size * rng.uniform((0, 0, 0.5, 0.4), (0.4, 0.5, 1, 1))
    for y in np.arange(top, bottom, height * 1.6):
        x = left
        while x < right:
            if rng.random() < 0.82:
                nodes = rng.integers(0, 3, (rng.integers(3, 6), 2)) * (height * 0.3, height * 0.5)
                sheet.line(nodes + np.array([x, y]), width, ink)
            x += height * 0.75
