"""The painters of `scenes`: each draws one kind of clean picture, (size, size) float32, not yet clipped to [0, 1].

A kind imitates the statistics of one sort of picture (share of flat blocks, fine texture, exact levels, black
surrounds), not its meaning."""

from __future__ import annotations

from collections.abc import Callable

from numpy.random import Generator

from noisediag.genome.painters.brushes import Picture
from noisediag.genome.painters.cloth import halftone, weave
from noisediag.genome.painters.drawing import ink
from noisediag.genome.painters.graphics import flat, gradient, graphic, line_art
from noisediag.genome.painters.heavens import crowd
from noisediag.genome.painters.instruments import anatomy, fluorescence, glow, retina, stars, tissue
from noisediag.genome.painters.land import aerial
from noisediag.genome.painters.outdoors import fabric, grain, leaves, photo, satellite, texture_only, underwater
from noisediag.genome.painters.relief import fur, ground, lace, wood
from noisediag.genome.painters.sections import cortex

PAINTERS: dict[str, Callable[[int, Generator], Picture]] = {
    "photo": photo,
    "leaves": leaves,
    "texture": texture_only,
    "gradient": gradient,
    "line_art": line_art,
    "graphic": graphic,
    "fluorescence": fluorescence,
    "glow": glow,
    "stars": stars,
    "tissue": tissue,
    "anatomy": anatomy,
    "retina": retina,
    "satellite": satellite,
    "fabric": fabric,
    "underwater": underwater,
    "grain": grain,
    "flat": flat,
    "weave": weave,
    "halftone": halftone,
    "ground": ground,
    "wood": wood,
    "lace": lace,
    "fur": fur,
    "aerial": aerial,
    "cortex": cortex,
    "ink": ink,
    "crowd": crowd,
}
