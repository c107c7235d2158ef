"""Files and arrays become an `Image` of planes: one reader a format family, chosen by content."""

from noisediag.images.image import Domain, Image, Lattice, Plane, ScaleSource
from noisediag.images.levels import code_step
from noisediag.images.missing import complete, dead_border, missing_pixels
from noisediag.images.reading import from_array, pictures, read

__all__ = [
    "Domain",
    "Image",
    "Lattice",
    "Plane",
    "ScaleSource",
    "code_step",
    "complete",
    "dead_border",
    "from_array",
    "missing_pixels",
    "pictures",
    "read",
]
