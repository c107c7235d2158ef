"""What kind of file a picture is, as a head of the user's own sees it: colours, codes, compression.

A head that learned from 16-bit files has not seen what rounding to 8 bits, or JPEG, does to the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence

from noisediag.images.image import Image

FINE_BITS = 9  # and more: rounding is far below the noise that labels are about


def of(image: Image) -> str:
    """For example "gray, 8 bits or fewer" or "colour, 8 bits or fewer, JPEG"."""
    names = {plane.name for plane in image.planes}
    colours = "RAW mosaic" if image.cfa_plane_colors else "gray" if len(names) == 1 else "colour"
    depths = [plane.bit_depth for plane in image.planes]
    coarse = all(depth is not None and depth < FINE_BITS for depth in depths)
    codes = "8 bits or fewer" if coarse else "more than 8 bits"
    return ", ".join([colours, codes, *(["JPEG"] if image.jpeg is not None else [])])


def doubts(image: Image, learned: Sequence[str]) -> list[str]:
    """A warning where `image` is of a kind that no shot was; none where it is not known what the shots were."""
    own = of(image)
    if not learned or own in learned:
        return []
    return [f"the own labels were learned from files of another kind ({'; '.join(learned)}), and this is {own}"]
