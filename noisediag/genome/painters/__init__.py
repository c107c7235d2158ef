"""The painters of `scenes`: each draws one kind of clean picture, (size, size) float32, not yet clipped to [0, 1].

A kind imitates the statistics of one sort of picture (share of flat blocks, fine texture, exact levels, black
surrounds), not its meaning. Lengths are in px of the finished picture; edges are antialiased.
"""

from __future__ import annotations

from collections.abc import Callable

from numpy.random import Generator

from noisediag.genome.painters.drawings import graphic, line_art
from noisediag.genome.painters.fields import Picture
from noisediag.genome.painters.medicine import anatomy, retina
from noisediag.genome.painters.nature import gradient, grain_field, leaves, photo, satellite, underwater
from noisediag.genome.painters.science import fluorescence, stars, tissue
from noisediag.genome.painters.surfaces import fabric, flat, texture_only

PAINTERS: dict[str, Callable[[int, Generator], Picture]] = {
    "photo": photo,
    "leaves": leaves,
    "texture": texture_only,
    "gradient": gradient,
    "line_art": line_art,
    "graphic": graphic,
    "fluorescence": fluorescence,
    "stars": stars,
    "tissue": tissue,
    "anatomy": anatomy,
    "retina": retina,
    "satellite": satellite,
    "fabric": fabric,
    "underwater": underwater,
    "grain": grain_field,
    "flat": flat,
}
